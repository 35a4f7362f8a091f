//! Rows that count decisions that are alike, for Azure's policy analytics. egret writes every decision, and none of these: the
//! types hold the tables' columns.

use crate::policy::{Action, Protocol, Reason, RuleRef, Transport};
use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

/// `AZFWApplicationRuleAggregation`.
#[derive(Clone, Copy, Debug)]
pub struct ApplicationAggregate<'a> {
    /// End of the time that is counted.
    pub time: SystemTime,
    /// The client.
    pub source: IpAddr,
    /// What was spoken.
    pub protocol: Protocol,
    /// The port asked for.
    pub port: u16,
    /// The name asked for.
    pub fqdn: &'a str,
    /// The URL: plain HTTP only.
    pub target_url: Option<&'a str>,
    /// What happened.
    pub action: Action,
    /// The rule that decided.
    pub rule: Option<&'a RuleRef>,
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

/// `AZFWNetworkRuleAggregation`.
#[derive(Clone, Copy, Debug)]
pub struct NetworkAggregate<'a> {
    /// End of the time that is counted.
    pub time: SystemTime,
    /// The client.
    pub source: IpAddr,
    /// IP protocol.
    pub transport: Transport,
    /// The address and port asked for.
    pub destination: SocketAddr,
    /// What happened.
    pub action: Action,
    /// The rule that decided; `None`: the default.
    pub rule: Option<&'a RuleRef>,
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

/// `AZFWNatRuleAggregation`.
#[derive(Clone, Copy, Debug)]
pub struct NatAggregate<'a> {
    /// End of the time that is counted.
    pub time: SystemTime,
    /// The client.
    pub source: IpAddr,
    /// IP protocol.
    pub transport: Transport,
    /// Where it was sent.
    pub translated: SocketAddr,
    /// The rule that translated.
    pub rule: &'a RuleRef,
    /// How often.
    pub count: u64,
}
