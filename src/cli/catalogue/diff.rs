//! `egret catalogue diff`: what a folder makes of the tags that are built in.

use super::show::{paragraph, spoken};
use crate::{
    catalogue::{Catalogue, Endpoint, FqdnTag},
    cli::{
        Answer,
        output::{count, print},
    },
    policy::FqdnPattern,
};
use clap::Args;
use serde_json::{Value, json};
use std::{fmt::Write, path::PathBuf};

/// `egret catalogue diff`
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// Tag files of your own
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What became of one tag.
struct Change<'a> {
    tag: &'a str,
    /// Not built in.
    new: bool,
    /// Title or main placeholder: what it is, what it was, what it became.
    own: Vec<Field>,
    added: Vec<&'a Endpoint>,
    removed: Vec<&'a Endpoint>,
    changed: Vec<(&'a Endpoint, Vec<Field>)>,
}

/// A field that differs: name, before, after.
type Field = (&'static str, String, String);

/// The answer is yes if the folder changes nothing.
pub fn run(args: &DiffArgs) -> anyhow::Result<Answer> {
    let ours = Catalogue::load(&args.folder)?;
    let changes = changes(Catalogue::embedded(), &ours);
    let text = if args.json {
        format!("{:#}\n", changes.iter().map(Change::json).collect::<Value>())
    } else {
        text(&changes)
    };
    print(&text)?;
    Ok(changes.is_empty().into())
}

/// Tags of the second catalogue that are not as in the first. A folder cannot take a tag away.
fn changes<'a>(built_in: &'a Catalogue, ours: &'a Catalogue) -> Vec<Change<'a>> {
    let change = |tag: &'a FqdnTag| Change::of(built_in.tag(tag.name()), tag);
    ours.tags().map(change).filter(|change| !change.is_empty()).collect()
}

impl<'a> Change<'a> {
    fn of(before: Option<&'a FqdnTag>, after: &'a FqdnTag) -> Self {
        let mut removed: Vec<&Endpoint> = before.iter().flat_map(|tag| tag.endpoints()).collect();
        let mut added: Vec<&Endpoint> = Vec::new();
        for endpoint in after.endpoints() {
            match removed.iter().position(|other| fields(other) == fields(endpoint)) {
                Some(same) => drop(removed.remove(same)),
                None => added.push(endpoint),
            }
        }
        let mut changed = Vec::new();
        added.retain(|endpoint| {
            let was = |other: &&Endpoint| other.pattern() == endpoint.pattern() && other.cloud == endpoint.cloud;
            let Some(at) = removed.iter().position(was) else {
                return true;
            };
            changed.push((*endpoint, differing(fields(removed.remove(at)), fields(endpoint))));
            false
        });
        let own = before.map(|tag| differing(own(tag), own(after)));
        Self {
            tag: after.name(),
            new: before.is_none(),
            own: own.unwrap_or_default(),
            added,
            removed,
            changed,
        }
    }

    fn is_empty(&self) -> bool {
        !self.new && self.own.is_empty() && self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn text(&self, text: &mut String) {
        let _ = writeln!(text, "{}{}", self.tag, if self.new { " (new)" } else { "" });
        for (field, before, after) in &self.own {
            paragraph(text, "  ~ ", &format!("{field}: {before} -> {after}"));
        }
        for endpoint in &self.removed {
            paragraph(text, "  - ", &one_line(endpoint));
        }
        for endpoint in &self.added {
            paragraph(text, "  + ", &added(endpoint));
        }
        for (endpoint, fields) in &self.changed {
            let _ = writeln!(text, "  ~ {}", endpoint.pattern());
            for (field, before, after) in fields {
                paragraph(text, "      ", &format!("{field}: {before} -> {after}"));
            }
        }
    }

    fn json(&self) -> Value {
        let field = |(name, before, after): &Field| json!({ "field": name, "before": before, "after": after });
        let fields = |list: &[Field]| list.iter().map(field).collect::<Value>();
        let patterns = |list: &[&Endpoint], said: fn(&Endpoint) -> String| {
            list.iter().map(|endpoint| json!(said(endpoint))).collect::<Value>()
        };
        let changed = self.changed.iter();
        let changed = changed.map(|(endpoint, list)| json!({ "pattern": endpoint.pattern(), "fields": fields(list) }));
        json!({
            "tag": self.tag,
            "new": self.new,
            "fields": fields(&self.own),
            "added": patterns(&self.added, added),
            "removed": patterns(&self.removed, one_line),
            "changed": changed.collect::<Value>(),
        })
    }
}

fn text(changes: &[Change<'_>]) -> String {
    if changes.is_empty() {
        return "the folder changes nothing\n".into();
    }
    let mut text = String::new();
    for change in changes {
        change.text(&mut text);
    }
    let sum = |of: fn(&Change<'_>) -> usize| changes.iter().map(of).sum::<usize>();
    let _ = writeln!(
        text,
        "\n{} of {} differ: {} added, {} removed, {} changed",
        count(changes.len(), "tag"),
        Catalogue::embedded().tags().count() + sum(|change| usize::from(change.new)),
        count(sum(|change| change.added.len()), "name"),
        sum(|change| change.removed.len()),
        sum(|change| change.changed.len()),
    );
    text
}

/// A name that came in: a star over names of everybody, or of every tenant, is marked as wide.
fn added(endpoint: &Endpoint) -> String {
    let line = one_line(endpoint);
    let star = FqdnPattern::parse(&endpoint.pattern()).ok();
    let star = star.filter(|pattern| !matches!(pattern, FqdnPattern::Exact(_)));
    match star.map(|star| (Catalogue::embedded().multi_tenant(&star), star.needs_allow_wide())) {
        Some((Some(suffix), _)) => format!("{line}, wide: every tenant's names under {suffix}"),
        Some((None, true)) => format!("{line}, wide: names of everybody"),
        _ => line,
    }
}

fn one_line(endpoint: &Endpoint) -> String {
    let feature = endpoint.feature.as_ref().map(|feature| format!(", feature {feature}"));
    format!(
        "{}  {}, {}{}, {}",
        endpoint.pattern(),
        spoken(endpoint),
        endpoint.need.name(),
        feature.unwrap_or_default(),
        endpoint.cloud.name()
    )
}

fn own(tag: &FqdnTag) -> Vec<(&'static str, String)> {
    vec![
        ("title", tag.title().to_owned()),
        ("placeholder", or_none(tag.placeholder())),
    ]
}

/// What an entry says, sources apart: where a fact was read does not change what is admitted.
fn fields(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    vec![
        ("pattern", endpoint.pattern()),
        ("ports", spoken(endpoint)),
        ("need", endpoint.need.name().to_owned()),
        ("feature", or_none(endpoint.feature.as_deref())),
        ("cloud", endpoint.cloud.name().to_owned()),
        ("private_link_zone", or_none(endpoint.private_link_zone.as_deref())),
        ("purpose", endpoint.purpose.clone()),
        ("note", or_none(endpoint.note.as_deref())),
    ]
}

fn or_none(text: Option<&str>) -> String {
    text.unwrap_or("none").to_owned()
}

fn differing(before: Vec<(&'static str, String)>, after: Vec<(&'static str, String)>) -> Vec<Field> {
    let pairs = before.into_iter().zip(after);
    let pairs = pairs.filter(|((_, before), (_, after))| before != after);
    pairs
        .map(|((name, before), (_, after))| (name, before, after))
        .collect()
}
