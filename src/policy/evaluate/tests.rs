mod explicit;
mod packets;
mod unsaid;

use super::*;
use crate::policy::{
    ApplicationRule, Destinations, FqdnPattern, IpProtocol, NatRule, NetworkRule, NoTrace, ParentPolicy, Policy,
    PortRange, Priority, ProtocolPort, RuleCollection, RuleCollectionGroup, Rules, Sources, TargetFqdn,
    ThreatIntelligence, Translated, threat::Listed,
};

const SOURCE: &str = "10.1.0.7";

fn any() -> Sources {
    Sources::Any { written: true }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn fqdn(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap_or_else(|_| panic!("{text}"))
}

fn application(name: &str, patterns: &[&str]) -> ApplicationRule {
    let target = |text: &&str| TargetFqdn {
        pattern: FqdnPattern::parse(text).unwrap(),
        tag: None,
        ports: None,
        wide: false,
    };
    ApplicationRule {
        name: name.into(),
        sources: any(),
        protocols: vec![ProtocolPort {
            protocol: Protocol::Https,
            port: 443,
        }],
        targets: patterns.iter().map(target).collect(),
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

/// To these addresses and names, TCP 443.
fn network(name: &str, addresses: &[&str], fqdns: &[&str]) -> NetworkRule {
    NetworkRule {
        name: name.into(),
        sources: any(),
        ip_protocols: vec![IpProtocol::Tcp],
        destinations: Destinations {
            any: addresses.contains(&"*"),
            addresses: addresses
                .iter()
                .filter(|text| **text != "*")
                .map(|text| text.parse().unwrap())
                .collect::<Vec<_>>()
                .into(),
            fqdns: fqdns.iter().map(|text| fqdn(text)).collect(),
            ..Destinations::default()
        },
        destination_ports: vec![PortRange::one(443)],
    }
}

fn nat(name: &str, address: &str) -> NatRule {
    NatRule {
        name: name.into(),
        sources: any(),
        ip_protocols: vec![IpProtocol::Tcp],
        destination_addresses: vec![address.parse().unwrap()],
        destination_ports: vec![PortRange::one(443)],
        translated: Translated::Address(ip("10.9.9.9")),
        translated_port: 8443,
    }
}

fn collection(name: &str, priority: u16, action: Action, rules: Rules) -> RuleCollection {
    RuleCollection {
        name: name.into(),
        priority: Priority::new(priority).unwrap(),
        action,
        mode: Mode::Enforce,
        rules,
    }
}

fn group(name: &str, priority: u16, collections: Vec<RuleCollection>) -> RuleCollectionGroup {
    RuleCollectionGroup {
        name: name.into(),
        priority: Priority::new(priority).unwrap(),
        collections,
    }
}

fn policy(collections: Vec<RuleCollection>) -> Policy {
    Policy {
        name: "p".into(),
        groups: vec![group("g", 100, collections)],
        explicit_network_rules: true,
        ..Policy::default()
    }
}

/// TCP 443 to an address, TLS for a name where there is one.
fn routed<'a>(destination: &str, name: Option<&'a Fqdn>) -> FlowAttempt<'a> {
    FlowAttempt {
        source: ip(SOURCE),
        via: Via::Transparent,
        transport: Transport::Tcp,
        destination: Some(ip(destination)),
        port: 443,
        name,
        protocol: name.map(|_| Protocol::Https),
        resolved: Resolved::NONE,
    }
}

/// A CONNECT for TLS.
fn asked<'a>(name: Option<&'a Fqdn>, destination: Option<&str>) -> FlowAttempt<'a> {
    FlowAttempt {
        via: Via::Explicit,
        destination: destination.map(ip),
        ..routed("192.0.2.1", name)
    }
}

/// What decided, the action, and the name of the rule.
fn verdict(policy: &Policy, flow: &FlowAttempt<'_>) -> (DecidedBy, Action, String) {
    let compiled = CompiledPolicy::new(policy.clone());
    let found = compiled.evaluate(flow, &mut NoTrace);
    let rule = found.decision.rule.map(|rule| compiled.rule_ref(rule).rule.to_string());
    (found.by, found.decision.action, rule.unwrap_or_default())
}

