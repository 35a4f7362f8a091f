//! Network rules with names of which nobody says where they lead: what such a rule may say of packets to an address.

use super::{FlowAttempt, Via};
use crate::policy::{Action, CompiledPolicy, Decision, Fqdn, RuleId, address::embedded};
use std::collections::HashSet;

/// The first rule of each action before the one that matches that matches if a name of it leads where the packets go.
#[derive(Debug, Default)]
pub(super) struct Perhaps<'a> {
    denies: Option<RuleId>,
    allows: Option<RuleId>,
    /// The names of the rules so far that take the packets if they lead where those go: for later rules nothing is left of them.
    spoken_for: HashSet<&'a Fqdn>,
}

impl Perhaps<'_> {
    pub(super) fn note(&mut self, rule: RuleId, allows: bool) {
        let first = match allows {
            true => &mut self.allows,
            false => &mut self.denies,
        };
        first.get_or_insert(rule);
    }

    /// The rules that would turn a decision: one that denies what it lets through, one that allows what it denies.
    pub(super) fn against(self, decision: Decision) -> (Option<RuleId>, Option<RuleId>) {
        let allows = self.allows.filter(|_| decision.action == Action::Deny);
        (self.denies.filter(|_| decision.permits()), allows)
    }
}

/// Which names of a rule may lead where the packets go, and no earlier rule has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsaid {
    Nothing,
    Other,
    /// Among them the one that is asked for.
    Asked,
}

impl CompiledPolicy {
    /// What is left of a rule's names of which nobody says where they lead: an earlier rule with the same name goes first.
    pub(super) fn unsaid(&self, rule: RuleId, flow: &FlowAttempt<'_>, earlier: &Perhaps<'_>) -> Unsaid {
        let unknown = self.unknown(rule, flow);
        let left = unknown.filter(|fqdn| !earlier.spoken_for.contains(fqdn));
        left.fold(Unsaid::Nothing, |found, fqdn| match flow.name == Some(fqdn) {
            true => Unsaid::Asked,
            false => found.max(Unsaid::Other),
        })
    }

    /// Has a rule that is for the packets but for where its names lead speak for them before all later rules. Where the packets go
    /// to an address that embeds another, one that allows does not: it speaks of the very address.
    pub(super) fn speak_for<'a>(&'a self, rule: RuleId, flow: &FlowAttempt<'_>, perhaps: &mut Perhaps<'a>) {
        let embeds = flow.destination.and_then(embedded).is_some();
        if !embeds || self.action(rule) == Action::Deny {
            perhaps.spoken_for.extend(self.unknown(rule, flow));
        }
    }

    /// The names of a rule of which nobody says where they lead.
    fn unknown<'a>(&'a self, rule: RuleId, flow: &FlowAttempt<'_>) -> impl Iterator<Item = &'a Fqdn> {
        let fqdns = self.packets[rule.index()].fqdns().iter();
        fqdns.filter(|fqdn| named(fqdn, flow, false).is_none())
    }
}

/// Whether an attempt leads to a destination FQDN. `None`: it carries an address, and nobody says where the name leads.
pub(super) fn named(fqdn: &Fqdn, flow: &FlowAttempt<'_>, denies: bool) -> Option<bool> {
    let asked = flow.name == Some(fqdn);
    let Some(to) = flow.destination.filter(|_| flow.via == Via::Transparent) else {
        return Some(asked && (denies || flow.via == Via::Explicit));
    };
    let known = flow.resolved.leads(fqdn, to)?;
    let embeds = || embedded(to).and_then(|to| flow.resolved.leads(fqdn, to)) == Some(true);
    Some(known || denies && embeds())
}
