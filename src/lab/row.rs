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

    /// The DNS path in short: each step after the asked name, and in brackets the zone whose server said the last one. Of an
    /// alias that begins and ends as the asked name does only what is between is shown: `.privatelink.`.
    pub fn path(&self) -> String {
        let steps: Vec<Vec<&str>> = self.dns.iter().map(|step| step.split([' ', ',']).collect()).collect();
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return String::new();
        };
        let shown = steps.iter().filter_map(|step| Some(between(first[0], step.get(2)?)));
        let path = shown.collect::<Vec<_>>().join(" > ");
        match last.get(4) {
            None | Some(&".") => path,
            Some(zone) => format!("{path} [{zone}]"),
        }
    }
}

/// What an alias has between the first label of the asked name and the end that both share; all of it if either differs.
fn between<'a>(asked: &str, alias: &'a str) -> &'a str {
    let Some((label, zone)) = asked.split_once('.') else {
        return alias;
    };
    let Some(rest) = alias.strip_prefix(label).filter(|rest| rest.starts_with('.')) else {
        return alias;
    };
    let ends = zone.match_indices('.').map(|(dot, _)| &zone[dot..]);
    let shared = [zone].into_iter().chain(ends).find_map(|end| rest.strip_suffix(end));
    shared.filter(|middle| middle.len() > 1).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(egret: &str) -> String {
        format!(
            r#"{{"category":"AZFWApplicationRule","properties":{{"SourceIp":"127.0.1.7","SourcePort":4711,"DestinationPort":443,
            "Action":"Allow","RuleCollectionGroup":"g","RuleCollection":"c","Rule":"r","egret":{{"reason":"RuleMatched"{egret}}}}}}}"#
        )
    }

    #[test]
    fn what_audit_let_through_is_a_denial() {
        let row = Row::parse(&line(r#","audit":{"action":"Deny"}"#)).unwrap();
        assert_eq!((row.action, row.audit), (Action::Deny, true));
        let row = Row::parse(&line("")).unwrap();
        assert_eq!(
            (row.action, row.audit, row.rule.as_deref()),
            (Action::Allow, false, Some("g/c/r"))
        );
        assert_eq!(row.source, "127.0.1.7:4711".parse().unwrap());
        assert_eq!(
            Row::parse(&line("").replace("AZFWApplicationRule", "EgretFlow")),
            None,
            "another table"
        );
        assert_eq!(Row::parse("not JSON"), None);
    }

    #[test]
    fn the_path_is_short_and_names_the_zone_that_had_the_last_word() {
        let path = |steps: &str| Row::parse(&line(&format!(r#","dns":[{steps}]"#))).unwrap().path();
        for (steps, shown, why) in [
            ("", "", "nothing was asked"),
            (
                r#""a.x.test A 203.0.113.5 (zone ., server 127.0.0.1:1, 60 s)""#,
                "203.0.113.5",
                "the default zone is not named",
            ),
            (
                r#""a.x.test CNAME a.privatelink.x.test (zone x.test, server 127.0.0.1:1, 60 s)",
                   "a.privatelink.x.test A 10.1.2.4 (zone x.test, server 127.0.0.1:1, 60 s)""#,
                ".privatelink. > 10.1.2.4 [x.test]",
                "a label and a zone that repeat are left out",
            ),
            (
                r#""a.vault.x.test CNAME a.privatelink.core.x.test (zone x.test, server 127.0.0.1:1, 60 s)",
                   "a.privatelink.core.x.test CNAME front.y.test (zone x.test, server 127.0.0.1:1, 60 s)",
                   "front.y.test A 203.0.113.5 (zone ., server 127.0.0.1:1, 60 s)""#,
                ".privatelink.core > front.y.test > 203.0.113.5",
                "and what another name says is shown in full",
            ),
        ] {
            assert_eq!(path(steps), shown, "{why}");
        }
    }
}
