//! [`NameIndex`]: from a name to the rules whose patterns admit it, without looking at any other rule.
//!
//! One hash table holds the names of exact and `*.name` patterns; a lookup asks it for the name and then for each of its
//! suffixes on a label border, so its cost grows with the labels of the name and not with the number of patterns.
//! `*name` patterns are few and cut labels, so they have a table of their own that is asked once per distinct length.

use super::FqdnPattern;
use crate::seeded::Seeded;
use std::{collections::HashMap, slice, sync::Arc};

/// One pattern of one rule. Lower key first: earlier rules win, and inside a rule a pattern that is not wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    key: u32,
    /// Which set of ports, by number.
    pub(super) ports: u32,
}

impl Candidate {
    pub(super) fn new(rule: u32, wide: bool, ports: u32) -> Self {
        Self {
            key: rule << 1 | u32::from(wide),
            ports,
        }
    }

    /// The rank of its rule.
    pub(super) fn rule(self) -> u32 {
        self.key >> 1
    }

    /// The pattern stands for every tenant's resource.
    pub(super) fn wide(self) -> bool {
        self.key & 1 == 1
    }

    /// Whether it would win over `other`.
    pub(super) fn precedes(self, other: Self) -> bool {
        self.key < other.key
    }
}

/// What one probe has found.
pub(super) struct Found<'t> {
    /// The patterns are the very name.
    pub(super) exact: bool,
    /// Ascending.
    pub(super) candidates: &'t [Candidate],
    later: u32,
}

impl Found<'_> {
    /// Whether no list that follows holds one that would win over `candidate`.
    pub(super) fn ends_with(&self, candidate: Candidate) -> bool {
        candidate.key <= self.later
    }
}

/// Patterns by name. 40 to 75 bytes a pattern; the text is shared with the model.
#[derive(Debug)]
pub(super) struct NameIndex {
    names: Table<Node>,
    /// Endings of `*name` patterns; the empty one is `*`.
    endings: Table<Node>,
    /// Distinct lengths of the endings, ascending.
    lengths: Vec<u8>,
    /// Of the texts that have several.
    lists: Vec<Lists>,
}

type Table<T> = HashMap<Arc<str>, T, Seeded>;

/// What one text stands for. Two of them with their texts are one line of the processor's cache.
#[derive(Clone, Copy, Debug)]
struct Node {
    candidates: Candidates,
    /// The least key of all patterns that are asked after this text: stars of its parents, endings.
    later: u32,
}

/// Most texts have one, which is then at hand.
#[derive(Clone, Copy, Debug)]
enum Candidates {
    Exact(Candidate),
    Below(Candidate),
    /// By number.
    Several(u32),
}

/// Candidates of one text, ascending.
#[derive(Debug)]
struct Lists {
    /// Whose pattern is the name itself.
    exact: Box<[Candidate]>,
    /// Whose pattern is a star above it, or its ending.
    below: Box<[Candidate]>,
}

impl NameIndex {
    /// All lists of candidates whose patterns admit the name, the longest pattern first. Allocates nothing.
    pub(super) fn lists<'t>(&'t self, name: &str) -> impl Iterator<Item = Found<'t>> {
        let exact = self.names.get(name).map(|node| self.exact(node));
        let zones = parents(name).filter_map(|zone| self.names.get(zone));
        let below = zones.map(|node| self.below(node));
        let lengths = self.lengths.iter().map(|&length| usize::from(length));
        let endings = lengths
            .take_while(|&length| length <= name.len())
            .map(|length| &name[name.len() - length..]);
        let ending = endings
            .filter_map(|ending| self.endings.get(ending))
            .map(|node| self.below(node));
        exact.into_iter().chain(below).chain(ending)
    }

    fn exact<'t>(&'t self, node: &'t Node) -> Found<'t> {
        let candidates = match &node.candidates {
            Candidates::Exact(one) => slice::from_ref(one),
            Candidates::Below(_) => &[],
            Candidates::Several(number) => &self.lists[*number as usize].exact,
        };
        Found {
            exact: true,
            candidates,
            later: node.later,
        }
    }

    fn below<'t>(&'t self, node: &'t Node) -> Found<'t> {
        let candidates = match &node.candidates {
            Candidates::Exact(_) => &[],
            Candidates::Below(one) => slice::from_ref(one),
            Candidates::Several(number) => &self.lists[*number as usize].below,
        };
        Found {
            exact: false,
            candidates,
            later: node.later,
        }
    }
}

