//! [`PacketRule`]: what a network or DNAT rule asks of protocol, destination and port, ready to be compared.

use super::{Fqdn, IpProtocol, NatRule, NetworkRule, PortRange, Transport, sources::AddressSet};
use std::net::IpAddr;

/// A network or DNAT rule, its sources apart.
#[derive(Debug)]
pub(super) struct PacketRule {
    protocols: Box<[IpProtocol]>,
    /// Ascending, disjoint.
    ports: Box<[PortRange]>,
    any_port: bool,
    destinations: AddressSet,
    fqdns: Box<[Fqdn]>,
}

/// In what a rule differs from an attempt. None of it: a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// Another source.
    pub source: bool,
    /// Another IP protocol.
    pub protocol: bool,
    /// Another destination, or one that is not known.
    pub destination: bool,
    /// Another port.
    pub port: bool,
}

impl Misses {
    /// How many.
    pub fn count(self) -> usize {
        [self.source, self.protocol, self.destination, self.port]
            .into_iter()
            .map(usize::from)
            .sum()
    }
}

impl PacketRule {
    /// The addresses that a network rule leads to.
    pub(super) fn destinations(rule: &NetworkRule) -> AddressSet {
        let written = &rule.destinations;
        if written.any {
            return AddressSet::Any;
        }
        let tags = written.service_tags.iter().flat_map(|tag| tag.prefixes.iter());
        AddressSet::of(written.addresses.iter().chain(tags))
    }

    pub(super) fn network(rule: &NetworkRule, destinations: AddressSet) -> Self {
        Self::new(
            &rule.ip_protocols,
            &rule.destination_ports,
            destinations,
            &rule.destinations.fqdns,
        )
    }

    pub(super) fn nat(rule: &NatRule, destinations: AddressSet) -> Self {
        Self::new(&rule.ip_protocols, &rule.destination_ports, destinations, &[])
    }

    fn new(protocols: &[IpProtocol], ports: &[PortRange], destinations: AddressSet, fqdns: &[Fqdn]) -> Self {
        Self {
            protocols: protocols.into(),
            ports: merged(ports),
            any_port: ports.contains(&PortRange::ANY),
            destinations,
            fqdns: fqdns.into(),
        }
    }

    /// Whether a protocol of the rule is that of the attempt. A rule without ports speaks of nothing.
    pub(super) fn admits_protocol(&self, transport: Transport) -> bool {
        !self.ports.is_empty() && self.protocols.iter().any(|own| own.admits(transport, self.any_port))
    }

    /// Whether the port is one of the rule's. What has no ports is not held to any.
    pub(super) fn admits_port(&self, transport: Transport, port: u16) -> bool {
        if !transport.has_ports() {
            return true;
        }
        let after = self.ports.partition_point(|range| range.first <= port);
        after > 0 && self.ports[after - 1].contains(port)
    }

    pub(super) fn admits_address(&self, destination: IpAddr) -> bool {
        self.destinations.contains(destination)
    }

    /// Whether it speaks of wherever packets go.
    pub(super) fn leads_everywhere(&self) -> bool {
        self.destinations == AddressSet::Any
    }

    /// Whether it speaks of any address at all.
    pub(super) fn has_addresses(&self) -> bool {
        !self.destinations.is_empty()
    }

    pub(super) fn fqdns(&self) -> &[Fqdn] {
        &self.fqdns
    }
}

fn merged(ports: &[PortRange]) -> Box<[PortRange]> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup_by(|next, kept| {
        let joins = next.first <= kept.last.saturating_add(1);
        if joins {
            kept.last = kept.last.max(next.last);
        }
        joins
    });
    ports.into()
}
