//! Rows for people: one line each, fields by name after the first few words. Nothing in it can drive a terminal.

use super::{
    azfw::{self, Envelope},
    escape::{self, Style},
    row::{ApplicationRow, FlowEnd, Loss, NetworkRow, ResolveFailureRow, Row, Spoken, ThreatIntelRow},
    time,
};
use crate::policy::{Action, Reason, RuleRef};
use std::{
    fmt::Display,
    io::Write,
    net::{IpAddr, SocketAddr},
};

/// Refused addresses shown: as many as a row can carry.
const SHOWN_REFUSED: usize = 8;

/// Longest name in bytes, as written.
const NAME: usize = 512;

/// Appends one line. What no flow of egret writes has no sentence, only its columns.
pub(super) fn push(out: &mut Vec<u8>, columns: &Envelope, row: &Row<'_>) {
    time::push(out, row.time());
    match row {
        Row::Application(row) => application(out, row),
        Row::Network(row) => network(out, row),
        Row::ThreatIntel(row) => threat_intel(out, row),
        Row::ResolveFailure(row) => resolve_failure(out, row),
        Row::FlowEnd(row) => flow_end(out, row),
        Row::Loss(row) => loss(out, row),
        _ => {
            shown(out, format_args!("{} ", row.category()));
            columns.properties(out, row);
        }
    }
    out.push(b'\n');
}

/// `.. ALLOW 10.1.0.4:51000 https contoso-ai.openai.azure.com:443 RuleMatched rule=ai/azure-ai/openai address=10.1.2.4 ..`
fn application(out: &mut Vec<u8>, row: &ApplicationRow<'_>) {
    let word = verdict(row.outcome(), row.let_through());
    target(
        out,
        word,
        row.source,
        Spoken::Application(row.protocol).lower(),
        if row.fqdn.is_empty() { "-" } else { row.fqdn },
        row.port,
    );
    decided(out, row.reason, row.rule, row.address, row.refused_addresses);
    let asked = format!("{}:{}", row.fqdn, row.port);
    let requested = row.requested.filter(|raw| *raw != asked.as_bytes());
    as_sent(out, requested, row.sni, row.host_header);
    if let Some(ech) = row.ech {
        field(out, "ech", ech);
    }
    for (name, flag) in [
        ("wide", row.wide),
        ("public-resolution", row.public_resolution),
        ("overrides", row.overrides),
    ] {
        if flag {
            shown(out, name);
        }
    }
    field(out, "mode", azfw::mode(row.mode));
    field(out, "generation", row.generation);
    field(out, "flow", row.flow);
    if let Some(detail) = row.detail {
        key(out, "detail");
        escaped(out, detail.as_bytes());
    }
}

/// `.. ALLOW 10.1.0.4:51000 tcp 10.1.2.4:22 RuleMatched rule=net/ssh/jump address=10.1.2.4 ..`
fn network(out: &mut Vec<u8>, row: &NetworkRow<'_>) {
    let word = verdict(row.outcome(), row.let_through());
    let destination = row.destination.map(|ip| ip.to_canonical().to_string());
    let shown_target = row.fqdn.or(destination.as_deref()).unwrap_or_default();
    target(
        out,
        word,
        row.source,
        Spoken::Transport(row.transport).lower(),
        shown_target,
        row.port,
    );
    decided(out, row.reason, row.rule, row.address, row.refused_addresses);
    as_sent(out, row.requested, row.sni, row.host_header);
    if let Some(ech) = row.ech {
        field(out, "ech", ech);
    }
    if row.overrides {
        shown(out, "overrides");
    }
    field(out, "mode", azfw::mode(row.mode));
    field(out, "generation", row.generation);
    field(out, "flow", row.flow);
    if let Some(detail) = row.detail {
        key(out, "detail");
        escaped(out, detail.as_bytes());
    }
}

/// `.. THREAT 10.1.0.4:51000 https bad.example:443 Deny description="bad.example is listed" generation=3 flow=..`
fn threat_intel(out: &mut Vec<u8>, row: &ThreatIntelRow<'_>) {
    target(out, "THREAT", row.source, row.spoken.lower(), row.fqdn, row.port);
    shown(out, row.action.name());
    key(out, "description");
    escaped(out, row.description.as_bytes());
    if let Some(ip) = row.destination {
        field(out, "destination", ip.to_canonical());
    }
    field(out, "generation", row.generation);
    field(out, "flow", row.flow);
}

