//! What commands say: standard output for the answer, standard error for everything about it.

use crate::config::{Problem, Severity};

/// Writes to standard output. A reader that has closed its end has seen enough: that is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints every problem on standard error; an error that counts them, to end the command with.
pub(crate) fn refuse(problems: &[Problem]) -> anyhow::Error {
    tell(problems);
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let file = problems.first().map_or("configuration", |problem| &problem.file);
    anyhow::anyhow!("{file}: {}", count(errors, "error"))
}

/// Prints problems on standard error.
pub(crate) fn tell(problems: &[Problem]) {
    for problem in problems {
        say(&format!("{problem}\n"));
    }
}

/// A line on standard error. If nobody reads it, egret goes on.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `1 error`, `2 errors`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// As a shell takes it: quoted where it would read something into it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/._-,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
