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

/// Azure Firewall rule processing: since 2020-11-09 `Any` is every IANA IP protocol; with an explicit port TCP and UDP.
#[test]
fn protocols_and_ports_of_a_network_rule() {
    let rule = |protocols: &[IpProtocol], ports: &[PortRange]| {
        let rule = NetworkRule {
            ip_protocols: protocols.to_vec(),
            destination_ports: ports.to_vec(),
            ..network("net", &["192.0.2.0/24"], &[])
        };
        policy(vec![collection("n", 100, Action::Allow, Rules::Network(vec![rule]))])
    };
    let (all, https) = (&[PortRange::ANY][..], &[PortRange::one(443)][..]);
    let high = PortRange {
        first: 8000,
        last: 8100,
    };
    let written = PortRange {
        first: 1,
        last: u16::MAX,
    };
    use IpProtocol::{Any, Icmp, Tcp, Udp};
    let esp = Transport::Other(50);
    for (protocols, ports, transport, port, matches) in [
        (&[Tcp][..], https, Transport::Tcp, 443, true),
        (&[Tcp], https, Transport::Tcp, 444, false),
        (&[Tcp], https, Transport::Udp, 443, false),
        (&[Udp, Tcp], https, Transport::Udp, 443, true),
        (&[Tcp], &[high, PortRange::one(443)], Transport::Tcp, 8100, true),
        (&[Tcp], &[high, PortRange::one(443)], Transport::Tcp, 8101, false),
        (&[Tcp], all, Transport::Tcp, 1, true),
        (&[Tcp], all, Transport::Icmp, 0, false),
        (&[Icmp], https, Transport::Icmp, 0, true),
        (&[Icmp], all, Transport::Tcp, 443, false),
        (&[Any], https, Transport::Tcp, 443, true),
        (&[Any], https, Transport::Udp, 443, true),
        (&[Any], https, Transport::Icmp, 0, false),
        (&[Any], https, esp, 0, false),
        (&[Any], &[written], Transport::Icmp, 0, false),
        (&[Any], all, Transport::Icmp, 0, true),
        (&[Any], all, esp, 0, true),
        (&[Tcp, Udp, Icmp], all, esp, 0, false),
        (&[], all, Transport::Tcp, 443, false),
        (&[Tcp, Icmp], &[], Transport::Tcp, 443, false),
        (&[Tcp, Icmp], &[], Transport::Icmp, 0, false),
    ] {
        let flow = FlowAttempt {
            transport,
            port,
            ..routed("192.0.2.7", None)
        };
        let found = verdict(&rule(protocols, ports), &flow).0 == DecidedBy::Network;
        assert_eq!(found, matches, "{protocols:?} {ports:?}: {transport:?} {port}");
    }
}

#[test]
fn destinations_of_a_network_rule() {
    let tag = super::super::ServiceTag {
        name: "Storage.WestEurope".into(),
        prefixes: ["203.0.113.0/26".parse().unwrap()].into(),
    };
    let mut rule = network("net", &["192.0.2.0/24", "2001:db8::/32"], &["db.example.com"]);
    rule.destinations.service_tags.push(tag);
    let model = policy(vec![collection("n", 100, Action::Allow, Rules::Network(vec![rule]))]);
    let mut resolved = Resolved::default();
    resolved.set(fqdn("db.example.com"), vec![ip("198.51.100.5")]);
    for (to, matches, why) in [
        ("192.0.2.255", true, "a prefix"),
        ("2001:db8::9", true, "a prefix of IPv6"),
        ("203.0.113.63", true, "a service tag"),
        ("203.0.113.64", false, "beyond the service tag"),
        ("198.51.100.5", true, "an address of the destination FQDN"),
        ("198.51.100.6", false, "another address"),
    ] {
        let flow = FlowAttempt {
            resolved: &resolved,
            ..routed(to, None)
        };
        assert_eq!(verdict(&model, &flow).0 == DecidedBy::Network, matches, "{why}");
    }
    let nowhere = network("net", &[], &[]);
    let model = policy(vec![collection("n", 100, Action::Allow, Rules::Network(vec![nowhere]))]);
    assert_eq!(verdict(&model, &routed("192.0.2.1", None)).0, DecidedBy::Default);
}

