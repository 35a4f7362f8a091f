//! The whole evaluation against one that looks at every rule in order, knows no index and compares addresses one by one.

use super::{in_force, mode, naive_contains, naive_match, net, port, priority, source, sources};
use egret::policy::{
    Action, ApplicationRule, Attempt, Audited, CompiledPolicy, DecidedBy, Destinations, FlowAttempt, Fqdn, FqdnPattern,
    IpProtocol, Misses, Mode, NatRule, NetworkRule, NoTrace, ParentPolicy, Policy, PortRange, Protocol, Reason,
    Resolved, RuleCollection, RuleCollectionGroup, RuleId, RuleOutcome, RuleRef, Rules, ServiceTag, Sources,
    TargetFqdn, ThreatIntelligence, ThreatMode, Trace, Translated, Transport, Via,
};
use proptest::{collection::vec, prelude::*, sample::select};
use std::net::IpAddr;

/// Few names, so that most rules have something to say of most attempts.
fn name() -> impl Strategy<Value = Fqdn> {
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

fn application_rule() -> impl Strategy<Value = ApplicationRule> {
    let ports = proptest::option::weighted(0.2, vec(port(), 0..3));
    let target = (pattern(), ports, any::<bool>()).prop_map(|(pattern, ports, wide)| TargetFqdn {
        pattern,
        tag: None,
        ports,
        wide,
    });
    (who(), vec(port(), 0..4), vec(target, 0..3)).prop_map(|(sources, protocols, targets)| ApplicationRule {
        name: "".into(),
        sources,
        protocols,
        targets,
        resolves_into: Vec::new(),
        private_endpoints: None,
    })
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
        addresses,
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
    let action = select(vec![Action::Allow, Action::Deny]);
    let collection = (priority(), action, mode(), rules).prop_map(|(priority, action, mode, rules)| RuleCollection {
        name: "".into(),
        priority,
        action: if matches!(rules, Rules::Nat(_)) {
            Action::Allow
        } else {
            action
        },
        mode,
        rules,
    });
    let group = (priority(), vec(collection, 1..5)).prop_map(|(priority, collections)| RuleCollectionGroup {
        name: "".into(),
        priority,
        collections,
    });
    vec(group, 0..4)
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
fn policy() -> impl Strategy<Value = Policy> {
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
                groups: named(groups),
            });
            Policy {
                name: "child".into(),
                mode,
                threat_intelligence,
                parents: parents.collect(),
                groups: named(groups),
                infrastructure,
                explicit_network_rules,
                ..Policy::default()
            }
        },
    )
}

fn named(mut groups: Vec<RuleCollectionGroup>) -> Vec<RuleCollectionGroup> {
    for (g, group) in groups.iter_mut().enumerate() {
        group.name = format!("g{g}").into();
        for (c, collection) in group.collections.iter_mut().enumerate() {
            collection.name = format!("c{c}").into();
            let name = |r: usize| format!("r{r}").into();
            match &mut collection.rules {
                Rules::Application(rules) => rules.iter_mut().enumerate().for_each(|(r, rule)| rule.name = name(r)),
                Rules::Network(rules) => rules.iter_mut().enumerate().for_each(|(r, rule)| rule.name = name(r)),
                Rules::Nat(rules) => rules.iter_mut().enumerate().for_each(|(r, rule)| rule.name = name(r)),
            }
        }
    }
    groups
}

fn address() -> impl Strategy<Value = IpAddr> {
    source()
}

/// An attempt of any kind, consistent or not.
#[derive(Clone, Debug)]
struct Tried {
    source: IpAddr,
    via: Via,
    transport: Transport,
    destination: Option<IpAddr>,
    port: u16,
    name: Option<Fqdn>,
    protocol: Option<Protocol>,
    resolved: Vec<(Fqdn, Vec<IpAddr>)>,
}

fn tried() -> impl Strategy<Value = Tried> {
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

/// What ended it, the action, the reason, the mode, the rule.
type Verdict = (DecidedBy, Action, Reason, Mode, Option<RuleRef>);

/// A rule with what names it and what its collection says.
struct Placed<'a> {
    names: RuleRef,
    action: Action,
    mode: Mode,
    rule: AnyRule<'a>,
}

