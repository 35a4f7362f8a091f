//! Markdown: one table that sums up, and one for each kind of work.

use crate::{
    cells::{Cells, DIRECT, FLOOR, ROWS, Row, Shown},
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
            let cell = match cells.shown(name, *work) {
                Shown::Nothing => "-".to_owned(),
                Shown::Failed => "failed".to_owned(),
                Shown::Figure { median, .. } if name.as_str() == "egret" => format!("**{}**", show(median)),
                Shown::Figure { median, logged: true } => show(median),
                Shown::Figure { median, logged: false } => format!("{}\\*", show(median)),
            };
            let _ = write!(text, " {cell} |");
        }
        let _ = writeln!(text, " {} |", show(*bar));
    }
    text + &unlogged(cells, &compared)
}

/// The notes to what has a mark, one for each subject.
fn unlogged(cells: &Cells, names: &[&String]) -> String {
    let mut text = String::new();
    for name in names {
        let marked = ROWS.iter().filter(|row| cells.is_marked(name, row.work));
        let lost: Vec<_> = marked
            .map(|row| {
                let (lost, asked) = cells.unlogged(name, row.work);
                let lost = if lost < 100 {
                    lost.to_string()
                } else {
                    show(lost as f64)
                };
                format!("{lost} of {} ({})", show(asked as f64), row.title)
            })
            .collect();
        if !lost.is_empty() {
            let _ = writeln!(text, "\n\\* The log of {name} lacks requests: {}.", lost.join("; "));
        }
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
        let mark = if cells.is_marked(name, work) { "\\*" } else { "" };
        let _ = write!(text, "| {name}{mark} |");
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

#[cfg(test)]
mod tests {
    use super::*;
    use egret_load::work::Sample;

    #[test]
    fn what_lost_log_lines_is_shown_with_how_many() {
        let mut cells = Cells::default();
        let names = ["floor", "egret", "haproxy", "envoy"].map(str::to_owned);
        for (name, cpu) in names.iter().zip([10.0, 11.0, 20.0, 30.0]) {
            let sample = Sample {
                done: 70_000,
                cpu_us: Some(cpu),
                ..Sample::default()
            };
            cells.add(name, Work::Http, 1, sample);
        }
        let whole = summary(&cells, &names);
        assert!(
            whole.contains("| **1.10** | 2.00 | 3.00 |") && !whole.contains('\\'),
            "{whole}"
        );
        cells.logged("haproxy", Work::Http, 7, 70_000);
        let marked = summary(&cells, &names);
        assert!(marked.contains("| **1.10** | 2.00\\* | 3.00 |"), "{marked}");
        let note = "\n\n\\* The log of haproxy lacks requests: 7 of 70,000 (plain HTTP, 1 KiB answers).\n";
        assert!(marked.ends_with(note), "{marked}");
    }
}
