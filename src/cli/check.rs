//! `egret check`: load and validate without binding; print every problem, then one line a file.

use super::{Answer, CheckArgs, count, print};
use crate::{
    config::{self, Checked, Problem, Severity},
    policy::{Mode, Policy, Rules},
};
use std::{fmt::Write, path::Path};

/// Checks each file. The answer is no if one of them would not load.
pub fn run(args: &CheckArgs) -> anyhow::Result<Answer> {
    let mut fine = true;
    for file in &args.files {
        let (text, loads) = check(file);
        print(&text)?;
        fine &= loads;
    }
    Ok(fine.into())
}

/// What is said of one file, and whether it loads.
fn check(file: &Path) -> (String, bool) {
    let name = file.display().to_string();
    let bytes = match config::read(file) {
        Ok(bytes) => bytes,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(Problem::one_line).collect();
            return (lines.join("\n") + "\n", false);
        }
    };
    let loaded = config::from_bytes(&name, bytes);
    let problems = loaded
        .as_ref()
        .map_or_else(|problems| problems, |checked| &checked.warnings);
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{problem}\n");
    }
    let _ = writeln!(text, "{name}: {}", summary(&loaded, problems));
    (text, loaded.is_ok())
}

fn summary(loaded: &Result<Checked, Vec<Problem>>, problems: &[Problem]) -> String {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let warnings = problems.len() - errors;
    match loaded {
        Err(_) => format!(
            "{}, {}: does not load",
            count(errors, "error"),
            count(warnings, "warning")
        ),
        Ok(checked) => {
            let audit = if checked.policy.mode == Mode::Audit {
                ", audit mode"
            } else {
                ""
            };
            let hash = &checked.hash;
            format!(
                "ok, {}, {}{audit}, hash {hash}",
                size(&checked.policy),
                count(warnings, "warning")
            )
        }
    }
}

fn size(policy: &Policy) -> String {
    let (mut rules, mut names) = (0, 0);
    for collection in policy.collections() {
        match &collection.rules {
            Rules::Application(written) => {
                rules += written.len();
                names += written.iter().map(|rule| rule.targets.len()).sum::<usize>();
            }
            Rules::Network(written) => rules += written.len(),
            Rules::Nat(written) => rules += written.len(),
        }
    }
    format!("{}, {}", count(rules, "rule"), count(names, "name"))
}
