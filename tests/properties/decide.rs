//! The compiled policy decides requests as a naive evaluator does.

use super::generate::{self, mode, numbered, port, source, sources};
use egret::policy::{
    Action, ApplicationRule, Attempt, CompiledPolicy, Destinations, Fqdn, FqdnPattern, IpProtocol, Mode, NetworkRule,
    NoTrace, Policy, PortRange, ProtocolPort, Reason, RuleCollection, RuleCollectionGroup, RuleId, RuleOutcome,
    RuleRef, Rules, Sources, TargetFqdn, Trace,
};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, sample::select};
use std::net::IpAddr;

/// Few labels, so that patterns and names meet often.
fn label() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "ab", "x", "test"])
}

fn name() -> impl Strategy<Value = Fqdn> {
    vec(label(), 1..5).prop_map(|labels| Fqdn::parse(&labels.join(".")).expect("made of labels"))
}

fn pattern() -> impl Strategy<Value = FqdnPattern> {
    let text = prop_oneof![
        4 => name().prop_map(|name| name.to_string()),
        4 => name().prop_map(|name| format!("*.{name}")),
        2 => name().prop_map(|name| format!("*{name}")),
        1 => Just("*".to_owned()),
    ];
    text.prop_map(|text| FqdnPattern::parse(&text).expect("a pattern"))
}

fn target() -> impl Strategy<Value = TargetFqdn> {
    let ports = proptest::option::weighted(0.3, vec(port(), 0..3));
    (pattern(), ports, any::<bool>()).prop_map(|(pattern, ports, wide)| TargetFqdn {
        pattern,
        tag: None,
        ports,
        wide,
    })
}

fn application_rule() -> impl Strategy<Value = ApplicationRule> {
    (sources(), vec(port(), 0..3), vec(target(), 0..4))
        .prop_map(|(sources, protocols, targets)| generate::application_rule(sources, protocols, targets))
}

fn rules() -> impl Strategy<Value = Rules> {
    let network = NetworkRule {
        name: "network".into(),
        sources: Sources::Any { written: true },
        ip_protocols: vec![IpProtocol::Tcp],
        destinations: Destinations {
            any: true,
            ..Destinations::default()
        },
        destination_ports: vec![PortRange::one(443)],
    };
    prop_oneof![
        6 => vec(application_rule(), 0..4).prop_map(Rules::Application),
        1 => Just(Rules::Network(vec![network])),
    ]
}

/// Those that stand in each other's way, and the last one there is.
pub(crate) const PRIORITIES: [u16; 4] = [100, 200, 300, 65000];

/// A policy in which every rule, collection and group has a name of its own.
fn policy() -> impl Strategy<Value = Policy> {
    let groups = || generate::groups(&PRIORITIES, mode(), rules(), 0..4, 0..4);
    (mode(), groups(), groups()).prop_map(|(mode, parent, groups)| Policy {
        mode,
        ..numbered(parent, groups)
    })
}

/// Action, reason, mode, rule, and whether only wide patterns of the rule that lets it through admit the name.
type Verdict = (Action, Reason, Mode, Option<RuleRef>, bool);

/// The policy without the collections that deny in audit mode: what is in force.
pub(crate) fn in_force(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    let enforced = policy.mode == Mode::Enforce;
    let parents = policy.parents.iter_mut().flat_map(|parent| &mut parent.groups);
    for group in parents.chain(&mut policy.groups) {
        let stays = |one: &RuleCollection| !enforced || one.action == Action::Allow || one.mode == Mode::Enforce;
        group.collections.retain(stays);
    }
    policy
}

/// What would be denied is told of what gets through, and by how wide a pattern that does.
fn naive(policy: &Policy, attempt: &Attempt<'_>) -> Verdict {
    let through = naive_view(&in_force(policy), attempt);
    if let (Action::Deny, _, Mode::Enforce, ..) = through {
        return through;
    }
    match naive_view(policy, attempt) {
        (Action::Deny, reason, mode, rule, _) => (Action::Deny, reason, mode, rule, through.4),
        allowed => allowed,
    }
}

