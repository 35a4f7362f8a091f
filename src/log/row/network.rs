//! Rows of what is judged by address and port: network rules, DNAT rules, threat intelligence.

use super::{FlowId, NameSource, let_through};
use crate::policy::{Action, Answer, Mode, Protocol, Reason, RuleRef, Transport};
use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

/// A decision on a network rule: `AZFWNetworkRule`.
#[derive(Clone, Copy, Debug)]
pub struct NetworkRow<'a> {
    /// When it was decided.
    pub time: SystemTime,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// The client; port 0 where the protocol has none.
    pub source: SocketAddr,
    /// IP protocol.
    pub transport: Transport,
    /// The address asked for; of a name the one that it was connected to, or else that was judged, or dialled in vain. `None`:
    /// it did not come so far.
    pub destination: Option<IpAddr>,
    /// The port asked for; 0 where the protocol has none.
    pub port: u16,
    /// The name asked for, in normal form, if it was one: Azure's table has no column for it.
    pub fqdn: Option<&'a str>,
    /// Where `fqdn` was read.
    pub name_source: NameSource,
    /// What was asked for, as it was sent.
    pub requested: Option<&'a [u8]>,
    /// The server name of the ClientHello as sent, where one was read.
    pub sni: Option<&'a [u8]>,
    /// The Host field as sent, where it is not what decided.
    pub host_header: Option<&'a [u8]>,
    /// Which form of Encrypted Client Hello was seen.
    pub ech: Option<&'static str>,
    /// What policy or vetting says. See [`NetworkRow::outcome`].
    pub action: Action,
    /// The mode that the policy put the attempt in.
    pub mode: Mode,
    /// The rule that decided.
    pub rule: Option<&'a RuleRef>,
    /// The rule that lets it through all the same, if `rule` denies in audit mode.
    pub behind: Option<&'a RuleRef>,
    /// Why.
    pub reason: Reason,
    /// Generation of the policy that decided.
    pub generation: u64,
    /// Hash of the configuration that decided.
    pub policy_hash: &'a str,
    /// How the name was resolved.
    pub dns: Option<&'a Answer>,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// Addresses that vetting refused.
    pub refused_addresses: &'a [IpAddr],
    /// Dial overrides are on: the address may have been mapped.
    pub overrides: bool,
    /// For people: what the reason alone does not say.
    pub detail: Option<&'a str>,
}

impl NetworkRow<'_> {
    /// A denial that audit mode let through, as in [`super::ApplicationRow::let_through`].
    pub fn let_through(&self) -> bool {
        let_through(self.action, self.mode, self.reason)
    }

    /// What happened to the attempt.
    pub fn outcome(&self) -> Action {
        if self.let_through() { Action::Allow } else { self.action }
    }
}

/// What was spoken, where the table takes both: `HTTP`, `HTTPS`, or the IP protocol where no more is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Judged as an application.
    Application(Protocol),
    /// Judged as packets.
    Transport(Transport),
}

impl Spoken {
    /// Text in rows for people.
    pub fn lower(self) -> &'static str {
        match self {
            Spoken::Application(Protocol::Http) => "http",
            Spoken::Application(Protocol::Https) => "https",
            Spoken::Transport(Transport::Tcp) => "tcp",
            Spoken::Transport(Transport::Udp) => "udp",
            Spoken::Transport(Transport::Icmp) => "icmp",
            Spoken::Transport(Transport::Other(_)) => "other",
        }
    }
}

/// What threat intelligence does with a hit (Azure Firewall: `threatIntelMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreatAction {
    /// Recorded; the rules decide.
    Alert,
    /// Refused before any rule.
    Deny,
}

impl ThreatAction {
    /// Text in rows.
    pub fn name(self) -> &'static str {
        match self {
            ThreatAction::Alert => "Alert",
            ThreatAction::Deny => "Deny",
        }
    }
}

/// A hit on a threat-intelligence list: `AZFWThreatIntel`. The decision on the attempt, if it goes on, has a row of its own.
#[derive(Clone, Copy, Debug)]
pub struct ThreatIntelRow<'a> {
    /// When it was found.
    pub time: SystemTime,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// The client.
    pub source: SocketAddr,
    /// What is, or would be, spoken.
    pub spoken: Spoken,
    /// The address that was listed or asked for, as far as known.
    pub destination: Option<IpAddr>,
    /// The port asked for.
    pub port: u16,
    /// The name asked for, in normal form; empty if none was.
    pub fqdn: &'a str,
    /// The URL without query and userinfo: plain HTTP only.
    pub target_url: Option<&'a str>,
    /// What the hit means.
    pub action: ThreatAction,
    /// What was listed, and where.
    pub description: &'a str,
    /// Generation of the policy that decided.
    pub generation: u64,
    /// Hash of the configuration that decided.
    pub policy_hash: &'a str,
}
