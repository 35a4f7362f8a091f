//! One connection from accept to record: the module to read first.
//!
//! ```text
//! accept -> source -> intent -> decide -> resolve -> vet -> connect -> gate -> relay -> record
//! ```
//!
//! `serve` and `tunnel` read as this line. The types make the order unbreakable: `connect::connect` takes only
//! [`Vetted`], `relay::relay` only `gate::Passed`. A denial ends the flow wherever it is made, with one rule row and one
//! answer that the client can show.

pub(crate) mod answer;
pub(crate) mod connect;
pub(crate) mod gate;
pub(crate) mod held;
pub(crate) mod http;
pub(crate) mod intent;
pub(crate) mod judge;
pub(crate) mod limits;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod shared;
pub mod tunnels;

pub use crate::log::FlowId;
pub(crate) use shared::{Phase, Shared};

use crate::config::settings::SniMismatch;
use crate::dns::ResolveError;
use crate::log::{FlowEndKind, NameSource, Stage};
use crate::policy::{Action, Answer, Decision, Expected, Fqdn, Host, Protocol, Reason, Vetted};
use crate::snapshot::Snapshot;
use connect::Upstream;
use gate::{Opening, Passed, Spoken};
use held::Held;
use intent::{Intent, IntentError, Target};
use limits::{ConnectionPermit, FilePermit};
use record::{Attempted, Record, column};
use relay::Transfer;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tunnels::{Registered, Tunnel};

/// How long a client may take for its head once egret drains.
const HEAD_WHILE_DRAINING: Duration = Duration::from_millis(250);

/// How long a client may take to let its 200 into the socket: one that was asked nothing before has room.
const ESTABLISHED_TIME: Duration = Duration::from_secs(5);

/// The end of an attempt before it passed. Not an error: somebody decided it, or something out there failed.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub reason: Reason,
    /// The step that made it.
    pub stage: Stage,
    /// For people: what exactly, where the reason alone does not say it.
    pub detail: Option<String>,
    /// Addresses that vetting refused.
    pub refused: Vec<IpAddr>,
}

impl Denial {
    pub(crate) fn new(reason: Reason, stage: Stage) -> Self {
        Self {
            reason,
            stage,
            detail: None,
            refused: Vec::new(),
        }
    }

    pub(crate) fn detail(self, detail: String) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }

    fn refused(self, refused: Vec<IpAddr>) -> Self {
        Self { refused, ..self }
    }
}

/// Serve one client connection of an explicit proxy port.
pub(crate) async fn serve(client: TcpStream, source: SocketAddr, shared: Arc<Shared>, permit: ConnectionPermit) {
    let _permit = permit;
    // All that judges is larger than what relays, and gone once a tunnel is open: an idle one does not carry it.
    if let Some(mut open) = Box::pin(open(client, source, shared)).await {
        open.relay().await;
    }
}

/// A tunnel that passed the gate.
struct Open {
    client: TcpStream,
    upstream: TcpStream,
    /// The upstream's descriptor.
    _file: FilePermit,
    passed: Option<Passed>,
    entry: Registered,
    record: Record,
    idle: Duration,
}

/// Everything up to the relay. `None`: there is nothing to relay, and whoever asked was answered.
async fn open(mut client: TcpStream, source: SocketAddr, shared: Arc<Shared>) -> Option<Open> {
    let mut record = Record::new(shared, source);
    record.stage = Stage::Intent;
    let settings = record.shared.snapshot().settings.clone();
    let mut held = Held::new(record.shared.limits.hold(record.source.ip()));
    let intent = tokio::select! {
        biased;
        intent = intent::read(&mut client, &mut held, &settings.limits) => intent,
        () = too_late(&record.shared) => Err(IntentError::Refused(Reason::Draining, None)),
    };
    match intent {
        Ok(Intent::Connect {
            target,
            raw,
            host_header,
            head_end,
        }) => {
            let attempted = Attempted::connect(&held.bytes, Some(&raw), host_header.as_ref());
            held.bytes.drain(..head_end);
            return tunnel(client, held, target, attempted, record).await;
        }
        // Boxed, so that a tunnel does not carry the size of what it never does.
        Ok(Intent::Http) => Box::pin(http::serve_absolute(client, held, record)).await,
        Err(IntentError::Closed) => {
            // There is nobody to refuse; beyond the rate it leaves no row.
            let _ = charge(&mut record);
            record.denied(&Denial::new(Reason::ClientClosed, Stage::Intent));
        }
        Err(IntentError::Refused(reason, raw)) => {
            let attempted = Attempted::connect(&held.bytes, raw.as_ref(), None);
            drop(held);
            let denial = charged(Denial::new(reason, Stage::Intent), &mut record);
            refuse(client, denial, attempted, record).await;
        }
    }
    None
}

