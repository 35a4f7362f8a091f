//! Request and response heads, read strictly: what two parsers could read in two ways is a [`Violation`].
//!
//! In: a whole head. Out: what the guards and the judge need of it; hyper then reads the very same bytes for the rest. Pure.

use super::framing::{Chunked, Framing, Violation, field, is_token, is_token_byte, lines};
use crate::policy::Reason;
use hyper::Uri;

/// Digits of a Content-Length at most: 19, so that it fits 63 bits.
const MAX_LENGTH_DIGITS: usize = 19;

/// A request head that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    /// As it was sent.
    pub method: Vec<u8>,
    /// As it was sent: printable ASCII without fragment or backslash.
    pub target: Vec<u8>,
    /// HTTP/1.`minor`.
    pub minor: u8,
    /// The one Host field, as it was sent, not empty.
    pub host: Option<Vec<u8>>,
    /// How its body ends.
    pub body: Framing,
    /// It has a Content-Length, if only 0.
    pub has_length: bool,
    /// It asks to go on with WebSocket (RFC 6455 section 4.1): what follows is not HTTP if upstream agrees.
    pub websocket: bool,
}

/// A response head that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// How its body ends.
    pub body: Framing,
    /// It agrees to go on with WebSocket: a 101 that says so.
    pub websocket: bool,
}

/// Reads a request head, from its request line to its empty line.
pub(super) fn request(head: &[u8], max_fields: usize) -> Result<RequestHead, Violation> {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    let (target, minor) = request_line(line)?;
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let mut fields = Fields::default();
    for (count, line) in lines.enumerate() {
        if count >= max_fields {
            return Err(Violation {
                reason: Reason::HeadTooLarge,
                what: "more header fields than the limit",
            });
        }
        let (name, value) = field(line).map_err(Violation::bad_request)?;
        fields.add(name, value)?;
    }
    if fields.host.is_none() && minor == 1 {
        return Err(Violation::bad_request("an HTTP/1.1 request without Host"));
    }
    if fields.chunked && minor == 0 {
        return Err(Violation::framing("Transfer-Encoding in HTTP/1.0"));
    }
    let websocket = method == b"GET" && minor == 1 && fields.websocket();
    let body = fields.framing()?.unwrap_or(Framing::NONE);
    if websocket && body != Framing::NONE {
        // The guard holds back what follows until upstream has answered; hyper would take it for the body.
        return Err(Violation::framing("a body in a request for WebSocket"));
    }
    Ok(RequestHead {
        method: method.to_vec(),
        target: target.to_vec(),
        minor,
        body,
        has_length: fields.length.is_some(),
        host: fields.host,
        websocket,
    })
}

/// `method SP request-target SP HTTP-version`, one blank each (RFC 9112 section 3).
pub(super) fn request_line(line: &[u8]) -> Result<(&[u8], u8), Violation> {
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
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(Violation::bad_request(
            "a request target with other than printable ASCII",
        ));
    }
    // Neither may stand in any part of a URI (RFC 3986), and parsers differ in what they make of them.
    if target.iter().any(|byte| matches!(byte, b'#' | b'\\')) {
        return Err(Violation::bad_request(
            "a request target with a fragment or a backslash",
        ));
    }
    // hyper will read it: what it refuses must have been refused with a reason before.
    if Uri::try_from(target).is_err() {
        return Err(Violation::bad_request("a request target that is not a URI"));
    }
    Ok((target, minor))
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

/// Reads a response head, from its status line to its empty line. `to_head`: the request was HEAD.
pub(super) fn response(head: &[u8], to_head: bool, max_fields: usize) -> Result<ResponseHead, &'static str> {
    let mut lines = lines(head);
    let (minor, status) = status_line(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for (count, line) in lines.enumerate() {
        if count >= max_fields {
            return Err("more header fields than the limit");
        }
        let (name, value) = field(line)?;
        fields.add(name, value).map_err(|violation| violation.what)?;
    }
    if fields.chunked && (minor == 0 || status < 200 || status == 204) {
        return Err("Transfer-Encoding where it must not be");
    }
    let framing = fields.framing().map_err(|violation| violation.what)?;
    let without_body = to_head || status < 200 || matches!(status, 204 | 304);
    Ok(ResponseHead {
        status,
        websocket: status == 101 && fields.websocket(),
        body: if without_body {
            Framing::NONE
        } else {
            framing.unwrap_or(Framing::UntilClose)
        },
    })
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 section 4). The blank behind the code may be missing with the
/// phrase: common, and not ambiguous.
fn status_line(line: &[u8]) -> Result<(u8, u16), &'static str> {
    let minor = match line.first_chunk::<9>() {
        Some(b"HTTP/1.1 ") => 1,
        Some(b"HTTP/1.0 ") => 0,
        _ => return Err("a status line of another version than HTTP/1.0 and 1.1"),
    };
    let (code, phrase) = line[9..]
        .split_at_checked(3)
        .ok_or("a status line without a status code")?;
    let status = match code {
        [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
        _ => return Err("a status code outside of 100 to 599"),
    };
    match phrase {
        [] | [b' ', ..]
            if phrase
                .iter()
                .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)) =>
        {
            Ok((minor, status))
        }
        _ => Err("a status line with something other than a reason phrase behind the code"),
    }
}

