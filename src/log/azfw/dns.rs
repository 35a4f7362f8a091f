//! Tables of names: `AZFWDnsQuery` and `AZFWInternalFqdnResolutionFailure`.

use super::{CONFIGURED, DETAIL, NAME, address_or_empty, rule_columns};
use crate::log::{
    json::{Object, key},
    row::{DnsQueryRow, ResolveFailureRow},
};
use std::io::Write;

pub(super) fn query(o: &mut Object<'_>, row: &DnsQueryRow<'_>) {
    o.address(key!("SourceIp"), row.source.ip());
    o.number(key!("SourcePort"), row.source.port().into());
    o.number(key!("QueryId"), row.id.into());
    o.text(key!("QueryType"), row.kind, CONFIGURED);
    o.text(key!("QueryClass"), row.class, CONFIGURED);
    o.text(key!("QueryName"), row.name, NAME);
    o.word(key!("Protocol"), row.transport.name());
    o.number(key!("RequestSize"), row.request_bytes.into());
    o.flag(key!("DnssecOkBit"), row.dnssec_ok);
    o.number(key!("EDNS0BufferSize"), row.edns0_bytes.into());
    o.text(key!("ResponseCode"), row.code, CONFIGURED);
    o.text(key!("ResponseFlags"), row.flags, CONFIGURED);
    o.number(key!("ResponseSize"), row.response_bytes.into());
    write!(
        o.value(key!("RequestDurationSecs")),
        "{:.6}",
        row.duration.as_secs_f64()
    )
    .expect("writing to a Vec cannot fail");
    let (number, message) = row.error.unwrap_or_default();
    o.number(key!("ErrorNumber"), number.into());
    o.text(key!("ErrorMessage"), message, DETAIL);
}

pub(super) fn resolve_failure(o: &mut Object<'_>, row: &ResolveFailureRow<'_>) {
    o.text(key!("Fqdn"), row.fqdn, NAME);
    o.text(key!("Error"), row.error, DETAIL);
    address_or_empty(o, key!("ServerIp"), row.server.map(|server| server.ip()));
    o.number(key!("ServerPort"), row.server.map_or(0, |server| server.port()).into());
    rule_columns(o, row.rule);
    o.object(key!("egret"), |o| {
        o.hex(key!("flow"), row.flow.value());
        o.word(key!("reason"), row.reason.name());
        if let Some(zone) = row.zone {
            o.text(key!("zone"), zone, NAME);
        }
        o.number(key!("generation"), row.generation);
        o.text(key!("policy_hash"), row.policy_hash, CONFIGURED);
    });
}
