//! [`NameIndex`]: from a name to the rules whose patterns admit it, without looking at any other rule.
//!
//! One hash table holds the names of exact and `*.name` patterns; a lookup asks it for the name and then for each of its
//! suffixes on a label border, so its cost grows with the labels of the name and not with the number of patterns.
//! `*name` patterns are few and cut labels, so they have a table of their own that is asked once per distinct length.

use super::FqdnPattern;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

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

/// Patterns by name. About 70 bytes a pattern; the text is shared with the model.
#[derive(Debug)]
pub(super) struct NameIndex {
    names: Table,
    /// Endings of `*name` patterns; the empty one is `*`.
    endings: Table,
    /// Distinct lengths of the endings, ascending.
    lengths: Vec<u8>,
    /// Each list of a [`Node`] is a run of these, ascending.
    candidates: Box<[Candidate]>,
}

type Table = HashMap<Arc<str>, Node, NameHash>;

/// Where the candidates of one text are: those of the name itself, then those of names below it (or ending so).
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// While the index is built: its number.
    start: u32,
    exact: u32,
    below: u32,
}

impl NameIndex {
    /// All lists of candidates whose patterns admit the name, and whether they name it exactly. Allocates nothing.
    pub(super) fn lists<'t>(&'t self, name: &str) -> impl Iterator<Item = (bool, &'t [Candidate])> {
        let exact = self
            .names
            .get(name)
            .map(|node| (true, self.run(node.start, node.exact)));
        let parents = std::iter::successors(parent(name), |zone| parent(zone));
        let below = parents
            .filter_map(|zone| self.names.get(zone))
            .map(|node| self.below(node));
        let lengths = self.lengths.iter().map(|&length| usize::from(length));
        let endings = lengths
            .take_while(|&length| length <= name.len())
            .map(|length| &name[name.len() - length..]);
        let ending = endings
            .filter_map(|ending| self.endings.get(ending))
            .map(|node| self.below(node));
        exact.into_iter().chain(below.chain(ending).map(|list| (false, list)))
    }

    fn below(&self, node: &Node) -> &[Candidate] {
        self.run(node.start + node.exact, node.below)
    }

    fn run(&self, start: u32, length: u32) -> &[Candidate] {
        &self.candidates[start as usize..(start + length) as usize]
    }
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, zone)| zone)
}

/// Gathers patterns, in any order.
#[derive(Debug)]
pub(super) struct NameIndexBuilder {
    names: Table,
    endings: Table,
    nodes: u32,
    /// List number (twice the node's, plus one for its second list) and candidate.
    found: Vec<(u32, Candidate)>,
}

impl Default for NameIndexBuilder {
    fn default() -> Self {
        let hash = NameHash(RandomState::new().hash_one(0_u8));
        Self {
            names: Table::with_hasher(hash.clone()),
            endings: Table::with_hasher(hash),
            nodes: 0,
            found: Vec::new(),
        }
    }
}

impl NameIndexBuilder {
    pub(super) fn add(&mut self, pattern: &FqdnPattern, candidate: Candidate) {
        let (table, text, second) = match pattern {
            FqdnPattern::Exact(name) => (&mut self.names, name.shared(), 0),
            FqdnPattern::Below(zone) => (&mut self.names, zone.shared(), 1),
            FqdnPattern::EndsWith(ending) => (&mut self.endings, Arc::clone(ending), 1),
            FqdnPattern::Any => (&mut self.endings, Arc::from(""), 1),
        };
        let node = table.entry(text).or_insert_with(|| {
            self.nodes += 1;
            Node {
                start: self.nodes - 1,
                ..Node::default()
            }
        });
        self.found.push((node.start * 2 + second, candidate));
    }

    pub(super) fn build(mut self) -> NameIndex {
        self.found.sort_unstable();
        self.found.dedup();
        let mut nodes = vec![Node::default(); self.nodes as usize];
        for (list, _) in &self.found {
            let node = &mut nodes[*list as usize / 2];
            *(if list % 2 == 0 {
                &mut node.exact
            } else {
                &mut node.below
            }) += 1;
        }
        let mut start = 0;
        for node in &mut nodes {
            node.start = start;
            start += node.exact + node.below;
        }
        for node in self.names.values_mut().chain(self.endings.values_mut()) {
            *node = nodes[node.start as usize];
        }
        // A name has at most 253 bytes; a longer ending matches nothing and the parser lets none through.
        let mut lengths: Vec<u8> = self
            .endings
            .keys()
            .filter_map(|ending| ending.len().try_into().ok())
            .collect();
        lengths.sort_unstable();
        lengths.dedup();
        self.names.shrink_to_fit();
        NameIndex {
            names: self.names,
            endings: self.endings,
            lengths,
            candidates: self.found.into_iter().map(|(_, candidate)| candidate).collect(),
        }
    }
}

/// A seeded multiply-and-fold hash: names come from outside, so it must not be predictable, and a lookup hashes every
/// suffix, so it must be fast on 10 to 60 bytes; the standard one takes about three times as long there.
#[derive(Clone, Debug)]
struct NameHash(u64);

impl BuildHasher for NameHash {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher(self.0)
    }
}

struct NameHasher(u64);

impl NameHasher {
    fn mix(&mut self, word: u64) {
        /// 2^64 divided by the golden ratio: odd, with its bits well spread.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word) * FACTOR;
        self.0 = (product ^ (product >> 64)) as u64;
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = rest.len() as u8;
        self.mix(u64::from_le_bytes(last));
    }

    /// The mark that `str` puts at its end: the length of the rest is mixed in already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
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
        let mut rules: Vec<u32> = index.lists(name).flat_map(|(_, list)| list).map(|c| c.rule()).collect();
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
            .map(|(_, l)| l.iter().map(|c| c.rule()).collect())
            .collect();
        assert_eq!(lists, [vec![1, 3], vec![0, 2, 4]]);
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

    #[test]
    fn names_that_differ_in_the_last_bytes_hash_apart() {
        let hash = NameHash(7);
        let names = ["a", "aa", "a\0", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaa\0", ""];
        let mut hashes: Vec<u64> = names.iter().map(|name| hash.hash_one(name)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), names.len());
    }
}
