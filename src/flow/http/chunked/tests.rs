use super::*;
use crate::policy::Reason;

/// Feeds a chunked body in pieces of `size`; what went on, and whether it ended or what was wrong with it.
fn feed_to(mut chunked: Chunked, body: &[u8], size: usize) -> (Vec<u8>, Result<bool, &'static str>) {
    let (mut held, mut passed) = (Vec::new(), Vec::new());
    for piece in body.chunks(size) {
        held.extend_from_slice(piece);
        loop {
            match chunked.pass(&mut held) {
                Ok(Progress { judged: 0, .. }) => break,
                Ok(Progress { judged, kept, ended }) => {
                    passed.extend_from_slice(&held[..kept]);
                    held.drain(..judged);
                    if ended {
                        return (passed, Ok(true));
                    }
                }
                Err(violation) => {
                    assert_eq!(violation.reason, Reason::Framing);
                    return (passed, Err(violation.what));
                }
            }
        }
    }
    (passed, Ok(false))
}

fn feed(body: &[u8], size: usize) -> (Vec<u8>, Result<bool, &'static str>) {
    feed_to(Chunked::default(), body, size)
}

#[test]
fn a_chunked_body_passes_in_its_plainest_form_however_it_is_cut() {
    let body = b"5\r\nhello\r\n0005;name=\"value\"\r\n worl\r\nA\r\n0123456789\r\n000;a\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n";
    let plain = b"5\r\nhello\r\n5\r\n worl\r\nA\r\n0123456789\r\n0\r\n\r\n";
    let announced = b"5\r\nhello\r\n5\r\n worl\r\nA\r\n0123456789\r\n0\r\nX-B: 2\r\n\r\n";
    for size in 1..=body.len() {
        assert_eq!(feed(body, size), (plain.to_vec(), Ok(true)), "in pieces of {size}");
        let chunked = Chunked::announcing(b"x-a, x-b");
        let (passed, ended) = feed_to(chunked, body, size);
        assert_eq!((&passed[..], ended), (&announced[..], Ok(true)), "in pieces of {size}");
        let (passed, ended) = feed_to(Chunked::default().bare(), body, size);
        assert_eq!((&passed[..], ended), (&b"hello worl0123456789"[..], Ok(true)));
    }
    for end in 0..body.len() {
        assert_eq!(feed(&body[..end], 1).1, Ok(false), "cut at {end}");
    }
}

#[test]
fn c_33_a_spoilt_chunk_is_refused_and_nothing_of_it_goes_on() {
    let long = format!("5;{}\r\nhello\r\n", "x".repeat(16 << 10));
    let just_too_long = format!("5;{}\r\nhello\r\n", "x".repeat(MAX_EXTENSION_BYTES));
    for (why, bad) in [
        ("a prefix of other notations", "0x5\r\nhello\r\n"),
        ("a long extension", long.as_str()),
        ("an extension just beyond the limit", just_too_long.as_str()),
        ("a blank behind the size", "5 \r\nhello\r\n"),
        ("a blank before the extension", "5 ;a\r\nhello\r\n"),
        ("a blank before the size", " 5\r\nhello\r\n"),
        ("17 digits", "00000000000000005\r\nhello\r\n"),
        ("a size that is negative in 64 bits", "8000000000000000\r\nhello\r\n"),
        ("a size that is -1 in 64 bits", "ffffffffffffffff\r\nhello\r\n"),
        ("a sign", "-1\r\nhello\r\n"),
        ("another sign", "+5\r\nhello\r\n"),
        ("no size", "\r\nhello\r\n"),
        ("a bare line feed", "5\nhello\r\n"),
        ("a bare CR that ends the size", "5\rX\r\nhello\r\n"),
        ("a bare CR in the extension", "5;a\rb\r\nhello\r\n"),
        ("a bare line feed behind the extension", "5;a\nhello\r\n"),
        ("NUL in the extension", "5;a\0\r\nhello\r\n"),
        ("an underscore", "1_0\r\n"),
    ] {
        let body = format!("3\r\nabc\r\n{bad}0\r\n\r\n");
        for size in [1, 7, body.len()] {
            let (passed, outcome) = feed(body.as_bytes(), size);
            assert!(outcome.is_err(), "{why} in pieces of {size}");
            assert_eq!(passed, b"3\r\nabc\r\n", "{why} in pieces of {size}");
        }
    }
    for (why, bad) in [
        ("data longer than its size", "5\r\nhello!\r\n"),
        ("a bare line feed behind the data", "5\r\nhello\n0\r\n\r\n"),
        ("no line end behind the data", "5\r\nhello0\r\n\r\n"),
        ("CR and something else behind the data", "5\r\nhello\rX"),
    ] {
        for size in [1, bad.len()] {
            let (passed, outcome) = feed(bad.as_bytes(), size);
            assert!(outcome.is_err(), "{why}");
            assert_eq!(passed, b"5\r\nhello", "{why}");
        }
    }
}

#[test]
fn chunk_extensions_have_a_limit_for_the_whole_body_too() {
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(250));
    let (passed, outcome) = feed(chunk.repeat(100).as_bytes(), 4096);
    assert!(outcome.is_err());
    assert!(passed.len() <= MAX_EXTENSIONS_BYTES / 250 * 6, "{}", passed.len());
}

#[test]
fn c_34_a_trailer_section_is_small_and_holds_no_field_of_the_head() {
    for bad in [
        "Host: evil.test\r\n\r\n",
        "X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "content-length: 5\r\n\r\n",
        "Authorization: x\r\n\r\n",
        "X-Forwarded-Host: evil.test\r\n\r\n",
        "x-egret-reason: forged\r\n\r\n",
        "Proxy-Connection: close\r\n\r\n",
        "Keep-Alive: 5\r\n\r\n",
        "X-A : 1\r\n\r\n",
        " X-A: 1\r\n\r\n",
        "X-A: 1\r\n folded\r\n\r\n",
        "X-A: 1\n\r\n",
        "X-A: 1\r\n\n",
        "X-A: a\rb\r\n\r\n",
        "no colon\r\n\r\n",
    ] {
        for size in [1, 100] {
            let (passed, outcome) = feed(format!("0\r\n{bad}").as_bytes(), size);
            assert!(outcome.is_err(), "{bad:?}");
            assert_eq!(passed, b"", "{bad:?}");
        }
    }
    let long = format!("0\r\n{}\r\n", "X-A: 0123456789\r\n".repeat(600));
    assert!(feed(long.as_bytes(), 4096).1.is_err());
    let most = format!("0\r\n{}\r\n", "a:\r\n".repeat(MAX_TRAILER_FIELDS));
    assert_eq!(feed(most.as_bytes(), 4096).1, Ok(true));
    let many = format!("0\r\n{}\r\n", "a:\r\n".repeat(MAX_TRAILER_FIELDS + 1));
    assert!(
        feed(many.as_bytes(), 4096).1.is_err(),
        "each is looked for in what was announced"
    );
    assert!(feed(b"0\r\nX-A: 1\r\nX-B:\t2 \r\n\r\n", 1).1 == Ok(true));
}
