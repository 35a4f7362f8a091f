//! [`Settings`]: everything but policy and DNS, checked, with each default beside its meaning.
//!
//! Pure values: no sockets, no clock, `Default` has no side effects. The keys of the TOML file that set them are listed in
//! `docs/config.md`.

use crate::tls::client_hello::MAX_CLIENT_HELLO_BYTES;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Everything that is set once for the process and not a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Where egret listens.
    pub listeners: Listeners,
    /// How the proxy port judges and answers.
    pub proxy: Proxy,
    /// Bounds on sizes, times and counts.
    pub limits: Limits,
    /// Decision rows and diagnostics.
    pub log: LogSettings,
    /// What Azure's columns say of the firewall itself.
    pub azure: Azure,
}

/// Where egret listens. Port 0 asks the system for a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// HTTP proxy port: CONNECT and absolute-form. Default `127.0.0.1:3128` and `[::1]:3128`: gRPC does not fall back from
    /// one family to the other.
    pub proxy: Vec<SocketAddr>,
    /// `/healthz` and `/readyz` only; may be any address. Default `127.0.0.1:9181`.
    pub health: Vec<SocketAddr>,
    /// Metrics, policy and flows, read-only; loopback only. Default `127.0.0.1:9180`.
    pub admin: Vec<SocketAddr>,
}

impl Default for Listeners {
    fn default() -> Self {
        let v4 = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let v6 = |port| SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
        Self {
            proxy: vec![v4(3128), v6(3128)],
            health: vec![v4(9181)],
            admin: vec![v4(9180)],
        }
    }
}

/// How the proxy port judges and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// A ClientHello that names another host than the CONNECT.
    pub sni_mismatch: SniMismatch,
    /// A ClientHello with Encrypted Client Hello.
    pub ech: EchPolicy,
    /// Wording of a denial.
    pub deny_response: DenyResponse,
    /// How much a denial tells the client.
    pub deny_detail: DenyDetail,
}

/// `proxy.sni_mismatch`: what a ClientHello means whose SNI is not the CONNECT host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SniMismatch {
    /// Refused with `SniMismatch`.
    #[default]
    Deny,
    /// The SNI is judged as an attempt of its own.
    Decide,
}

/// `proxy.ech`: what a ClientHello with Encrypted Client Hello (RFC 9849) means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EchPolicy {
    /// The outer SNI is the name; its presence is recorded. Browsers always send one.
    #[default]
    Outer,
    /// Refused with `EchDenied`.
    Deny,
}

/// `proxy.deny_response`: wording of a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DenyResponse {
    /// 403 with name, reason and flow id in the reason phrase.
    #[default]
    Egret,
    /// Status 470 and the sentence that Azure Firewall sends.
    Azure,
}

/// `proxy.deny_detail`: how much a denial tells the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DenyDetail {
    /// Name, reason, rule and flow id.
    #[default]
    Full,
    /// Flow id alone: rule and policy stay hidden.
    FlowId,
}

