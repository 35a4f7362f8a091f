//! Tables of names: `AZFWDnsQuery` and `AZFWInternalFqdnResolutionFailure`.

use super::{CONFIGURED, DETAIL, NAME, address_or_empty, rule_columns};
use crate::log::{
    json::Object,
    row::{DnsQueryRow, ResolveFailureRow},
};
use std::io::Write;

pub(super) fn query(o: &mut Object<'_>, row: &DnsQueryRow<'_>) {
    o.address("SourceIp", row.source.ip());
    o.number("SourcePort", row.source.port().into());
    o.number("QueryId", row.id.into());
    o.text("QueryType", row.kind, CONFIGURED);
    o.text("QueryClass", row.class, CONFIGURED);
    o.text("QueryName", row.name, NAME);
    o.word("Protocol", row.transport.name());
    o.number("RequestSize", row.request_bytes.into());
    o.flag("DnssecOkBit", row.dnssec_ok);
    o.number("EDNS0BufferSize", row.edns0_bytes.into());
    o.text("ResponseCode", row.code, CONFIGURED);
    o.text("ResponseFlags", row.flags, CONFIGURED);
    o.number("ResponseSize", row.response_bytes.into());
    write!(o.value("RequestDurationSecs"), "{:.6}", row.duration.as_secs_f64()).expect("writing to a Vec cannot fail");
    let (number, message) = row.error.unwrap_or_default();
    o.number("ErrorNumber", number.into());
    o.text("ErrorMessage", message, DETAIL);
}

pub(super) fn resolve_failure(o: &mut Object<'_>, row: &ResolveFailureRow<'_>) {
    o.text("Fqdn", row.fqdn, NAME);
    o.text("Error", row.error, DETAIL);
    address_or_empty(o, "ServerIp", row.server.map(|server| server.ip()));
    o.number("ServerPort", row.server.map_or(0, |server| server.port()).into());
    rule_columns(o, row.rule);
    o.object("egret", |o| {
        o.hex("flow", row.flow.value());
        o.word("reason", row.reason.name());
        if let Some(zone) = row.zone {
            o.text("zone", zone, NAME);
        }
        o.number("generation", row.generation);
        o.text("policy_hash", row.policy_hash, CONFIGURED);
    });
}