/// Resolves a moment after egret began to drain: whoever was accepted just before has its head under way.
async fn too_late(shared: &Shared) {
    shared.until(Phase::Draining).await;
    tokio::time::sleep(HEAD_WHILE_DRAINING).await;
}

/// CONNECT: decide on the target's name and port, resolve, vet, connect, answer 200, hold the first flight at the gate.
async fn tunnel(
    mut client: TcpStream,
    mut held: Held,
    target: Target,
    mut attempted: Attempted,
    mut record: Record,
) -> Option<Open> {
    record.port = target.port;
    attempted.port = target.port;
    let budget = record.shared.snapshot().settings.limits.held_bytes;
    let opened = tokio::select! {
        biased;
        opened = open_target(&target, &mut attempted, &mut record) => Some(opened),
        () = gone(&mut client, &mut held, budget) => None,
    };
    let left = || Err(Denial::new(Reason::ClientClosed, record.stage));
    let (expected, mut upstream) = match opened.unwrap_or_else(left) {
        Ok(opened) => opened,
        Err(denial) => {
            drop(held);
            refuse(client, denial, attempted, record).await;
            return None;
        }
    };
    let settings = record.shared.snapshot().settings.clone();
    if !matches!(
        timeout(ESTABLISHED_TIME, client.write_all(answer::ESTABLISHED)).await,
        Ok(Ok(()))
    ) {
        record.denied(&Denial::new(Reason::ClientClosed, Stage::Connect));
        return None;
    }
    record.stage = Stage::Gate;
    let (name, expected) = match (target.host, expected) {
        (Host::Name(name), Some(expected)) => (name, expected),
        // A network rule opened it: what it carries is not judged.
        (host, _) => {
            return match enter(&host, None, &upstream, &mut attempted, &mut record) {
                Ok(entry) => Some(passed(client, gate::open(held), upstream, entry, attempted, record)),
                Err(denial) => {
                    refuse_tunnel(client, false, denial, attempted, record).await;
                    None
                }
            };
        }
    };
    let spoken = match expected {
        Expected::Tls => Ok(Spoken::Tls),
        Expected::Http => Ok(Spoken::Http),
        Expected::Either => gate::first_byte(&mut client, &mut held, &settings.limits).await,
    };
    if matches!(spoken, Ok(Spoken::Http)) {
        drop(attempted);
        // Where either may be spoken, the connection was vetted under the rule for TLS, which may trust other addresses.
        let upstream = (expected == Expected::Http).then_some(upstream);
        Box::pin(http::serve_tunnel(client, held, name, upstream, record)).await;
        return None;
    }
    attempted.protocol = Some(Protocol::Https);
    record.protocol = Some(Protocol::Https);
    let first = held.bytes.first().copied();
    let gate = match spoken {
        Ok(_) => {
            open_gate(
                &mut client,
                &mut held,
                &name,
                &mut upstream,
                &mut attempted,
                &mut record,
            )
            .await
        }
        Err(denial) => Err(denial),
    };
    drop(settings);
    let protocol = attempted.protocol;
    let enter = |name| enter(&Host::Name(name), protocol, &upstream, &mut attempted, &mut record);
    match gate.and_then(enter) {
        Ok(entry) => Some(passed(client, gate::open(held), upstream, entry, attempted, record)),
        Err(denial) => {
            let tls = held.bytes.first().copied().or(first).is_none_or(|byte| byte == 22);
            drop(held);
            refuse_tunnel(client, tls, denial, attempted, record).await;
            None
        }
    }
}

/// The row of a decision that lets a tunnel pass, and what is left of it then.
fn passed(
    client: TcpStream,
    passed: Passed,
    upstream: Upstream,
    entry: Registered,
    attempted: Attempted,
    mut record: Record,
) -> Open {
    attempted.write_passed(&record);
    // In audit mode a tunnel may be open that no rule allows.
    record.reason = attempted
        .decision
        .map_or(Reason::RuleMatched, |decision| decision.reason);
    record.stage = Stage::Relay;
    let idle = record.shared.snapshot().settings.limits.idle;
    let (upstream, file) = upstream.into_parts();
    Open {
        client,
        upstream,
        _file: file,
        passed: Some(passed),
        entry,
        record,
        idle,
    }
}