/// The fields that decide how a message is read.
#[derive(Default)]
struct Fields {
    host: Option<Vec<u8>>,
    length: Option<u64>,
    chunked: bool,
    connection_upgrade: bool,
    upgrade_websocket: bool,
}

impl Fields {
    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        if name.eq_ignore_ascii_case(b"host") {
            // RFC 9112 section 3.2: one value, of one host. A list is two of them.
            if value.is_empty() || value.iter().any(|byte| b", \t/?#@\\".contains(byte)) {
                return Err(Violation::bad_request("a Host that is not one host"));
            }
            if self.host.replace(value.to_vec()).is_some() {
                return Err(Violation::bad_request("more than one Host"));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = content_length(value).ok_or(Violation::framing("a Content-Length that is not one number"))?;
            if self.length.replace(length).is_some() {
                return Err(Violation::framing("more than one Content-Length"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if std::mem::replace(&mut self.chunked, true) || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::framing("a Transfer-Encoding other than chunked"));
            }
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.connection_upgrade |= lists(value, b"upgrade");
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade_websocket |= lists(value, b"websocket");
        }
        Ok(())
    }

    fn framing(&self) -> Result<Option<Framing>, Violation> {
        match (self.length, self.chunked) {
            // RFC 9112 section 6.1: this is how requests are smuggled.
            (Some(_), true) => Err(Violation::framing("Content-Length with Transfer-Encoding")),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, true) => Ok(Some(Framing::Chunked(Chunked::default()))),
            (None, false) => Ok(None),
        }
    }

    fn websocket(&self) -> bool {
        self.connection_upgrade && self.upgrade_websocket
    }
}

/// Decimal digits only: no sign, no blank, no list.
fn content_length(value: &[u8]) -> Option<u64> {
    if !(1..=MAX_LENGTH_DIGITS).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether a comma-separated list holds this element, in any case.
pub(super) fn lists(value: &[u8], element: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|item| super::framing::trimmed(item).eq_ignore_ascii_case(element))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<RequestHead, Violation> {
        request(head.as_bytes(), 100)
    }

    fn with(fields: &str) -> Result<RequestHead, Violation> {
        read(&format!(
            "POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n"
        ))
    }

    fn refused(head: &str) -> Reason {
        read(head).map_err(|violation| violation.reason).expect_err(head)
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
        assert_eq!(head.host.as_deref(), Some(&b"api.example.com"[..]));
        assert_eq!((head.minor, head.body, head.websocket), (1, Framing::NONE, false));
        let head = read("GET http://api.example.com/ HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!((head.minor, head.host), (0, None));
        assert_eq!(with("Content-Length: 12\r\n").unwrap().body, Framing::Length(12));
        assert_eq!(
            with("Transfer-Encoding: Chunked\r\n").unwrap().body,
            Framing::Chunked(Chunked::default())
        );
        assert_eq!(
            with("content-length: 0000000000000000005\r\n").unwrap().body,
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
            assert!(
                super::super::framing::section_end(section.as_bytes(), &mut 0).is_err(),
                "{section:?}"
            );
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

    fn answered(head: &str) -> Result<ResponseHead, &'static str> {
        response(head.as_bytes(), false, 100)
    }

    #[test]
    fn a_response_head_says_where_its_body_ends() {
        let chunked = Framing::Chunked(Chunked::default());
        for (head, to_head, status, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                false,
                200,
                Framing::Length(5),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 200, Framing::NONE),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
                200,
                chunked.clone(),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
                200,
                Framing::NONE,
            ),
            ("HTTP/1.0 200 OK\r\n\r\n", false, 200, Framing::UntilClose),
            ("HTTP/1.1 200\r\n\r\n", false, 200, Framing::UntilClose),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, 204, Framing::NONE),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                false,
                304,
                Framing::NONE,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n", false, 100, Framing::NONE),
        ] {
            let expected = ResponseHead {
                status,
                body,
                websocket: false,
            };
            assert_eq!(response(head.as_bytes(), to_head, 100), Ok(expected), "{head:?}");
        }
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
        assert!(answered(agreed).unwrap().websocket);
        for other in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", ""] {
            assert!(
                !answered(&format!("HTTP/1.1 101 x\r\n{other}\r\n")).unwrap().websocket,
                "{other:?}"
            );
        }
    }

    #[test]
    fn c_58_a_response_that_can_be_read_in_two_ways_is_none() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200\tOK\r\n\r\n",
            "HTTP/1.1 200 a\rb\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
        ] {
            assert!(answered(head).is_err(), "{head:?}");
        }
    }
}
