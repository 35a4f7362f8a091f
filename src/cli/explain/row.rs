//! `--row FILE:LINE`: the attempt of a log row, judged by today's policy.
//!
//! Rows of `AZFWApplicationRule`, `AZFWNetworkRule` and `AZFWThreatIntel` are taken, as egret and Azure Firewall's diagnostic
//! settings write them: one JSON object a line with `category` and `properties`.

use crate::{
    cli::{Answer, print},
    config::{Checked, read},
    policy::{Action, CompiledPolicy, FlowAttempt, Fqdn, Host, NoTrace, Protocol, Reason, Resolved, Transport, Via},
};
use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use std::{net::IpAddr, path::Path};

/// Reads the row, judges its attempt, and says whether it came out alike.
pub fn run(checked: &Checked, place: &str, as_json: bool) -> anyhow::Result<Answer> {
    let row = row(place)?;
    let attempt = Attempt::read(&row).with_context(|| place.to_owned())?;
    let policy = CompiledPolicy::new(checked.policy.clone());
    let found = policy.evaluate(&attempt.flow(), &mut NoTrace).decision;
    let rule = found.rule.map(|rule| {
        let names = policy.rule_ref(rule);
        format!("{}/{}/{}", names.group, names.collection, names.rule)
    });
    let alike = found.action == attempt.action;
    let told = if as_json {
        let value = json!({
            "row": place,
            "target": attempt.target(),
            "source": attempt.source,
            "then": { "action": format!("{:?}", attempt.action), "rule": attempt.rule },
            "now": { "action": format!("{:?}", found.action), "reason": found.reason.name(), "rule": rule },
            "alike": alike,
        });
        format!("{value:#}\n")
    } else {
        let by = |rule: &Option<String>| rule.as_ref().map_or_else(String::new, |rule| format!(" by {rule}"));
        let end = match (
            alike,
            attempt.rule == rule || attempt.rule.is_none() && found.rule.is_none(),
        ) {
            (true, true) => "decided alike",
            (true, false) => "decided alike, by another rule",
            (false, _) => "decided otherwise",
        };
        format!(
            "{} from {}\n\nthen       {:?}{}\nnow        {:?}, {}{}\n           {end}\n",
            attempt.target(),
            attempt.source,
            attempt.action,
            by(&attempt.rule),
            found.action,
            found.reason,
            by(&rule),
        )
    };
    print(&told)?;
    Ok(alike.into())
}

/// The object on a line.
fn row(place: &str) -> anyhow::Result<Value> {
    let numbered = place
        .rsplit_once(':')
        .and_then(|(file, line)| Some((file, line.parse::<usize>().ok()?)));
    let (file, line) = numbered
        .filter(|(_, line)| *line > 0)
        .context("`--row` wants FILE:LINE, lines from 1")?;
    let bytes = read(Path::new(file)).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(|problem| problem.one_line()).collect();
        anyhow!(told.join("; "))
    })?;
    let found = bytes.split(|byte| *byte == b'\n').nth(line - 1);
    let found = found
        .filter(|text| !text.is_empty())
        .with_context(|| format!("{file} has no line {line}"))?;
    serde_json::from_slice(found).with_context(|| format!("{place} is no row in JSON"))
}

/// The attempt of a row, and what was decided then.
struct Attempt {
    source: IpAddr,
    via: Via,
    transport: Transport,
    protocol: Option<Protocol>,
    destination: Option<IpAddr>,
    name: Option<Fqdn>,
    port: u16,
    action: Action,
    rule: Option<String>,
}