impl Open {
    async fn relay(&mut self) {
        let Some(passed) = self.passed.take() else { return };
        let (client, upstream) = (&mut self.client, &mut self.upstream);
        let transfer = relay::relay(client, upstream, passed, &self.entry.tunnel, self.idle).await;
        ended(&self.entry, transfer, &mut self.record);
    }
}

/// decide -> resolve -> vet -> connect for the target of a CONNECT. What its tunnel must carry; `None`: it is not gated.
async fn open_target(
    target: &Target,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<(Option<Expected>, Upstream), Denial> {
    let snapshot = begin(attempted, record)?;
    named(target, &snapshot, attempted, record)?;
    let judged = judge::connect(&snapshot, record.source.ip(), &target.host, target.port);
    let decision = attempted.decided(&snapshot, &target.host, judged.decision);
    if !decision.permits() {
        return Err(Denial::new(decision.reason, Stage::Decide));
    }
    let upstream = reach(&snapshot, &target.host, decision, attempted, record).await?;
    Ok((judged.expected, upstream))
}

/// The name of a target, for rows, and what is denied whatever the rules say: egret itself, and what threat intelligence
/// lists.
pub(crate) fn named(
    target: &Target,
    snapshot: &Snapshot,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<(), Denial> {
    record.name = column(&target.host);
    attempted.name.clone_from(&record.name);
    let own = |ip| record.shared.is_own_listener(SocketAddr::new(ip, target.port));
    if named_address(&target.host).is_some_and(own) {
        return Err(Denial::new(Reason::Loop, Stage::Decide));
    }
    judge::threat(snapshot, &target.host, None, attempted, record, Stage::Decide)
}

/// The address that a target is, if it is one.
pub(crate) fn named_address(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Name(_) => None,
        Host::Address(ip) => Some(*ip),
    }
}

/// resolve -> vet -> connect for a target that the policy permits, under one deadline.
pub(crate) async fn reach(
    snapshot: &Snapshot,
    host: &Host,
    decision: Decision,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Upstream, Denial> {
    let deadline = Instant::now() + snapshot.settings.limits.connect_time;
    record.stage = Stage::Resolve;
    let vetted = resolve(snapshot, host, decision, deadline, attempted, record).await?;
    record.stage = Stage::Connect;
    let upstream = connect::connect(&vetted, snapshot, &record.shared.limits, deadline).await?;
    attempted.address = Some(upstream.address);
    record.address = Some(upstream.address);
    Ok(upstream)
}

/// What every attempt passes before it is judged: its source's rate, and a log that can take its row. Takes the snapshot
/// that the attempt is decided under.
pub(crate) fn begin(attempted: &mut Attempted, record: &mut Record) -> Result<Arc<Snapshot>, Denial> {
    record.stage = Stage::Decide;
    let snapshot = record.shared.snapshot();
    record.generation = snapshot.generation;
    attempted.snapshot = Some(snapshot.clone());
    let refused = |reason| Denial::new(reason, Stage::Decide);
    charge(record).map_err(refused)?;
    if !record.shared.log.accepts_new_flows() {
        return Err(refused(Reason::LogUnavailable));
    }
    Ok(snapshot)
}

/// One attempt more of this source. Beyond its rate each is refused, and few leave rows.
fn charge(record: &mut Record) -> Result<(), Reason> {
    let (limits, source) = (&record.shared.limits, record.source.ip());
    let charged = limits.attempt(source, &record.shared.snapshot().settings.limits);
    record.quiet = charged.is_err() && !limits.may_tell(source);
    charged
}

/// What is refused before it can be judged is an attempt too: nonsense must not fill the log faster than sense. Not so at
/// the end of egret, which is none of the source's doing.
pub(crate) fn charged(denial: Denial, record: &mut Record) -> Denial {
    if denial.reason == Reason::Draining {
        return denial;
    }
    match charge(record) {
        Ok(()) => denial,
        Err(reason) => Denial::new(reason, denial.stage),
    }
}

/// resolve -> vet, for a target that the policy permits. An address stands for itself.
pub(crate) async fn resolve(
    snapshot: &Snapshot,
    host: &Host,
    decision: Decision,
    deadline: Instant,
    attempted: &mut Attempted,
    record: &Record,
) -> Result<Vetted, Denial> {
    let port = attempted.port;
    let vetted = match host {
        Host::Address(ip) => snapshot
            .addresses
            .vet_address(*ip, port, decision.action == Action::Allow),
        Host::Name(name) => {
            let answer = ask(snapshot, name, deadline, attempted).await?;
            attempted.answer = Some(answer.clone());
            snapshot.addresses.vet(&answer, port, snapshot.rule_scope(decision))
        }
    };
    let vetted = vetted.map_err(|refusal| {
        let own = |ip: &IpAddr| record.shared.is_own_listener(SocketAddr::new(*ip, port));
        let looped = refusal.refused.iter().any(own);
        let reason = if looped { Reason::Loop } else { refusal.reason };
        Denial::new(reason, Stage::Vet).refused(refusal.refused)
    })?;
    let vetted = judge::screen(snapshot, host, port, vetted, attempted, record)?;
    attempted.public_resolution = vetted.public_resolution();
    attempted.refused = vetted.refused().to_vec();
    Ok(vetted)
}

/// The answer for a name, until `deadline`; why there is none is kept for the row.
async fn ask(
    snapshot: &Snapshot,
    name: &Fqdn,
    deadline: Instant,
    attempted: &mut Attempted,
) -> Result<Arc<Answer>, Denial> {
    match timeout_at(deadline, snapshot.resolver.resolve(name)).await {
        Err(_) => {
            let zone = snapshot.resolver.plan().zone_of(name);
            let zone = zone.map_or_else(|| ".".into(), |zone| zone.name.clone());
            attempted.unresolved = Some(Box::new(ResolveError::Timeout { zone }));
            Err(Denial::new(Reason::DnsTimeout, Stage::Resolve))
        }
        Ok(Err(error)) => {
            let denial = Denial::new(error.reason(), Stage::Resolve).detail(error.to_string());
            attempted.unresolved = Some(Box::new(error));
            Err(denial)
        }
        Ok(Ok(answer)) => Ok(answer),
    }
}

/// Resolves when the client goes away while its upstream is being opened. What it sends meanwhile is held.
async fn gone(client: &mut TcpStream, held: &mut Held, budget: usize) {
    /// A first flight that fits any limit; more stays in the socket.
    const EARLY_BYTES: usize = 16 * 1024;
    while held.bytes.len() < EARLY_BYTES {
        match held.read(client, EARLY_BYTES, budget).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) => break,
        }
    }
    std::future::pending().await
}

