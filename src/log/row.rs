//! What a row says, before it has a form: one struct per table, borrowed from the flow that writes it.

mod aggregate;
mod dns;
mod network;
mod packets;

pub use aggregate::{ApplicationAggregate, NatAggregate, NetworkAggregate};
pub use dns::{DnsQueryRow, ResolveFailureRow};
pub use network::{NetworkRow, Spoken, ThreatAction, ThreatIntelRow};
pub use packets::{FatFlowRow, FlowTraceRow, IdpsRow, NatRow, Packets, TraceFlag};

use crate::policy::{Action, Answer, Mode, Protocol, Reason, RuleRef};
use std::{
    cell::Cell,
    fmt,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// One row of one table.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// A decision on an application rule: `AZFWApplicationRule`.
    Application(ApplicationRow<'a>),
    /// A decision on a network rule: `AZFWNetworkRule`.
    Network(NetworkRow<'a>),
    /// A translation by a DNAT rule: `AZFWNatRule`.
    Nat(NatRow<'a>),
    /// A hit on a threat-intelligence list: `AZFWThreatIntel`.
    ThreatIntel(ThreatIntelRow<'a>),
    /// A packet that matched signatures: `AZFWIdpsSignature`.
    Idps(IdpsRow<'a>),
    /// A question to the DNS proxy: `AZFWDnsQuery`.
    DnsQuery(DnsQueryRow<'a>),
    /// A name of a rule that could not be resolved: `AZFWFqdnResolveFailure`.
    ResolveFailure(ResolveFailureRow<'a>),
    /// One of the largest flows: `AZFWFatFlow`.
    FatFlow(FatFlowRow),
    /// A TCP segment beyond the first: `AZFWFlowTrace`.
    FlowTrace(FlowTraceRow),
    /// Application decisions that are alike: `AZFWApplicationRuleAggregation`.
    ApplicationAggregate(ApplicationAggregate<'a>),
    /// Network decisions that are alike: `AZFWNetworkRuleAggregation`.
    NetworkAggregate(NetworkAggregate<'a>),
    /// Translations that are alike: `AZFWNatRuleAggregation`.
    NatAggregate(NatAggregate<'a>),
    /// The end of a flow: `EgretFlow`.
    FlowEnd(FlowEnd<'a>),
    /// Rows that a sink lost: `EgretLogLoss`.
    Loss(Loss),
}

impl Row<'_> {
    /// Wall-clock time of the row.
    pub fn time(&self) -> SystemTime {
        match self {
            Row::Application(row) => row.time,
            Row::Network(row) => row.time,
            Row::Nat(row) => row.time,
            Row::ThreatIntel(row) => row.time,
            Row::Idps(row) => row.time,
            Row::DnsQuery(row) => row.time,
            Row::ResolveFailure(row) => row.time,
            Row::FatFlow(row) => row.time,
            Row::FlowTrace(row) => row.time,
            Row::ApplicationAggregate(row) => row.time,
            Row::NetworkAggregate(row) => row.time,
            Row::NatAggregate(row) => row.time,
            Row::FlowEnd(row) => row.time,
            Row::Loss(row) => row.time,
        }
    }

    /// `category` of the row: the diagnostic category that Azure Firewall writes it under, or a name of ours.
    pub fn category(&self) -> &'static str {
        match self {
            Row::Application(_) => "AZFWApplicationRule",
            Row::Network(_) => "AZFWNetworkRule",
            Row::Nat(_) => "AZFWNatRule",
            Row::ThreatIntel(_) => "AZFWThreatIntel",
            Row::Idps(_) => "AZFWIdpsSignature",
            Row::DnsQuery(_) => "AZFWDnsQuery",
            Row::ResolveFailure(_) => "AZFWFqdnResolveFailure",
            Row::FatFlow(_) => "AZFWFatFlow",
            Row::FlowTrace(_) => "AZFWFlowTrace",
            Row::ApplicationAggregate(_) => "AZFWApplicationRuleAggregation",
            Row::NetworkAggregate(_) => "AZFWNetworkRuleAggregation",
            Row::NatAggregate(_) => "AZFWNatRuleAggregation",
            Row::FlowEnd(_) => "EgretFlow",
            Row::Loss(_) => "EgretLogLoss",
        }
    }
}

/// One decision, at the decision (for TLS: when the gate opens or refuses).
#[derive(Clone, Copy, Debug)]
pub struct ApplicationRow<'a> {
    /// When it was decided.
    pub time: SystemTime,
    /// The flow it belongs to; a kept-alive connection has several rows under one flow.
    pub flow: FlowId,
    /// The client.
    pub source: SocketAddr,
    /// What is, or would be, spoken.
    pub protocol: Protocol,
    /// The port asked for, never the proxy's own.
    pub port: u16,
    /// The name in normal form; an address, or escaped bytes, where no name could be made of what was sent.
    pub fqdn: &'a str,
    /// What was asked for, as it was sent: the target of a CONNECT, the authority of a URL, or the whole of a target that was
    /// refused unread.
    pub requested: Option<&'a [u8]>,
    /// The URL without query and userinfo: plain HTTP only.
    pub target_url: Option<&'a str>,
    /// What policy, gate or vetting says. See [`ApplicationRow::let_through`].
    pub action: Action,
    /// The mode that the policy put the attempt in.
    pub mode: Mode,
    /// The rule that decided.
    pub rule: Option<&'a RuleRef>,
    /// The rule that lets it through all the same, if `rule` denies in audit mode.
    pub behind: Option<&'a RuleRef>,
    /// Why.
    pub reason: Reason,
    /// It came in on an explicit proxy port.
    pub explicit: bool,
    /// Where `fqdn` was read.
    pub name_source: NameSource,
    /// `server_name` of the ClientHello as it was sent.
    pub sni: Option<&'a [u8]>,
    /// `Host` as it was sent, where it is not what decided.
    pub host_header: Option<&'a [u8]>,
    /// What the ClientHello has of Encrypted Client Hello.
    pub ech: Option<&'static str>,
    /// Generation of the policy that decided.
    pub generation: u64,
    /// Hash of the configuration that decided.
    pub policy_hash: &'a str,
    /// How the name was resolved.
    pub dns: Option<&'a Answer>,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// Addresses that vetting refused.
    pub refused_addresses: &'a [IpAddr],
    /// The pattern by which it is let through, or denied, admits every tenant's resource.
    pub wide: bool,
    /// A public address was used for a name that has a private-link zone.
    pub public_resolution: bool,
    /// Dial overrides are on: the address may have been mapped.
    pub overrides: bool,
    /// For people: what the reason alone does not say.
    pub detail: Option<&'a str>,
}

impl ApplicationRow<'_> {
    /// A denial that audit mode let through: only what the rules say is softened, never gate, vetting, parser or limits.
    pub fn let_through(&self) -> bool {
        let_through(self.action, self.mode, self.reason)
    }

    /// What happened to the attempt.
    pub fn outcome(&self) -> Action {
        if self.let_through() { Action::Allow } else { self.action }
    }
}

/// See [`ApplicationRow::let_through`]. What was let through may still fail for want of its destination.
pub(crate) fn let_through(action: Action, mode: Mode, reason: Reason) -> bool {
    let by_rules = matches!(reason, Reason::RuleMatched | Reason::NoRuleMatched);
    action == Action::Deny && mode == Mode::Audit && (by_rules || reason.is_trouble())
}

/// The end of a flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowEnd<'a> {
    /// When it ended.
    pub time: SystemTime,
    /// The flow.
    pub flow: FlowId,
    /// The client.
    pub source: SocketAddr,
    /// The name in normal form, or what stands for it.
    pub fqdn: &'a str,
    /// The port asked for; 0 if none was read.
    pub port: u16,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// What was spoken, if it came so far.
    pub protocol: Option<Protocol>,
    /// Bytes to upstream.
    pub sent: u64,
    /// Bytes from upstream.
    pub received: u64,
    /// From accept to the end.
    pub duration: Duration,
    /// How it ended.
    pub end: FlowEndKind,
    /// The last step that was reached.
    pub stage: Stage,
    /// Why, as in the rule row.
    pub reason: Reason,
    /// Generation of the policy that decided last; 0 if none did.
    pub generation: u64,
}

/// Rows that a sink could not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When the loss was written down.
    pub time: SystemTime,
    /// `stdout` or `file`.
    pub sink: &'static str,
    /// Number of rows, exact.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time of the first lost row.
    pub first: SystemTime,
    /// Time of the last lost row.
    pub last: SystemTime,
    /// Why.
    pub cause: LossCause,
}

/// Why rows were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The sink was slower than the rows, or could not be written, until its queue was full.
    QueueFull,
    /// The process before this one ended in the middle of a row.
    Torn,
}

impl LossCause {
    /// Text in rows.
    pub fn name(self) -> &'static str {
        match self {
            LossCause::QueueFull => "QueueFull",
            LossCause::Torn => "Torn",
        }
    }
}

/// Where the name of an attempt was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// Target of a CONNECT.
    Connect,
    /// `server_name` of a ClientHello.
    Sni,
    /// Target or `Host` of a plain HTTP request.
    Host,
    /// Nowhere.
    None,
}

impl NameSource {
    /// Text in rows.
    pub fn name(self) -> &'static str {
        match self {
            NameSource::Connect => "connect",
            NameSource::Sni => "sni",
            NameSource::Host => "host",
            NameSource::None => "none",
        }
    }
}

/// Declares a closed set with its texts, so that rows, metrics and their documentation cannot disagree.
macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// Every text, in order of declaration.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// Text in rows and metrics.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

closed_set! {
    /// How a flow ended.
    FlowEndKind {
        /// The client ended first, in order.
        ClientClosed = "ClientClosed",
        /// The upstream ended first, in order.
        UpstreamClosed = "UpstreamClosed",
        /// The client's side broke.
        ClientReset = "ClientReset",
        /// The upstream's side broke.
        UpstreamReset = "UpstreamReset",
        /// No byte either way for `limits.idle_seconds`.
        Idle = "Idle",
        /// A reload denies what had been allowed.
        Revoked = "Revoked",
        /// egret stopped and the drain time was over.
        Drained = "Drained",
        /// It never got as far as a relay; the reason says why.
        Refused = "Refused",
    }
}

closed_set! {
    /// Steps of a flow, in their order.
    Stage {
        /// Taken from the listener.
        Accept = "Accept",
        /// Reading what is asked.
        Intent = "Intent",
        /// The policy.
        Decide = "Decide",
        /// DNS.
        Resolve = "Resolve",
        /// Which addresses may be dialled.
        Vet = "Vet",
        /// Dialling.
        Connect = "Connect",
        /// Judging the first flight.
        Gate = "Gate",
        /// Copying.
        Relay = "Relay",
    }
}

/// A flow's number: unique in a process, and two processes are very unlikely to share any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u64);

impl FlowId {
    /// A number that no other flow of this process has.
    pub fn next() -> Self {
        /// Numbers that a thread takes at once: the shared counter is written once in so many flows.
        const BLOCK: u64 = 1024;
        static SHARED: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));
        thread_local!(static OWN: Cell<(u64, u64)> = const { Cell::new((0, 0)) });
        let (next, left) = match OWN.get() {
            (_, 0) => (SHARED.fetch_add(BLOCK, Ordering::Relaxed), BLOCK),
            own => own,
        };
        OWN.set((next.wrapping_add(1), left - 1));
        Self(next)
    }

    /// The flow with this number, as read back from a row.
    pub const fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// The last 8 of its 16 hex digits: enough to find the row, short enough for a reason phrase.
    pub fn short(self) -> String {
        let digit = |place: u32| char::from(b"0123456789abcdef"[(self.0 >> (4 * place) & 15) as usize]);
        (0..8).rev().map(digit).collect()
    }

    /// The number itself.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// 16 hex digits.
impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests;
