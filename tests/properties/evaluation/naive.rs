//! The evaluator that looks at every rule in order.

use super::Tried;
use crate::decide::{in_force, naive_contains, naive_match};
use egret::policy::{
    Action, ApplicationRule, Attempt, DecidedBy, Destinations, Fqdn, FqdnPattern, IpProtocol, Mode, NatRule,
    NetworkRule, Policy, PortRange, Protocol, Reason, RuleRef, Rules, Sources, ThreatMode, Transport, Via,
};
use std::net::IpAddr;

/// What ended it, the action, the reason, the mode, the rule.
pub type Verdict = (DecidedBy, Action, Reason, Mode, Option<RuleRef>);

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
pub fn naive(policy: &Policy, tried: &Tried) -> Verdict {
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
    let known = tried.resolved.iter().any(|(name, _)| Some(name) == tried.name.as_ref());
    let asked = tried.via == Via::Explicit && tried.name.is_some() && tried.destination.is_none() && !known;
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
    let mut named_before: Vec<(Fqdn, Action)> = Vec::new();
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
                let by_name = naive_by_name(rule, placed.action, tried, &named_before);
                let by_address = naive_by_address(rule, placed.action, tried);
                let named = explicit && tried.name.is_some();
                let decides = match (named, placed.action) {
                    (false, _) => by_name || by_address,
                    (true, Action::Allow) => by_name,
                    (true, Action::Deny) => by_name || by_address && !excepted,
                };
                if asked
                    && packet
                    && !decides
                    && placed.action == Action::Deny
                    && naive_unknown(rule, tried, &named_before)
                {
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
                if asked && packet {
                    let names = rule.destinations.fqdns.iter();
                    named_before.extend(names.map(|fqdn| (fqdn.clone(), placed.action)));
                }
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
    let ends = ends.filter(|ip| !within(&lists.allowed_addresses, *ip));
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

/// Wherever the name leads, an earlier rule goes first; one that allows speaks of the very address.
fn naive_taken(fqdn: &Fqdn, tried: &Tried, before: &[(Fqdn, Action)]) -> bool {
    let translated = tried.destination.and_then(naive_nat64).is_some();
    before
        .iter()
        .any(|(other, action)| other == fqdn && (*action == Action::Deny || !translated))
}

fn naive_by_name(rule: &NetworkRule, action: Action, tried: &Tried, before: &[(Fqdn, Action)]) -> bool {
    let denies = action == Action::Deny;
    let leads = |fqdn: &Fqdn| {
        let asked = tried.name.as_ref() == Some(fqdn);
        let known = |to| tried.leads(fqdn, to);
        match (tried.via, tried.destination) {
            (Via::Explicit, _) => asked,
            (Via::Transparent, None) => asked && denies,
            (Via::Transparent, Some(to)) => match known(to) {
                None => asked && denies && !naive_taken(fqdn, tried, before),
                Some(leads) => leads || denies && naive_nat64(to).and_then(known) == Some(true),
            },
        }
    };
    rule.destinations.fqdns.iter().any(leads)
}

fn naive_unknown(rule: &NetworkRule, tried: &Tried, before: &[(Fqdn, Action)]) -> bool {
    let unsaid = |fqdn: &Fqdn| tried.destination.is_some_and(|to| tried.leads(fqdn, to).is_none());
    let unknown = |fqdn: &Fqdn| unsaid(fqdn) && !naive_taken(fqdn, tried, before);
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
