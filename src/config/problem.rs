//! [`Problem`]: one thing that is wrong, or dubious, in a configuration; [`Report`] gathers all of them.

use super::at::{At, Span};
pub(crate) use crate::printable::printable;
use crate::printable::steers;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};
use toml::de::{DeTable, DeValue};

/// Most problems that are told of one file; the rest are counted.
const MOST_PROBLEMS: usize = 200;

/// Longest part of a line that is quoted, in characters.
const LONGEST_QUOTE: usize = 120;

/// Whether a problem keeps the configuration from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It does not load.
    Error,
    /// It loads, and this is printed.
    Warning,
}

/// One thing that is wrong or dubious, with its place and what would be right. [`fmt::Display`] shows it with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration loads all the same.
    pub severity: Severity,
    /// File name as given; `command line` for flags.
    pub file: Arc<str>,
    /// Line, from 1; 0 where there is no position (flags, a file that cannot be read).
    pub line: u32,
    /// Column in characters, from 1; 0 where there is no position.
    pub column: u32,
    /// Path of the key (`rule_collection_group[ai].priority`), empty for the whole file.
    pub key: String,
    /// What is there, said as a problem: `unknown key`, `priority 70 is out of range`.
    pub found: String,
    /// What would be right; empty if there is nothing to say.
    pub expected: String,
    /// What to do; empty if there is nothing to say.
    pub hint: String,
    /// Other places that it has to do with.
    pub see: Vec<See>,
    /// The line itself and the part of it that is meant; `None` where there is no position.
    pub quote: Option<Quote>,
}

/// Another place that a problem has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct See {
    /// What is there.
    pub what: String,
    /// File name as given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for See {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}:{}", self.what, self.file, self.line, self.column)
    }
}

/// A line of the file, cut to what can be read, with the part that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The line without control characters.
    pub text: String,
    /// Characters before the part that is meant.
    pub indent: usize,
    /// Characters of the part that is meant, at least 1.
    pub width: usize,
}

impl Problem {
    /// An error that has no place in a text.
    pub fn unplaced(file: impl Into<Arc<str>>, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Finding::error(Span::default(), found)
            .hint(hint)
            .without_place(file.into())
    }

    /// `file:line:column`, or the file alone.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.to_string(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }

    /// All but the quoted line, on one line: for logs.
    pub fn one_line(&self) -> String {
        let mut text = format!("{}: {}", self.place(), self.found);
        if !self.key.is_empty() {
            text += &format!(" (key {})", self.key);
        }
        for (word, more) in [("expected", &self.expected), ("help", &self.hint)] {
            if !more.is_empty() {
                text += &format!("; {word}: {more}");
            }
        }
        for see in &self.see {
            text += &format!("; see: {see}");
        }
        printable(&text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", printable(&self.found))?;
        let margin = " ".repeat(self.line.max(1).to_string().len());
        write!(f, "{margin}--> {}", printable(&self.place()))?;
        if let Some(quote) = &self.quote {
            let marks = "^".repeat(quote.width);
            write!(f, "\n{margin} |\n{} | {}\n{margin} | ", self.line, quote.text)?;
            write!(f, "{}{marks}", " ".repeat(quote.indent))?;
        }
        for (word, text) in [("key", &self.key), ("expected", &self.expected), ("help", &self.hint)] {
            if !text.is_empty() {
                write!(f, "\n{margin} = {word}: {}", printable(text))?;
            }
        }
        for see in &self.see {
            write!(f, "\n{margin} = see: {}", printable(&see.to_string()))?;
        }
        Ok(())
    }
}

/// A problem whose place is still a span.
#[derive(Clone, Debug)]
pub struct Finding {
    severity: Severity,
    span: Span,
    found: String,
    expected: String,
    hint: String,
    see: Vec<(String, Span)>,
}

impl Finding {
    /// The configuration does not load.
    pub fn error(span: Span, found: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            found: found.into(),
            expected: String::new(),
            hint: String::new(),
            see: Vec::new(),
        }
    }

    /// The configuration loads, and this is printed.
    pub fn warning(span: Span, found: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, found)
        }
    }

    /// What would be right.
    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            ..self
        }
    }

    /// What to do.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    /// Other places that it has to do with.
    pub fn see(self, see: Vec<(String, Span)>) -> Self {
        Self { see, ..self }
    }

    fn without_place(self, file: Arc<str>) -> Problem {
        Problem {
            severity: self.severity,
            file,
            line: 0,
            column: 0,
            key: String::new(),
            found: self.found,
            expected: self.expected,
            hint: self.hint,
            see: Vec::new(),
            quote: None,
        }
    }
}

/// Gathers what is found in one text.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    errors: usize,
    left_out: usize,
    lost: HashSet<Span>,
}

impl Report {
    /// Adds one; past `MOST_PROBLEMS` it is only counted, except that the first error is never lost among warnings.
    pub fn add(&mut self, finding: Finding) {
        let error = finding.severity == Severity::Error;
        if self.findings.len() < MOST_PROBLEMS || (error && self.errors == 0) {
            self.findings.push(finding);
        } else {
            self.left_out += 1;
        }
        self.errors += usize::from(error);
    }

    /// Errors so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Findings so far, those that are only counted included.
    pub fn told(&self) -> usize {
        self.findings.len() + self.left_out
    }

    /// Notes that the list at this place lost something that is reported: then its being empty says nothing.
    pub fn lost(&mut self, list: Span) {
        self.lost.insert(list);
    }

    /// Whether a list is empty as it was written.
    pub fn says_nothing<T>(&self, list: &At<Vec<T>>) -> bool {
        list.is_empty() && !self.lost.contains(&list.span)
    }

    /// Whether the configuration does not load.
    pub fn failed(&self) -> bool {
        self.errors > 0
    }

    /// The findings with their places in `text`, in the order of the text.
    pub fn problems(mut self, file: &Arc<str>, text: Option<&str>) -> Vec<Problem> {
        // Only a text with problems pays for their places.
        if self.findings.is_empty() {
            return Vec::new();
        }
        self.findings.sort_by_key(|finding| finding.span);
        let mut problems: Vec<Problem> = match text {
            None => self
                .findings
                .into_iter()
                .map(|finding| finding.without_place(file.clone()))
                .collect(),
            Some(text) => {
                let keys = keys_at(text, &self.findings);
                let seen = places_of(text, file, &self.findings);
                let mut lines = Lines { text, line: 1, at: 0 };
                self.findings
                    .into_iter()
                    .map(|finding| {
                        let at = |(what, span): &(String, Span)| See {
                            what: what.clone(),
                            ..seen[&span.start].clone()
                        };
                        let see = finding.see.iter().map(at).collect();
                        Problem {
                            see,
                            ..lines.place(finding, file, &keys)
                        }
                    })
                    .collect()
            }
        };
        if self.left_out > 0 {
            let rest = Finding::warning(
                Span::default(),
                format!("{} more problems are not shown", self.left_out),
            );
            problems.push(rest.without_place(file.clone()));
        }
        problems
    }
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
