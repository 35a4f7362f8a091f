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
mod tests;
