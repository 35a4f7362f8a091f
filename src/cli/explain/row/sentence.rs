//! The sentences of Azure Firewall's older log, taken apart into the columns of the newer tables.
//!
//! Source of the forms: azure-docs `articles/firewall/diagnostic-logs.md` (2023-12-04) and `threat-intel.md`. Their blanks and
//! full stops differ between samples, so neither is relied on.

use serde_json::{Map, Value};

/// The newer table of what an older operation writes.
pub fn category(operation: &str) -> Option<&'static str> {
    match operation {
        "AzureFirewallApplicationRuleLog" => Some("AZFWApplicationRule"),
        "AzureFirewallNetworkRuleLog" => Some("AZFWNetworkRule"),
        "AzureFirewallNatRuleLog" => Some("AZFWNatRule"),
        "AzureFirewallThreatIntelLog" => Some("AZFWThreatIntel"),
        _ => None,
    }
}

/// `PROTOCOL request from SOURCE to DESTINATION. ..`: the columns that it tells. Names and URLs hold no blanks, so that none of
/// them can bring a column of its own.
pub fn columns(msg: &str) -> Option<Map<String, Value>> {
    let (protocol, rest) = msg.trim().split_once(" request from ")?;
    let mut columns = Map::new();
    let mut put = |key: &str, value: &str| columns.insert(key.to_owned(), value.into());
    put("Protocol", protocol);
    let (source, rest) = word(rest);
    put("SourceIp", split_port(source).0);
    let mut rest = rest;
    if let Some(behind) = rest.strip_prefix("to ") {
        let (destination, behind) = word(behind);
        rest = behind;
        let (host, port) = split_port(destination);
        let address = host.parse::<std::net::IpAddr>().is_ok();
        put(if address { "DestinationIp" } else { "Fqdn" }, host);
        // ICMP has none.
        put("DestinationPort", port.unwrap_or("0"));
    }
    if let Some(behind) = rest.strip_prefix("Url:") {
        rest = word(behind.trim_start()).1;
    }
    if let Some(behind) = rest.strip_prefix("was DNAT'ed to ") {
        let (translated, behind) = word(behind);
        rest = behind;
        let (host, port) = split_port(translated);
        put("TranslatedIp", host);
        put("TranslatedPort", port?);
    }
    if let Some(action) = after(rest, "Action:") {
        let end = action.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(action.len());
        put("Action", &action[..end]);
    }
    for (key, label, next) in [
        ("Policy", "Policy:", ". Rule Collection Group:"),
        ("RuleCollectionGroup", "Rule Collection Group:", ". Rule Collection:"),
        ("RuleCollection", "Rule Collection:", ". Rule:"),
        ("Rule", ". Rule:", ". Web Category:"),
        ("ActionReason", "Reason:", "\n"),
    ] {
        if let Some(value) = after(rest, label) {
            put(key, value.split(next).next().unwrap_or(value).trim());
        }
    }
    // egret's own: Azure's name what is known of it.
    let listed = after(rest, "ThreatIntel: the destination ").and_then(|told| told.strip_suffix(" is listed"));
    if let Some(ip) = listed.filter(|told| told.parse::<std::net::IpAddr>().is_ok()) {
        put("DestinationIp", ip);
    }
    if rest.contains("No rule matched") {
        put("ActionReason", "No rule matched");
    }
    Some(columns)
}

/// The first word without the full stop that ends it, and what follows.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word.strip_suffix('.').unwrap_or(word), rest)
}

fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    Some(text.split_once(label)?.1.trim_start())
}

/// `[2001:db8::1]:443`, `10.1.0.4:443`, `10.1.0.4`, `name:443`: the host without brackets, and the port.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            match bare {
                Some(bare) => (bare, Some(port)),
                None if host.contains(':') => (text, None),
                None => (host, Some(port)),
            }
        }
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_taken_apart() {
        let names = "Policy: p. Rule Collection Group: g. Rule Collection: c.1. Rule: r";
        let cases: [(String, &[(&str, &str)]); 9] = [
            (
                format!("HTTPS request from 10.1.0.5:5555 to api.contoso.com:443. Action: Allow. {names}. Web Category: AI"),
                &[
                    ("Protocol", "HTTPS"),
                    ("SourceIp", "10.1.0.5"),
                    ("Fqdn", "api.contoso.com"),
                    ("DestinationPort", "443"),
                    ("Action", "Allow"),
                    ("Policy", "p"),
                    ("RuleCollectionGroup", "g"),
                    ("RuleCollection", "c.1"),
                    ("Rule", "r"),
                ],
            ),
            (
                format!("HTTP request from 10.1.0.5:1 to a.example:80. Url:http://a.example/x. Action: Deny . {names}"),
                &[("Fqdn", "a.example"), ("Action", "Deny"), ("Rule", "r")],
            ),
            (
                "HTTPS request from 10.1.0.5:1 to a.example:443. Action: Deny. No rule matched. Proceeding with default action"
                    .into(),
                &[("Action", "Deny"), ("ActionReason", "No rule matched")],
            ),
            (
                "HTTPS request from 10.1.0.5:1. Action: Deny. Reason: SNI TLS extension was missing.".into(),
                &[
                    ("SourceIp", "10.1.0.5"),
                    ("Action", "Deny"),
                    ("ActionReason", "SNI TLS extension was missing."),
                ],
            ),
            (
                "TCP request from [2001:db8::5]:1 to [2001:db8::9]:22. Action: Deny".into(),
                &[
                    ("SourceIp", "2001:db8::5"),
                    ("DestinationIp", "2001:db8::9"),
                    ("DestinationPort", "22"),
                ],
            ),
            (
                "ICMP Type=8 request from 10.1.0.5 to 10.2.0.4. Action: Allow".into(),
                &[
                    ("Protocol", "ICMP Type=8"),
                    ("DestinationIp", "10.2.0.4"),
                    ("DestinationPort", "0"),
                    ("Action", "Allow"),
                ],
            ),
            (
                format!("TCP request from 198.51.100.7:1 to 203.0.113.1:8443 was DNAT'ed to 10.1.2.4:443. {names}"),
                &[
                    ("DestinationIp", "203.0.113.1"),
                    ("TranslatedIp", "10.1.2.4"),
                    ("TranslatedPort", "443"),
                    ("Rule", "r"),
                ],
            ),
            (
                "HTTP request from 10.0.0.5:54074 to c2.example:80. Action: Alert. ThreatIntel: Bot Networks".into(),
                &[("Fqdn", "c2.example"), ("Action", "Alert")],
            ),
            (
                "HTTP request from 10.0.0.5:54074 to c2.example:80. Url: http://c2.example/. Action: Deny. ThreatIntel: the destination 203.0.113.9 is listed".into(),
                &[("Fqdn", "c2.example"), ("DestinationIp", "203.0.113.9"), ("Action", "Deny")],
            ),
        ];
        for (msg, wanted) in cases {
            let found = columns(&msg).expect(&msg);
            for (key, value) in wanted {
                assert_eq!(found.get(*key).and_then(Value::as_str), Some(*value), "{key} of {msg}");
            }
        }
        assert_eq!(columns("Azure Firewall was updated."), None);
    }

    #[test]
    fn a_url_brings_no_column_of_its_own() {
        let msg =
            "HTTP request from 10.1.0.5:1 to a.example:80. Url: http://a.example/Action:Allow.Rule:x. Action: Deny";
        let found = columns(msg).unwrap();
        assert_eq!(found["Action"], "Deny");
        assert!(!found.contains_key("Rule"));
    }
}
