//! `AZFWApplicationRule`.

use super::{
    CONFIGURED, DETAIL, Envelope, NAME, URL, action, as_sent, audit, mode, protocol,
    resolution::{dns, refused},
    rule_columns,
};
use crate::log::{json::Object, row::ApplicationRow};

impl Envelope {
    /// Azure's columns tell what happened: a denial that audit mode let through is `Allow` there, and what it would have
    /// been is under `egret.audit`.
    pub(super) fn application(&self, o: &mut Object<'_>, row: &ApplicationRow<'_>) {
        o.word("Protocol", protocol(row.protocol));
        o.address("SourceIp", row.source.ip());
        o.number("SourcePort", row.source.port().into());
        o.number("DestinationPort", row.port.into());
        o.text("Fqdn", row.fqdn, NAME);
        o.text("TargetUrl", row.target_url.unwrap_or_default(), URL);
        o.word("Action", action(row.outcome()));
        rule_columns(o, row.rule);
        o.text(
            "ActionReason",
            self.action_reason(row.outcome(), row.rule, row.reason),
            CONFIGURED,
        );
        o.flag("IsTlsInspected", false);
        o.flag("IsExplicitProxyRequest", row.explicit);
        o.word("WebCategory", "");
        o.object("egret", |o| egret(o, row));
    }
}

/// What Azure has no column for. A field that says nothing is left out.
pub(in crate::log) fn egret(o: &mut Object<'_>, row: &ApplicationRow<'_>) {
    o.hex("flow", row.flow.value());
    o.word("reason", row.reason.name());
    o.word("mode", mode(row.mode));
    if row.let_through() {
        o.object("audit", |o| audit(o, row.action, row.behind));
    }
    o.number("generation", row.generation);
    o.text("policy_hash", row.policy_hash, CONFIGURED);
    o.word("name_source", row.name_source.name());
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
