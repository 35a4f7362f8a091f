//! What the tests of the sinks share: rows that can be told apart and counted, and waiting for what they do.

use super::{FlowEnd, FlowEndKind, FlowId, Log, Row, Stage};
use crate::policy::Reason;
use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Writes a row that says who wrote it, as its source port, and its number, as the bytes sent.
pub fn write(log: &Log, writer: u16, number: u64) {
    log.write(&Row::FlowEnd(FlowEnd {
        time: SystemTime::now(),
        flow: FlowId::next(),
        source: ([10, 0, 0, 1], writer).into(),
        fqdn: "api.example.com",
        port: 443,
        address: None,
        protocol: None,
        sent: number,
        received: 0,
        duration: Duration::ZERO,
        end: FlowEndKind::Refused,
        stage: Stage::Decide,
        reason: Reason::NoRuleMatched,
        generation: 1,
    }));
}

/// Waits until it holds; panics with `what` after ten seconds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}
