//! [`Fqdn`], [`FqdnPattern`] and [`Host`]: the only place that normalises or compares names.

use std::{net::IpAddr, sync::Arc};

/// A normalised host name: lower-case ASCII, no trailing dot, 1 to 253 bytes, labels of 1 to 63 bytes of letters, digits,
/// `-` (not first or last) and `_` (RFC 1035 section 2.3.4, RFC 1123 section 2.1; `_` as DNS allows it). Never an address literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fqdn(Arc<str>);

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

/// The host of a target: a name, or an address literal in a spelling that RFC 3986 section 3.2.2 knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name.
    Name(Fqdn),
    /// A dotted-quad or bracketed IPv6 literal; IPv4-mapped forms are already IPv4.
    Address(IpAddr),
}

/// Why bytes are not a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Not a name by the rules of [`Fqdn`]: `NameInvalid`.
    NameInvalid,
    /// An address in a spelling that other software reads as one (decimal, hex, octal, short, ends in a number): `IpLiteral`.
    IpLiteral,
    /// Brackets, zone ids, colons: not an authority at all: `BadAuthority`.
    BadAuthority,
}