/// Bounds on sizes, times and counts. At each, egret refuses with a reason of its own.
///
/// The bounds on DNS (cache entries, queries in flight) are in the DNS plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Worker threads; `None`: one per core. Default `None`.
    pub workers: Option<usize>,
    /// Longest request head, in bytes. Default 16 KiB.
    pub head_bytes: usize,
    /// Most header fields in a request. Default 100.
    pub head_fields: usize,
    /// Time for a whole request head, from accept or from the end of the request before. Default 10 s.
    pub head_time: Duration,
    /// Longest ClientHello, in bytes. Default 64 KiB.
    pub client_hello_bytes: usize,
    /// Time for the first byte after the 200, and again for the rest of a ClientHello. Default 5 s.
    pub client_hello_time: Duration,
    /// Open tunnels and client connections in all. Default 50 000; fewer where the limit on open files holds fewer.
    pub tunnels: usize,
    /// Open tunnels and client connections of one source address. Default 5 000.
    pub tunnels_per_source: usize,
    /// Attempts of one source address per second, sustained. Default 500: a client that loops on refusals sends as many.
    pub attempts_per_second_per_source: u32,
    /// Attempts that one source may make at once before the rate counts. Default 1 000.
    pub attempts_burst_per_source: u32,
    /// Bytes that wait to be judged (heads and ClientHellos) in all, beyond 4 KiB of each client. Default 16 MiB.
    pub held_bytes: usize,
    /// Upstream connections being opened at once. Default 4 096.
    pub dials: usize,
    /// Tunnel without a byte either way, also after one side has ended. Default 240 s, as Azure Firewall's.
    pub idle: Duration,
    /// Resolve and connect together. Default 9 s: clients get an answer within 10 s.
    pub connect_time: Duration,
    /// How long open tunnels may live after SIGTERM. Default 30 s.
    pub drain_time: Duration,
    /// Rows waiting for one log sink, in bytes. Default 64 MiB.
    pub log_queue_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: None,
            head_bytes: 16 << 10,
            head_fields: 100,
            head_time: Duration::from_secs(10),
            client_hello_bytes: MAX_CLIENT_HELLO_BYTES,
            client_hello_time: Duration::from_secs(5),
            tunnels: 50_000,
            tunnels_per_source: 5_000,
            attempts_per_second_per_source: 500,
            attempts_burst_per_source: 1_000,
            held_bytes: 16 << 20,
            dials: 4_096,
            idle: Duration::from_secs(240),
            connect_time: Duration::from_secs(9),
            drain_time: Duration::from_secs(30),
            log_queue_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// The same without a bound that a client could reach, for the proof of the tests.
    pub(crate) fn unbounded(self) -> Self {
        const NEVER: Duration = Duration::from_secs(3600);
        Self {
            head_bytes: 1 << 30,
            head_fields: 256,
            head_time: NEVER,
            client_hello_bytes: 1 << 30,
            client_hello_time: NEVER,
            tunnels: usize::MAX,
            tunnels_per_source: usize::MAX,
            attempts_per_second_per_source: u32::MAX,
            attempts_burst_per_source: u32::MAX,
            held_bytes: usize::MAX,
            dials: usize::MAX,
            idle: NEVER,
            ..self
        }
    }
}

/// Where decision rows go, and how much diagnostics say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Form of a row. Default Azure's JSON lines.
    pub format: LogFormat,
    /// Rows on standard output: a full pipe drops and counts. Default true.
    pub stdout: bool,
    /// Rows in a rotating file. Default none.
    pub file: Option<FileLog>,
    /// Diagnostics on standard error. Default `Info`.
    pub level: Level,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            stdout: true,
            file: None,
            level: Level::default(),
        }
    }
}

/// `log.format`: form of a decision row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// JSON lines as Azure Firewall's diagnostic settings deliver them.
    #[default]
    Azure,
    /// The same envelope with the free texts of the older `AzureDiagnostics` table.
    AzureDiagnostics,
    /// One line of text for people.
    Text,
}

/// `log.file`: a rotating file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLog {
    /// Its path; rotated files get a suffix.
    pub path: PathBuf,
    /// Rotated at this size, in bytes. Default 256 MiB.
    pub max_bytes: u64,
    /// Rotated files kept. Default 8.
    pub keep: u32,
    /// Rotated at this age. Default none.
    pub max_age: Option<Duration>,
    /// What happens when it cannot be written. Default `Deny`: it is the audit file.
    pub on_full: OnFull,
}

/// `on_full`: what happens when a sink is full or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// Rows are dropped, counted, and a loss row is written in band.
    Drop,
    /// New flows are refused with `LogUnavailable`; open tunnels live on.
    Deny,
}

/// `log.level`: how much diagnostics say (not decision rows).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// egret cannot serve.
    Error,
    /// Degraded and going on.
    Warn,
    /// Start, reload, stop.
    #[default]
    Info,
    /// Per flow.
    Debug,
    /// Everything.
    Trace,
}

/// What Azure's columns say of the firewall itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    /// `resourceId` of every row. Default: a firewall called egret in the zero subscription.
    pub resource_id: Arc<str>,
    /// `Policy` of rows whose rule is of our own policy. Default `egret`.
    pub policy: Arc<str>,
    /// `ActionReason` of a denial without a rule. Default: the sentence of real records; the table's documentation says
    /// `Default Action`.
    pub action_reason: Arc<str>,
}

impl Default for Azure {
    fn default() -> Self {
        Self {
            resource_id: "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/EGRET/PROVIDERS/MICROSOFT.NETWORK/AZUREFIREWALLS/EGRET".into(),
            policy: "egret".into(),
            action_reason: "No rule matched. Proceeding with default action.".into(),
        }
    }
}
