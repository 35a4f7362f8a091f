//! The figures of a run: one sample for each round, work and subject, and what follows from them.

use egret_load::{
    report::Spread,
    work::{Sample, Work},
};
use std::collections::BTreeMap;

/// Name of the floor among the subjects.
pub const FLOOR: &str = "floor";

/// Name of what has nothing between client and upstream.
pub const DIRECT: &str = "direct";

/// A kind of work in the comparison.
pub struct Row {
    /// The work.
    pub work: Work,
    /// What it is, for a table's heading.
    pub title: &'static str,
    /// What a subject is held against, times the floor; for silent tunnels in bytes of each.
    pub bar: f64,
}

/// What is compared, in the order of the tables.
pub const ROWS: [Row; 11] = [
    row(Work::Connect, "new CONNECT tunnel", 1.10),
    row(Work::Tls, "new tunnel with a TLS 1.3 handshake", 1.10),
    row(Work::Deny, "denial", 1.15),
    row(Work::Download, "download, 4 tunnels", 1.05),
    row(Work::Upload, "upload, 4 tunnels", 1.05),
    row(Work::Duplex, "both ways, 4 tunnels", 1.05),
    row(Work::Mib, "a new tunnel for each MiB", 1.10),
    row(Work::Small, "512-byte round trips, 64 tunnels", 1.05),
    row(Work::Http, "plain HTTP, 1 KiB answers", 2.0),
    row(Work::Pace, "first byte of a new tunnel at low rate, p50", 1.10),
    row(Work::Idle, "process memory of a silent tunnel, B", 3072.0),
];

const fn row(work: Work, title: &'static str, bar: f64) -> Row {
    Row { work, title, bar }
}

/// What the claim about a work is: its figure, and whether it is taken against the floor's.
fn claim(work: Work, sample: &Sample) -> Option<f64> {
    match work {
        Work::Pace | Work::PaceAmong | Work::PaceInCrowd => sample.p50_us,
        Work::Idle => sample.tunnel_bytes,
        _ => sample.cpu_us.or(sample.cpu_s_gib),
    }
}

/// All samples: by subject, those of each round.
#[derive(Debug, Default)]
pub struct Cells {
    cells: BTreeMap<(String, String), BTreeMap<u32, Sample>>,
    /// By work and subject: requests that are not in its log, of how many.
    unlogged: BTreeMap<(String, String), (u64, u64)>,
}

/// What a table or chart has to show of a subject at a work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// It was not measured.
    Nothing,
    /// Operations failed: no figure is its own.
    Failed,
    /// The median of the claim, and whether its log is whole.
    Figure { median: f64, logged: bool },
}

impl Cells {
    /// One more.
    pub fn add(&mut self, subject: &str, work: Work, round: u32, sample: Sample) {
        let rounds = self.cells.entry((work.name(), subject.to_owned())).or_default();
        rounds.insert(round, sample);
    }

    /// So many requests more, and how many of them are not in its log.
    pub fn logged(&mut self, subject: &str, work: Work, unlogged: u64, asked: u64) {
        let all = self.unlogged.entry((work.name(), subject.to_owned())).or_default();
        *all = (all.0 + unlogged, all.1 + asked);
    }

    /// Requests that are not in its log, and how many there were in all.
    pub fn unlogged(&self, subject: &str, work: Work) -> (u64, u64) {
        let found = self.unlogged.get(&(work.name(), subject.to_owned()));
        found.copied().unwrap_or_default()
    }

    /// Whether a figure is shown of it whose log lacks requests.
    pub fn is_marked(&self, subject: &str, work: Work) -> bool {
        matches!(self.shown(subject, work), Shown::Figure { logged: false, .. })
    }

    /// What is shown, in tables and chart alike.
    pub fn shown(&self, subject: &str, work: Work) -> Shown {
        match (self.failures(subject, work), self.claim(subject, work)) {
            (Some(_), _) => Shown::Failed,
            (None, None) => Shown::Nothing,
            (None, Some(claim)) => Shown::Figure {
                median: claim.median,
                logged: self.unlogged(subject, work).0 == 0,
            },
        }
    }

    fn rounds(&self, subject: &str, work: Work) -> Option<&BTreeMap<u32, Sample>> {
        self.cells.get(&(work.name(), subject.to_owned()))
    }

    /// A figure over all rounds.
    pub fn figure(&self, subject: &str, work: Work, figure: fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds(subject, work)?.values().filter_map(figure))
    }

    /// What is claimed: the ratio to the floor within each round, or bytes.
    pub fn claim(&self, subject: &str, work: Work) -> Option<Spread> {
        let rounds = self.rounds(subject, work)?;
        if work == Work::Idle {
            return Spread::of(rounds.values().filter_map(|sample| claim(work, sample)));
        }
        let floor = self.rounds(FLOOR, work)?;
        let ratio = |(round, sample)| Some(claim(work, sample)? / claim(work, floor.get(round)?)?);
        Spread::of(rounds.iter().filter_map(ratio))
    }

    /// Operations that failed, and why the first of them did.
    pub fn failures(&self, subject: &str, work: Work) -> Option<(u64, String)> {
        let failed = self.rounds(subject, work)?.values().filter(|sample| sample.failed > 0);
        let count = failed.clone().map(|sample| sample.failed).sum();
        let why = failed.filter_map(|sample| sample.failure.clone()).next()?;
        Some((count, why))
    }

    /// Whether there is anything of this work.
    pub fn has(&self, subject: &str, work: Work) -> bool {
        self.rounds(subject, work).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_us: f64) -> Sample {
        Sample {
            cpu_us: Some(cpu_us),
            ..Sample::default()
        }
    }

    #[test]
    fn a_ratio_is_that_of_one_round_and_the_median_of_the_rounds_is_claimed() {
        let mut cells = Cells::default();
        // the machine was twice as slow in the second round
        for (round, floor, egret) in [(1, 100.0, 110.0), (2, 200.0, 220.0), (3, 100.0, 150.0)] {
            cells.add(FLOOR, Work::Connect, round, sample(floor));
            cells.add("egret", Work::Connect, round, sample(egret));
        }
        // a round that the floor has no figure of says nothing
        cells.add("egret", Work::Connect, 4, sample(1.0));
        let claim = cells.claim("egret", Work::Connect).expect("three ratios");
        assert_eq!(claim.show(), "1.10 (1.10-1.50)");
    }

    #[test]
    fn what_failed_has_no_figure_and_what_lost_log_lines_has_a_mark() {
        let mut cells = Cells::default();
        assert_eq!(cells.shown("peer", Work::Connect), Shown::Nothing);
        cells.add(FLOOR, Work::Connect, 1, sample(100.0));
        cells.add("peer", Work::Connect, 1, sample(150.0));
        let figure = |logged| Shown::Figure { median: 1.5, logged };
        assert_eq!(cells.shown("peer", Work::Connect), figure(true));
        cells.logged("peer", Work::Connect, 0, 1000);
        assert_eq!(cells.shown("peer", Work::Connect), figure(true));
        cells.logged("peer", Work::Connect, 3, 1000);
        assert_eq!(cells.unlogged("peer", Work::Connect), (3, 2000));
        assert_eq!(cells.shown("peer", Work::Connect), figure(false));
        assert_eq!(cells.shown("peer", Work::Deny), Shown::Nothing);
        let failed = Sample {
            failed: 1,
            failure: Some("a reason".into()),
            ..sample(150.0)
        };
        cells.add("peer", Work::Connect, 2, failed);
        assert_eq!(cells.shown("peer", Work::Connect), Shown::Failed);
    }
}
