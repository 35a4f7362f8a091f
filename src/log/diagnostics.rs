//! Rows as Azure Firewall's older diagnostic categories deliver them: the table `AzureDiagnostics`, one sentence in
//! `properties.msg`. What the sentence cannot say is under `properties.egret`, as in the newer form.
//!
//! Source of the sentences: azure-docs `articles/firewall/diagnostic-logs.md` (2023-12-04) and `threat-intel.md`, and the
//! parsers that Microsoft ships for them (Azure/Azure-Network-Security, workbook; Azure/Azure-Sentinel, ASIM parsers).
//! Tables without an older form keep their own.

use super::{
    azfw::{self, Envelope, action, application, network},
    json::{self, Object, key},
    row::{ApplicationRow, DnsQueryRow, IdpsRow, NatRow, NetworkRow, Row, Spoken, ThreatIntelRow},
};
use crate::policy::{Action, Reason, RuleRef, Transport};
use std::{fmt::Write, net::SocketAddr};

/// Longest sentence in bytes: every part of it at its own bound.
const MSG: usize = 3 << 10;

/// Longest part that comes from outside, in bytes.
const PART: usize = 512;

/// Appends one line.
pub(super) fn push(out: &mut Vec<u8>, envelope: &Envelope, row: &Row<'_>) {
    let (category, operation, text) = match row {
        Row::Application(row) => (APPLICATION, "AzureFirewallApplicationRuleLog", application_text(row)),
        Row::Network(row) => (NETWORK, "AzureFirewallNetworkRuleLog", network_text(row)),
        Row::Nat(row) => (NETWORK, "AzureFirewallNatRuleLog", nat_text(row)),
        // Names too: Microsoft's sample (threat-intel.md) is one, and its ASIM parser reads this category alone.
        Row::ThreatIntel(row) => (NETWORK, "AzureFirewallThreatIntelLog", threat_text(row)),
        Row::Idps(row) => (NETWORK, "AzureFirewallIDSLog", idps_text(row)),
        Row::DnsQuery(row) => (DNS, "AzureFirewallDnsProxyLog", dns_text(row)),
        _ => return envelope.push(out, row),
    };
    envelope.head(out, category, row.time());
    out.extend_from_slice(b",\"operationName\":\"");
    out.extend_from_slice(operation.as_bytes());
    out.extend_from_slice(b"\",\"properties\":");
    json::object(out, |o| {
        o.text(key!("msg"), &text, MSG);
        ours(o, row);
    });
    out.extend_from_slice(b"}\n");
}

const APPLICATION: &str = "AzureFirewallApplicationRule";
const NETWORK: &str = "AzureFirewallNetworkRule";
const DNS: &str = "AzureFirewallDnsProxy";

fn ours(o: &mut Object<'_>, row: &Row<'_>) {
    match row {
        Row::Application(row) => o.object(key!("egret"), |o| application::egret(o, row)),
        Row::Network(row) => o.object(key!("egret"), |o| network::egret(o, row)),
        Row::ThreatIntel(row) => o.object(key!("egret"), |o| network::threat_egret(o, row)),
        _ => {}
    }
}

/// `HTTPS request from 10.0.0.4:51000 to api.example.com:443. Action: Allow. Policy: p. Rule Collection Group: g. Rule
/// Collection: c. Rule: r`; without server name: `HTTPS request from 10.0.0.4:51000. Action: Deny. Reason: ..`.
fn application_text(row: &ApplicationRow<'_>) -> String {
    let mut text = request(azfw::protocol(row.protocol), row.source);
    if row.reason != Reason::SniMissing && !row.fqdn.is_empty() {
        text += &format!(" to {}:{}", word(row.fqdn), row.port);
        if let Some(url) = row.target_url {
            text += &format!(". Url: {}", word(url));
        }
    }
    text + &verdict(row.outcome(), row.reason, row.rule)
}

/// `TCP request from 10.0.0.4:51000 to 10.1.2.4:22. Action: Deny. ..`; ICMP has no ports.
fn network_text(row: &NetworkRow<'_>) -> String {
    let destination = row.destination.map(|ip| ip.to_canonical().to_string());
    let shown = row.fqdn.filter(|_| destination.is_none()).map(word).or(destination);
    let shown = shown.unwrap_or_default();
    let route = match row.transport {
        Transport::Icmp => format!("ICMP request from {} to {shown}", row.source.ip().to_canonical()),
        transport => {
            let destination = row.destination.map(|ip| at(SocketAddr::new(ip, row.port)));
            let destination = destination.unwrap_or_else(|| format!("{shown}:{}", row.port));
            request(transport.name(), row.source) + " to " + &destination
        }
    };
    route + &verdict(row.outcome(), row.reason, row.rule)
}

