//! What clients do, and the reason and stage that each must leave on record.

use super::*;

/// What one client does, and what is to be on record of it.
pub(super) struct Deed {
    /// In the `EgretFlow` row.
    pub(super) reason: Reason,
    /// The step that the flow reached.
    pub(super) stage: Stage,
    /// The first bytes.
    pub(super) head: Vec<u8>,
    /// What follows a 200.
    pub(super) then: Vec<u8>,
}

impl Deed {
    pub(super) fn reached(&self, stage: Stage) -> bool {
        self.stage as usize >= stage as usize
    }
}

pub(super) fn deed(reason: Reason, stage: Stage, head: impl Into<Vec<u8>>) -> Deed {
    Deed {
        reason,
        stage,
        head: head.into(),
        then: Vec::new(),
    }
}

pub(super) fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

pub(super) fn get(host: &str) -> String {
    format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Inside a tunnel to api.example.com.
fn inside(reason: Reason, port: u16, then: impl Into<Vec<u8>>) -> Deed {
    Deed {
        then: then.into(),
        ..deed(reason, Stage::Gate, connect(&format!("api.example.com:{port}")))
    }
}

pub(super) fn hello(sni: Option<&str>) -> Flight {
    Flight::read(&case("ossl-def")).sni(sni)
}

/// At the head and at the decision.
pub(super) fn refused_early(own: &str) -> Vec<Deed> {
    use Reason::{
        BadAuthority, BadRequest, Framing, HeadTimeout, HeadTooLarge, HostMismatch, IpLiteral, Loop, NameInvalid,
        NoRuleMatched, RuleMatched,
    };
    let framing = "GET http://api.example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    vec![
        deed(
            BadRequest,
            Stage::Intent,
            connect("api.example.com:443").replace("1.1", "1.2"),
        ),
        deed(BadRequest, Stage::Intent, get("user@api.example.com")),
        deed(BadAuthority, Stage::Intent, connect("api.example.com")),
        deed(NameInvalid, Stage::Intent, connect("-.example.com:443")),
        deed(NameInvalid, Stage::Intent, get("a..example.com")),
        deed(IpLiteral, Stage::Decide, connect("203.0.113.5:443")),
        deed(Framing, Stage::Intent, framing),
        deed(
            Framing,
            Stage::Intent,
            connect("api.example.com:443").replace("Host", "Content-Length"),
        ),
        deed(HeadTooLarge, Stage::Intent, connect(&"a".repeat(20_000))),
        deed(HeadTimeout, Stage::Intent, "CONNECT api.example.com:443 HTTP/1.1\r\n"),
        deed(Loop, Stage::Decide, connect(own)),
        deed(NoRuleMatched, Stage::Decide, connect("evil.test:443")),
        deed(NoRuleMatched, Stage::Decide, get("evil.test")),
        deed(RuleMatched, Stage::Decide, connect("denied.openai.example.com:443")),
        Deed {
            stage: Stage::Intent,
            ..inside(HostMismatch, 80, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        },
    ]
}

/// On the way to the destination.
pub(super) fn refused_on_the_way() -> Vec<Deed> {
    use Reason::{
        AddressDenied, DnsNoData, DnsNxdomain, DnsRefused, DnsServfail, DnsTimeout, PublicResolution, UpstreamClosed,
        UpstreamInvalid, UpstreamRefused, UpstreamTimeout,
    };
    let to = |reason, stage, label: &str| deed(reason, stage, connect(&format!("{label}.openai.example.com:443")));
    vec![
        to(DnsNxdomain, Stage::Resolve, "no-such"),
        to(DnsNoData, Stage::Resolve, "empty"),
        to(DnsServfail, Stage::Resolve, "servfail"),
        to(DnsRefused, Stage::Resolve, "refused"),
        to(DnsTimeout, Stage::Resolve, "silent"),
        to(AddressDenied, Stage::Vet, "metadata"),
        deed(PublicResolution, Stage::Vet, connect("contoso.openai.azure.com:443")),
        to(UpstreamRefused, Stage::Connect, "nobody"),
        to(UpstreamTimeout, Stage::Connect, "hole"),
        deed(UpstreamClosed, Stage::Relay, get("mute.openai.example.com")),
        deed(UpstreamInvalid, Stage::Relay, get("garbage.openai.example.com")),
    ]
}

/// At the gate, and behind it.
pub(super) fn in_tunnels() -> Vec<Deed> {
    use Reason::{
        EchDenied, NoRuleMatched, NotHttp, NotTls, RuleMatched, SniInvalid, SniIpLiteral, SniMismatch, SniMissing,
        TlsIncomplete, TlsMalformed, TlsSslv2, TlsTooLarge,
    };
    let api = || hello(Some("api.example.com"));
    vec![
        inside(SniMissing, 443, hello(None).record()),
        inside(SniMismatch, 443, hello(Some("x.openai.example.com")).record()),
        inside(SniInvalid, 443, hello(Some("a..b")).record()),
        inside(SniIpLiteral, 443, hello(Some("203.0.113.5")).record()),
        inside(
            TlsMalformed,
            443,
            api().extension(0, b"\0\x0c\0\0\x09evil.test").record(),
        ),
        inside(TlsIncomplete, 443, &api().record()[..100]),
        inside(TlsTooLarge, 443, api().extension(21, &[0; 6000]).record()),
        inside(TlsSslv2, 443, case("sslscan-a")),
        inside(NotTls, 443, "EHLO me\r\n"),
        Deed {
            stage: Stage::Intent,
            ..inside(NotHttp, 80, "EHLO me\r\n")
        },
        Deed {
            stage: Stage::Decide,
            ..inside(NoRuleMatched, 80, api().record())
        },
        inside(
            EchDenied,
            443,
            Flight::read(&case("utlsgo-chrome-152"))
                .sni(Some("api.example.com"))
                .record(),
        ),
        Deed {
            stage: Stage::Relay,
            ..inside(RuleMatched, 443, api().record())
        },
        deed(RuleMatched, Stage::Relay, get("api.example.com")),
    ]
}
