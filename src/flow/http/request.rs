//! Request heads, read strictly: what two parsers could read in two ways is a [`Violation`].
//!
//! In: a whole head. Out: what the judge needs of it, borrowed. Pure.

use super::fields::Fields;
use super::framing::{Framing, Violation};
use super::section::{is_token, is_token_byte};

/// A request head that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestHead<'a> {
    /// As it was sent.
    pub method: &'a [u8],
    /// As it was sent: printable ASCII without fragment or backslash.
    pub target: &'a [u8],
    /// HTTP/1.`minor`.
    pub minor: u8,
    /// What stands behind the request line.
    pub fields: Fields<'a>,
    /// How its body ends.
    pub body: Framing,
    /// It asks to go on with WebSocket (RFC 6455 section 4.1): what follows is not HTTP if upstream agrees.
    pub websocket: bool,
}

impl<'a> RequestHead<'a> {
    /// Reads a request head, from its request line to its empty line.
    pub(super) fn read(head: &'a [u8], max_fields: usize) -> Result<Self, Violation> {
        let end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
        let line = &head[..end.saturating_sub(1)];
        let (method, target, minor) = request_line(line)?;
        let fields = Fields::read(head.get(end + 1..).unwrap_or_default(), max_fields)?;
        if fields.host.is_none() && minor == 1 {
            return Err(Violation::bad_request("an HTTP/1.1 request without Host"));
        }
        if fields.chunked && minor == 0 {
            return Err(Violation::framing("Transfer-Encoding in HTTP/1.0"));
        }
        let websocket = method == b"GET" && minor == 1 && fields.websocket();
        let body = fields.framing()?.unwrap_or(Framing::NONE);
        if websocket && body != Framing::NONE {
            // What follows would be both its body and, once upstream agrees, no HTTP any more.
            return Err(Violation::framing("a body in a request for WebSocket"));
        }
        Ok(Self {
            method,
            target,
            minor,
            fields,
            body,
            websocket,
        })
    }
}

/// `method SP request-target SP HTTP-version`, one blank each (RFC 9112 section 3): method, target and minor version.
pub(super) fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], u8), Violation> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(not_http(line));
    };
    if !is_token(method) || !version.starts_with(b"HTTP/") {
        return Err(not_http(line));
    }
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(Violation::bad_request("an HTTP version other than 1.0 and 1.1")),
    };
    if method == b"CONNECT" {
        return Err(Violation::bad_request(
            "CONNECT on a connection that carries plain HTTP",
        ));
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Violation::bad_request(
            "a request target with other than printable ASCII",
        ));
    }
    // None of them may stand in any part of a URI (RFC 3986), and parsers differ in what they make of them. Others that may
    // not either are sent by browsers, and read alike by all.
    if target.iter().any(|byte| b"#\\<>`".contains(byte)) {
        return Err(Violation::bad_request(
            "a request target with a fragment, a backslash, an angle bracket or a backtick",
        ));
    }
    Ok((method, target, minor))
}

/// A first line that is no request line: HTTP spoilt, or another protocol.
fn not_http(line: &[u8]) -> Violation {
    let spoilt = line.windows(6).any(|window| window.eq_ignore_ascii_case(b" HTTP/"));
    match spoilt {
        true => Violation::bad_request("a request line that is not method, target and version"),
        false => Violation::not_http(),
    }
}

