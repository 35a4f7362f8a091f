//! The parts that generated policies share: rules without names, groups of collections of them, and names that say where a
//! rule stands.

use egret::policy::{
    Action, ApplicationRule, FqdnPattern, Mode, ParentPolicy, Policy, Priority, Protocol, ProtocolPort, RuleCollection,
    RuleCollectionGroup, RuleRef, Rules, Sources, TargetFqdn,
    analysis::{RuleAt, analyse},
};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use std::{collections::HashSet, mem::discriminant, net::IpAddr, ops::Range};

pub fn port() -> impl Strategy<Value = ProtocolPort> {
    let protocol = select(vec![Protocol::Http, Protocol::Https]);
    (protocol, select(vec![80_u16, 443])).prop_map(|(protocol, port)| ProtocolPort { protocol, port })
}

pub fn net() -> impl Strategy<Value = IpNet> {
    let nets = [
        "10.0.0.0/24",
        "10.0.0.128/25",
        "10.0.1.0/24",
        "10.0.0.5/32",
        "0.0.0.0/0",
        "fd00::/64",
        "::ffff:10.0.1.0/120",
    ];
    select(nets.map(|net| net.parse().expect("a prefix")).to_vec())
}

pub fn source() -> impl Strategy<Value = IpAddr> {
    select(
        [
            "10.0.0.5",
            "10.0.0.200",
            "10.0.1.9",
            "172.16.0.1",
            "fd00::1",
            "64:ff9b::10.0.0.5",
        ]
        .map(|ip| ip.parse().expect("an address"))
        .to_vec(),
    )
}

pub fn sources() -> impl Strategy<Value = Sources> {
    prop_oneof![
        Just(Sources::Any { written: true }),
        vec(net(), 0..4).prop_map(Sources::from),
    ]
}

pub fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![4 => Just(Mode::Enforce), 1 => Just(Mode::Audit)]
}

/// A name of a rule's own.
pub fn target(pattern: &str) -> TargetFqdn {
    TargetFqdn {
        pattern: FqdnPattern::parse(pattern).expect("a pattern"),
        tag: None,
        ports: None,
        wide: false,
    }
}

pub fn application_rule(sources: Sources, protocols: Vec<ProtocolPort>, targets: Vec<TargetFqdn>) -> ApplicationRule {
    ApplicationRule {
        name: "".into(),
        sources,
        protocols,
        targets,
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

/// A collection that allows and a group around it, each alone of its kind.
pub fn allowing(rules: Rules) -> RuleCollectionGroup {
    holding(RuleCollection {
        name: "".into(),
        priority: Priority::new(100).expect("in range"),
        action: Action::Allow,
        mode: Mode::Enforce,
        rules,
    })
}

/// A group of one collection.
pub fn holding(collection: RuleCollection) -> RuleCollectionGroup {
    RuleCollectionGroup {
        name: "".into(),
        priority: Priority::new(100).expect("in range"),
        collections: vec![collection],
    }
}

/// Groups, and how many collections each may have. DNAT allows.
pub fn groups(
    priorities: &'static [u16],
    mode: impl Strategy<Value = Mode>,
    rules: impl Strategy<Value = Rules>,
    collections: Range<usize>,
    groups: Range<usize>,
) -> impl Strategy<Value = Vec<RuleCollectionGroup>> {
    let priority = || select(priorities).prop_map(|value| Priority::new(value).expect("in range"));
    let action = select(vec![Action::Allow, Action::Deny]);
    let collection = (priority(), action, mode, rules).prop_map(|(priority, action, mode, rules)| RuleCollection {
        name: "".into(),
        priority,
        action: match rules {
            Rules::Nat(_) => Action::Allow,
            _ => action,
        },
        mode,
        rules,
    });
    let group = (priority(), vec(collection, collections)).prop_map(|(priority, collections)| RuleCollectionGroup {
        name: "".into(),
        priority,
        collections,
    });
    vec(group, groups)
}

/// A policy under one parent in which names are numbers: they say where a rule stands, so that a decision leads back to it.
pub fn numbered(mut parent: Vec<RuleCollectionGroup>, mut groups: Vec<RuleCollectionGroup>) -> Policy {
    number(&mut parent);
    number(&mut groups);
    Policy {
        name: "1".into(),
        parents: vec![ParentPolicy {
            name: "0".into(),
            groups: parent,
        }],
        groups,
        ..Policy::default()
    }
}

/// Names every group, collection and rule by its number.
pub fn number(groups: &mut [RuleCollectionGroup]) {
    for (g, group) in groups.iter_mut().enumerate() {
        group.name = g.to_string().into();
        for (c, collection) in group.collections.iter_mut().enumerate() {
            collection.name = c.to_string().into();
            let names = (0_u32..).map(|r| r.to_string().into());
            match &mut collection.rules {
                Rules::Network(rules) => rules.iter_mut().zip(names).for_each(|(rule, name)| rule.name = name),
                Rules::Nat(rules) => rules.iter_mut().zip(names).for_each(|(rule, name)| rule.name = name),
                Rules::Application(rules) => rules.iter_mut().zip(names).for_each(|(rule, name)| rule.name = name),
            }
        }
    }
}

/// Where a rule of a numbered policy stands.
pub fn at(names: &RuleRef) -> RuleAt {
    let number = |text: &str| text.parse::<u32>().expect("a number");
    RuleAt {
        policy: number(&names.policy),
        group: number(&names.group),
        collection: number(&names.collection),
        rule: number(&names.rule),
    }
}

/// How many kinds of faults are told of in so many of these policies, the same in every run.
pub fn kinds_of_faults(policies: impl Strategy<Value = Policy>, tried: usize) -> usize {
    let mut runner = TestRunner::deterministic();
    let mut met = HashSet::new();
    for _ in 0..tried {
        let policy = policies.new_tree(&mut runner).expect("a policy").current();
        met.extend(analyse(&policy).iter().map(|finding| discriminant(&finding.fault)));
    }
    met.len()
}
