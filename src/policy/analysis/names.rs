//! Patterns as keys, and for a pattern the keys of all that are as wide.

use crate::policy::{FqdnPattern, TargetFqdn};
use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
};

/// Targets that are remembered of one pattern: more differ in source list or ports than anyone writes.
const MOST_OF_ONE_PATTERN: usize = 64;

/// A pattern as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Exact(&'a str),
    Below(&'a str),
    EndsWith(&'a str),
    Any,
}

impl<'a> Key<'a> {
    pub(super) fn of(pattern: &'a FqdnPattern) -> Self {
        match pattern {
            FqdnPattern::Exact(name) => Self::Exact(name.as_str()),
            FqdnPattern::Below(zone) => Self::Below(zone.as_str()),
            FqdnPattern::EndsWith(ending) => Self::EndsWith(ending),
            FqdnPattern::Any => Self::Any,
        }
    }

    pub(super) fn is_star(self) -> bool {
        !matches!(self, Self::Exact(_))
    }

    fn text(self) -> &'a str {
        match self {
            Self::Exact(text) | Self::Below(text) | Self::EndsWith(text) => text,
            Self::Any => "",
        }
    }

    /// Whether this pattern admits the name.
    pub(super) fn admits(self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Below(zone) => name.strip_suffix(zone).is_some_and(|left| left.ends_with('.')),
            Self::EndsWith(ending) => name.ends_with(ending),
            Self::Any => true,
        }
    }
}

/// A target that was met before: of which rule, for whom, on which ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// Number of the rule in the order in which they are judged.
    pub(super) rule: usize,
    pub(super) target: usize,
    /// Number of its source list.
    pub(super) sources: u32,
    /// Number of its ports.
    pub(super) ports: u32,
    /// It is a rule that allows: a star of it does not stand for the public names of ECH providers.
    pub(super) allows: bool,
}

/// The targets before the one that is looked at, by pattern.
#[derive(Default)]
pub(super) struct Earlier<'a> {
    by_pattern: HashMap<Key<'a>, Vec<Met>>,
    /// There is an [`FqdnPattern::EndsWith`]: without one, looking for them would cost a look-up per letter.
    cut_labels: bool,
}

impl<'a> Earlier<'a> {
    pub(super) fn with_room_for(targets: usize) -> Self {
        Self {
            by_pattern: HashMap::with_capacity(targets),
            cut_labels: false,
        }
    }

    /// Remembers a target, unless the same was met for the same sources and ports.
    pub(super) fn add(&mut self, target: &'a TargetFqdn, met: Met) {
        let key = Key::of(&target.pattern);
        let of_pattern = self.by_pattern.entry(key).or_insert_with(|| Vec::with_capacity(1));
        let known = |other: &Met| (other.sources, other.ports, other.allows) == (met.sources, met.ports, met.allows);
        if of_pattern.len() < MOST_OF_ONE_PATTERN && !of_pattern.iter().any(known) {
            of_pattern.push(met);
        }
        self.cut_labels |= matches!(key, Key::EndsWith(_));
    }

    /// What was met with patterns that are each as wide as this one, its own first.
    pub(super) fn as_wide(&self, pattern: Key<'a>) -> impl Iterator<Item = (Key<'a>, Met)> {
        let keys = wider(pattern, self.cut_labels);
        keys.flat_map(|key| {
            self.by_pattern
                .get(&key)
                .into_iter()
                .flatten()
                .map(move |met| (key, *met))
        })
    }
}

/// The keys of all patterns that admit everything this one does, itself first.
fn wider(pattern: Key<'_>, cut_labels: bool) -> impl Iterator<Item = Key<'_>> {
    let text = pattern.text();
    let parents = text.match_indices('.').map(|(dot, _)| Key::Below(&text[dot + 1..]));
    // `*contoso.com` admits `contoso.com` and all that ends so; what is below a zone ends in the zone.
    let ends = if cut_labels { text } else { "" };
    let endings = ends.char_indices().map(|(at, _)| Key::EndsWith(&ends[at..]));
    let all = parents.chain(endings).chain([Key::Any]);
    std::iter::once(pattern).chain(all.filter(move |key| *key != pattern))
}

/// A sum over the parts of a set: equal sets have equal ones, in whatever order they are written.
pub(super) fn unordered_hash<T: Hash>(parts: impl Iterator<Item = T>) -> u64 {
    let one = |part: T| {
        let mut hasher = std::hash::DefaultHasher::new();
        part.hash(&mut hasher);
        hasher.finish()
    };
    parts.map(one).fold(0, u64::wrapping_add)
}