/// Whether a head may start with these bytes: other protocols are known by their first bytes, not by a time limit.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    /// Longer than any registered method.
    const LONGEST_METHOD: usize = 32;
    match bytes.iter().position(|byte| !is_token_byte(*byte)) {
        Some(end) => (1..=LONGEST_METHOD).contains(&end) && bytes[end] == b' ',
        None => bytes.len() <= LONGEST_METHOD,
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunked::Chunked;
    use super::super::section::section_end;
    use super::*;
    use crate::policy::Reason;

    fn read(head: &str) -> Result<RequestHead<'_>, Violation> {
        RequestHead::read(head.as_bytes(), 100)
    }

    fn body(head: &str) -> Result<Framing, Violation> {
        read(head).map(|head| head.body)
    }

    fn with(fields: &str) -> Result<Framing, Violation> {
        body(&format!(
            "POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n"
        ))
    }

    fn refused(head: &str) -> Reason {
        body(head).map_err(|violation| violation.reason).expect_err(head)
    }

    #[test]
    fn a_request_for_websocket_has_no_body() {
        let asking = "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n";
        assert!(read(&format!("{asking}\r\n")).unwrap().websocket);
        assert!(read(&format!("{asking}Content-Length: 0\r\n\r\n")).unwrap().websocket);
        assert_eq!(refused(&format!("{asking}Content-Length: 5\r\n\r\n")), Reason::Framing);
        assert_eq!(
            refused(&format!("{asking}Transfer-Encoding: chunked\r\n\r\n")),
            Reason::Framing
        );
    }

    #[test]
    fn a_plain_head_says_what_it_asks_and_where_its_body_ends() {
        let head = read("GET http://api.example.com/a?b HTTP/1.1\r\nhost:api.example.com\r\nX-A:\t1\r\n\r\n").unwrap();
        assert_eq!(head.target, b"http://api.example.com/a?b");
        assert_eq!(head.fields.host, Some(&b"api.example.com"[..]));
        assert_eq!((head.minor, head.body, head.websocket), (1, Framing::NONE, false));
        let head = read("GET http://api.example.com/ HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!((head.minor, head.fields.host), (0, None));
        assert_eq!(with("Content-Length: 12\r\n").unwrap(), Framing::Length(12));
        assert_eq!(
            with("Transfer-Encoding: Chunked\r\n").unwrap(),
            Framing::Chunked(Chunked::default())
        );
        assert_eq!(
            with("content-length: 0000000000000000005\r\n").unwrap(),
            Framing::Length(5)
        );
    }

    #[test]
    fn c_26_there_is_one_host() {
        let line = "GET http://a.example/ HTTP/1.1\r\n";
        for fields in [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nhOST: b\r\n",
            "Host: a, b\r\n",
            "Host: a b\r\n",
            "Host:\r\n",
            "Host: \t \r\n",
            "Host: user@a\r\n",
            "Host: a/b\r\n",
        ] {
            assert_eq!(
                refused(&format!("{line}{fields}\r\n")),
                Reason::BadRequest,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn c_27_c_28_c_29_lines_are_lines() {
        for fields in [
            "Host : a\r\n",
            "Host\t: a\r\n",
            " Host: a\r\n",
            "\tHost: a\r\n",
            "Host: a\r\n b\r\n",
            "Host: a\r\nX: a\r\n\tb\r\n",
            "Host: a\rb\r\n",
            "Host: a\r\r\n",
            "Host: a\0\r\n",
            "Host: a\r\nX: \u{b}\r\n",
            "Host: a\r\nno colon\r\n",
            "Host: a\r\n: empty\r\n",
            "Host: a\r\nX(y): 1\r\n",
        ] {
            let head = format!("GET http://a.example/ HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(refused(&head), Reason::BadRequest, "{fields:?}");
        }
        for section in ["Host: a\n\n", "a\n", "a\r\n\n", "\n", "a\r\r\n\n"] {
            assert!(section_end(section.as_bytes(), &mut 0).is_err(), "{section:?}");
        }
    }

    #[test]
    fn c_30_c_31_c_32_a_body_has_one_end() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 12345678901234567890\r\n",
            "Content-Length: 9223372036854775808\r\n",
            "Content-Length: -1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 5a\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        ] {
            assert_eq!(
                with(fields).map_err(|violation| violation.reason),
                Err(Reason::Framing),
                "{fields:?}"
            );
        }
        let old = "POST http://a.example/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(old), Reason::Framing);
        for fields in [
            "Transfer-Encoding\t: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding: \u{b}chunked\r\n",
            "Transfer-Encoding: chunked\u{c}\r\n",
        ] {
            assert_eq!(
                with(fields).map_err(|violation| violation.reason),
                Err(Reason::BadRequest),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn c_48_c_50_a_request_line_is_three_words() {
        for (line, reason) in [
            ("GET http://evil.test/", Reason::NotHttp),
            ("SSH-2.0-OpenSSH_9.2", Reason::NotHttp),
            ("EHLO mail.example", Reason::NotHttp),
            ("GET http://evil.test/ HTTP/1.2", Reason::BadRequest),
            ("GET http://evil.test/ HTTP/2.0", Reason::BadRequest),
            ("PRI * HTTP/2.0", Reason::BadRequest),
            ("GET http://evil.test/ http/1.1", Reason::BadRequest),
            ("GET http://evil.test/ HTTP/1.1 ", Reason::BadRequest),
            ("GET  http://evil.test/ HTTP/1.1", Reason::BadRequest),
            ("GET http://evil.test/  HTTP/1.1", Reason::BadRequest),
            ("GET http://evil.test/ x HTTP/1.1", Reason::BadRequest),
            ("GET\thttp://evil.test/ HTTP/1.1", Reason::BadRequest),
            ("G(T http://evil.test/ HTTP/1.1", Reason::BadRequest),
            (" GET http://evil.test/ HTTP/1.1", Reason::BadRequest),
            ("CONNECT api.example.com:443 HTTP/1.1", Reason::BadRequest),
            ("GET http://evil.test/#a HTTP/1.1", Reason::BadRequest),
            ("GET http://api.example.com\\@evil.test/ HTTP/1.1", Reason::BadRequest),
            ("GET http://b\u{fc}cher.example/ HTTP/1.1", Reason::BadRequest),
            ("GET http://a.example/\u{7f} HTTP/1.1", Reason::BadRequest),
        ] {
            assert_eq!(refused(&format!("{line}\r\nHost: a\r\n\r\n")), reason, "{line:?}");
        }
    }

    #[test]
    fn another_protocol_is_known_by_its_first_bytes() {
        for (why, bytes, may) in [
            ("nothing yet", &b""[..], true),
            ("a method so far", b"GE", true),
            ("a method", b"GET ", true),
            ("TLS", &[22, 3, 1], false),
            ("SOCKS5", &[5, 1, 0], false),
            ("a blank", b" GET", false),
            ("a tab behind the method", b"GET\t", false),
            ("no blank for long", &[b'A'; 33], false),
            ("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n", false),
        ] {
            assert_eq!(may_start(bytes), may, "{why}");
        }
    }

    #[test]
    fn c_57_only_websocket_is_an_upgrade_that_is_passed_on() {
        for (fields, websocket) in [
            ("Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
            ("Connection: keep-alive, upgrade\r\nUpgrade: h2c, WebSocket\r\n", true),
            ("Upgrade: websocket\r\n", false),
            ("Connection: Upgrade\r\nUpgrade: h2c\r\n", false),
            ("Connection: Upgrade\r\nUpgrade: websocket/2\r\n", false),
        ] {
            let head = |method| format!("{method} http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
            assert_eq!(read(&head("GET")).unwrap().websocket, websocket, "{fields:?}");
            assert!(!read(&head("POST")).unwrap().websocket, "{fields:?}");
        }
    }

    #[test]
    fn f_01_a_head_has_a_number_of_fields() {
        let fields = |count: usize| "X-A: 1\r\n".repeat(count - 1);
        assert!(with(&fields(100)).is_ok());
        assert_eq!(with(&fields(101)).unwrap_err().reason, Reason::HeadTooLarge);
    }
}
