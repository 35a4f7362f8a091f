//! Network and DNAT rules, and the sources of all rules.

use super::{
    collections::Reader,
    draft::Draft,
    fields::{list, says_something, unknown_fields},
    ip_groups::address,
    schema::Shape,
};
use crate::{
    import::{
        json::shown,
        model::{NatRule, NetworkRule, Origin, Sources},
        value::Value,
    },
    nets,
    policy::Fqdn,
};
use std::net::IpAddr;

/// What network and DNAT rules share. Protocols are `ipProtocols` in a policy, for which PowerShell has `protocols`, and that alone
/// in a firewall without a policy.
const SHARED: [&str; 10] = [
    "ruleType",
    "ruleConditionType",
    "name",
    "description",
    "protocols",
    "sourceAddresses",
    "sourceIpGroups",
    "destinationAddresses",
    "destinationPorts",
    "id",
];

const IP_PROTOCOLS: &str = "ipProtocols";

/// What a network rule says beside.
const NETWORK: [&str; 3] = ["sourceKubeSelectorGroups", "destinationIpGroups", "destinationFqdns"];

/// What a DNAT rule says beside: what it translates to is an address or a name.
const TRANSLATION: [&str; 3] = [TARGETS[0], TARGETS[1], "translatedPort"];
const TARGETS: [&str; 2] = ["translatedAddress", "translatedFqdn"];

/// Voids a rule with fields that are none of its kind.
fn own_fields(rule: &Value, shape: Shape, own: &[&str], draft: &mut Draft) {
    let of_policies = shape.section().is_none().then_some(IP_PROTOCOLS);
    let known: Vec<&str> = SHARED
        .iter()
        .chain(own)
        .copied()
        .chain(["etag"])
        .chain(of_policies)
        .collect();
    unknown_fields(rule, &known, draft);
}

impl Reader<'_> {
    /// Who a rule speaks of. No list at all is anybody.
    pub(super) fn sources(&self, rule: &Value, draft: &mut Draft) -> Sources {
        let before = draft.missing_parts();
        let addresses = list(rule, "sourceAddresses", draft, source);
        let ip_groups = self.ip_groups.named(rule, "sourceIpGroups", draft);
        let selectors = rule
            .get("sourceKubeSelectorGroups")
            .filter(|value| says_something(value));
        if selectors.is_some() {
            draft.missing("`sourceKubeSelectorGroups`: egret knows sources by address alone");
        }
        let lost = draft.missing_parts() > before;
        match (addresses, ip_groups) {
            (None, None) if !lost => {
                draft.changed("it names no source: anybody");
                Sources {
                    addresses: Some(vec!["*".into()]),
                    ip_groups: None,
                }
            }
            (addresses, ip_groups) => {
                let count = addresses.iter().flatten().count() + ip_groups.iter().flatten().count();
                match lost {
                    _ if count > 0 => {}
                    true => draft.void("none of its sources is known"),
                    false => draft.nothing("sources"),
                }
                let ip_groups = ip_groups.filter(|groups| !groups.is_empty());
                let addresses = addresses.unwrap_or_default();
                let keep = !addresses.is_empty() || ip_groups.is_none();
                Sources {
                    addresses: keep.then_some(addresses),
                    ip_groups,
                }
            }
        }
    }

    pub(super) fn description(&self, rule: &Value) -> Option<String> {
        let text = rule.get("description").and_then(Value::as_str);
        text.filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }

    pub(super) fn network_rule(
        &self,
        rule: &Value,
        shape: Shape,
        name: String,
        origin: Origin,
        draft: &mut Draft,
    ) -> NetworkRule {
        own_fields(rule, shape, &NETWORK, draft);
        let sources = self.sources(rule, draft);
        let protocols = ip_protocols(rule, shape, draft);
        let ports = ports(rule, draft);
        let before = draft.missing_parts();
        let addresses = list(rule, "destinationAddresses", draft, |text| self.destination(text));
        let ip_groups = self.ip_groups.named(rule, "destinationIpGroups", draft);
        let fqdns = list(rule, "destinationFqdns", draft, exact_name);
        let written = addresses.is_some() || ip_groups.is_some() || fqdns.is_some();
        let count =
            addresses.iter().flatten().count() + ip_groups.iter().flatten().count() + fqdns.iter().flatten().count();
        if count == 0 && draft.missing_parts() > before {
            draft.void("none of its destinations can be carried");
        } else if !written {
            draft.void("it names no destination");
        } else if count == 0 {
            draft.nothing("destinations");
        }
        let addresses = self.service_tags(addresses, draft);
        let filled = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
        let addresses = addresses.unwrap_or_default();
        let (ip_groups, fqdns) = (filled(ip_groups), filled(fqdns));
        let keep = !addresses.is_empty() || (ip_groups.is_none() && fqdns.is_none());
        NetworkRule {
            name,
            description: self.description(rule),
            sources,
            protocols,
            addresses: keep.then_some(addresses),
            ip_groups,
            fqdns,
            ports,
            origin,
        }
    }

    /// Without a file of service tags, a tag matches nothing: an allow rule keeps it for the day that there is one.
    fn service_tags(&self, addresses: Option<Vec<String>>, draft: &mut Draft) -> Option<Vec<String>> {
        if self.options.service_tags.is_some() {
            return addresses;
        }
        for tag in addresses.iter().flatten().filter(|text| is_service_tag(text)) {
            draft.missing(format!(
                "`{tag}`, taken for a service tag, matches nothing until a file of them is loaded (`[service_tags]`)"
            ));
        }
        let keep = |text: &String| !draft.denies() || !is_service_tag(text);
        addresses.map(|list| list.into_iter().filter(keep).collect())
    }

    pub(super) fn nat_rule(
        &self,
        rule: &Value,
        shape: Shape,
        name: String,
        origin: Origin,
        draft: &mut Draft,
    ) -> NatRule {
        own_fields(rule, shape, &TRANSLATION, draft);
        let sources = self.sources(rule, draft);
        let protocols = ip_protocols(rule, shape, draft);
        let ports = ports(rule, draft);
        let addresses = list(rule, "destinationAddresses", draft, address).unwrap_or_default();
        if addresses.is_empty() {
            draft.void("none of the addresses that it translates is known");
        }
        let says = |key: &&&str| rule.get(key).is_some_and(says_something);
        let target = TARGETS.iter().find(says).and_then(|key| rule.get(key));
        if TARGETS.iter().filter(says).count() > 1 {
            draft.void("it translates to an address and to a name: which of them counts is not known");
        }
        let translated = match target {
            Some(value) if value.doubt().is_none() => value.as_str().unwrap_or_default().trim().to_owned(),
            _ => String::new(),
        };
        if translated.parse::<IpAddr>().is_err() && exact_name(&translated).is_err() {
            let why = target.and_then(Value::doubt).map_or("", |doubt| &doubt.why);
            draft.void(format!(
                "what it translates to is no address and no name, or not known: {why}"
            ));
        }
        let port = rule.get("translatedPort").and_then(Value::as_int);
        let translated_port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if translated_port.is_none() {
            draft.void("the port that it translates to is not known or no port");
        }
        NatRule {
            name,
            description: self.description(rule),
            sources,
            protocols,
            addresses,
            ports,
            translated,
            translated_port: translated_port.unwrap_or(0),
            origin,
        }
    }

    /// An address, a prefix, a range, `*`, or a service tag: one of the file's or, without a file, what has the form of one, in
    /// upper case at its start, by which it is told from a host name, whatever the template's case.
    fn destination(&self, text: &str) -> Result<String, String> {
        let Some((first, rest)) = text.split_at_checked(1).filter(|_| is_service_tag(text)) else {
            return source(text);
        };
        match &self.options.service_tags {
            None => Ok(first.to_ascii_uppercase() + rest),
            Some((file, tags)) => match tags.find(text).filter(|tag| !tag.prefixes.is_empty()) {
                Some(tag) => Ok(tag.name.to_string()),
                None => Err(format!("no address, and no service tag with prefixes in {file}")),
            },
        }
    }
}

