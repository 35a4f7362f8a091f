//! Policy tests: a rule that is not said to sway an attempt may be deleted, and its test comes out as before.

use super::{
    decide::PRIORITIES,
    evaluation::{self, Tried, application_rule, name, tried},
    generate::{self, mode, net, number},
};
use egret::{
    expect::{Expectation, Probe, Run, Suite, label},
    policy::{
        Action, CompiledPolicy, DecidedBy, Destinations, Host, IpProtocol, NetworkRule, Policy, PortRange, Protocol,
        Resolved, RuleId, Rules, Sources, Transport, Via,
    },
};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

/// A rule for all packets but for where they go: one that has to do with most attempts.
fn network_rule() -> impl Strategy<Value = NetworkRule> {
    let parts = (proptest::bool::weighted(0.2), vec(net(), 0..2), vec(name(), 0..3));
    parts.prop_map(|(any, addresses, fqdns)| NetworkRule {
        name: "".into(),
        sources: Sources::Any { written: true },
        ip_protocols: vec![IpProtocol::Any],
        destinations: Destinations {
            any,
            addresses: addresses.into(),
            service_tags: Vec::new(),
            fqdns,
        },
        destination_ports: vec![PortRange::ANY],
    })
}

/// Network rules that say of each other's names and addresses the same and the opposite, or any policy.
fn policy() -> impl Strategy<Value = Policy> {
    let rules = prop_oneof![
        3 => vec(network_rule(), 1..3).prop_map(Rules::Network),
        1 => vec(application_rule(), 1..3).prop_map(Rules::Application),
    ];
    let groups = generate::groups(&PRIORITIES, mode(), rules, 1..5, 1..3);
    let dense = groups.prop_map(|mut groups| {
        number(&mut groups);
        Policy {
            name: "child".into(),
            explicit_network_rules: true,
            groups,
            ..Policy::default()
        }
    });
    prop_oneof![3 => dense, 1 => evaluation::policy()]
}

/// As a policy test writes it; `None`: no test can say it.
fn probe(tried: &Tried) -> Option<Probe> {
    let port = tried.port;
    let target = match (&tried.name, tried.destination, tried.transport) {
        (Some(name), _, Transport::Tcp) => match tried.protocol {
            Some(Protocol::Https) => format!("https://{name}:{port}"),
            Some(Protocol::Http) => format!("http://{name}:{port}"),
            None => format!("{name}:{port}"),
        },
        (None, Some(ip), Transport::Tcp) => format!("{}:{port}", Host::Address(ip)),
        _ => return None,
    };
    if tried.via == Via::Transparent && tried.destination.is_none() {
        return None;
    }
    let mut resolved = Resolved::default();
    for (name, addresses) in &tried.resolved {
        resolved.set(name.clone(), addresses.clone());
    }
    let led_to = tried.destination.filter(|_| tried.name.is_some());
    Some(Probe::new(tried.source, &target).coming(Some(tried.via), led_to, Arc::new(resolved)))
}

/// A test that holds: with what decides, or the action alone.
fn expected(policy: &CompiledPolicy, probe: Probe, pinned: bool) -> Expectation {
    let decision = probe.judge(policy).decision;
    Expectation {
        name: "a".into(),
        place: String::new(),
        decision: decision.action,
        rule: decision.rule.filter(|_| pinned).map(|rule| label(policy, rule)),
        reason: pinned.then_some(decision.reason),
        probe,
    }
}

fn without(policy: &CompiledPolicy, rule: RuleId) -> CompiledPolicy {
    let deleted = policy.edited(rule, |rules, at| match rules {
        Rules::Application(rules) => drop(rules.remove(at)),
        Rules::Network(rules) => drop(rules.remove(at)),
        Rules::Nat(rules) => drop(rules.remove(at)),
    });
    deleted.expect("a rule of a collection")
}

/// Action, whether it could be told, and whether the test holds.
fn verdict(policy: &CompiledPolicy, expected: &Expectation) -> (Action, bool, bool) {
    let judged = expected.probe.judge(policy);
    (judged.decision.action, judged.told(), expected.holds(policy, &judged))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_that_sways_nothing_is_missed_by_no_test(
        policy in policy(), tried in tried(), pinned in any::<bool>(), unsaid in any::<bool>(),
    ) {
        // In one of two nobody says where names lead.
        let tried = match unsaid {
            true => Tried { resolved: Vec::new(), transport: Transport::Tcp, ..tried },
            false => tried,
        };
        let mut compiled = CompiledPolicy::new(policy);
        let Some(probe) = probe(&tried) else { return Ok(()) };
        let expected = expected(&compiled, probe, pinned);
        let ran = Run::new(&mut compiled, &Suite { expectations: vec![expected.clone()] });
        let now = verdict(&compiled, &expected);
        // What cannot be told no rule has decided.
        prop_assume!(now.1);
        let own = |rule: &RuleId| compiled.kind(*rule) != Some(DecidedBy::Infrastructure);
        for rule in compiled.rules().filter(own) {
            let then = verdict(&without(&compiled, rule), &expected);
            if !ran.judged[0].swayed_by.contains(&rule) {
                prop_assert_eq!(now, then, "{}: {:?}", label(&compiled, rule), &tried);
            }
        }
    }
}
