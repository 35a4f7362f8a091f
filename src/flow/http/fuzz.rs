//! What must hold for any bytes on the plain HTTP path: for fuzz targets and property tests.
//!
//! Whatever a client sends, what upstream gets is read here once more by a reader that knows nothing of ours (httparse for
//! heads, a decoder that takes chunks in their plainest form alone): it must find exactly the requests that were judged.

use super::client::HeadSearch;
use super::forward::{self, Recipient};
use super::framing::Framing;
use super::request::RequestHead;
use super::response::ResponseHead;
use super::section::section_end;
use super::target;

/// Most fields, as in the default limits; and with those that are written anew.
const MAX_FIELDS: usize = 100;
const MOST_WRITTEN: usize = MAX_FIELDS + 4;

const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A message as the other reader has it.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    /// Method, target and Host; or the status.
    start: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// All that a client sends in absolute form on one connection.
pub fn request(bytes: &[u8]) {
    for size in [bytes.len().max(1), 1, 7] {
        let (upstream, judged, whole) = requests(bytes, size);
        let mut rest = &upstream[..];
        for message in &judged {
            let (found, end) = read_request(rest).expect("a request that was judged");
            assert_eq!(found, *message);
            rest = &rest[end..];
        }
        assert_eq!(whole, rest.is_empty());
        // What was cut off or spoilt is no request to anybody.
        assert!(read_request(rest).is_none(), "{}", rest.escape_ascii());
    }
}

/// What upstream gets of these bytes, their bodies read in pieces of `size`; the requests that were judged and are whole; and
/// whether there is nothing else.
fn requests(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<Message>, bool) {
    let (mut rest, mut upstream, mut judged) = (bytes.to_vec(), Vec::new(), Vec::new());
    loop {
        let Ok(Some(end)) = HeadSearch::default().find(&mut rest, MAX_HEAD_BYTES) else {
            return (upstream, judged, true);
        };
        let bytes: Vec<u8> = rest.drain(..end).collect();
        let Ok(head) = RequestHead::read(&bytes, MAX_FIELDS) else {
            return (upstream, judged, true);
        };
        read_alike(&bytes, &head);
        let Ok(wanted) = target::absolute(head.target, head.method) else {
            return (upstream, judged, true);
        };
        upstream.extend(forward::for_upstream(&head, &wanted));
        let (passed, taken, ended) = pass(head.body.clone(), &rest, size);
        upstream.extend_from_slice(&passed);
        if !ended {
            return (upstream, judged, false);
        }
        let host = match (&wanted.target.host, wanted.target.port) {
            (host, 80) => host.to_string(),
            (host, port) => format!("{host}:{port}"),
        };
        let bare = match head.body.clone() {
            Framing::Chunked(chunked) => Framing::Chunked(chunked.bare()),
            body => body,
        };
        judged.push(Message {
            start: vec![head.method.to_vec(), wanted.origin_form.to_vec(), host.into_bytes()],
            body: pass(bare, &rest, size).0,
        });
        rest.drain(..taken);
    }
}

/// The head as it came reads alike: nobody behind a peer that passes it on unchanged would see another.
fn read_alike(bytes: &[u8], ours: &RequestHead<'_>) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut theirs = httparse::Request::new(&mut fields);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(theirs.path.map(str::as_bytes), Some(ours.target));
    assert_eq!(theirs.version, Some(ours.minor));
    assert_eq!(values(theirs.headers, "host"), Vec::from_iter(ours.fields.host));
}

/// What goes on of a body read in pieces of `size`, how many bytes of it were taken, and whether it has ended.
fn pass(mut framing: Framing, body: &[u8], size: usize) -> (Vec<u8>, usize, bool) {
    let (mut held, mut passed, mut taken) = (Vec::new(), Vec::new(), 0);
    let mut pieces = body.chunks(size);
    loop {
        match framing.pass(&mut held) {
            Err(_) => return (passed, taken, false),
            Ok(progress) => {
                passed.extend_from_slice(&held[..progress.kept]);
                held.drain(..progress.judged);
                taken += progress.judged;
                if progress.ended {
                    return (passed, taken, true);
                }
                if progress.judged > 0 {
                    continue;
                }
            }
        }
        match pieces.next() {
            Some(piece) => held.extend_from_slice(piece),
            None => return (passed, taken, framing == Framing::UntilClose),
        }
    }
}