fn source(text: &str) -> Result<String, String> {
    if text == "*" {
        Ok(text.to_owned())
    } else {
        address(text)
    }
}

/// A word, or two with a dot between them, a letter first, and no address: `Storage.WestEurope`. More dots are a host name.
fn is_service_tag(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.split('.').all(word)
        && text.split('.').count() <= 2
        && nets::nets(text).is_err()
}

fn exact_name(text: &str) -> Result<String, String> {
    match text.contains('*') {
        true => Err("network rules take exact names alone".into()),
        false => Fqdn::from_config(text)
            .map(|_| text.to_owned())
            .map_err(|fault| fault.to_string()),
    }
}

fn ip_protocols(rule: &Value, shape: Shape, draft: &mut Draft) -> Vec<&'static str> {
    let key = match shape.section() {
        None if rule.get(IP_PROTOCOLS).is_some() => {
            if rule.get("protocols").is_some_and(says_something) {
                draft.void("it has `ipProtocols` and `protocols`: which of them counts is not known");
            }
            IP_PROTOCOLS
        }
        _ => "protocols",
    };
    let before = draft.missing_parts();
    let read = list(rule, key, draft, |text| match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok("TCP"),
        "udp" => Ok("UDP"),
        "icmp" => Ok("ICMP"),
        "any" | "*" => Ok("Any"),
        _ => Err("is no protocol of network rules".into()),
    });
    let mut protocols = Vec::new();
    for protocol in read.iter().flatten() {
        if !protocols.contains(protocol) {
            protocols.push(*protocol);
        }
    }
    if read.is_none() {
        draft.void("it names no protocol");
    } else if protocols.is_empty() && draft.missing_parts() > before {
        draft.void("none of its protocols is known");
    } else if protocols.is_empty() {
        draft.nothing("protocols");
    }
    protocols
}

fn ports(rule: &Value, draft: &mut Draft) -> Vec<String> {
    let before = draft.missing_parts();
    let read = list(rule, "destinationPorts", draft, |text| {
        // Blanks belong around the dash of a range alone: elsewhere they stand between two ports.
        let text = text.split('-').map(str::trim).collect::<Vec<_>>().join("-");
        // Port 0 is none. The whole range is not `*`, which with protocol Any stands for protocols without ports as well.
        let text = text.strip_prefix("0-").map_or(text.clone(), |last| format!("1-{last}"));
        match nets::ports(&text) {
            Some(_) => Ok(text),
            None => Err(format!("`{}` is no port", shown(&text))),
        }
    });
    let written = read.is_some();
    let ports = read.unwrap_or_default();
    if !written {
        draft.void("it names no port");
    } else if ports.is_empty() && draft.missing_parts() > before {
        draft.void("none of its ports is known");
    } else if ports.is_empty() {
        draft.nothing("ports");
    }
    ports
}
