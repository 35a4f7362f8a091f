//! Tables of packets: `AZFWNatRule`, `AZFWIdpsSignature`, `AZFWFatFlow`, `AZFWFlowTrace`.

use super::{CONFIGURED, DETAIL, rule_columns};
use crate::log::{
    json::{Object, key},
    row::{FatFlowRow, FlowTraceRow, IdpsRow, NatRow, Packets},
};
use std::io::Write;

fn packets(o: &mut Object<'_>, packets: &Packets) {
    o.word(key!("Protocol"), packets.transport.name());
    o.address(key!("SourceIp"), packets.source.ip());
    o.number(key!("SourcePort"), packets.source.port().into());
    o.address(key!("DestinationIp"), packets.destination.ip());
    o.number(key!("DestinationPort"), packets.destination.port().into());
}

pub(super) fn nat(o: &mut Object<'_>, row: &NatRow<'_>) {
    packets(o, &row.packets);
    o.address(key!("TranslatedIp"), row.translated.ip());
    o.number(key!("TranslatedPort"), row.translated.port().into());
    rule_columns(o, Some(row.rule));
}

/// `alert` in lower case, as Microsoft's own queries compare it.
pub(super) fn idps(o: &mut Object<'_>, row: &IdpsRow<'_>) {
    packets(o, &row.packets);
    o.word(key!("Action"), if row.denied { "Deny" } else { "alert" });
    o.text(key!("SignatureId"), row.signature, CONFIGURED);
    o.text(key!("Category"), row.category, DETAIL);
    o.text(key!("Description"), row.description, DETAIL);
    o.number(key!("Severity"), row.severity.into());
}

pub(super) fn fat_flow(o: &mut Object<'_>, row: &FatFlowRow) {
    packets(o, &row.packets);
    // JSON has no word for infinity.
    let rate = if row.rate.is_finite() { row.rate } else { 0.0 };
    write!(o.value(key!("FlowRate")), "{rate:.3}").expect("writing to a Vec cannot fail");
}

/// The reason is the one that the table's documentation gives. What the segment was allowed by stands in the rule's row.
pub(super) fn flow_trace(o: &mut Object<'_>, row: &FlowTraceRow) {
    packets(o, &row.packets);
    o.word(key!("Action"), "Log");
    o.word(key!("ActionReason"), "Additional TCP Log");
    o.word(key!("Flag"), row.flag.name());
}
