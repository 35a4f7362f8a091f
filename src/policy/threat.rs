//! Threat intelligence: lists of known-bad addresses and names, judged before every rule.
//!
//! Azure Firewall, threat intelligence: traffic from or to a listed address, and to a listed name, is recorded (`Alert`) or
//! ended (`Deny`) before DNAT, network and application rules; what its allowlist names is not looked at.

use super::{
    Fqdn, FqdnPattern,
    address::embedded,
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

    /// Whether what is known of an attempt is listed. A name or source on the allowlist takes the whole attempt out. A
    /// destination there takes out itself alone, because a name is judged before anybody knows where it leads: it must not
    /// depend on the moment whether a listed name is one.
    ///
    /// Each hit: the name first, then the destination, then the source.
    pub(super) fn hits(
        &self,
        source: IpAddr,
        name: Option<&Fqdn>,
        destination: Option<IpAddr>,
    ) -> impl Iterator<Item = Threat> + use<> {
        let listed = match self.excuses(source, name) {
            true => [None; 3],
            false => [
                names(&self.names, name).then_some(Listed::Name),
                destination.filter(|ip| self.lists(*ip)).map(Listed::Destination),
                self.lists(source).then_some(Listed::Source(source)),
            ],
        };
        let mode = self.mode;
        listed.into_iter().flatten().map(move |listed| Threat { mode, listed })
    }

    /// Whether an attempt may hit by an address that is not known yet.
    pub(super) fn may_hit(&self, source: IpAddr, name: Option<&Fqdn>) -> bool {
        !self.addresses.is_empty() && !self.excuses(source, name)
    }

    fn excuses(&self, source: IpAddr, name: Option<&Fqdn>) -> bool {
        names(&self.allowed_names, name) || self.allowed_addresses.contains(source)
    }

    /// Whether an address is listed, or the one that it embeds. On the allowlist, an address is excused whatever it embeds, and what
    /// it embeds excuses no entry of its own.
    fn lists(&self, ip: IpAddr) -> bool {
        let bad = |ip| self.addresses.contains(ip) && !self.allowed_addresses.contains(ip);
        !self.allowed_addresses.contains(ip) && (bad(ip) || embedded(ip).is_some_and(bad))
    }
}

fn names(index: &NameIndex, name: Option<&Fqdn>) -> bool {
    name.is_some_and(|name| index.lists(name.as_str()).any(|found| !found.candidates.is_empty()))
}

fn index(patterns: &[FqdnPattern]) -> NameIndex {
    let mut builder = NameIndexBuilder::default();
    for pattern in patterns {
        builder.add(pattern, Candidate::new(0, false, 0));
    }
    builder.build()
}
