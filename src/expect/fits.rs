//! [`Fits`]: which rules an evaluation looked at that may have had a say in it.

use crate::policy::{CompiledPolicy, Misses, Resolved, RuleId, RuleOutcome, Trace};
use std::{collections::BTreeSet, net::IpAddr};

/// Where the evaluation is that is looked at.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// A name at the proxy port, before it is looked up.
    Asked,
    /// An address, here one that such a name leads to.
    Known(Option<IpAddr>),
}

/// Gathers the rules that match, or may where a name leads that nobody looked up.
pub(super) struct Fits<'a> {
    policy: &'a CompiledPolicy,
    /// Names of network rules stand for these addresses.
    resolved: Option<&'a Resolved>,
    /// Nobody says where the name leads that is asked for at the proxy port: what denies addresses or excepts them has a say.
    unknown: bool,
    pub at: At,
    pub found: BTreeSet<RuleId>,
}

impl<'a> Fits<'a> {
    pub(super) fn new(policy: &'a CompiledPolicy, resolved: Option<&'a Resolved>, unknown: bool) -> Self {
        Self {
            policy,
            resolved,
            unknown,
            at: At::Known(None),
            found: BTreeSet::new(),
        }
    }

    /// Whether one of a rule's names may lead anywhere.
    fn is_open(&self, rule: RuleId) -> bool {
        let names = self.policy.network_rule(rule).map(|rule| &rule.destinations.fqdns);
        let unresolved = |resolved: &Resolved| names.into_iter().flatten().any(|name| resolved.of(name).is_none());
        self.resolved.is_some_and(unresolved)
    }
}

impl Trace for Fits<'_> {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        if outcome == RuleOutcome::Matched {
            self.found.insert(rule);
        }
    }

    fn packet_rule(&mut self, rule: RuleId, misses: Misses) {
        let elsewhere = Misses {
            destination: true,
            ..Misses::default()
        };
        if misses == Misses::default() {
            self.found.insert(rule);
        } else if misses == elsewhere {
            match self.at {
                At::Asked if self.unknown => _ = self.found.insert(rule),
                At::Asked => {}
                // It may except the address.
                At::Known(Some(ip)) if self.policy.holds(rule, ip) => _ = self.found.insert(rule),
                At::Known(_) if self.is_open(rule) => _ = self.found.insert(rule),
                At::Known(_) => {}
            }
        }
    }
}