enum AnyRule<'a> {
    Nat(&'a NatRule),
    Network(&'a NetworkRule),
    Application(&'a ApplicationRule),
}

/// All rules, sorted in one go by what the documentation says decides the order.
fn in_order(policy: &Policy) -> Vec<Placed<'_>> {
    let mut rules = Vec::new();
    for (level, (policy_name, groups)) in policy.chain().enumerate() {
        for (g, group) in groups.iter().enumerate() {
            for (c, collection) in group.collections.iter().enumerate() {
                let (kind, listed): (_, Vec<(&str, AnyRule<'_>)>) = match &collection.rules {
                    Rules::Nat(rules) => (0, rules.iter().map(|rule| (&*rule.name, AnyRule::Nat(rule))).collect()),
                    Rules::Network(rules) => (
                        1,
                        rules.iter().map(|rule| (&*rule.name, AnyRule::Network(rule))).collect(),
                    ),
                    Rules::Application(rules) => (
                        2,
                        rules
                            .iter()
                            .map(|rule| (&*rule.name, AnyRule::Application(rule)))
                            .collect(),
                    ),
                };
                for (r, (name, rule)) in listed.into_iter().enumerate() {
                    let key = (kind, level, group.priority, g, collection.priority, c, r);
                    let audit = policy.mode == Mode::Audit || collection.mode == Mode::Audit;
                    rules.push((
                        key,
                        Placed {
                            names: RuleRef {
                                policy: policy_name.clone(),
                                group: group.name.clone(),
                                collection: collection.name.clone(),
                                rule: name.into(),
                            },
                            action: collection.action,
                            mode: if audit { Mode::Audit } else { Mode::Enforce },
                            rule,
                        },
                    ));
                }
            }
        }
    }
    rules.sort_by_key(|(key, _)| *key);
    rules.into_iter().map(|(_, placed)| placed).collect()
}

/// What would be denied is told of what gets through.
fn naive(policy: &Policy, tried: &Tried) -> Verdict {
    match naive_view(&in_force(policy), tried) {
        denied @ (_, Action::Deny, _, Mode::Enforce, _) => denied,
        _ => naive_view(policy, tried),
    }
}

/// A rule that denies names of which nobody says where they lead stands for the end, if that would let it through.
fn naive_view(policy: &Policy, tried: &Tried) -> Verdict {
    let mut perhaps = None;
    let end = naive_end(policy, tried, &mut perhaps);
    let through = end.1 == Action::Allow || end.3 == Mode::Audit;
    let perhaps = perhaps.or_else(|| naive_everywhere(policy, tried, &end));
    perhaps.filter(|_| through).unwrap_or(end)
}

/// The rule that denies a name at the proxy port wherever it leads, if nobody says where: no earlier one allows an address, or
/// denies some in another mode.
fn naive_everywhere(policy: &Policy, tried: &Tried, end: &Verdict) -> Option<Verdict> {
    let asked = tried.via == Via::Explicit && tried.name.is_some() && tried.destination.is_none();
    let mut modes = Vec::new();
    for placed in in_order(policy)
        .into_iter()
        .filter(|_| asked && policy.explicit_network_rules)
    {
        let AnyRule::Network(rule) = placed.rule else { continue };
        if end.4.as_ref() == Some(&placed.names) && end.0 == DecidedBy::Network {
            return None;
        }
        let to = &rule.destinations;
        let some = to.any || !to.addresses.is_empty() || to.service_tags.iter().any(|tag| !tag.prefixes.is_empty());
        if !some || !naive_packet(&rule.sources, &rule.ip_protocols, &rule.destination_ports, tried) {
            continue;
        }
        if placed.action == Action::Allow {
            return None;
        }
        modes.push(placed.mode);
        if to.any && modes[0] == placed.mode {
            let names = Some(placed.names);
            return Some((
                DecidedBy::Network,
                Action::Deny,
                Reason::RuleMatched,
                placed.mode,
                names,
            ));
        }
    }
    None
}

fn naive_end(policy: &Policy, tried: &Tried, perhaps: &mut Option<Verdict>) -> Verdict {
    if naive_threat(policy, tried) && policy.threat_intelligence.mode == ThreatMode::Deny {
        let reason = Reason::ThreatIntelligence;
        return (DecidedBy::ThreatIntelligence, Action::Deny, reason, Mode::Enforce, None);
    }
    let explicit = tried.via == Via::Explicit;
    let mut excepted = false;
    for placed in in_order(policy) {
        let by = match placed.rule {
            AnyRule::Nat(rule) => {
                let to = |ip: IpAddr| rule.destination_addresses.iter().any(|net| naive_contains(net, ip));
                let matches = naive_packet(&rule.sources, &rule.ip_protocols, &rule.destination_ports, tried)
                    && tried.destination.is_some_and(to);
                (!explicit && matches).then_some(DecidedBy::Nat)
            }
            AnyRule::Network(rule) => {
                let asked = !explicit || policy.explicit_network_rules;
                let packet = naive_packet(&rule.sources, &rule.ip_protocols, &rule.destination_ports, tried);
                let by_name = naive_by_name(rule, placed.action, tried);
                let by_address = naive_by_address(rule, placed.action, tried);
                let named = explicit && tried.name.is_some();
                let decides = match (named, placed.action) {
                    (false, _) => by_name || by_address,
                    (true, Action::Allow) => by_name,
                    (true, Action::Deny) => by_name || by_address && !excepted,
                };
                if asked && packet && !decides && placed.action == Action::Deny && naive_unknown(rule, tried) {
                    let names = Some(placed.names.clone());
                    let verdict = (
                        DecidedBy::Network,
                        Action::Deny,
                        Reason::RuleMatched,
                        placed.mode,
                        names,
                    );
                    perhaps.get_or_insert(verdict);
                }
                excepted |= asked && packet && named && by_address && placed.action == Action::Allow;
                (asked && packet && decides).then_some(DecidedBy::Network)
            }
            AnyRule::Application(rule) => {
                let attempt = naive_attempt(tried);
                let matches = attempt.is_some_and(|attempt| naive_match(rule, &attempt).is_some());
                matches.then_some(DecidedBy::Application)
            }
        };
        if let Some(by) = by {
            return (by, placed.action, Reason::RuleMatched, placed.mode, Some(placed.names));
        }
    }
    naive_rest(policy, tried)
}

/// Infrastructure, then default deny.
fn naive_rest(policy: &Policy, tried: &Tried) -> Verdict {
    let https = |attempt: &Attempt<'_>| attempt.protocol == Protocol::Https && attempt.port == 443;
    let listed = |attempt: Attempt<'_>| {
        policy
            .infrastructure
            .iter()
            .any(|pattern| pattern.matches(attempt.name))
    };
    if naive_attempt(tried).filter(https).is_some_and(listed) {
        let names = RuleRef {
            policy: policy.name.clone(),
            group: "Infrastructure".into(),
            collection: "Infrastructure".into(),
            rule: "Infrastructure".into(),
        };
        return (
            DecidedBy::Infrastructure,
            Action::Allow,
            Reason::RuleMatched,
            policy.mode,
            Some(names),
        );
    }
    if tried.via == Via::Explicit && tried.name.is_none() && !policy.explicit_network_rules {
        return (DecidedBy::Default, Action::Deny, Reason::IpLiteral, Mode::Enforce, None);
    }
    (
        DecidedBy::Default,
        Action::Deny,
        Reason::NoRuleMatched,
        policy.mode,
        None,
    )
}

fn naive_attempt(tried: &Tried) -> Option<Attempt<'_>> {
    let name = tried.name.as_ref().filter(|_| tried.transport == Transport::Tcp)?;
    Some(Attempt {
        source: tried.source,
        protocol: tried.protocol?,
        name,
        port: tried.port,
    })
}