/// Azure Firewall, "Configure Azure Firewall rules", rule processing using Firewall Policy: the table of its example and the
/// order that it says it is processed in. Base groups belong to the parent policy.
#[test]
fn the_documented_example_is_processed_in_the_documented_order() {
    let app = |name: &str, priority| {
        let rules = Rules::Application(vec![application(name, &["*"])]);
        collection(name, priority, Action::Allow, rules)
    };
    let net = |name: &str, priority| {
        let rules = Rules::Network(vec![network(name, &["*"], &[])]);
        collection(name, priority, Action::Allow, rules)
    };
    let dnat = |name: &str, priority| {
        let rules = Rules::Nat(vec![nat(name, "192.0.2.1/32")]);
        collection(name, priority, Action::Allow, rules)
    };
    let base = vec![
        group(
            "BaseRCG1",
            200,
            vec![dnat("DNATRC1", 600), dnat("DNATRC3", 610), net("NetworkRC1", 800)],
        ),
        group("BaseRCG2", 300, vec![app("AppRC2", 1200), net("NetworkRC2", 1300)]),
    ];
    let child = vec![
        group("ChildRCG1", 300, vec![net("ChNetRC1", 700), app("ChAppRC1", 900)]),
        group(
            "ChildRCG2",
            650,
            vec![net("ChNetRC2", 1100), app("ChAppRC2", 2000), dnat("ChDNATRC3", 3000)],
        ),
    ];
    let model = Policy {
        parents: vec![ParentPolicy {
            name: "base".into(),
            groups: base,
        }],
        groups: child,
        ..policy(Vec::new())
    };
    let compiled = CompiledPolicy::new(model);
    let order: Vec<&str> = compiled.rules().map(|rule| &*compiled.rule_ref(rule).rule).collect();
    let documented =
        "DNATRC1, DNATRC3, ChDNATRC3, NetworkRC1, NetworkRC2, ChNetRC1, ChNetRC2, AppRC2, ChAppRC1, ChAppRC2";
    assert_eq!(order.join(", "), documented);
    let name = fqdn("a.example.com");
    let by = compiled.evaluate(&routed("192.0.2.1", Some(&name)), &mut NoTrace);
    assert_eq!((by.by, by.decision.rule), (DecidedBy::Nat, Some(RuleId::new(0))));
    let by = compiled.evaluate(&routed("192.0.2.9", Some(&name)), &mut NoTrace);
    assert_eq!((by.by, by.decision.rule), (DecidedBy::Network, Some(RuleId::new(3))));
}

#[test]
fn every_kind_ends_the_evaluation_before_the_next_one_is_asked() {
    let name = fqdn("a.example.com");
    let all = vec![
        collection(
            "a",
            100,
            Action::Allow,
            Rules::Application(vec![application("app", &["*.com"])]),
        ),
        collection(
            "n",
            65000,
            Action::Deny,
            Rules::Network(vec![network("net", &["192.0.2.0/24"], &[])]),
        ),
        collection("d", 65000, Action::Allow, Rules::Nat(vec![nat("dnat", "192.0.2.1/32")])),
    ];
    let mut model = policy(all);
    model.infrastructure = vec![FqdnPattern::parse("*.infra.example").unwrap()];
    let infra = fqdn("disk.infra.example");
    let other = fqdn("paste.example");
    for (to, name, by, action, rule) in [
        ("192.0.2.1", &name, DecidedBy::Nat, Action::Allow, "dnat"),
        ("192.0.2.9", &name, DecidedBy::Network, Action::Deny, "net"),
        ("198.51.100.1", &name, DecidedBy::Application, Action::Allow, "app"),
        (
            "198.51.100.1",
            &infra,
            DecidedBy::Infrastructure,
            Action::Allow,
            "Infrastructure",
        ),
        ("198.51.100.1", &other, DecidedBy::Default, Action::Deny, ""),
    ] {
        assert_eq!(
            verdict(&model, &routed(to, Some(name))),
            (by, action, rule.to_owned()),
            "{name} at {to}"
        );
    }
    // A customer's own deny-all goes before the infrastructure collection and switches it off (Azure, infrastructure FQDNs).
    let deny_all = collection(
        "z",
        65000,
        Action::Deny,
        Rules::Application(vec![application("none", &["*"])]),
    );
    model.groups[0].collections.push(deny_all);
    assert_eq!(
        verdict(&model, &routed("198.51.100.1", Some(&infra))),
        (DecidedBy::Application, Action::Deny, "none".into())
    );
}

#[test]
fn application_rules_are_asked_for_http_and_tls_over_tcp_alone() {
    let name = fqdn("a.example.com");
    let rules = Rules::Application(vec![application("app", &["*.com"])]);
    let model = policy(vec![collection("a", 100, Action::Allow, rules)]);
    let tls = routed("192.0.2.1", Some(&name));
    assert_eq!(verdict(&model, &tls).0, DecidedBy::Application);
    for (flow, why) in [
        (FlowAttempt { protocol: None, ..tls }, "neither HTTP nor TLS"),
        (
            FlowAttempt {
                transport: Transport::Udp,
                ..tls
            },
            "QUIC",
        ),
        (FlowAttempt { name: None, ..tls }, "no SNI"),
    ] {
        assert_eq!(verdict(&model, &flow).0, DecidedBy::Default, "{why}");
    }
}

