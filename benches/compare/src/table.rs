//! Markdown: one table that sums up, and one for each kind of work.

use crate::{
    cells::{Cells, DIRECT, FLOOR, ROWS, Row},
    facts::Facts,
};
use egret_load::{
    report::{COLUMNS, show},
    work::Work,
};
use std::fmt::Write;

/// The claims: a row for each kind of work, a column for each subject.
pub fn summary(cells: &Cells, subjects: &[String]) -> String {
    let compared: Vec<_> = subjects
        .iter()
        .filter(|name| *name != DIRECT && *name != FLOOR)
        .collect();
    let mut text = String::from("| times the floor's |");
    compared.iter().for_each(|name| text += &format!(" {name} |"));
    text += " bar |\n|---|";
    (0..=compared.len()).for_each(|_| text += "---|");
    text.push('\n');
    for row in ROWS
        .iter()
        .filter(|row| subjects.iter().any(|name| cells.has(name, row.work)))
    {
        let Row { work, title, bar } = row;
        let _ = write!(text, "| {title} |");
        for name in &compared {
            let claim = cells.claim(name, *work).map(|claim| show(claim.median));
            let cell = match (cells.failures(name, *work), claim) {
                (Some(_), _) => "failed".to_owned(),
                (None, Some(claim)) if name.as_str() == "egret" => format!("**{claim}**"),
                (None, claim) => claim.unwrap_or("-".into()),
            };
            let _ = write!(text, " {cell} |");
        }
        let _ = writeln!(text, " {} |", show(*bar));
    }
    text
}

/// Every figure: a table for each kind of work, with the spread over the rounds.
pub fn whole(cells: &Cells, subjects: &[String], facts: &Facts) -> String {
    let mut text = facts.show();
    let _ = writeln!(text, "\n{}", summary(cells, subjects));
    for row in &ROWS {
        let names: Vec<_> = subjects.iter().filter(|name| cells.has(name, row.work)).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "#### {}\n\n{}", row.title, of_work(cells, &names, row.work));
        }
    }
    text
}

fn of_work(cells: &Cells, names: &[&String], work: Work) -> String {
    let shown = |column: &&(_, fn(&_) -> _)| names.iter().any(|name| cells.figure(name, work, column.1).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(shown).collect();
    let ratio = match work {
        Work::Idle => None,
        Work::Pace | Work::PaceAmong | Work::PaceInCrowd => Some(" p50 / floor |"),
        _ => Some(" CPU / floor |"),
    };
    let mut text = String::from("| |");
    columns.iter().for_each(|(heading, _)| text += &format!(" {heading} |"));
    text += ratio.unwrap_or_default();
    text += "\n|---|";
    (0..columns.len() + usize::from(ratio.is_some())).for_each(|_| text += "---|");
    text.push('\n');
    let cell = |spread: Option<egret_load::report::Spread>| spread.map_or("-".to_owned(), |spread| spread.show());
    for name in names {
        let _ = write!(text, "| {name} |");
        for (_, figure) in &columns {
            let _ = write!(text, " {} |", cell(cells.figure(name, work, *figure)));
        }
        if ratio.is_some() {
            let _ = write!(text, " {} |", cell(cells.claim(name, work)));
        }
        text.push('\n');
    }
    for name in names {
        if let Some((count, why)) = cells.failures(name, work) {
            let _ = writeln!(text, "\n{name}: {count} operations failed, the first with: {why}");
        }
    }
    text
}
