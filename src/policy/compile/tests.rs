use super::*;
use crate::policy::{
    Destinations, FqdnPattern, ParentPolicy, Priority, Protocol, RuleCollection, RuleCollectionGroup, Sources,
    TargetFqdn,
};

fn application(name: &str) -> ApplicationRule {
    ApplicationRule {
        name: name.into(),
        sources: Sources::Any { written: true },
        protocols: vec![ProtocolPort {
            protocol: Protocol::Https,
            port: 443,
        }],
        targets: vec![TargetFqdn {
            pattern: FqdnPattern::Any,
            tag: None,
            ports: None,
            wide: false,
        }],
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

fn network(name: &str) -> NetworkRule {
    NetworkRule {
        name: name.into(),
        sources: Sources::Any { written: true },
        ip_protocols: Vec::new(),
        destinations: Destinations::default(),
        destination_ports: Vec::new(),
    }
}

fn collection(name: &str, priority: u16, rules: Rules) -> RuleCollection {
    let priority = Priority::new(priority).unwrap();
    RuleCollection {
        name: name.into(),
        priority,
        action: Action::Allow,
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

/// Shaped like the documented example: kinds first, parent before child, then priorities.
#[test]
fn rules_are_numbered_in_the_order_in_which_they_are_judged() {
    let app = |name: &str, priority| collection(name, priority, Rules::Application(vec![application(name)]));
    let net = |name: &str, priority| collection(name, priority, Rules::Network(vec![network(name)]));
    let policy = Policy {
        name: "p".into(),
        parents: vec![ParentPolicy {
            name: "base".into(),
            groups: vec![
                group("base2", 400, vec![app("a2", 110), net("n2", 300)]),
                group("base1", 300, vec![net("n1", 500)]),
            ],
        }],
        groups: vec![
            group("late", 200, vec![app("c3", 100), app("c4", 100)]),
            group("early", 100, vec![app("c2", 200), app("c1", 150), net("cn1", 100)]),
        ],
        ..Policy::default()
    };
    let compiled = CompiledPolicy::new(policy);
    let order: Vec<&str> = (0..8).map(|i| &*compiled.rule_ref(RuleId::new(i)).rule).collect();
    assert_eq!(order, ["n1", "n2", "cn1", "a2", "c1", "c2", "c3", "c4"]);
    assert_eq!(compiled.application_rules().next(), Some(RuleId::new(3)));
    assert_eq!(&*compiled.application_rule(RuleId::new(4)).unwrap().name, "c1");
    assert!(compiled.application_rule(RuleId::new(1)).is_none(), "a network rule");
    assert!(compiled.application_rule(RuleId::new(8)).is_none(), "no such rule");
    let names = compiled.rule_ref(RuleId::new(3));
    assert_eq!((&*names.policy, &*names.group), ("base", "base2"));
}

#[test]
fn equal_sources_and_ports_are_held_once() {
    let rules = (0..1000).map(|i| application(&format!("r{i}"))).collect();
    let policy = Policy {
        groups: vec![group("g", 100, vec![collection("c", 100, Rules::Application(rules))])],
        ..Policy::default()
    };
    let compiled = CompiledPolicy::new(policy);
    assert_eq!((compiled.sources.len(), compiled.ports.len()), (1, 1));
}
