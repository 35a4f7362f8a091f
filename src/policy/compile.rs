//! [`Policy`] -> [`CompiledPolicy`]: names in a table searched label by label, sources as sorted ranges, rules by rank.

mod mutation;
mod ties;

pub use mutation::Mutation;

use super::{
    Action, ApplicationRule, DecidedBy, Mode, NatRule, NetworkRule, Policy, Protocol, ProtocolPort, RuleCollection,
    RuleId, RuleRef, Rules, Sources, TargetFqdn,
    names::{Candidate, NameIndex, NameIndexBuilder},
    packet::PacketRule,
    sources::AddressSet,
    threat::Threats,
};
use std::{collections::HashMap, hash::Hash, sync::Arc};

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

/// Name of the infrastructure collection in rows: Azure's has no published one.
const INFRASTRUCTURE: &str = "Infrastructure";

impl CompiledPolicy {
    /// Cannot fail: `config` has checked the policy. Rules are counted in 31 bits, far beyond what fits into memory.
    pub fn new(policy: Policy) -> Self {
        let mut build = Build::default();
        build.add_kind(DecidedBy::Nat, &policy);
        let networks_from = build.rules.len();
        build.add_kind(DecidedBy::Network, &policy);
        let applications_from = build.rules.len();
        build.add_kind(DecidedBy::Application, &policy);
        let infrastructure_from = build.rules.len();
        let infrastructure = infrastructure(&policy);
        build.add_infrastructure(&policy, &infrastructure);
        Self {
            names: build.names.build(),
            audits: policy.mode == Mode::Enforce && build.rules.iter().any(|rule| rule.mode == Mode::Audit),
            rules: build.rules,
            refs: build.refs,
            packets: build.packets,
            networks_from,
            applications_from,
            infrastructure_from,
            infrastructure,
            threats: Threats::new(&policy.threat_intelligence),
            sources: build.sources.values,
            ports: build.ports.values,
            model: policy,
        }
    }

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

fn kind_of(rules: &Rules) -> DecidedBy {
    match rules {
        Rules::Nat(_) => DecidedBy::Nat,
        Rules::Network(_) => DecidedBy::Network,
        Rules::Application(_) => DecidedBy::Application,
    }
}

/// The infrastructure collection as one rule: anyone, HTTPS on 443. Azure publishes neither its names nor its protocols, so
/// this is the narrower reading.
fn infrastructure(policy: &Policy) -> ApplicationRule {
    let targets = policy.infrastructure.iter().map(|pattern| TargetFqdn {
        pattern: pattern.clone(),
        tag: None,
        ports: None,
        wide: false,
    });
    ApplicationRule {
        name: INFRASTRUCTURE.into(),
        sources: Sources::Any { written: true },
        protocols: vec![ProtocolPort {
            protocol: Protocol::Https,
            port: 443,
        }],
        targets: targets.collect(),
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

/// What is gathered while walking the model in order.
#[derive(Default)]
struct Build {
    rules: Vec<CompiledRule>,
    refs: Vec<RuleRef>,
    packets: Vec<PacketRule>,
    names: NameIndexBuilder,
    sources: Interned<AddressSet>,
    ports: Interned<PortSet>,
}

impl Build {
    fn add_kind(&mut self, kind: DecidedBy, policy: &Policy) {
        for (number, (name, groups)) in policy.chain().enumerate() {
            for at in by_priority(groups, |group| group.priority) {
                let group = &groups[at];
                for collection in by_priority(&group.collections, |collection| collection.priority) {
                    let place = Place {
                        policy: number as u32,
                        group: at as u32,
                        collection: collection as u32,
                        rule: 0,
                    };
                    let collection = &group.collections[collection];
                    if kind_of(&collection.rules) == kind {
                        let names = RuleRef {
                            policy: Arc::clone(name),
                            group: Arc::clone(&group.name),
                            collection: Arc::clone(&collection.name),
                            rule: Arc::from(""),
                        };
                        self.add_collection(policy.mode, collection, place, &names);
                    }
                }
            }
        }
    }

    fn add_collection(&mut self, mode: Mode, collection: &RuleCollection, place: Place, names: &RuleRef) {
        let mode = if mode == Mode::Audit { mode } else { collection.mode };
        let mut compiled = CompiledRule {
            sources: 0,
            place,
            action: collection.action,
            mode,
        };
        match &collection.rules {
            Rules::Nat(rules) => {
                for rule in rules {
                    self.packets.push(PacketRule::nat(rule));
                    self.push(&mut compiled, &rule.sources, names, &rule.name);
                }
            }
            Rules::Network(rules) => {
                for rule in rules {
                    self.packets.push(PacketRule::network(rule));
                    self.push(&mut compiled, &rule.sources, names, &rule.name);
                }
            }
            Rules::Application(rules) => {
                for rule in rules {
                    self.add_targets(rule);
                    self.push(&mut compiled, &rule.sources, names, &rule.name);
                }
            }
        }
    }

    fn add_infrastructure(&mut self, policy: &Policy, rule: &ApplicationRule) {
        if rule.targets.is_empty() {
            return;
        }
        let name: Arc<str> = INFRASTRUCTURE.into();
        let names = RuleRef {
            policy: Arc::clone(&policy.name),
            group: Arc::clone(&name),
            collection: Arc::clone(&name),
            rule: Arc::clone(&name),
        };
        let nowhere = Place {
            policy: 0,
            group: 0,
            collection: 0,
            rule: 0,
        };
        let mut compiled = CompiledRule {
            sources: 0,
            place: nowhere,
            action: Action::Allow,
            mode: policy.mode,
        };
        self.add_targets(rule);
        self.push(&mut compiled, &rule.sources, &names, &rule.name);
    }

    /// Appends a rule and moves on to the place of the next one.
    fn push(&mut self, rule: &mut CompiledRule, sources: &Sources, names: &RuleRef, name: &Arc<str>) {
        rule.sources = self.sources.number(AddressSet::new(sources));
        self.rules.push(*rule);
        self.refs.push(RuleRef {
            rule: Arc::clone(name),
            ..names.clone()
        });
        rule.place.rule += 1;
    }

    fn add_targets(&mut self, rule: &ApplicationRule) {
        let rank = self.rules.len() as u32;
        let all_ports = self.ports.number(port_set(rule.protocols.iter()));
        for target in &rule.targets {
            let ports = match &target.ports {
                None => all_ports,
                Some(own) => self
                    .ports
                    .number(port_set(rule.protocols.iter().filter(|port| own.contains(port)))),
            };
            self.names
                .add(&target.pattern, Candidate::new(rank, target.wide, ports));
        }
    }
}

/// Positions in the order of priority; equal ones stay as written.
fn by_priority<T, P: Ord>(items: &[T], priority: impl Fn(&T) -> P) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&i| priority(&items[i]));
    order
}

fn port_set<'a>(ports: impl Iterator<Item = &'a ProtocolPort>) -> PortSet {
    let mut ports: Vec<ProtocolPort> = ports.copied().collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}

