//! Rows of what is seen packet by packet. egret has no event for them yet: the types hold the tables' columns.

use crate::policy::{RuleRef, Transport};
use std::{net::SocketAddr, time::SystemTime};

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub struct Packets {
    /// IP protocol.
    pub transport: Transport,
    /// The client; port 0 where the protocol has none.
    pub source: SocketAddr,
    /// The address that the packets carry; port 0 where the protocol has none.
    pub destination: SocketAddr,
}

/// A translation by a DNAT rule: `AZFWNatRule`. The table has no action: a translation always allows.
#[derive(Clone, Copy, Debug)]
pub struct NatRow<'a> {
    /// When it was translated.
    pub time: SystemTime,
    /// From where to where, before translation.
    pub packets: Packets,
    /// Where it was sent.
    pub translated: SocketAddr,
    /// The rule that translated.
    pub rule: &'a RuleRef,
}

/// A packet that matched signatures of an intrusion detection: `AZFWIdpsSignature`.
#[derive(Clone, Copy, Debug)]
pub struct IdpsRow<'a> {
    /// When it matched.
    pub time: SystemTime,
    /// From where to where.
    pub packets: Packets,
    /// It was dropped, not only noticed.
    pub denied: bool,
    /// The signature's number, as text.
    pub signature: &'a str,
    /// The signature's class.
    pub category: &'a str,
    /// What it finds.
    pub description: &'a str,
    /// 1 high, 2 medium, 3 low (Azure Firewall Premium features, IDPS signature rules).
    pub severity: u8,
}

/// One of the largest flows of a moment: `AZFWFatFlow`.
#[derive(Clone, Copy, Debug)]
pub struct FatFlowRow {
    /// When it was measured.
    pub time: SystemTime,
    /// From where to where.
    pub packets: Packets,
    /// Mbit/s.
    pub rate: f64,
}

/// A TCP segment beyond the first SYN: `AZFWFlowTrace`.
#[derive(Clone, Copy, Debug)]
pub struct FlowTraceRow {
    /// When it was seen.
    pub time: SystemTime,
    /// From where to where.
    pub packets: Packets,
    /// What it is.
    pub flag: TraceFlag,
}

/// What a flow trace notices of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFlag {
    /// The end of one direction.
    Fin,
    /// The end of one direction, and the other's is confirmed.
    FinAck,
    /// The answer to the first segment.
    SynAck,
    /// The connection is torn down.
    Rst,
    /// It belongs to no connection that is known.
    Invalid,
}

impl TraceFlag {
    /// Text in rows.
    pub fn name(self) -> &'static str {
        match self {
            TraceFlag::Fin => "FIN",
            TraceFlag::FinAck => "FIN-ACK",
            TraceFlag::SynAck => "SYN-ACK",
            TraceFlag::Rst => "RST",
            TraceFlag::Invalid => "INVALID",
        }
    }
}
