//! The fields of a head, read strictly: what two parsers could read in two ways is a [`Violation`]. Pure.

use super::chunked::Chunked;
use super::framing::{Framing, MAX_LENGTH, Violation};
use super::section::{elements, field, lines, lists};
use crate::policy::Reason;

/// Digits of a Content-Length at most.
const MAX_LENGTH_DIGITS: usize = 19;

/// The fields of a head that can be read in one way only, and what those of them say that decide how a message is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    section: &'a [u8],
    /// The one Host, as it was sent, not empty.
    pub host: Option<&'a [u8]>,
    /// The one Content-Length, if only 0.
    pub length: Option<u64>,
    /// Transfer-Encoding is chunked, and nothing else.
    pub chunked: bool,
    /// The sender closes behind this message.
    pub close: bool,
    /// It wants to hear that it may send its body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// What Connection lists: fields for this connection alone.
    pub named: Vec<&'a [u8]>,
    has_trailer: bool,
    upgrades: bool,
    to_websocket: bool,
}

impl<'a> Fields<'a> {
    /// Reads the lines behind the first one, to the empty line.
    pub(super) fn read(section: &'a [u8], max_fields: usize) -> Result<Self, Violation> {
        let mut fields = Self {
            section,
            ..Self::default()
        };
        for (count, line) in lines(section).enumerate() {
            if count >= max_fields {
                return Err(too_many("more header fields than the limit"));
            }
            let (name, value) = field(line).map_err(Violation::bad_request)?;
            fields.add(name, value)?;
        }
        if fields.named.len() > max_fields {
            return Err(too_many("more names in Connection than the limit of fields"));
        }
        Ok(fields)
    }

    /// Their length as they were sent.
    pub(super) fn bytes(&self) -> usize {
        self.section.len()
    }

    /// Name and value of each, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        // `read` let no line through that is no field.
        lines(self.section).filter_map(|line| field(line).ok())
    }

    /// The values of all fields of this name.
    pub(super) fn values<'b>(&'b self, name: &'b [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'b> {
        let named = self.iter().filter(move |field| field.0.eq_ignore_ascii_case(name));
        named.map(|field| field.1)
    }

    fn add(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), Violation> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        // Nearly every name is told from these by its length.
        match name.len() {
            4 if is(b"host") => self.add_host(value)?,
            6 if is(b"expect") => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            7 if is(b"upgrade") => self.to_websocket |= lists(value, b"websocket"),
            7 if is(b"trailer") => self.has_trailer = true,
            10 if is(b"connection") => {
                self.close |= lists(value, b"close");
                self.upgrades |= lists(value, b"upgrade");
                self.named.extend(elements(value).filter(|name| !name.is_empty()));
            }
            14 if is(b"content-length") => {
                let length =
                    content_length(value).ok_or(Violation::framing("a Content-Length that is not one number"))?;
                if self.length.replace(length).is_some() {
                    return Err(Violation::framing("more than one Content-Length"));
                }
            }
            17 if is(b"transfer-encoding") => self.add_coding(value)?,
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112 section 3.2: one value, of one host. A list is two of them.
    fn add_host(&mut self, value: &'a [u8]) -> Result<(), Violation> {
        if value.is_empty() || value.iter().any(|byte| b", \t/?#@\\".contains(byte)) {
            return Err(Violation::bad_request("a Host that is not one host"));
        }
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(Violation::bad_request("more than one Host")),
        }
    }

    fn add_coding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if std::mem::replace(&mut self.chunked, true) || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::framing("a Transfer-Encoding other than chunked"));
        }
        Ok(())
    }

    /// How the body ends, where the fields say it.
    pub(super) fn framing(&self) -> Result<Option<Framing>, Violation> {
        match (self.length, self.chunked) {
            // RFC 9112 section 6.1: this is how requests are smuggled.
            (Some(_), true) => Err(Violation::framing("Content-Length with Transfer-Encoding")),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, true) if self.has_trailer => {
                let names = self.values(b"trailer").collect::<Vec<_>>().join(&b',');
                Ok(Some(Framing::Chunked(Chunked::announcing(&names))))
            }
            (None, true) => Ok(Some(Framing::Chunked(Chunked::default()))),
            (None, false) => Ok(None),
        }
    }

    /// They ask for, or agree to, going on with WebSocket (RFC 6455 section 4).
    pub(super) fn websocket(&self) -> bool {
        self.upgrades && self.to_websocket
    }
}

fn too_many(what: &'static str) -> Violation {
    Violation {
        reason: Reason::HeadTooLarge,
        what,
    }
}

/// Decimal digits only: no sign, no blank, no list.
fn content_length(value: &[u8]) -> Option<u64> {
    if !(1..=MAX_LENGTH_DIGITS).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value)
        .ok()?
        .parse()
        .ok()
        .filter(|length| *length <= MAX_LENGTH)
}
