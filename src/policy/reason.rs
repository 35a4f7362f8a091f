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
    ThreatIntelligence,
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
    LimitHeldBytes,
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
    /// Its stable text: the name of the variant.
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

impl Reason {
    /// Every reason, in the order of the table.
    pub const ALL: [Reason; 48] = {
        let mut all = [Reason::Internal; 48];
        let mut i = 0;
        while i < all.len() {
            all[i] = ROWS[i].reason;
            i += 1;
        }
        all
    };

    /// Its row of the table.
    pub fn row(self) -> &'static ReasonRow {
        &ROWS[self as usize]
    }

    /// The stable text in rows, answers and metrics.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// HTTP status of the answer when no 200 has been sent.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// What Azure's column `ActionReason` holds: empty when a rule decided, the two sentences seen in real records where
    /// they apply, else our own name (Azure Firewall has no such case).
    pub fn azure_action_reason(self) -> &'static str {
        match self {
            Self::RuleMatched => "",
            Self::NoRuleMatched => "No rule matched. Proceeding with default action.",
            Self::SniMissing => "SNI TLS extension was missing.",
            other => other.name(),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One row: reason, status, `Proxy-Status` error, who must act, meaning, remedy.
const fn row(
    reason: Reason,
    name: &'static str,
    status: u16,
    proxy_error: &'static str,
    actor: Actor,
    meaning: &'static str,
    remedy: &'static str,
) -> ReasonRow {
    ReasonRow {
        reason,
        name,
        status,
        proxy_error,
        meaning,
        actor,
        remedy,
    }
}

/// In the order of the variants. Statuses: what the client wrote wrong is 4xx, what policy, gate or vetting denies is 403,
/// what is wrong upstream is 502 or 504 (RFC 9209 section 2.3 recommends these), what may pass by waiting is 503: common
/// SDKs retry on 503 with back-off, and take 429 for the service's own answer.
static ROWS: [ReasonRow; 48] = [
    row(
        Reason::RuleMatched,
        "RuleMatched",
        403,
        "http_request_denied",
        Actor::PolicyAuthor,
        "A rule of the policy matched; its collection says allow or deny.",
        "If the denial is not wanted, change the rule that the record names, or put an allowing one before it.",
    ),
    row(
        Reason::NoRuleMatched,
        "NoRuleMatched",
        403,
        "http_request_denied",
        Actor::PolicyAuthor,
        "No rule admits this name, port, protocol and source; what is not listed is denied.",
        "If the workload needs it, add the name to an application rule for this source.",
    ),
    row(
        Reason::ThreatIntelligence,
        "ThreatIntelligence",
        403,
        "http_request_denied",
        Actor::PolicyAuthor,
        "The name, or an address at one end of the flow, is on a threat-intelligence list in mode Deny; lists go before every rule.",
        "Find out what in the workload asks for it; if the list is wrong, put the name or address on the allowlist.",
    ),
    row(
        Reason::BadRequest,
        "BadRequest",
        400,
        "http_request_error",
        Actor::Workload,
        "The request is not one that a forward proxy can read in one way only (RFC 9112).",
        "Send CONNECT with host:port, or an absolute http:// target, in plain HTTP/1.1.",
    ),
    row(
        Reason::BadAuthority,
        "BadAuthority",
        400,
        "http_request_error",
        Actor::Workload,
        "The target is not a host and a port: userinfo, brackets, zone id, missing or bad port (RFC 9110 section 9.3.6).",
        "Write the target as host:port, an IPv6 literal in brackets.",
    ),
    row(
        Reason::NameInvalid,
        "NameInvalid",
        400,
        "http_request_error",
        Actor::Workload,
        "The host is not a name: a bad character, an empty or overlong label, or letters beyond ASCII (RFC 1035, RFC 1123).",
        "Correct the host name; international names are sent as A-labels (xn--...).",
    ),
    row(
        Reason::IpLiteral,
        "IpLiteral",
        403,
        "http_request_denied",
        Actor::Workload,
        "The target is an address; application rules admit names only.",
        "Use the host name, or have a name made for the address.",
    ),
    row(
        Reason::HostMismatch,
        "HostMismatch",
        400,
        "http_request_error",
        Actor::Workload,
        "The Host field names another host or port than the target or the tunnel.",
        "Send a Host field equal to the target; one tunnel serves one host.",
    ),
    row(
        Reason::Framing,
        "Framing",
        400,
        "http_request_error",
        Actor::Workload,
        "The length of the request body cannot be told in one way only (RFC 9112 section 6.3): a sign of request smuggling.",
        "Send either one Content-Length or Transfer-Encoding: chunked, and no body with CONNECT.",
    ),
    row(
        Reason::HeadTooLarge,
        "HeadTooLarge",
        431,
        "http_request_error",
        Actor::Workload,
        "The request head exceeds the limit on bytes or fields.",
        "Send fewer or shorter fields, or raise limits.head_bytes.",
    ),
    row(
        Reason::HeadTimeout,
        "HeadTimeout",
        408,
        "http_request_error",
        Actor::Workload,
        "The request head was not complete within the time limit.",
        "Look at why the client sends slowly, or raise limits.head_seconds.",
    ),
    row(
        Reason::SniMissing,
        "SniMissing",
        403,
        "http_request_denied",
        Actor::Workload,
        "The ClientHello names no server, so that the tunnel cannot be held to the name it was opened for.",
        "Use a TLS client that sends server_name (RFC 6066).",
    ),
    row(
        Reason::SniMismatch,
        "SniMismatch",
        403,
        "http_request_denied",
        Actor::Workload,
        "The ClientHello names another server than the CONNECT target.",
        "Open the tunnel for the name that is wanted inside it; look closely if nobody meant to.",
    ),
    row(
        Reason::SniInvalid,
        "SniInvalid",
        403,
        "http_request_denied",
        Actor::Workload,
        "The server name in the ClientHello is not a host name.",
        "Correct the host name in the client.",
    ),
    row(
        Reason::SniIpLiteral,
        "SniIpLiteral",
        403,
        "http_request_denied",
        Actor::Workload,
        "The server name in the ClientHello is an address, which RFC 6066 section 3 forbids.",
        "Use the host name.",
    ),
    row(
        Reason::TlsMalformed,
        "TlsMalformed",
        403,
        "http_request_denied",
        Actor::Workload,
        "The ClientHello breaks the format of TLS, so that another reader could read another name.",
        "Update the TLS client; look closely if nobody meant to.",
    ),
    row(
        Reason::TlsIncomplete,
        "TlsIncomplete",
        403,
        "http_request_denied",
        Actor::Workload,
        "No complete ClientHello came within the time limit, or the client closed before.",
        "Look at why the client sends slowly; protocols in which the server speaks first cannot pass.",
    ),
    row(
        Reason::TlsTooLarge,
        "TlsTooLarge",
        403,
        "http_request_denied",
        Actor::Workload,
        "The ClientHello exceeds the size limit.",
        "Raise limits.client_hello_bytes if a real client needs it.",
    ),
    row(
        Reason::TlsSslv2,
        "TlsSslv2",
        403,
        "http_request_denied",
        Actor::Workload,
        "The client speaks SSL 2.0 (RFC 6176).",
        "Update the TLS client.",
    ),
    row(
        Reason::NotTls,
        "NotTls",
        403,
        "http_request_denied",
        Actor::Workload,
        "The tunnel was admitted for TLS and something else was spoken in it.",
        "Speak TLS; other protocols cannot pass an Https rule.",
    ),
    row(
        Reason::NotHttp,
        "NotHttp",
        403,
        "http_request_denied",
        Actor::Workload,
        "Something was spoken in a tunnel for plain HTTP that is neither HTTP nor TLS.",
        "Speak HTTP/1.1; other protocols need a network rule.",
    ),
    row(
        Reason::EchDenied,
        "EchDenied",
        403,
        "http_request_denied",
        Actor::Workload,
        "The ClientHello carries encrypted_client_hello and the setting denies it.",
        "Switch Encrypted ClientHello off in the client, or set proxy.ech = \"outer\".",
    ),
    row(
        Reason::AddressDenied,
        "AddressDenied",
        403,
        "destination_ip_prohibited",
        Actor::DnsOwner,
        "The name resolves only to addresses that may not be dialled: this machine, link-local, metadata, or private ones that no zone or rule vouches for.",
        "If the private address is right, mark its zone private or set resolves_into on the rule; else correct the record.",
    ),
    row(
        Reason::PublicResolution,
        "PublicResolution",
        403,
        "destination_ip_prohibited",
        Actor::DnsOwner,
        "The name has a private-link zone and resolves to public addresses only, while private endpoints are required.",
        "Create the private endpoint and its record, link the zone, and forward the public zone to a server that sees it.",
    ),
    row(
        Reason::DnsNxdomain,
        "DnsNxdomain",
        502,
        "dns_error",
        Actor::DnsOwner,
        "The name does not exist, says the server that was asked.",
        "Correct the name, or add its record; under a private zone the record of the private endpoint is missing.",
    ),
    row(
        Reason::DnsNoData,
        "DnsNoData",
        502,
        "dns_error",
        Actor::DnsOwner,
        "The name exists and has no address record.",
        "Add an A or AAAA record.",
    ),
    row(
        Reason::DnsServfail,
        "DnsServfail",
        502,
        "dns_error",
        Actor::DnsOwner,
        "The server could not resolve the name, or its answer was unusable: a loop, too long a chain, malformed.",
        "Look at the server that the record names; no other zone's server is asked instead.",
    ),
    row(
        Reason::DnsRefused,
        "DnsRefused",
        502,
        "dns_error",
        Actor::DnsOwner,
        "The server refuses to answer for the name.",
        "Let the server answer egret, or forward the zone to another one.",
    ),
    row(
        Reason::DnsTimeout,
        "DnsTimeout",
        504,
        "dns_timeout",
        Actor::DnsOwner,
        "No server of the zone answered in time.",
        "Look at the zone's servers and at the way to them.",
    ),
    row(
        Reason::UpstreamRefused,
        "UpstreamRefused",
        502,
        "connection_refused",
        Actor::Upstream,
        "The destination refused the connection.",
        "Look at whether the service listens on this port.",
    ),
    row(
        Reason::UpstreamUnreachable,
        "UpstreamUnreachable",
        502,
        "destination_ip_unroutable",
        Actor::Operator,
        "The network has no way to any vetted address of the destination.",
        "Look at routes and filters between egret and the destination.",
    ),
    row(
        Reason::UpstreamTimeout,
        "UpstreamTimeout",
        504,
        "connection_timeout",
        Actor::Upstream,
        "The destination did not accept the connection, or did not answer, in time.",
        "Look at routes and filters between egret and the destination, and at the service.",
    ),
    row(
        Reason::UpstreamClosed,
        "UpstreamClosed",
        502,
        "connection_terminated",
        Actor::Upstream,
        "The destination closed the connection before its answer was complete.",
        "Look at the service; the request may be sent again if it is safe to.",
    ),
    row(
        Reason::UpstreamInvalid,
        "UpstreamInvalid",
        502,
        "http_protocol_error",
        Actor::Upstream,
        "The destination's answer is not HTTP that can be read in one way only.",
        "Look at the service; it may speak another protocol on this port.",
    ),
    row(
        Reason::UpstreamPorts,
        "UpstreamPorts",
        503,
        "destination_unavailable",
        Actor::Operator,
        "No local port is left for connections to this destination.",
        "Wait, spread the load over more addresses, or widen the range of local ports.",
    ),
    row(
        Reason::LimitTunnels,
        "LimitTunnels",
        503,
        "proxy_internal_response",
        Actor::Operator,
        "As many tunnels are open as egret may hold.",
        "Wait, or raise limits.tunnels.",
    ),
    row(
        Reason::LimitSourceTunnels,
        "LimitSourceTunnels",
        503,
        "proxy_internal_response",
        Actor::Workload,
        "This source has as many tunnels open as it may hold.",
        "Close idle connections, or raise limits.tunnels_per_source.",
    ),
    row(
        Reason::LimitSourceRate,
        "LimitSourceRate",
        503,
        "proxy_internal_response",
        Actor::Workload,
        "This source attempts faster than it may.",
        "Reuse connections and back off, or raise limits.attempts_per_second_per_source.",
    ),
    row(
        Reason::LimitDials,
        "LimitDials",
        503,
        "connection_limit_reached",
        Actor::Operator,
        "As many connections to destinations are being opened as egret may open at a time.",
        "Wait; look for a destination that does not answer, or raise limits.dials.",
    ),
    row(
        Reason::LimitDnsQueries,
        "LimitDnsQueries",
        503,
        "proxy_internal_response",
        Actor::Operator,
        "As many lookups are in flight as egret may have.",
        "Wait; look for a DNS server that does not answer, or raise limits.dns_queries.",
    ),
    row(
        Reason::LimitHeldBytes,
        "LimitHeldBytes",
        503,
        "proxy_internal_response",
        Actor::Operator,
        "As many bytes of heads and ClientHellos wait to be judged as egret, or one source, may hold.",
        "Wait; look for a source that sends large ones slowly, or raise limits.held_mib.",
    ),
    row(
        Reason::LimitFiles,
        "LimitFiles",
        503,
        "proxy_internal_error",
        Actor::Operator,
        "The process has no file descriptor left for it.",
        "Raise the open-file limit of the process, or lower limits.tunnels.",
    ),
    row(
        Reason::LogUnavailable,
        "LogUnavailable",
        503,
        "proxy_internal_error",
        Actor::Operator,
        "The audit log cannot be written, and it is set to refuse new flows then (on_full = \"deny\").",
        "Free space or mend permissions where the log is written.",
    ),
    row(
        Reason::Loop,
        "Loop",
        403,
        "proxy_loop_detected",
        Actor::Workload,
        "The request leads back to egret itself.",
        "Do not name egret as a target; look at proxy settings that point at each other.",
    ),
    row(
        Reason::Draining,
        "Draining",
        503,
        "proxy_internal_response",
        Actor::Nobody,
        "egret is stopping and takes no new flows.",
        "Try again: another instance, or this one once it is back.",
    ),
    row(
        Reason::Revoked,
        "Revoked",
        403,
        "http_request_denied",
        Actor::PolicyAuthor,
        "The policy changed and no longer admits this open tunnel, which was closed.",
        "If that was not wanted, look at what the last reload changed.",
    ),
    row(
        Reason::ClientClosed,
        "ClientClosed",
        400,
        "http_request_error",
        Actor::Workload,
        "The client closed the connection before there was an answer.",
        "Look at the client's own time limits.",
    ),
    row(
        Reason::Internal,
        "Internal",
        500,
        "proxy_internal_error",
        Actor::Operator,
        "egret failed in a way that it should not.",
        "Report it with the flow id and the diagnostics of that moment.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Error types of RFC 9209 section 2.3 that we use.
    const PROXY_ERRORS: [&str; 15] = [
        "dns_timeout",
        "dns_error",
        "destination_unavailable",
        "destination_ip_prohibited",
        "destination_ip_unroutable",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "connection_limit_reached",
        "http_request_error",
        "http_request_denied",
        "http_protocol_error",
        "proxy_internal_response",
        "proxy_internal_error",
        "proxy_loop_detected",
    ];

    #[test]
    fn every_row_stands_at_its_variant_and_is_named_after_it() {
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            assert_eq!(reason.name(), format!("{reason:?}"));
            assert_eq!(reason.to_string(), reason.name());
        }
    }

    #[test]
    fn every_row_is_filled_in_and_fits_a_reason_phrase() {
        for reason in Reason::ALL {
            let row = reason.row();
            assert!(PROXY_ERRORS.contains(&row.proxy_error), "{reason}: {}", row.proxy_error);
            assert!(row.meaning.ends_with('.') && row.remedy.ends_with('.'), "{reason}");
            assert!(row.meaning.is_ascii() && row.remedy.is_ascii(), "{reason}");
            assert!(
                matches!(row.status, 400 | 403 | 408 | 431 | 500 | 502..=504),
                "{reason}: {}",
                row.status
            );
        }
    }

    #[test]
    fn azure_columns_get_azures_words() {
        assert_eq!(Reason::RuleMatched.azure_action_reason(), "");
        assert_eq!(
            Reason::NoRuleMatched.azure_action_reason(),
            "No rule matched. Proceeding with default action."
        );
        assert_eq!(Reason::AddressDenied.azure_action_reason(), "AddressDenied");
    }
}
