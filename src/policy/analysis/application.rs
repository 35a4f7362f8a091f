//! Application rules that earlier ones leave nothing for.
//!
//! A target is looked at port by port: the sources of the earlier targets that are as wide and admit the port must together
//! hold all of the rule's. An exact name is a point, so this decides it. A star could also be made up of narrower
//! patterns only if these named every letter that a label ends in; that is not looked for.

use super::{
    Fault, Finding,
    names::{Earlier, Key, Met, unordered_hash},
    order::{Ranked, application_rules},
    ranges::{Budget, SourceSets, cover},
};
use crate::policy::{Action, ApplicationRule, Policy, ProtocolPort, TargetFqdn, decide::ECH_PUBLIC_NAMES};
use std::collections::HashMap;

/// Most earlier targets that are looked at for one target.
const MOST_LOOKED_AT: usize = 512;

pub(super) fn analyse(policy: &Policy, budget: &mut Budget) -> Vec<Finding> {
    let rules = application_rules(policy);
    let mut seen = Seen {
        earlier: Earlier::with_room_for(rules.iter().map(|ranked| ranked.rule.targets.len()).sum()),
        rules: &rules,
        sources: SourceSets::default(),
        ports: Ports::default(),
        matches: HashMap::with_capacity(rules.len()),
    };
    let mut findings = Vec::new();
    for number in 0..rules.len() {
        seen.judge(number, budget, &mut findings);
    }
    findings
}

/// The rules before the one that is looked at.
struct Seen<'a> {
    rules: &'a [Ranked<'a, ApplicationRule>],
    earlier: Earlier<'a>,
    sources: SourceSets,
    ports: Ports,
    /// Rules by the hash of what they match.
    matches: HashMap<u64, Vec<usize>>,
}

/// What of a target the earlier ones take: those that do, by rule and target.
type Takers = Vec<(usize, usize)>;

impl<'a> Seen<'a> {
    /// Says what is to be said of a rule, and remembers it.
    fn judge(&mut self, number: usize, budget: &mut Budget, findings: &mut Vec<Finding>) {
        let ranked = &self.rules[number];
        let at = ranked.at;
        let sources = self.sources.number(&ranked.rule.sources);
        if self.sources.get(sources).is_empty() || ranked.rule.targets.is_empty() {
            return;
        }
        let ports = self.ports.of_targets(ranked.rule);
        if ports.iter().all(|ports| self.ports.get(*ports).is_empty()) {
            let told = !ranked.rule.protocols.is_empty();
            findings.extend(told.then_some(Finding {
                rule: at,
                fault: Fault::NoPort,
            }));
            return;
        }
        let copy = self.copy_of(number, sources, &ports);
        let copy = copy.filter(|of| !self.leaves_hidden_names(number, *of));
        let mut taken: Vec<(usize, Takers)> = Vec::new();
        let mut left = false;
        for (target, ports) in ports.iter().enumerate() {
            let met = Met {
                rule: number,
                target,
                sources,
                ports: *ports,
                allows: ranked.action == Action::Allow,
            };
            if self.ports.get(*ports).is_empty() {
                continue;
            }
            match self.takers(met, budget) {
                Some(takers) => taken.push((target, takers)),
                None => left = true,
            }
            if !ranked.records {
                self.earlier.add(&ranked.rule.targets[target], met);
            }
        }
        match copy {
            Some(of) => findings.push(self.copied(number, of)),
            None if !left => findings.push(self.shadowed(number, &taken)),
            None => findings.extend(taken.into_iter().map(|(target, by)| {
                Finding {
                    rule: at,
                    fault: Fault::Taken {
                        target,
                        by: by
                            .into_iter()
                            .map(|(rule, target)| (self.rules[rule].at, target))
                            .collect(),
                    },
                }
            })),
        }
    }

    /// The earlier rule that matches the very same, if there is one.
    fn copy_of(&mut self, number: usize, sources: u32, ports: &[u32]) -> Option<usize> {
        let rule = self.rules[number].rule;
        let parts = |rule: &'a ApplicationRule| rule.targets.iter().map(|target| Key::of(&target.pattern));
        let hash = unordered_hash(parts(rule).zip(ports)).wrapping_add(u64::from(sources));
        let alike = self.matches.entry(hash).or_default();
        let found = alike.iter().copied().find(|other| {
            let other = self.rules[*other].rule;
            same_targets(rule, other) && self.sources.number(&other.sources) == sources
        });
        if found.is_none() && !self.rules[number].records {
            alike.push(number);
        }
        found
    }

    /// Whether a copy decides all the same: a star that allows does not stand for names of [`ECH_PUBLIC_NAMES`], so that the
    /// same star behind it, denying, has something left.
    fn leaves_hidden_names(&self, number: usize, of: usize) -> bool {
        let (rule, earlier) = (&self.rules[number], &self.rules[of]);
        let star = |target: &TargetFqdn| {
            let key = Key::of(&target.pattern);
            key.is_star() && ECH_PUBLIC_NAMES.iter().any(|name| key.admits(name))
        };
        earlier.action == Action::Allow && rule.action == Action::Deny && rule.rule.targets.iter().any(star)
    }

    fn copied(&self, number: usize, of: usize) -> Finding {
        let (rule, earlier) = (&self.rules[number], &self.rules[of]);
        let of = earlier.at;
        Finding {
            rule: rule.at,
            fault: if rule.action == earlier.action {
                Fault::Duplicate { of }
            } else {
                Fault::Contradiction {
                    of,
                    but_embedded: false,
                }
            },
        }
    }

