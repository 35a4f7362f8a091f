//! A JSON object written straight into a row's bytes: no tree, no allocation, and few and long pieces, since each is a check
//! for room and a copy.

use super::escape::{self, Style};
use std::{io::Write, net::IpAddr};

/// An object being written. Nested ones are written by closures, so that every bracket is closed.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
}

/// The key of a member, with all that stands before a text: `,"Fqdn":"`. [`key!`](super::key) makes it.
#[derive(Clone, Copy)]
pub(super) struct Key(&'static str);

impl Key {
    /// `text` is what a key is written as.
    pub(super) const fn written(text: &'static str) -> Self {
        Self(text)
    }
}

/// A [`Key`] of a name that needs no escape.
macro_rules! key {
    ($name:literal) => {
        $crate::log::json::Key::written(concat!(",\"", $name, "\":\""))
    };
}
pub(super) use key;

/// Writes `{..}`.
pub(super) fn object(out: &mut Vec<u8>, body: impl FnOnce(&mut Object<'_>)) {
    let start = out.len();
    body(&mut Object { out });
    // The comma before the first member stands where the bracket belongs.
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// Appends a number in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Appends an address in its canonical form: IPv4-mapped IPv6 is IPv4.
pub(super) fn push_address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            // From its end: one piece instead of seven.
            let mut text = [b'.'; 15];
            let mut at = text.len();
            for (place, mut octet) in v4.octets().into_iter().rev().enumerate() {
                at -= usize::from(place > 0);
                loop {
                    at -= 1;
                    text[at] = b'0' + octet % 10;
                    octet /= 10;
                    if octet == 0 {
                        break;
                    }
                }
            }
            out.extend_from_slice(&text[at..]);
        }
        IpAddr::V6(v6) => write!(out, "{v6}").expect("writing to a Vec cannot fail"),
    }
}

impl Object<'_> {
    /// Members that are always the same, each with the comma before it.
    pub(super) fn members(&mut self, written: &'static str) {
        self.out.extend_from_slice(written.as_bytes());
    }

    /// The bytes, after the key: for values that have a form of their own.
    pub(super) fn value(&mut self, Key(key): Key) -> &mut Vec<u8> {
        self.out.extend_from_slice(&key.as_bytes()[..key.len() - 1]);
        self.out
    }

    /// The same with the first quote of a text.
    fn quoted(&mut self, Key(key): Key) -> &mut Vec<u8> {
        self.out.extend_from_slice(key.as_bytes());
        self.out
    }

    /// Text of our own: nothing in it needs care.
    pub(super) fn word(&mut self, key: Key, word: &str) {
        debug_assert!(!word.contains(['"', '\\']) && word.is_ascii());
        let out = self.quoted(key);
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
    }

    /// Text from outside, in at most `max` bytes.
    pub(super) fn text(&mut self, key: Key, text: &str, max: usize) {
        self.escaped(key, text.as_bytes(), max, Style::Json);
    }

    /// Bytes from outside, in at most `max` bytes.
    pub(super) fn bytes(&mut self, key: Key, bytes: &[u8], max: usize) {
        self.escaped(key, bytes, max, Style::JsonBytes);
    }

    fn escaped(&mut self, key: Key, raw: &[u8], max: usize, style: Style) {
        let out = self.quoted(key);
        escape::push(out, raw, max, style);
        out.push(b'"');
    }

    pub(super) fn number(&mut self, key: Key, number: u64) {
        push_number(self.value(key), number);
    }

    /// A number of thousandths as a decimal fraction: 1500 is `1.500`.
    pub(super) fn thousandths(&mut self, key: Key, number: u64) {
        let out = self.value(key);
        push_number(out, number / 1000);
        let rest = (number % 1000) as u16;
        let digit = |of: u16| b'0' + (rest / of % 10) as u8;
        out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    }

    pub(super) fn flag(&mut self, key: Key, flag: bool) {
        self.value(key).extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// An address: see [`push_address`].
    pub(super) fn address(&mut self, key: Key, ip: IpAddr) {
        let out = self.quoted(key);
        push_address(out, ip);
        out.push(b'"');
    }

    /// Sixteen hex digits.
    pub(super) fn hex(&mut self, key: Key, number: u64) {
        let out = self.quoted(key);
        let digits: [u8; 16] =
            std::array::from_fn(|place| b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize]);
        out.extend_from_slice(&digits);
        out.push(b'"');
    }

    pub(super) fn object(&mut self, key: Key, body: impl FnOnce(&mut Object<'_>)) {
        object(self.value(key), body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 7, 10, 65_535, u64::MAX, 10_000_000_000] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn an_object_is_valid_json() {
        let mut out = Vec::new();
        object(&mut out, |o| {
            o.word(key!("a"), "b");
            o.text(key!("t"), "x\"\n", 100);
            o.number(key!("n"), 5);
            o.thousandths(key!("ms"), 12_045);
            o.flag(key!("f"), true);
            o.object(key!("empty"), |_| {});
            o.address(key!("ip"), "::ffff:10.0.0.1".parse().unwrap());
            o.address(key!("v6"), "2001:db8::1".parse().unwrap());
            o.hex(key!("h"), 0x0123_4567_89ab_cdef);
        });
        let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            parsed,
            serde_json::json!({"a":"b","t":"x\"\n","n":5,"ms":12.045,"f":true,"empty":{},"ip":"10.0.0.1","v6":"2001:db8::1","h":"0123456789abcdef"})
        );
    }
}
