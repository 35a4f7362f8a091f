//! Network and DNAT rules: protocols, ports, what is translated. Where network rules lead is in [`super::destinations`].

use super::{Maker, span_of, text_of};
use crate::{
    config::{
        at::At,
        dns::fqdn,
        file::{self, Texts},
        problem::Finding,
        sources::{networks, read_nets},
    },
    nets,
    policy::{Action, Destinations, IpProtocol, NatRule, NetworkRule, PortRange, Translated},
};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

impl<'a> Maker<'a> {
    pub(super) fn network_rule(&mut self, rule: &'a file::NetworkRule, action: Action) -> NetworkRule {
        self.place(&rule.name, &None);
        let sources = self.sources(&rule.name, action, &rule.source_addresses, &rule.source_ip_groups);
        if self.explicit_network_rules {
            self.needs_sources(&rule.name, &sources, action);
            self.denies_by_name(rule, action);
        }
        NetworkRule {
            name: text_of(&rule.name).into(),
            sources,
            ip_protocols: self.ip_protocols(&rule.name, &rule.protocols),
            destinations: self.destinations(rule, action),
            destination_ports: self.ports(&rule.name, &rule.destination_ports),
        }
    }

    /// What a rule denies by name, Azure denies by the addresses that the name leads to, asked for by whatever name.
    fn denies_by_name(&mut self, rule: &'a file::NetworkRule, action: Action) {
        let has_addresses = rule.destination_addresses.is_some() || rule.destination_ip_groups.is_some();
        let names = rule.destination_fqdns.as_ref();
        let names = names.filter(|names| !names.is_empty() && !has_addresses);
        if let Some(names) = names.filter(|_| action == Action::Deny && rule.names_tcp()) {
            let found = format!(
                "rule `{}` denies these names at the proxy port, and not the addresses that they lead to: asked for by address or by \
                 another name, these pass, and Azure denies them",
                text_of(&rule.name)
            );
            let finding = Finding::warning(names.span, found);
            self.report
                .add(finding.hint("deny their addresses as well, in `destination_addresses`"));
        }
    }

    /// Every list that was left out leaves nowhere to lead to: that is a mistake, and no rule for everywhere.
    fn destinations(&mut self, rule: &'a file::NetworkRule, action: Action) -> Destinations {
        let members = self.ip_groups.members(&rule.destination_ip_groups, self.report);
        let mut destinations = Destinations::default();
        let mut own = Vec::new();
        for text in rule.destination_addresses.iter().flat_map(|list| list.iter()) {
            match text.as_str() {
                "*" => destinations.any = true,
                _ => own.extend(self.destination(text, action, &mut destinations)),
            }
        }
        destinations.addresses = self.ip_groups.joined(members, own);
        let names = rule.destination_fqdns.iter().flat_map(|list| list.iter());
        destinations.fqdns = names.filter_map(|name| fqdn(name, self.report)).collect();
        let lists = [
            &rule.destination_addresses,
            &rule.destination_ip_groups,
            &rule.destination_fqdns,
        ];
        let (name, span) = (text_of(&rule.name), span_of(&rule.name));
        if lists.iter().all(|list| list.is_none()) {
            let finding = Finding::error(span, format!("rule `{name}` names no destination"));
            self.report
                .add(finding.expected("`destination_addresses`, `destination_ip_groups` or `destination_fqdns`"));
        } else if let Some(list) = lists.into_iter().flatten().next()
            && lists.into_iter().flatten().all(|list| self.report.says_nothing(list))
        {
            let finding = Finding::warning(list.span, format!("rule `{name}` has no destination: it never matches"));
            self.report.add(finding.hint("everywhere is `[\"*\"]`"));
        }
        let tags = destinations.service_tags.iter().flat_map(|tag| tag.prefixes.iter());
        if !destinations.any && self.denies_ipv4(&rule.name, action, destinations.addresses.iter().chain(tags)) {
            destinations.any = true;
        }
        destinations
    }

    pub(super) fn nat_rule(&mut self, rule: &'a file::NatRule) -> NatRule {
        self.place(&rule.name, &None);
        let mut addresses: Vec<IpNet> = networks(&rule.destination_addresses, self.report);
        addresses.extend(
            rule.destination_address
                .iter()
                .flat_map(|text| read_nets(text, self.report)),
        );
        if rule.destination_address.is_none() && rule.destination_addresses.is_none() {
            let found = format!("rule `{}` names no destination", text_of(&rule.name));
            let finding = Finding::error(span_of(&rule.name), found);
            self.report.add(finding.expected("`destination_address`"));
        }
        NatRule {
            name: text_of(&rule.name).into(),
            sources: self
                .ip_groups
                .sources(&rule.source_addresses, &rule.source_ip_groups, self.report),
            ip_protocols: self.ip_protocols(&rule.name, &rule.protocols),
            destination_addresses: addresses,
            destination_ports: self.ports(&rule.name, &rule.destination_ports),
            translated: self.translated(rule),
            translated_port: rule
                .translated_port
                .as_ref()
                .and_then(|port| u16::try_from(**port).ok())
                .unwrap_or(0),
        }
    }

    /// An address or a name, one of them. What is reported here never runs.
    fn translated(&mut self, rule: &'a file::NatRule) -> Translated {
        let nowhere = Translated::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        match (&rule.translated_address, &rule.translated_fqdn) {
            (Some(text), None) => match text.parse::<IpAddr>() {
                Ok(ip) => Translated::Address(ip.to_canonical()),
                Err(_) => {
                    let finding = Finding::error(text.span, format!("`{}` is no address", text.value));
                    self.report.add(finding.hint("a name belongs in `translated_fqdn`"));
                    nowhere
                }
            },
            (None, Some(text)) => fqdn(text, self.report).map_or(nowhere, Translated::Fqdn),
            (written, _) => {
                let name = text_of(&rule.name);
                let found = match written {
                    Some(_) => format!("rule `{name}` is translated to an address and to a name"),
                    None => format!("rule `{name}` is translated to nothing"),
                };
                let finding = Finding::error(span_of(&rule.name), found);
                self.report
                    .add(finding.expected("`translated_address` or `translated_fqdn`"));
                nowhere
            }
        }
    }

    fn ports(&mut self, name: &Option<At<String>>, written: &Texts) -> Vec<PortRange> {
        if let Some(list) = written.as_ref().filter(|list| self.report.says_nothing(list)) {
            let found = format!("rule `{}` has no port: it never matches", text_of(name));
            self.report
                .add(Finding::warning(list.span, found).hint("every port is `[\"*\"]`"));
        }
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

    fn ip_protocols(&mut self, name: &Option<At<String>>, written: &Option<Vec<file::IpProtocol>>) -> Vec<IpProtocol> {
        if written.as_ref().is_some_and(Vec::is_empty) {
            let found = format!("rule `{}` has no protocol: it never matches", text_of(name));
            let finding = Finding::warning(span_of(name), found);
            self.report.add(finding.hint("every protocol is `[\"Any\"]`"));
        }
        let read = |protocol: &file::IpProtocol| match protocol {
            file::IpProtocol::TCP => IpProtocol::Tcp,
            file::IpProtocol::UDP => IpProtocol::Udp,
            file::IpProtocol::ICMP => IpProtocol::Icmp,
            file::IpProtocol::Any => IpProtocol::Any,
        };
        written.iter().flatten().map(read).collect()
    }
}
