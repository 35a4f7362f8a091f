//! [`Policy`] -> [`CompiledPolicy`]: names in a table searched label by label, sources as sorted ranges, rules by rank.

use super::{
    Action, ApplicationRule, Mode, Policy, ProtocolPort, RuleCollection, RuleCollectionGroup, RuleId, RuleRef, Rules,
    names::{Candidate, NameIndex, NameIndexBuilder},
    sources::SourceSet,
};
use std::{collections::HashMap, hash::Hash, sync::Arc};

/// A policy that can be asked. Immutable.
///
/// Its rules are numbered in the order in which they are judged: DNAT, network, application; inside a kind the parent
/// policy first, then group priority, then collection priority, low first (equal ones as written), rules top down.
#[derive(Debug)]
pub struct CompiledPolicy {
    model: Policy,
    rules: Vec<CompiledRule>,
    refs: Vec<RuleRef>,
    /// The first application rule: all after it are, too.
    applications_from: usize,
    pub(super) names: NameIndex,
    sources: Vec<SourceSet>,
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
    parent: bool,
    group: u32,
    collection: u32,
    rule: u32,
}

/// Ports with their protocols, ascending.
type PortSet = Box<[ProtocolPort]>;

impl CompiledPolicy {
    /// Cannot fail: `config` has checked the policy. Rules are counted in 31 bits, far beyond what fits into memory.
    pub fn new(policy: Policy) -> Self {
        let mut build = Build::default();
        for kind in [Kind::Nat, Kind::Network, Kind::Application] {
            build.add_kind(kind, &policy);
        }
        Self {
            names: build.names.build(),
            rules: build.rules,
            refs: build.refs,
            applications_from: build.applications_from,
            sources: build.sources.values,
            ports: build.ports.values,
            model: policy,
        }
    }

    /// The names of a rule of this policy, for rows. Panics on the rule of a larger one: a `RuleId` never outlives its
    /// snapshot.
    pub fn rule_ref(&self, rule: RuleId) -> &RuleRef {
        &self.refs[rule.0 as usize]
    }

    /// The application rule itself (`resolves_into`, `private_endpoints`). `None` for network and DNAT rules.
    pub fn application_rule(&self, rule: RuleId) -> Option<&ApplicationRule> {
        let place = self.rules.get(rule.0 as usize)?.place;
        let groups = if place.parent {
            &self.model.parent_groups
        } else {
            &self.model.groups
        };
        match &groups[place.group as usize].collections[place.collection as usize].rules {
            Rules::Application(rules) => rules.get(place.rule as usize),
            Rules::Network(_) | Rules::Nat(_) => None,
        }
    }

    /// All application rules, in the order in which they are judged.
    pub fn application_rules(&self) -> impl Iterator<Item = RuleId> + use<> {
        (self.applications_from as u32..self.rules.len() as u32).map(RuleId)
    }

    /// What a match of this rule means.
    pub fn action(&self, rule: RuleId) -> Action {
        self.rules[rule.0 as usize].action
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

    pub(super) fn sources(&self, candidate: Candidate) -> &SourceSet {
        &self.sources[self.compiled(candidate).sources as usize]
    }

    pub(super) fn ports(&self, candidate: Candidate) -> &[ProtocolPort] {
        &self.ports[candidate.ports as usize]
    }
}

/// The kinds of rules, in the order in which they are judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nat,
    Network,
    Application,
}

impl Kind {
    fn of(rules: &Rules) -> Self {
        match rules {
            Rules::Nat(_) => Self::Nat,
            Rules::Network(_) => Self::Network,
            Rules::Application(_) => Self::Application,
        }
    }
}

/// What is gathered while walking the model in order.
#[derive(Default)]
struct Build {
    rules: Vec<CompiledRule>,
    refs: Vec<RuleRef>,
    applications_from: usize,
    names: NameIndexBuilder,
    sources: Interned<SourceSet>,
    ports: Interned<PortSet>,
}

