//! [`Finding`]: a problem as the checks say it, its place still a span; [`Report`] gathers them.

use super::{Problem, Severity, place};
use crate::config::at::{At, Span};
use std::{collections::HashSet, sync::Arc};

/// A problem whose place is still a span.
#[derive(Clone, Debug)]
pub struct Finding {
    severity: Severity,
    pub(super) span: Span,
    found: String,
    expected: String,
    hint: String,
    pub(super) see: Vec<(String, Span)>,
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

    /// As it is told where there is no text to find its place in.
    pub(super) fn without_place(self, file: Arc<str>) -> Problem {
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

/// Most problems that are told of one file; the rest are counted.
const MOST_PROBLEMS: usize = 200;

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
            Some(text) => place::placed(self.findings, file, text),
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