/// The gate for TLS, and what a differing SNI means. The name that the tunnel is for.
async fn open_gate(
    client: &mut TcpStream,
    held: &mut Held,
    asked: &Fqdn,
    upstream: &mut Upstream,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Fqdn, Denial> {
    let settings = record.shared.snapshot().settings.clone();
    let opening = gate::tls(
        client,
        held,
        asked,
        &settings.limits,
        settings.proxy.ech,
        &mut attempted.flight,
    )
    .await?;
    let sni = match opening {
        Opening::Same => return Ok(asked.clone()),
        Opening::Other(sni) => sni,
    };
    if settings.proxy.sni_mismatch == SniMismatch::Deny {
        return Err(Denial::new(Reason::SniMismatch, Stage::Gate));
    }
    let snapshot = record.shared.snapshot();
    let host = Host::Name(sni.clone());
    attempted.name = sni.as_str().to_string();
    attempted.name_source = Some(NameSource::Sni);
    attempted.snapshot = Some(snapshot.clone());
    judge::threat(&snapshot, &host, None, attempted, record, Stage::Gate)?;
    let decision = judge::request(&snapshot, record.source.ip(), Protocol::Https, &host, attempted.port);
    attempted.decided(&snapshot, &host, decision);
    if !decision.permits() {
        return Err(Denial::new(decision.reason, Stage::Gate));
    }
    // The tunnel ends where the CONNECT host led: another name may use it only if it leads there too.
    let deadline = Instant::now() + snapshot.settings.limits.connect_time;
    let vetted = resolve(&snapshot, &host, decision, deadline, attempted, record).await?;
    let there = vetted.addresses().iter().find(|c| c.ip == upstream.candidate.ip);
    // After a reload the address is vetted for this name, by this name's records.
    upstream.candidate = there.ok_or(Denial::new(Reason::SniMismatch, Stage::Gate))?.clone();
    record.name.clone_from(&attempted.name);
    Ok(sni)
}

/// Enter the table of tunnels, and be judged again if the policy changed since the decision.
/// `protocol`: what the tunnel is held to; `None`: nothing.
pub(crate) fn enter(
    host: &Host,
    protocol: Option<Protocol>,
    upstream: &Upstream,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Registered, Denial> {
    let shared = record.shared.clone();
    let tunnel = Tunnel::new(
        record.id,
        record.source,
        host.clone(),
        attempted.port,
        protocol,
        upstream.candidate.clone(),
        record.generation,
    );
    let (entry, judged) = shared.tunnels.enter(tunnel, || shared.snapshot());
    let Some((snapshot, verdict)) = judged else {
        return Ok(entry);
    };
    record.generation = snapshot.generation;
    let decision = match &verdict {
        Ok(decision) => *decision,
        Err(revoked) => revoked.decision,
    };
    attempted.decided(&snapshot, host, decision);
    attempted.snapshot = Some(snapshot);
    verdict
        .map(|_| entry)
        .map_err(|revoked| Denial::new(revoked.cause, Stage::Gate))
}

/// Close the books of a relay. A revoked tunnel gets a rule row of its own, under the policy that revoked it.
pub(crate) fn ended(entry: &Registered, transfer: Transfer, record: &mut Record) {
    record.sent = transfer.sent;
    record.received = transfer.received;
    record.end = transfer.end;
    let tunnel = &entry.tunnel;
    record.generation = tunnel.generation();
    if transfer.end != FlowEndKind::Revoked {
        return;
    }
    record.reason = Reason::Revoked;
    let Some(revoked) = tunnel.revoked() else { return };
    record.generation = revoked.snapshot.generation;
    let mut attempted = Attempted {
        name: match &tunnel.host {
            Host::Name(name) => name.as_str().to_string(),
            Host::Address(ip) => ip.to_string(),
        },
        port: tunnel.port,
        protocol: tunnel.protocol,
        snapshot: Some(revoked.snapshot.clone()),
        address: record.address,
        ..Attempted::default()
    };
    attempted.decided(&revoked.snapshot, &tunnel.host, revoked.decision);
    attempted.packets |= tunnel.protocol.is_none();
    if revoked.cause == Reason::ThreatIntelligence {
        attempted.threat = tunnel.threat(&revoked.snapshot);
    }
    let denial = Denial::new(Reason::Revoked, Stage::Relay).detail(revoked.cause.name().to_string());
    attempted.write_denial(record, &denial);
}

/// Refuse before the 200: row, answer, close.
async fn refuse(client: TcpStream, denial: Denial, mut attempted: Attempted, mut record: Record) {
    record.denied(&denial);
    if denial.reason == Reason::ClientClosed {
        return;
    }
    if record.name.is_empty() {
        record.name.clone_from(&attempted.name);
    }
    let snapshot = attempted
        .snapshot
        .get_or_insert_with(|| record.shared.snapshot())
        .clone();
    record.generation = snapshot.generation;
    attempted.write_denial(&record, &denial);
    let proxy = snapshot.settings.proxy;
    drop(snapshot);
    let words = answer::words(
        denial.reason,
        denial.detail.as_deref(),
        &attempted.target(),
        record.id,
        &proxy,
    );
    drop(attempted);
    answer::refuse(client, &words).await;
}

/// Refuse after the 200: row, alert where TLS is spoken, close.
async fn refuse_tunnel(client: TcpStream, tls: bool, denial: Denial, attempted: Attempted, mut record: Record) {
    record.denied(&denial);
    if denial.reason != Reason::ClientClosed {
        attempted.write_denial(&record, &denial);
        drop(attempted);
        answer::refuse_tunnel(client, tls).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl FnOnce(TcpStream, SocketAddr, Arc<Shared>, ConnectionPermit) -> F) -> usize {
        size_of::<F>()
    }

    /// A task holds its future whole, from accept to close: what a step adds here, every idle tunnel pays.
    #[test]
    fn f_03_an_idle_tunnel_carries_no_more_than_its_relay() {
        let bytes = size(serve);
        assert!(bytes <= 1280, "{bytes} bytes a flow");
    }

    /// Until it is open, or denied, a flow is larger; how many there are is limited.
    #[test]
    fn a_flow_that_is_judged_fits_in_a_few_kilobytes() {
        fn size<F>(_: impl FnOnce(TcpStream, SocketAddr, Arc<Shared>) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(open);
        assert!(bytes <= 4096, "{bytes} bytes a flow");
    }
}
