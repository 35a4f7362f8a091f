//! Rows as Azure Firewall's diagnostic settings deliver them: one JSON line with `category`, `time`, `resourceId` and
//! `properties` (Azure Monitor, tables `AZFW*`). What Azure has no column for is under `properties.egret`.
//!
//! `docs/logs.md` explains every column.

mod aggregate;
pub(super) mod application;
mod dns;
pub(super) mod network;
mod ours;
mod packets;
mod resolution;

use super::{
    escape::{self, Style},
    json::{self, Key, Object, key},
    row::Row,
    time,
};
use crate::config::settings::Azure;
use crate::policy::{Action, Mode, Protocol, Reason, RuleRef};
use std::{net::IpAddr, time::SystemTime};

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

/// Columns that are the same in every row of a process.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// `","resourceId":".."`, ready to be copied.
    resource: Vec<u8>,
    /// `ActionReason` of `NoRuleMatched`.
    no_rule_matched: Box<str>,
}

impl Envelope {
    pub(super) fn new(azure: &Azure) -> Self {
        let mut resource = b"\",\"resourceId\":\"".to_vec();
        escape::push(
            &mut resource,
            azure.resource_id.to_uppercase().as_bytes(),
            RESOURCE_ID,
            Style::Json,
        );
        resource.push(b'"');
        Self {
            resource,
            no_rule_matched: azure.action_reason.as_ref().into(),
        }
    }

    /// Appends one line.
    pub(super) fn push(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        self.head(out, row.category(), row.time());
        out.extend_from_slice(b",\"properties\":");
        self.properties(out, row);
        out.extend_from_slice(b"}\n");
    }

    /// What the lines of every form of Azure's begin with, up to a comma.
    pub(super) fn head(&self, out: &mut Vec<u8>, category: &str, time: SystemTime) {
        out.extend_from_slice(START);
        out.extend_from_slice(category.as_bytes());
        out.extend_from_slice(b"\",\"time\":\"");
        time::push(out, time);
        out.extend_from_slice(&self.resource);
    }

    /// Appends the columns alone, as an object.
    pub(super) fn properties(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        json::object(out, |o| match row {
            Row::Application(row) => self.application(o, row),
            Row::Network(row) => self.network(o, row),
            Row::ThreatIntel(row) => network::threat_intel(o, row),
            Row::Nat(row) => packets::nat(o, row),
            Row::Idps(row) => packets::idps(o, row),
            Row::FatFlow(row) => packets::fat_flow(o, row),
            Row::FlowTrace(row) => packets::flow_trace(o, row),
            Row::DnsQuery(row) => dns::query(o, row),
            Row::ResolveFailure(row) => dns::resolve_failure(o, row),
            Row::ApplicationAggregate(row) => self.application_aggregate(o, row),
            Row::NetworkAggregate(row) => self.network_aggregate(o, row),
            Row::NatAggregate(row) => aggregate::nat(o, row),
            Row::FlowEnd(row) => ours::flow_end(o, row),
            Row::Loss(row) => ours::loss(o, row),
        });
    }

    /// Of the decision, as in Azure's table: trouble with the destination is none. Empty where a rule made it.
    pub(super) fn action_reason(&self, action: Action, rule: Option<&RuleRef>, reason: Reason) -> &str {
        match reason {
            _ if action == Action::Allow && rule.is_some() => "",
            Reason::NoRuleMatched => &self.no_rule_matched,
            _ if action == Action::Allow && reason.is_trouble() => &self.no_rule_matched,
            other => other.azure_action_reason(),
        }
    }
}

/// Four columns; empty where no rule matched.
fn rule_columns(o: &mut Object<'_>, rule: Option<&RuleRef>) {
    let Some(rule) = rule else {
        return o.members(",\"Policy\":\"\",\"RuleCollectionGroup\":\"\",\"RuleCollection\":\"\",\"Rule\":\"\"");
    };
    o.text(key!("Policy"), &rule.policy, CONFIGURED);
    o.text(key!("RuleCollectionGroup"), &rule.group, CONFIGURED);
    o.text(key!("RuleCollection"), &rule.collection, CONFIGURED);
    o.text(key!("Rule"), &rule.rule, CONFIGURED);
}

/// What audit mode let through: what it would have been, and the rule that lets it through.
fn audit(o: &mut Object<'_>, would: Action, behind: Option<&RuleRef>) {
    o.word(key!("action"), action(would));
    let Some(rule) = behind else { return };
    o.object(key!("behind"), |o| {
        o.text(key!("policy"), &rule.policy, CONFIGURED);
        o.text(key!("group"), &rule.group, CONFIGURED);
        o.text(key!("collection"), &rule.collection, CONFIGURED);
        o.text(key!("rule"), &rule.rule, CONFIGURED);
    });
}

/// What a client sent, byte for byte.
fn as_sent(o: &mut Object<'_>, requested: Option<&[u8]>, sni: Option<&[u8]>, host_header: Option<&[u8]>) {
    for (key, raw) in [
        (key!("requested"), requested),
        (key!("sni"), sni),
        (key!("host"), host_header),
    ] {
        if let Some(raw) = raw {
            o.bytes(key, raw, NAME);
        }
    }
}

fn address_or_empty(o: &mut Object<'_>, key: Key, ip: Option<IpAddr>) {
    match ip {
        Some(ip) => o.address(key, ip),
        None => o.word(key, ""),
    }
}

pub(super) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Https => "HTTPS",
    }
}

pub(super) fn action(action: Action) -> &'static str {
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
