//! Exported network security groups: ARM templates, what `az network nsg show` and `list` print, bare lists of rules.
//!
//! Both forms of a rule are read: its fields under `properties` (ARM), or beside its name (CLI).

use super::{Nsg, NsgAddress, NsgProtocol, NsgRule};
use crate::{policy::PortRange, printable::printable};
use ipnet::IpNet;
use serde_json::Value;

/// Deepest nesting that is looked into; templates nest deployments.
const MAX_DEPTH: usize = 32;

/// Most rules of one file. Azure allows 1,000 a group.
const MOST_RULES: usize = 100_000;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NsgError {
    /// Not JSON.
    #[error("is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of something else.
    #[error("holds no network security group")]
    None,
    /// Over a bound.
    #[error("holds more than {MOST_RULES} rules, or is nested deeper than {MAX_DEPTH} levels")]
    TooMuch,
    /// A rule that cannot be read: judging on without it would be guessing.
    #[error("rule `{rule}`: {what}")]
    Rule {
        /// Its name.
        rule: String,
        /// What is wrong.
        what: String,
    },
}

/// All groups of a file.
pub fn groups(bytes: &[u8]) -> Result<Vec<Nsg>, NsgError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes)?;
    let mut found = Vec::new();
    if let Some(rules) = value
        .as_array()
        .filter(|items| items.iter().all(is_rule) && !items.is_empty())
    {
        found.push(group("rules", rules.iter())?);
    } else {
        gather(&value, 0, &mut found)?;
    }
    if found.iter().map(|nsg| nsg.rules.len()).sum::<usize>() > MOST_RULES {
        return Err(NsgError::TooMuch);
    }
    if found.is_empty() {
        Err(NsgError::None)
    } else {
        Ok(found)
    }
}

/// The fields of a resource or rule: under `properties`, or beside the name.
fn fields(value: &Value) -> &Value {
    value
        .get("properties")
        .filter(|inner| inner.is_object())
        .unwrap_or(value)
}

fn is_rule(value: &Value) -> bool {
    fields(value).get("direction").is_some() && fields(value).get("access").is_some()
}

fn gather(value: &Value, depth: usize, found: &mut Vec<Nsg>) -> Result<(), NsgError> {
    if depth > MAX_DEPTH {
        return Err(NsgError::TooMuch);
    }
    if let Some(own) = fields(value).get("securityRules").and_then(Value::as_array) {
        let defaults = fields(value).get("defaultSecurityRules").and_then(Value::as_array);
        let name = &printable(value.get("name").and_then(Value::as_str).unwrap_or("nsg"));
        found.push(group(name, own.iter().chain(defaults.into_iter().flatten()))?);
        return Ok(());
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| gather(item, depth + 1, found)),
        Value::Object(items) => items.values().try_for_each(|item| gather(item, depth + 1, found)),
        _ => Ok(()),
    }
}

fn group<'a>(name: &str, written: impl Iterator<Item = &'a Value>) -> Result<Nsg, NsgError> {
    let mut rules = Vec::new();
    for value in written {
        rules.extend(rule(value)?);
    }
    if !rules.iter().any(|rule| rule.priority >= 65_000) {
        rules.extend(defaults());
    }
    rules.sort_by_key(|rule| rule.priority);
    let name = name.to_owned();
    Ok(Nsg { name, rules })
}

/// The outbound default rules (network security groups overview), where an export leaves them out.
fn defaults() -> [NsgRule; 3] {
    let rule = |name: &str, priority, allows, source, destination| NsgRule {
        name: name.into(),
        priority,
        allows,
        protocol: None,
        sources: vec![source],
        destinations: vec![destination],
        source_ports: vec![PortRange::ANY],
        destination_ports: vec![PortRange::ANY],
    };
    let tag = |name: &str| NsgAddress::Tag(name.into());
    [
        rule(
            "AllowVnetOutBound",
            65_000,
            true,
            tag("VirtualNetwork"),
            tag("VirtualNetwork"),
        ),
        rule("AllowInternetOutBound", 65_001, true, NsgAddress::Any, tag("Internet")),
        rule("DenyAllOutBound", 65_500, false, NsgAddress::Any, NsgAddress::Any),
    ]
}

