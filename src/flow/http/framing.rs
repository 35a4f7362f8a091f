//! Where a message body ends: length, chunks or close, judged byte by byte before any of it goes on.
//!
//! In: what follows a head. Out: which of those bytes may go on, or a [`Violation`]. Pure: no IO, no clock.

use super::chunked::Chunked;
use crate::policy::Reason;

/// Longest body and longest chunk, in bytes: what is more is negative to a reader that counts in 64 bits with a sign, and it
/// may go on with what it takes for the next request.
pub(super) const MAX_LENGTH: u64 = i64::MAX as u64;

/// What is wrong with a message, for the answer and the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// `BadRequest`, `Framing`, `HeadTooLarge`, `HeadTimeout`, `LimitHeldBytes`, `NotHttp` or `UpstreamInvalid`.
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
    /// Bytes that were judged. What stands behind them comes again with more behind it, or belongs to the next message.
    pub judged: usize,
    /// Bytes that go on. They stand in front now; there are never more of them than were judged.
    pub kept: usize,
    /// The body ends with them.
    pub ended: bool,
}

impl Framing {
    pub(super) const NONE: Self = Self::Length(0);

    /// Judge the next bytes, and move those that go on to their front.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Result<Progress, Violation> {
        match self {
            Self::Length(left) => {
                let judged = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= judged as u64;
                Ok(Progress {
                    judged,
                    kept: judged,
                    ended: *left == 0,
                })
            }
            Self::Chunked(chunked) => chunked.pass(bytes),
            Self::UntilClose => Ok(Progress {
                judged: bytes.len(),
                kept: bytes.len(),
                ended: false,
            }),
        }
    }

    /// Most bytes that are worth reading. Behind a length stands the next message, whose place is elsewhere; one byte of it is
    /// let in, so that a read which got all there is comes back short and no other is tried.
    pub(super) fn wants(&self) -> usize {
        match self {
            Self::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX).saturating_add(1),
            Self::Chunked(_) | Self::UntilClose => usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_counted_however_the_bytes_come() {
        let mut framing = Framing::Length(10);
        let progress = |judged, ended| {
            Ok(Progress {
                judged,
                kept: judged,
                ended,
            })
        };
        assert_eq!(framing.pass(&mut b"abcdefgh".to_vec()), progress(8, false));
        assert_eq!(framing.wants(), 3);
        assert_eq!(framing.pass(&mut b"efghi".to_vec()), progress(2, true));
        assert_eq!(Framing::Length(0).pass(&mut []), progress(0, true));
        assert_eq!(Framing::UntilClose.pass(&mut b"abc".to_vec()), progress(3, false));
    }
}
