//! Rows of names: what was asked of us, and what could not be resolved.

use super::FlowId;
use crate::policy::{Reason, RuleRef, Transport};
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// A name that a rule admits could not be resolved: category `AZFWFqdnResolveFailure`, table
/// `AZFWInternalFqdnResolutionFailure`. The attempt has a row of its own.
#[derive(Clone, Copy, Debug)]
pub struct ResolveFailureRow<'a> {
    /// When it failed.
    pub time: SystemTime,
    /// The flow that asked.
    pub flow: FlowId,
    /// The name, in normal form.
    pub fqdn: &'a str,
    /// What went wrong.
    pub error: &'a str,
    /// The zone that was asked.
    pub zone: Option<&'a str>,
    /// The server of that zone; `None` if it has several, any of which may have failed.
    pub server: Option<SocketAddr>,
    /// The rule that admits the name.
    pub rule: Option<&'a RuleRef>,
    /// Why.
    pub reason: Reason,
    /// Generation of the policy that decided.
    pub generation: u64,
    /// Hash of the configuration that decided.
    pub policy_hash: &'a str,
}

/// A question to the DNS proxy: `AZFWDnsQuery`. egret answers no questions yet: the type holds the table's columns.
#[derive(Clone, Copy, Debug)]
pub struct DnsQueryRow<'a> {
    /// When it was answered.
    pub time: SystemTime,
    /// Who asked.
    pub source: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// Id of the message.
    pub id: u16,
    /// `A`, `AAAA` ..
    pub kind: &'a str,
    /// `IN`
    pub class: &'a str,
    /// The name, without the last dot.
    pub name: &'a str,
    /// Bytes of the question.
    pub request_bytes: u32,
    /// The DO bit of EDNS0 (RFC 3225).
    pub dnssec_ok: bool,
    /// The payload size that the client advertises, in bytes (RFC 6891).
    pub edns0_bytes: u16,
    /// `NOERROR`, `NXDOMAIN` ..
    pub code: &'a str,
    /// Flags of the answer, with commas: `qr,rd,ra`.
    pub flags: &'a str,
    /// Bytes of the answer.
    pub response_bytes: u32,
    /// From arrival to answer.
    pub duration: Duration,
    /// The error that the client got, with its number.
    pub error: Option<(u16, &'a str)>,
}
