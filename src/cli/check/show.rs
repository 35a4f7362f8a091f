//! What is said of one configuration file: as text for people, as a line of JSON for programs.

use super::{Found, expected::Tests};
use crate::{
    cli::output::count,
    config::{Problem, Severity},
    policy::{Mode, Policy, Rules},
};
use serde_json::{Value, json};
use std::fmt::Write;

/// For people: every problem with its line, then one line of summary, then the tests.
pub(super) fn text(found: &Found, tests: Option<&Tests<'_>>) -> String {
    let problems = found.problems();
    if found.loaded.is_err() && problems.iter().all(|problem| problem.line == 0) {
        // There is no text to quote from.
        return problems.iter().map(|problem| problem.one_line() + "\n").collect();
    }
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{problem}\n");
    }
    let _ = writeln!(text, "{}: {}", found.file, summary(found));
    if let Some(tests) = tests {
        text += &tests.text(&found.arguments);
    }
    text
}

fn summary(found: &Found) -> String {
    let problems = found.problems();
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let warnings = count(problems.len() - errors, "warning");
    match &found.loaded {
        Err(_) => format!("{}, {warnings}: does not load", count(errors, "error")),
        Ok(checked) => {
            let audit = match checked.policy.mode {
                Mode::Audit => ", audit mode",
                Mode::Enforce
                    if checked
                        .policy
                        .collections()
                        .any(|collection| collection.mode == Mode::Audit) =>
                {
                    ", audit mode in some collections"
                }
                Mode::Enforce => "",
            };
            let (rules, names) = size(&checked.policy);
            let (rules, names) = (count(rules, "rule"), count(names, "name"));
            format!("ok, {rules}, {names}, {warnings}{audit}, hash {}", checked.hash)
        }
    }
}

/// Rules of all kinds, and names of application rules.
fn size(policy: &Policy) -> (usize, usize) {
    policy
        .collections()
        .fold((0, 0), |(rules, names), collection| match &collection.rules {
            Rules::Application(written) => {
                let targets = written.iter().map(|rule| rule.targets.len());
                (rules + written.len(), names + targets.sum::<usize>())
            }
            Rules::Network(written) => (rules + written.len(), names),
            Rules::Nat(written) => (rules + written.len(), names),
        })
}

/// For programs: one line.
pub(super) fn json(found: &Found, tests: Option<&Tests<'_>>) -> String {
    let problems: Vec<Value> = found.problems().iter().map(problem).collect();
    let checked = found.loaded.as_ref().ok();
    let size = checked.map(|checked| size(&checked.policy));
    let value = json!({
        "file": found.file,
        "loads": found.loaded.is_ok(),
        "hash": checked.map(|checked| &*checked.hash),
        "mode": checked.map(|checked| format!("{:?}", checked.policy.mode)),
        "rules": size.map(|(rules, _)| rules),
        "names": size.map(|(_, names)| names),
        "problems": problems,
        "tests": tests.map(Tests::json),
    });
    format!("{value}\n")
}

fn problem(problem: &Problem) -> Value {
    let see = problem
        .see
        .iter()
        .map(|see| json!({ "what": see.what, "file": &*see.file, "line": see.line, "column": see.column }));
    json!({
        "severity": match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "found": problem.found,
        "expected": problem.expected,
        "help": problem.hint,
        "see": see.collect::<Vec<_>>(),
    })
}
