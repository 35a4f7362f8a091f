//! A name at the proxy port with the addresses that it leads to, as `explain` and policy tests judge it. Pure.

use super::{
    Action, CompiledPolicy, DecidedBy, Evaluation, FlowAttempt, Fqdn, NoTrace, Resolved, RuleId, address::embedded,
};
use std::net::IpAddr;

/// What is told of a name that leads somewhere.
#[derive(Clone, Debug)]
pub struct Led {
    /// The end.
    pub evaluation: Evaluation,
    /// The address that decided it; `None`: the name did.
    pub at: Option<IpAddr>,
    /// What was said of the name before anybody looked it up.
    pub by_name: Evaluation,
    /// What was said of each address; none if the name is denied.
    pub each: Vec<(IpAddr, Evaluation)>,
}

impl CompiledPolicy {
    /// As the gateway does it: the name first, then each of its addresses. One on a list in mode `Deny` ends it, one that a rule
    /// denies is not dialled, and what audit mode alone leaves is told as denied. `flow` has no destination.
    pub fn evaluate_led(&self, flow: &FlowAttempt<'_>, addresses: &[IpAddr]) -> Led {
        let mut resolved = Resolved::default();
        if let Some(name) = flow.name {
            resolved.set(name.clone(), addresses.to_vec());
        }
        let flow = &FlowAttempt {
            resolved: &resolved,
            ..*flow
        };
        let by_name = self.evaluate(flow, &mut NoTrace);
        let mut led = Led {
            evaluation: by_name,
            at: None,
            by_name,
            each: Vec::new(),
        };
        if !by_name.decision.permits() {
            return led;
        }
        let at = |ip: &IpAddr| FlowAttempt {
            destination: Some(*ip),
            ..*flow
        };
        let each = addresses.iter().map(|ip| (*ip, self.evaluate(&at(ip), &mut NoTrace)));
        led.each = each.collect();
        let listed = |(_, one): &&(IpAddr, Evaluation)| one.by == DecidedBy::ThreatIntelligence;
        let denied = |one: &Evaluation| one.by == DecidedBy::Network && one.decision.action == Action::Deny;
        let kept = || led.each.iter().filter(|(_, one)| one.decision.permits());
        let stop = match led.each.iter().find(listed) {
            Some(listed) => Some(listed),
            None if kept().next().is_none() => led.each.first(),
            None => kept().next().filter(|_| kept().all(|(_, one)| denied(one))),
        };
        if let Some((ip, evaluation)) = stop.copied() {
            (led.evaluation, led.at) = (evaluation, Some(ip));
            if evaluation.decision.permits() {
                led.evaluation.decision = evaluation.decision.behind_which(by_name.decision);
            }
        }
        led
    }

    /// Whether an address may be listed that an attempt leads to: some are, and neither its name nor its source takes it out.
    pub fn may_list(&self, source: IpAddr, name: Option<&Fqdn>) -> bool {
        let lists = self.threats.as_ref();
        lists.is_some_and(|lists| lists.may_hit(source, name))
    }

    /// Whether a DNAT or network rule holds this address, or the one that it embeds.
    pub(crate) fn holds(&self, rule: RuleId, to: IpAddr) -> bool {
        let packet = &self.packets[rule.index()];
        packet.admits_address(to) || embedded(to).is_some_and(|ip| packet.admits_address(ip))
    }
}
