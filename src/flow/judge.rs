//! What the policy says of an explicit target: threat intelligence and network rules around the application rules.
//!
//! A name is judged before it is looked up, and the addresses that it leads to after they are vetted ([`screen`]).

use super::Denial;
use super::reach::named_address;
use super::record::{Attempted, Record};
use crate::log::{NameSource, Stage};
use crate::policy::{
    Action, Answer, Attempt, Audited, DecidedBy, Decision, Expected, FlowAttempt, Fqdn, Host, NoTrace, Protocol,
    Reason, Resolved, Threat, ThreatMode, Transport, Vetted, Via, threat::Listed, vet::Candidate,
};
use crate::snapshot::Snapshot;
use std::net::IpAddr;
use std::sync::Arc;

/// What is decided of a target before anything is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub decision: Decision,
    /// What the tunnel must carry, and for which protocol `decision` is. `None`: it is not gated, because no application rule
    /// opens it.
    pub expected: Option<(Expected, Protocol)>,
}

/// What threat intelligence and network rules said of where a name leads, short of ending it: a connection that is kept for
/// further requests tells it of each.
#[derive(Debug, Default)]
pub(crate) struct Screened {
    /// Addresses on a list in mode `Alert`.
    alerts: Vec<Threat>,
    /// What audit mode would deny.
    audited: Option<Decision>,
    public_resolution: bool,
    /// Where the name led, and what of that vetting refused.
    answer: Option<Arc<Answer>>,
    refused: Vec<IpAddr>,
}

impl Screened {
    /// `by_name`: what was decided before the name was looked up. Where network rules may be recorded alone, all the addresses of a
    /// name settle what is told.
    pub(super) fn take(snapshot: &Snapshot, attempted: &mut Attempted, by_name: Option<Decision>) -> Option<Box<Self>> {
        let audited = attempted.decision.filter(|decision| Some(*decision) != by_name);
        let public_resolution = attempted.public_resolution;
        let screened = attempted.screened.take();
        let recorded = snapshot.policy.records_addresses();
        if screened.is_none() && audited.is_none() && !public_resolution && !recorded {
            return None;
        }
        let mut screened = screened.unwrap_or_default();
        (screened.audited, screened.public_resolution) = (audited, public_resolution);
        screened.answer.clone_from(&attempted.answer);
        screened.refused.clone_from(&attempted.refused);
        Some(screened)
    }

    /// Says it of another attempt for the same name, which the same policy judged.
    pub(super) fn tell(&self, snapshot: &Snapshot, host: &Host, attempted: &mut Attempted, record: &Record) {
        self.alert(attempted, record);
        if let Some(audited) = self.audited {
            attempted.decided(snapshot, host, audited);
        }
        attempted.public_resolution = self.public_resolution;
        attempted.answer.clone_from(&self.answer);
        attempted.refused.clone_from(&self.refused);
    }

    /// What its rows tell in place of what was decided by the name.
    pub(super) fn audited(&self) -> Option<Decision> {
        self.audited
    }

    /// The rows of the alerts.
    fn alert(&self, attempted: &mut Attempted, record: &Record) {
        let alerts = self.alerts.iter();
        alerts.for_each(|alert| attempted.write_threat(record, *alert));
    }
}

/// CONNECT does not say what will be spoken, so both protocols are judged. A tunnel that a network rule allows may carry
/// anything; one that only audit mode lets through is gated as far as there is a name to hold it to.
pub(crate) fn connect(snapshot: &Snapshot, source: IpAddr, host: &Host, port: u16) -> Judged {
    let by_rule = network(snapshot, source, host, None, port, Audited::Passed);
    let judge = |protocol| told(snapshot, source, protocol, host, port, by_rule);
    let https = judge(Protocol::Https);
    let allowed_by_rule = by_rule.is_some_and(|decision| decision.action == Action::Allow);
    if allowed_by_rule || matches!(host, Host::Address(_)) {
        return Judged {
            decision: https,
            expected: None,
        };
    }
    let http = judge(Protocol::Http);
    let expected = Expected::of(https, http, port);
    Judged {
        decision: if expected.1 == Protocol::Http { http } else { https },
        expected: Some(expected),
    }
}

/// One attempt whose protocol is known: a request, or the name in a ClientHello.
pub(crate) fn request(snapshot: &Snapshot, source: IpAddr, protocol: Protocol, host: &Host, port: u16) -> Decision {
    let by_rule = network(snapshot, source, host, None, port, Audited::Passed);
    told(snapshot, source, protocol, host, port, by_rule)
}