/// `.. NODNS api.example.com error="api.example.com does not exist (zone .)" rule=ai/azure-ai/openai flow=..`
fn resolve_failure(out: &mut Vec<u8>, row: &ResolveFailureRow<'_>) {
    shown(out, "NODNS ");
    escaped(out, row.fqdn.as_bytes());
    key(out, "error");
    escaped(out, row.error.as_bytes());
    if let Some(server) = row.server {
        field(out, "server", server);
    }
    if let Some(rule) = row.rule {
        rule_name(out, rule);
    }
    field(out, "reason", row.reason.name());
    field(out, "generation", row.generation);
    field(out, "flow", row.flow);
}

/// What a client sent.
fn as_sent(out: &mut Vec<u8>, requested: Option<&[u8]>, sni: Option<&[u8]>, host_header: Option<&[u8]>) {
    for (name, raw) in [("requested", requested), ("sni", sni), ("host", host_header)] {
        if let Some(raw) = raw {
            key(out, name);
            escaped(out, raw);
        }
    }
}

fn verdict(outcome: Action, let_through: bool) -> &'static str {
    match outcome {
        Action::Allow if let_through => "AUDIT",
        Action::Allow => "ALLOW",
        Action::Deny => "DENY ",
    }
}

fn rule_name(out: &mut Vec<u8>, rule: &RuleRef) {
    key(out, "rule");
    escaped(
        out,
        format!("{}/{}/{}", rule.group, rule.collection, rule.rule).as_bytes(),
    );
}

/// Why, by which rule, and to which addresses.
fn decided(out: &mut Vec<u8>, reason: Reason, rule: Option<&RuleRef>, address: Option<SocketAddr>, refused: &[IpAddr]) {
    shown(out, reason.name());
    if let Some(rule) = rule {
        rule_name(out, rule);
    }
    if let Some(address) = address {
        field(out, "address", address.ip().to_canonical());
    }
    for ip in refused.iter().take(SHOWN_REFUSED) {
        field(out, "refused", ip.to_canonical());
    }
}

/// `.. END   10.1.0.4:51000 https contoso-ai.openai.azure.com:443 UpstreamClosed sent=517 received=4096 ms=12.345 ..`
fn flow_end(out: &mut Vec<u8>, row: &FlowEnd<'_>) {
    let spoken = row
        .protocol
        .map_or("-", |protocol| Spoken::Application(protocol).lower());
    target(out, "END  ", row.source, spoken, row.fqdn, row.port);
    shown(out, row.end.name());
    field(out, "sent", row.sent);
    field(out, "received", row.received);
    let micros = row.duration.as_micros();
    field(out, "ms", format_args!("{}.{:03}", micros / 1000, micros % 1000));
    if let Some(address) = row.address {
        field(out, "address", address.ip().to_canonical());
    }
    field(out, "stage", row.stage.name());
    field(out, "reason", row.reason.name());
    field(out, "generation", row.generation);
    field(out, "flow", row.flow);
}

/// `.. LOST  120 rows of stdout, 70000 bytes, QueueFull, from 2026-.. to 2026-..`
fn loss(out: &mut Vec<u8>, row: &Loss) {
    let Loss { sink, rows, bytes, .. } = row;
    shown(
        out,
        format_args!(
            "LOST  {rows} rows of {sink}, {bytes} bytes, {}, from ",
            row.cause.name()
        ),
    );
    time::push(out, row.first);
    out.extend_from_slice(b" to ");
    time::push(out, row.last);
}

fn target(out: &mut Vec<u8>, word: &str, source: SocketAddr, protocol: &str, fqdn: &str, port: u16) {
    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
    shown(out, format_args!("{word} {source} {protocol} "));
    escaped(out, fqdn.as_bytes());
    write!(out, ":{port}").expect("writing to a Vec cannot fail");
}

fn shown(out: &mut Vec<u8>, value: impl Display) {
    write!(out, " {value}").expect("writing to a Vec cannot fail");
}

fn field(out: &mut Vec<u8>, name: &str, value: impl Display) {
    shown(out, format_args!("{name}={value}"));
}

fn key(out: &mut Vec<u8>, name: &str) {
    shown(out, format_args!("{name}="));
}

/// Bare if it is one plain word, else in quotes: no value can pass for another field.
fn escaped(out: &mut Vec<u8>, raw: &[u8]) {
    let word = |&b: &u8| b.is_ascii_alphanumeric() || b"._-:[]/*".contains(&b);
    if !raw.is_empty() && raw.len() <= NAME && raw.iter().all(word) {
        return out.extend_from_slice(raw);
    }
    out.push(b'"');
    escape::push(out, raw, NAME, Style::Plain);
    out.push(b'"');
}
