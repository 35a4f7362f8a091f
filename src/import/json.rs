//! The JSON that Resource Manager reads: RFC 8259 with comments, trailing commas and line breaks inside texts; and, beyond
//! it, several documents joined by commas or nothing, as snippets of rule collections are kept.
//!
//! `serde_json` keeps no places and refuses all of these. Bounded in depth and in the number of values; a name that stands
//! twice in an object is an error, since readers disagree on which of the two counts.

use super::value::{Kind, MAX_DEPTH, MAX_NAME_BYTES, Place, Value, long_name, second_of_a_name};
use std::{borrow::Cow, cell::Cell, sync::Arc};

/// Most values in all files of an import: a firewall policy of 60 groups of 2 MB has about 3 million at most, in practice far fewer.
/// A value takes up to 150 bytes, an object counts as two: this keeps them under 130 MiB of memory.
pub(super) const MOST_VALUES: usize = 900_000;

/// How many values an object counts as, beside those in it: it takes that much more than others, and objects within objects are all
/// that some files hold.
const OBJECT: usize = 2;

/// What is wrong with the text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub at: Place,
    pub found: String,
}

/// The text of a file: UTF-8, or UTF-16, which Windows PowerShell's `>` writes with its mark and other tools without. JSON
/// starts with a character of ASCII, which tells the two apart (RFC 4627 section 3). UTF-8 is not copied: a file may be large.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| match pair {
            [one, two] => read([*one, *two]),
            _ => 0xfffd,
        });
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map(Cow::Owned)
            .map_err(|_| "is not UTF-16, though it starts as such")
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [first, 0, ..] if *first != 0 => wide(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => wide(bytes, u16::from_be_bytes),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
            Ok(Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)))
        }
    }
}

/// What to do about a file that is no JSON; empty if there is nothing to say. By its name, and by how its text starts.
pub(crate) fn hint(text: &str, name: &str) -> &'static str {
    let ends = |end: &str| name.to_ascii_lowercase().ends_with(end);
    let first = text
        .lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let begins = |words: &[&str]| words.iter().any(|word| first.starts_with(word));
    let is_key = first
        .split_once(':')
        .is_some_and(|(key, _)| !key.is_empty() && !key.contains(['{', '"', '[', '/']));
    if ends(".bicepparam") || begins(&["using "]) {
        "parameters in Bicep: `az bicep build-params --file FILE` makes the JSON of them"
    } else if ends(".bicep") || begins(&["param ", "targetScope", "resource ", "module ", "var ", "@description("]) {
        "Bicep: `az bicep build --file FILE` makes the JSON of it"
    } else if ends(".tf") {
        "Terraform: print the policy that is deployed with `az`, in JSON"
    } else if text.contains("\u{1b}[") {
        "it holds the colours of a terminal: print it anew with `--output json`"
    } else if ends(".yaml") || ends(".yml") || begins(&["- ", "---"]) || is_key {
        "YAML is not read: print it anew with `--output json`"
    } else {
        ""
    }
}

/// Every document of the text, at least one. `file`: the index that places carry.
pub(crate) fn parse(text: &str, file: u16) -> Result<Vec<Value>, JsonError> {
    parse_some(text, file, &Cell::new(MOST_VALUES))
}