fn naive_threat(policy: &Policy, tried: &Tried) -> bool {
    let lists = &policy.threat_intelligence;
    let within = |nets: &[ipnet::IpNet], ip: IpAddr| nets.iter().any(|net| naive_contains(net, ip));
    let named = |names: &[FqdnPattern]| {
        let name = tried.name.as_ref();
        name.is_some_and(|name| names.iter().any(|pattern| pattern.matches(name)))
    };
    if named(&lists.allowed_fqdns) || within(&lists.allowed_addresses, tried.source) {
        return false;
    }
    let ends = [Some(tried.source), tried.destination].into_iter().flatten();
    let mut forms = ends.flat_map(|ip| [Some(ip), naive_nat64(ip)]).flatten();
    named(&lists.fqdns) || forms.any(|ip| within(&lists.addresses, ip) && !within(&lists.allowed_addresses, ip))
}

/// What a NAT64 dials for an address with the prefix 64:ff9b::/96.
fn naive_nat64(ip: IpAddr) -> Option<IpAddr> {
    let rest = ip.to_string().strip_prefix("64:ff9b::").map(str::to_owned)?;
    let mapped: IpAddr = format!("::ffff:{rest}").parse().expect("the last 32 bits");
    Some(mapped.to_canonical())
}

fn naive_packet(sources: &Sources, protocols: &[IpProtocol], ports: &[PortRange], tried: &Tried) -> bool {
    let source = match sources {
        Sources::Any { .. } => true,
        Sources::Nets(nets) => nets.iter().any(|net| naive_contains(net, tried.source)),
    };
    let any_port = ports.contains(&PortRange::ANY);
    let in_ports = ports
        .iter()
        .any(|range| (range.first..=range.last).contains(&tried.port));
    let has = |protocol: IpProtocol| protocols.contains(&protocol);
    let admitted = match tried.transport {
        Transport::Tcp => (has(IpProtocol::Tcp) || has(IpProtocol::Any)) && in_ports,
        Transport::Udp => (has(IpProtocol::Udp) || has(IpProtocol::Any)) && in_ports,
        Transport::Icmp => has(IpProtocol::Icmp) && !ports.is_empty() || has(IpProtocol::Any) && any_port,
        Transport::Other(_) => has(IpProtocol::Any) && any_port,
    };
    source && admitted
}

