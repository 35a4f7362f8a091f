//! What the policy may say of an attempt of which not everything is known: every answer that some address would bring.

use crate::policy::{Action, CompiledPolicy, Evaluation, FlowAttempt, Misses, Reason, RuleId, RuleOutcome, Trace, Via};
use ipnet::IpNet;
use std::net::IpAddr;

/// One answer, and what gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possible {
    pub action: Action,
    pub rule: Option<RuleId>,
    pub reason: Reason,
}

/// The answers, in the order in which they are found: those of rules that may hold an address that is not known, then the one
/// that holds whatever the address is.
pub fn answers(policy: &CompiledPolicy, flow: &FlowAttempt<'_>) -> (Vec<Possible>, Evaluation) {
    let mut open = Open::default();
    let evaluation = policy.evaluate(flow, &mut open);
    let named = flow.via == Via::Explicit && flow.name.is_some();
    let mut found = Vec::new();
    let mut excepted = false;
    for rule in open.0 {
        let holds = holds(policy, rule, flow);
        let action = policy.action(rule);
        if holds == Holds::No {
            continue;
        }
        if named && action == Action::Allow {
            // It lets later denials of this address alone, and decides nothing.
            excepted = true;
            continue;
        }
        found.push(Possible {
            action,
            rule: Some(rule),
            reason: Reason::RuleMatched,
        });
        if holds == Holds::Whatever && !excepted && !policy.records_only(rule) {
            return (found, evaluation);
        }
    }
    found.push(Possible {
        action: evaluation.decision.action,
        rule: evaluation.decision.rule,
        reason: evaluation.decision.reason,
    });
    (found, evaluation)
}

/// Whether a rule that fits in all but the destination fits there too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    No,
    Perhaps,
    Whatever,
}

fn holds(policy: &CompiledPolicy, rule: RuleId, flow: &FlowAttempt<'_>) -> Holds {
    let addresses = |any: bool, nets: &[IpNet], more: bool| match flow.destination {
        Some(_) => Holds::No,
        None if any || nets.iter().any(|net| is_all(net, flow.source)) => Holds::Whatever,
        None if more || !nets.is_empty() => Holds::Perhaps,
        None => Holds::No,
    };
    if let Some(nat) = policy.nat_rule(rule) {
        return addresses(false, &nat.destination_addresses, false);
    }
    let Some(network) = policy.network_rule(rule) else {
        return Holds::No;
    };
    let to = &network.destinations;
    // What a name of the rule leads to is not known either. At the proxy port names are compared as they are.
    let fqdns = flow.via == Via::Transparent && !to.fqdns.is_empty();
    let tags = to.service_tags.iter().any(|tag| !tag.prefixes.is_empty());
    match addresses(to.any, &to.addresses, tags || fqdns) {
        Holds::No if fqdns => Holds::Perhaps,
        other => other,
    }
}

/// Every address of the family of the source: packets are of one family.
fn is_all(net: &IpNet, source: IpAddr) -> bool {
    net.prefix_len() == 0 && net.addr().is_ipv4() == source.is_ipv4()
}

/// Gathers the rules that miss the destination alone.
#[derive(Default)]
struct Open(Vec<RuleId>);

impl Trace for Open {
    fn rule(&mut self, _: RuleId, _: RuleOutcome) {}

    fn packet_rule(&mut self, rule: RuleId, misses: Misses) {
        if misses.destination && misses.count() == 1 {
            self.0.push(rule);
        }
    }
}
