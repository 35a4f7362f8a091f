//! [`Fqdn`], [`FqdnPattern`] and [`Host`]: the only place that normalises or compares names.
//!
//! In: a name from the wire (bytes of a target, an SNI) or from the configuration. Out: the one normal form, or why there
//! is none. On the wire everything is ASCII and nothing is decoded: no percent signs, no punycode, no locale. Splitting
//! the port off is the caller's work.

use super::Reason;
use crate::proof::{self, Guard};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// Longest name, in bytes without the trailing dot (RFC 1035 section 2.3.4: 255 octets on the wire).
pub const MAX_NAME_BYTES: usize = 253;

/// Longest label, in bytes (RFC 1035 section 2.3.4).
pub const MAX_LABEL_BYTES: usize = 63;

/// Two-label suffixes under which anyone can register: a star over one admits as much as `*.com`. A short list on purpose;
/// it guards against slips, it is no public suffix list.
const REGISTRY_SUFFIXES: [&str; 24] = [
    "ac.uk", "co.uk", "gov.uk", "org.uk", "com.au", "net.au", "org.au", "com.br", "com.cn", "net.cn", "org.cn",
    "com.hk", "co.id", "co.il", "co.in", "co.jp", "ne.jp", "or.jp", "co.kr", "com.mx", "co.nz", "com.sg", "com.tr",
    "co.za",
];

/// A normalised host name: lower-case ASCII, no trailing dot, 1 to 253 bytes, labels of 1 to 63 bytes of letters, digits,
/// `-` (not first or last) and `_` (RFC 1035 section 2.3.4, RFC 1123 section 2.1; `_` as DNS allows it, RFC 8552). Never
/// an address literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fqdn(Arc<str>);

impl Fqdn {
    /// The normal form of a name from the wire; one trailing dot is the same name. ASCII only, nothing is decoded.
    ///
    /// Fails with `IpLiteral` if other software would read an address (the last label is a number), else `NameInvalid`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        Self::checked(text).map_err(HostError::from)
    }

    /// The same for a name from the configuration, where U-labels become A-labels (UTS 46, non-transitional).
    pub fn from_config(text: &str) -> Result<Self, NameFault> {
        if text.is_ascii() {
            return Self::checked(text);
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| NameFault::Idna)?;
        Self::checked(&ascii)
    }

    fn checked(text: &str) -> Result<Self, NameFault> {
        let name = text.strip_suffix('.').unwrap_or(text);
        check_name(name)?;
        if proof::off(Guard::Normalisation) {
            return Ok(Self(text.into()));
        }
        Ok(Self(lower_case(name)))
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Labels from the left, never empty ones.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('.')
    }

    /// Whether this is `zone` or a name below it, on a label border (`xpriv.example` is not below `priv.example`).
    pub fn is_below_or_same(&self, zone: &Fqdn) -> bool {
        self == zone || is_below(&self.0, &zone.0)
    }

    /// The name without its first label; `None` if it has one label only.
    pub fn parent(&self) -> Option<Fqdn> {
        self.0.split_once('.').map(|(_, rest)| Self(rest.into()))
    }

    /// The same name in memory of its own.
    pub(super) fn copied(&self) -> Self {
        Self(Arc::from(self.as_str()))
    }

    /// The text itself, shared.
    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Fqdn {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a name, precisely enough for whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Over 253 bytes.
    #[error("the name is longer than 253 bytes")]
    TooLong,
    /// Two dots in a row, or a dot at the start.
    #[error("the name has an empty label")]
    EmptyLabel,
    /// Over 63 bytes between two dots.
    #[error("a label is longer than 63 bytes")]
    LongLabel,
    /// Not a letter, digit, `-` or `_`.
    #[error("{0:?} cannot be part of a name")]
    Character(char),
    /// `-` at the start or end of a label.
    #[error("a label starts or ends with `-`")]
    Hyphen,
    /// The last label is a number, so that other software reads an address (WHATWG URL, "ends in a number").
    #[error("the name ends in a number, so it is an address to other software; a name was expected")]
    EndsInNumber,
    /// Not convertible by UTS 46.
    #[error("not a valid international name; write its A-label (`xn--...`)")]
    Idna,
}

