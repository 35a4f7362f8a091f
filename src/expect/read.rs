//! A file of expectations as written, and what makes a [`Suite`] of it: all problems at once, each with its place.

use super::{Expectation, Probe};
use crate::{
    config::{
        self, Problem,
        at::At,
        nearest::nearest,
        problem::{Finding, Report},
    },
    policy::{Action, Reason},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

/// Most expectations of one file.
const MOST_EXPECTATIONS: usize = 100_000;

/// Who asks where nothing is said: this machine, as `egret explain` has it.
const DEFAULT_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Why the policy alone decides an attempt: others come later in the life of a flow.
const REASONS: [Reason; 5] = [
    Reason::RuleMatched,
    Reason::NoRuleMatched,
    Reason::NameInvalid,
    Reason::BadAuthority,
    Reason::IpLiteral,
];

/// Policy tests of egret: attempts, and the decisions that are expected of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "egret policy tests")]
#[serde(deny_unknown_fields)]
pub struct FileSuite {
    /// Who asks where an attempt does not say it. Default `127.0.0.1`.
    source: Option<At<String>>,
    /// The attempts.
    #[serde(default)]
    attempt: Vec<FileAttempt>,
}

/// `[[attempt]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileAttempt {
    /// What it is about: a sentence that is true as long as the test passes.
    #[schemars(required, length(min = 1, max = 200))]
    name: Option<At<String>>,
    /// Address of who asks.
    source: Option<At<String>>,
    /// `https://host[:port]`, `http://host[:port]`, or `host:port` as a CONNECT names it.
    #[schemars(required, length(min = 1, max = 1024))]
    target: Option<At<String>>,
    /// What the policy is to say; in audit mode, what it would have said.
    #[schemars(required)]
    decision: Option<FileDecision>,
    /// The rule that is to decide: `group/collection/rule`.
    rule: Option<At<String>>,
    /// Why: `NoRuleMatched`, `RuleMatched`, `IpLiteral`, `NameInvalid`, `BadAuthority`.
    reason: Option<At<String>>,
}

/// `decision`
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum FileDecision {
    /// It goes through.
    Allow,
    /// It does not.
    Deny,
}

/// The expectations of one or more files.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// In the order of the files.
    pub expectations: Vec<Expectation>,
}

impl Suite {
    /// Reads a file. Fails with every problem of it.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        match String::from_utf8(config::read(path)?) {
            Ok(text) => Self::parse(&file, &text),
            Err(_) => Err(vec![Problem::unplaced(file, "is not UTF-8", "save it as UTF-8")]),
        }
    }

    /// Reads the text of a file called `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let file: Arc<str> = file.into();
        let mut report = Report::default();
        let written = config::parse::<FileSuite>(text, &mut report);
        let expectations = written.map(|written| expectations(&written, text, &file, &mut report));
        match expectations {
            Some(expectations) if !report.failed() => Ok(Self { expectations }),
            _ => Err(report.problems(&file, Some(text))),
        }
    }
}

fn expectations(written: &FileSuite, text: &str, file: &Arc<str>, report: &mut Report) -> Vec<Expectation> {
    let source = written
        .source
        .as_ref()
        .map_or(Some(DEFAULT_SOURCE), |text| address(text, report));
    if written.attempt.is_empty() && !report.failed() {
        let finding = Finding::error(config::at::Span::default(), "the file expects nothing");
        report.add(finding.expected("`[[attempt]]` with `name`, `target` and `decision`"));
    }
    if let Some(one) = written.attempt.get(MOST_EXPECTATIONS) {
        let span = one.name.as_ref().map_or_else(Default::default, |name| name.span);
        report.add(Finding::error(span, format!("more than {MOST_EXPECTATIONS} attempts")).hint("split the file"));
        return Vec::new();
    }
    let mut names: HashMap<&str, &At<String>> = HashMap::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut found = Vec::new();
    for attempt in &written.attempt {
        let (Some(name), Some(target), Some(decision)) = (&attempt.name, &attempt.target, attempt.decision) else {
            continue;
        };
        if let Some(other) = names.insert(name, name) {
            let finding = Finding::error(name.span, format!("`{}` is there twice", name.value));
            report.add(
                finding
                    .hint("each test has a name of its own")
                    .see(vec![("the other one".into(), other.span)]),
            );
        }
        let own = attempt.source.as_ref().map(|text| address(text, report));
        let reason = attempt.reason.as_ref().map(|text| reason(text, report));
        let Some(source) = own.unwrap_or(source) else { continue };
        found.push(Expectation {
            name: name.value.clone(),
            place: format!("{file}:{}", lines.of(name.span.start as usize)),
            probe: Probe::new(source, target),
            decision: match decision {
                FileDecision::Allow => Action::Allow,
                FileDecision::Deny => Action::Deny,
            },
            rule: attempt.rule.as_ref().map(|rule| rule.value.clone()),
            reason: reason.flatten(),
        });
    }
    found
}

/// Lines of places that come in the order of the text.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, start: usize) -> usize {
        let start = start.max(self.at);
        self.line += self.text.as_bytes()[self.at..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        self.at = start;
        self.line
    }
}

fn address(text: &At<String>, report: &mut Report) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        report.add(Finding::error(text.span, format!("`{}` is no address", text.value)).expected("`10.1.0.4`"));
    }
    address
}

fn reason(text: &At<String>, report: &mut Report) -> Option<Reason> {
    let known = REASONS.iter().find(|reason| reason.name() == text.as_str());
    if known.is_none() {
        let names = || REASONS.iter().map(|reason| reason.name());
        let finding = Finding::error(text.span, format!("`{}` is no reason that a policy has", text.value));
        report.add(match nearest(text, names()) {
            Some(near) => finding.expected(format!("`{near}`")),
            None => finding.expected(format!("one of `{}`", names().collect::<Vec<_>>().join("`, `"))),
        });
    }
    known.copied()
}
