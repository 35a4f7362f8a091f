//! The table of reasons: what each one means, who must act, and how it is answered.

use super::{Actor, ReasonRow};

/// Makes [`Reason`] and its rows of one table, so that each variant has a row and each row its variant.
macro_rules! reasons {
    ($($name:ident, $status:literal, $proxy_error:literal, $actor:ident, $meaning:literal, $remedy:literal;)*) => {
        /// Why a decision is what it is. The name of the variant is the text in rows, answers and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: [Self; [$($status),*].len()] = [$(Self::$name),*];
        }

        pub(super) static ROWS: [ReasonRow; [$($status),*].len()] = [$(
            ReasonRow {
                reason: Reason::$name,
                name: stringify!($name),
                status: $status,
                proxy_error: $proxy_error,
                meaning: $meaning,
                actor: Actor::$actor,
                remedy: $remedy,
            },
        )*];
    };
}

// A row: name, status, error, who must act; meaning; remedy.
//
// Statuses: what the client wrote wrong is 4xx, what policy, gate or vetting denies is 403, what is wrong upstream is 502 or
// 504 (RFC 9209 section 2.3 recommends these), what may pass by waiting is 503: common SDKs retry on 503 with back-off, and
// take 429 for the service's own answer.
reasons! {
    RuleMatched, 403, "http_request_denied", PolicyAuthor,
        "A rule of the policy matched; its collection says allow or deny.",
        "If the denial is not wanted, change the rule that the record names, or put an allowing one before it.";
    NoRuleMatched, 403, "http_request_denied", PolicyAuthor,
        "No rule admits this name, port, protocol and source; what is not listed is denied.",
        "If the workload needs it, add the name to an application rule for this source.";
    ThreatIntelligence, 403, "http_request_denied", PolicyAuthor,
        "The name, or an address at one end of the flow, is on a threat-intelligence list in mode Deny; lists go before every rule.",
        "Find out what in the workload asks for it; if the list is wrong, put the name or address on the allowlist.";
    BadRequest, 400, "http_request_error", Workload,
        "The request is not one that a forward proxy can read in one way only (RFC 9112).",
        "Send CONNECT with host:port, or an absolute http:// target, in plain HTTP/1.1.";
    BadAuthority, 400, "http_request_error", Workload,
        "The target is not a host and a port: userinfo, brackets, zone id, missing or bad port (RFC 9110 section 9.3.6).",
        "Write the target as host:port, an IPv6 literal in brackets.";
    NameInvalid, 400, "http_request_error", Workload,
        "The host is not a name: a bad character, an empty or overlong label, or letters beyond ASCII (RFC 1035, RFC 1123).",
        "Correct the host name; international names are sent as A-labels (xn--...).";
    IpLiteral, 403, "http_request_denied", Workload,
        "The target is an address; application rules admit names only.",
        "Use the host name, or have a name made for the address.";
    HostMismatch, 400, "http_request_error", Workload,
        "The Host field names another host or port than the target or the tunnel.",
        "Send a Host field equal to the target; one tunnel serves one host.";
    Framing, 400, "http_request_error", Workload,
        "The length of the request body cannot be told in one way only (RFC 9112 section 6.3): a sign of request smuggling.",
        "Send either one Content-Length or Transfer-Encoding: chunked, and no body with CONNECT.";
    HeadTooLarge, 431, "http_request_error", Workload,
        "The request head exceeds the limit on bytes or fields.",
        "Send fewer or shorter fields, or raise limits.head_bytes.";
    HeadTimeout, 408, "http_request_error", Workload,
        "The request head was not complete within the time limit.",
        "Look at why the client sends slowly, or raise limits.head_seconds.";
    SniMissing, 403, "http_request_denied", Workload,
        "The ClientHello names no server, so that the tunnel cannot be held to the name it was opened for.",
        "Use a TLS client that sends server_name (RFC 6066).";
    SniMismatch, 403, "http_request_denied", Workload,
        "The ClientHello names another server than the CONNECT target.",
        "Open the tunnel for the name that is wanted inside it; look closely if nobody meant to.";
    SniInvalid, 403, "http_request_denied", Workload,
        "The server name in the ClientHello is not a host name.",
        "Correct the host name in the client.";
    SniIpLiteral, 403, "http_request_denied", Workload,
        "The server name in the ClientHello is an address, which RFC 6066 section 3 forbids.",
        "Use the host name.";
    TlsMalformed, 403, "http_request_denied", Workload,
        "The ClientHello breaks the format of TLS, so that another reader could read another name.",
        "Update the TLS client; look closely if nobody meant to.";
    TlsIncomplete, 403, "http_request_denied", Workload,
        "No complete ClientHello came within the time limit, or the client closed before.",
        "Look at why the client sends slowly; protocols in which the server speaks first cannot pass.";
    TlsTooLarge, 403, "http_request_denied", Workload,
        "The ClientHello exceeds the size limit.",
        "Raise limits.client_hello_bytes if a real client needs it.";
    TlsSslv2, 403, "http_request_denied", Workload,
        "The client speaks SSL 2.0 (RFC 6176).",
        "Update the TLS client.";
    NotTls, 403, "http_request_denied", Workload,
        "The tunnel was admitted for TLS and something else was spoken in it.",
        "Speak TLS; other protocols cannot pass an Https rule.";
    NotHttp, 403, "http_request_denied", Workload,
        "Something was spoken in a tunnel for plain HTTP that is neither HTTP nor TLS.",
        "Speak HTTP/1.1; other protocols need a network rule.";
    EchDenied, 403, "http_request_denied", Workload,
        "The ClientHello carries encrypted_client_hello and the setting denies it.",
        "Switch Encrypted ClientHello off in the client, or set proxy.ech = \"outer\".";
    AddressDenied, 403, "destination_ip_prohibited", DnsOwner,
        "The name resolves only to addresses that may not be dialled: this machine, link-local, metadata, or private ones that no zone or rule vouches for.",
        "If the private address is right, mark its zone private or set resolves_into on the rule; else correct the record.";
    PublicResolution, 403, "destination_ip_prohibited", DnsOwner,
        "The name has a private-link zone and resolves to public addresses only, while private endpoints are required.",
        "Create the private endpoint and its record, link the zone, and forward the public zone to a server that sees it.";
    DnsNxdomain, 502, "dns_error", DnsOwner,
        "The name does not exist, says the server that was asked.",
        "Correct the name, or add its record; under a private zone the record of the private endpoint is missing.";
    DnsNoData, 502, "dns_error", DnsOwner,
        "The name exists and has no address record.",
        "Add an A or AAAA record.";
    DnsServfail, 502, "dns_error", DnsOwner,
        "The server could not resolve the name, or its answer was unusable: a loop, too long a chain, malformed.",
        "Look at the server that the record names; no other zone's server is asked instead.";
    DnsRefused, 502, "dns_error", DnsOwner,
        "The server refuses to answer for the name.",
        "Let the server answer egret, or forward the zone to another one.";
    DnsTimeout, 504, "dns_timeout", DnsOwner,
        "No server of the zone answered in time.",
        "Look at the zone's servers and at the way to them.";
    UpstreamRefused, 502, "connection_refused", Upstream,
        "The destination refused the connection.",
        "Look at whether the service listens on this port.";
    UpstreamUnreachable, 502, "destination_ip_unroutable", Operator,
        "The network has no way to any vetted address of the destination.",
        "Look at routes and filters between egret and the destination.";
    UpstreamTimeout, 504, "connection_timeout", Upstream,
        "The destination did not accept the connection, or did not answer, in time.",
        "Look at routes and filters between egret and the destination, and at the service.";
    UpstreamClosed, 502, "connection_terminated", Upstream,
        "The destination closed the connection before its answer was complete.",
        "Look at the service; the request may be sent again if it is safe to.";
    UpstreamInvalid, 502, "http_protocol_error", Upstream,
        "The destination's answer is not HTTP that can be read in one way only.",
        "Look at the service; it may speak another protocol on this port.";
    UpstreamPorts, 503, "destination_unavailable", Operator,
        "No local port is left for connections to this destination.",
        "Wait, spread the load over more addresses, or widen the range of local ports.";
    LimitTunnels, 503, "proxy_internal_response", Operator,
        "As many tunnels are open as egret may hold.",
        "Wait, or raise limits.tunnels.";
    LimitSourceTunnels, 503, "proxy_internal_response", Workload,
        "This source has as many tunnels open as it may hold.",
        "Close idle connections, or raise limits.tunnels_per_source.";
    LimitSourceRate, 503, "proxy_internal_response", Workload,
        "This source attempts faster than it may.",
        "Reuse connections and back off, or raise limits.attempts_per_second_per_source.";
    LimitDials, 503, "connection_limit_reached", Operator,
        "As many connections to destinations are being opened as egret may open at a time.",
        "Wait; look for a destination that does not answer, or raise limits.dials.";
    LimitDnsQueries, 503, "proxy_internal_response", Operator,
        "As many lookups are in flight as egret may have.",
        "Wait; look for a DNS server that does not answer, or raise limits.dns_queries.";
    LimitHeldBytes, 503, "proxy_internal_response", Operator,
        "As many bytes of heads and ClientHellos wait to be judged as egret, or one source, may hold.",
        "Wait; look for a source that sends large ones slowly, or raise limits.held_mib.";
    LimitFiles, 503, "proxy_internal_error", Operator,
        "The process has no file descriptor left for it.",
        "Raise the open-file limit of the process, or lower limits.tunnels.";
    LogUnavailable, 503, "proxy_internal_error", Operator,
        "The audit log cannot be written, and it is set to refuse new flows then (on_full = \"deny\").",
        "Free space or mend permissions where the log is written.";
    Loop, 403, "proxy_loop_detected", Workload,
        "The request leads back to egret itself.",
        "Do not name egret as a target; look at proxy settings that point at each other.";
    Draining, 503, "proxy_internal_response", Nobody,
        "egret is stopping and takes no new flows.",
        "Try again: another instance, or this one once it is back.";
    Revoked, 403, "http_request_denied", PolicyAuthor,
        "The policy changed and no longer admits this open tunnel, which was closed.",
        "If that was not wanted, look at what the last reload changed.";
    ClientClosed, 400, "http_request_error", Workload,
        "The client closed the connection before there was an answer.",
        "Look at the client's own time limits.";
    Internal, 500, "proxy_internal_error", Operator,
        "egret failed in a way that it should not.",
        "Report it with the flow id and the diagnostics of that moment.";
}
