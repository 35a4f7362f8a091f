//! The whole evaluation against one that looks at every rule in order, knows no index and compares addresses one by one.

mod naive;

use super::{
    decide::{PRIORITIES, in_force},
    generate::{self, mode, net, number, port, source, sources},
};
use egret::policy::{
    Action, ApplicationRule, Attempt, Audited, CompiledPolicy, DecidedBy, Destinations, FlowAttempt, Fqdn, FqdnPattern,
    IpProtocol, Misses, Mode, NatRule, NetworkRule, NoTrace, ParentPolicy, Policy, PortRange, Protocol, Resolved,
    RuleCollectionGroup, RuleId, RuleOutcome, Rules, ServiceTag, Sources, TargetFqdn, ThreatIntelligence, ThreatMode,
    Trace, Translated, Transport, Via,
};
use naive::{Verdict, naive};
use proptest::{collection::vec, prelude::*, sample::select};
use std::net::IpAddr;

/// Few names, so that most rules have something to say of most attempts.
pub(super) fn name() -> impl Strategy<Value = Fqdn> {
    let names = ["a.test", "b.test", "x.a.test", "ab.test", "b.x"];
    select(names.map(|name| Fqdn::parse(name).expect("a name")).to_vec())
}

fn pattern() -> impl Strategy<Value = FqdnPattern> {
    let patterns = [
        "a.test", "b.test", "x.a.test", "*.test", "*.a.test", "*b.test", "b.x", "*",
    ];
    select(
        patterns
            .map(|text| FqdnPattern::parse(text).expect("a pattern"))
            .to_vec(),
    )
}

/// One rule in two speaks of everybody.
fn who() -> impl Strategy<Value = Sources> {
    prop_oneof![1 => Just(Sources::Any { written: true }), 1 => sources()]
}

pub(super) fn application_rule() -> impl Strategy<Value = ApplicationRule> {
    let ports = proptest::option::weighted(0.2, vec(port(), 0..3));
    let target = (pattern(), ports, any::<bool>()).prop_map(|(pattern, ports, wide)| TargetFqdn {
        pattern,
        tag: None,
        ports,
        wide,
    });
    (who(), vec(port(), 0..4), vec(target, 0..3))
        .prop_map(|(sources, protocols, targets)| generate::application_rule(sources, protocols, targets))
}

fn ip_protocols() -> impl Strategy<Value = Vec<IpProtocol>> {
    let protocols = vec![
        IpProtocol::Tcp,
        IpProtocol::Tcp,
        IpProtocol::Udp,
        IpProtocol::Icmp,
        IpProtocol::Any,
    ];
    vec(select(protocols), 0..4)
}

fn ports() -> impl Strategy<Value = Vec<PortRange>> {
    let range = |first, last| PortRange { first, last };
    let ranges = vec![
        PortRange::ANY,
        PortRange::one(443),
        range(1, 443),
        range(80, 81),
        range(22, 80),
    ];
    vec(select(ranges), 0..4)
}

fn destinations() -> impl Strategy<Value = Destinations> {
    let tag = vec(net(), 0..2).prop_map(|prefixes| ServiceTag {
        name: "Tag".into(),
        prefixes: prefixes.into(),
    });
    let parts = (
        proptest::bool::weighted(0.2),
        vec(net(), 0..3),
        vec(tag, 0..2),
        vec(name(), 0..2),
    );
    parts.prop_map(|(any, addresses, service_tags, fqdns)| Destinations {
        any,
        addresses: addresses.into(),
        service_tags,
        fqdns,
    })
}

fn network_rule() -> impl Strategy<Value = NetworkRule> {
    let parts = (who(), ip_protocols(), destinations(), ports());
    parts.prop_map(|(sources, ip_protocols, destinations, destination_ports)| NetworkRule {
        name: "".into(),
        sources,
        ip_protocols,
        destinations,
        destination_ports,
    })
}

fn nat_rule() -> impl Strategy<Value = NatRule> {
    let parts = (who(), ip_protocols(), vec(net(), 0..4), ports());
    parts.prop_map(
        |(sources, ip_protocols, destination_addresses, destination_ports)| NatRule {
            name: "".into(),
            sources,
            ip_protocols,
            destination_addresses,
            destination_ports,
            translated: Translated::Address("10.9.9.9".parse().expect("an address")),
            translated_port: 443,
        },
    )
}

fn groups() -> impl Strategy<Value = Vec<RuleCollectionGroup>> {
    let rules = prop_oneof![
        3 => vec(application_rule(), 0..3).prop_map(Rules::Application),
        3 => vec(network_rule(), 0..3).prop_map(Rules::Network),
        1 => vec(nat_rule(), 0..3).prop_map(Rules::Nat),
    ];
    generate::groups(&PRIORITIES, mode(), rules, 1..5, 0..4).prop_map(|mut groups| {
        number(&mut groups);
        groups
    })
}