fn naive_by_name(rule: &NetworkRule, action: Action, tried: &Tried) -> bool {
    let denies = action == Action::Deny;
    let leads = |fqdn: &Fqdn| {
        let asked = tried.name.as_ref() == Some(fqdn);
        let known = |to| tried.leads(fqdn, to);
        match (tried.via, tried.destination) {
            (Via::Explicit, _) => asked,
            (Via::Transparent, None) => asked && denies,
            (Via::Transparent, Some(to)) => match known(to) {
                None => asked && denies,
                Some(leads) => leads || denies && naive_nat64(to).and_then(known) == Some(true),
            },
        }
    };
    rule.destinations.fqdns.iter().any(leads)
}

fn naive_unknown(rule: &NetworkRule, tried: &Tried) -> bool {
    let unknown = |fqdn: &Fqdn| tried.destination.is_some_and(|to| tried.leads(fqdn, to).is_none());
    tried.via == Via::Transparent && rule.destinations.fqdns.iter().any(unknown)
}

fn naive_by_address(rule: &NetworkRule, action: Action, tried: &Tried) -> bool {
    let Destinations {
        any,
        addresses,
        service_tags,
        ..
    } = &rule.destinations;
    let tags = service_tags.iter().flat_map(|tag| tag.prefixes.iter());
    let nets: Vec<_> = addresses.iter().chain(tags).collect();
    let Some(to) = tried.destination else {
        return *any && tried.via == Via::Transparent;
    };
    let translated = naive_nat64(to).filter(|_| action == Action::Deny);
    let mut forms = [Some(to), translated].into_iter().flatten();
    *any || forms.any(|ip| nets.iter().any(|net| naive_contains(net, ip)))
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
            prop_assert!(traced.unresolved || later || ended == matched);
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
