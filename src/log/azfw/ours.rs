//! Tables of ours: `EgretFlow` and `EgretLogLoss`.

use super::{NAME, address_or_empty, protocol};
use crate::log::{
    json::{Object, key},
    row::{FlowEnd, Loss},
    time,
};

pub(super) fn flow_end(o: &mut Object<'_>, row: &FlowEnd<'_>) {
    o.hex(key!("FlowId"), row.flow.value());
    o.word(key!("Protocol"), row.protocol.map_or("", protocol));
    o.address(key!("SourceIp"), row.source.ip());
    o.number(key!("SourcePort"), row.source.port().into());
    o.text(key!("Fqdn"), row.fqdn, NAME);
    address_or_empty(o, key!("DestinationIp"), row.address.map(|address| address.ip()));
    o.number(key!("DestinationPort"), row.port.into());
    o.number(key!("BytesSent"), row.sent);
    o.number(key!("BytesReceived"), row.received);
    let micros = row.duration.as_micros().min(u64::MAX.into()) as u64;
    o.thousandths(key!("DurationMs"), micros);
    o.word(key!("End"), row.end.name());
    o.word(key!("Stage"), row.stage.name());
    o.word(key!("Reason"), row.reason.name());
    o.number(key!("Generation"), row.generation);
}

pub(super) fn loss(o: &mut Object<'_>, row: &Loss) {
    o.word(key!("Sink"), row.sink);
    o.word(key!("Cause"), row.cause.name());
    o.number(key!("Rows"), row.rows);
    o.number(key!("Bytes"), row.bytes);
    for (key, when) in [(key!("FirstTime"), row.first), (key!("LastTime"), row.last)] {
        let out = o.value(key);
        out.push(b'"');
        time::push(out, when);
        out.push(b'"');
    }
}