/// What a name is below of, the longest first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    fn parent(name: &str) -> Option<&str> {
        name.split_once('.').map(|(_, zone)| zone)
    }
    std::iter::successors(parent(name), |zone| parent(zone))
}

/// Gathers patterns, in any order.
#[derive(Debug)]
pub(super) struct NameIndexBuilder {
    /// The texts by number; both kinds are counted in one.
    names: Table<u32>,
    endings: Table<u32>,
    /// Number of the text, whether the pattern is not the name itself, and candidate.
    found: Vec<(u32, bool, Candidate)>,
}

impl Default for NameIndexBuilder {
    fn default() -> Self {
        let hash = Seeded::new();
        Self {
            names: Table::with_hasher(hash.clone()),
            endings: Table::with_hasher(hash),
            found: Vec::new(),
        }
    }
}

impl NameIndexBuilder {
    pub(super) fn add(&mut self, pattern: &FqdnPattern, candidate: Candidate) {
        let next = (self.names.len() + self.endings.len()) as u32;
        let (table, text, below) = match pattern {
            FqdnPattern::Exact(name) => (&mut self.names, name.shared(), false),
            FqdnPattern::Below(zone) => (&mut self.names, zone.shared(), true),
            FqdnPattern::EndsWith(ending) => (&mut self.endings, Arc::clone(ending), true),
            FqdnPattern::Any => (&mut self.endings, Arc::from(""), true),
        };
        let number = *table.entry(text).or_insert(next);
        self.found.push((number, below, candidate));
    }

    pub(super) fn build(mut self) -> NameIndex {
        self.found.sort_unstable();
        self.found.dedup();
        let mut lists = Vec::new();
        // Each number has its run.
        let runs = self.found.chunk_by(|one, next| one.0 == next.0);
        let candidates: Vec<Candidates> = runs.map(|run| Candidates::of(run, &mut lists)).collect();
        let least = |number: &u32| candidates[*number as usize].least_below(&lists);
        let least_ending = self.endings.values().map(least).min().unwrap_or(u32::MAX);
        let node = |number: u32, least_zone: Option<u32>| Node {
            candidates: candidates[number as usize],
            later: least_zone.unwrap_or(u32::MAX).min(least_ending),
        };
        let mut names = Table::with_capacity_and_hasher(self.names.len(), self.names.hasher().clone());
        names.extend(self.names.iter().map(|(name, number)| {
            let zones = parents(name).filter_map(|zone| self.names.get(zone));
            (Arc::clone(name), node(*number, zones.map(least).min()))
        }));
        let mut endings = Table::with_capacity_and_hasher(self.endings.len(), self.endings.hasher().clone());
        endings.extend(
            self.endings
                .into_iter()
                .map(|(ending, number)| (ending, node(number, None))),
        );
        NameIndex {
            lengths: lengths(&endings),
            names,
            endings,
            lists,
        }
    }
}

impl Candidates {
    /// Of a run of those of one text, ascending.
    fn of(run: &[(u32, bool, Candidate)], lists: &mut Vec<Lists>) -> Self {
        if let [(_, below, one)] = run {
            return if *below { Self::Below(*one) } else { Self::Exact(*one) };
        }
        let (exact, below) = run.split_at(run.partition_point(|(_, below, _)| !below));
        let list = |run: &[(u32, bool, Candidate)]| run.iter().map(|(_, _, candidate)| *candidate).collect();
        lists.push(Lists {
            exact: list(exact),
            below: list(below),
        });
        Self::Several(lists.len() as u32 - 1)
    }

    /// The least key of those whose pattern is not the name itself.
    fn least_below(self, lists: &[Lists]) -> u32 {
        let first = match self {
            Self::Exact(_) => None,
            Self::Below(one) => Some(one),
            Self::Several(number) => lists[number as usize].below.first().copied(),
        };
        first.map_or(u32::MAX, |first| first.key)
    }
}

