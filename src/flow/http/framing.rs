//! Where a message body ends: length, chunks or close, judged byte by byte before hyper sees it.
//!
//! In: what follows a head. Out: how many of those bytes may go on, or a [`Violation`]. Pure: no IO, no clock. A chunk's
//! size line, its closing CRLF and the trailer section go on whole or not at all, so that nothing of a spoilt one does.

use crate::policy::Reason;

/// Longest chunk size: 16 hexadecimal digits, all of 64 bits.
const MAX_SIZE_DIGITS: usize = 16;

/// Longest extension of one chunk, in bytes. Nobody is known to send any; RFC 9112 section 7.1.1 asks for a limit.
const MAX_EXTENSION_BYTES: usize = 256;

/// Extensions of one body in all, in bytes.
const MAX_EXTENSIONS_BYTES: usize = 16 * 1024;

/// Fields that a trailer section must not hold: framing, routing, authority, credentials and how to read the content
/// (RFC 9110 section 6.5.1). Some stacks merge trailers into the head.
const FORBIDDEN_TRAILERS: [&str; 22] = [
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
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];

/// What is wrong with a message, for the answer and the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// `BadRequest`, `Framing`, `HeadTooLarge`, `HeadTimeout`, `NotHttp` or `UpstreamInvalid`.
    pub reason: Reason,
    /// The first fault, for people.
    pub what: &'static str,
}

impl Violation {
    pub(super) const fn framing(what: &'static str) -> Self {
        Self {
            reason: Reason::Framing,
            what,
        }
    }

    pub(super) const fn bad_request(what: &'static str) -> Self {
        Self {
            reason: Reason::BadRequest,
            what,
        }
    }

    pub(super) const fn not_http() -> Self {
        Self {
            reason: Reason::NotHttp,
            what: "a first line that is not HTTP",
        }
    }
}

/// How a body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// After its last chunk and trailer section.
    Chunked(Chunked),
    /// When the sender closes: responses only.
    UntilClose,
}

/// How far the bytes at hand were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that may go on.
    pub released: usize,
    /// The body ends with them.
    pub ended: bool,
}

impl Framing {
    pub(super) const NONE: Self = Self::Length(0);

    /// Judge the next bytes. What was not released comes again with more behind it.
    pub(super) fn advance(&mut self, bytes: &[u8], trailer_bytes: usize) -> Result<Progress, Violation> {
        match self {
            Self::Length(left) => {
                let released = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= released as u64;
                Ok(Progress {
                    released,
                    ended: *left == 0,
                })
            }
            Self::Chunked(chunked) => chunked.advance(bytes, trailer_bytes),
            Self::UntilClose => Ok(Progress {
                released: bytes.len(),
                ended: false,
            }),
        }
    }

    /// What completes the bytes released so far to a body, after a violation.
    pub(super) fn terminator(&self) -> &'static [u8] {
        match self {
            Self::Chunked(chunked) => match chunked.state {
                ChunkState::Size => b"0\r\n\r\n",
                ChunkState::Data(_) | ChunkState::DataEnd => b"\r\n0\r\n\r\n",
                ChunkState::Trailer => b"\r\n",
            },
            Self::Length(_) | Self::UntilClose => b"",
        }
    }
}

/// The chunked coding (RFC 9112 section 7.1), without any of the leeway that parsers differ in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    state: ChunkState,
    extension_bytes: usize,
    /// Bytes of an unfinished line or section that were searched for its end.
    searched: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

impl Chunked {
    /// A violation is only told when nothing before it is left to release.
    fn advance(&mut self, bytes: &[u8], trailer_bytes: usize) -> Result<Progress, Violation> {
        let mut released = 0;
        loop {
            let rest = &bytes[released..];
            let ending = self.state == ChunkState::Trailer;
            let step = match self.state {
                ChunkState::Size => self.size_line(rest),
                ChunkState::Data(left) => Ok(self.data(rest, left)),
                ChunkState::DataEnd => self.data_end(rest),
                ChunkState::Trailer => self.trailer(rest, trailer_bytes),
            };
            match step {
                Ok(Some(length)) => released += length,
                Err(violation) if released == 0 => return Err(violation),
                Ok(None) | Err(_) => return Ok(Progress { released, ended: false }),
            }
            if ending {
                return Ok(Progress { released, ended: true });
            }
        }
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
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
        self.state = match size.iter().fold(0, |sum, byte| sum << 4 | digit(byte)) {
            0 => ChunkState::Trailer,
            size => ChunkState::Data(size),
        };
        Ok(Some(feed + 1))
    }

    fn data(&mut self, bytes: &[u8], left: u64) -> Option<usize> {
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if taken == 0 {
            return None;
        }
        self.state = match left - taken as u64 {
            0 => ChunkState::DataEnd,
            left => ChunkState::Data(left),
        };
        Some(taken)
    }

