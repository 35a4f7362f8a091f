//! Every metric: one table with name, kind, unit, labels and help, from which the counters, the OpenMetrics text and
//! `docs/metrics.md` are made.
//!
//! Labels take their values from closed sets, never from a client: the number of series is fixed when egret is built.
//! A counter is one add on a cache line that other flow threads do not write; reading adds the copies up.

mod table;

pub use table::{Family, Kind, Label, Metric, TABLE, Values, reference};

use crate::log::{FlowEndKind, Stage, let_through};
use crate::policy::{Action, Mode, Reason};
use crate::stripe::{self, Padded, STRIPES};
use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Where the series of each family start, and their number as the last.
const OFFSETS: [usize; TABLE.len() + 1] = {
    let mut offsets = [0; TABLE.len() + 1];
    let mut i = 0;
    while i < TABLE.len() {
        offsets[i + 1] = offsets[i] + TABLE[i].series();
        i += 1;
    }
    offsets
};

const SERIES: usize = OFFSETS[TABLE.len()];

/// The counters of one gateway.
pub struct Metrics {
    stripes: Box<[Padded<[AtomicU64; SERIES]>]>,
}

/// What is read when somebody asks: gauges, and counters that others keep.
pub struct Sample([u64; SERIES]);

impl Metrics {
    /// All zero.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stripes: (0..STRIPES)
                .map(|_| Padded([const { AtomicU64::new(0) }; SERIES]))
                .collect(),
        })
    }

    fn add(&self, metric: Metric, label: usize, n: u64) {
        debug_assert!(label < TABLE[metric as usize].series());
        self.stripes[stripe::own()].0[OFFSETS[metric as usize] + label].fetch_add(n, Relaxed);
    }

    /// A client connection was taken.
    pub fn accepted(&self) {
        self.add(Metric::Accepted, 0, 1);
    }

    /// A client connection could not be taken.
    pub fn accept_failed(&self) {
        self.add(Metric::AcceptFailures, 0, 1);
    }

    /// A flow ended by a panic.
    pub fn panicked(&self) {
        self.add(Metric::Panics, 0, 1);
    }

    /// A rule row is due: see [`ApplicationRow`](crate::log::ApplicationRow) for what the three mean together.
    pub fn decided(&self, action: Action, mode: Mode, reason: Reason) {
        let action = match action {
            Action::Allow => 0,
            Action::Deny if let_through(action, mode, reason) => 2,
            Action::Deny => 1,
        };
        self.add(Metric::Decisions, action * Reason::ALL.len() + reason as usize, 1);
        self.limited(reason);
    }

    /// A flow ended. Bytes are those of its relay.
    pub fn flow_ended(&self, end: FlowEndKind, stage: Stage, reason: Reason, sent: u64, received: u64) {
        self.add(Metric::Flows, end as usize, 1);
        if end == FlowEndKind::Refused {
            self.add(Metric::Refused, stage as usize, 1);
        }
        // Refused before anything was read: there was no decision that could have counted it.
        if stage == Stage::Accept {
            self.limited(reason);
        }
        if sent > 0 {
            self.add(Metric::Sent, 0, sent);
        }
        if received > 0 {
            self.add(Metric::Received, 0, received);
        }
    }

    /// A row about a source beyond its rate was not written.
    pub fn suppressed(&self) {
        self.add(Metric::LogSuppressed, 0, 1);
    }

    fn limited(&self, reason: Reason) {
        if let Some(limit) = table::LIMITS.iter().position(|&limit| limit == reason) {
            self.add(Metric::LimitRefusals, limit, 1);
        }
    }

    /// A configuration was offered: taken, or refused.
    pub fn reloaded(&self, taken: bool) {
        self.add(Metric::Reloads, usize::from(!taken), 1);
    }

    fn total(&self, series: usize) -> u64 {
        self.stripes
            .iter()
            .map(|stripe| stripe.0[series].load(Relaxed))
            .fold(0, u64::wrapping_add)
    }

    /// The series with these label values, in the order of the table's labels; `None` if there is no such series. Only what
    /// flows count, not what is sampled.
    pub fn value(&self, metric: Metric, labels: &[&str]) -> Option<u64> {
        Some(self.total(OFFSETS[metric as usize] + series_of(&TABLE[metric as usize], labels)?))
    }

    /// OpenMetrics text 1.0. `sample` fills in what is not counted here.
    pub fn encode(&self, sample: impl FnOnce(&mut Sample)) -> String {
        let mut sampled = Sample([0; SERIES]);
        sample(&mut sampled);
        let mut out = String::with_capacity(16 << 10);
        for (index, family) in TABLE.iter().enumerate() {
            head(&mut out, family);
            for (offset, series) in (OFFSETS[index]..OFFSETS[index + 1]).enumerate() {
                let value = self.total(series).wrapping_add(sampled.0[series]);
                // Most pairs of two labels never occur.
                if value > 0 || family.labels.len() < 2 {
                    line(&mut out, family, offset, value);
                }
            }
        }
        out.push_str("# EOF\n");
        out
    }
}

