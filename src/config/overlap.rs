//! Rules that never match because earlier ones take everything, and names that are there twice.
//!
//! Best effort within bounds: of the earlier patterns that could cover a name, the first `MOST_CANDIDATES` are looked at.
//! So a warning is always right, and a policy of a million names is read in the time it takes to hash them.

use super::{
    problem::{Finding, Report},
    rules::Place,
};
use crate::policy::{
    ApplicationRule, FqdnPattern, Policy, ProtocolPort, RuleCollection, RuleCollectionGroup, Rules, Sources, TargetFqdn,
};
use ipnet::IpNet;
use std::collections::HashMap;

/// Earlier patterns that are looked at for one text of a pattern.
const MOST_CANDIDATES: usize = 16;

/// Source prefixes that are compared for one pair of rules, one side times the other.
const MOST_COMPARISONS: usize = 4_096;

/// An application rule at its place in the order of evaluation.
struct Ranked<'a> {
    group: &'a RuleCollectionGroup,
    collection: &'a RuleCollection,
    rule: &'a ApplicationRule,
    place: &'a Place,
}

impl Ranked<'_> {
    fn label(&self) -> String {
        format!("`{}/{}/{}`", self.group.name, self.collection.name, self.rule.name)
    }
}

/// A covered target of a rule, and the rule and target that cover it.
type Cover = (usize, (usize, usize));

/// Warns of what an earlier rule, or the rule itself, already decides. `places` are in written order, as the policy is.
pub fn warn(policy: &Policy, places: &[Place], report: &mut Report) {
    let rules = in_order(policy, places);
    let mut earlier = Earlier {
        rules: &rules,
        patterns: HashMap::with_capacity(rules.iter().map(|ranked| ranked.rule.targets.len()).sum()),
        cut_labels: false,
    };
    for (index, ranked) in rules.iter().enumerate() {
        let mut covered: Vec<Cover> = Vec::new();
        for target in 0..ranked.rule.targets.len() {
            covered.extend(earlier.cover(index, target).map(|by| (target, by)));
            earlier.add(index, target);
        }
        let by_others = covered.iter().filter(|(_, (by, _))| *by != index).count();
        if by_others > 0 && by_others == ranked.rule.targets.len() {
            report.add(never_matches(ranked, &covered, &rules));
        } else {
            let findings = covered.iter().filter_map(|cover| already_taken(index, *cover, &rules));
            findings.for_each(|finding| report.add(finding));
        }
    }
}

/// Application rules in the order of evaluation.
fn in_order<'a>(policy: &'a Policy, places: &'a [Place]) -> Vec<Ranked<'a>> {
    let mut rules = Vec::with_capacity(places.len());
    let mut places = places.iter();
    for group in &policy.groups {
        for collection in &group.collections {
            if let Rules::Application(written) = &collection.rules {
                let placed = written.iter().zip(&mut places);
                rules.extend(placed.map(|(rule, place)| Ranked {
                    group,
                    collection,
                    rule,
                    place,
                }));
            }
        }
    }
    rules.sort_by_key(|ranked| (ranked.group.priority, ranked.collection.priority));
    rules
}

fn never_matches(ranked: &Ranked<'_>, covered: &[Cover], rules: &[Ranked<'_>]) -> Finding {
    let mut by: Vec<usize> = covered.iter().map(|(_, (rule, _))| *rule).collect();
    by.sort_unstable();
    by.dedup();
    let shown: Vec<String> = by.iter().take(3).map(|rule| rules[*rule].label()).collect();
    let more = if by.len() > 3 {
        format!(" and {} more", by.len() - 3)
    } else {
        String::new()
    };
    let by = shown.join(", ");
    Finding::warning(ranked.place.span, format!("rule {} never matches", ranked.label())).hint(format!(
        "all of it is taken before by {by}{more}: give it a lower priority number, or leave it out"
    ))
}

