//! Bytes -> [`Intent`]: the head of a client's first request, read strictly.
//!
//! In: the stream and the bytes read so far. Out: a CONNECT target with what followed the head, or the head of a plain
//! HTTP request for `flow::http`. Nothing here decides anything.
//!
//! The request target alone says what CONNECT asks (RFC 9110 section 9.3.6): real clients send no Host, a Host without a
//! port, or HTTP/1.0. What has two readings is refused.

use super::held::Held;
use crate::config::settings::Limits;
use crate::policy::{Host, HostError, Reason};
use std::net::TcpStream as Accepted;
use std::ops::Range;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Most header fields that any limit may allow; the array of the parser.
pub(crate) const MAX_HEAD_FIELDS: usize = 256;

/// Empty lines tolerated before a request line (RFC 9112 section 2.2 lets one be skipped; two were seen).
const MAX_LEADING_EMPTY_LINES: usize = 2;

/// Where a client wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address.
    pub host: Host,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

/// What the first request asks.
#[derive(Debug)]
pub(crate) enum Intent {
    /// `CONNECT host:port`; what came behind the head is `bytes[head_end..]`.
    Connect {
        /// The request target, parsed.
        target: Target,
        /// Where it stands in the bytes, for the row.
        raw: Range<usize>,
        /// The value of Host, if one was sent: recorded, never used.
        host_header: Option<Range<usize>>,
        /// Bytes of the head.
        head_end: usize,
    },
    /// Any other method: `flow::http` reads the same bytes.
    Http,
}

/// Why there is no intent.
#[derive(Debug)]
pub(crate) enum IntentError {
    /// The client went away before it had sent a whole head.
    Closed,
    /// The head is refused; the range is the request target, if there was one to show.
    Refused(Reason, Option<Range<usize>>),
}

/// Read until the first request's intent is known. `held` holds what was read, also on failure.
pub(crate) async fn read(stream: &mut TcpStream, held: &mut Held, limits: &Limits) -> Result<Intent, IntentError> {
    let deadline = Instant::now() + limits.head_time;
    let refused = |reason| IntentError::Refused(reason, None);
    let mut scanned = 0;
    loop {
        let read = timeout_at(deadline, held.read(stream, limits.head_bytes, limits.held_bytes)).await;
        match read.map_err(|_| refused(Reason::HeadTimeout))?.map_err(refused)? {
            Ok(0) | Err(_) => return Err(IntentError::Closed),
            Ok(_) => {}
        }
        if let Some(intent) = parse(&held.bytes, &mut scanned, limits)? {
            return Ok(intent);
        }
    }
}

/// The same of what has arrived by now. `None`: more is needed, and `held` holds what there is.
pub(crate) fn arrived(client: &Accepted, held: &mut Held, limits: &Limits) -> Option<Result<Intent, IntentError>> {
    match held.read_arrived(client, limits.head_bytes, limits.held_bytes) {
        Ok(None) => None,
        Ok(Some(Ok(0) | Err(_))) => Some(Err(IntentError::Closed)),
        Ok(Some(Ok(_))) => parse(&held.bytes, &mut 0, limits).transpose(),
        Err(reason) => Some(Err(IntentError::Refused(reason, None))),
    }
}

/// `Ok(None)`: more bytes are needed.
pub(crate) fn parse(bytes: &[u8], scanned: &mut usize, limits: &Limits) -> Result<Option<Intent>, IntentError> {
    let refuse = |reason| Err(IntentError::Refused(reason, None));
    let Some(start) = skip_empty_lines(bytes)? else {
        return Ok(None);
    };
    if !method_may_start(&bytes[start..]) {
        return refuse(Reason::BadRequest);
    }
    let Some(end) = head_end(bytes, start, scanned) else {
        return if bytes.len() >= limits.head_bytes {
            refuse(Reason::HeadTooLarge)
        } else {
            Ok(None)
        };
    };
    if end > limits.head_bytes {
        return refuse(Reason::HeadTooLarge);
    }
    if !bytes[start..].starts_with(b"CONNECT ") {
        // A head that a CR in the middle of a line seems to end is not one that could be read again.
        return if bytes[..end].ends_with(b"\n") {
            Ok(Some(Intent::Http))
        } else {
            refuse(Reason::BadRequest)
        };
    }
    parse_connect(bytes, start..end, limits).map(Some)
}

fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, IntentError> {
    let mut start = 0;
    for _ in 0..=MAX_LEADING_EMPTY_LINES {
        match &bytes[start..] {
            [b'\r', b'\n', ..] => start += 2,
            [] | [b'\r'] => return Ok(None),
            _ => return Ok(Some(start)),
        }
    }
    Err(IntentError::Refused(Reason::BadRequest, None))
}

