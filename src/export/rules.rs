//! Rules in Azure's words.

use super::{
    azure::escaped,
    ip_groups::{IpGroups, written},
};
use crate::{
    catalogue::{AZURE_FQDN_TAGS, Binding, Catalogue},
    policy::{
        Action, ApplicationRule, DecidedBy, IpProtocol, NatRule, NetworkRule, PortRange, Protocol, ProtocolPort,
        RuleCollection, RuleRef, Rules, Sources, Translated, Wording,
    },
};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Which collection is written, and the wording of the rules.
pub(super) struct Place<'a> {
    pub wording: &'a BTreeMap<(DecidedBy, RuleRef), Wording>,
    pub kind: DecidedBy,
    pub policy: &'a Arc<str>,
    pub group: &'a Arc<str>,
    pub collection: &'a Arc<str>,
}

impl<'a> Place<'a> {
    fn wording(&self, rule: &Arc<str>) -> Option<&'a Wording> {
        let (policy, group, collection) = (self.policy.clone(), self.group.clone(), self.collection.clone());
        let rule = RuleRef {
            policy,
            group,
            collection,
            rule: rule.clone(),
        };
        self.wording.get(&(self.kind, rule))
    }
}

/// Names that differ in more than case.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// Kept for what is called so.
    kept: HashSet<String>,
}

impl Names {
    /// Keeps each of these names for the first that takes it.
    pub fn keeping<'n>(names: impl Iterator<Item = &'n Arc<str>>) -> Self {
        Self {
            taken: HashSet::new(),
            kept: names.map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// This name, or one after it that is not taken and not kept for another.
    pub fn take(&mut self, name: &str) -> String {
        let mut own = name.to_owned();
        let mut round = 1;
        self.kept.remove(&own.to_ascii_lowercase());
        while self.kept.contains(&own.to_ascii_lowercase()) || !self.taken.insert(own.to_ascii_lowercase()) {
            round += 1;
            own = format!("{name}-{round}");
        }
        own
    }
}

/// The rules of a collection.
pub(super) fn of(
    collection: &RuleCollection,
    place: &Place<'_>,
    ip_groups: &IpGroups<'_>,
    notes: &mut Vec<String>,
) -> Vec<Value> {
    let names = match &collection.rules {
        Rules::Nat(rules) => Names::keeping(rules.iter().map(|rule| &rule.name)),
        Rules::Network(rules) => Names::keeping(rules.iter().map(|rule| &rule.name)),
        Rules::Application(rules) => Names::keeping(rules.iter().map(|rule| &rule.name)),
    };
    let mut writer = Writer {
        place,
        ip_groups,
        notes,
        names,
        rules: Vec::new(),
    };
    let denies = collection.action == Action::Deny;
    match &collection.rules {
        Rules::Nat(rules) => rules.iter().for_each(|rule| writer.nat(rule)),
        Rules::Network(rules) => rules.iter().for_each(|rule| writer.network(rule)),
        Rules::Application(rules) => rules.iter().for_each(|rule| writer.application(rule, denies)),
    }
    writer.rules
}

struct Writer<'a> {
    place: &'a Place<'a>,
    ip_groups: &'a IpGroups<'a>,
    notes: &'a mut Vec<String>,
    names: Names,
    rules: Vec<Value>,
}

