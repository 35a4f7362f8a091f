//! `AZFWNetworkRule` and `AZFWThreatIntel`.

use super::{
    CONFIGURED, DETAIL, Envelope, NAME, URL, action, address_or_empty, as_sent, audit, mode,
    resolution::{dns, refused},
    rule_columns,
};
use crate::log::{
    json::Object,
    row::{NetworkRow, Spoken, ThreatIntelRow},
};

impl Envelope {
    /// As in the application table, Azure's columns tell what happened.
    pub(super) fn network(&self, o: &mut Object<'_>, row: &NetworkRow<'_>) {
        o.word("Protocol", row.transport.name());
        o.address("SourceIp", row.source.ip());
        o.number("SourcePort", row.source.port().into());
        address_or_empty(o, "DestinationIp", row.destination);
        o.number("DestinationPort", row.port.into());
        o.word("Action", action(row.outcome()));
        rule_columns(o, row.rule);
        o.text(
            "ActionReason",
            self.action_reason(row.outcome(), row.rule, row.reason),
            CONFIGURED,
        );
        o.object("egret", |o| egret(o, row));
    }
}

pub(in crate::log) fn egret(o: &mut Object<'_>, row: &NetworkRow<'_>) {
    o.hex("flow", row.flow.value());
    o.word("reason", row.reason.name());
    o.word("mode", mode(row.mode));
    if row.let_through() {
        o.object("audit", |o| audit(o, row.action, row.behind));
    }
    o.number("generation", row.generation);
    o.text("policy_hash", row.policy_hash, CONFIGURED);
    if let Some(fqdn) = row.fqdn {
        o.text("fqdn", fqdn, NAME);
        o.word("name_source", row.name_source.name());
    }
    as_sent(o, row.requested, row.sni, row.host_header);
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
    if row.overrides {
        o.flag("overrides", true);
    }
    if let Some(detail) = row.detail {
        o.text("detail", detail, DETAIL);
    }
}

pub(super) fn threat_intel(o: &mut Object<'_>, row: &ThreatIntelRow<'_>) {
    let protocol = match row.spoken {
        Spoken::Application(protocol) => super::protocol(protocol),
        Spoken::Transport(transport) => transport.name(),
    };
    o.word("Protocol", protocol);
    o.address("SourceIp", row.source.ip());
    o.number("SourcePort", row.source.port().into());
    address_or_empty(o, "DestinationIp", row.destination);
    o.number("DestinationPort", row.port.into());
    o.text("Fqdn", row.fqdn, NAME);
    o.text("TargetUrl", row.target_url.unwrap_or_default(), URL);
    o.word("Action", row.action.name());
    o.text("ThreatDescription", row.description, DETAIL);
    o.flag("IsTlsInspected", false);
    o.object("egret", |o| threat_egret(o, row));
}

pub(in crate::log) fn threat_egret(o: &mut Object<'_>, row: &ThreatIntelRow<'_>) {
    o.hex("flow", row.flow.value());
    o.number("generation", row.generation);
    o.text("policy_hash", row.policy_hash, CONFIGURED);
}