/// A response to a GET, until upstream closes.
pub fn response(bytes: &[u8]) {
    let Ok(Some(end)) = section_end(bytes, &mut 0) else {
        return;
    };
    let Ok(head) = ResponseHead::read(&bytes[..end], false, MAX_FIELDS) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut theirs = httparse::Response::new(&mut fields);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(end)));
    assert_eq!(theirs.code, Some(head.status));
    let recipient = Recipient {
        minor: 1,
        to_head: false,
        last: false,
    };
    let bare = match head.body.clone() {
        Framing::Chunked(chunked) => Framing::Chunked(chunked.bare()),
        body => body,
    };
    for size in [bytes.len(), 1, 7] {
        let mut sent = forward::for_client(&head, recipient);
        let (passed, taken, ended) = pass(head.body.clone(), &bytes[end..], size);
        sent.extend_from_slice(&passed);
        let body = pass(bare.clone(), &bytes[end..], size);
        assert_eq!((body.1, body.2), (taken, ended));
        let found = read_response(&sent);
        let whole = ended.then(|| Message {
            start: vec![head.status.to_string().into_bytes()],
            body: body.0,
        });
        assert_eq!(found, whole);
    }
}

/// A whole request at the start of these bytes, and where it ends.
fn read_request(bytes: &[u8]) -> Option<(Message, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_WRITTEN];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes).expect("a head of ours") else {
        return None;
    };
    let hosts = values(request.headers, "host");
    assert_eq!(hosts.len(), 1);
    let start = vec![request.method?.into(), request.path?.into(), hosts[0].to_vec()];
    let (body, end) = read_body(request.headers, &bytes[head..], 0)?;
    Some((Message { start, body }, head + end))
}

/// A whole response, which is all of these bytes.
fn read_response(bytes: &[u8]) -> Option<Message> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_WRITTEN];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else {
        panic!("no head of ours: {}", bytes.escape_ascii());
    };
    let start = vec![response.code?.to_string().into_bytes()];
    let without_body = matches!(response.code?, 100..200 | 204 | 304);
    let rest = &bytes[head..];
    let (body, end) = match without_body {
        true => (Vec::new(), 0),
        false => read_body(response.headers, rest, rest.len())?,
    };
    assert_eq!(end, rest.len());
    Some(Message { start, body })
}

/// A body by its one framing; without one it has `unframed` bytes.
fn read_body(fields: &[httparse::Header<'_>], bytes: &[u8], unframed: usize) -> Option<(Vec<u8>, usize)> {
    let (lengths, codings) = (values(fields, "content-length"), values(fields, "transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => Some((bytes[..unframed].to_vec(), unframed)),
        ([length], []) => {
            let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            Some((bytes.get(..length)?.to_vec(), length))
        }
        ([], [coding]) if *coding == b"chunked" => read_chunks(bytes),
        _ => panic!("a body that is framed twice goes on"),
    }
}

/// Chunks in their plainest form, to the end of the trailer section.
fn read_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[at..at + line]).expect("a size");
        let size = u64::from_str_radix(digits, 16).expect("a size");
        assert!(digits == "0" || !digits.starts_with(['0', '+']), "{digits}");
        at += line + 2;
        if size == 0 {
            return match bytes[at..].starts_with(b"\r\n") {
                true => Some((body, at + 2)),
                false => Some((
                    body,
                    at + bytes[at..].windows(4).position(|end| end == b"\r\n\r\n")? + 4,
                )),
            };
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        body.extend_from_slice(bytes.get(at..end)?);
        let closing = bytes.get(end..end + 2)?;
        assert_eq!(closing, b"\r\n");
        at = end + 2;
    }
}

/// The values of all fields of a name.
fn values<'a>(fields: &[httparse::Header<'a>], name: &str) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::SPOILS;
    use proptest::prelude::*;

    const REQUESTS: [&str; 5] = [
        "GET http://api.example.com/a?b HTTP/1.1\r\nHost: api.example.com\r\nX-A:\t1 \r\nX-B:\r\n\r\n",
        "POST http://api.example.com:80 HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        "PUT http://a.example/x HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         05;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\nGET",
        "POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n\
         GET http://b.example/ HTTP/1.1\r\nHost: b\r\nConnection: Host, Content-Length, X-A\r\nX-A: 1\r\n\r\n",
        "GET http://a.example/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];

    const RESPONSES: [&str; 4] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\nuntil the end",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ];

    fn spoilt(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let edit = (
            any::<prop::sample::Index>(),
            prop::sample::select(&SPOILS[..]),
            0usize..3,
        );
        let edits = prop::collection::vec(edit, 0..5);
        (prop::sample::select(seeds), edits).prop_map(|(seed, edits)| {
            let mut bytes = seed.as_bytes().to_vec();
            for (at, spoil, taken) in edits {
                let at = at.index(bytes.len() + 1);
                let end = (at + taken).min(bytes.len());
                bytes.splice(at..end, spoil.bytes());
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_upstream_gets_is_read_by_another_reader_as_the_requests_that_were_judged(bytes in spoilt(&REQUESTS)) {
            request(&bytes);
        }

        #[test]
        fn what_a_client_gets_is_read_by_another_reader_as_the_response_that_came(bytes in spoilt(&RESPONSES)) {
            response(&bytes);
        }
    }
}