impl Writer<'_> {
    fn note(&mut self, rule: &str, what: &str) {
        let Place { group, collection, .. } = self.place;
        self.notes.push(format!("`{group}/{collection}/{rule}`: {what}"));
    }

    /// Adds a rule under this name, or one after it.
    fn put(&mut self, name: &Arc<str>, kind: &str, fields: Value) {
        let own = self.names.take(name);
        if own != **name {
            self.note(
                name,
                &format!("a part of it is the rule `{own}` in Azure, and rows name it so"),
            );
        }
        let mut rule = json!({ "ruleType": kind, "name": escaped(&own) });
        if let Some(description) = self
            .place
            .wording(name)
            .and_then(|wording| wording.description.as_ref())
        {
            rule["description"] = escaped(description).into();
        }
        if let (Some(rule), Value::Object(fields)) = (rule.as_object_mut(), fields) {
            rule.extend(fields);
        }
        self.rules.push(rule);
    }

    /// Sources as addresses and ids of IP groups; `None` if Azure cannot hold them.
    fn sources(&mut self, rule: &Arc<str>, sources: &Sources) -> Option<(Vec<String>, Vec<String>)> {
        match sources {
            Sources::Any { .. } => Some((vec!["*".into()], Vec::new())),
            Sources::Nets(nets) => {
                let v4 = self.v4(rule, nets);
                if v4.is_empty() {
                    self.note(
                        rule,
                        "it has no IPv4 source: it matches nobody in Azure, and is left out",
                    );
                    return None;
                }
                let written = self
                    .place
                    .wording(rule)
                    .map_or(&[][..], |wording| &wording.source_ip_groups);
                let (ids, addresses) = self.ip_groups.named(&v4, written);
                Some((addresses, ids))
            }
        }
    }

    /// Azure Firewall's rules know IPv4 alone ("known issues").
    fn v4(&mut self, rule: &str, nets: &[IpNet]) -> Vec<IpNet> {
        let v4: Vec<IpNet> = nets.iter().filter(|net| net.network().is_ipv4()).copied().collect();
        if v4.len() < nets.len() {
            self.note(rule, "its IPv6 prefixes are left out: Azure's rules know IPv4 alone");
        }
        v4
    }

    fn application(&mut self, rule: &ApplicationRule, denies: bool) {
        let Some((addresses, groups)) = self.sources(&rule.name, &rule.sources) else {
            return;
        };
        if !rule.resolves_into.is_empty() || rule.private_endpoints.is_some() {
            self.note(
                &rule.name,
                "what it asks of addresses (`resolves_into`, `private_endpoints`) is egret's alone",
            );
        }
        // What is denied is said in names: Azure's tag of the same name may hold less.
        let tags = if denies { Vec::new() } else { azure_tags(rule) };
        let parts = parts(rule, &tags);
        if parts.is_empty() {
            self.note(&rule.name, "it matches no name, and is left out");
        }
        for part in parts {
            let protocols: Vec<Value> = part.protocols.iter().map(protocol).collect();
            self.put(
                &rule.name,
                "ApplicationRule",
                json!({
                    "sourceAddresses": addresses,
                    "sourceIpGroups": groups,
                    "protocols": protocols,
                    "targetFqdns": part.fqdns,
                    "fqdnTags": part.tags,
                }),
            );
        }
    }

    fn network(&mut self, rule: &NetworkRule) {
        let Some((addresses, groups)) = self.sources(&rule.name, &rule.sources) else {
            return;
        };
        let to = &rule.destinations;
        let v4 = self.v4(&rule.name, &to.addresses);
        let wording = self.place.wording(&rule.name);
        let written = wording.map_or(&[][..], |wording| &wording.destination_ip_groups);
        let (destination_groups, mut destinations) = self.ip_groups.named(&v4, written);
        destinations.extend(to.service_tags.iter().map(|tag| tag.name.to_string()));
        if to.any {
            destinations.push("*".into());
        }
        let names: Vec<String> = to.fqdns.iter().map(ToString::to_string).collect();
        let common = |destinations: &[String], groups_to: &[String], names: &[String]| {
            json!({
                "ipProtocols": protocols(&rule.ip_protocols),
                "sourceAddresses": addresses,
                "sourceIpGroups": groups,
                "destinationAddresses": destinations,
                "destinationIpGroups": groups_to,
                "destinationFqdns": names,
                "destinationPorts": ports(&rule.destination_ports),
            })
        };
        if rule.ip_protocols.is_empty() || rule.destination_ports.is_empty() {
            return self.note(
                &rule.name,
                "it has no protocol or no port: it matches nothing, and is left out",
            );
        }
        // Azure's rules have one kind of destination: addresses and tags, IP groups, or names.
        let before = self.rules.len();
        if !destinations.is_empty() {
            self.put(&rule.name, "NetworkRule", common(&destinations, &[], &[]));
        }
        if !destination_groups.is_empty() {
            self.put(&rule.name, "NetworkRule", common(&[], &destination_groups, &[]));
        }
        if !names.is_empty() {
            self.put(&rule.name, "NetworkRule", common(&[], &[], &names));
        }
        if self.rules.len() == before {
            self.note(&rule.name, "it leads nowhere in Azure, and is left out");
        }
    }

    fn nat(&mut self, rule: &NatRule) {
        let Some((addresses, groups)) = self.sources(&rule.name, &rule.sources) else {
            return;
        };
        let destinations: Vec<String> = self
            .v4(&rule.name, &rule.destination_addresses)
            .iter()
            .map(written)
            .collect();
        if destinations.is_empty() || rule.ip_protocols.is_empty() || rule.destination_ports.is_empty() {
            return self.note(&rule.name, "it translates nothing in Azure, and is left out");
        }
        let (target, translated) = match &rule.translated {
            Translated::Address(address) => ("translatedAddress", address.to_string()),
            Translated::Fqdn(name) => ("translatedFqdn", name.to_string()),
        };
        self.put(
            &rule.name,
            "NatRule",
            json!({
                "ipProtocols": protocols(&rule.ip_protocols),
                "sourceAddresses": addresses,
                "sourceIpGroups": groups,
                "destinationAddresses": destinations,
                "destinationPorts": ports(&rule.destination_ports),
                target: translated,
                "translatedPort": rule.translated_port.to_string(),
            }),
        );
    }
}