impl Build {
    fn add_kind(&mut self, kind: Kind, policy: &Policy) {
        if kind == Kind::Application {
            self.applications_from = self.rules.len();
        }
        for (parent, groups) in [(true, &policy.parent_groups), (false, &policy.groups)] {
            for group in by_priority(groups, |group| group.priority) {
                let collections = &groups[group].collections;
                for collection in by_priority(collections, |collection| collection.priority) {
                    if Kind::of(&collections[collection].rules) == kind {
                        let (group, collection) = (group as u32, collection as u32);
                        self.add_collection(
                            policy,
                            Place {
                                parent,
                                group,
                                collection,
                                rule: 0,
                            },
                        );
                    }
                }
            }
        }
    }

    fn add_collection(&mut self, policy: &Policy, place: Place) {
        let groups = if place.parent {
            &policy.parent_groups
        } else {
            &policy.groups
        };
        let group = &groups[place.group as usize];
        let collection = &group.collections[place.collection as usize];
        let mode = if policy.mode == Mode::Audit {
            Mode::Audit
        } else {
            collection.mode
        };
        let named = |name: &Arc<str>| rule_ref(policy, group, collection, name);
        let nobody = self.sources.number(SourceSet::new(&super::Sources::Nets(Vec::new())));
        let mut compiled = CompiledRule {
            sources: nobody,
            place,
            action: collection.action,
            mode,
        };
        match &collection.rules {
            Rules::Nat(rules) => rules
                .iter()
                .for_each(|rule| self.push(&mut compiled, named(&rule.name))),
            Rules::Network(rules) => rules
                .iter()
                .for_each(|rule| self.push(&mut compiled, named(&rule.name))),
            Rules::Application(rules) => {
                for rule in rules {
                    compiled.sources = self.sources.number(SourceSet::new(&rule.sources));
                    self.add_targets(rule);
                    self.push(&mut compiled, named(&rule.name));
                }
            }
        }
    }

    /// Appends a rule and moves on to the place of the next one.
    fn push(&mut self, rule: &mut CompiledRule, names: RuleRef) {
        self.rules.push(*rule);
        self.refs.push(names);
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

fn rule_ref(policy: &Policy, group: &RuleCollectionGroup, collection: &RuleCollection, rule: &Arc<str>) -> RuleRef {
    RuleRef {
        policy: Arc::clone(&policy.name),
        group: Arc::clone(&group.name),
        collection: Arc::clone(&collection.name),
        rule: Arc::clone(rule),
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
    use crate::policy::{NetworkRule, Priority, Protocol, Sources, TargetFqdn};

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
            destination_addresses: Vec::new(),
            destination_fqdns: Vec::new(),
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
            parent_groups: vec![
                group("base2", 400, vec![app("a2", 110), net("n2", 300)]),
                group("base1", 300, vec![net("n1", 500)]),
            ],
            groups: vec![
                group("late", 200, vec![app("c3", 100), app("c4", 100)]),
                group("early", 100, vec![app("c2", 200), app("c1", 150), net("cn1", 100)]),
            ],
            ..Policy::default()
        };
        let compiled = CompiledPolicy::new(policy);
        let order: Vec<&str> = (0..8).map(|i| &*compiled.rule_ref(RuleId(i)).rule).collect();
        assert_eq!(order, ["n1", "n2", "cn1", "a2", "c1", "c2", "c3", "c4"]);
        assert_eq!(compiled.application_rules().next(), Some(RuleId(3)));
        assert_eq!(&*compiled.application_rule(RuleId(4)).unwrap().name, "c1");
        assert!(compiled.application_rule(RuleId(1)).is_none(), "a network rule");
        assert!(compiled.application_rule(RuleId(8)).is_none(), "no such rule");
        assert_eq!(&*compiled.rule_ref(RuleId(3)).group, "base2");
    }

    #[test]
    fn equal_sources_and_ports_are_held_once() {
        let rules = (0..1000).map(|i| application(&format!("r{i}"))).collect();
        let policy = Policy {
            groups: vec![group("g", 100, vec![collection("c", 100, Rules::Application(rules))])],
            ..Policy::default()
        };
        let compiled = CompiledPolicy::new(policy);
        assert_eq!(
            (compiled.sources.len(), compiled.ports.len()),
            (2, 1),
            "anybody, and nobody for other kinds"
        );
    }
}