    fn data_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = ChunkState::Size;
                Ok(Some(2))
            }
            [] | [b'\r'] => Ok(None),
            _ => Err(Violation::framing("chunk data that is longer than its size")),
        }
    }

    /// The length of the whole section, its empty line included, once it is there.
    fn trailer(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, Violation> {
        let end = section_end(bytes, &mut self.searched)
            .map_err(|()| Violation::framing("a trailer line that ends in a bare line feed"))?;
        if end.unwrap_or(bytes.len()) > limit {
            return Err(Violation::framing("a trailer section beyond the limit of a head"));
        }
        let Some(end) = end else { return Ok(None) };
        for line in lines(&bytes[..end]) {
            let (name, _) = field(line).map_err(Violation::framing)?;
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if FORBIDDEN_TRAILERS.contains(&name.as_str()) {
                return Err(Violation::framing("a trailer field that belongs into the head"));
            }
        }
        Ok(Some(end))
    }
}

/// End of a section of lines, behind its empty line. Every line must end in CRLF; `searched` remembers where the search
/// for it stopped.
pub(super) fn section_end(bytes: &[u8], searched: &mut usize) -> Result<Option<usize>, ()> {
    let mut from = (*searched).min(bytes.len());
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let feed = from + at;
        match &bytes[..feed] {
            b"\r" | [.., b'\n', b'\r'] => return Ok(Some(feed + 1)),
            [.., b'\r'] => from = feed + 1,
            _ => return Err(()),
        }
    }
    *searched = bytes.len();
    Ok(None)
}

/// The lines of a section that [`section_end`] found, without the empty one.
pub(super) fn lines(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

/// One field line (RFC 9112 section 5): a token, a colon right behind it, a value without control characters. The value
/// comes without the blanks around it.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err("a field line that starts with a blank");
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("a field line without a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err("a field name that is not a token");
    }
    if !value.iter().all(|byte| may_stand_in_value(*byte)) {
        return Err("a control character in a field value");
    }
    Ok((name, trimmed(value)))
}

/// `token` of RFC 9110 section 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn may_stand_in_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Without spaces and tabs at both ends: the only whitespace that HTTP knows (not VT, FF or CR).
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 16 * 1024;

    /// Feeds a chunked body in pieces of `size`; what went on, and whether it ended or what was wrong with it.
    fn feed(body: &[u8], size: usize) -> (Vec<u8>, Result<bool, &'static str>) {
        let mut framing = Framing::Chunked(Chunked::default());
        let (mut held, mut passed) = (Vec::new(), Vec::new());
        for piece in body.chunks(size) {
            held.extend_from_slice(piece);
            loop {
                match framing.advance(&held, LIMIT) {
                    Ok(Progress { released: 0, .. }) => break,
                    Ok(Progress { released, ended }) => {
                        passed.extend(held.drain(..released));
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

    #[test]
    fn a_chunked_body_passes_unchanged_however_it_is_cut() {
        let body = b"5\r\nhello\r\n0005;name=\"value\"\r\n worl\r\nA\r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\n";
        for size in 1..=body.len() {
            assert_eq!(feed(body, size), (body.to_vec(), Ok(true)), "in pieces of {size}");
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
        assert!(passed.len() <= MAX_EXTENSIONS_BYTES + 64 * 6, "{}", passed.len());
    }

    #[test]
    fn c_34_a_trailer_section_is_small_and_holds_no_field_of_the_head() {
        for bad in [
            "Host: evil.test\r\n\r\n",
            "X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "content-length: 5\r\n\r\n",
            "Authorization: x\r\n\r\n",
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
                assert_eq!(passed, b"0\r\n", "{bad:?}");
            }
        }
        let long = format!("0\r\n{}\r\n", "X-A: 0123456789\r\n".repeat(6_000));
        assert!(feed(long.as_bytes(), 4096).1.is_err());
        assert!(feed(b"0\r\nX-A: 1\r\nX-B:\t2 \r\n\r\n", 1).1 == Ok(true));
    }

    #[test]
    fn what_completes_a_spoilt_body_makes_it_whole() {
        for (start, bad) in [
            ("", "x"),
            ("3\r\nabc", "x"),
            ("3\r\nabc\r\n", "x"),
            ("0\r\n", "Host: a\r\n\r\n"),
        ] {
            let mut framing = Framing::Chunked(Chunked::default());
            let released = framing.advance(start.as_bytes(), LIMIT).unwrap().released;
            assert_eq!(released, start.len());
            let _ = framing.advance(bad.as_bytes(), LIMIT);
            let body = [start.as_bytes(), framing.terminator()].concat();
            assert_eq!(feed(&body, 1).1, Ok(true), "{start:?}");
        }
    }

    #[test]
    fn a_length_is_counted_however_the_bytes_come() {
        let mut framing = Framing::Length(10);
        let progress = |released, ended| Ok(Progress { released, ended });
        assert_eq!(framing.advance(b"abcdefgh", LIMIT), progress(8, false));
        assert_eq!(framing.advance(b"efghi", LIMIT), progress(2, true));
        assert_eq!(Framing::Length(0).advance(b"", LIMIT), progress(0, true));
        assert_eq!(Framing::UntilClose.advance(b"abc", LIMIT), progress(3, false));
    }
}
