//! Lines and fields, as heads and trailer sections have them (RFC 9112 sections 2.2 and 5), without any leeway. Pure.

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
    /// A look at each of 15 marks for each byte of each name would show in a profile.
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < marks.len() {
            table[marks[at] as usize] = true;
            at += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

/// What a field value, a reason phrase or a chunk extension may hold: no control character but the tab.
pub(super) fn may_stand_in_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether a name starts so, in any case.
pub(super) fn starts_with(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// Without spaces and tabs at both ends: the only whitespace that HTTP knows (not VT, FF or CR).
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a comma-separated list.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(trimmed)
}

/// Whether a comma-separated list holds this element, in any case.
pub(super) fn lists(list: &[u8], element: &[u8]) -> bool {
    elements(list).any(|item| item.eq_ignore_ascii_case(element))
}
