//! What is not TOML: one problem for one mistake, and what to write instead.
//!
//! The parser goes on after an error, which finds the next one, and also many that only follow from the first: after a
//! list that is not closed, every line is an element of it.

use super::{at::Span, problem::Finding};
use toml::de::Error;

/// The errors of one text as findings, at most one a line.
pub fn findings(text: &str, errors: &[Error]) -> Vec<Finding> {
    let says = |error: &Error, parts: &[&str]| parts.iter().any(|part| error.message().contains(part));
    let unclosed = |error: &Error| says(error, &["unclosed array", "unclosed inline table"]);
    let mut own: Vec<&Error> = errors.iter().filter(|error| !unclosed(error)).collect();
    if own.is_empty() {
        own = errors.iter().collect();
    } else if own.len() < errors.len() {
        own.sort_by_key(|error| start(error));
        let first = own
            .iter()
            .position(|error| says(error, &["array", "inline table", "pairs", "invalid basic string"]));
        own.truncate(first.map_or(own.len(), |first| first + 1));
    }
    own.sort_by_key(|error| start(error));
    own.dedup_by_key(|error| line(text, start(error)));
    own.into_iter().map(|error| finding(text, error)).collect()
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// Number of the line, from 0.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn finding(text: &str, error: &Error) -> Finding {
    let span = error.span().map_or(Span::default(), Span::from);
    let message = error.message().replace('\n', "; ");
    let there = text.get(start(error)..).unwrap_or("");
    let help = help(&message, there);
    Finding::error(span, message).hint(help)
}

/// What to write instead. `there`: the text from the error on.
fn help(message: &str, there: &str) -> &'static str {
    let says = |part: &str| message.contains(part);
    if there.starts_with('{') {
        return "this looks like JSON: the file is TOML, `key = value`, one a line";
    }
    if says("duplicate key") {
        return "a key stands once in its table and a `[table]` once in the file: put what belongs together under one of them";
    }
    if there.starts_with(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
        return "these are typographic quotes: write \"straight ones\"";
    }
    if says("string values must be quoted") {
        return match there.starts_with(|c: char| c.is_ascii_digit()) {
            true => "a number stands alone: its unit is in the name of the key",
            false => "put the text in quotes: `key = \"value\"`",
        };
    }
    if says("array") {
        return "elements are separated by `,`, and the list ends with `]`: look at the line before, too";
    }
    if says("inline table") || says("key-value pairs") {
        return "pairs are separated by `,`, and the table ends with `}`";
    }
    if says("escape") {
        return "a backslash starts an escape: write it twice, or put the text in single quotes";
    }
    if says("string") {
        return "a text ends with the quote that it starts with, on the same line";
    }
    "TOML is `key = value`, one a line, under a `[section]`"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Report;
    use toml::de::DeTable;

    /// Line and help of each finding.
    fn told(text: &str) -> Vec<String> {
        let mut report = Report::default();
        let errors = DeTable::parse_recoverable(text).1;
        findings(text, &errors)
            .into_iter()
            .for_each(|finding| report.add(finding));
        let problems = report.problems(&"t.toml".into(), Some(text));
        problems
            .into_iter()
            .map(|problem| format!("{} {}", problem.line, problem.hint))
            .collect()
    }

    #[test]
    fn one_mistake_is_one_problem_with_its_remedy() {
        let cases: [(&str, &str, &[&str]); 10] = [
            (
                "a list that is not closed",
                "a = [\"x\"\n\n[log]\nlevel = \"warn\"\nb = 1\n",
                &["3 elements are"],
            ),
            ("nothing after the list", "a = [\"x\"\n", &["1 elements are"]),
            ("a text that is not closed", "a = [\"x]\nb = 1\n", &["1 a text ends"]),
            ("two mistakes", "a = \nb: 1\n", &["1 put the text", "2 TOML is"]),
            (
                "a mistake, then a list that is not closed",
                "a: 1\nb = [1\nc = 2\n",
                &["1 TOML is", "3 elements"],
            ),
            ("no quotes", "a = audit\n", &["1 put the text"]),
            ("a unit", "a = 4m\n", &["1 a number stands"]),
            (
                "quotes of a word processor",
                "a = \u{201c}audit\u{201d}\n",
                &["1 these are"],
            ),
            ("JSON", "{ \"a\": 1 }\n", &["1 this looks like JSON"]),
            ("a path of Windows", "a = \"C:\\logs\"\n", &["1 a backslash"]),
        ];
        for (why, text, wanted) in cases {
            let told = told(text);
            assert_eq!(told.len(), wanted.len(), "{why}: {told:?}");
            for (told, wanted) in told.iter().zip(wanted) {
                assert!(told.starts_with(wanted), "{why}: {told}");
            }
        }
    }
}
