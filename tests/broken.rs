//! The mistakes that people make: `tests/data/broken/`, one file each.
//!
//! The comment at the head of a file says what `egret check` tells of it: place, key, what is wrong and what to do. `right:` is
//! what to write instead of the line (nothing: leave the line out), and then the file has to be fine.

use egret::config::{self, Problem, Severity};
use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

/// A file of `tests/data/broken/`.
struct Broken {
    name: String,
    text: String,
    mistakes: Vec<Mistake>,
}

/// What its head says of one problem.
#[derive(Debug, Default, PartialEq)]
struct Mistake {
    severity: String,
    place: String,
    key: String,
    found: String,
    expected: String,
    help: String,
    see: Vec<String>,
    right: Vec<String>,
}

impl Mistake {
    /// What egret tells, as the head of a file says it.
    fn told(problem: &Problem) -> Self {
        Self {
            severity: match problem.severity {
                Severity::Error => "error".into(),
                Severity::Warning => "warning".into(),
            },
            place: format!("{}:{}", problem.line, problem.column),
            key: problem.key.clone(),
            found: problem.found.clone(),
            expected: problem.expected.clone(),
            help: problem.hint.clone(),
            see: problem.see.iter().map(ToString::to_string).collect(),
            right: Vec::new(),
        }
    }

    fn line(&self) -> usize {
        let (line, _) = self.place.split_once(':').expect("line:column");
        line.parse().expect("a number of a line")
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/broken")
}

fn all() -> Vec<Broken> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .expect("tests/data/broken/")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("UTF-8");
        Broken {
            name: path.file_name().expect("a name").to_string_lossy().into(),
            mistakes: mistakes(&text),
            text,
        }
    };
    files.into_iter().map(read).collect()
}

/// Reads the comment at the head of a file.
fn mistakes(text: &str) -> Vec<Mistake> {
    let mut found: Vec<Mistake> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix('#')) {
        if let Some((severity, place)) = line.trim_start().split_once(" at ")
            && matches!(severity, "error" | "warning")
        {
            let (place, key) = place.split_once(", key ").unwrap_or((place, ""));
            found.push(Mistake {
                severity: severity.into(),
                place: place.into(),
                key: key.into(),
                ..Mistake::default()
            });
            continue;
        }
        let Some((mistake, (word, rest))) = found.last_mut().zip(line.trim_start().split_once(':')) else {
            continue;
        };
        let rest = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
        match word {
            "found" => mistake.found = rest,
            "expected" => mistake.expected = rest,
            "help" => mistake.help = rest,
            "see" => mistake.see.push(rest),
            "right" if rest.is_empty() => {}
            "right" => mistake.right.push(rest),
            other => panic!("`{other}` in the head of a file"),
        }
    }
    found
}

fn told(name: &str, text: &str) -> Vec<Problem> {
    config::from_text(name, text).map_or_else(|problems| problems, |checked| checked.warnings)
}

#[test]
fn every_mistake_is_told_with_its_place_its_key_and_what_to_do() {
    let files = all();
    assert!(files.len() >= 40, "{} files", files.len());
    for file in files {
        let found: Vec<Mistake> = told(&file.name, &file.text).iter().map(Mistake::told).collect();
        let mut wanted = file.mistakes;
        wanted.iter_mut().for_each(|mistake| mistake.right.clear());
        assert_eq!(found, wanted, "{}", file.name);
        assert!(!found.is_empty(), "{} is not broken", file.name);
        for mistake in found {
            assert!(
                !(mistake.expected.is_empty() && mistake.help.is_empty()),
                "{}: {} says nothing of what to do",
                file.name,
                mistake.found
            );
        }
    }
}

#[test]
fn what_is_said_to_be_right_is_right() {
    for file in all() {
        let mut lines: BTreeMap<usize, Vec<String>> = (1..)
            .zip(file.text.lines())
            .map(|(number, line)| (number, vec![line.to_owned()]))
            .collect();
        for mistake in file.mistakes {
            lines.insert(mistake.line(), mistake.right);
        }
        let text: String = lines.into_values().flatten().map(|line| line + "\n").collect();
        let left: Vec<String> = told(&file.name, &text).iter().map(ToString::to_string).collect();
        assert!(left.is_empty(), "{}\n{text}", left.join("\n"));
    }
}

#[test]
fn the_command_names_file_line_and_column() {
    for file in all() {
        let done = Command::new(env!("CARGO_BIN_EXE_egret"))
            .args(["check", &file.name])
            .current_dir(folder())
            .output()
            .expect("the binary of this package");
        let shown = String::from_utf8(done.stdout).expect("UTF-8");
        let fails = file.mistakes.iter().any(|mistake| mistake.severity == "error");
        assert_eq!(done.status.code(), Some(i32::from(fails)), "{shown}");
        for mistake in &file.mistakes {
            let place = format!("--> {}:{}\n", file.name, mistake.place);
            assert!(shown.contains(&place), "no {place} in\n{shown}");
        }
    }
}
