mod matching;

use super::*;
use crate::policy::{
    ApplicationRule, Destinations, FqdnPattern, IpProtocol, NetworkRule, ParentPolicy, Policy, PortRange, Priority,
    RuleCollection, RuleCollectionGroup, Rules, Sources, TargetFqdn,
};
use std::net::Ipv4Addr;

const HTTPS: ProtocolPort = ProtocolPort {
    protocol: Protocol::Https,
    port: 443,
};
const HTTP: ProtocolPort = ProtocolPort {
    protocol: Protocol::Http,
    port: 80,
};

fn target(pattern: &str) -> TargetFqdn {
    TargetFqdn {
        pattern: FqdnPattern::parse(pattern).unwrap(),
        tag: None,
        ports: None,
        wide: false,
    }
}

/// A rule for any source on 443, named after its first pattern.
fn rule(patterns: &[&str]) -> ApplicationRule {
    ApplicationRule {
        name: patterns.first().copied().unwrap_or("none").into(),
        sources: Sources::Any { written: true },
        protocols: vec![HTTPS],
        targets: patterns.iter().map(|p| target(p)).collect(),
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

fn collection(priority: u16, action: Action, rules: Vec<ApplicationRule>) -> RuleCollection {
    RuleCollection {
        name: format!("{action:?}{priority}").into(),
        priority: Priority::new(priority).unwrap(),
        action,
        mode: Mode::Enforce,
        rules: Rules::Application(rules),
    }
}

fn policy(collections: Vec<RuleCollection>) -> Policy {
    let group = RuleCollectionGroup {
        name: "g".into(),
        priority: Priority::new(200).unwrap(),
        collections,
    };
    Policy {
        name: "p".into(),
        groups: vec![group],
        ..Policy::default()
    }
}

fn compiled(collections: Vec<RuleCollection>) -> CompiledPolicy {
    CompiledPolicy::new(policy(collections))
}

fn ask_from(policy: &CompiledPolicy, source: &str, name: &str, port: ProtocolPort) -> Decision {
    let name = Fqdn::parse(name).unwrap();
    let source = source.parse().unwrap();
    let ProtocolPort { protocol, port } = port;
    policy.decide(
        &Attempt {
            source,
            protocol,
            name: &name,
            port,
        },
        &mut NoTrace,
    )
}

fn ask(policy: &CompiledPolicy, name: &str) -> Decision {
    ask_from(policy, "10.0.0.1", name, HTTPS)
}

#[test]
fn what_no_rule_admits_is_denied() {
    let empty = compiled(vec![]);
    let decision = ask(&empty, "api.example.com");
    assert_eq!(
        (decision.action, decision.reason, decision.rule),
        (Action::Deny, Reason::NoRuleMatched, None)
    );
    assert!(!decision.permits());
    let none = compiled(vec![collection(100, Action::Allow, vec![rule(&[])])]);
    assert_eq!(
        ask(&none, "api.example.com").action,
        Action::Deny,
        "L-03: an empty list matches nothing"
    );
}

#[test]
fn n14_priority_decides_and_not_specificity_or_file_order() {
    let allow = |priority| collection(priority, Action::Allow, vec![rule(&["*.openai.example.com"])]);
    let deny = |priority| collection(priority, Action::Deny, vec![rule(&["bad.openai.example.com"])]);
    for (collections, action, why) in [
        (vec![allow(100), deny(200)], Action::Allow, "allow first, written first"),
        (vec![deny(200), allow(100)], Action::Allow, "allow first, written last"),
        (vec![allow(200), deny(100)], Action::Deny, "deny first, written last"),
        (vec![deny(100), allow(200)], Action::Deny, "deny first, written first"),
        (
            vec![deny(100), allow(100)],
            Action::Deny,
            "imported: equal numbers keep file order",
        ),
        (
            vec![allow(100), deny(100)],
            Action::Allow,
            "imported: equal numbers keep file order",
        ),
    ] {
        let policy = compiled(collections);
        assert_eq!(ask(&policy, "bad.openai.example.com").action, action, "{why}");
        assert_eq!(ask(&policy, "good.openai.example.com").action, Action::Allow, "{why}");
    }
}

#[test]
fn n14_parent_groups_come_first_whatever_the_numbers() {
    let mut model = policy(vec![collection(100, Action::Allow, vec![rule(&["a.test"])])]);
    let mut groups = policy(vec![collection(65000, Action::Deny, vec![rule(&["*.test"])])]).groups;
    groups[0].priority = Priority::new(65000).unwrap();
    model.parents = vec![ParentPolicy {
        name: "base".into(),
        groups,
    }];
    assert_eq!(ask(&CompiledPolicy::new(model), "a.test").action, Action::Deny);
}

#[test]
fn l12_audit_lets_through_what_it_would_deny_and_nothing_else_changes() {
    let deny = || collection(100, Action::Deny, vec![rule(&["bad.test"])]);
    let allow = || collection(200, Action::Allow, vec![rule(&["*.test"])]);

    let mut global = policy(vec![deny(), allow()]);
    global.mode = Mode::Audit;
    let global = CompiledPolicy::new(global);
    let mut audited = deny();
    audited.mode = Mode::Audit;
    let one = compiled(vec![audited.clone(), allow()]);
    let behind = compiled(vec![
        audited.clone(),
        collection(300, Action::Deny, vec![rule(&["*.test"])]),
    ]);
    let alone = compiled(vec![audited]);

    for (policy, name, action, permits, why) in [
        (
            &global,
            "bad.test",
            Action::Deny,
            true,
            "a matching Deny is recorded and let through",
        ),
        (&global, "other.example", Action::Deny, true, "so is NoRuleMatched"),
        (&global, "a.test", Action::Allow, true, "an Allow is an Allow"),
        (&one, "bad.test", Action::Deny, true, "the collection's own Deny"),
        (
            &one,
            "other.example",
            Action::Deny,
            false,
            "a collection's audit does not widen the default",
        ),
        (
            &alone,
            "bad.test",
            Action::Deny,
            false,
            "nor lets through what no rule allows",
        ),
        (&behind, "bad.test", Action::Deny, false, "nor what another rule denies"),
    ] {
        let decision = ask(policy, name);
        assert_eq!((decision.action, decision.permits()), (action, permits), "{why}");
    }
    let told =
        |policy: &CompiledPolicy, rule: Option<RuleId>| rule.map(|rule| policy.rule_ref(rule).collection.clone());
    let recorded = ask(&one, "bad.test");
    assert_ne!(
        told(&one, recorded.rule),
        told(&one, recorded.allowing()),
        "both are kept"
    );
    assert_eq!(ask(&alone, "bad.test").reason, Reason::NoRuleMatched);
}

#[test]
fn wide_is_said_only_if_no_narrow_pattern_of_the_rule_admits_the_name() {
    let wide = TargetFqdn {
        wide: true,
        ..target("*.openai.test")
    };
    let policy = compiled(vec![collection(
        100,
        Action::Allow,
        vec![ApplicationRule {
            targets: vec![wide, target("mine.openai.test")],
            ..rule(&["r"])
        }],
    )]);
    assert!(ask(&policy, "other.openai.test").wide);
    assert!(!ask(&policy, "mine.openai.test").wide);
    // What is recorded alone does not hide by what it is let through.
    let denied = |mode, targets| RuleCollection {
        mode,
        ..collection(
            100,
            Action::Deny,
            vec![ApplicationRule {
                targets,
                ..rule(&["d"])
            }],
        )
    };
    let mut collections: Vec<_> = policy.model().collections().cloned().collect();
    collections.insert(0, denied(Mode::Audit, vec![target("other.openai.test")]));
    let audited = ask(&compiled(collections), "other.openai.test");
    assert_eq!((audited.action, audited.wide), (Action::Deny, true));
}

#[test]
fn network_rules_are_numbered_and_not_asked() {
    let network = NetworkRule {
        name: "all".into(),
        sources: Sources::Any { written: true },
        ip_protocols: vec![IpProtocol::Any],
        destinations: Destinations {
            any: true,
            fqdns: vec![Fqdn::parse("a.test").unwrap()],
            ..Destinations::default()
        },
        destination_ports: vec![PortRange::ANY],
    };
    let network = RuleCollection {
        rules: Rules::Network(vec![network]),
        ..collection(100, Action::Allow, vec![])
    };
    let policy = compiled(vec![collection(200, Action::Allow, vec![rule(&["b.test"])]), network]);
    assert_eq!(ask(&policy, "a.test").action, Action::Deny);
    assert_eq!(
        ask(&policy, "b.test").rule,
        Some(RuleId::new(1)),
        "the network rule is number 0"
    );
}

/// Keeps what it is told.
#[derive(Default)]
struct Seen(Vec<(u32, RuleOutcome)>);

impl Trace for Seen {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        self.0.push((rule.index() as u32, outcome));
    }
}

#[test]
fn a_trace_sees_every_rule_up_to_the_one_that_decides() {
    use RuleOutcome::*;
    let elsewhere = Sources::from(vec!["192.168.0.0/16".parse().unwrap()]);
    let policy = compiled(vec![collection(
        100,
        Action::Allow,
        vec![
            rule(&["other.example"]),
            ApplicationRule {
                sources: elsewhere,
                ..rule(&["*.test"])
            },
            ApplicationRule {
                protocols: vec![HTTP],
                ..rule(&["*", "a.test"])
            },
            rule(&["*est"]),
            rule(&["a.test"]),
        ],
    )]);
    let name = Fqdn::parse("a.test").unwrap();
    let attempt = Attempt {
        source: Ipv4Addr::LOCALHOST.into(),
        protocol: Protocol::Https,
        name: &name,
        port: 443,
    };
    let mut seen = Seen::default();
    let traced = policy.decide(&attempt, &mut seen);
    assert_eq!(
        seen.0,
        [(0, NameDiffers), (1, SourceDiffers), (2, PortDiffers), (3, Matched)]
    );
    assert_eq!(traced, policy.decide(&attempt, &mut NoTrace));
    let mut seen = Seen::default();
    policy.decide(&Attempt { port: 22, ..attempt }, &mut seen);
    assert_eq!(seen.0.len(), 5, "without a match every rule was looked at");
}

#[test]
fn a_tunnel_carries_what_each_protocol_is_let_through_for_and_nothing_else() {
    let base = compiled(vec![]).default_decision();
    let decisions = [
        (Action::Allow, Mode::Enforce, None),
        (Action::Allow, Mode::Audit, None),
        (Action::Deny, Mode::Enforce, None),
        (Action::Deny, Mode::Audit, None),
        (Action::Deny, Mode::Audit, Some(RuleId::new(0))),
    ]
    .map(|(action, mode, behind)| Decision {
        action,
        mode,
        rule: (action == Action::Allow).then_some(RuleId::new(0)),
        behind,
        ..base
    });
    for (https, http, port) in decisions
        .iter()
        .flat_map(|https| decisions.iter().map(move |http| (*https, *http)))
        .flat_map(|(https, http)| [80, 443].map(|port| (https, http, port)))
    {
        let (expected, stands) = Expected::of(https, http, port);
        let of = |protocol| if protocol == Protocol::Http { http } else { https };
        let either = https.permits() || http.permits();
        assert_eq!(of(stands).permits(), either, "{https:?} {http:?}");
        if either {
            let carries = [expected != Expected::Http, expected != Expected::Tls];
            assert_eq!(carries, [https.permits(), http.permits()], "{https:?} {http:?}");
        }
        let allowed = https.allowing().or(http.allowing());
        assert_eq!(
            of(stands).allowing(),
            allowed,
            "it leads where a rule says: {https:?} {http:?}"
        );
    }
}
