//! What was measured against what was promised: a table, and whether every bar holds.

use std::{fmt::Display, time::Duration};

/// The figures of one run.
#[derive(Default)]
pub struct Report {
    lines: Vec<[String; 4]>,
    missed: usize,
}

impl Report {
    /// A figure with the bar that it was held against.
    pub fn bar(&mut self, figure: impl Display, measured: impl Display, bar: impl Display, holds: bool) {
        self.missed += usize::from(!holds);
        let verdict = if holds { "ok" } else { "MISSED" };
        self.lines.push([
            figure.to_string(),
            measured.to_string(),
            bar.to_string(),
            verdict.into(),
        ]);
    }

    /// A count that must be nought.
    pub fn none(&mut self, figure: impl Display, count: u64) {
        self.bar(figure, count, "0", count == 0);
    }

    /// A count that must be met exactly.
    pub fn exactly(&mut self, figure: impl Display, count: u64, expected: u64) {
        self.bar(figure, count, format!("= {expected}"), count == expected);
    }

    /// A figure that nothing is promised of.
    pub fn note(&mut self, figure: impl Display, measured: impl Display) {
        self.lines
            .push([figure.to_string(), measured.to_string(), String::new(), String::new()]);
    }

    /// Prints the table. Whether every bar held.
    pub fn print(&self, title: &str) -> bool {
        let width = |column: usize| self.lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
        let (figure, measured, bar) = (width(0), width(1), width(2));
        println!("{title}");
        for [f, m, b, verdict] in &self.lines {
            let line = format!("  {f:figure$}  {m:>measured$}  {b:bar$}  {verdict}");
            println!("{}", line.trim_end());
        }
        println!("{title}: {} figures, {} missed", self.lines.len(), self.missed);
        self.missed == 0
    }
}

/// The value below which `share` of the samples lie; sorts them. Zero of none.
pub fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    let index = (samples.len() as f64 * share) as usize;
    samples.get(index.min(last)).copied().unwrap_or_default()
}

/// Least-squares slope of `(x, y)` points; zero of fewer than two.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len().max(1) as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    if spread == 0.0 { 0.0 } else { together / spread }
}

/// Bytes in MiB, with one digit.
pub fn mib(bytes: i64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A time in milliseconds, with two digits.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
