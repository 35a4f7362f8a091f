//! Network and DNAT rules: protocols, ports, destinations. What an application rule is stands in [`super::ApplicationRule`].

use super::{Fqdn, Sources};
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc};

/// IP protocol of a network or DNAT rule (Azure: `ipProtocols`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, of both IP versions. It has no ports: those of the rule do not count for it.
    Icmp,
    /// Every IP protocol of IANA's list; with an explicit port TCP and UDP (Azure Firewall rule processing, since 2020-11-09).
    Any,
}

impl IpProtocol {
    /// Whether a rule for this protocol speaks of what is sent. `any_port`: the rule says `*`.
    pub fn admits(self, transport: Transport, any_port: bool) -> bool {
        match (self, transport) {
            (Self::Tcp, Transport::Tcp) | (Self::Udp, Transport::Udp) | (Self::Icmp, Transport::Icmp) => true,
            (Self::Any, Transport::Tcp | Transport::Udp) => true,
            (Self::Any, Transport::Icmp | Transport::Other(_)) => any_port,
            _ => false,
        }
    }

    /// As Azure writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Any => "Any",
        }
    }
}

/// IP protocol of what is sent (IANA protocol numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 1, and 58 in IPv6.
    Icmp,
    /// Any other number: no ports are known of it.
    Other(u8),
}

impl Transport {
    /// As Azure's `Protocol` columns write it, which name three.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Other(_) => "Other",
        }
    }

    /// Whether its packets carry ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

/// Inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

impl PortRange {
    /// `*`. A range that someone wrote starts at 1 and is explicit, however wide.
    pub const ANY: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// One port.
    pub fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// Whether the port lies in it.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// A service tag and the prefixes that the loaded list gives it. Many rules share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTag {
    /// `Storage.WestEurope`
    pub name: Arc<str>,
    /// Its prefixes; none if no list is loaded that holds the tag: it then matches nothing.
    pub prefixes: Arc<[IpNet]>,
}

/// Where a network rule leads. All parts empty: nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// `*` was written.
    pub any: bool,
    /// Prefixes, the rule's own and those of its IP groups. Rules that name the same groups share them.
    pub addresses: Arc<Vec<IpNet>>,
    /// Service tags.
    pub service_tags: Vec<ServiceTag>,
    /// Exact names, compared by resolved address.
    pub fqdns: Vec<Fqdn>,
}

impl Destinations {
    /// Whether any address is one of these, names apart.
    pub fn speak_of_addresses(&self) -> bool {
        self.any || !self.addresses.is_empty() || self.service_tags.iter().any(|tag| !tag.prefixes.is_empty())
    }

    /// Whether an address is one of these, names apart.
    pub fn hold(&self, address: IpAddr) -> bool {
        let tags = self.service_tags.iter().flat_map(|tag| tag.prefixes.iter());
        self.any || self.addresses.iter().chain(tags).any(|net| net.contains(&address))
    }
}

/// A network rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    /// Its name.
    pub name: Arc<str>,
    /// Who it speaks of.
    pub sources: Sources,
    /// Empty matches nothing.
    pub ip_protocols: Vec<IpProtocol>,
    /// Where it leads.
    pub destinations: Destinations,
    /// Empty matches nothing.
    pub destination_ports: Vec<PortRange>,
}

/// A DNAT rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatRule {
    /// Its name.
    pub name: Arc<str>,
    /// Who it speaks of.
    pub sources: Sources,
    /// Empty matches nothing.
    pub ip_protocols: Vec<IpProtocol>,
    /// Addresses of the firewall that are translated. Empty matches nothing.
    pub destination_addresses: Vec<IpNet>,
    /// Empty matches nothing.
    pub destination_ports: Vec<PortRange>,
    /// Where it is sent.
    pub translated: Translated,
    /// To which port.
    pub translated_port: u16,
}

/// Where a DNAT rule sends what it matches (Azure: `translatedAddress`, `translatedFqdn`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translated {
    /// An address.
    Address(IpAddr),
    /// A name, resolved by the firewall.
    Fqdn(Fqdn),
}
