//! [`Policy`] -> [`CompiledPolicy`]: names in a table searched label by label, sources as sorted ranges, rules by rank.

mod build;
mod mutation;
mod ties;

pub use mutation::Mutation;

use super::{
    Action, ApplicationRule, DecidedBy, Mode, NatRule, NetworkRule, Policy, ProtocolPort, RuleId, RuleRef, Rules,
    names::{Candidate, NameIndex},
    packet::PacketRule,
    sources::AddressSet,
    threat::Threats,
};
use std::net::IpAddr;

/// A policy that can be asked. Immutable.
///
/// Its rules are numbered in the order in which they are judged: DNAT, network, application, infrastructure; inside a kind
/// the parent policies first, then group priority, then collection priority, low first (equal ones as written), rules top
/// down.
#[derive(Debug)]
pub struct CompiledPolicy {
    model: Policy,
    rules: Vec<CompiledRule>,
    refs: Vec<RuleRef>,
    /// Of each rule before the first application rule.
    pub(super) packets: Vec<PacketRule>,
    /// The first rule of each kind after DNAT.
    networks_from: usize,
    applications_from: usize,
    infrastructure_from: usize,
    infrastructure: ApplicationRule,
    pub(super) threats: Option<Threats>,
    /// Some collection is in audit mode, and the policy as a whole is not.
    pub(super) audits: bool,
    pub(super) names: NameIndex,
    sources: Vec<AddressSet>,
    ports: Vec<PortSet>,
}

/// What a rule says once one of its patterns has matched, and where it stands in the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct CompiledRule {
    sources: u32,
    place: Place,
    pub(super) action: Action,
    /// The stricter reading of the global mode and the collection's: audit if either says so.
    pub(super) mode: Mode,
}

/// Where a rule stands in the model.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// In [`Policy::chain`].
    policy: u32,
    group: u32,
    collection: u32,
    rule: u32,
}

/// Ports with their protocols, ascending.
type PortSet = Box<[ProtocolPort]>;

impl CompiledPolicy {
    /// The names of a rule of this policy, for rows. Panics on the rule of a larger one: a `RuleId` never outlives its
    /// snapshot.
    pub fn rule_ref(&self, rule: RuleId) -> &RuleRef {
        &self.refs[rule.index()]
    }

    /// The application rule itself (`resolves_into`, `private_endpoints`). `None` for network and DNAT rules.
    pub fn application_rule(&self, rule: RuleId) -> Option<&ApplicationRule> {
        if self.kind(rule)? == DecidedBy::Infrastructure {
            return Some(&self.infrastructure);
        }
        match self.place(rule)? {
            (Rules::Application(rules), at) => rules.get(at),
            (Rules::Network(_) | Rules::Nat(_), _) => None,
        }
    }

    /// The network rule itself. `None` for rules of other kinds.
    pub fn network_rule(&self, rule: RuleId) -> Option<&NetworkRule> {
        match self.place(rule)? {
            (Rules::Network(rules), at) => rules.get(at),
            (Rules::Application(_) | Rules::Nat(_), _) => None,
        }
    }

    /// The DNAT rule itself. `None` for rules of other kinds.
    pub fn nat_rule(&self, rule: RuleId) -> Option<&NatRule> {
        match self.place(rule)? {
            (Rules::Nat(rules), at) => rules.get(at),
            (Rules::Application(_) | Rules::Network(_), _) => None,
        }
    }

    /// The rules of the collection that holds a rule, and its number among them.
    fn place(&self, rule: RuleId) -> Option<(&Rules, usize)> {
        if rule.index() >= self.infrastructure_from {
            return None;
        }
        let place = self.rules.get(rule.index())?.place;
        let (_, groups) = self.model.chain().nth(place.policy as usize)?;
        let collection = &groups[place.group as usize].collections[place.collection as usize];
        Some((&collection.rules, place.rule as usize))
    }

    /// `Nat`, `Network`, `Application` or `Infrastructure`; `None`: no such rule.
    pub fn kind(&self, rule: RuleId) -> Option<DecidedBy> {
        match rule.index() {
            rule if rule >= self.rules.len() => None,
            rule if rule < self.networks_from => Some(DecidedBy::Nat),
            rule if rule < self.applications_from => Some(DecidedBy::Network),
            rule if rule < self.infrastructure_from => Some(DecidedBy::Application),
            _ => Some(DecidedBy::Infrastructure),
        }
    }

    /// All rules, in the order in which they are judged.
    pub fn rules(&self) -> impl Iterator<Item = RuleId> + use<> {
        ids(0, self.rules.len())
    }

    /// All DNAT rules, in the order in which they are judged.
    pub fn nat_rules(&self) -> impl Iterator<Item = RuleId> + use<> {
        ids(0, self.networks_from)
    }

    /// All network rules, in the order in which they are judged.
    pub fn network_rules(&self) -> impl Iterator<Item = RuleId> + use<> {
        ids(self.networks_from, self.applications_from)
    }

    /// All application rules, in the order in which they are judged; the infrastructure collection is the last of them.
    pub fn application_rules(&self) -> impl Iterator<Item = RuleId> + use<> {
        ids(self.applications_from, self.rules.len())
    }

    /// Whether a rule speaks of a source.
    pub fn is_for(&self, rule: RuleId, source: IpAddr) -> bool {
        self.sources_of(rule).contains(source)
    }

    /// What a match of this rule means.
    pub fn action(&self, rule: RuleId) -> Action {
        self.rules[rule.index()].action
    }

    /// The mode of this rule: audit if the policy or its collection says so.
    pub fn mode_of(&self, rule: RuleId) -> Mode {
        self.rules[rule.index()].mode
    }

    /// The model this was compiled from.
    pub fn model(&self) -> &Policy {
        &self.model
    }

    /// Tags with an unbound placeholder: every tenant's resource is admitted through them.
    pub fn wide_tags(&self) -> Vec<std::sync::Arc<str>> {
        let rules = self.application_rules().filter_map(|rule| self.application_rule(rule));
        let wide = rules.flat_map(|rule| rule.targets.iter().filter(|t| t.wide).filter_map(|t| t.tag.clone()));
        wide.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Global mode.
    pub fn mode(&self) -> Mode {
        self.model.mode
    }

    pub(super) fn compiled(&self, candidate: Candidate) -> &CompiledRule {
        &self.rules[candidate.rule() as usize]
    }

    pub(super) fn sources(&self, candidate: Candidate) -> &AddressSet {
        self.sources_of(RuleId::new(candidate.rule()))
    }

    pub(super) fn sources_of(&self, rule: RuleId) -> &AddressSet {
        &self.sources[self.rules[rule.index()].sources as usize]
    }

    pub(super) fn ports(&self, candidate: Candidate) -> &[ProtocolPort] {
        &self.ports[candidate.ports as usize]
    }
}

fn ids(from: usize, to: usize) -> impl Iterator<Item = RuleId> + use<> {
    (from as u32..to as u32).map(RuleId::new)
}

#[cfg(test)]
mod tests;
