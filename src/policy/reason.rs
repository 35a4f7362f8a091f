//! Why an attempt was decided as it was: one closed set, one table.
//!
//! The table is what `docs/reasons.md`, the answers to clients, the rows and the metrics are made of.

/// Why a decision is what it is. The name of the variant is the text in rows, answers and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is documented in its row of `Reason::row`")]
#[repr(u8)]
pub enum Reason {
    RuleMatched,
    NoRuleMatched,
    BadRequest,
    BadAuthority,
    NameInvalid,
    IpLiteral,
    HostMismatch,
    Framing,
    HeadTooLarge,
    HeadTimeout,
    SniMissing,
    SniMismatch,
    SniInvalid,
    SniIpLiteral,
    TlsMalformed,
    TlsIncomplete,
    TlsTooLarge,
    TlsSslv2,
    NotTls,
    NotHttp,
    EchDenied,
    AddressDenied,
    PublicResolution,
    DnsNxdomain,
    DnsNoData,
    DnsServfail,
    DnsRefused,
    DnsTimeout,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamClosed,
    UpstreamInvalid,
    UpstreamPorts,
    LimitTunnels,
    LimitSourceTunnels,
    LimitSourceRate,
    LimitDials,
    LimitDnsQueries,
    LimitFiles,
    LogUnavailable,
    Loop,
    Draining,
    Revoked,
    ClientClosed,
    Internal,
}

/// Who can mend what a reason reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody: the decision is the wanted one.
    Nobody,
    /// Whoever runs the workload.
    Workload,
    /// Whoever writes the policy.
    PolicyAuthor,
    /// Whoever runs DNS and the private endpoints.
    DnsOwner,
    /// Whoever runs the destination.
    Upstream,
    /// Whoever runs egret.
    Operator,
}

/// One row of the table of reasons.
#[derive(Clone, Copy, Debug)]
pub struct ReasonRow {
    /// The reason itself.
    pub reason: Reason,
    /// Its stable text.
    pub name: &'static str,
    /// HTTP status of the answer when no 200 has been sent (RFC 9110 section 15).
    pub status: u16,
    /// `error` parameter of `Proxy-Status` (RFC 9209 section 2.3).
    pub proxy_error: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Who must act.
    pub actor: Actor,
    /// What to do.
    pub remedy: &'static str,
}
