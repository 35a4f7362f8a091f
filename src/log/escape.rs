//! Text from outside, made safe for one line of a log: no byte of it can end the line, a JSON string, or drive a terminal.

use crate::printable::steers;

/// How unsafe characters are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Inside a JSON string; parses back to the very text. Bytes that are not UTF-8 become the text `\xNN`.
    Json,
    /// Inside a JSON string; a backslash becomes the text `\x5c`, so that every `\xNN` of the parsed text is one byte.
    JsonBytes,
    /// For people, inside double quotes.
    Plain,
}

/// Appends `raw` in at most `max` bytes; what is longer is cut, and the mark says how many bytes it had.
pub(super) fn push(out: &mut Vec<u8>, raw: &[u8], max: usize, style: Style) {
    let start = out.len();
    // Nothing that needs care, and it fits: nearly every field of nearly every row.
    // The fold looks at every byte, which lets the compiler take many at once.
    if raw.len() <= max && raw.iter().fold(true, |plain, &b| plain & is_plain(b)) {
        return out.extend_from_slice(raw);
    }
    let mark = format!("...(cut, {} bytes)", raw.len());
    let room = max.saturating_sub(mark.len());
    let mut fits = start;
    for chunk in raw.utf8_chunks() {
        let characters = chunk.valid().chars().map(Unit::Character);
        let bytes = chunk.invalid().iter().copied().map(Unit::Byte);
        for unit in characters.chain(bytes) {
            match unit {
                Unit::Character(character) => push_char(out, character, style),
                Unit::Byte(byte) => push_byte(out, byte, style),
            }
            if out.len() - start > max {
                out.truncate(fits);
                return out.extend_from_slice(mark.as_bytes());
            }
            if out.len() - start <= room {
                fits = out.len();
            }
        }
    }
}

/// What is escaped as a whole and never cut in the middle.
enum Unit {
    Character(char),
    Byte(u8),
}

/// ASCII that means only itself in every style.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn push_char(out: &mut Vec<u8>, character: char, style: Style) {
    match (character, style) {
        ('"', _) => out.extend_from_slice(b"\\\""),
        ('\\', Style::JsonBytes) => push_byte(out, b'\\', style),
        ('\\', _) => out.extend_from_slice(b"\\\\"),
        _ if !steers(character) => {
            let mut utf8 = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        }
        (_, Style::Plain) => {
            out.extend_from_slice(b"\\u{");
            out.extend_from_slice(format!("{:x}", u32::from(character)).as_bytes());
            out.push(b'}');
        }
        // All of `steers` lies in the basic plane: four digits hold it.
        _ => out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes()),
    }
}

fn push_byte(out: &mut Vec<u8>, byte: u8, style: Style) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(if style == Style::Plain { b"\\x" } else { b"\\\\x" });
    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &[u8], max: usize, style: Style) -> String {
        let mut out = vec![b'"'];
        push(&mut out, raw, max, style);
        out.push(b'"');
        assert!(
            out.iter().all(|b| *b >= 0x20 && *b != 0x7f),
            "a control byte is left in {out:?}"
        );
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn text_parses_back_to_itself() {
        for text in [
            "",
            "api.example.com",
            "a\"b\\c",
            "\r\n\t\0\u{1b}[2J\u{7f}\u{9b}",
            "\u{2028}\u{2029}\u{202e}",
            "bücher 漢字 😀",
        ] {
            assert_eq!(parsed(text.as_bytes(), 500, Style::Json), text);
        }
    }

    #[test]
    fn bytes_parse_back_to_a_text_that_tells_every_byte() {
        for (raw, text) in [
            (&b"a\xffb"[..], "a\\xffb"),
            (b"a\\xffb", "a\\x5cxffb"),
            (b"\xe2\x80", "\\xe2\\x80"),
            (b"\xc0\xaf\xed\xa0\x80", "\\xc0\\xaf\\xed\\xa0\\x80"),
        ] {
            assert_eq!(parsed(raw, 500, Style::JsonBytes), text);
        }
    }

    #[test]
    fn long_text_is_cut_with_a_mark_and_never_inside_a_character() {
        for unit in ["a", "\"", "\u{1b}", "漢", "😀", "\\"] {
            let text = unit.repeat(64 * 1024 / unit.len());
            for style in [Style::Json, Style::JsonBytes] {
                let mut out = Vec::new();
                push(&mut out, text.as_bytes(), 300, style);
                assert!(out.len() <= 300, "{} bytes for {unit:?}", out.len());
                assert!(parsed(text.as_bytes(), 300, style).ends_with(&format!("...(cut, {} bytes)", text.len())));
            }
        }
        let exact = "x".repeat(300);
        assert_eq!(
            parsed(exact.as_bytes(), 300, Style::Json),
            exact,
            "what just fits is not cut"
        );
    }

    #[test]
    fn a_terminal_cannot_be_driven() {
        let mut out = Vec::new();
        push(
            &mut out,
            b"\x1b]0;x\x07\x9b\xc2\x9b31m\r\n\xe2\x80\xae\"\\",
            500,
            Style::Plain,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\\u{1b}]0;x\\u{7}\\x9b\\u{9b}31m\\u{d}\\u{a}\\u{202e}\\\"\\\\"
        );
    }
}
