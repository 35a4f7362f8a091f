//! Network security groups, as far as outbound traffic of a spoke goes: what stands before a firewall.
//!
//! Five-tuple, priority order, first match stops (Azure, network security groups overview). Exported JSON is read by
//! [`read`]; pure.

pub mod read;

use super::{PortRange, ServiceTags, Transport};
use ipnet::IpNet;
use std::net::IpAddr;

/// One network security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nsg {
    /// Its name.
    pub name: String,
    /// Its outbound rules, by priority, the default ones last.
    pub rules: Vec<NsgRule>,
}

/// An outbound rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NsgRule {
    /// Its name.
    pub name: String,
    /// 100 to 4096; default rules 65000 and up. Low first.
    pub priority: u32,
    /// `access`
    pub allows: bool,
    /// `None`: `*`.
    pub protocol: Option<NsgProtocol>,
    /// Where it comes from.
    pub sources: Vec<NsgAddress>,
    /// Where it goes.
    pub destinations: Vec<NsgAddress>,
    /// Source ports; a client's is chosen by its kernel, so that only `*` can be told to match.
    pub source_ports: Vec<PortRange>,
    /// Destination ports.
    pub destination_ports: Vec<PortRange>,
}

/// `protocol` of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NsgProtocol {
    /// `Tcp`
    Tcp,
    /// `Udp`
    Udp,
    /// `Icmp`
    Icmp,
    /// `Esp`: IP protocol 50.
    Esp,
    /// `Ah`: IP protocol 51.
    Ah,
}

/// One address of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NsgAddress {
    /// `*`
    Any,
    /// An address or prefix.
    Net(IpNet),
    /// A service tag, `VirtualNetwork` and `Internet` among them.
    Tag(String),
    /// An application security group: its members are in no export of rules.
    Group(String),
}

/// What passes a network security group, or tries to.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Source address, before any translation.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol.
    pub transport: Transport,
    /// Destination port; 0 where the IP protocol has none.
    pub port: u16,
}

/// What tags stand for.
#[derive(Clone, Debug)]
pub struct TagView<'a> {
    /// Those that Microsoft publishes.
    pub tags: &'a ServiceTags,
    /// `VirtualNetwork`: the network's own, peered and on-premises address space, which no export of rules says.
    pub virtual_network: &'a [IpNet],
}

/// Whether a rule matches could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule}` of `{nsg}` {what}")]
pub struct Unknown {
    /// The group.
    pub nsg: String,
    /// The rule.
    pub rule: String,
    /// What is not known.
    pub what: Doubt,
}

/// What an export does not tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The prefixes of a service tag.
    #[error("speaks of service tag `{0}`, which no list holds")]
    Tag(String),
    /// The members of an application security group.
    #[error("speaks of application security group `{0}`, whose members are not in the export")]
    Group(String),
    /// The source port of the attempt.
    #[error("speaks of some source ports alone: a client's is not known")]
    SourcePorts,
}

impl Nsg {
    /// The rule that decides. `None`: none does, which a whole export with its default rules never says.
    ///
    /// # Errors
    /// A rule before any match holds what an export does not tell.
    pub fn decide(&self, packet: &Packet, view: &TagView<'_>) -> Result<Option<&NsgRule>, Unknown> {
        for rule in &self.rules {
            let matches = rule.matches(packet, view).map_err(|what| Unknown {
                nsg: self.name.clone(),
                rule: rule.name.clone(),
                what,
            })?;
            if matches {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }
}

impl NsgRule {
    /// What two rules of one name have in common is all but the name.
    fn differs_from(&self, other: &Self) -> bool {
        let name = self.name.clone();
        *self != Self { name, ..other.clone() }
    }

    /// What is plain comes first: a tag that nobody knows does not matter on another port, nor for another source.
    fn matches(&self, packet: &Packet, view: &TagView<'_>) -> Result<bool, Doubt> {
        if !self.protocol.is_none_or(|protocol| protocol.is(packet.transport)) {
            return Ok(false);
        }
        let port = |ranges: &[PortRange]| ranges.iter().any(|range| range.contains(packet.port));
        if packet.transport.has_ports() && !port(&self.destination_ports) {
            return Ok(false);
        }
        let ends = [
            holds(&self.sources, packet.source, view),
            holds(&self.destinations, packet.destination, view),
        ];
        if ends.contains(&Ok(false)) {
            return Ok(false);
        }
        for end in ends {
            end?;
        }
        if packet.transport.has_ports() && !self.source_ports.contains(&PortRange::ANY) {
            return Err(Doubt::SourcePorts);
        }
        Ok(true)
    }
}

impl NsgProtocol {
    fn is(self, transport: Transport) -> bool {
        match self {
            Self::Tcp => transport == Transport::Tcp,
            Self::Udp => transport == Transport::Udp,
            Self::Icmp => transport == Transport::Icmp,
            Self::Esp => transport == Transport::Other(50),
            Self::Ah => transport == Transport::Other(51),
        }
    }
}

fn holds(addresses: &[NsgAddress], ip: IpAddr, view: &TagView<'_>) -> Result<bool, Doubt> {
    let mut unknown = None;
    for address in addresses {
        match address.holds(ip, view) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(what) => unknown = Some(what),
        }
    }
    unknown.map_or(Ok(false), Err)
}

impl NsgAddress {
    fn holds(&self, ip: IpAddr, view: &TagView<'_>) -> Result<bool, Doubt> {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
        match self {
            Self::Any => Ok(true),
            Self::Net(net) => Ok(net.contains(&ip)),
            Self::Tag(tag) if tag.eq_ignore_ascii_case("VirtualNetwork") => Ok(within(view.virtual_network)),
            Self::Tag(tag) if tag.eq_ignore_ascii_case("Internet") => Ok(!within(view.virtual_network)),
            // The probes' address; nobody sends there.
            Self::Tag(tag) if tag.eq_ignore_ascii_case("AzureLoadBalancer") => {
                Ok(ip == IpAddr::from([168, 63, 129, 16]))
            }
            Self::Tag(tag) => match view.tags.find(tag) {
                Some(known) => Ok(within(&known.prefixes)),
                None => Err(Doubt::Tag(tag.clone())),
            },
            Self::Group(group) => Err(Doubt::Group(group.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
