//! Network and DNAT rules: their types and order exist, their matching comes later.

use super::{Maker, text_of};
use crate::{
    config::{
        at::At,
        dns::fqdn,
        file::{self, Texts},
        nets,
        problem::Finding,
        sources::read_nets,
    },
    policy::{NatRule, NetworkRule},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

impl<'a> Maker<'a> {
    pub(super) fn network_rule(&mut self, rule: &'a file::NetworkRule) -> NetworkRule {
        let mut destinations = self.ip_groups.members(&rule.destination_ip_groups, self.report);
        for text in rule.destination_addresses.iter().flat_map(|list| list.iter()) {
            destinations.extend(self.nets_or_all(text));
        }
        let names = rule.destination_fqdns.iter().flat_map(|list| list.iter());
        NetworkRule {
            name: text_of(&rule.name).into(),
            sources: self
                .ip_groups
                .sources(&rule.source_addresses, &rule.source_ip_groups, self.report),
            ip_protocols: rule
                .protocols
                .iter()
                .flatten()
                .map(|protocol| format!("{protocol:?}").into())
                .collect(),
            destination_addresses: destinations,
            destination_fqdns: names.filter_map(|name| fqdn(name, self.report)).collect(),
            destination_ports: self.ports(&rule.destination_ports),
        }
    }

    pub(super) fn nat_rule(&mut self, rule: &'a file::NatRule) -> NatRule {
        NatRule {
            name: text_of(&rule.name).into(),
            sources: self
                .ip_groups
                .sources(&rule.source_addresses, &rule.source_ip_groups, self.report),
            destination_addresses: rule
                .destination_address
                .iter()
                .flat_map(|text| self.nets_or_all(text))
                .collect(),
            destination_ports: self.ports(&rule.destination_ports),
            translated_address: text_of(&rule.translated_address).into(),
            translated_port: rule
                .translated_port
                .as_ref()
                .and_then(|port| u16::try_from(**port).ok())
                .unwrap_or(0),
        }
    }

    fn nets_or_all(&mut self, text: &At<String>) -> Vec<IpNet> {
        match text.as_str() {
            "*" => vec![Ipv4Net::default().into(), Ipv6Net::default().into()],
            _ => read_nets(text, self.report),
        }
    }

    fn ports(&mut self, written: &Texts) -> Vec<(u16, u16)> {
        let mut ranges = Vec::new();
        for text in written.iter().flat_map(|list| list.iter()) {
            match nets::ports(text) {
                Some(range) => ranges.push(range),
                None => {
                    let finding = Finding::error(text.span, format!("`{}` is no port", text.value));
                    self.report.add(finding.expected("`443`, `8000-8100` or `*`"));
                }
            }
        }
        ranges
    }
}