fn threat_intelligence() -> impl Strategy<Value = ThreatIntelligence> {
    let mode = select(vec![ThreatMode::Off, ThreatMode::Alert, ThreatMode::Deny]);
    let lists = (
        mode,
        vec(address(), 0..2),
        vec(pattern(), 0..2),
        vec(address(), 0..2),
        vec(name(), 0..2),
    );
    lists.prop_map(
        |(mode, addresses, fqdns, allowed_addresses, allowed)| ThreatIntelligence {
            mode,
            addresses: addresses.into_iter().map(Into::into).collect(),
            fqdns,
            allowed_addresses: allowed_addresses.into_iter().map(Into::into).collect(),
            allowed_fqdns: allowed.into_iter().map(FqdnPattern::Exact).collect(),
        },
    )
}

/// A policy in which every group, collection and rule has a name of its own.
pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let parts = (
        mode(),
        prop_oneof![3 => Just(ThreatIntelligence::default()), 1 => threat_intelligence()],
        vec(groups(), 0..3),
        groups(),
        vec(pattern(), 0..2),
        any::<bool>(),
    );
    parts.prop_map(
        |(mode, threat_intelligence, parents, groups, infrastructure, explicit_network_rules)| {
            let parents = parents.into_iter().enumerate().map(|(number, groups)| ParentPolicy {
                name: format!("parent{number}").into(),
                groups,
            });
            Policy {
                name: "child".into(),
                mode,
                threat_intelligence,
                parents: parents.collect(),
                groups,
                infrastructure,
                explicit_network_rules,
                ..Policy::default()
            }
        },
    )
}

fn address() -> impl Strategy<Value = IpAddr> {
    source()
}

/// An attempt of any kind, consistent or not.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub(super) source: IpAddr,
    pub(super) via: Via,
    pub(super) transport: Transport,
    pub(super) destination: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) name: Option<Fqdn>,
    pub(super) protocol: Option<Protocol>,
    pub(super) resolved: Vec<(Fqdn, Vec<IpAddr>)>,
}

pub(super) fn tried() -> impl Strategy<Value = Tried> {
    let transport = prop_oneof![
        6 => Just(Transport::Tcp),
        1 => select(vec![Transport::Udp, Transport::Icmp, Transport::Other(50)]),
    ];
    let parts = (
        source(),
        select(vec![Via::Explicit, Via::Transparent]),
        transport,
        proptest::option::weighted(0.7, address()),
        select(vec![22_u16, 80, 443, 443, 443]),
        proptest::option::weighted(0.8, name()),
        proptest::option::weighted(0.9, select(vec![Protocol::Http, Protocol::Https])),
        vec((name(), vec(address(), 0..2)), 0..3),
    );
    parts.prop_map(
        |(source, via, transport, destination, port, name, protocol, resolved)| Tried {
            source,
            via,
            transport,
            destination,
            port,
            name,
            protocol,
            resolved,
        },
    )
}

impl Tried {
    fn resolved(&self) -> Resolved {
        let mut resolved = Resolved::default();
        for (name, addresses) in &self.resolved {
            resolved.set(name.clone(), addresses.clone());
        }
        resolved
    }

    fn flow<'a>(&'a self, resolved: &'a Resolved) -> FlowAttempt<'a> {
        FlowAttempt {
            source: self.source,
            via: self.via,
            transport: self.transport,
            destination: self.destination,
            port: self.port,
            name: self.name.as_ref(),
            protocol: self.protocol,
            resolved,
        }
    }

    /// The last word on a name counts, as in [`Resolved::set`].
    fn leads(&self, fqdn: &Fqdn, to: IpAddr) -> Option<bool> {
        let last = self.resolved.iter().rev().find(|(name, _)| name == fqdn);
        last.map(|(_, addresses)| addresses.contains(&to))
    }
}

#[derive(Default)]
struct Seen(Vec<(RuleId, bool)>);

impl Trace for Seen {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        self.0.push((rule, outcome == RuleOutcome::Matched));
    }

    fn packet_rule(&mut self, rule: RuleId, misses: Misses) {
        self.0.push((rule, misses.count() == 0));
    }
}

fn verdict(policy: &CompiledPolicy, flow: &FlowAttempt<'_>) -> Verdict {
    let found = policy.evaluate(flow, &mut NoTrace);
    let decision = found.decision;
    let rule = decision.rule.map(|rule| policy.rule_ref(rule).clone());
    (found.by, decision.action, decision.reason, decision.mode, rule)
}

