//! The table itself, and its Markdown.

use crate::log::{FlowEndKind, Stage};
use crate::policy::Reason;
use std::fmt::Write;

/// What a family of series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; shown with the suffix `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Always 1: its labels are the news; shown with the suffix `_info`.
    Info,
}

/// The closed set that a label takes its values from.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These.
    Fixed(&'static [&'static str]),
    /// Names of these reasons.
    Reasons(&'static [Reason]),
}

/// A label and its values.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its closed set.
    pub values: Values,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name without the suffix of its kind; it ends in the unit where there is one.
    pub name: &'static str,
    /// Counter, gauge or info.
    pub kind: Kind,
    /// `bytes`, `seconds`, or nothing for a plain number.
    pub unit: &'static str,
    /// At most two labels.
    pub labels: &'static [Label],
    /// What it counts, in one sentence.
    pub help: &'static str,
}

/// Reasons that say that something reached its limit.
pub(super) const LIMITS: &[Reason] = &[
    Reason::LimitTunnels,
    Reason::LimitSourceTunnels,
    Reason::LimitSourceRate,
    Reason::LimitDials,
    Reason::LimitDnsQueries,
    Reason::LimitHeldBytes,
    Reason::LimitFiles,
    Reason::HeadTooLarge,
    Reason::HeadTimeout,
    Reason::TlsTooLarge,
    Reason::TlsIncomplete,
    Reason::LogUnavailable,
];

const DECIDED: &[&str] = &["allow", "deny", "audit"];
const SINKS: &[&str] = &["stdout", "file"];

const fn fixed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label {
        name,
        values: Values::Fixed(values),
    }
}

const fn reasons(name: &'static str, reasons: &'static [Reason]) -> Label {
    Label {
        name,
        values: Values::Reasons(reasons),
    }
}