/// `TCP request from 198.51.100.7:51000 to 203.0.113.1:8443 was DNAT'ed to 10.1.2.4:443. Policy: ..`
fn nat_text(row: &NatRow<'_>) -> String {
    format!(
        "{} to {} was DNAT'ed to {}{}",
        request(row.packets.transport.name(), row.packets.source),
        at(row.packets.destination),
        at(row.translated),
        names(row.rule),
    )
}

/// `HTTP request from 10.0.0.5:54074 to c2.example:80. Action: Alert. ThreatIntel: Bot Networks`
fn threat_text(row: &ThreatIntelRow<'_>) -> String {
    let protocol = match row.spoken {
        Spoken::Application(protocol) => azfw::protocol(protocol),
        Spoken::Transport(transport) => transport.name(),
    };
    let destination = match row.destination {
        Some(ip) if row.fqdn.is_empty() => at(SocketAddr::new(ip, row.port)),
        _ => format!("{}:{}", word(row.fqdn), row.port),
    };
    let url = row
        .target_url
        .map(|url| format!(". Url: {}", word(url)))
        .unwrap_or_default();
    format!(
        "{} to {destination}{url}. Action: {}. ThreatIntel: {}",
        request(protocol, row.source),
        row.action.name(),
        row.description,
    )
}

/// `TCP request from .. to ... Action: alert. Signature: 2008983. IDS: ..  Priority: 1. Classification: ..`
fn idps_text(row: &IdpsRow<'_>) -> String {
    format!(
        "{} to {}. Action: {}. Signature: {}. IDS: {}. Priority: {}. Classification: {}",
        request(row.packets.transport.name(), row.packets.source),
        at(row.packets.destination),
        if row.denied { "Deny" } else { "alert" },
        row.signature,
        row.description,
        row.severity,
        row.category,
    )
}

/// `DNS Request: 10.0.0.4:51000 - 4711 A IN api.example.com. udp 41 false 512 NOERROR qr,rd,ra 57 0.001s`; a failure is
/// ` Error: 2 api.example.com. A: ..`.
fn dns_text(row: &DnsQueryRow<'_>) -> String {
    let DnsQueryRow { kind, class, .. } = row;
    let name = word(row.name);
    if let Some((number, message)) = row.error {
        return format!(" Error: {number} {name}. {kind}: {message}");
    }
    format!(
        "DNS Request: {} - {} {kind} {class} {name}. {} {} {} {} {} {} {} {}s",
        at(row.source),
        row.id,
        row.transport.name().to_lowercase(),
        row.request_bytes,
        row.dnssec_ok,
        row.edns0_bytes,
        row.code,
        row.flags,
        row.response_bytes,
        row.duration.as_secs_f64(),
    )
}

fn request(protocol: &str, source: SocketAddr) -> String {
    format!("{protocol} request from {}", at(source))
}

/// What was decided, and why. Of a denial that no rule made the sentence gives the reason, as it does where the server name
/// is missing.
fn verdict(outcome: Action, reason: Reason, rule: Option<&RuleRef>) -> String {
    let action = action(outcome);
    let trouble = outcome == Action::Allow && reason.is_trouble();
    match (reason, rule) {
        (Reason::RuleMatched, Some(rule)) => format!(". Action: {action}{}", names(rule)),
        (_, Some(rule)) if outcome == Action::Allow => format!(". Action: {action}{}", names(rule)),
        (Reason::NoRuleMatched, _) => format!(". Action: {action}{DEFAULT}"),
        (_, None) if trouble => format!(". Action: {action}{DEFAULT}"),
        (reason, _) => {
            let why = reason.azure_action_reason().trim_end_matches('.');
            format!(". Action: {action}. Reason: {why}.")
        }
    }
}

/// Of what no rule matched, also where audit mode let it through and its destination did not answer.
const DEFAULT: &str = ". No rule matched. Proceeding with default action";

fn names(rule: &RuleRef) -> String {
    let RuleRef {
        policy,
        group,
        collection,
        rule,
    } = rule;
    format!(". Policy: {policy}. Rule Collection Group: {group}. Rule Collection: {collection}. Rule: {rule}")
}

fn at(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// One word of the sentence: nothing that comes from outside can end it and go on in our name.
fn word(raw: &str) -> String {
    let mut word = String::new();
    for character in raw.chars() {
        match character {
            '!'..='~' => word.push(character),
            other => write!(word, "\\u{{{:x}}}", u32::from(other)).expect("writing to a String cannot fail"),
        }
        if word.len() > PART {
            return word + "...";
        }
    }
    word
}