proptest! {
    // 2,500 policies with 4 attempts each: 10,000 pairs a run.
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_ten_thousand_pairs_none_is_allowed_that_a_naive_evaluator_denies(
        policy in policy(),
        attempts in vec(tried(), 4..=4),
    ) {
        let compiled = CompiledPolicy::new(policy.clone());
        for tried in attempts {
            let resolved = tried.resolved();
            let flow = tried.flow(&resolved);
            let found = verdict(&compiled, &flow);
            let expected = naive(&policy, &tried);
            prop_assert!(found.1 == Action::Deny || expected.1 == Action::Allow, "{tried:?}: {found:?}, naive {expected:?}");
            prop_assert_eq!(&found, &expected, "{:?}", tried);

            // The trace tells the same story: rules in order, none after the one that matched.
            let mut seen = Seen::default();
            let traced = compiled.evaluate(&flow, &mut seen);
            let ends = |(rule, matched): &&(RuleId, bool)| *matched && !compiled.records_only(*rule);
            let matched = seen.0.iter().find(ends).map(|(rule, _)| *rule);
            let later = tried.destination.is_none() && traced.by == DecidedBy::Network;
            let ended = traced.decision.behind.or(traced.decision.rule);
            prop_assert!(traced.unresolved.is_some() || later || ended == matched);
            let goes_on = |(rule, matched): (RuleId, bool)| !matched || compiled.records_only(rule);
            prop_assert!(seen.0.windows(2).all(|pair| pair[0].0 < pair[1].0 && goes_on(pair[0])), "{:?}", seen.0);
        }
    }

    /// What is said of a name before it is looked up holds at every address, unless a rule is named that may deny there.
    #[test]
    fn a_name_that_goes_through_does_so_wherever_it_leads_or_it_is_said_which_rule_may_deny(
        policy in policy(), tried in tried(), addresses in vec(source(), 8..=8),
    ) {
        let policy = Policy { threat_intelligence: ThreatIntelligence::default(), ..policy };
        let compiled = CompiledPolicy::new(policy);
        let resolved = Resolved::default();
        let asked = Tried { via: Via::Explicit, transport: Transport::Tcp, destination: None, ..tried };
        let found = compiled.evaluate(&asked.flow(&resolved), &mut NoTrace);
        prop_assume!(asked.name.is_some() && found.by_address.is_none());
        for ip in addresses {
            let there = Tried { destination: Some(ip), ..asked.clone() };
            let there = compiled.evaluate(&there.flow(&resolved), &mut NoTrace);
            if found.decision.permits() {
                prop_assert!(there.decision.permits(), "{asked:?} to {ip}: {there:?}");
                prop_assert_eq!(found.decision.action, there.decision.action);
            } else if found.by == DecidedBy::Network && compiled.network(&asked.flow(&resolved), Audited::Passed, &mut NoTrace).is_none() {
                prop_assert!(!there.decision.permits(), "{asked:?} to {ip}: {there:?}");
            }
        }
    }

    /// A collection that denies in audit mode opens nothing and closes nothing.
    #[test]
    fn what_gets_through_is_the_same_without_the_collections_that_only_record(policy in policy(), tried in tried()) {
        let policy = Policy { mode: Mode::Enforce, ..policy };
        let (with, without) = (CompiledPolicy::new(policy.clone()), CompiledPolicy::new(in_force(&policy)));
        let resolved = tried.resolved();
        let evaluate = |policy: &CompiledPolicy| policy.evaluate(&tried.flow(&resolved), &mut NoTrace).decision;
        let (with_decision, without_decision) = (evaluate(&with), evaluate(&without));
        prop_assert_eq!(with_decision.permits(), without_decision.permits());
        let names = |policy: &CompiledPolicy, rule: Option<RuleId>| rule.map(|rule| policy.rule_ref(rule).clone());
        prop_assert_eq!(names(&with, with_decision.allowing()), names(&without, without_decision.allowing()));
    }

    #[test]
    fn an_explicit_name_is_decided_alike_by_decide_and_by_the_whole_evaluation(policy in policy(), tried in tried()) {
        let policy = Policy { threat_intelligence: ThreatIntelligence::default(), explicit_network_rules: false, ..policy };
        let compiled = CompiledPolicy::new(policy);
        let explicit = Tried { via: Via::Explicit, transport: Transport::Tcp, ..tried };
        if let (Some(name), Some(protocol)) = (&explicit.name, explicit.protocol) {
            let attempt = Attempt { source: explicit.source, protocol, name, port: explicit.port };
            let whole = compiled.evaluate(&explicit.flow(Resolved::NONE), &mut NoTrace);
            prop_assert_eq!(whole.decision, compiled.decide(&attempt, &mut NoTrace));
        }
    }
}

/// Ports of both worlds must meet for the properties above to mean anything.
#[test]
fn the_generators_reach_every_kind_of_decision() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeMap::new();
    for _ in 0..1500 {
        let policy = policy().new_tree(&mut runner).expect("a policy").current();
        let tried = tried().new_tree(&mut runner).expect("an attempt").current();
        let resolved = tried.resolved();
        let (by, action, ..) = verdict(&CompiledPolicy::new(policy), &tried.flow(&resolved));
        *reached.entry((by, format!("{action:?}"))).or_insert(0) += 1;
    }
    assert_eq!(
        reached.len(),
        8,
        "DNAT and infrastructure allow alone, threats and the default deny alone: {reached:?}"
    );
    let least = reached.values().min();
    assert!(least >= Some(&15), "{reached:?}");
}