#[test]
fn threat_intelligence_goes_before_every_rule_and_the_allowlist_before_it() {
    let name = fqdn("a.example.com");
    let bad = fqdn("c2.bad.example");
    let rules = Rules::Application(vec![application("app", &["*"])]);
    let mut model = policy(vec![
        collection("a", 100, Action::Allow, rules),
        collection("d", 100, Action::Allow, Rules::Nat(vec![nat("dnat", "192.0.2.1/32")])),
    ]);
    model.threat_intelligence = ThreatIntelligence {
        mode: ThreatMode::Deny,
        addresses: vec!["192.0.2.0/28".parse().unwrap(), "10.1.0.66/32".parse().unwrap()],
        fqdns: vec![FqdnPattern::parse("*.bad.example").unwrap()],
        allowed_addresses: vec!["192.0.2.2/32".parse().unwrap()],
        allowed_fqdns: vec![FqdnPattern::parse("fine.bad.example").unwrap()],
    };
    let fine = fqdn("fine.bad.example");
    let from_fine = ip("192.0.2.2");
    let apex = fqdn("bad.example");
    let infected = FlowAttempt {
        source: ip("10.1.0.66"),
        ..routed("203.0.113.1", Some(&name))
    };
    for (flow, listed, why) in [
        (
            routed("192.0.2.1", Some(&name)),
            Some(Listed::Destination(ip("192.0.2.1"))),
            "before DNAT",
        ),
        (routed("192.0.2.2", Some(&name)), None, "an address on the allowlist"),
        (routed("203.0.113.1", Some(&bad)), Some(Listed::Name), "a name"),
        (
            routed("203.0.113.1", Some(&apex)),
            None,
            "a star is not the name itself",
        ),
        (routed("192.0.2.1", Some(&fine)), None, "a name on the allowlist"),
        (
            asked(Some(&bad), None),
            Some(Listed::Name),
            "explicit, before it is resolved",
        ),
        (infected, Some(Listed::Source(ip("10.1.0.66"))), "from a listed address"),
        (
            FlowAttempt {
                destination: Some(from_fine),
                ..infected
            },
            Some(Listed::Source(ip("10.1.0.66"))),
            "the allowlist takes out a destination, not who is known to be infected",
        ),
        (
            asked(Some(&bad), Some("192.0.2.2")),
            Some(Listed::Name),
            "a listed name, wherever it leads: as before it is resolved",
        ),
        (
            routed("64:ff9b::192.0.2.1", None),
            Some(Listed::Destination(ip("64:ff9b::192.0.2.1"))),
            "by way of a NAT64",
        ),
        (
            routed("2002:c000:201::1", None),
            Some(Listed::Destination(ip("2002:c000:201::1"))),
            "by way of a 6to4 relay",
        ),
        (
            routed("64:ff9b::192.0.2.2", None),
            None,
            "what it embeds is on the allowlist",
        ),
    ] {
        let compiled = CompiledPolicy::new(model.clone());
        let found = compiled.evaluate(&flow, &mut NoTrace);
        assert_eq!(found.threat.map(|threat| threat.listed), listed, "{why}");
        let denied = found.decision.reason == Reason::ThreatIntelligence && !found.decision.permits();
        assert_eq!(denied, listed.is_some(), "{why}");
    }
    model.mode = Mode::Audit;
    let found = CompiledPolicy::new(model.clone()).evaluate(&asked(Some(&bad), None), &mut NoTrace);
    assert!(!found.decision.permits(), "audit mode softens rules alone");
    model.threat_intelligence.mode = ThreatMode::Alert;
    let found = CompiledPolicy::new(model.clone()).evaluate(&asked(Some(&bad), None), &mut NoTrace);
    assert_eq!(
        (found.by, found.threat.is_some()),
        (DecidedBy::Application, true),
        "recorded, and judged on"
    );
    model.threat_intelligence.mode = ThreatMode::Off;
    let found = CompiledPolicy::new(model).evaluate(&asked(Some(&bad), None), &mut NoTrace);
    assert_eq!(found.threat, None);
}

/// What the first rule would deny is recorded alone, and the second denies it all the same.
#[test]
fn what_denies_behind_a_collection_in_audit_mode_denies() {
    let name = fqdn("api.example.com");
    let audited = RuleCollection {
        mode: Mode::Audit,
        ..collection(
            "a",
            100,
            Action::Deny,
            Rules::Network(vec![network("some", &["203.0.113.0/24"], &[])]),
        )
    };
    let web = vec![application("web", &["*.example.com"])];
    let compiled = CompiledPolicy::new(policy(vec![
        audited,
        collection(
            "b",
            200,
            Action::Deny,
            Rules::Network(vec![network("all", &["*"], &[])]),
        ),
        collection("app", 100, Action::Allow, Rules::Application(web)),
    ]));
    let found = compiled.evaluate(&asked(Some(&name), None), &mut NoTrace);
    let rule = found.decision.rule.map(|rule| compiled.rule_ref(rule).rule.to_string());
    assert_eq!((found.by, rule.as_deref()), (DecidedBy::Network, Some("all")));
    assert!(!found.decision.permits());
}
