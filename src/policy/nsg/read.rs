//! Exported network security groups: ARM templates, what `az network nsg show` and `list` print, bare lists of rules.
//!
//! Both forms of a rule are read: its fields under `properties` (ARM), or beside its name (CLI); in the group, or as a child
//! resource of it. A rule that is passed over might be the one that denies: what cannot be read is an error. Keys are found
//! in any case, as Azure Resource Manager finds them.

mod walk;

use super::{Nsg, NsgAddress, NsgProtocol, NsgRule};
use crate::{policy::PortRange, printable::printable};
use ipnet::IpNet;
use serde_json::Value;
use walk::Found;

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
    /// A group of which not all rules can be read.
    #[error("group `{group}`: {what}")]
    Group {
        /// Its name.
        group: String,
        /// What is wrong.
        what: String,
    },
    /// A deployment beside a group, which may hold rules of it.
    #[error(
        "deployment `{0}`: its template is in another file, and may hold rules of a group: export the deployed group instead"
    )]
    Linked(String),
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
    let list = value.as_array().filter(|items| items.iter().any(is_rule));
    let groups = match list {
        Some(rules) => vec![group("rules", rules)?],
        None => {
            let found = Found::new(&value)?.with_children()?;
            let read = found.into_iter().map(|one| group(one.name, one.rules));
            read.collect::<Result<Vec<Nsg>, NsgError>>()?
        }
    };
    match groups.iter().map(|nsg| nsg.rules.len()).sum::<usize>() {
        0 => Err(NsgError::None),
        rules if rules > MOST_RULES => Err(NsgError::TooMuch),
        _ => Ok(groups),
    }
}

/// The value of a key.
fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let mut entries = value.as_object()?.iter();
    let found = entries.find(|(name, _)| name.eq_ignore_ascii_case(key));
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// What a rule is called in its group: a child resource has the group's name in front, and in a template both may be made by
/// `concat` or `format`, the rule's as the last text.
fn rule_name(name: &str) -> &str {
    let last = match name.strip_prefix('[') {
        Some(expression) => expression.rsplit('\'').nth(1).unwrap_or(expression),
        None => name,
    };
    last.rsplit('/').next().unwrap_or(last)
}

fn name_of(value: &Value) -> &str {
    get(value, "name").and_then(Value::as_str).unwrap_or("?")
}

/// The fields of a resource or rule: under `properties`, or beside the name.
fn fields(value: &Value) -> &Value {
    get(value, "properties")
        .filter(|inner| inner.is_object())
        .unwrap_or(value)
}

fn is_rule(value: &Value) -> bool {
    get(fields(value), "direction").is_some() && get(fields(value), "access").is_some()
}

fn group<'a>(name: &str, written: impl IntoIterator<Item = &'a Value>) -> Result<Nsg, NsgError> {
    let mut rules: Vec<NsgRule> = Vec::new();
    for value in written {
        let Some(rule) = rule(value)? else { continue };
        // An export of a resource group has each rule twice: in its group and as a resource.
        match rules.iter().find(|other| other.name.eq_ignore_ascii_case(&rule.name)) {
            Some(other) if other.differs_from(&rule) => {
                return Err(NsgError::Group {
                    group: printable(name),
                    what: format!("rule `{}` is there twice, and the two differ", rule.name),
                });
            }
            Some(_) => {}
            None => rules.push(rule),
        }
    }
    if !rules.iter().any(|rule| rule.priority >= 65_000) {
        rules.extend(defaults());
    }
    rules.sort_by_key(|rule| rule.priority);
    let name = printable(name);
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
    let name = printable(rule_name(name_of(value)));
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
            what: printable(&what),
        }
    }

    fn word(&self, key: &str) -> Result<&'a str, NsgError> {
        let text = get(self.fields, key).and_then(Value::as_str);
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
        let written = get(self.fields, "priority");
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

    /// What stands under a key in the singular and under that of its list, one or several under each.
    fn texts(&self, one: &str, list: &str) -> Result<Vec<String>, NsgError> {
        let mut texts = Vec::new();
        for key in [one, list] {
            let items = match get(self.fields, key) {
                None => &[],
                Some(Value::Array(items)) => items.as_slice(),
                Some(item) => std::slice::from_ref(item),
            };
            for item in items {
                match item {
                    Value::String(text) if text.is_empty() => {}
                    Value::String(text) => texts.push(self.plain(text)?.to_owned()),
                    Value::Number(number) => texts.push(number.to_string()),
                    _ => return Err(self.fault(format!("`{key}` holds what is no text"))),
                }
            }
        }
        Ok(texts)
    }

    fn addresses(&self, side: &str) -> Result<Vec<NsgAddress>, NsgError> {
        let texts = self.texts(&format!("{side}AddressPrefix"), &format!("{side}AddressPrefixes"))?;
        let mut addresses: Vec<NsgAddress> = texts.iter().map(|text| address(text)).collect();
        let key = format!("{side}ApplicationSecurityGroups");
        let groups = match get(self.fields, &key) {
            None => &[],
            Some(Value::Array(groups)) => groups.as_slice(),
            Some(_) => return Err(self.fault(format!("`{key}` is no list"))),
        };
        for group in groups {
            let id = get(group, "id").and_then(Value::as_str).unwrap_or("?");
            let name = id.rsplit('/').next().unwrap_or(id);
            addresses.push(NsgAddress::Group(name.to_owned()));
        }
        if addresses.is_empty() {
            return Err(self.fault(format!("no {side} is said")));
        }
        Ok(addresses)
    }

    fn ports(&self, side: &str) -> Result<Vec<PortRange>, NsgError> {
        let texts = self.texts(&format!("{side}PortRange"), &format!("{side}PortRanges"))?;
        if texts.is_empty() {
            return Err(self.fault(format!("no {side} port is said")));
        }
        let range = |text: &String| port_range(text).ok_or_else(|| self.fault(format!("`{text}` is no port")));
        texts.iter().map(range).collect()
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
