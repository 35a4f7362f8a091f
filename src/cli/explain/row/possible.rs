//! What the policy may say of an attempt of which not everything is known: every answer that some address would bring, or some name
//! within what is spoken.

use super::{attempt::Attempt, spoken};
use crate::policy::{
    Action, CompiledPolicy, DecidedBy, Evaluation, FlowAttempt, Misses, Reason, RuleId, RuleOutcome, Trace, Via,
};
use ipnet::IpNet;
use std::net::IpAddr;

/// One answer, and what gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Possible {
    pub action: Action,
    pub rule: Option<RuleId>,
    pub reason: Reason,
}

impl Possible {
    fn of(evaluation: &Evaluation) -> Self {
        let decision = evaluation.decision;
        Self {
            action: decision.action,
            rule: decision.rule,
            reason: decision.reason,
        }
    }
}

/// What an attempt may be told that came by one way and spoke one protocol, with the evaluations that say so.
pub fn of_attempt(
    policy: &CompiledPolicy,
    attempt: &Attempt,
    flow: &FlowAttempt<'_>,
) -> (Vec<Possible>, Vec<Evaluation>) {
    let at_any = FlowAttempt {
        destination: None,
        ..*flow
    };
    let Some(led_to) = attempt.led_to.as_ref().filter(|_| flow.via == Via::Explicit) else {
        let (found, evaluation) = match flow.destination.filter(|_| attempt.tells_one_address(flow.via)) {
            Some(ip) => at_one(policy, &at_any, ip),
            None => answers(policy, flow),
        };
        return (found, vec![evaluation]);
    };
    // What vetting refused then is not known from what a rule denied: both with it and without.
    let lists = [led_to.vetted(), led_to.addresses.clone()];
    let lists = lists.into_iter().filter(|addresses| !addresses.is_empty());
    let ends: Vec<Evaluation> = lists
        .map(|addresses| policy.evaluate_led(&at_any, &addresses).evaluation)
        .collect();
    let mut found: Vec<Possible> = ends.iter().map(Possible::of).collect();
    if led_to.cut || found.is_empty() {
        found.extend(answers(policy, &at_any).0);
    }
    (found, ends)
}

/// Of a name of which one address is known: where that one may be dialled the name gets through, whatever the others are. A rule
/// that denies it may leave another one.
fn at_one(policy: &CompiledPolicy, at_any: &FlowAttempt<'_>, ip: IpAddr) -> (Vec<Possible>, Evaluation) {
    let led = policy.evaluate_led(at_any, &[ip]);
    let mut found = vec![Possible::of(&led.evaluation)];
    if led.at.is_some() && led.evaluation.by == DecidedBy::Network {
        let others = answers(policy, at_any).0;
        found.extend(
            others
                .into_iter()
                .filter(|other| *other != found[0])
                .collect::<Vec<_>>(),
        );
    }
    (found, led.evaluation)
}

/// The answers, in the order in which they are found: those of rules that may hold an address that is not known, then the one
/// that holds whatever the address is.
pub fn answers(policy: &CompiledPolicy, flow: &FlowAttempt<'_>) -> (Vec<Possible>, Evaluation) {
    let mut open = Open::default();
    let evaluation = policy.evaluate(flow, &mut open);
    let named = flow.via == Via::Explicit && flow.name.is_some();
    if named && flow.destination.is_none() && !evaluation.decision.permits() {
        // A name is judged first: nobody looks up where it leads.
        return (vec![Possible::of(&evaluation)], evaluation);
    }
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
    found.push(Possible::of(&evaluation));
    if flow.via == Via::Transparent {
        found.extend(
            spoken::allowed_within(policy, flow, &evaluation)
                .iter()
                .map(Possible::of),
        );
    }
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