#[test]
fn explicit_attempts_are_judged_by_network_rules_only_if_that_is_on() {
    let rules = Rules::Network(vec![network("net", &["192.0.2.0/24"], &["a.example.com"])]);
    let mut model = policy(vec![collection("n", 100, Action::Allow, rules)]);
    let name = fqdn("a.example.com");
    let address = asked(None, Some("192.0.2.7"));
    assert_eq!(verdict(&model, &address).0, DecidedBy::Network);
    assert_eq!(verdict(&model, &asked(Some(&name), None)).0, DecidedBy::Network);
    model.explicit_network_rules = false;
    let compiled = CompiledPolicy::new(model);
    let found = compiled.evaluate(&address, &mut NoTrace).decision;
    assert_eq!((found.action, found.reason), (Action::Deny, Reason::IpLiteral));
    assert_eq!(
        compiled
            .evaluate(&asked(Some(&name), None), &mut NoTrace)
            .decision
            .reason,
        Reason::NoRuleMatched
    );
}

#[test]
fn an_explicit_name_is_allowed_by_exact_name_and_denied_by_address_too() {
    let net = |name: &str, priority, action, addresses: &[&str], fqdns: &[&str]| {
        collection(
            name,
            priority,
            action,
            Rules::Network(vec![network(name, addresses, fqdns)]),
        )
    };
    let app = || {
        let rules = Rules::Application(vec![application("app", &["*.example.com"])]);
        collection("a", 100, Action::Allow, rules)
    };
    let (db, api) = (fqdn("db.example.com"), fqdn("api.example.com"));
    let by_name = |action| policy(vec![net("name", 100, action, &[], &["db.example.com"]), app()]);
    for (model, name, to, expected, why) in [
        (
            by_name(Action::Allow),
            &db,
            None,
            (DecidedBy::Network, Action::Allow),
            "allowed by name",
        ),
        (
            by_name(Action::Deny),
            &db,
            None,
            (DecidedBy::Network, Action::Deny),
            "denied by name",
        ),
        (
            by_name(Action::Deny),
            &api,
            None,
            (DecidedBy::Application, Action::Allow),
            "another name",
        ),
        (
            policy(vec![net("net", 100, Action::Allow, &["*"], &[]), app()]),
            &api,
            Some("192.0.2.7"),
            (DecidedBy::Application, Action::Allow),
            "a rule that allows addresses opens no name",
        ),
        (
            policy(vec![net("net", 100, Action::Deny, &["192.0.2.0/24"], &[]), app()]),
            &api,
            Some("192.0.2.7"),
            (DecidedBy::Network, Action::Deny),
            "denied by the address that the name leads to",
        ),
        (
            policy(vec![net("net", 100, Action::Deny, &["*"], &[]), app()]),
            &api,
            None,
            (DecidedBy::Network, Action::Deny),
            "wherever it leads",
        ),
        (
            policy(vec![
                net("exception", 100, Action::Allow, &["192.0.2.7/32"], &[]),
                net("net", 200, Action::Deny, &["192.0.2.0/24"], &[]),
                app(),
            ]),
            &api,
            Some("192.0.2.7"),
            (DecidedBy::Application, Action::Allow),
            "an earlier rule allows the address",
        ),
        (
            policy(vec![
                net("net", 100, Action::Deny, &["192.0.2.0/24"], &[]),
                net("name", 200, Action::Allow, &[], &["db.example.com"]),
            ]),
            &db,
            Some("192.0.2.7"),
            (DecidedBy::Network, Action::Deny),
            "the address is denied before the name is allowed",
        ),
    ] {
        let (by, action, _) = verdict(&model, &asked(Some(name), to));
        assert_eq!((by, action), expected, "{why}");
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

#[test]
fn what_denies_an_address_denies_every_form_that_embeds_it() {
    let net = |name: &str, priority, action, addresses: &[&str]| {
        let rules = Rules::Network(vec![network(name, addresses, &[])]);
        collection(name, priority, action, rules)
    };
    let model = policy(vec![
        net("exception", 100, Action::Allow, &["192.0.2.9/32"]),
        net("deny", 200, Action::Deny, &["192.0.2.0/24"]),
        net("allow", 300, Action::Allow, &["*"]),
    ]);
    for (to, rule) in [
        ("192.0.2.1", "deny"),
        ("::ffff:192.0.2.1", "deny"),
        ("64:ff9b::192.0.2.1", "deny"),
        ("64:ff9b:1::192.0.2.1", "deny"),
        ("2002:c000:201::1", "deny"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdfe", "deny"),
        ("2001:db8::5efe:192.0.2.1", "deny"),
        ("::192.0.2.1", "deny"),
        ("192.0.2.9", "exception"),
        // What allows an address says nothing of the way by a translator.
        ("64:ff9b::192.0.2.9", "deny"),
        ("64:ff9b::198.51.100.1", "allow"),
        ("2001:db8::c000:201", "allow"),
    ] {
        let (_, _, found) = verdict(&model, &routed(to, None));
        assert_eq!(found, rule, "{to}");
        let to = ip(to).to_canonical().to_string();
        let (_, _, found) = verdict(&model, &asked(None, Some(&to)));
        assert_eq!(found, rule, "{to}, explicit");
    }
}

/// Routed packets carry an address; whether it is a name's is not known before somebody has looked.
#[test]
fn a_denial_by_a_name_that_nobody_resolved_is_no_answer_unless_it_makes_no_difference() {
    let net = |name: &str, priority, action, addresses: &[&str], fqdns: &[&str]| {
        let rules = Rules::Network(vec![network(name, addresses, fqdns)]);
        collection(name, priority, action, rules)
    };
    let deny = || net("deny", 100, Action::Deny, &[], &["db.example.com", "x.example.com"]);
    let allow = || net("allow", 200, Action::Allow, &["192.0.2.0/24"], &[]);
    let (open, shut) = (policy(vec![deny(), allow()]), policy(vec![deny()]));
    let (db, api) = (fqdn("db.example.com"), fqdn("api.example.com"));
    let resolved = |addresses: &[&str]| {
        let mut resolved = Resolved::default();
        for name in ["db.example.com", "x.example.com"] {
            resolved.set(fqdn(name), addresses.iter().map(|text| ip(text)).collect());
        }
        resolved
    };
    let (none, there, elsewhere) = (Resolved::default(), resolved(&["192.0.2.1"]), resolved(&[]));
    for (model, name, resolved, expected, why) in [
        (&open, Some(&api), &none, ("deny", true), "it may lead there"),
        (&open, None, &none, ("deny", true), "nor is anything known of the name"),
        (&open, Some(&db), &none, ("deny", false), "the very name"),
        (&open, Some(&api), &there, ("deny", false), "it leads there"),
        (&open, Some(&api), &elsewhere, ("allow", false), "it does not"),
        (&shut, Some(&api), &none, ("", false), "denied either way"),
    ] {
        let compiled = CompiledPolicy::new(model.clone());
        let flow = FlowAttempt {
            resolved,
            ..routed("192.0.2.1", name)
        };
        let found = compiled.evaluate(&flow, &mut NoTrace);
        let rule = found.decision.rule.map_or("", |rule| &*compiled.rule_ref(rule).rule);
        assert_eq!((rule, found.unresolved.is_some()), expected, "{why}");
    }
}

/// The gateway judges the addresses once the name is looked up: before that nobody may say that it goes through.
#[test]
fn a_name_that_nobody_looked_up_is_denied_where_every_address_is_and_open_where_some_are() {
    let name = fqdn("api.example.com");
    let rules = |action, rules| collection("net", 100, action, Rules::Network(rules));
    let web = || {
        let web = vec![application("web", &["*.example.com"])];
        collection("app", 100, Action::Allow, Rules::Application(web))
    };
    let some = || network("some", &["203.0.113.0/24"], &[]);
    let mut elsewhere = network("elsewhere", &["*"], &[]);
    elsewhere.destination_ports = vec![PortRange::one(25)];
    let mut others = network("others", &["*"], &[]);
    others.sources = Sources::from(vec!["10.2.0.0/16".parse().unwrap()]);
    let all = || network("all", &["*"], &[]);
    let deny = |list| rules(Action::Deny, list);
    let later = |list| collection("later", 200, Action::Deny, Rules::Network(list));
    for (net, decided, open) in [
        (vec![deny(vec![all()])], "all", ""),
        (vec![deny(vec![some()])], "web", "some"),
        (vec![deny(vec![some(), all()])], "all", ""),
        // For another port, for other sources, by names alone: an ordinary attempt.
        (vec![deny(vec![elsewhere, others])], "web", ""),
        (vec![deny(vec![network("names", &[], &["db.example.com"])])], "web", ""),
        // What an earlier rule allows is let alone.
        (
            vec![rules(Action::Allow, vec![some()]), later(vec![all()])],
            "web",
            "all",
        ),
        (vec![rules(Action::Allow, vec![all()]), later(vec![some()])], "web", ""),
        (
            vec![
                rules(Action::Allow, vec![network("own", &[], &["api.example.com"])]),
                later(vec![all()]),
            ],
            "own",
            "",
        ),
        (Vec::new(), "web", ""),
    ] {
        let model = policy(net.into_iter().chain([web()]).collect());
        let compiled = CompiledPolicy::new(model.clone());
        let called = |rule: Option<RuleId>| rule.map_or(String::new(), |rule| compiled.rule_ref(rule).rule.to_string());
        let found = compiled.evaluate(&asked(Some(&name), None), &mut NoTrace);
        assert_eq!(
            (&*called(found.decision.rule), &*called(found.by_address)),
            (decided, open)
        );
        let off = Policy {
            explicit_network_rules: false,
            ..model
        };
        let found = CompiledPolicy::new(off).evaluate(&asked(Some(&name), None), &mut NoTrace);
        assert_eq!((found.by, found.by_address), (DecidedBy::Application, None));
    }
}

/// Where the name leads an earlier rule allows it, and where it does not neither speaks of it.
#[test]
fn a_name_that_an_earlier_rule_allows_is_denied_by_no_later_one_and_who_allows_it_unresolved_is_no_answer() {
    let net = |name: &str, priority, action, addresses: &[&str], fqdns: &[&str]| {
        let rules = Rules::Network(vec![network(name, addresses, fqdns)]);
        collection(name, priority, action, rules)
    };
    let (db, x) = ("db.example.com", "x.example.com");
    let allow = |names: &[&str]| net("allow", 100, Action::Allow, &[], names);
    let deny = |names: &[&str]| net("deny", 200, Action::Deny, &[], names);
    let there = || net("there", 300, Action::Allow, &["0.0.0.0/0", "::/0"], &[]);
    let name = fqdn(db);
    let embeds = "64:ff9b::192.0.2.1";
    for (rules, to, decides, open, why) in [
        (vec![allow(&[db])], "192.0.2.1", "", "allow", "it may lead there"),
        (
            vec![allow(&[db]), deny(&[db])],
            "192.0.2.1",
            "",
            "allow",
            "the denial never decides",
        ),
        (
            vec![allow(&[db]), deny(&[db]), there()],
            "192.0.2.1",
            "there",
            "",
            "allowed either way",
        ),
        (
            vec![allow(&[db]), deny(&[db, x]), there()],
            "192.0.2.1",
            "deny",
            "deny",
            "the other name may",
        ),
        (
            vec![allow(&[db]), deny(&[db]), there()],
            embeds,
            "deny",
            "allow",
            "what embeds an address of the name is denied",
        ),
        (
            vec![deny(&[db]), net("late", 250, Action::Allow, &[], &[db])],
            "192.0.2.1",
            "deny",
            "",
            "the first one",
        ),
        (
            vec![allow(&[db]), there()],
            "192.0.2.1",
            "there",
            "",
            "allowed either way",
        ),
    ] {
        let compiled = CompiledPolicy::new(policy(rules));
        let called = |rule: Option<RuleId>| rule.map_or(String::new(), |rule| compiled.rule_ref(rule).rule.to_string());
        let found = compiled.evaluate(&routed(to, Some(&name)), &mut NoTrace);
        let found = (called(found.decision.rule), called(found.unresolved));
        assert_eq!(found, (decides.to_owned(), open.to_owned()), "{why}");
    }
}

/// Each name is looked up once, however many rules have names: pair by pair these would be two billion comparisons, minutes in
/// a debug build.
#[test]
fn many_names_that_nobody_resolved_are_not_compared_with_each_other() {
    let names: Vec<String> = (0..60_000).map(|at| format!("db{at}.example.com")).collect();
    let rule = |(at, names): (usize, &[String])| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        network(&format!("r{at}"), &[], &names)
    };
    let rules: Vec<NetworkRule> = names.chunks(100).enumerate().map(rule).collect();
    let compiled = CompiledPolicy::new(policy(vec![collection("n", 100, Action::Allow, Rules::Network(rules))]));
    for port in [443, 8443] {
        let flow = FlowAttempt {
            port,
            ..routed("192.0.2.1", None)
        };
        let started = std::time::Instant::now();
        let found = compiled.evaluate(&flow, &mut NoTrace);
        assert!(started.elapsed().as_secs() < 20, "port {port}: {:?}", started.elapsed());
        assert_eq!(found.unresolved.is_some(), port == 443);
    }
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
