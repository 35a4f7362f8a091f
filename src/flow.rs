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
use crate::policy::{Attempt, Decision, Expected, Fqdn, Host, NoTrace, Protocol, Reason, Vetted};
use crate::snapshot::Snapshot;
use connect::Upstream;
use gate::{Opening, Passed, Spoken};
use held::Held;
use intent::{Intent, IntentError, Target};
use limits::{ConnectionPermit, FilePermit};
use record::{Attempted, Record};
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
    let (name, expected, mut upstream) = match opened.unwrap_or_else(left) {
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
    let entry = match gate.and_then(|name| enter(&name, &upstream, &mut attempted, &mut record)) {
        Ok(entry) => entry,
        Err(denial) => {
            let tls = held.bytes.first().copied().or(first).is_none_or(|byte| byte == 22);
            drop(held);
            refuse_tunnel(client, tls, denial, attempted, record).await;
            return None;
        }
    };
    attempted.write_passed(&record);
    // In audit mode a tunnel may be open that no rule allows.
    record.reason = attempted
        .decision
        .map_or(Reason::RuleMatched, |decision| decision.reason);
    record.stage = Stage::Relay;
    let (upstream, file) = upstream.into_parts();
    Some(Open {
        client,
        upstream,
        _file: file,
        passed: Some(gate::open(held)),
        entry,
        record,
        idle: settings.limits.idle,
    })
}

impl Open {
    async fn relay(&mut self) {
        let Some(passed) = self.passed.take() else { return };
        let (client, upstream) = (&mut self.client, &mut self.upstream);
        let transfer = relay::relay(client, upstream, passed, &self.entry.tunnel, self.idle).await;
        ended(&self.entry, transfer, &mut self.record);
    }
}

