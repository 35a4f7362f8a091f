//! The chunked coding (RFC 9112 section 7.1), read without any of the leeway that parsers differ in, and written anew: what
//! goes on has neither leading zeros nor extensions, and only the trailer fields that the head announced.
//!
//! A chunk's size line, its closing CRLF, and the last chunk with the trailer section go on whole or not at all, so that
//! nothing of a spoilt one does. Pure: no IO, no clock.

use super::framing::{MAX_LENGTH, Progress, Violation};
use super::section::{elements, field, lines, may_stand_in_value, section_end, starts_with};
use std::ops::Range;

/// Longest chunk size, in hexadecimal digits.
const MAX_SIZE_DIGITS: usize = 16;

/// Longest extension of one chunk, in bytes. Nobody is known to send any; RFC 9112 section 7.1.1 asks for a limit.
const MAX_EXTENSION_BYTES: usize = 256;

/// Extensions of one body in all, in bytes.
const MAX_EXTENSIONS_BYTES: usize = 16 * 1024;

/// Longest trailer section, in bytes: it has to fit the buffer of a body.
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Most fields of a trailer section, and most of those that its head may announce: each is looked for among them.
const MAX_TRAILER_FIELDS: usize = 64;

/// Fields that a trailer section must not hold: framing, routing, authority, credentials and how to read the content
/// (RFC 9110 section 6.5.1). Some stacks merge trailers into the head.
const FORBIDDEN_TRAILERS: [&str; 20] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// The same by how they start: what a head is not let through with either.
const FORBIDDEN_STARTS: [&str; 3] = ["proxy-", "x-egret-", "x-forwarded-"];

/// A chunked body on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    extension_bytes: usize,
    /// Bytes of an unfinished line or section that were searched for its end.
    searched: usize,
    /// Names of the trailer fields that go on, as `Trailer` listed them.
    announced: Box<[u8]>,
    /// Only the data goes on: the recipient speaks HTTP/1.0, which knows no chunks.
    bare: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    /// Behind the size line of the last chunk, which has so many bytes and goes on with the trailer section.
    Last(usize),
}

/// A judged piece of a body: what of it goes on.
struct Piece {
    length: usize,
    kept: Kept,
}

enum Kept {
    All,
    /// These parts of it.
    Parts([Range<usize>; 2]),
    /// The last chunk, with these lines behind it.
    Last(usize, Vec<Range<usize>>),
}

impl Chunked {
    /// A body whose head announced these trailer fields, comma-separated.
    pub(super) fn announcing(names: &[u8]) -> Self {
        Self {
            announced: names.into(),
            ..Self::default()
        }
    }

