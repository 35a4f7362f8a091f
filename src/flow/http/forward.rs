//! The heads that go on, written anew: hop-by-hop fields end here, in both directions (RFC 9110 section 7.6.1), and only
//! what was judged says where a message goes and where it ends. Pure.

use super::fields::Fields;
use super::framing::Framing;
use super::request::RequestHead;
use super::response::ResponseHead;
use super::section::starts_with;
use super::target::Wanted;
use crate::policy::Host;
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::LazyLock;

/// Our name in Via: `egret` and a number of this process, so that two egrets in a row are no loop but one seen twice is.
static PSEUDONYM: LazyLock<String> = LazyLock::new(|| format!("egret-{:08x}", RandomState::new().hash_one(0) as u32));

/// What decides how a response goes to the client: what its request said, and whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recipient {
    /// It asked in HTTP/1.`minor`.
    pub minor: u8,
    /// It asked with HEAD: the response has no body, whatever its fields say.
    pub to_head: bool,
    /// No response follows this one.
    pub last: bool,
}

/// The head that upstream gets. Neither what is meant for us, nor what the client says about where the request came from,
/// which nobody behind us should believe.
pub(super) fn for_upstream(head: &RequestHead<'_>, wanted: &Wanted<'_>) -> Vec<u8> {
    let fields = &head.fields;
    let mut out = Vec::with_capacity(256 + head.target.len() + fields.bytes());
    let host = match &wanted.target.host {
        Host::Name(name) => Cow::Borrowed(name.as_str()),
        address => Cow::Owned(address.to_string()),
    };
    push(
        &mut out,
        &[
            head.method,
            b" ",
            &wanted.origin_form,
            b" HTTP/1.1\r\nHost: ",
            host.as_bytes(),
        ],
    );
    if wanted.target.port != 80 {
        push_number(&mut out, ":", u64::from(wanted.target.port));
    }
    out.extend_from_slice(b"\r\n");
    let options = head.method == b"OPTIONS";
    for (name, value) in fields
        .iter()
        .filter(|(name, _)| stays(fields, name) && !of_origin(name))
    {
        match forwards_left(name, value).filter(|_| options) {
            Some(left) => {
                push(&mut out, &[name, b": "]);
                push_number(&mut out, "", left.saturating_sub(1));
                out.extend_from_slice(b"\r\n");
            }
            None => push_field(&mut out, name, value),
        }
    }
    match head.body {
        Framing::Length(0) if fields.length.is_none() => {}
        _ => push_framing(&mut out, &head.body),
    }
    if head.websocket {
        push_upgrade(&mut out);
    }
    push_via(&mut out, head.minor);
    out.extend_from_slice(b"\r\n");
    out
}

/// The head that the client gets: what upstream said, without what only we say.
pub(super) fn for_client(head: &ResponseHead<'_>, recipient: Recipient) -> Vec<u8> {
    let fields = &head.fields;
    let mut out = Vec::with_capacity(128 + fields.bytes());
    let code = [100, 10, 1].map(|place| b'0' + (head.status / place % 10) as u8);
    let phrase = if head.phrase.is_empty() { b" " } else { head.phrase };
    push(
        &mut out,
        &[b"HTTP/1.", &[b'0' + recipient.minor], b" ", &code, phrase, b"\r\n"],
    );
    for (name, value) in fields.iter() {
        if stays(fields, name) && !starts_with(name, b"x-egret-") {
            push_field(&mut out, name, value);
        }
    }
    match (&head.body, fields.length) {
        // What a GET would have got (RFC 9110 section 8.6); the others have no content that could have a length.
        (_, Some(length)) if recipient.to_head || head.status == 304 => {
            push_framing(&mut out, &Framing::Length(length))
        }
        _ if recipient.to_head || matches!(head.status, 100..200 | 204 | 304) => {}
        (Framing::Chunked(_), _) if recipient.minor == 0 => {}
        (body, _) => push_framing(&mut out, body),
    }
    if head.websocket {
        push_upgrade(&mut out);
    } else if recipient.last && head.status >= 200 {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    push_via(&mut out, head.minor);
    out.extend_from_slice(b"\r\n");
    out
}

/// The last hop of an OPTIONS is this one (RFC 9110 section 7.6.2).
pub(super) fn own_options(recipient: Recipient) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_vec();
    if recipient.last {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    push_via(&mut out, 1);
    out.extend_from_slice(b"\r\n");
    out
}

/// Whether a request came through us before.
pub(super) fn came_through_us(fields: &Fields<'_>) -> bool {
    let mut hops = fields
        .values(b"via")
        .flat_map(|value| value.split(|byte| *byte == b','));
    hops.any(|hop| {
        let mut words = hop
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        words
            .nth(1)
            .is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM.as_bytes()))
    })
}

