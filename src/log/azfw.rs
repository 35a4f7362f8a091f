//! Rows as Azure Firewall's diagnostic settings deliver them: one JSON line with `category`, `time`, `resourceId` and
//! `properties` (Azure Monitor, table `AZFWApplicationRule`). What Azure has no column for is under `properties.egret`.
//!
//! `docs/logs.md` explains every column.

mod network;

use super::{
    escape::{self, Style},
    json::{self, Object},
    row::{ApplicationRow, FlowEnd, Loss, Row},
    time,
};
use crate::config::settings::Azure;
use crate::policy::{Action, Answer, Mode, Protocol, Reason, RuleRef};
use std::{io::Write, net::IpAddr};

/// Longest row in bytes, line end included. A sink's chunk always holds one.
pub(super) const MAX_ROW_BYTES: usize = 8 << 10;

/// What every row starts with.
pub(super) const START: &[u8] = b"{\"category\":\"";

// Longest fields in bytes, as written. A name has at most 253; what is longer was never one. Together, with all else, they
// stay under `MAX_ROW_BYTES`: `the_longest_row_is_bounded` adds them up.
const NAME: usize = 512;
const URL: usize = 1024;
const CONFIGURED: usize = 128;
const RESOURCE_ID: usize = 512;
const DETAIL: usize = 512;
const DNS: usize = 1536;
const SHOWN_REFUSED: usize = 8;

/// Columns that are the same in every row of a process.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// `","resourceId":"..","properties":`, ready to be copied.
    middle: Vec<u8>,
    /// `ActionReason` of `NoRuleMatched`.
    no_rule_matched: Box<str>,
}

impl Envelope {
    pub(super) fn new(azure: &Azure) -> Self {
        let mut middle = b"\",\"resourceId\":\"".to_vec();
        escape::push(
            &mut middle,
            azure.resource_id.to_uppercase().as_bytes(),
            RESOURCE_ID,
            Style::Json,
        );
        middle.extend_from_slice(b"\",\"properties\":");
        Self {
            middle,
            no_rule_matched: azure.action_reason.as_ref().into(),
        }
    }

    /// Appends one line.
    pub(super) fn push(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        let category = match row {
            Row::Application(_) => "AZFWApplicationRule",
            Row::Network(_) => "AZFWNetworkRule",
            Row::ThreatIntel(_) => "AZFWThreatIntel",
            Row::FlowEnd(_) => "EgretFlow",
            Row::Loss(_) => "EgretLogLoss",
        };
        out.extend_from_slice(START);
        out.extend_from_slice(category.as_bytes());
        out.extend_from_slice(b"\",\"time\":\"");
        time::push(out, row.time());
        out.extend_from_slice(&self.middle);
        json::object(out, |o| match row {
            Row::Application(row) => self.application(o, row),
            Row::Network(row) => self.network(o, row),
            Row::ThreatIntel(row) => network::threat_intel(o, row),
            Row::FlowEnd(row) => flow_end(o, row),
            Row::Loss(row) => loss(o, row),
        });
        out.extend_from_slice(b"}\n");
    }

    /// Azure's columns tell what happened: a denial that audit mode let through is `Allow` there, and what it would have
    /// been is under `egret.audit`.
    fn application(&self, o: &mut Object<'_>, row: &ApplicationRow<'_>) {
        o.word("Protocol", protocol(row.protocol));
        o.address("SourceIp", row.source.ip());
        o.number("SourcePort", row.source.port().into());
        o.number("DestinationPort", row.port.into());
        o.text("Fqdn", row.fqdn, NAME);
        o.text("TargetUrl", row.target_url.unwrap_or_default(), URL);
        o.word("Action", action(row.outcome()));
        rule_columns(o, row.rule);
        o.text("ActionReason", self.action_reason(row.reason), CONFIGURED);
        o.flag("IsTlsInspected", false);
        o.flag("IsExplicitProxyRequest", row.explicit);
        o.word("WebCategory", "");
        o.object("egret", |o| egret(o, row));
    }

    fn action_reason(&self, reason: Reason) -> &str {
        match reason {
            Reason::NoRuleMatched => &self.no_rule_matched,
            other => other.azure_action_reason(),
        }
    }
}

/// Four columns; empty where no rule matched.
fn rule_columns(o: &mut Object<'_>, rule: Option<&RuleRef>) {
    let names = rule
        .map(|r| [&*r.policy, &*r.group, &*r.collection, &*r.rule])
        .unwrap_or_default();
    for (key, name) in ["Policy", "RuleCollectionGroup", "RuleCollection", "Rule"]
        .into_iter()
        .zip(names)
    {
        o.text(key, name, CONFIGURED);
    }
}

fn address_or_empty(o: &mut Object<'_>, key: &str, ip: Option<IpAddr>) {
    match ip {
        Some(ip) => o.address(key, ip),
        None => o.word(key, ""),
    }
}