/// decide -> resolve -> vet -> connect for the target of a CONNECT.
async fn open_target(
    target: &Target,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<(Fqdn, Expected, Upstream), Denial> {
    let snapshot = begin(attempted, record)?;
    let name = named(target, attempted, record)?;
    let (expected, decision) = decide_connect(&snapshot, record.source.ip(), &name, target.port);
    attempted.decision = Some(decision);
    if !decision.permits() {
        return Err(Denial::new(decision.reason, Stage::Decide));
    }
    let upstream = reach(&snapshot, &name, decision, attempted, record).await?;
    Ok((name, expected, upstream))
}

/// The name of a target. Explicit flows are judged by application rules alone, which know no addresses.
pub(crate) fn named(target: &Target, attempted: &mut Attempted, record: &mut Record) -> Result<Fqdn, Denial> {
    let name = match &target.host {
        Host::Name(name) => Ok(name.clone()),
        Host::Address(ip) => Err(ip),
    };
    record.name = match &name {
        Ok(name) => name.as_str().to_string(),
        Err(ip) => ip.to_string(),
    };
    attempted.name.clone_from(&record.name);
    name.map_err(|ip| {
        let looped = record.shared.is_own_listener(SocketAddr::new(*ip, target.port));
        Denial::new(if looped { Reason::Loop } else { Reason::IpLiteral }, Stage::Decide)
    })
}

/// resolve -> vet -> connect for a name that the policy permits, under one deadline.
pub(crate) async fn reach(
    snapshot: &Snapshot,
    name: &Fqdn,
    decision: Decision,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Upstream, Denial> {
    let deadline = Instant::now() + snapshot.settings.limits.connect_time;
    record.stage = Stage::Resolve;
    let vetted = resolve(&record.shared, snapshot, name, decision, deadline, attempted).await?;
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

/// CONNECT does not say what will be spoken, so both protocols are judged.
fn decide_connect(snapshot: &Snapshot, source: IpAddr, name: &Fqdn, port: u16) -> (Expected, Decision) {
    let judge = |protocol| decide(snapshot, source, protocol, name, port);
    Expected::of(judge(Protocol::Https), judge(Protocol::Http), port)
}

/// One attempt under `snapshot`.
pub(crate) fn decide(snapshot: &Snapshot, source: IpAddr, protocol: Protocol, name: &Fqdn, port: u16) -> Decision {
    snapshot.policy.decide(
        &Attempt {
            source: source.to_canonical(),
            protocol,
            name,
            port,
        },
        &mut NoTrace,
    )
}

/// resolve -> vet, for a name that the policy permits.
pub(crate) async fn resolve(
    shared: &Shared,
    snapshot: &Snapshot,
    name: &Fqdn,
    decision: Decision,
    deadline: Instant,
    attempted: &mut Attempted,
) -> Result<Vetted, Denial> {
    let answer = match timeout_at(deadline, snapshot.resolver.resolve(name)).await {
        Err(_) => {
            let zone = snapshot.resolver.plan().zone_of(name);
            let zone = zone.map_or_else(|| ".".into(), |zone| zone.name.clone());
            attempted.unresolved = Some(Box::new(ResolveError::Timeout { zone }));
            return Err(Denial::new(Reason::DnsTimeout, Stage::Resolve));
        }
        Ok(Err(error)) => {
            let denial = Denial::new(error.reason(), Stage::Resolve).detail(error.to_string());
            attempted.unresolved = Some(Box::new(error));
            return Err(denial);
        }
        Ok(Ok(answer)) => answer,
    };
    attempted.answer = Some(answer.clone());
    let port = attempted.port;
    match snapshot.addresses.vet(&answer, port, snapshot.rule_scope(decision)) {
        Ok(vetted) => {
            attempted.public_resolution = vetted.public_resolution();
            attempted.refused = vetted.refused().to_vec();
            Ok(vetted)
        }
        Err(refusal) => {
            let own = refusal
                .refused
                .iter()
                .any(|ip| shared.is_own_listener(SocketAddr::new(*ip, port)));
            let reason = if own { Reason::Loop } else { refusal.reason };
            Err(Denial::new(reason, Stage::Vet).refused(refusal.refused))
        }
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
    let decision = decide(&snapshot, record.source.ip(), Protocol::Https, &sni, attempted.port);
    attempted.name = sni.as_str().to_string();
    attempted.name_source = Some(NameSource::Sni);
    attempted.decision = Some(decision);
    attempted.snapshot = Some(snapshot.clone());
    if !decision.permits() {
        return Err(Denial::new(decision.reason, Stage::Gate));
    }
    // The tunnel ends where the CONNECT host led: another name may use it only if it leads there too.
    let deadline = Instant::now() + snapshot.settings.limits.connect_time;
    let vetted = resolve(&record.shared, &snapshot, &sni, decision, deadline, attempted).await?;
    let there = vetted.addresses().iter().find(|c| c.ip == upstream.candidate.ip);
    // After a reload the address is vetted for this name, by this name's records.
    upstream.candidate = there.ok_or(Denial::new(Reason::SniMismatch, Stage::Gate))?.clone();
    record.name.clone_from(&attempted.name);
    Ok(sni)
}

/// Enter the table of tunnels, and be judged again if the policy changed since the decision.
pub(crate) fn enter(
    name: &Fqdn,
    upstream: &Upstream,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Registered, Denial> {
    let shared = record.shared.clone();
    let tunnel = Tunnel::new(
        record.id,
        record.source,
        name.clone(),
        attempted.port,
        attempted.protocol.unwrap_or(Protocol::Https),
        upstream.candidate.clone(),
        record.generation,
    );
    let (entry, judged) = shared.tunnels.enter(tunnel, || shared.snapshot());
    let Some((snapshot, verdict)) = judged else {
        return Ok(entry);
    };
    record.generation = snapshot.generation;
    attempted.decision = Some(match &verdict {
        Ok(decision) => *decision,
        Err(revoked) => revoked.decision,
    });
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
    let attempted = Attempted {
        name: tunnel.name.as_str().to_string(),
        port: tunnel.port,
        protocol: Some(tunnel.protocol),
        decision: Some(revoked.decision),
        snapshot: Some(revoked.snapshot),
        address: record.address,
        ..Attempted::default()
    };
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
        record.name = attempted.target();
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
