//! Text from outside on a terminal or in a line: what could steer it is escaped (threats G-01, G-10).

/// Control characters, what ends a line, what hides, and what turns the direction of writing round. All of them lie in the
/// basic plane.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Nothing in the text may steer the terminal, forge a line or turn text round: `\u{1b}` for ESC.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_nothing_else() {
        assert_eq!(
            printable("a\u{1b}[2J\n\u{202e}\u{200b}b"),
            "a\\u{1b}[2J\\n\\u{202e}\\u{200b}b"
        );
        assert_eq!(printable("größe – \"x\\y\" 名"), "größe – \"x\\y\" 名");
    }
}
