//! What must hold for any bytes on the plain HTTP path: for fuzz targets and property tests.
//!
//! hyper reads behind the guards, with httparse. So whatever the guards let through, httparse must read, and read alike.

use super::framing::{Framing, section_end};
use super::head;

/// Most fields, as in the default limits.
const MAX_FIELDS: usize = 100;

const TRAILER_BYTES: usize = 16 * 1024;

/// A request head and the start of its body.
pub fn request(bytes: &[u8]) {
    let Ok(Some(end)) = section_end(bytes, &mut 0) else {
        return;
    };
    let Ok(ours) = head::request(&bytes[..end], MAX_FIELDS) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut theirs = httparse::Request::new(&mut fields);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(end)));
    assert_eq!(theirs.path.map(str::as_bytes), Some(&ours.target[..]));
    assert_eq!(theirs.version, Some(ours.minor));
    assert!(hyper::Method::from_bytes(theirs.method.unwrap_or_default().as_bytes()).is_ok());
    assert_eq!(
        values(theirs.headers, "host"),
        ours.host.iter().map(Vec::as_slice).collect::<Vec<_>>()
    );
    framed_alike(theirs.headers, &ours.body, &Framing::NONE);
    cut_alike(&ours.body, &bytes[end..]);
}

/// A response head to a GET, and the start of its body.
pub fn response(bytes: &[u8]) {
    let Ok(Some(end)) = section_end(bytes, &mut 0) else {
        return;
    };
    let Ok(ours) = head::response(&bytes[..end], false, MAX_FIELDS) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut theirs = httparse::Response::new(&mut fields);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(end)));
    assert_eq!(theirs.code, Some(ours.status));
    if !matches!(ours.status, 100..200 | 204 | 304) {
        framed_alike(theirs.headers, &ours.body, &Framing::UntilClose);
    }
    cut_alike(&ours.body, &bytes[end..]);
}

/// The values of all fields of a name.
fn values<'a>(fields: &[httparse::Header<'a>], name: &str) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value).collect()
}

/// There is at most one field that frames the body, and it says what we read.
fn framed_alike(fields: &[httparse::Header<'_>], ours: &Framing, unframed: &Framing) {
    let length = values(fields, "content-length");
    let coding = values(fields, "transfer-encoding");
    match (length[..].first(), coding[..].first(), length.len() + coding.len()) {
        (None, None, 0) => assert_eq!(ours, unframed),
        (Some(length), None, 1) => {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            assert_eq!(length.map(Framing::Length).as_ref(), Some(ours));
        }
        (None, Some(coding), 1) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && matches!(ours, Framing::Chunked(_)));
        }
        _ => panic!("a body that is framed twice was let through"),
    }
}

/// What goes on of a body does not depend on how it is cut.
fn cut_alike(framing: &Framing, body: &[u8]) {
    let whole = released(framing, body, body.len().max(1));
    assert_eq!(whole, released(framing, body, 1));
    assert_eq!(whole, released(framing, body, 7));
}

/// Bytes released of a body in pieces, whether it ended, and whether it was spoilt.
fn released(framing: &Framing, body: &[u8], size: usize) -> (usize, bool, bool) {
    let mut framing = framing.clone();
    let (mut from, mut ended) = (0, false);
    for piece in 1..=body.len().div_ceil(size) {
        let to = (piece * size).min(body.len());
        loop {
            match framing.advance(&body[from..to], TRAILER_BYTES) {
                Err(_) => return (from, false, true),
                Ok(progress) => {
                    from += progress.released;
                    ended |= progress.ended;
                    if ended || progress.released == 0 {
                        break;
                    }
                }
            }
        }
        if ended {
            break;
        }
    }
    (from, ended, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REQUESTS: [&str; 4] = [
        "GET http://api.example.com/a?b HTTP/1.1\r\nHost: api.example.com\r\nX-A:\t1 \r\nX-B:\r\n\r\n",
        "POST http://api.example.com:80 HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /x HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];

    const RESPONSES: [&str; 4] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\nuntil the end",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ];

    /// What spoils heads and chunks.
    const SPOILS: [&str; 24] = [
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "\0",
        ":",
        ",",
        ";",
        "0",
        "5",
        "F",
        "x",
        "-",
        "+",
        "#",
        "\\",
        "\u{b}",
        "\u{e9}",
        "Host: b\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        "HTTP/1.1",
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
        fn what_passes_the_guard_is_read_alike_by_hyper(bytes in spoilt(&REQUESTS)) {
            request(&bytes);
        }

        #[test]
        fn what_passes_from_upstream_is_read_alike_by_hyper(bytes in spoilt(&RESPONSES)) {
            response(&bytes);
        }
    }
}