/// The same, of at most as many values as are `left`.
pub(crate) fn parse_some(text: &str, file: u16, left: &Cell<usize>) -> Result<Vec<Value>, JsonError> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        mark: (0, 1),
        file,
        left,
    };
    let mut documents = Vec::new();
    loop {
        reader.blank()?;
        match reader.peek() {
            None if documents.is_empty() => return Err(reader.fault("nothing is written here")),
            None => return Ok(documents),
            Some(b',') if !documents.is_empty() => reader.at += 1,
            Some(_) => documents.push(reader.value(0)?),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// An offset in this line and its column: columns are counted on from here, so that one long line costs no more than many.
    mark: (usize, u32),
    file: u16,
    left: &'a Cell<usize>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn place(&self) -> Place {
        let (from, column) = self.mark;
        let more = self.text[from..self.at].chars().count();
        Place {
            file: self.file,
            line: self.line,
            column: column.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)),
        }
    }

    fn fault(&self, found: impl Into<String>) -> JsonError {
        let (at, found) = (self.place(), found.into());
        JsonError { at, found }
    }

    fn newline(&mut self) {
        self.line += 1;
        self.mark = (self.at + 1, 1);
    }

    /// Past blanks and comments.
    fn blank(&mut self) -> Result<(), JsonError> {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.newline();
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'/' => self.comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn comment(&mut self) -> Result<(), JsonError> {
        let rest = &self.text[self.at..];
        if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Ok(());
        }
        let Some(end) = rest.strip_prefix("/*").and_then(|inner| inner.find("*/")) else {
            return Err(self.fault("a comment that does not end, or a stray `/`"));
        };
        let end = self.at + 2 + end + 2;
        while self.at < end {
            if self.peek() == Some(b'\n') {
                self.newline();
            }
            self.at += 1;
        }
        Ok(())
    }

    fn value(&mut self, depth: u16) -> Result<Value, JsonError> {
        let values = if self.peek() == Some(b'{') { OBJECT } else { 1 };
        let Some(left) = self.left.get().checked_sub(values) else {
            let found = format!("the files hold more than {MOST_VALUES} values, of which an object counts as {OBJECT}");
            return Err(self.fault(found));
        };
        self.left.set(left);
        if depth >= MAX_DEPTH {
            return Err(self.fault(format!("nested deeper than {MAX_DEPTH}")));
        }
        let at = self.place();
        self.mark = (self.at, at.column);
        match self.peek() {
            Some(b'{') => self.object(depth, at),
            Some(b'[') => self.list(depth, at),
            Some(b'"') => Ok(Value::text(self.string()?, at)),
            _ => self.word(at),
        }
    }

    fn object(&mut self, depth: u16, at: Place) -> Result<Value, JsonError> {
        self.at += 1;
        let mut entries = Vec::new();
        let mut places = Vec::new();
        loop {
            self.blank()?;
            match self.peek() {
                Some(b'}') => break,
                Some(b'"') => {
                    places.push(self.place());
                    let name: Arc<str> = self.name()?.into();
                    self.blank()?;
                    self.expect(b':', "`:`")?;
                    self.blank()?;
                    entries.push((name, self.value(depth + 1)?));
                }
                _ => return Err(self.fault("neither a name in double quotes nor `}`")),
            }
            self.comma(b'}')?;
        }
        self.at += 1;
        // What grew while it was read holds up to three places too many: a file may be of small objects alone.
        entries.shrink_to_fit();
        if let Some(index) = second_of_a_name(&entries) {
            let found = format!("`{}` is there twice", shown(&entries[index].0));
            return Err(JsonError {
                at: places[index],
                found,
            });
        }
        Value::object(entries, at).map_err(|_| self.fault(format!("nested deeper than {MAX_DEPTH}")))
    }

    /// The name of a member.
    fn name(&mut self) -> Result<String, JsonError> {
        let at = self.place();
        let name = self.string()?;
        match name.len() > MAX_NAME_BYTES {
            true => Err(JsonError { at, found: long_name() }),
            false => Ok(name),
        }
    }

    fn list(&mut self, depth: u16, at: Place) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blank()?;
            if self.peek() == Some(b']') {
                break;
            }
            items.push(self.value(depth + 1)?);
            self.comma(b']')?;
        }
        self.at += 1;
        items.shrink_to_fit();
        Value::list(items, at).map_err(|_| self.fault(format!("nested deeper than {MAX_DEPTH}")))
    }

    /// A comma, which may trail, unless the end is next.
    fn comma(&mut self, end: u8) -> Result<(), JsonError> {
        self.blank()?;
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(())
            }
            Some(byte) if byte == end => Ok(()),
            _ => Err(self.fault(format!("neither `,` nor `{}`", char::from(end)))),
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.fault(format!("{what} is missing")));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.place();
        let unended = || JsonError {
            at: start,
            found: "a text that does not end".into(),
        };
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\', '\n']).ok_or_else(unended)?;
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\n') => {
                    out.push('\n');
                    self.newline();
                    self.at += 1;
                }
                _ => out.push(self.escape()?),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match letter {
            Some(b'u') => return self.unicode(),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(mark @ (b'"' | b'\\' | b'/' | b'\'')) => char::from(mark),
            _ => return Err(self.fault("no such escape in a text")),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\u0041`, or the two halves of a character beyond 16 bits.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.unit()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let second = self.unit()?;
            return char::decode_utf16([first, second])
                .next()
                .and_then(Result::ok)
                .ok_or_else(|| self.fault("half a character"));
        }
        char::from_u32(u32::from(first)).ok_or_else(|| self.fault("half a character"))
    }

    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.get(self.at + 2..self.at + 6);
        let hex = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = hex.and_then(|text| u16::from_str_radix(text, 16).ok());
        let unit = unit.ok_or_else(|| self.fault("`\\u` without four hexadecimal digits"))?;
        self.at += 6;
        Ok(unit)
    }

    fn word(&mut self, at: Place) -> Result<Value, JsonError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
        let word = &rest[..end.unwrap_or(rest.len())];
        let kind = match word {
            "null" => Kind::Null,
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            _ => number(word).ok_or_else(|| {
                let found = if word.is_empty() { next_shown(rest) } else { shown(word) };
                self.fault(format!("`{found}` is no value"))
            })?,
        };
        self.at += word.len();
        Ok(Value::new(kind, at))
    }
}

fn number(word: &str) -> Option<Kind> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = word.parse()
    {
        return Some(Kind::Int(number));
    }
    let number: f64 = word.parse().ok()?;
    number.is_finite().then_some(Kind::Float(number))
}

fn next_shown(rest: &str) -> String {
    rest.chars().next().map_or_else(|| "the end".into(), String::from)
}

/// The start of a text that may be very long.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
