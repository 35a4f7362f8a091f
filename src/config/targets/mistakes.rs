//! What people write where a host name belongs.

use crate::{
    config::{at::At, problem::Finding},
    nets,
    policy::FqdnPattern,
};

/// URLs, ports, addresses and several names at once are what people write here by mistake.
pub(super) fn bad_pattern(text: &At<String>, fault: &str) -> Finding {
    let finding = Finding::error(text.span, format!("`{}`: {fault}", text.value));
    let finding = match name_in(text) {
        Some(name) => finding.expected(format!("`{name}`")),
        None => finding.expected("`api.contoso.com`, `*.contoso.com` or `*`"),
    };
    if nets::nets(text).is_ok() {
        return finding.hint("application rules name hosts: have a name made for the address");
    }
    if text.contains('/') {
        return finding.hint("a name has no scheme and no path: URL rules need TLS inspection");
    }
    if text.contains(':') {
        return finding.hint("ports belong in `protocols = [{ type = \"Https\", port = 443 }]`");
    }
    if text.contains([',', ';']) || text.trim().contains(' ') {
        return finding.hint("one text for each name: `[\"api.contoso.com\", \"www.contoso.com\"]`");
    }
    finding
}

/// The name in a URL, before a port, among blanks, or behind the dot of another proxy's list.
fn name_in(text: &str) -> Option<FqdnPattern> {
    let text = text.trim();
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let host = rest.split(['/', ':', '?', '#']).next()?;
    let star = host.strip_prefix('.').map(|zone| format!("*.{zone}"));
    FqdnPattern::parse(star.as_deref().unwrap_or(host)).ok()
}

/// A letter that makes a name look like another: one that nobody sees, or one of another alphabet beside Latin ones.
pub(super) fn odd_letter(text: &str) -> Option<char> {
    let latin = |c: char| c.is_alphabetic() && c <= '\u{24f}';
    text.split('.').find_map(|label| {
        let hidden = label.chars().find(|c| !c.is_ascii() && !c.is_alphanumeric());
        let foreign = || label.chars().find(|c| c.is_alphabetic() && !latin(*c));
        hidden.or_else(|| foreign().filter(|_| label.chars().any(latin)))
    })
}
