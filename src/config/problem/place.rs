//! Where findings are in a text: line, column, the path of the key, and the part of the line that is meant.

use super::{Finding, Problem, Quote, See};
use crate::{config::at::Span, printable::steers};
use std::{collections::HashMap, sync::Arc};
use toml::de::{DeTable, DeValue};

/// Longest part of a line that is quoted, in characters.
const LONGEST_QUOTE: usize = 120;

/// Findings in the order of the text, with their places there.
pub(super) fn placed(findings: Vec<Finding>, file: &Arc<str>, text: &str) -> Vec<Problem> {
    let keys = keys_at(text, &findings);
    let seen = places_of(text, file, &findings);
    let mut lines = Lines { text, line: 1, at: 0 };
    let place = |finding: Finding| {
        let at = |(what, span): &(String, Span)| See {
            what: what.clone(),
            ..seen[&span.start].clone()
        };
        let see = finding.see.iter().map(at).collect();
        Problem {
            see,
            ..lines.place(finding, file, &keys)
        }
    };
    findings.into_iter().map(place).collect()
}

/// Walks a text once for findings in its order: one pass, however many there are.
struct Lines<'a> {
    text: &'a str,
    line: usize,
    at: usize,
}

impl Lines<'_> {
    fn place(&mut self, finding: Finding, file: &Arc<str>, keys: &HashMap<u32, String>) -> Problem {
        let text = self.text;
        let start = floor(text, finding.span.start as usize);
        let end = floor(text, (finding.span.end as usize).max(start));
        self.line += text[self.at..start].bytes().filter(|byte| *byte == b'\n').count();
        self.at = start;
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let column = text[line_start..start].chars().count();
        let width = text[start..end.min(line_end)].chars().count();
        Problem {
            line: u32::try_from(self.line).unwrap_or(u32::MAX),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
            key: keys.get(&finding.span.start).cloned().unwrap_or_default(),
            quote: Some(quote(text[line_start..line_end].trim_end(), column, width)),
            ..finding.without_place(file.clone())
        }
    }
}

/// Each other place that a finding names, by its first byte.
fn places_of(text: &str, file: &Arc<str>, findings: &[Finding]) -> HashMap<u32, See> {
    let mut spans: Vec<Span> = findings
        .iter()
        .flat_map(|finding| &finding.see)
        .map(|(_, span)| *span)
        .collect();
    spans.sort_unstable();
    spans.dedup_by_key(|span| span.start);
    let mut lines = Lines { text, line: 1, at: 0 };
    let place = |span: Span| {
        let there = lines.place(Finding::warning(span, ""), file, &HashMap::new());
        let see = See {
            what: String::new(),
            file: there.file,
            line: there.line,
            column: there.column,
        };
        (span.start, see)
    };
    spans.into_iter().map(place).collect()
}

fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// The part of a line around what is meant.
fn quote(line: &str, column: usize, width: usize) -> Quote {
    let skipped = if column + width.min(40) > LONGEST_QUOTE {
        column.saturating_sub(20)
    } else {
        0
    };
    let visible = |c: char| if steers(c) { ' ' } else { c };
    let text: String = line.chars().skip(skipped).take(LONGEST_QUOTE).map(visible).collect();
    let indent = column - skipped;
    let room = text.chars().count().saturating_sub(indent);
    Quote {
        text,
        indent,
        width: width.clamp(1, room.max(1)),
    }
}

/// The path of the key or value that starts where a finding does. The document is read again for it, so that no check needs
/// to know where it is.
fn keys_at(text: &str, findings: &[Finding]) -> HashMap<u32, String> {
    let mut keys: HashMap<u32, String> = findings
        .iter()
        .map(|finding| (finding.span.start, String::new()))
        .collect();
    let (document, _) = DeTable::parse_recoverable(text);
    note_table(document.get_ref(), "", &mut keys);
    keys
}

fn note(span: std::ops::Range<usize>, path: &str, keys: &mut HashMap<u32, String>) {
    if let Some(key) = keys.get_mut(&Span::from(span).start) {
        *key = path.to_owned();
    }
}

fn note_table(table: &DeTable<'_>, path: &str, keys: &mut HashMap<u32, String>) {
    let dot = if path.is_empty() { "" } else { "." };
    for (key, value) in table.iter() {
        let path = format!("{path}{dot}{}", key.get_ref());
        note_value(value.get_ref(), value.span(), &path, keys);
        note(key.span(), &path, keys);
    }
}

fn note_value(value: &DeValue<'_>, span: std::ops::Range<usize>, path: &str, keys: &mut HashMap<u32, String>) {
    note(span, path, keys);
    match value {
        DeValue::Table(table) => note_table(table, path, keys),
        DeValue::Array(array) => {
            for (index, item) in array.iter().enumerate() {
                let name = item
                    .get_ref()
                    .as_table()
                    .and_then(|table| table.get("name")?.get_ref().as_str());
                let label = name.map_or_else(|| index.to_string(), str::to_owned);
                note_value(item.get_ref(), item.span(), &format!("{path}[{label}]"), keys);
            }
        }
        _ => {}
    }
}
