//! egret's own rows, read back as the lab and the tests need them.

use crate::policy::Action;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// One `AZFWApplicationRule` row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Client address and port.
    pub source: SocketAddr,
    /// What the policy, the gate or vetting said.
    pub action: Action,
    /// `Reason` by name.
    pub reason: String,
    /// `group/collection/rule`; `None` if no rule matched.
    pub rule: Option<String>,
    /// A denial that audit mode let through.
    pub audit: bool,
    /// What was dialled.
    pub address: Option<SocketAddr>,
    /// The steps of the resolution, as the row tells them.
    pub dns: Vec<String>,
    /// The row as it was written.
    pub json: Value,
}

impl Row {
    /// `None` for rows of other tables.
    pub fn parse(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        if json["category"] != "AZFWApplicationRule" {
            return None;
        }
        let properties = &json["properties"];
        let text = |key: &str| properties[key].as_str().unwrap_or_default();
        let ours = |key: &str| properties["egret"][key].as_str();
        let source = SocketAddr::new(
            text("SourceIp").parse().ok()?,
            properties["SourcePort"].as_u64()?.try_into().ok()?,
        );
        let audit = properties["egret"].get("audit").is_some();
        let denied = audit || text("Action") == "Deny";
        let rule = [text("RuleCollectionGroup"), text("RuleCollection"), text("Rule")].join("/");
        let port = properties["DestinationPort"].as_u64()?.try_into().ok()?;
        Some(Self {
            source,
            action: if denied { Action::Deny } else { Action::Allow },
            reason: ours("reason")?.to_owned(),
            rule: (rule != "//").then_some(rule),
            audit,
            address: ours("address")
                .and_then(|ip| ip.parse::<IpAddr>().ok())
                .map(|ip| SocketAddr::new(ip, port)),
            dns: properties["egret"]["dns"].as_array().map_or_else(Vec::new, |steps| {
                steps
                    .iter()
                    .filter_map(|step| step.as_str().map(str::to_owned))
                    .collect()
            }),
            json,
        })
    }

    /// The DNS path in short: each step after the asked name, and in brackets the zone whose server said the last one. An
    /// alias that begins as the asked name does is shown without that label.
    pub fn path(&self) -> String {
        let steps: Vec<Vec<&str>> = self.dns.iter().map(|step| step.split([' ', ',']).collect()).collect();
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return String::new();
        };
        let label = first[0].split('.').next().unwrap_or_default();
        let shown = steps.iter().filter_map(|step| {
            let to = *step.get(2)?;
            Some(
                to.strip_prefix(label)
                    .filter(|rest| rest.starts_with('.'))
                    .unwrap_or(to),
            )
        });
        let path = shown.collect::<Vec<_>>().join(" > ");
        match last.get(4) {
            None | Some(&".") => path,
            Some(zone) => format!("{path} [{zone}]"),
        }
    }
}
