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
use memchr::memchr;
use std::mem::MaybeUninit;
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
    let found = memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| {
        let behind = from + at + 1;
        match &bytes[behind..] {
            [b'\n', ..] => Some(behind + 1),
            [b'\r', b'\n', ..] => Some(behind + 2),
            // CR in the middle of a line: refused by the line check, which needs an end to look up to.
            [b'\r', _, ..] => Some(behind + 1),
            _ => None,
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
    // Not filled in advance: that would write 8 KiB for a head of three lines.
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEAD_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(text, &mut fields[..limits.head_fields.min(MAX_HEAD_FIELDS)]) {
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
    let line = &head[..memchr(b'\n', head)?];
    let start = memchr(b' ', line)? + 1;
    let length = memchr(b' ', &line[start..]).unwrap_or(line.len() - start);
    Some(start..start + length)
}

/// CRLF ends every line and nothing else; no line folds into the next (RFC 9112 sections 2.2 and 5.2).
pub(crate) fn lines_are_strict(head: &[u8]) -> bool {
    memchr::memchr3_iter(b'\r', b'\n', 0, head).all(|at| {
        let next = head.get(at + 1);
        match head[at] {
            b'\r' => next == Some(&b'\n'),
            b'\n' => at > 0 && head[at - 1] == b'\r' && !matches!(next, Some(b' ' | b'\t')),
            _ => false,
        }
    })
}

/// `authority-form` (RFC 9112 section 3.2.3): a host and a port, nothing else. There is no default port.
pub(crate) fn parse_authority(raw: &[u8]) -> Result<Target, Reason> {
    let colon = memchr::memrchr(b':', raw).ok_or(Reason::BadAuthority)?;
    let port = parse_port(&raw[colon + 1..]).ok_or(Reason::BadAuthority)?;
    let host = Host::parse(&raw[..colon]).map_err(HostError::reason)?;
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
mod tests;
