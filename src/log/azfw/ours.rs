//! Tables of ours: `EgretFlow` and `EgretLogLoss`.

use super::{NAME, address_or_empty, protocol};
use crate::log::{
    json::Object,
    row::{FlowEnd, Loss},
    time,
};

pub(super) fn flow_end(o: &mut Object<'_>, row: &FlowEnd<'_>) {
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
    o.thousandths("DurationMs", micros);
    o.word("End", row.end.name());
    o.word("Stage", row.stage.name());
    o.word("Reason", row.reason.name());
    o.number("Generation", row.generation);
}

pub(super) fn loss(o: &mut Object<'_>, row: &Loss) {
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