/// Declares the table and the index of each of its rows.
macro_rules! table {
    ($($metric:ident: $kind:ident $name:literal $unit:literal [$($label:expr),*] $help:literal;)*) => {
        /// Index of a family in [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric { $(#[doc = $help] $metric,)* }

        /// Every metric.
        pub const TABLE: &[Family] = &[$(Family {
            name: concat!("egret_", $name),
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

table! {
    Build: Info "build" "" [fixed("version", &[env!("CARGO_PKG_VERSION")])] "The version that runs.";
    StartTime: Gauge "start_time_seconds" "seconds" [] "When the gateway started, in seconds since 1970.";
    Ready: Gauge "ready" "" [] "1 while new flows are served, as /readyz says.";
    NotEnforced: Gauge "policy_not_enforced" "" [] "Denials of the imported policy in force that are not carried out (`policy.partial`).";
    Generation: Gauge "policy_generation" "" [] "Generation of the policy in force: 1 at start, one more for each reload.";
    Audit: Gauge "policy_audit" "" [] "1 while the policy, or a collection of it, is in audit mode.";
    Reloads: Counter "reloads" "" [fixed("result", &["ok", "failed"])] "Configurations offered while running; a failed one changes nothing.";
    Accepted: Counter "connections_accepted" "" [] "Client connections taken from the listeners.";
    AcceptFailures: Counter "accept_failures" "" [] "Times a connection could not be taken, mostly for want of file descriptors.";
    Connections: Gauge "connections_open" "" [] "Client connections open now.";
    Tunnels: Gauge "tunnels_open" "" [] "Flows that passed the gate and are being relayed.";
    Dials: Gauge "dials_pending" "" [] "Upstream connections being opened now.";
    Held: Gauge "held_bytes" "bytes" [] "Bytes of heads and ClientHellos that wait to be judged, beyond 4 KiB of each client.";
    Decisions: Counter "decisions" "" [fixed("action", DECIDED), reasons("reason", &Reason::ALL)] "Decisions, one for each rule row, suppressed ones included; audit is a denial that audit mode let through.";
    LimitRefusals: Counter "limit_refusals" "" [reasons("limit", LIMITS)] "Attempts and connections refused at a limit.";
    Flows: Counter "flows_ended" "" [fixed("end", FlowEndKind::NAMES)] "Flows by how they ended, one for each EgretFlow row, suppressed ones included.";
    Refused: Counter "flows_refused" "" [fixed("stage", Stage::NAMES)] "Flows that ended before a relay, by the last step they reached.";
    Panics: Counter "flow_panics" "" [] "Flows that ended by a defect of egret.";
    Sent: Counter "sent_bytes" "bytes" [] "Bytes relayed to upstreams, of flows that have ended.";
    Received: Counter "received_bytes" "bytes" [] "Bytes relayed from upstreams, of flows that have ended.";
    RelayPipes: Gauge "relay_pipes_open" "" [] "Pipes of the process for splicing, those kept for the next burst included.";
    SpliceRefused: Counter "relay_splice_refused" "" [fixed("cause", &["budget", "kernel"])] "Times a relay went on copying bulk because every pipe was in use, or the kernel refused one.";
    DnsLookups: Counter "dns_lookups" "" [fixed("result", &["hit", "miss", "joined", "refused"])] "Names asked of the resolver: from the cache, resolved, joined to a lookup under way, or refused at the limit.";
    DnsFailures: Counter "dns_failures" "" [] "Lookups that ended without an address.";
    DnsQuestions: Counter "dns_questions" "" [fixed("transport", &["udp", "tcp"])] "Questions sent to forwarders, repeated ones included.";
    DnsReplies: Counter "dns_replies" "" [fixed("result", &["taken", "ignored", "malformed"])] "Replies from forwarders; ignored ones answer no question of ours.";
    DnsFailovers: Counter "dns_failovers" "" [] "Times the next server of a zone was asked because one had failed.";
    DnsCached: Gauge "dns_cached_names" "" [] "Names in the cache.";
    DnsInFlight: Gauge "dns_lookups_pending" "" [] "Lookups under way.";
    LogRows: Counter "log_rows" "" [fixed("sink", SINKS)] "Rows that reached the sink.";
    LogDropped: Counter "log_rows_dropped" "" [fixed("sink", SINKS)] "Rows lost because the sink was full or could not be written.";
    LogSuppressed: Counter "log_rows_suppressed" "" [] "Rows not written because their source attempts faster than its rate or has too many connections, or because the log takes no new flows; a few each second are.";
    LogBytes: Counter "log_written_bytes" "bytes" [fixed("sink", SINKS)] "Bytes of rows written.";
    LogFailures: Counter "log_write_failures" "" [fixed("sink", SINKS)] "Writes that failed; each is tried again.";
    LogWaiting: Gauge "log_queue_bytes" "bytes" [fixed("sink", SINKS)] "Bytes of the sink's queue in use.";
    LogDegraded: Gauge "log_degraded" "" [fixed("sink", SINKS)] "1 while the sink cannot be written, or is nearly full.";
}

impl Values {
    /// How many there are.
    pub const fn len(self) -> usize {
        match self {
            Values::Fixed(names) => names.len(),
            Values::Reasons(reasons) => reasons.len(),
        }
    }

    /// Never: a label has values.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Text of one of them.
    pub fn name(self, index: usize) -> &'static str {
        match self {
            Values::Fixed(names) => names[index],
            Values::Reasons(reasons) => reasons[index].name(),
        }
    }
}

impl Family {
    /// Number of its series.
    pub(super) const fn series(&self) -> usize {
        let (mut series, mut i) = (1, 0);
        while i < self.labels.len() {
            series *= self.labels[i].values.len();
            i += 1;
        }
        series
    }
}

impl Kind {
    /// What a series' name ends in.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        }
    }

    /// The word of OpenMetrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        }
    }
}

/// The table as Markdown: the body of `docs/metrics.md`.
pub fn reference() -> String {
    let mut out = String::from("| metric | kind | unit | labels | what it says |\n|---|---|---|---|---|\n");
    for family in TABLE {
        let labels: Vec<_> = family.labels.iter().map(shown).collect();
        let _ = writeln!(
            out,
            "| `{}{}` | {} | {} | {} | {} |",
            family.name,
            family.kind.suffix(),
            family.kind.name(),
            family.unit,
            labels.join("; "),
            family.help
        );
    }
    out
}

fn shown(label: &Label) -> String {
    let all = Reason::ALL.len();
    match label.values {
        Values::Reasons(reasons) if reasons.len() == all => format!("`{}`: any of the reasons", label.name),
        values => {
            let names: Vec<_> = (0..values.len()).map(|i| format!("`{}`", values.name(i))).collect();
            format!("`{}`: {}", label.name, names.join(" "))
        }
    }
}