/// TLS, SOCKS, PROXY v2 and other protocols are refused at their first byte instead of at the head's time limit.
fn method_may_start(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .take(24)
        .take_while(|b| **b != b' ')
        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// End of the head: behind the first empty line. Bare line feeds count here too, so that they are refused at once.
fn head_end(bytes: &[u8], start: usize, scanned: &mut usize) -> Option<usize> {
    let from = (*scanned).max(start).saturating_sub(3).max(start);
    let found = bytes[from..]
        .windows(2)
        .position(|pair| pair == b"\n\n" || pair == b"\n\r")
        .and_then(|at| {
            let at = from + at;
            match &bytes[at..] {
                [b'\n', b'\n', ..] => Some(at + 2),
                [b'\n', b'\r', b'\n', ..] => Some(at + 3),
                [b'\n', b'\r'] => None,
                // CR in the middle of a line: refused by the line check, which needs an end to look up to.
                _ => Some(at + 2),
            }
        });
    if found.is_none() {
        *scanned = bytes.len();
    }
    found
}

fn parse_connect(bytes: &[u8], head: Range<usize>, limits: &Limits) -> Result<Intent, IntentError> {
    let text = &bytes[head.clone()];
    let raw = target_range(text).map(|r| head.start + r.start..head.start + r.end);
    let refuse = |reason| Err(IntentError::Refused(reason, raw.clone()));
    if !lines_are_strict(text) {
        return refuse(Reason::BadRequest);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEAD_FIELDS];
    let mut request = httparse::Request::new(&mut fields[..limits.head_fields.min(MAX_HEAD_FIELDS)]);
    match request.parse(text) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return refuse(Reason::HeadTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return refuse(Reason::BadRequest),
    }
    let mut host_header = None;
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("host") {
            let list = field.value.contains(&b',');
            let value = range_of(bytes, field.value);
            if list || host_header.replace(value).is_some() {
                return refuse(Reason::BadRequest);
            }
        } else if ["content-length", "transfer-encoding"]
            .iter()
            .any(|n| field.name.eq_ignore_ascii_case(n))
        {
            // CONNECT has no content (RFC 9110 section 9.3.6): bytes behind the head are the tunnel's.
            return refuse(Reason::Framing);
        }
    }
    let Some(raw) = raw else {
        return refuse(Reason::BadRequest);
    };
    match parse_authority(&bytes[raw.clone()]) {
        Ok(target) => Ok(Intent::Connect {
            target,
            raw,
            host_header,
            head_end: head.end,
        }),
        Err(reason) => Err(IntentError::Refused(reason, Some(raw))),
    }
}

