//! What became of each thing that the files hold: carried, approximated or absent, with its place. Nothing is left unsaid.

use super::value::Place;
use crate::printable::printable;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write, sync::Arc};

/// What an item is. Rules are counted by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ItemKind {
    Policy,
    Setting,
    IpGroup,
    RuleCollectionGroup,
    RuleCollection,
    NatRule,
    NetworkRule,
    ApplicationRule,
    /// A part of the file that may hold rules, and that cannot be read offline.
    NotRead,
}

impl ItemKind {
    fn plural(self) -> &'static str {
        match self {
            Self::Policy => "policies",
            Self::Setting => "settings",
            Self::IpGroup => "IP groups",
            Self::RuleCollectionGroup => "rule collection groups",
            Self::RuleCollection => "rule collections",
            Self::NatRule => "DNAT rules",
            Self::NetworkRule => "network rules",
            Self::ApplicationRule => "application rules",
            Self::NotRead => "parts that cannot be read",
        }
    }
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it was.
    Carried,
    /// Changed in a way that never lets more through; the notes say how.
    Approximated,
    /// Left out; the notes say why.
    Absent,
}

/// One thing that a file holds.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// `group/collection/rule`, as rows will name it.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How it was changed, or why it was left out.
    pub notes: Vec<String>,
    /// It denies, in whole or in part, what is now not denied: possible with `partial` alone.
    pub not_enforced: bool,
    /// File that holds it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Its JSON path (RFC 9535).
    pub path: String,
    #[serde(skip)]
    pub(super) at: Place,
}

/// Items of one kind by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Count {
    pub held: usize,
    pub carried: usize,
    pub approximated: usize,
    pub absent: usize,
}

/// A parameter of a template that something asks for and that nobody gave a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unset {
    /// Its name.
    pub name: String,
    /// File that defines it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

/// The whole account.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ImportReport {
    /// The files, as they were named.
    pub files: Vec<Arc<str>>,
    /// The policies that are judged, root parent first.
    pub policies: Vec<String>,
    /// Items by kind.
    pub counts: BTreeMap<ItemKind, Count>,
    /// Everything that the files hold, in their order.
    pub items: Vec<Item>,
    /// Parameters without a value that something depends on.
    pub unset: Vec<Unset>,
}

impl ImportReport {
    pub(super) fn new(files: Vec<Arc<str>>, policies: Vec<String>, mut items: Vec<Item>, unset: Vec<Unset>) -> Self {
        items.sort_by_key(|item| item.at);
        let mut counts: BTreeMap<ItemKind, Count> = BTreeMap::new();
        for item in &items {
            let count = counts.entry(item.kind).or_default();
            count.held += 1;
            *match item.outcome {
                Outcome::Carried => &mut count.carried,
                Outcome::Approximated => &mut count.approximated,
                Outcome::Absent => &mut count.absent,
            } += 1;
        }
        Self {
            files,
            policies,
            counts,
            items,
            unset,
        }
    }

    /// What denies in Azure and is not denied here, each in one line.
    pub fn not_enforced(&self) -> Vec<String> {
        let items = self.items.iter().filter(|item| item.not_enforced);
        items
            .map(|item| printable(&format!("{}: {}", item.name, item.notes.join("; "))))
            .collect()
    }

    /// Each parameter without a value that something depends on, in one line.
    pub(super) fn without_value(&self) -> Option<String> {
        let names: Vec<&str> = self.unset.iter().map(|one| one.name.as_str()).collect();
        let told = || {
            let names = printable(&names.join(", "));
            format!(
                "parameters without a value, on which something depends (`--set NAME=VALUE`, `--parameters FILE`): {names}"
            )
        };
        (!names.is_empty()).then(told)
    }

    /// For people: what is not as it was, then the counts.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for item in self.items.iter().filter(|item| !item.notes.is_empty()) {
            let outcome = match item.outcome {
                Outcome::Carried => "note",
                Outcome::Approximated => "approximated",
                Outcome::Absent => "absent",
            };
            let loud = if item.not_enforced { "NOT ENFORCED, " } else { "" };
            let (kind, name) = (singular(item.kind), printable(&item.name));
            let place = format!("{}:{}:{} {}", item.file, item.line, item.column, item.path);
            let _ = writeln!(text, "{loud}{outcome}: {kind} `{name}`\n  --> {}", printable(&place));
            for note in &item.notes {
                let _ = writeln!(text, "  = {}", printable(note));
            }
        }
        for (kind, count) in &self.counts {
            let _ = writeln!(
                text,
                "{:>5} {}: {} carried, {} approximated, {} absent",
                count.held,
                kind.plural(),
                count.carried,
                count.approximated,
                count.absent
            );
        }
        text.extend(self.without_value().map(|unset| unset + "\n"));
        text
    }
}

fn singular(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Policy => "policy",
        ItemKind::Setting => "setting",
        ItemKind::IpGroup => "IP group",
        ItemKind::RuleCollectionGroup => "rule collection group",
        ItemKind::RuleCollection => "rule collection",
        ItemKind::NatRule => "DNAT rule",
        ItemKind::NetworkRule => "network rule",
        ItemKind::ApplicationRule => "application rule",
        ItemKind::NotRead => "part",
    }
}
