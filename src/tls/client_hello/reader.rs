//! Reads a handshake message where it lies: in records, cut at any byte.

use Fault::Bad;

/// Type, version and length in front of each fragment (RFC 8446 section 5.1), in bytes.
pub(super) const RECORD_HEADER: usize = 5;

/// Why there is no hello (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end too early; more may come.
    Short,
    /// No bytes can mend it.
    Bad(&'static str),
}

/// A view of `left` bytes of a message that lies in records which [`read_records`] has checked.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the next byte lies, if this fragment has one.
    at: usize,
    /// Where this record's fragment ends.
    fragment_end: usize,
    /// Bytes of the view still unread.
    pub left: usize,
}

impl<'a> Reader<'a> {
    /// Over the first `left` message bytes of these records.
    pub(super) fn over(bytes: &'a [u8], left: usize) -> Self {
        Self {
            bytes,
            at: 0,
            fragment_end: 0,
            left,
        }
    }

    /// The unread bytes of this fragment that belong to the view; goes on to the next record where one ends.
    fn fragment(&mut self) -> &'a [u8] {
        if self.at == self.fragment_end
            && let Some(&[_, _, _, high, low]) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk())
        {
            self.at += RECORD_HEADER;
            self.fragment_end = self.at + usize::from(u16::from_be_bytes([high, low]));
        }
        let end = self.fragment_end.min(self.at + self.left);
        self.bytes.get(self.at..end).unwrap_or_default()
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        if self.left == 0 {
            return Err(Bad(OVERRUN));
        }
        let byte = *self.fragment().first().ok_or(Bad(OVERRUN))?;
        self.at += 1;
        self.left -= 1;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        if let &[high, low, ..] = self.fragment() {
            self.at += 2;
            self.left -= 2;
            return Ok(u16::from_be_bytes([high, low]));
        }
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.take(count).map(drop)
    }

    /// The next `count` bytes as a view of their own.
    pub(super) fn take(&mut self, count: usize) -> Result<Reader<'a>, Fault> {
        self.left = self.left.checked_sub(count).ok_or(Bad(OVERRUN))?;
        let taken = Self { left: count, ..*self };
        let mut ahead = taken;
        while ahead.left > 0 {
            let step = ahead.fragment().len();
            if step == 0 {
                return Err(Bad(OVERRUN));
            }
            ahead.at += step;
            ahead.left -= step;
        }
        (self.at, self.fragment_end) = (ahead.at, ahead.fragment_end);
        Ok(taken)
    }

    /// A vector with a one-byte length.
    pub(super) fn vector8(&mut self) -> Result<Reader<'a>, Fault> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// A vector with a two-byte length.
    pub(super) fn vector16(&mut self) -> Result<Reader<'a>, Fault> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    pub(super) fn must_be_at_end(&self) -> Result<(), Fault> {
        if self.left == 0 {
            Ok(())
        } else {
            Err(Bad("bytes left over at the end of a field"))
        }
    }
}

const OVERRUN: &str = "a length that is longer than what holds it";
