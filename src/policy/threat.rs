//! Threat intelligence: lists of known-bad addresses and names, judged before every rule.
//!
//! Azure Firewall, threat intelligence: traffic from or to a listed address, and to a listed name, is recorded (`Alert`) or
//! ended (`Deny`) before DNAT, network and application rules; what its allowlist names is not looked at.

use super::{
    Fqdn, FqdnPattern,
    names::{Candidate, NameIndex, NameIndexBuilder},
    sources::AddressSet,
};
use ipnet::IpNet;
use std::net::IpAddr;

/// `threatIntelMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ThreatMode {
    /// Nothing is looked at.
    #[default]
    Off,
    /// A hit is recorded and judged on.
    Alert,
    /// A hit ends the evaluation. Audit mode does not soften it.
    Deny,
}

/// The lists, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreatIntelligence {
    /// What a hit means.
    pub mode: ThreatMode,
    /// Listed addresses and prefixes.
    pub addresses: Vec<IpNet>,
    /// Listed names.
    pub fqdns: Vec<FqdnPattern>,
    /// `threatIntelWhitelist.ipAddresses`
    pub allowed_addresses: Vec<IpNet>,
    /// `threatIntelWhitelist.fqdns`
    pub allowed_fqdns: Vec<FqdnPattern>,
}

/// A hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threat {
    /// What it means: `Alert` or `Deny`.
    pub mode: ThreatMode,
    /// What was listed.
    pub listed: Listed,
}

/// What of an attempt was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The name asked for.
    Name,
    /// The address it leads to.
    Destination(IpAddr),
    /// The address it comes from.
    Source(IpAddr),
}

/// The lists, ready to be asked.
#[derive(Debug)]
pub(super) struct Threats {
    mode: ThreatMode,
    addresses: AddressSet,
    names: NameIndex,
    allowed_addresses: AddressSet,
    allowed_names: NameIndex,
}

impl Threats {
    /// `None`: nothing can ever hit.
    pub(super) fn new(lists: &ThreatIntelligence) -> Option<Self> {
        let listed = !lists.addresses.is_empty() || !lists.fqdns.is_empty();
        (listed && lists.mode != ThreatMode::Off).then(|| Self {
            mode: lists.mode,
            addresses: AddressSet::of(&lists.addresses),
            names: index(&lists.fqdns),
            allowed_addresses: AddressSet::of(&lists.allowed_addresses),
            allowed_names: index(&lists.allowed_fqdns),
        })
    }

    /// Whether what is known of an attempt is listed. A name or address on the allowlist takes the whole attempt out.
    pub(super) fn find(&self, source: IpAddr, name: Option<&Fqdn>, destination: Option<IpAddr>) -> Option<Threat> {
        let named =
            |names: &NameIndex| name.is_some_and(|name| names.lists(name.as_str()).any(|(_, found)| !found.is_empty()));
        let ends = [destination.map(Listed::Destination), Some(Listed::Source(source))];
        let allowed = |end: &Listed| end.address().is_some_and(|ip| self.allowed_addresses.contains(ip));
        if named(&self.allowed_names) || ends.iter().flatten().any(allowed) {
            return None;
        }
        let bad = |end: &Listed| end.address().is_some_and(|ip| self.addresses.contains(ip));
        let listed = if named(&self.names) {
            Some(Listed::Name)
        } else {
            ends.into_iter().flatten().find(bad)
        };
        listed.map(|listed| Threat {
            mode: self.mode,
            listed,
        })
    }
}

impl Listed {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name => None,
            Self::Destination(ip) | Self::Source(ip) => Some(*ip),
        }
    }
}

fn index(patterns: &[FqdnPattern]) -> NameIndex {
    let mut builder = NameIndexBuilder::default();
    for pattern in patterns {
        builder.add(pattern, Candidate::new(0, false, 0));
    }
    builder.build()
}