/// Checks a name without its trailing dot. The number at the end comes first: it is an address whatever stands before it.
fn check_name(name: &str) -> Result<(), NameFault> {
    if ends_in_number(name) {
        return Err(NameFault::EndsInNumber);
    }
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameFault::TooLong);
    }
    name.as_bytes().split(|byte| *byte == b'.').try_for_each(check_label)
}

/// Checks one label of a text: its characters, its length, where its hyphens stand.
fn check_label(label: &[u8]) -> Result<(), NameFault> {
    if !label.iter().all(|byte| IS_PART[usize::from(*byte)]) {
        let text = String::from_utf8_lossy(label);
        let bad = text.chars().find(|c| !u8::try_from(*c).is_ok_and(is_part));
        return Err(NameFault::Character(bad.unwrap_or_default()));
    }
    match label {
        [] => Err(NameFault::EmptyLabel),
        _ if label.len() > MAX_LABEL_BYTES => Err(NameFault::LongLabel),
        [b'-', ..] | [.., b'-'] => Err(NameFault::Hyphen),
        _ => Ok(()),
    }
}

/// Whether a byte can be part of a label: labels are short, and a look costs less than three comparisons.
const IS_PART: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        byte += 1;
    }
    table
};

fn is_part(byte: u8) -> bool {
    IS_PART[usize::from(byte)]
}

/// Whether the last label is decimal, octal or hexadecimal digits: `inet_aton` and URL parsers then see an IPv4 address.
fn ends_in_number(name: &str) -> bool {
    let dot = name.bytes().rposition(|byte| byte == b'.');
    let last = dot.map_or(name, |dot| &name[dot + 1..]);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn lower_case(name: &str) -> Arc<str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// Whether `name` lies below `zone`, on a label border. Both in normal form.
pub(super) fn is_below(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|left| left.ends_with('.'))
}

/// A target FQDN of a rule: exact, or with a star at the far left only, as Azure Firewall's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FqdnPattern {
    /// `api.contoso.com`: that name only.
    Exact(Fqdn),
    /// `*.contoso.com`: any number of labels below, not the name itself. Holds `contoso.com`.
    Below(Fqdn),
    /// `*contoso.com`: any name that ends so, `evilcontoso.com` included. Holds `contoso.com`.
    EndsWith(Arc<str>),
    /// `*`: every name.
    Any,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A star in the middle, at the right, or a second one.
    #[error("a star may stand at the far left only, once: `*.name`, `*name` or `*`")]
    Star,
    /// `*` before a part of a label with letters beyond ASCII: half a label has no A-label.
    #[error("a star before part of a label needs ASCII; write the A-label (`xn--...`)")]
    StarBeforeUnicode,
    /// What is left without the star is not a name.
    #[error(transparent)]
    Name(#[from] NameFault),
}

impl FqdnPattern {
    /// Reads a pattern as written in a configuration: normalised like a name, U-labels converted.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('*') else {
            if text.contains('*') {
                return Err(PatternError::Star);
            }
            return Ok(Self::Exact(Fqdn::from_config(text)?));
        };
        if rest.contains('*') {
            return Err(PatternError::Star);
        }
        if rest.is_empty() {
            return Ok(Self::Any);
        }
        match rest.strip_prefix('.') {
            Some(zone) => Ok(Self::Below(Fqdn::from_config(zone)?)),
            None => Ok(Self::EndsWith(ending(rest)?)),
        }
    }

    /// Whether the pattern admits the name. Azure Firewall FAQ, wildcards in target FQDNs: a left-most star means
    /// anything to its left, of any number of labels.
    pub fn matches(&self, name: &Fqdn) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Below(zone) => is_below(name.as_str(), zone.as_str()),
            Self::EndsWith(ending) => name.as_str().ends_with(&**ending),
            Self::Any => true,
        }
    }

    /// Whether the pattern is a star over one label or over a suffix where anyone can register: it needs
    /// `allow_wide = true`.
    pub fn needs_allow_wide(&self) -> bool {
        match self {
            Self::Exact(_) => false,
            Self::Below(zone) => !zone.as_str().contains('.') || REGISTRY_SUFFIXES.contains(&zone.as_str()),
            Self::EndsWith(ending) => !ending.contains('.') || REGISTRY_SUFFIXES.iter().any(|s| s.ends_with(&**ending)),
            Self::Any => true,
        }
    }
}