/// What an evaluator says that looks at every rule in order and knows no index.
fn naive_view(policy: &Policy, attempt: &Attempt<'_>) -> Verdict {
    for (policy_name, groups) in policy.chain() {
        let mut groups: Vec<&RuleCollectionGroup> = groups.iter().collect();
        groups.sort_by_key(|group| group.priority);
        for group in groups {
            let mut collections: Vec<&RuleCollection> = group.collections.iter().collect();
            collections.sort_by_key(|collection| collection.priority);
            for collection in collections {
                let Rules::Application(rules) = &collection.rules else {
                    continue;
                };
                let found = rules.iter().find_map(|rule| Some((rule, naive_match(rule, attempt)?)));
                if let Some((rule, wide)) = found {
                    let audit = policy.mode == Mode::Audit || collection.mode == Mode::Audit;
                    let mode = if audit { Mode::Audit } else { Mode::Enforce };
                    let rule = RuleRef {
                        policy: policy_name.clone(),
                        group: group.name.clone(),
                        collection: collection.name.clone(),
                        rule: rule.name.clone(),
                    };
                    return (collection.action, Reason::RuleMatched, mode, Some(rule), wide);
                }
            }
        }
    }
    (Action::Deny, Reason::NoRuleMatched, policy.mode, None, false)
}

/// `None`: no match. Else whether it takes a wide pattern.
pub(crate) fn naive_match(rule: &ApplicationRule, attempt: &Attempt<'_>) -> Option<bool> {
    let asked = ProtocolPort {
        protocol: attempt.protocol,
        port: attempt.port,
    };
    let source = match &rule.sources {
        Sources::Any { .. } => true,
        Sources::Nets(nets) => nets.iter().any(|net| naive_contains(net, attempt.source)),
    };
    let admits = |target: &&TargetFqdn| {
        target.pattern.matches(attempt.name) && target.ports.as_ref().is_none_or(|ports| ports.contains(&asked))
    };
    let wide = rule
        .targets
        .iter()
        .filter(admits)
        .map(|target| target.wide)
        .reduce(|a, b| a && b);
    wide.filter(|_| source && rule.protocols.contains(&asked))
}

pub(crate) fn naive_contains(net: &IpNet, source: IpAddr) -> bool {
    match (net, source) {
        (IpNet::V6(net), IpAddr::V4(ip)) => net.prefix_len() >= 96 && net.contains(&ip.to_ipv6_mapped()),
        _ => net.contains(&source),
    }
}

#[derive(Default)]
struct Seen(Vec<(RuleId, RuleOutcome)>);

impl Trace for Seen {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        self.0.push((rule, outcome));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_policy_equals_a_naive_evaluator(
        policy in policy(),
        attempts in vec((source(), name(), port()), 1..8),
    ) {
        let compiled = CompiledPolicy::new(policy.clone());
        for (source, name, ProtocolPort { protocol, port }) in attempts {
            let attempt = Attempt { source, protocol, name: &name, port };
            let decision = compiled.decide(&attempt, &mut NoTrace);
            let rule = decision.rule.map(|rule| compiled.rule_ref(rule).clone());
            let verdict: Verdict = (decision.action, decision.reason, decision.mode, rule, decision.wide);
            prop_assert_eq!(verdict, naive(&policy, &attempt));

            let mut seen = Seen::default();
            prop_assert_eq!(compiled.decide(&attempt, &mut seen), decision);
            let order: Vec<RuleId> = compiled.application_rules().take(seen.0.len()).collect();
            prop_assert_eq!(seen.0.iter().map(|&(rule, _)| rule).collect::<Vec<_>>(), order);
            let ends = |&(rule, outcome): &(_, _)| outcome == RuleOutcome::Matched && !compiled.records_only(rule);
            let matched = seen.0.iter().position(ends);
            prop_assert_eq!(matched.map(|at| seen.0[at].0), decision.behind.or(decision.rule));
            prop_assert!(matched.is_none_or(|at| at + 1 == seen.0.len()), "nothing after the match");
        }
    }
}
