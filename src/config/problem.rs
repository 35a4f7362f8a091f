//! [`Problem`]: one thing that is wrong, or dubious, in a configuration, as it is told; [`Report`] gathers all of them.

mod finding;
mod place;

use super::at::Span;
pub(crate) use crate::printable::printable;
pub use finding::{Finding, Report};
use std::{fmt, sync::Arc};

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