/// Where `part` lies in `whole`. `part` borrows from `whole`.
fn range_of(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

fn target_range(head: &[u8]) -> Option<Range<usize>> {
    let line = &head[..head.iter().position(|b| *b == b'\n')?];
    let start = line.iter().position(|b| *b == b' ')? + 1;
    let length = line[start..]
        .iter()
        .position(|b| *b == b' ')
        .unwrap_or(line.len() - start);
    Some(start..start + length)
}

/// CRLF ends every line and nothing else; no line folds into the next (RFC 9112 sections 2.2 and 5.2).
pub(crate) fn lines_are_strict(head: &[u8]) -> bool {
    let mut previous = 0u8;
    for (at, byte) in head.iter().enumerate() {
        let lone_feed = *byte == b'\n' && previous != b'\r';
        let lone_return = previous == b'\r' && *byte != b'\n';
        let folded = previous == b'\n' && matches!(byte, b' ' | b'\t');
        if lone_feed || lone_return || folded || (*byte == 0 && at < head.len()) {
            return false;
        }
        previous = *byte;
    }
    previous != b'\r'
}

/// `authority-form` (RFC 9112 section 3.2.3): a host and a port, nothing else. There is no default port.
pub(crate) fn parse_authority(raw: &[u8]) -> Result<Target, Reason> {
    let colon = raw.iter().rposition(|b| *b == b':').ok_or(Reason::BadAuthority)?;
    let (host, port) = (
        &raw[..colon],
        parse_port(&raw[colon + 1..]).ok_or(Reason::BadAuthority)?,
    );
    if host.is_empty() || host.iter().any(|b| b"@/?#\\ ".contains(b)) {
        return Err(Reason::BadAuthority);
    }
    let host = Host::parse(host).map_err(HostError::reason)?;
    Ok(Target { host, port })
}

/// 1 to 65535 in decimal, no sign, no blank, no leading zero.
pub(crate) fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits
        .iter()
        .try_fold(0u32, |n, d| Some(n * 10 + u32::from(d - b'0')))
        .and_then(|n| u16::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(head: &[u8]) -> Result<Option<Intent>, IntentError> {
        parse(head, &mut 0, &Limits::default())
    }

    fn refused(head: &[u8]) -> Reason {
        match read_all(head) {
            Err(IntentError::Refused(reason, _)) => reason,
            other => panic!("{} was not refused: {other:?}", head.escape_ascii()),
        }
    }

    fn connects(head: &[u8]) -> String {
        match read_all(head) {
            Ok(Some(Intent::Connect { target, .. })) => format!("{:?} {}", target.host, target.port),
            other => panic!("{} is no CONNECT: {other:?}", head.escape_ascii()),
        }
    }

    #[test]
    fn real_clients_differ_and_all_are_read() {
        for head in [
            "CONNECT api.example.com:443 HTTP/1.0\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: x\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\nproxy-connection: keep-alive\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
            "\r\nCONNECT api.example.com:443 HTTP/1.1\r\n\r\n",
        ] {
            assert!(connects(head.as_bytes()).contains("api.example.com"), "{head}");
        }
    }

    #[test]
    fn a_head_cut_anywhere_needs_more() {
        let head = b"\r\nCONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
        let mut scanned = 0;
        for end in 0..head.len() {
            let read = parse(&head[..end], &mut scanned, &Limits::default());
            assert!(matches!(read, Ok(None)), "{}", head[..end].escape_ascii());
        }
        assert!(matches!(
            parse(head, &mut scanned, &Limits::default()),
            Ok(Some(Intent::Connect { .. }))
        ));
    }

    #[test]
    fn an_authority_is_a_host_and_a_port_and_nothing_else() {
        for (authority, reason) in [
            ("api.example.com", Reason::BadAuthority),
            ("api.example.com:", Reason::BadAuthority),
            ("api.example.com:0", Reason::BadAuthority),
            ("api.example.com:65536", Reason::BadAuthority),
            ("api.example.com:4294967739", Reason::BadAuthority),
            ("api.example.com:-443", Reason::BadAuthority),
            ("api.example.com:+443", Reason::BadAuthority),
            ("api.example.com:0443", Reason::BadAuthority),
            ("api.example.com:443x", Reason::BadAuthority),
            ("api.example.com:https", Reason::BadAuthority),
            ("user:pw@api.example.com:443", Reason::BadAuthority),
            ("evil.test:443@api.example.com:443", Reason::BadAuthority),
            ("https://api.example.com:443/", Reason::BadAuthority),
            ("/api.example.com:443", Reason::BadAuthority),
            ("*", Reason::BadAuthority),
            ("2001:db8::1:443", Reason::BadAuthority),
            ("[api.example.com]:443", Reason::BadAuthority),
            ("[fe80::1%25eth0]:443", Reason::BadAuthority),
        ] {
            assert_eq!(
                parse_authority(authority.as_bytes()).unwrap_err(),
                reason,
                "{authority}"
            );
        }
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for (head, reason) in [
            (
                "CONNECT a.example:443 HTTP/1.1\nHost: a.example\n\n",
                Reason::BadRequest,
            ),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nHost: a\r b\r\n\r\n",
                Reason::BadRequest,
            ),
            ("CONNECT a.example:443 HTTP/1.1\r\r\n\r\n", Reason::BadRequest),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nHost : a.example\r\n\r\n",
                Reason::BadRequest,
            ),
            (
                "CONNECT a.example:443 HTTP/1.1\r\n Host: a.example\r\n\r\n",
                Reason::BadRequest,
            ),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
                Reason::BadRequest,
            ),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                Reason::BadRequest,
            ),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nHost: a, b\r\n\r\n",
                Reason::BadRequest,
            ),
            ("CONNECT  a.example:443 HTTP/1.1\r\n\r\n", Reason::BadRequest),
            ("CONNECT a.example:443 HTTP/1.2\r\n\r\n", Reason::BadRequest),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
                Reason::Framing,
            ),
            (
                "CONNECT a.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Reason::Framing,
            ),
            (
                "\r\n\r\n\r\n\r\nCONNECT a.example:443 HTTP/1.1\r\n\r\n",
                Reason::BadRequest,
            ),
            ("\x16\x03\x01\x02\x00", Reason::BadRequest),
            ("\x05\x01\x00", Reason::BadRequest),
        ] {
            assert_eq!(refused(head.as_bytes()), reason, "{}", head.escape_debug());
        }
    }

    #[test]
    fn f_01_a_head_has_a_length_and_a_number_of_fields() {
        let long = format!("CONNECT a.example:443 HTTP/1.1\r\nX: {}", "a".repeat(16 << 10));
        assert_eq!(refused(long.as_bytes()), Reason::HeadTooLarge);
        let many = format!("CONNECT a.example:443 HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(101));
        assert_eq!(refused(many.as_bytes()), Reason::HeadTooLarge);
    }

    #[tokio::test]
    async fn c_41_what_is_kept_of_a_head_is_bounded_however_much_is_sent() {
        let limits = Limits::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let flood = tokio::spawn(async move {
            let head = [b"GET /".as_slice(), &vec![b'a'; 4 << 20]].concat();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut client, &head).await;
        });
        let mut held = Held::default();
        let refused = read(&mut server, &mut held, &limits).await;
        assert!(
            matches!(refused, Err(IntentError::Refused(Reason::HeadTooLarge, _))),
            "{refused:?}"
        );
        // One read may go over.
        let kept = held.bytes.capacity();
        assert!(kept <= limits.head_bytes + 2048, "{kept} bytes");
        drop(server);
        flood.await.unwrap();
    }
}