/// Equal values held once: thousands of rules share a handful of source lists and port lists.
struct Interned<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = self.values.len() as u32;
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Destinations, ParentPolicy, Priority, RuleCollectionGroup};

    fn application(name: &str) -> ApplicationRule {
        ApplicationRule {
            name: name.into(),
            sources: Sources::Any { written: true },
            protocols: vec![ProtocolPort {
                protocol: Protocol::Https,
                port: 443,
            }],
            targets: vec![TargetFqdn {
                pattern: crate::policy::FqdnPattern::Any,
                tag: None,
                ports: None,
                wide: false,
            }],
            resolves_into: Vec::new(),
            private_endpoints: None,
        }
    }

    fn network(name: &str) -> NetworkRule {
        NetworkRule {
            name: name.into(),
            sources: Sources::Any { written: true },
            ip_protocols: Vec::new(),
            destinations: Destinations::default(),
            destination_ports: Vec::new(),
        }
    }

    fn collection(name: &str, priority: u16, rules: Rules) -> RuleCollection {
        let priority = Priority::new(priority).unwrap();
        RuleCollection {
            name: name.into(),
            priority,
            action: Action::Allow,
            mode: Mode::Enforce,
            rules,
        }
    }

    fn group(name: &str, priority: u16, collections: Vec<RuleCollection>) -> RuleCollectionGroup {
        RuleCollectionGroup {
            name: name.into(),
            priority: Priority::new(priority).unwrap(),
            collections,
        }
    }

    /// Shaped like the documented example: kinds first, parent before child, then priorities.
    #[test]
    fn rules_are_numbered_in_the_order_in_which_they_are_judged() {
        let app = |name: &str, priority| collection(name, priority, Rules::Application(vec![application(name)]));
        let net = |name: &str, priority| collection(name, priority, Rules::Network(vec![network(name)]));
        let policy = Policy {
            name: "p".into(),
            parents: vec![ParentPolicy {
                name: "base".into(),
                groups: vec![
                    group("base2", 400, vec![app("a2", 110), net("n2", 300)]),
                    group("base1", 300, vec![net("n1", 500)]),
                ],
            }],
            groups: vec![
                group("late", 200, vec![app("c3", 100), app("c4", 100)]),
                group("early", 100, vec![app("c2", 200), app("c1", 150), net("cn1", 100)]),
            ],
            ..Policy::default()
        };
        let compiled = CompiledPolicy::new(policy);
        let order: Vec<&str> = (0..8).map(|i| &*compiled.rule_ref(RuleId::new(i)).rule).collect();
        assert_eq!(order, ["n1", "n2", "cn1", "a2", "c1", "c2", "c3", "c4"]);
        assert_eq!(compiled.application_rules().next(), Some(RuleId::new(3)));
        assert_eq!(&*compiled.application_rule(RuleId::new(4)).unwrap().name, "c1");
        assert!(compiled.application_rule(RuleId::new(1)).is_none(), "a network rule");
        assert!(compiled.application_rule(RuleId::new(8)).is_none(), "no such rule");
        let names = compiled.rule_ref(RuleId::new(3));
        assert_eq!((&*names.policy, &*names.group), ("base", "base2"));
    }

    #[test]
    fn equal_sources_and_ports_are_held_once() {
        let rules = (0..1000).map(|i| application(&format!("r{i}"))).collect();
        let policy = Policy {
            groups: vec![group("g", 100, vec![collection("c", 100, Rules::Application(rules))])],
            ..Policy::default()
        };
        let compiled = CompiledPolicy::new(policy);
        assert_eq!((compiled.sources.len(), compiled.ports.len()), (1, 1));
    }
}