/// `by_rule`: what the network rules in force say.
fn told(
    snapshot: &Snapshot,
    source: IpAddr,
    protocol: Protocol,
    host: &Host,
    port: u16,
    by_rule: Option<Decision>,
) -> Decision {
    let judge = |by_rule, audited| match (host, by_rule) {
        (_, Some(decision)) => decision,
        (Host::Name(name), None) => decide(snapshot, source, protocol, name, port, audited),
        (Host::Address(ip), None) => {
            let flow = explicit(source, host, Some(*ip), port, None);
            snapshot.policy.evaluate(&flow, &mut NoTrace).decision
        }
    };
    let recorded = || network(snapshot, source, host, None, port, Audited::Ends);
    (snapshot.policy).told(judge(by_rule, Audited::Passed), || judge(recorded(), Audited::Ends))
}

/// The whole evaluation of what leads to a known address: an open tunnel. `protocol`: what its gate held it to.
pub(crate) fn whole(
    snapshot: &Snapshot,
    source: IpAddr,
    protocol: Option<Protocol>,
    host: &Host,
    to: IpAddr,
    port: u16,
) -> Decision {
    let flow = explicit(source, host, Some(to), port, protocol);
    snapshot.policy.evaluate(&flow, &mut NoTrace).decision
}

/// TLS in a tunnel that was opened for plain HTTP: what the policy of this moment says of it, of the address that the tunnel leads
/// to, and whether the rule that counts now lets the name lead there.
pub(crate) fn tls_instead(
    name: &Fqdn,
    there: &Candidate,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<(), Denial> {
    let (snapshot, host) = (record.shared.snapshot(), Host::Name(name.clone()));
    let protocol = Protocol::Https;
    (attempted.protocol, record.protocol) = (Some(protocol), Some(protocol));
    attempted.name_source = Some(NameSource::Connect);
    attempted.snapshot = Some(snapshot.clone());
    threat(&snapshot, &host, Some(there.ip), attempted, record, Stage::Gate)?;
    let decision = request(&snapshot, record.source.ip(), protocol, &host, attempted.port);
    attempted.decided(&snapshot, &host, decision);
    match decision.permits() {
        true => leads_there(&snapshot, name, there, decision, attempted, record),
        false => Err(Denial::new(decision.reason, Stage::Decide)),
    }
}

/// Vets and screens the address of a tunnel for its name, and tells what audit mode would deny of the name's addresses.
fn leads_there(
    snapshot: &Snapshot,
    name: &Fqdn,
    there: &Candidate,
    decision: Decision,
    attempted: &mut Attempted,
    record: &Record,
) -> Result<(), Denial> {
    let (host, scope, port) = (Host::Name(name.clone()), snapshot.rule_scope(decision), attempted.port);
    let refused = |reason| Denial::new(reason, Stage::Vet).refused(vec![there.ip]);
    snapshot.addresses.vet_again(name, there, scope).map_err(refused)?;
    let by_rule = network(
        snapshot,
        record.source.ip(),
        &host,
        Some(there.ip),
        port,
        Audited::Passed,
    );
    if let Some(denied) = by_rule.filter(|decision| !decision.permits()) {
        attempted.decided(snapshot, &host, denied);
        return Err(refused(denied.reason));
    }
    // The others count too: audit mode tells what enforcing would leave.
    let answer = attempted.answer.clone();
    match answer.map(|answer| snapshot.addresses.vet(&answer, port, scope)) {
        Some(Ok(vetted)) => by_rules(snapshot, &host, port, vetted, attempted, record).map(|_| ()),
        Some(Err(_)) | None => Ok(()),
    }
}

/// Whether an attempt is judged as packets, so that its row is that of network rules: a network rule decided, or no other
/// kind of rule could.
pub(crate) fn as_packets(snapshot: &Snapshot, host: &Host, decision: Decision) -> bool {
    let policy = &snapshot.policy;
    match decision.rule {
        Some(rule) => policy.kind(rule) == Some(DecidedBy::Network),
        None => policy.model().explicit_network_rules && matches!(host, Host::Address(_)),
    }
}

/// Threat intelligence on what is known of an attempt. Each hit is recorded once; in mode `Deny` the first ends the attempt.
pub(crate) fn threat(
    snapshot: &Snapshot,
    host: &Host,
    address: Option<IpAddr>,
    attempted: &mut Attempted,
    record: &Record,
    stage: Stage,
) -> Result<(), Denial> {
    let source = record.source.ip().to_canonical();
    let known = address.or(named_address(host));
    for threat in snapshot.policy.threats(source, name_of(host), known) {
        if threat.mode == ThreatMode::Deny {
            attempted.threat = Some(Box::new(threat));
            return Err(Denial::new(Reason::ThreatIntelligence, stage));
        }
        match (stage, threat.listed) {
            // Where a name leads. An address that was asked for is known from the start.
            (Stage::Vet, Listed::Destination(_)) if named_address(host).is_none() => {
                attempted.screened.get_or_insert_default().alerts.push(threat);
            }
            _ => attempted.write_threat(record, threat),
        }
    }
    Ok(())
}

/// The vetted addresses, once threat intelligence and network rules have seen them. One on a list in mode `Deny` ends the
/// attempt: an answer that holds a known-bad address is not to be trusted. One that a network rule denies is not dialled.
pub(crate) fn screen(
    snapshot: &Snapshot,
    host: &Host,
    port: u16,
    vetted: Vetted,
    attempted: &mut Attempted,
    record: &Record,
) -> Result<Vetted, Denial> {
    if !snapshot.policy.screens_addresses() {
        return Ok(vetted);
    }
    attempted.screened = None;
    for candidate in vetted.addresses() {
        threat(snapshot, host, Some(candidate.ip), attempted, record, Stage::Vet)?;
    }
    if let Some(screened) = attempted.screened.take() {
        screened.alert(attempted, record);
        attempted.screened = Some(screened);
    }
    by_rules(snapshot, host, port, vetted, attempted, record)
}

/// The part of [`screen`] that is for network rules.
fn by_rules(
    snapshot: &Snapshot,
    host: &Host,
    port: u16,
    vetted: Vetted,
    attempted: &mut Attempted,
    record: &Record,
) -> Result<Vetted, Denial> {
    let source = record.source.ip();
    let denied = |ip, audited| {
        let said = network(snapshot, source, host, Some(ip), port, audited);
        said.filter(|decision| decision.action == Action::Deny)
    };
    // What is in force goes before what is recorded alone.
    let denial = |ip| denied(ip, Audited::Passed).or_else(|| denied(ip, Audited::Ends));
    let found = vetted.addresses().iter().map(|candidate| candidate.ip);
    let Some((at, denied)) = found.filter_map(|ip| Some((ip, denial(ip)?))).next() else {
        return Ok(vetted);
    };
    let kept = vetted.without(|ip| denial(ip).is_some_and(|decision| !decision.permits()));
    let kept = kept.map_err(|refused| {
        attempted.decided(snapshot, host, denied);
        Denial::new(denied.reason, Stage::Vet).at(at).refused(refused)
    })?;
    // Where audit mode alone leaves an address it is told as what it would have been; one that nothing denies would do.
    let mut denials = kept.addresses().iter().map(|candidate| denial(candidate.ip));
    if let Some(Some(audited)) = denials.next()
        && denials.all(|denial| denial.is_some())
    {
        let through = attempted.decision.unwrap_or(audited);
        attempted.decided(snapshot, host, audited.behind_which(through));
    }
    Ok(kept)
}

/// What the network rules say, if they are asked at all.
fn network(
    snapshot: &Snapshot,
    source: IpAddr,
    host: &Host,
    to: Option<IpAddr>,
    port: u16,
    audited: Audited,
) -> Option<Decision> {
    if !snapshot.policy.model().explicit_network_rules {
        return None;
    }
    let flow = explicit(source, host, to.or(named_address(host)), port, None);
    snapshot.policy.network(&flow, audited, &mut NoTrace)
}

fn explicit(source: IpAddr, host: &Host, to: Option<IpAddr>, port: u16, protocol: Option<Protocol>) -> FlowAttempt<'_> {
    FlowAttempt {
        source: source.to_canonical(),
        via: Via::Explicit,
        transport: Transport::Tcp,
        destination: to,
        port,
        name: name_of(host),
        protocol,
        resolved: Resolved::NONE,
    }
}

fn name_of(host: &Host) -> Option<&Fqdn> {
    match host {
        Host::Name(name) => Some(name),
        Host::Address(_) => None,
    }
}

/// The application rules alone.
fn decide(
    snapshot: &Snapshot,
    source: IpAddr,
    protocol: Protocol,
    name: &Fqdn,
    port: u16,
    audited: Audited,
) -> Decision {
    let attempt = Attempt {
        source: source.to_canonical(),
        protocol,
        name,
        port,
    };
    snapshot.policy.decide_as(&attempt, audited, &mut NoTrace)
}
