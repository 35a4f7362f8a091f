//! Where a plain HTTP request goes: absolute-form on the proxy port, origin-form inside a tunnel to an `Http` rule.
//!
//! The authority is read once, here, and decides; Host is only compared (inside a tunnel) or replaced. Pure.

use super::framing::Violation;
use crate::flow::intent::{Target, parse_port};
use crate::policy::{Fqdn, Host, HostError, Reason};
use std::borrow::Cow;

/// Port of `http` where none is written (RFC 9110 section 4.2.1).
const HTTP_PORT: u16 = 80;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// Name or address, and port.
    pub target: Target,
    /// The authority as it was sent.
    pub authority: &'a [u8],
    /// What upstream gets as request target: path and query unchanged, or `*`.
    pub origin_form: Cow<'a, [u8]>,
}

impl Wanted<'_> {
    /// The URL for rows: without userinfo, which is refused, and without the query, which may hold secrets.
    pub(super) fn shown(&self) -> String {
        let path = self.origin_form.split(|byte| *byte == b'?').next().unwrap_or_default();
        format!(
            "http://{}{}",
            String::from_utf8_lossy(self.authority),
            String::from_utf8_lossy(path)
        )
    }
}

/// `absolute-form` (RFC 9112 section 3.2.2) of scheme `http`. What URL parsers differ in is refused.
pub(super) fn absolute<'a>(raw: &'a [u8], method: &[u8]) -> Result<Wanted<'a>, Violation> {
    let Some(rest) = strip_scheme(raw) else {
        return Err(Violation::bad_request(match raw {
            [b'/', ..] | b"*" => "a proxy wants the whole URL in the request line",
            _ if starts_with_scheme(raw, b"https://") => "https:// goes through CONNECT",
            _ => "a URL that does not start with http://",
        }));
    };
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let target = parse_host_port(authority)?;
    let origin_form = match path.first() {
        Some(b'/') => path.into(),
        Some(_) => [b"/", path].concat().into(),
        // RFC 9112 section 3.2.4: the last proxy makes it the server's own OPTIONS.
        None if method == b"OPTIONS" => b"*"[..].into(),
        None => b"/"[..].into(),
    };
    Ok(Wanted {
        target,
        authority,
        origin_form,
    })
}

/// `origin-form` inside a tunnel that was opened for `name:port`. Its Host must say the same.
pub(super) fn origin<'a>(
    raw: &'a [u8],
    method: &[u8],
    host: Option<&'a [u8]>,
    (name, port): (&Fqdn, u16),
) -> Result<Wanted<'a>, Violation> {
    let asks_server = raw == b"*" && method == b"OPTIONS";
    if raw.first() != Some(&b'/') && !asks_server {
        return Err(Violation::bad_request("inside a tunnel the request line holds a path"));
    }
    let mismatch = Violation {
        reason: Reason::HostMismatch,
        what: "Host is not what the tunnel was opened for",
    };
    let authority = host.ok_or(Violation::bad_request("a request without Host"))?;
    let target = parse_host_port(authority).map_err(|_| mismatch)?;
    if target.host != Host::Name(name.clone()) || target.port != port {
        return Err(mismatch);
    }
    Ok(Wanted {
        target,
        authority,
        origin_form: raw.into(),
    })
}

fn strip_scheme(raw: &[u8]) -> Option<&[u8]> {
    starts_with_scheme(raw, b"http://").then(|| &raw[b"http://".len()..])
}