/// Whether an OPTIONS may go no further than here (RFC 9110 section 7.6.2).
pub(super) fn ends_here(head: &RequestHead<'_>) -> bool {
    let none_left = |(name, value)| forwards_left(name, value) == Some(0);
    head.method == b"OPTIONS" && head.fields.iter().any(none_left)
}

/// Max-Forwards: hops that are left. `None` for another field, or where it is no number.
fn forwards_left(name: &[u8], value: &[u8]) -> Option<u64> {
    let digits = name.eq_ignore_ascii_case(b"max-forwards") && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// Whether a field is for more than one connection, and none of those that are written anew. Those Connection cannot take
/// away.
fn stays(fields: &Fields<'_>, name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    let own = match name.len() {
        2 => is(b"te"),
        4 => is(b"host"),
        7 => is(b"upgrade"),
        10 => is(b"connection") || is(b"keep-alive"),
        14 => is(b"content-length"),
        17 => is(b"transfer-encoding"),
        _ => false,
    };
    !own && !starts_with(name, b"proxy-") && !fields.named.iter().any(|named| is(named))
}

/// What a client says about where a request came from.
fn of_origin(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"forwarded") || starts_with(name, b"x-forwarded-") || starts_with(name, b"x-egret-")
}

fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    push(out, &[name, b": ", value, b"\r\n"]);
}

fn push_number(out: &mut Vec<u8>, before: &str, number: u64) {
    write!(out, "{before}{number}").expect("writing to a Vec cannot fail");
}