/// Names out of tags overlap by nature; only names that someone wrote are told of.
fn already_taken(index: usize, (target, (by, other)): Cover, rules: &[Ranked<'_>]) -> Option<Finding> {
    let span = *rules[index].place.patterns.get(target)?;
    let pattern = &rules[index].rule.targets[target].pattern;
    let taker = &rules[by].rule.targets[other].pattern;
    let by = if by == index {
        "this rule itself".to_owned()
    } else {
        format!("rule {}", rules[by].label())
    };
    let through = if taker == pattern {
        String::new()
    } else {
        format!(" with `{taker}`")
    };
    Some(Finding::warning(
        span,
        format!("`{pattern}` is already taken by {by}{through}"),
    ))
}

/// A pattern as a key.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Exact(&'a str),
    Below(&'a str),
    EndsWith(&'a str),
    Any,
}

impl<'a> Key<'a> {
    fn of(pattern: &'a FqdnPattern) -> Self {
        match pattern {
            FqdnPattern::Exact(name) => Self::Exact(name.as_str()),
            FqdnPattern::Below(zone) => Self::Below(zone.as_str()),
            FqdnPattern::EndsWith(ending) => Self::EndsWith(ending),
            FqdnPattern::Any => Self::Any,
        }
    }
}

/// The patterns before the one that is looked at, with rule and target.
struct Earlier<'a> {
    rules: &'a [Ranked<'a>],
    patterns: HashMap<Key<'a>, Vec<(usize, usize)>>,
    /// There is an [`FqdnPattern::EndsWith`]: without one, looking for them would cost a look-up per letter.
    cut_labels: bool,
}

impl<'a> Earlier<'a> {
    fn add(&mut self, rule: usize, target: usize) {
        let pattern = &self.rules[rule].rule.targets[target].pattern;
        self.patterns
            .entry(Key::of(pattern))
            .or_insert_with(|| Vec::with_capacity(1))
            .push((rule, target));
        self.cut_labels |= matches!(pattern, FqdnPattern::EndsWith(_));
    }

    /// An earlier rule and target that take all that this target could.
    fn cover(&self, index: usize, target: usize) -> Option<(usize, usize)> {
        let pattern = &self.rules[index].rule.targets[target].pattern;
        let candidates = wider(pattern, self.cut_labels).filter_map(|key| self.patterns.get(&key));
        let mut looked_at = candidates.flat_map(|found| found.iter().take(MOST_CANDIDATES));
        looked_at
            .find(|earlier| self.takes(**earlier, (index, target)))
            .copied()
    }

    /// Whether the earlier target, whose pattern is as wide, also admits all ports and sources of the later one.
    fn takes(&self, earlier: (usize, usize), later: (usize, usize)) -> bool {
        let (wide, narrow) = (self.rules[earlier.0].rule, self.rules[later.0].rule);
        let held = effective_ports(wide, &wide.targets[earlier.1]);
        let ports = effective_ports(narrow, &narrow.targets[later.1]);
        !ports.is_empty()
            && ports.iter().all(|port| held.contains(port))
            && (earlier.0 == later.0 || cover_sources(&wide.sources, &narrow.sources))
    }
}

/// The keys of all patterns that admit everything this one does, itself first.
fn wider(pattern: &FqdnPattern, cut_labels: bool) -> impl Iterator<Item = Key<'_>> {
    let text = match pattern {
        FqdnPattern::Exact(name) | FqdnPattern::Below(name) => name.as_str(),
        FqdnPattern::EndsWith(ending) => ending,
        FqdnPattern::Any => "",
    };
    let parents = text.match_indices('.').map(|(dot, _)| Key::Below(&text[dot + 1..]));
    // `*contoso.com` admits `contoso.com` and all that ends so; what is below a zone ends in the zone.
    let ends = if cut_labels { text } else { "" };
    let endings = ends.char_indices().map(|(at, _)| Key::EndsWith(&ends[at..]));
    std::iter::once(Key::of(pattern))
        .chain(parents)
        .chain(endings)
        .chain([Key::Any])
}

/// Protocols and ports that a target admits: those of the rule, cut by those of its tag.
fn effective_ports(rule: &ApplicationRule, target: &TargetFqdn) -> Vec<ProtocolPort> {
    let admitted = |port: &&ProtocolPort| target.ports.as_ref().is_none_or(|ports| ports.contains(port));
    rule.protocols.iter().filter(admitted).copied().collect()
}

fn cover_sources(earlier: &Sources, later: &Sources) -> bool {
    match (earlier, later) {
        (Sources::Any { .. }, _) => true,
        (Sources::Nets(_), Sources::Any { .. }) => false,
        (Sources::Nets(earlier), Sources::Nets(later)) => earlier == later || cover_nets(earlier, later),
    }
}

fn cover_nets(earlier: &[IpNet], later: &[IpNet]) -> bool {
    earlier.len().saturating_mul(later.len()) <= MOST_COMPARISONS
        && later.iter().all(|net| earlier.iter().any(|wide| wide.contains(net)))
}