/// What Azure has no column for. A field that says nothing is left out.
fn egret(o: &mut Object<'_>, row: &ApplicationRow<'_>) {
    o.hex("flow", row.flow.value());
    o.word("reason", row.reason.name());
    o.word("mode", mode(row.mode));
    if row.let_through() {
        o.object("audit", |o| o.word("action", action(row.action)));
    }
    o.number("generation", row.generation);
    o.text("policy_hash", row.policy_hash, CONFIGURED);
    o.word("name_source", row.name_source.name());
    for (key, raw) in [
        ("requested", row.requested),
        ("sni", row.sni),
        ("host", row.host_header),
    ] {
        if let Some(raw) = raw {
            o.bytes(key, raw, NAME);
        }
    }
    if let Some(ech) = row.ech {
        o.word("ech", ech);
    }
    if let Some(answer) = row.dns {
        dns(o.value("dns"), answer);
    }
    if let Some(address) = row.address {
        o.address("address", address.ip());
    }
    if !row.refused_addresses.is_empty() {
        refused(o.value("refused"), row.refused_addresses);
    }
    for (key, flag) in [
        ("wide", row.wide),
        ("public_resolution", row.public_resolution),
        ("overrides", row.overrides),
    ] {
        if flag {
            o.flag(key, true);
        }
    }
    if let Some(detail) = row.detail {
        o.text("detail", detail, DETAIL);
    }
}

fn refused(out: &mut Vec<u8>, addresses: &[IpAddr]) {
    out.push(b'[');
    for (i, ip) in addresses.iter().take(SHOWN_REFUSED).enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\"{}\"", ip.to_canonical()).expect("writing to a Vec cannot fail");
    }
    out.push(b']');
}

/// The way a name was resolved, one sentence a step: `a.example CNAME b.example (zone a.example, server 10.0.0.4:53, 300 s)`.
/// Names here have been parsed and hold nothing that needs care; zone and server come from the configuration.
fn dns(out: &mut Vec<u8>, answer: &Answer) {
    let start = out.len();
    out.push(b'[');
    let steps = answer.links.len() + answer.addresses.len();
    for shown in 0..steps {
        let before = out.len();
        if shown > 0 {
            out.push(b',');
        }
        dns_step(out, answer, shown);
        if out.len() - start > DNS {
            out.truncate(before);
            let comma = if shown > 0 { "," } else { "" };
            write!(out, "{comma}\"...(cut, {steps} steps)\"").expect("writing to a Vec cannot fail");
            break;
        }
    }
    out.push(b']');
}

fn dns_step(out: &mut Vec<u8>, answer: &Answer, step: usize) {
    let (zone, server, ttl) = if let Some(link) = answer.links.get(step) {
        write!(out, "\"{} CNAME {}", link.owner.as_str(), link.target.as_str()).expect("writing to a Vec cannot fail");
        (&link.zone, &link.server, link.ttl)
    } else {
        let found = &answer.addresses[step - answer.links.len()];
        let kind = if found.ip.is_ipv4() { "A" } else { "AAAA" };
        write!(out, "\"{} {kind} {}", found.owner.as_str(), found.ip).expect("writing to a Vec cannot fail");
        (&found.zone, &found.server, found.ttl)
    };
    out.extend_from_slice(b" (zone ");
    escape::push(out, zone.as_bytes(), NAME, Style::Json);
    out.extend_from_slice(b", server ");
    escape::push(out, server.as_bytes(), CONFIGURED, Style::Json);
    write!(out, ", {ttl} s)\"").expect("writing to a Vec cannot fail");
}

fn flow_end(o: &mut Object<'_>, row: &FlowEnd<'_>) {
    o.hex("FlowId", row.flow.value());
    o.word("Protocol", row.protocol.map_or("", protocol));
    o.address("SourceIp", row.source.ip());
    o.number("SourcePort", row.source.port().into());
    o.text("Fqdn", row.fqdn, NAME);
    address_or_empty(o, "DestinationIp", row.address.map(|address| address.ip()));
    o.number("DestinationPort", row.port.into());
    o.number("BytesSent", row.sent);
    o.number("BytesReceived", row.received);
    let micros = row.duration.as_micros().min(u64::MAX.into()) as u64;
    write!(o.value("DurationMs"), "{}.{:03}", micros / 1000, micros % 1000).expect("writing to a Vec cannot fail");
    o.word("End", row.end.name());
    o.word("Stage", row.stage.name());
    o.word("Reason", row.reason.name());
    o.number("Generation", row.generation);
}

fn loss(o: &mut Object<'_>, row: &Loss) {
    o.word("Sink", row.sink);
    o.word("Cause", row.cause.name());
    o.number("Rows", row.rows);
    o.number("Bytes", row.bytes);
    for (key, when) in [("FirstTime", row.first), ("LastTime", row.last)] {
        let out = o.value(key);
        out.push(b'"');
        time::push(out, when);
        out.push(b'"');
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Https => "HTTPS",
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "Allow",
        Action::Deny => "Deny",
    }
}

/// Text of a mode in rows.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Audit => "audit",
    }
}
