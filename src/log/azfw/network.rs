//! `AZFWNetworkRule` and `AZFWThreatIntel`.

use super::{
    CONFIGURED, DETAIL, Envelope, NAME, URL, action, address_or_empty, as_sent, audit, mode,
    resolution::{dns, refused},
    rule_columns,
};
use crate::log::{
    json::{Object, key},
    row::{NetworkRow, Spoken, ThreatIntelRow},
};

impl Envelope {
    /// As in the application table, Azure's columns tell what happened.
    pub(super) fn network(&self, o: &mut Object<'_>, row: &NetworkRow<'_>) {
        o.word(key!("Protocol"), row.transport.name());
        o.address(key!("SourceIp"), row.source.ip());
        o.number(key!("SourcePort"), row.source.port().into());
        address_or_empty(o, key!("DestinationIp"), row.destination);
        o.number(key!("DestinationPort"), row.port.into());
        o.word(key!("Action"), action(row.outcome()));
        rule_columns(o, row.rule);
        o.text(
            key!("ActionReason"),
            self.action_reason(row.outcome(), row.rule, row.reason),
            CONFIGURED,
        );
        o.object(key!("egret"), |o| egret(o, row));
    }
}

pub(in crate::log) fn egret(o: &mut Object<'_>, row: &NetworkRow<'_>) {
    o.hex(key!("flow"), row.flow.value());
    o.word(key!("reason"), row.reason.name());
    o.word(key!("mode"), mode(row.mode));
    if row.let_through() {
        o.object(key!("audit"), |o| audit(o, row.action, row.behind));
    }
    o.number(key!("generation"), row.generation);
    o.text(key!("policy_hash"), row.policy_hash, CONFIGURED);
    if let Some(fqdn) = row.fqdn {
        o.text(key!("fqdn"), fqdn, NAME);
        o.word(key!("name_source"), row.name_source.name());
    }
    as_sent(o, row.requested, row.sni, row.host_header);
    if let Some(ech) = row.ech {
        o.word(key!("ech"), ech);
    }
    if let Some(answer) = row.dns {
        dns(o.value(key!("dns")), answer);
    }
    if let Some(address) = row.address {
        o.address(key!("address"), address.ip());
    }
    if !row.refused_addresses.is_empty() {
        refused(o.value(key!("refused")), row.refused_addresses);
    }
    if row.overrides {
        o.flag(key!("overrides"), true);
    }
    if let Some(detail) = row.detail {
        o.text(key!("detail"), detail, DETAIL);
    }
}

pub(super) fn threat_intel(o: &mut Object<'_>, row: &ThreatIntelRow<'_>) {
    let protocol = match row.spoken {
        Spoken::Application(protocol) => super::protocol(protocol),
        Spoken::Transport(transport) => transport.name(),
    };
    o.word(key!("Protocol"), protocol);
    o.address(key!("SourceIp"), row.source.ip());
    o.number(key!("SourcePort"), row.source.port().into());
    address_or_empty(o, key!("DestinationIp"), row.destination);
    o.number(key!("DestinationPort"), row.port.into());
    o.text(key!("Fqdn"), row.fqdn, NAME);
    o.text(key!("TargetUrl"), row.target_url.unwrap_or_default(), URL);
    o.word(key!("Action"), row.action.name());
    o.text(key!("ThreatDescription"), row.description, DETAIL);
    o.flag(key!("IsTlsInspected"), false);
    o.object(key!("egret"), |o| threat_egret(o, row));
}

pub(in crate::log) fn threat_egret(o: &mut Object<'_>, row: &ThreatIntelRow<'_>) {
    o.hex(key!("flow"), row.flow.value());
    o.number(key!("generation"), row.generation);
    o.text(key!("policy_hash"), row.policy_hash, CONFIGURED);
}