    fn shadowed(&self, number: usize, taken: &[(usize, Takers)]) -> Finding {
        let takers = taken.iter().flat_map(|(_, takers)| takers);
        let mut by: Vec<usize> = takers.map(|(rule, _)| *rule).filter(|rule| *rule != number).collect();
        by.sort_unstable();
        by.dedup();
        Finding {
            rule: self.rules[number].at,
            fault: Fault::Shadowed {
                by: by.into_iter().map(|rule| self.rules[rule].at).collect(),
                but_embedded: false,
            },
        }
    }

    /// The earlier targets that take all that this one admits; `None` if something is left, or not known to be taken.
    fn takers(&mut self, of: Met, budget: &mut Budget) -> Option<Takers> {
        let pattern = Key::of(&self.rules[of.rule].rule.targets[of.target].pattern);
        let mut takers = self.takers_of(pattern, of, budget)?;
        // A star that allows does not stand for these names, so an earlier one leaves them to a later star that denies.
        if pattern.is_star() && !of.allows {
            for name in ECH_PUBLIC_NAMES {
                if pattern.admits(name) {
                    takers.extend(self.takers_of(Key::Exact(name), of, budget)?);
                }
            }
        }
        takers.sort_unstable();
        takers.dedup();
        Some(takers)
    }

    fn takers_of(&mut self, pattern: Key<'a>, of: Met, budget: &mut Budget) -> Option<Takers> {
        let hidden = matches!(pattern, Key::Exact(name) if ECH_PUBLIC_NAMES.contains(&name));
        let as_wide = self.earlier.as_wide(pattern);
        let stands_for = |(key, met): &(Key<'_>, Met)| !(hidden && key.is_star() && met.allows);
        let mut found: Vec<Met> = as_wide
            .filter(stands_for)
            .map(|(_, met)| met)
            .take(MOST_LOOKED_AT)
            .collect();
        if !budget.take(found.len()) {
            return None;
        }
        // A single rule that takes all is the simplest thing to say.
        for met in &found {
            if self.ports.holds(met.ports, of.ports) && self.sources.holds(met.sources, of.sources, budget) {
                return Some(vec![(met.rule, met.target)]);
            }
        }
        found.sort_unstable_by_key(|met| (met.rule, met.target));
        let mut takers = Takers::new();
        for port in self.ports.get(of.ports) {
            let admitting: Vec<&Met> = found
                .iter()
                .filter(|met| self.ports.get(met.ports).contains(port))
                .collect();
            let parts: Vec<_> = admitting.iter().map(|met| self.sources.get(met.sources)).collect();
            let used = cover(self.sources.get(of.sources), &parts, budget)?;
            takers.extend(
                used.into_iter()
                    .map(|part| (admitting[part].rule, admitting[part].target)),
            );
        }
        Some(takers)
    }
}

/// Whether two rules name the same, on the same ports.
fn same_targets(one: &ApplicationRule, other: &ApplicationRule) -> bool {
    let sorted = |rule| {
        let mut targets: Vec<_> = parts(rule).collect();
        targets.sort_unstable();
        targets
    };
    one.targets.len() == other.targets.len() && sorted(one) == sorted(other)
}

fn parts(rule: &ApplicationRule) -> impl Iterator<Item = (Key<'_>, Box<[ProtocolPort]>)> {
    rule.targets
        .iter()
        .map(|target| (Key::of(&target.pattern), effective_ports(rule, target)))
}

/// Protocols and ports that a target admits, ascending: those of the rule, cut by those of its tag.
fn effective_ports(rule: &ApplicationRule, target: &TargetFqdn) -> Box<[ProtocolPort]> {
    let admitted = |port: &&ProtocolPort| target.ports.as_ref().is_none_or(|ports| ports.contains(port));
    port_list(rule.protocols.iter().filter(admitted))
}

fn port_list<'a>(ports: impl Iterator<Item = &'a ProtocolPort>) -> Box<[ProtocolPort]> {
    let mut ports: Vec<ProtocolPort> = ports.copied().collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}

/// Lists of ports by number, equal ones held once.
#[derive(Default)]
struct Ports {
    lists: Vec<Box<[ProtocolPort]>>,
    numbers: HashMap<Box<[ProtocolPort]>, u32>,
}

impl Ports {
    fn number(&mut self, ports: Box<[ProtocolPort]>) -> u32 {
        *self.numbers.entry(ports).or_insert_with_key(|ports| {
            self.lists.push(ports.clone());
            self.lists.len() as u32 - 1
        })
    }

    /// Of each target of a rule.
    fn of_targets(&mut self, rule: &ApplicationRule) -> Vec<u32> {
        let own = self.number(port_list(rule.protocols.iter()));
        let number = |target: &TargetFqdn| match target.ports {
            None => own,
            Some(_) => self.number(effective_ports(rule, target)),
        };
        rule.targets.iter().map(number).collect()
    }

    fn get(&self, number: u32) -> &[ProtocolPort] {
        &self.lists[number as usize]
    }

    /// Whether every port of `part` is one of `whole`.
    fn holds(&self, whole: u32, part: u32) -> bool {
        whole == part || self.get(part).iter().all(|port| self.get(whole).contains(port))
    }
}