/// `None`: an inbound rule.
fn rule(value: &Value) -> Result<Option<NsgRule>, NsgError> {
    let name = printable(value.get("name").and_then(Value::as_str).unwrap_or("?"));
    let read = Reader {
        fields: fields(value),
        rule: &name,
    };
    if !read.word("direction")?.eq_ignore_ascii_case("Outbound") {
        return Ok(None);
    }
    let access = read.word("access")?;
    let allows = access.eq_ignore_ascii_case("Allow");
    if !allows && !access.eq_ignore_ascii_case("Deny") {
        return Err(read.fault(format!("access `{access}` is neither Allow nor Deny")));
    }
    let rule = NsgRule {
        priority: read.priority()?,
        allows,
        protocol: read.protocol()?,
        sources: read.addresses("source")?,
        destinations: read.addresses("destination")?,
        source_ports: read.ports("source")?,
        destination_ports: read.ports("destination")?,
        name: name.clone(),
    };
    Ok(Some(rule))
}

struct Reader<'a> {
    fields: &'a Value,
    rule: &'a str,
}

impl<'a> Reader<'a> {
    fn fault(&self, what: String) -> NsgError {
        NsgError::Rule {
            rule: self.rule.to_owned(),
            what,
        }
    }

    fn word(&self, key: &str) -> Result<&'a str, NsgError> {
        let text = self.fields.get(key).and_then(Value::as_str);
        let text = text.ok_or_else(|| self.fault(format!("`{key}` is missing")))?;
        self.plain(text)
    }

    /// An expression of a template is no value: the template has to be deployed, or exported, first.
    fn plain(&self, text: &'a str) -> Result<&'a str, NsgError> {
        if text.starts_with('[') && !text.starts_with("[[") {
            return Err(self.fault(format!("`{text}` is an expression: export the deployed group instead")));
        }
        Ok(text)
    }

    fn priority(&self) -> Result<u32, NsgError> {
        let written = self.fields.get("priority");
        let number = written.and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
        });
        number.ok_or_else(|| self.fault("`priority` is no number".into()))
    }

    fn protocol(&self) -> Result<Option<NsgProtocol>, NsgError> {
        let word = self.word("protocol")?;
        Ok(Some(match word.to_ascii_lowercase().as_str() {
            "*" => return Ok(None),
            "tcp" => NsgProtocol::Tcp,
            "udp" => NsgProtocol::Udp,
            "icmp" => NsgProtocol::Icmp,
            "esp" => NsgProtocol::Esp,
            "ah" => NsgProtocol::Ah,
            _ => return Err(self.fault(format!("protocol `{word}` is not known"))),
        }))
    }

    /// The texts under a key in the singular and its list.
    fn texts(&self, one: &str, list: &str) -> Result<Vec<&'a str>, NsgError> {
        let listed = self.fields.get(list).and_then(Value::as_array).into_iter().flatten();
        let single = self.fields.get(one).into_iter();
        let texts = single
            .chain(listed)
            .filter_map(Value::as_str)
            .filter(|text| !text.is_empty());
        texts.map(|text| self.plain(text)).collect()
    }

    fn addresses(&self, side: &str) -> Result<Vec<NsgAddress>, NsgError> {
        let texts = self.texts(&format!("{side}AddressPrefix"), &format!("{side}AddressPrefixes"))?;
        let mut addresses: Vec<NsgAddress> = texts.into_iter().map(address).collect();
        let groups = self.fields.get(format!("{side}ApplicationSecurityGroups"));
        for group in groups.and_then(Value::as_array).into_iter().flatten() {
            let id = group.get("id").and_then(Value::as_str).unwrap_or("?");
            let name = id.rsplit('/').next().unwrap_or(id);
            addresses.push(NsgAddress::Group(name.to_owned()));
        }
        Ok(addresses)
    }

    fn ports(&self, side: &str) -> Result<Vec<PortRange>, NsgError> {
        let texts = self.texts(&format!("{side}PortRange"), &format!("{side}PortRanges"))?;
        let range = |text: &str| port_range(text).ok_or_else(|| self.fault(format!("`{text}` is no port")));
        texts.into_iter().map(range).collect()
    }
}

fn address(text: &str) -> NsgAddress {
    if text == "*" {
        return NsgAddress::Any;
    }
    let one = text.parse().map(|ip: std::net::IpAddr| IpNet::from(ip));
    match one.or_else(|_| text.parse::<IpNet>()) {
        Ok(net) => NsgAddress::Net(net.trunc()),
        Err(_) => NsgAddress::Tag(text.to_owned()),
    }
}

/// Ports here run from 0.
fn port_range(text: &str) -> Option<PortRange> {
    if text == "*" {
        return Some(PortRange::ANY);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = PortRange {
        first: first.trim().parse().ok()?,
        last: last.trim().parse().ok()?,
    };
    (range.first <= range.last).then_some(range)
}
