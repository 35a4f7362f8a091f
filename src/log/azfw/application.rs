//! `AZFWApplicationRule`.

use super::{
    CONFIGURED, DETAIL, Envelope, NAME, URL, action, as_sent, audit, mode, protocol,
    resolution::{dns, refused},
    rule_columns,
};
use crate::log::{
    json::{Object, key},
    row::ApplicationRow,
};

impl Envelope {
    /// Azure's columns tell what happened: a denial that audit mode let through is `Allow` there, and what it would have
    /// been is under `egret.audit`.
    pub(super) fn application(&self, o: &mut Object<'_>, row: &ApplicationRow<'_>) {
        o.word(key!("Protocol"), protocol(row.protocol));
        o.address(key!("SourceIp"), row.source.ip());
        o.number(key!("SourcePort"), row.source.port().into());
        o.number(key!("DestinationPort"), row.port.into());
        o.text(key!("Fqdn"), row.fqdn, NAME);
        o.text(key!("TargetUrl"), row.target_url.unwrap_or_default(), URL);
        o.word(key!("Action"), action(row.outcome()));
        rule_columns(o, row.rule);
        o.text(
            key!("ActionReason"),
            self.action_reason(row.outcome(), row.rule, row.reason),
            CONFIGURED,
        );
        o.flag(key!("IsTlsInspected"), false);
        o.flag(key!("IsExplicitProxyRequest"), row.explicit);
        o.word(key!("WebCategory"), "");
        o.object(key!("egret"), |o| egret(o, row));
    }
}

/// What Azure has no column for. A field that says nothing is left out.
pub(in crate::log) fn egret(o: &mut Object<'_>, row: &ApplicationRow<'_>) {
    o.hex(key!("flow"), row.flow.value());
    o.word(key!("reason"), row.reason.name());
    o.word(key!("mode"), mode(row.mode));
    if row.let_through() {
        o.object(key!("audit"), |o| audit(o, row.action, row.behind));
    }
    o.number(key!("generation"), row.generation);
    o.text(key!("policy_hash"), row.policy_hash, CONFIGURED);
    o.word(key!("name_source"), row.name_source.name());
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
    for (key, flag) in [
        (key!("wide"), row.wide),
        (key!("public_resolution"), row.public_resolution),
        (key!("overrides"), row.overrides),
    ] {
        if flag {
            o.flag(key, true);
        }
    }
    if let Some(detail) = row.detail {
        o.text(key!("detail"), detail, DETAIL);
    }
}