fn starts_with_scheme(raw: &[u8], scheme: &[u8]) -> bool {
    raw.get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// `uri-host [":" port]`: no userinfo, no empty port, nothing that another parser could split elsewhere.
fn parse_host_port(authority: &[u8]) -> Result<Target, Violation> {
    let bracket = authority.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let colon = authority[bracket..]
        .iter()
        .position(|byte| *byte == b':')
        .map(|at| bracket + at);
    let (host, port) = match colon {
        Some(colon) => (&authority[..colon], parse_port(&authority[colon + 1..])),
        None => (authority, Some(HTTP_PORT)),
    };
    let Some(port) = port else {
        return Err(Violation::bad_request("a port that is not 1 to 65535"));
    };
    if host.is_empty() {
        return Err(Violation::bad_request("a URL without a host"));
    }
    if host.contains(&b'@') || authority.contains(&b'@') {
        return Err(Violation::bad_request("a URL with user information"));
    }
    let host = Host::parse(host).map_err(|error| Violation {
        reason: error.reason(),
        what: match error {
            HostError::IpLiteral => "an address in another spelling",
            _ => "a host that is neither a name nor an address",
        },
    })?;
    Ok(Target { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_to(url: &str) -> Result<String, Reason> {
        match absolute(url.as_bytes(), b"GET") {
            Ok(wanted) => {
                let host = match wanted.target.host {
                    Host::Name(name) => name.to_string(),
                    Host::Address(ip) => ip.to_string(),
                };
                Ok(format!(
                    "{host} {} {}",
                    wanted.target.port,
                    String::from_utf8_lossy(&wanted.origin_form)
                ))
            }
            Err(violation) => Err(violation.reason),
        }
    }

    #[test]
    fn c_52_only_the_authority_decides_and_the_path_goes_unchanged() {
        for (url, expected) in [
            ("http://api.example.com/", "api.example.com 80 /"),
            ("HTTP://API.example.com:8080/a?b", "api.example.com 8080 /a?b"),
            ("http://api.example.com", "api.example.com 80 /"),
            (
                "http://api.example.com.?@evil.test/",
                "api.example.com 80 /?@evil.test/",
            ),
            (
                "http://api.example.com/..//evil.test",
                "api.example.com 80 /..//evil.test",
            ),
            (
                "http://api.example.com/http://evil.test/%2e",
                "api.example.com 80 /http://evil.test/%2e",
            ),
            ("http://203.0.113.5/", "203.0.113.5 80 /"),
            ("http://[2001:db8::1]:81/", "2001:db8::1 81 /"),
        ] {
            assert_eq!(goes_to(url).as_deref(), Ok(expected), "{url}");
        }
        let asks_server = absolute(b"http://api.example.com", b"OPTIONS").unwrap();
        assert_eq!(*asks_server.origin_form, *b"*");
    }

    #[test]
    fn c_05_c_07_c_08_c_09_c_51_what_is_no_plain_url_is_refused() {
        for url in [
            "http://api.example.com@evil.test/",
            "http://evil.test@api.example.com/",
            "http://user:pw@api.example.com/",
            "http://user:pw@api.example.com:80/",
            "/",
            "/index.html",
            "*",
            "https://api.example.com/",
            "HTTPS://api.example.com/",
            "ftp://api.example.com/",
            "gopher://api.example.com/",
            "file:///etc/passwd",
            "urn:x",
            "ws://api.example.com/",
            "cache_object://api.example.com/",
            "http://api.example.com:80:443/",
            "http://api.example.com:/",
            "http://api.example.com:0/",
            "http://api.example.com:65616/",
            "http://api.example.com:080/",
            "http:///evil.test/",
            "http:/api.example.com",
            "http:api.example.com",
            "http://",
            "http://:80/",
            "http://?api.example.com",
            "//api.example.com/",
            "api.example.com:80",
        ] {
            assert_eq!(goes_to(url), Err(Reason::BadRequest), "{url}");
        }
    }

    #[test]
    fn c_13_c_14_n_12_what_is_no_host_has_the_reason_of_its_kind() {
        for (url, reason) in [
            ("http://[api.example.com]/", Reason::BadAuthority),
            ("http://[fe80::1%25eth0]/", Reason::BadAuthority),
            ("http://3405803785/", Reason::IpLiteral),
            ("http://0xcb007109/", Reason::IpLiteral),
            ("http://api..example.com/", Reason::NameInvalid),
            ("http://api.example.com%2eevil.test/", Reason::NameInvalid),
            ("http://*.openai.example.com/", Reason::NameInvalid),
        ] {
            assert_eq!(goes_to(url), Err(reason), "{url}");
        }
    }

    #[test]
    fn inside_a_tunnel_host_is_what_the_tunnel_was_opened_for() {
        let name = Fqdn::parse("api.example.com").unwrap();
        let ask = |target: &str, host: &str, port| {
            origin(target.as_bytes(), b"GET", Some(host.as_bytes()), (&name, port))
                .map(|wanted| String::from_utf8_lossy(&wanted.origin_form).into_owned())
                .map_err(|violation| violation.reason)
        };
        for (host, port) in [
            ("api.example.com", 80),
            ("API.example.com.:80", 80),
            ("api.example.com:8080", 8080),
        ] {
            assert_eq!(ask("/a?b", host, port), Ok("/a?b".to_string()), "{host}");
        }
        for (host, port) in [
            ("evil.test", 80),
            ("api.example.com:81", 80),
            ("api.example.com", 8080),
            ("api.example.com:", 80),
            ("203.0.113.5", 80),
            ("[api.example.com]", 80),
        ] {
            assert_eq!(ask("/", host, port), Err(Reason::HostMismatch), "{host}");
        }
        assert_eq!(ask("*", "api.example.com", 80), Err(Reason::BadRequest));
        assert_eq!(
            ask("http://api.example.com/", "api.example.com", 80),
            Err(Reason::BadRequest)
        );
        assert_eq!(
            origin(b"/", b"GET", None, (&name, 80)).unwrap_err().reason,
            Reason::BadRequest
        );
    }

    #[test]
    fn g_02_rows_show_no_query() {
        let wanted = absolute(b"http://api.example.com:81/a/b?api-key=secret", b"GET").unwrap();
        assert_eq!(wanted.shown(), "http://api.example.com:81/a/b");
    }
}