impl Attempt {
    fn read(row: &Value) -> anyhow::Result<Self> {
        let category = row["category"].as_str().unwrap_or_default();
        let columns = &row["properties"];
        let text = |key: &str| columns[key].as_str().unwrap_or_default();
        if !["AZFWApplicationRule", "AZFWNetworkRule", "AZFWThreatIntel"].contains(&category) {
            bail!("a row of `{category}` tells of no decision of rules");
        }
        let ours = &columns["egret"];
        let reason = ours["reason"].as_str();
        let by_policy = [
            Reason::RuleMatched,
            Reason::NoRuleMatched,
            Reason::IpLiteral,
            Reason::ThreatIntelligence,
        ];
        if let Some(other) = reason.filter(|reason| !by_policy.iter().any(|known| known.name() == *reason)) {
            bail!("{other} is not decided by the policy alone, so the policy cannot say whether it would be so today");
        }
        let protocol = protocol(text("Protocol"));
        let (host, name) = host(text("Fqdn"), ours["fqdn"].as_str())?;
        let explicit = columns["IsExplicitProxyRequest"].as_bool();
        // Rows of ours come from the proxy port, and those of network rules have no column for it.
        let explicit = explicit.unwrap_or(ours.is_object());
        Ok(Self {
            source: text("SourceIp")
                .parse::<IpAddr>()
                .context("`SourceIp` is no address")?
                .to_canonical(),
            via: if explicit { Via::Explicit } else { Via::Transparent },
            transport: transport(text("Protocol"))?,
            protocol,
            destination: text("DestinationIp").parse().ok().or(host),
            name,
            port: number(&columns["DestinationPort"]).context("`DestinationPort` is no port")?,
            action: action(text("Action"), ours)?,
            rule: rule(columns),
        })
    }

    fn flow(&self) -> FlowAttempt<'_> {
        FlowAttempt {
            source: self.source,
            via: self.via,
            transport: self.transport,
            destination: self.destination,
            port: self.port,
            name: self.name.as_ref(),
            protocol: self.protocol,
            resolved: Resolved::NONE,
        }
    }

    fn target(&self) -> String {
        let host = match (&self.name, self.destination) {
            (Some(name), _) => name.to_string(),
            (None, Some(ip)) => Host::Address(ip).to_string(),
            (None, None) => "?".into(),
        };
        let way = match (self.protocol, self.transport) {
            (Some(Protocol::Https), _) => "https",
            (Some(Protocol::Http), _) => "http",
            (None, Transport::Udp) => "udp",
            (None, Transport::Icmp) => return format!("icmp {host}"),
            (None, _) => "tcp",
        };
        format!("{way} {host}:{}", self.port)
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some(Protocol::Https),
        "http" => Some(Protocol::Http),
        _ => None,
    }
}

/// `ICMP Type=8` is how Azure writes an echo.
fn transport(text: &str) -> anyhow::Result<Transport> {
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match word.as_str() {
        "https" | "http" | "tcp" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        "icmp" => Ok(Transport::Icmp),
        _ => bail!("protocol `{text}` is not known"),
    }
}

/// The name of the row, or the address that stands in its place.
fn host(fqdn: &str, ours: Option<&str>) -> anyhow::Result<(Option<IpAddr>, Option<Fqdn>)> {
    // Azure adds the port in some rows.
    let text = ours.unwrap_or(fqdn);
    if text.is_empty() {
        return Ok((None, None));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((Some(ip.to_canonical()), None));
    }
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    };
    let name = Fqdn::parse(name).map_err(|_| anyhow!("`{}` is no host name", name.escape_default()))?;
    Ok((None, Some(name)))
}

/// Numbers come as numbers and as texts.
fn number(value: &Value) -> Option<u16> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| number.try_into().ok()),
    }
}

/// What the rules said: in audit mode `Action` is what happened.
fn action(text: &str, ours: &Value) -> anyhow::Result<Action> {
    match ours["audit"]["action"].as_str().unwrap_or(text) {
        "Allow" | "Alert" => Ok(Action::Allow),
        "Deny" => Ok(Action::Deny),
        other => bail!("action `{other}` is neither Allow nor Deny"),
    }
}

fn rule(columns: &Value) -> Option<String> {
    let names = ["RuleCollectionGroup", "RuleCollection", "Rule"].map(|key| columns[key].as_str().unwrap_or_default());
    (!names[2].is_empty()).then(|| names.join("/"))
}