/// A rule of Azure's: one set of protocols, names or tags.
#[derive(Default)]
struct Part {
    protocols: Vec<ProtocolPort>,
    fqdns: Vec<String>,
    known: HashSet<String>,
    tags: Vec<String>,
}

impl Part {
    fn add(&mut self, fqdn: String) {
        if self.known.insert(fqdn.clone()) {
            self.fqdns.push(fqdn);
        }
    }
}

/// What rules with FQDN tags speak in Microsoft's own templates: the page ("FQDN tags overview") asks for HTTPS, the quickstart
/// of a hub's firewall policy speaks HTTP too, each on its usual port. By anything else, a tag's names stand.
const TAG_PROTOCOLS: [ProtocolPort; 2] = [
    ProtocolPort {
        protocol: Protocol::Http,
        port: 80,
    },
    ProtocolPort {
        protocol: Protocol::Https,
        port: 443,
    },
];

/// Names by the protocols that are left of the rule's where a tag entry has ports of its own; these tags as tags.
fn parts(rule: &ApplicationRule, tags: &[Arc<str>]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for target in &rule.targets {
        let is_tag = target.tag.as_ref().is_some_and(|tag| tags.contains(tag));
        let fits = |protocol: &&ProtocolPort| {
            let spoken = target.ports.as_ref().is_none_or(|ports| ports.contains(protocol));
            spoken && !(is_tag && TAG_PROTOCOLS.contains(protocol))
        };
        let protocols: Vec<ProtocolPort> = rule.protocols.iter().filter(fits).copied().collect();
        if protocols.is_empty() {
            continue;
        }
        let text = target.pattern.to_string();
        match parts.iter_mut().find(|part| part.protocols == protocols) {
            Some(part) => part.add(text),
            None => {
                let mut part = Part {
                    protocols,
                    ..Part::default()
                };
                part.add(text);
                parts.push(part);
            }
        }
    }
    let usual = |protocol: &&ProtocolPort| TAG_PROTOCOLS.contains(protocol);
    let usual: Vec<ProtocolPort> = rule.protocols.iter().filter(usual).copied().collect();
    if !(tags.is_empty() || usual.is_empty()) {
        parts.push(Part {
            protocols: usual,
            tags: tags.iter().map(ToString::to_string).collect(),
            ..Part::default()
        });
    }
    parts
}

/// Tags of the rule that Azure has as well, and that hold here what the built-in catalogue gives them unbound.
fn azure_tags(rule: &ApplicationRule) -> Vec<Arc<str>> {
    let mut tags: Vec<Arc<str>> = Vec::new();
    for tag in rule.targets.iter().filter_map(|target| target.tag.as_ref()) {
        if AZURE_FQDN_TAGS.contains(&&**tag) && !tags.contains(tag) && is_plain(rule, tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

fn is_plain(rule: &ApplicationRule, tag: &Arc<str>) -> bool {
    let known = Catalogue::embedded().tag(tag);
    let plain = known.and_then(|known| known.narrow(&Binding::default()).ok());
    let own = rule.targets.iter().filter(|target| target.tag.as_ref() == Some(tag));
    plain.is_some_and(|plain| plain.targets.iter().eq(own))
}

fn protocol(protocol: &ProtocolPort) -> Value {
    let kind = match protocol.protocol {
        Protocol::Http => "Http",
        Protocol::Https => "Https",
    };
    json!({ "protocolType": kind, "port": protocol.port })
}

fn protocols(protocols: &[IpProtocol]) -> Vec<&'static str> {
    protocols.iter().map(|protocol| protocol.name()).collect()
}

fn ports(ports: &[PortRange]) -> Vec<String> {
    let text = |range: &PortRange| match *range {
        PortRange::ANY => "*".to_owned(),
        PortRange { first, last } if first == last => first.to_string(),
        PortRange { first, last } => format!("{first}-{last}"),
    };
    ports.iter().map(text).collect()
}