impl Sample {
    /// Sets the series with these label values; one that the table does not have is left out.
    pub fn set(&mut self, metric: Metric, labels: &[&str], value: u64) {
        if let Some(series) = series_of(&TABLE[metric as usize], labels) {
            self.0[OFFSETS[metric as usize] + series] = value;
        }
    }
}

fn series_of(family: &Family, values: &[&str]) -> Option<usize> {
    if family.labels.len() != values.len() {
        return None;
    }
    family.labels.iter().zip(values).try_fold(0, |series, (label, value)| {
        let index = (0..label.values.len()).find(|&i| label.values.name(i) == *value)?;
        Some(series * label.values.len() + index)
    })
}

fn head(out: &mut String, family: &Family) {
    let Family { name, unit, help, .. } = family;
    let kind = family.kind.name();
    let _ = writeln!(out, "# TYPE {name} {kind}");
    if !unit.is_empty() {
        let _ = writeln!(out, "# UNIT {name} {unit}");
    }
    let _ = writeln!(out, "# HELP {name} {help}");
}

fn line(out: &mut String, family: &Family, series: usize, value: u64) {
    out.push_str(family.name);
    out.push_str(family.kind.suffix());
    let mut rest = series;
    let mut indices = [0; 2];
    for (at, label) in family.labels.iter().enumerate().rev() {
        indices[at] = rest % label.values.len();
        rest /= label.values.len();
    }
    for (at, label) in family.labels.iter().enumerate() {
        let before = if at == 0 { '{' } else { ',' };
        let _ = write!(out, "{before}{}=\"{}\"", label.name, label.values.name(indices[at]));
    }
    if !family.labels.is_empty() {
        out.push('}');
    }
    let value = if family.kind == Kind::Info { 1 } else { value };
    let _ = writeln!(out, " {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Reads OpenMetrics text as strictly as a scraper: one block per family, metadata first, every sample of its family.
    fn parse(text: &str) -> BTreeMap<String, u64> {
        let mut samples = BTreeMap::new();
        let (mut family, mut kind, mut seen) = (String::new(), String::new(), BTreeSet::new());
        let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
        for line in body.lines() {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "TYPE", name, of] => {
                    assert!(seen.insert(name.to_string()), "{name} comes twice");
                    (family, kind) = (name.to_string(), of.to_string());
                }
                ["#", "UNIT", name, unit] => assert!(name == family && name.ends_with(&format!("_{unit}"))),
                ["#", "HELP", name, help] => assert!(name == family && !help.contains(['\\', '\n'])),
                _ => {
                    let (series, value) = line.rsplit_once(' ').expect(line);
                    let name = series.split('{').next().unwrap();
                    let suffix = match &*kind {
                        "counter" => "_total",
                        "info" => "_info",
                        _ => "",
                    };
                    assert_eq!(name, format!("{family}{suffix}"));
                    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
                    if let Some(labels) = series.strip_prefix(name).filter(|l| !l.is_empty()) {
                        let labels = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).expect(line);
                        for label in labels.split(',') {
                            let (_, value) = label.split_once('=').expect(label);
                            assert!(value.starts_with('"') && value.ends_with('"') && !value.contains('\\'));
                        }
                    }
                    let value = value.parse().expect(line);
                    assert!(
                        samples.insert(series.to_string(), value).is_none(),
                        "{series} comes twice"
                    );
                }
            }
        }
        samples
    }

    #[test]
    fn the_text_is_open_metrics_with_what_was_counted() {
        let metrics = Metrics::new();
        metrics.accepted();
        metrics.decided(Action::Allow, Mode::Enforce, Reason::RuleMatched);
        metrics.decided(Action::Deny, Mode::Enforce, Reason::NoRuleMatched);
        metrics.decided(Action::Deny, Mode::Audit, Reason::NoRuleMatched);
        metrics.decided(Action::Deny, Mode::Audit, Reason::SniMismatch);
        metrics.decided(Action::Deny, Mode::Enforce, Reason::LimitSourceRate);
        metrics.flow_ended(FlowEndKind::Idle, Stage::Relay, Reason::RuleMatched, 10, 20);
        metrics.flow_ended(FlowEndKind::Refused, Stage::Accept, Reason::LimitTunnels, 0, 0);
        metrics.reloaded(false);
        let samples = parse(&metrics.encode(|sample| {
            sample.set(Metric::Generation, &[], 7);
            sample.set(Metric::LogRows, &["file"], 9);
            sample.set(Metric::LogRows, &["nowhere"], 9);
        }));
        for (series, value) in [
            ("egret_connections_accepted_total", 1),
            ("egret_decisions_total{action=\"allow\",reason=\"RuleMatched\"}", 1),
            ("egret_decisions_total{action=\"deny\",reason=\"NoRuleMatched\"}", 1),
            ("egret_decisions_total{action=\"audit\",reason=\"NoRuleMatched\"}", 1),
            ("egret_decisions_total{action=\"deny\",reason=\"SniMismatch\"}", 1),
            ("egret_limit_refusals_total{limit=\"LimitSourceRate\"}", 1),
            ("egret_limit_refusals_total{limit=\"LimitTunnels\"}", 1),
            ("egret_flows_ended_total{end=\"Idle\"}", 1),
            ("egret_flows_refused_total{stage=\"Accept\"}", 1),
            ("egret_sent_bytes_total", 10),
            ("egret_received_bytes_total", 20),
            ("egret_reloads_total{result=\"failed\"}", 1),
            ("egret_reloads_total{result=\"ok\"}", 0),
            ("egret_policy_generation", 7),
            ("egret_log_rows_total{sink=\"file\"}", 9),
        ] {
            assert_eq!(samples.get(series), Some(&value), "{series} in {samples:#?}");
        }
        assert_eq!(
            samples.get(&format!(
                "egret_build_info{{version=\"{}\"}}",
                env!("CARGO_PKG_VERSION")
            )),
            Some(&1)
        );
        assert_eq!(metrics.value(Metric::Reloads, &["failed"]), Some(1));
        assert_eq!(metrics.value(Metric::Reloads, &["never"]), None);
    }

    #[test]
    fn every_reason_stage_and_end_has_a_series_of_its_own() {
        let metrics = Metrics::new();
        for (n, &reason) in Reason::ALL.iter().enumerate() {
            (0..=n).for_each(|_| metrics.decided(Action::Deny, Mode::Enforce, reason));
        }
        for (n, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(
                metrics.value(Metric::Decisions, &["deny", reason.name()]),
                Some(n as u64 + 1)
            );
        }
        for &stage in Stage::ALL {
            metrics.flow_ended(FlowEndKind::Refused, stage, Reason::NoRuleMatched, 0, 0);
            assert_eq!(metrics.value(Metric::Refused, &[stage.name()]), Some(1));
        }
        for &end in FlowEndKind::ALL {
            metrics.flow_ended(end, Stage::Relay, Reason::RuleMatched, 0, 0);
            assert!(metrics.value(Metric::Flows, &[end.name()]) >= Some(1));
        }
        assert!(parse(&metrics.encode(|_| {})).len() <= SERIES);
    }

    #[test]
    fn threads_count_together() {
        let metrics = Metrics::new();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..1000).for_each(|_| metrics.accepted()));
            }
        });
        assert_eq!(metrics.value(Metric::Accepted, &[]), Some(2000 * STRIPES as u64));
    }

    #[test]
    fn every_family_says_what_it_counts() {
        for family in TABLE {
            assert!(family.help.ends_with('.') && family.help.len() > 15, "{}", family.name);
            assert!(family.labels.len() <= 2, "{}", family.name);
            assert!(
                !family.name.ends_with("_total") && !family.name.ends_with("_info"),
                "{}",
                family.name
            );
        }
    }
}