/// The part behind a star that cuts a label (`contoso.com` of `*contoso.com`), in normal form.
fn ending(rest: &str) -> Result<Arc<str>, PatternError> {
    if !rest.is_ascii() {
        return Err(PatternError::StarBeforeUnicode);
    }
    let rest = rest.strip_suffix('.').unwrap_or(rest);
    // The star stands for at least one character of the first label, which may therefore go on with a hyphen.
    check_name(&format!("a{rest}"))?;
    Ok(lower_case(rest))
}

impl fmt::Display for FqdnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Below(zone) => write!(f, "*.{zone}"),
            Self::EndsWith(ending) => write!(f, "*{ending}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// The host of a target: a name, or an address literal in a spelling that RFC 3986 section 3.2.2 knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name.
    Name(Fqdn),
    /// A dotted-quad or bracketed IPv6 literal; IPv4-mapped forms are already IPv4.
    Address(IpAddr),
}

impl Host {
    /// Reads one host as it stands between userinfo and port: `name`, `192.0.2.1` or `[2001:db8::1]`. One
    /// trailing dot is no part of a name or of an address in dotted form.
    ///
    /// Never panics, never looks anything up. See [`HostError`] for how bad spellings are told apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, HostError> {
        let text = std::str::from_utf8(bytes).map_err(|_| HostError::BadAuthority)?;
        if let Some(rest) = text.strip_prefix('[') {
            let literal = rest.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return literal
                .map(|ip| Self::Address(IpAddr::V6(ip).to_canonical()))
                .ok_or(HostError::BadAuthority);
        }
        // A trailing dot makes no name of an address.
        if let Ok(ip) = text.strip_suffix('.').unwrap_or(text).parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(ip)));
        }
        Fqdn::parse(text).map(Self::Name).map_err(|error| match is_one(text) {
            true => error,
            false => HostError::BadAuthority,
        })
    }
}

/// Nothing in it ends a host, or cuts a string in another layer: whoever wrote it meant one host.
fn is_one(text: &str) -> bool {
    let ends = |byte: u8| byte.is_ascii_control() || br" :/?#[]@\".contains(&byte);
    !text.is_empty() && !text.bytes().any(ends)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// Why bytes are not a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Not a name by the rules of [`Fqdn`]: `NameInvalid`.
    #[error("not a host name")]
    NameInvalid,
    /// An address in a spelling that other software reads as one (decimal, hex, octal, short, ends in a number): `IpLiteral`.
    #[error("an address in a spelling of its own, not a host name")]
    IpLiteral,
    /// Brackets, zone ids, colons, control bytes: not one host at all: `BadAuthority`.
    #[error("not one host")]
    BadAuthority,
}

impl HostError {
    /// The reason of the denial.
    pub fn reason(self) -> Reason {
        match self {
            Self::NameInvalid => Reason::NameInvalid,
            Self::IpLiteral => Reason::IpLiteral,
            Self::BadAuthority => Reason::BadAuthority,
        }
    }
}

impl From<NameFault> for HostError {
    fn from(fault: NameFault) -> Self {
        match fault {
            NameFault::EndsInNumber => Self::IpLiteral,
            _ => Self::NameInvalid,
        }
    }
}

#[cfg(test)]
mod tests;