    /// The same, of which only the data goes on.
    pub(super) fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    /// See [`Framing::pass`](super::framing::Framing::pass). A violation is only told when nothing before it is left to go on.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<Progress, Violation> {
        let (mut judged, mut kept) = (0, 0);
        loop {
            let data = matches!(self.state, State::Data(_));
            let ended = match self.next(&bytes[judged..]) {
                Ok(Some(piece)) => {
                    if data || !self.bare {
                        kept += keep(bytes, judged, &piece, kept);
                    }
                    judged += piece.length;
                    matches!(self.state, State::Last(_))
                }
                Err(violation) if judged == 0 => return Err(violation),
                Ok(None) | Err(_) => {
                    return Ok(Progress {
                        judged,
                        kept,
                        ended: false,
                    });
                }
            };
            if ended {
                return Ok(Progress { judged, kept, ended });
            }
        }
    }

    /// The next piece, once it is there.
    fn next(&mut self, bytes: &[u8]) -> Result<Option<Piece>, Violation> {
        match self.state {
            State::Size => self.size_line(bytes),
            State::Data(left) => Ok(self.data(bytes, left)),
            State::DataEnd => self.data_end(bytes),
            State::Last(line) => self.last(bytes, line),
        }
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<Option<Piece>, Violation> {
        const LONGEST: usize = MAX_SIZE_DIGITS + MAX_EXTENSION_BYTES + 2;
        let from = self.searched.min(bytes.len());
        let Some(feed) = bytes[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at) else {
            if bytes.len() > LONGEST {
                return Err(Violation::framing("a chunk size line without end"));
            }
            self.searched = bytes.len();
            return Ok(None);
        };
        let line = bytes[..feed]
            .strip_suffix(b"\r")
            .ok_or(Violation::framing("a chunk size line that ends in a bare line feed"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        if digits == 0 || digits > MAX_SIZE_DIGITS {
            return Err(Violation::framing(
                "a chunk size that is not 1 to 16 hexadecimal digits",
            ));
        }
        if !extension.is_empty() && extension[0] != b';' {
            return Err(Violation::framing(
                "a chunk size with something other than an extension behind it",
            ));
        }
        self.extension_bytes += extension.len();
        if extension.len() > MAX_EXTENSION_BYTES || self.extension_bytes > MAX_EXTENSIONS_BYTES {
            return Err(Violation::framing("chunk extensions beyond their limit"));
        }
        if !extension.iter().all(|byte| may_stand_in_value(*byte)) {
            return Err(Violation::framing("a control character in a chunk extension"));
        }
        self.searched = 0;
        let digit = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or_default());
        match size.iter().fold(0, |sum, byte| sum << 4 | digit(byte)) {
            size if size > MAX_LENGTH => return Err(Violation::framing("a chunk size beyond 63 bits")),
            0 => {
                self.state = State::Last(feed + 1);
                return self.last(bytes, feed + 1);
            }
            size => self.state = State::Data(size),
        }
        let zeros = size.iter().take_while(|byte| **byte == b'0').count();
        Ok(Some(Piece {
            length: feed + 1,
            kept: Kept::Parts([zeros..digits, feed - 1..feed + 1]),
        }))
    }

    fn data(&mut self, bytes: &[u8], left: u64) -> Option<Piece> {
        let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return None;
        }
        self.state = match left - length as u64 {
            0 => State::DataEnd,
            left => State::Data(left),
        };
        Some(Piece {
            length,
            kept: Kept::All,
        })
    }

    fn data_end(&mut self, bytes: &[u8]) -> Result<Option<Piece>, Violation> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = State::Size;
                Ok(Some(Piece {
                    length: 2,
                    kept: Kept::All,
                }))
            }
            [] | [b'\r'] => Ok(None),
            _ => Err(Violation::framing("chunk data that is longer than its size")),
        }
    }

    /// The last chunk, whose size line ends at `start`, and the trailer section, once all of it is there.
    fn last(&mut self, bytes: &[u8], mut start: usize) -> Result<Option<Piece>, Violation> {
        let (line, section) = (start, &bytes[start..]);
        let end = section_end(section, &mut self.searched)
            .map_err(|()| Violation::framing("a trailer line that ends in a bare line feed"))?;
        if end.unwrap_or(section.len()) > MAX_TRAILER_BYTES {
            return Err(Violation::framing("a trailer section beyond its limit"));
        }
        let Some(end) = end else { return Ok(None) };
        let mut kept = Vec::new();
        for (count, line) in lines(&section[..end]).enumerate() {
            if count == MAX_TRAILER_FIELDS {
                return Err(Violation::framing("more trailer fields than the limit"));
            }
            let (name, _) = field(line).map_err(Violation::framing)?;
            let is_name = |other: &[u8]| other.eq_ignore_ascii_case(name);
            if FORBIDDEN_TRAILERS.iter().any(|forbidden| is_name(forbidden.as_bytes()))
                || FORBIDDEN_STARTS.iter().any(|start| starts_with(name, start.as_bytes()))
            {
                return Err(Violation::framing("a trailer field that belongs into the head"));
            }
            let next = start + line.len() + 2;
            if elements(&self.announced).take(MAX_TRAILER_FIELDS).any(is_name) {
                kept.push(start..next);
            }
            start = next;
        }
        Ok(Some(Piece {
            length: line + end,
            kept: Kept::Last(line, kept),
        }))
    }
}

/// Moves what goes on of a piece at `from` to `to`, which is never behind it. How many bytes that are.
fn keep(bytes: &mut [u8], from: usize, piece: &Piece, to: usize) -> usize {
    let mut end = to;
    let mut copy = |part: Range<usize>| {
        if from + part.start != end {
            bytes.copy_within(from + part.start..from + part.end, end);
        }
        end += part.len();
    };
    match &piece.kept {
        Kept::All => copy(0..piece.length),
        Kept::Parts(parts) => parts.iter().cloned().for_each(copy),
        Kept::Last(line, lines) => {
            // Of its zeros, one.
            copy(0..1);
            copy(line - 2..*line);
            lines.iter().cloned().for_each(&mut copy);
            copy(piece.length - 2..piece.length);
        }
    }
    end - to
}

#[cfg(test)]
mod tests {
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
        let body =
            b"5\r\nhello\r\n0005;name=\"value\"\r\n worl\r\nA\r\n0123456789\r\n000;a\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n";
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
}