fn push_framing(out: &mut Vec<u8>, body: &Framing) {
    match body {
        Framing::Length(length) => {
            push_number(out, "Content-Length: ", *length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked(_) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::UntilClose => {}
    }
}

fn push_upgrade(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
}

/// Adds us to Via (RFC 9110 section 7.6.3) for a message that came as HTTP/1.`minor`.
fn push_via(out: &mut Vec<u8>, minor: u8) {
    push(out, &[b"Via: 1.", &[b'0' + minor], b" ", PSEUDONYM.as_bytes(), b"\r\n"]);
}

#[cfg(test)]
mod tests {
    use super::super::target;
    use super::*;

    /// What upstream gets of a request with these lines behind its Host.
    fn sent(line: &str, lines: &str) -> Vec<String> {
        let text = format!("{line} HTTP/1.1\r\nHost: evil.test\r\n{lines}\r\n");
        let head = RequestHead::read(text.as_bytes(), 100).unwrap();
        let wanted = target::absolute(head.target, head.method).unwrap();
        shown(for_upstream(&head, &wanted))
    }

    /// What the client gets of a response with these lines, but for our Via.
    fn received(line: &str, lines: &str, recipient: Recipient) -> Vec<String> {
        let text = format!("{line}\r\n{lines}\r\n");
        let head = ResponseHead::read(text.as_bytes(), recipient.to_head, 100).unwrap();
        let mut shown = shown(for_client(&head, recipient));
        assert!(shown.pop().unwrap().starts_with("Via: 1."));
        shown
    }

    fn shown(head: Vec<u8>) -> Vec<String> {
        let text = String::from_utf8(head).unwrap();
        let lines = text.strip_suffix("\r\n\r\n").expect("a whole head").split("\r\n");
        lines.map(|line| line.replace(&**PSEUDONYM, "US")).collect()
    }

    const KEPT: Recipient = Recipient {
        minor: 1,
        to_head: false,
        last: false,
    };

    #[test]
    fn c_44_hop_by_hop_fields_end_here() {
        let lines = "Accept: a\r\nConnection: close, Host, X-Secret, content-length\r\nConnection: X-Other\r\nX-Secret: 1\r\n\
                     accept:\tb \r\nX-Other: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
                     Proxy-Authorization: Basic x\r\nTE: trailers, x\r\nUpgrade: h2c\r\nContent-Length: 005\r\n\
                     Authorization: Bearer y\r\n";
        assert_eq!(
            sent("POST http://api.example.com/a?b", lines),
            [
                "POST /a?b HTTP/1.1",
                "Host: api.example.com",
                "Accept: a",
                "accept: b",
                "Authorization: Bearer y",
                "Content-Length: 5",
                "Via: 1.1 US",
            ]
        );
    }

    #[test]
    fn what_was_judged_says_where_a_request_goes_and_where_its_body_ends() {
        let chunked = "Transfer-Encoding: Chunked\r\n";
        for (line, lines, first, last) in [
            (
                "GET http://api.example.com:8080",
                "",
                "Host: api.example.com:8080",
                "Host: api.example.com:8080",
            ),
            (
                "GET http://api.example.com",
                chunked,
                "Host: api.example.com",
                "Transfer-Encoding: chunked",
            ),
            (
                "POST http://api.example.com",
                "Content-Length: 0\r\n",
                "Host: api.example.com",
                "Content-Length: 0",
            ),
        ] {
            let sent = sent(line, lines);
            assert_eq!((&*sent[1], &*sent[sent.len() - 2]), (first, last), "{line}");
        }
    }

    #[test]
    fn c_62_what_a_client_says_of_its_origin_is_dropped() {
        let lines = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil.test\r\nForwarded: for=10.0.0.1\r\n\
                     X-Egret-Source: 10.0.0.1\r\nX-Request-Id: 7\r\n";
        assert_eq!(
            sent("GET http://api.example.com/", lines)[2..],
            ["X-Request-Id: 7", "Via: 1.1 US"]
        );
    }

    #[test]
    fn c_57_an_upgrade_that_goes_on_is_websocket_alone() {
        let lines = "Connection: keep-alive, Upgrade\r\nUpgrade: h2c, websocket\r\nX-A: 1\r\n";
        let upgrade = ["X-A: 1", "Connection: Upgrade", "Upgrade: websocket"];
        assert_eq!(sent("GET http://api.example.com/", lines)[2..5], upgrade);
        let agreed = "Connection: Upgrade\r\nUpgrade: WebSocket\r\nX-A: 1\r\n";
        assert_eq!(received("HTTP/1.1 101 Fine", agreed, KEPT)[1..], upgrade);
    }

    #[test]
    fn a_response_goes_on_in_the_version_of_its_request_and_with_one_end() {
        let old = Recipient {
            minor: 0,
            last: true,
            ..KEPT
        };
        let to_head = Recipient { to_head: true, ..KEPT };
        let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
        let ours = "Proxy-Authenticate: Basic\r\nX-Egret-Reason: forged\r\nKeep-Alive: 5\r\nAlt-Svc: clear\r\nConnection: close\r\n";
        for (line, lines, recipient, expected) in [
            (
                "HTTP/1.1 200 OK",
                length,
                KEPT,
                &["HTTP/1.1 200 OK", "Content-Length: 5"][..],
            ),
            ("HTTP/1.0 200", length, KEPT, &["HTTP/1.1 200 ", "Content-Length: 5"]),
            (
                "HTTP/1.1 200 OK",
                chunked,
                KEPT,
                &["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"],
            ),
            (
                "HTTP/1.1 200 OK",
                chunked,
                old,
                &["HTTP/1.0 200 OK", "Connection: close"],
            ),
            (
                "HTTP/1.1 200 OK",
                length,
                to_head,
                &["HTTP/1.1 200 OK", "Content-Length: 5"],
            ),
            ("HTTP/1.1 200 OK", chunked, to_head, &["HTTP/1.1 200 OK"]),
            (
                "HTTP/1.1 304 No",
                length,
                KEPT,
                &["HTTP/1.1 304 No", "Content-Length: 5"],
            ),
            ("HTTP/1.1 204 No", "Content-Length: 0\r\n", KEPT, &["HTTP/1.1 204 No"]),
            (
                "HTTP/1.1 103 Hints",
                "Link: a\r\n",
                Recipient { last: true, ..KEPT },
                &["HTTP/1.1 103 Hints", "Link: a"],
            ),
            ("HTTP/1.1 204 No", ours, KEPT, &["HTTP/1.1 204 No", "Alt-Svc: clear"]),
        ] {
            assert_eq!(received(line, lines, recipient), expected, "{line} {lines:?}");
        }
    }

    #[test]
    fn c_46_a_request_that_came_through_us_is_known_by_its_via() {
        let came = |via: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nVia: {via}\r\n\r\n");
            came_through_us(&RequestHead::read(text.as_bytes(), 100).unwrap().fields)
        };
        assert!(!came("1.1 other, 1.0 egret"), "another egret is no loop");
        assert!(came(&format!("1.1 other, 1.0 {}", *PSEUDONYM)));
        assert!(came(&format!(
            "HTTP/1.1   {} (comment), 1.1 x",
            PSEUDONYM.to_uppercase()
        )));
        assert!(!came(&PSEUDONYM), "a protocol stands before the name");
    }

    #[test]
    fn c_45_forwards_of_options_are_counted_down() {
        let line = |method: &str| format!("{method} http://api.example.com/");
        let field = |value: &str| format!("Max-Forwards: {value}\r\n");
        for (method, value, after) in [
            ("OPTIONS", "3", "2"),
            ("OPTIONS", "x", "x"),
            ("OPTIONS", "-1", "-1"),
            ("GET", "3", "3"),
        ] {
            let sent = sent(&line(method), &field(value));
            assert_eq!(sent[2], format!("Max-Forwards: {after}"), "{method} {value}");
        }
        for (method, value, here) in [("OPTIONS", "0", true), ("OPTIONS", "1", false), ("GET", "0", false)] {
            let text = format!("{} HTTP/1.1\r\nHost: a\r\n{}\r\n", line(method), field(value));
            assert_eq!(
                ends_here(&RequestHead::read(text.as_bytes(), 100).unwrap()),
                here,
                "{method} {value}"
            );
        }
    }
}
