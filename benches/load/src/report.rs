//! Figures as text, and the statistics over several runs.

use crate::work::Sample;
use std::time::Duration;

/// The value below which `share` of the samples lie; sorts them. Zero of none.
pub fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    let index = (samples.len() as f64 * share) as usize;
    samples.get(index.min(last)).copied().unwrap_or_default()
}

/// Median, least and greatest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even count the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// None of no figures.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let (least, greatest) = (*figures.first()?, *figures.last()?);
        let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Self {
            median: (low + high) / 2.0,
            least,
            greatest,
        })
    }

    /// `median (least-greatest)`.
    pub fn show(self) -> String {
        if self.least == self.greatest {
            return show(self.median);
        }
        format!("{} ({}-{})", show(self.median), show(self.least), show(self.greatest))
    }
}

/// A figure with three digits that count.
pub fn show(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => {
            let digits = format!("{figure:.0}");
            let mut grouped = String::new();
            for (n, digit) in digits.chars().enumerate() {
                if n > 0 && digit.is_ascii_digit() && (digits.len() - n).is_multiple_of(3) && !grouped.ends_with('-') {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        size if size >= 9.995 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// A heading, and the figure below it of a sample that has one.
pub type Column = (&'static str, fn(&Sample) -> Option<f64>);

/// The columns that a sample may have.
pub const COLUMNS: [Column; 13] = [
    ("per s", |s| s.per_second),
    ("GiB/s", |s| s.gib_per_second),
    ("p50 us", |s| s.p50_us),
    ("p99 us", |s| s.p99_us),
    ("p99.9 us", |s| s.p999_us),
    ("CPU us/op", |s| s.cpu_us),
    ("CPU s/GiB", |s| s.cpu_s_gib),
    ("load us/op", |s| s.load_us),
    ("load s/GiB", |s| s.load_s_gib),
    ("B/tunnel", |s| s.tunnel_bytes),
    ("MiB before", |s| s.resident.map(mib)),
    ("MiB peak", |s| s.peak.map(mib)),
    ("MiB left", |s| {
        s.left_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))
    }),
];

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// One line for one sample: the figures that it has.
pub fn line(sample: &Sample) -> String {
    let figures = COLUMNS
        .iter()
        .filter_map(|(heading, figure)| Some(format!("{} {heading}", show(figure(sample)?))));
    let failed = (sample.failed > 0).then(|| {
        let why = sample.failure.as_deref().unwrap_or_default();
        format!("{} FAILED of {}: {why}", sample.failed, sample.failed + sample.done)
    });
    figures.chain(failed).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_that_of_the_rounds_and_figures_have_three_digits() {
        let spread = Spread::of([3.0, 1.0, 100.0]).expect("three figures");
        assert_eq!(spread.show(), "3.00 (1.00-100)");
        assert_eq!(Spread::of([1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of([]), None);
        assert_eq!(
            (show(1_234_567.0), show(-1_234.0), show(12.345)),
            ("1,234,567".into(), "-1,234".into(), "12.3".into())
        );
    }
}
