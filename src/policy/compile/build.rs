//! From the model to what is searched: one walk over it in the order in which rules are judged.

use super::{CompiledPolicy, CompiledRule, Place, PortSet};
use crate::policy::{
    Action, ApplicationRule, DecidedBy, Mode, Policy, Protocol, ProtocolPort, RuleCollection, RuleRef, Rules, Sources,
    TargetFqdn,
    names::{Candidate, NameIndexBuilder},
    packet::PacketRule,
    sources::AddressSet,
    threat::Threats,
};
use ipnet::IpNet;
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

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
    destinations: HashSet<AddressSet>,
    ports: Interned<PortSet>,
    /// The sets of lists that rules share, by the place of the list in memory: the policy holds it there.
    lists: HashMap<*const Vec<IpNet>, AddressSet>,
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
                    if collection.rules.kind() == kind {
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
                    let destinations = self.shared(AddressSet::of(&rule.destination_addresses));
                    self.packets.push(PacketRule::nat(rule, destinations));
                    self.push(&mut compiled, &rule.sources, names, &rule.name);
                }
            }
            Rules::Network(rules) => {
                for rule in rules {
                    let written = &rule.destinations;
                    let destinations = match written.any || !written.service_tags.is_empty() {
                        true => PacketRule::destinations(rule),
                        false => self.set(&written.addresses),
                    };
                    let destinations = self.shared(destinations);
                    self.packets.push(PacketRule::network(rule, destinations));
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

    /// The set that is equal to this one and was there first: many rules lead to the same IP groups.
    fn shared(&mut self, set: AddressSet) -> AddressSet {
        match self.destinations.get(&set) {
            Some(known) => known.clone(),
            None => {
                self.destinations.insert(set.clone());
                set
            }
        }
    }

    /// The set of a list: one that rules share is put in order once.
    fn set(&mut self, list: &Arc<Vec<IpNet>>) -> AddressSet {
        let set = || AddressSet::of(list.iter());
        match Arc::strong_count(list) {
            1 => set(),
            _ => self.lists.entry(Arc::as_ptr(list)).or_insert_with(set).clone(),
        }
    }

    /// Appends a rule and moves on to the place of the next one.
    fn push(&mut self, rule: &mut CompiledRule, sources: &Sources, names: &RuleRef, name: &Arc<str>) {
        let set = match sources {
            Sources::Any { .. } => AddressSet::Any,
            Sources::Nets(list) => self.set(list),
        };
        rule.sources = self.sources.number(set);
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

    #[test]
    fn a_list_that_rules_share_is_put_in_order_once() {
        let list: Arc<Vec<IpNet>> = Arc::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let other = Arc::clone(&list);
        let mut build = Build::default();
        match (build.set(&list), build.set(&other)) {
            (AddressSet::Ranges { v4: one, .. }, AddressSet::Ranges { v4: two, .. }) => {
                assert!(Arc::ptr_eq(&one, &two));
            }
            sets => panic!("{sets:?}"),
        }
    }
}