/// A name has at most 253 bytes; a longer ending matches nothing and the parser lets none through.
fn lengths(endings: &Table<Node>) -> Vec<u8> {
    let lengths = endings.keys().filter_map(|ending| ending.len().try_into().ok());
    let mut lengths: Vec<u8> = lengths.collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(patterns: &[&str]) -> NameIndex {
        let mut builder = NameIndexBuilder::default();
        for (rank, pattern) in patterns.iter().enumerate() {
            builder.add(
                &FqdnPattern::parse(pattern).unwrap(),
                Candidate::new(rank as u32, false, 0),
            );
        }
        builder.build()
    }

    fn found(index: &NameIndex, name: &str) -> Vec<u32> {
        let mut rules: Vec<u32> = index
            .lists(name)
            .flat_map(|found| found.candidates)
            .map(|c| c.rule())
            .collect();
        rules.sort_unstable();
        rules
    }

    #[test]
    fn every_kind_of_pattern_is_found_by_its_names_and_no_others() {
        let index = index(&["a.b.c", "*.b.c", "*b.c", "*", "*.c", "b.c", "*.a.b.c", "*xb.c"]);
        assert_eq!(found(&index, "a.b.c"), [0, 1, 2, 3, 4]);
        assert_eq!(found(&index, "b.c"), [2, 3, 4, 5]);
        assert_eq!(found(&index, "z.a.b.c"), [1, 2, 3, 4, 6]);
        assert_eq!(found(&index, "xb.c"), [2, 3, 4, 7]);
        assert_eq!(found(&index, "c"), [3]);
        assert_eq!(found(&index, "other.test"), [3]);
    }

    #[test]
    fn a_pattern_of_many_rules_lists_them_in_order() {
        let index = index(&["*.a.b", "x.a.b", "*.a.b", "x.a.b", "*.a.b"]);
        let lists: Vec<Vec<u32>> = index
            .lists("x.a.b")
            .map(|found| found.candidates.iter().map(|c| c.rule()).collect())
            .collect();
        assert_eq!(lists, [vec![1, 3], vec![0, 2, 4]]);
    }

    #[test]
    fn a_list_ends_the_search_only_for_what_no_later_list_wins_over() {
        let lookups = |patterns: &[&str]| {
            let index = index(patterns);
            let ends = |found: Found<'_>| found.candidates.iter().map(|c| found.ends_with(*c)).collect();
            index.lists("x.a.b").map(ends).collect::<Vec<Vec<bool>>>()
        };
        assert_eq!(lookups(&["x.a.b", "*.a.b", "*.b"]), [[true], [true], [true]]);
        assert_eq!(lookups(&["*.b", "*.a.b", "x.a.b"]), [[false], [false], [true]]);
        assert_eq!(lookups(&["*.a.b", "x.a.b", "*.b"]), [[false], [true], [true]]);
        assert_eq!(lookups(&["*", "x.a.b"]), [[false], [true]]);
        assert_eq!(lookups(&["x.a.b", "*"]), [[true], [true]]);
        assert_eq!(
            lookups(&["*a.b", "x.a.b", "*b"]),
            [[false], [false], [true]],
            "endings share a bound"
        );
        let others = lookups(&["*.x.a.b", "a.b", "b", "*.c", "x.a.b"]);
        assert_eq!(
            others,
            [vec![true], vec![], vec![]],
            "patterns that do not admit the name"
        );
        let stops = lookups(&["x.a.b", "*.b", "x.a.b"]);
        assert_eq!(stops, [vec![true, false], vec![true]]);
    }

    #[test]
    fn n16_a_near_miss_among_many_patterns_looks_at_none_of_them() {
        let suffix = vec!["label"; 20].join(".");
        let patterns: Vec<String> = (0..50_000)
            .flat_map(|i| [format!("n{i}.{suffix}"), format!("*.z{i}.{suffix}")])
            .collect();
        let index = index(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        for (near, why) in [
            ("x.n7", "below an exact name"),
            ("z7", "the apex of a star"),
            ("n50000", "no pattern"),
        ] {
            let near = format!("{near}.{suffix}");
            assert!(
                found(&index, &near).is_empty() && index.lists(&near).count() <= 1,
                "{why}"
            );
        }
        assert_eq!(found(&index, &format!("a.z49999.{suffix}")), [99_999]);
    }
}
