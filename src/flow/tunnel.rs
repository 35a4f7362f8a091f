//! A CONNECT that the policy permits, from its dial to the end of its relay.
//!
//! ```text
//! reach -> 200 -> gate -> enter -> relay -> record
//! ```

use super::connect::Upstream;
use super::gate::{self, Opening, Passed, Spoken};
use super::held::Held;
use super::intent::Target;
use super::judge::{self, Judged};
use super::limits::{ConnectionPermit, FilePermit};
use super::reach::{reach, resolve};
use super::record::{Attempted, Record};
use super::refusal::Refusal;
use super::relay::{self, Transfer};
use super::shared::Own;
use super::tunnels::{Registered, Tunnel};
use super::{Admission, Denial, answer, http, refuse};
use crate::config::settings::{EchPolicy, SniMismatch};
use crate::log::{FlowEndKind, Stage};
use crate::policy::{Expected, Fqdn, Host, Protocol, Reason, ThreatMode};
use crate::snapshot::Snapshot;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A CONNECT that the policy permits.
pub(super) struct Asked {
    pub target: Target,
    /// What judged it.
    pub snapshot: Own<Snapshot>,
    pub judged: Judged,
    pub attempted: Attempted,
}

/// A tunnel that passed the gate.
pub(super) struct Open {
    client: TcpStream,
    upstream: TcpStream,
    _permit: ConnectionPermit,
    /// The upstream's descriptor.
    _file: FilePermit,
    passed: Option<Passed>,
    entry: Registered,
    record: Box<Record>,
    idle: Duration,
}

/// Resolve, vet, connect, answer 200, hold the first flight at the gate. What comes out is the relay. `None`: there is nothing to
/// relay, and the client was told why.
pub(super) async fn tunnel(
    mut client: TcpStream,
    mut held: Held,
    mut asked: Box<Asked>,
    mut record: Box<Record>,
    admission: Admission,
) -> Option<Pin<Box<impl Future<Output = ()> + use<>>>> {
    let opened = while_there(&mut client, &mut held, &mut asked, &mut record).await;
    let Asked {
        target,
        snapshot,
        judged,
        mut attempted,
    } = *asked;
    // Plain HTTP in the tunnel may go on for hours.
    drop(snapshot);
    let mut upstream = match opened {
        Ok(upstream) => upstream,
        Err(denial) => {
            refuse(client, Refusal { denial, attempted }, *record, admission);
            return None;
        }
    };
    let expected = judged.expected;
    let Admission { permit, .. } = admission;
    let now = record.shared.snapshot();
    let settings = &now.settings;
    if !answer::establish(&mut client).await {
        let left = Denial::new(Reason::ClientClosed, Stage::Connect);
        refuse_tunnel(client, false, left, attempted, record).await;
        return None;
    }
    record.stage = Stage::Gate;
    let (name, (expected, opened_for)) = match (target.host, expected) {
        (Host::Name(name), Some(expected)) => (name, expected),
        // A network rule opened it: what it carries is not judged.
        (host, _) => {
            return match enter(&host, None, &upstream, &mut attempted, &mut record) {
                Ok(entry) => Some(passed(
                    client,
                    permit,
                    gate::open(held),
                    upstream,
                    entry,
                    attempted,
                    record,
                )),
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
    // A tunnel may stay open for longer than the policy that opened it.
    drop(now);
    if matches!(spoken, Ok(Spoken::Http)) {
        // What was vetted under the rule for TLS may lead elsewhere.
        let upstream = (opened_for == Protocol::Http).then_some(upstream);
        let connect = Box::new(attempted);
        Box::pin(http::serve_tunnel(client, held, name, upstream, connect, record)).await;
        return None;
    }
    if spoken.is_ok() {
        (attempted.protocol, record.protocol) = (Some(Protocol::Https), Some(Protocol::Https));
    }
    let first = held.bytes.first().copied();
    let spoken = spoken.and_then(|_| match opened_for {
        Protocol::Https => Ok(()),
        Protocol::Http => judge::tls_instead(&name, &upstream.candidate, &mut attempted, &mut record),
    });
    let gate = match spoken {
        Ok(()) => {
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
    let protocol = attempted.protocol;
    let enter = |name| enter(&Host::Name(name), protocol, &upstream, &mut attempted, &mut record);
    match gate.and_then(enter) {
        Ok(entry) => Some(passed(
            client,
            permit,
            gate::open(held),
            upstream,
            entry,
            attempted,
            record,
        )),
        Err(denial) => {
            let tls = held.bytes.first().copied().or(first).is_none_or(|byte| byte == 22);
            drop(held);
            refuse_tunnel(client, tls, denial, attempted, record).await;
            None
        }
    }
}

/// The relay of an open tunnel.
#[expect(clippy::manual_async_fn, reason = "an async function would hold what it takes twice")]
pub(super) fn relaying(mut open: Open) -> impl Future<Output = ()> + use<> {
    async move { open.relay().await }
}

impl Open {
    async fn relay(&mut self) {
        let Some(passed) = self.passed.take() else { return };
        let (client, upstream) = (&mut self.client, &mut self.upstream);
        let transfer = relay::relay(client, upstream, passed, &self.entry.tunnel, self.idle).await;
        ended(&self.entry, transfer, &mut self.record);
    }
}

/// The row of a decision that lets a tunnel pass, and what is left of it then: its relay.
fn passed(
    client: TcpStream,
    permit: ConnectionPermit,
    passed: Passed,
    upstream: Upstream,
    entry: Registered,
    attempted: Attempted,
    mut record: Box<Record>,
) -> Pin<Box<impl Future<Output = ()> + use<>>> {
    attempted.write_passed(&record);
    // In audit mode a tunnel may be open that no rule allows.
    record.reason = attempted
        .decision
        .map_or(Reason::RuleMatched, |decision| decision.reason);
    record.stage = Stage::Relay;
    record.relayed = Some(entry.tunnel.clone());
    let idle = record.shared.now().settings.limits.idle;
    let (upstream, file) = upstream.into_parts();
    let open = Open {
        client,
        upstream,
        _permit: permit,
        _file: file,
        passed: Some(passed),
        entry,
        record,
        idle,
    };
    Box::pin(relaying(open))
}

/// The way to the target, as long as the client is there.
async fn while_there(
    client: &mut TcpStream,
    held: &mut Held,
    asked: &mut Asked,
    record: &mut Record,
) -> Result<Upstream, Denial> {
    let Asked {
        target,
        snapshot,
        judged,
        attempted,
    } = asked;
    let opened = {
        // Pinned where they are: what waits for the first of two would move both.
        let opening = pin!(reach(snapshot, &target.host, judged.decision, attempted, record));
        let gone = pin!(gone(client, held, snapshot.settings.limits.held_bytes));
        tokio::select! {
            biased;
            opened = opening => Some(opened),
            () = gone => None,
        }
    };
    opened.unwrap_or_else(|| Err(Denial::new(Reason::ClientClosed, record.stage)))
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
    let before = record.shared.snapshot();
    let (limits, ech) = (&before.settings.limits, before.settings.proxy.ech);
    let opening = gate::tls(client, held, asked, limits, ech, &mut attempted.flight).await?;
    drop(before);
    // The policy may have changed while the hello was waited for.
    let snapshot = record.shared.snapshot();
    let proxy = &snapshot.settings.proxy;
    if proxy.ech == EchPolicy::Deny && attempted.flight.ech.is_some() {
        return Err(Denial::new(Reason::EchDenied, Stage::Gate));
    }
    match opening {
        Opening::Same => Ok(asked.clone()),
        Opening::Other(_) if proxy.sni_mismatch == SniMismatch::Deny => {
            Err(Denial::new(Reason::SniMismatch, Stage::Gate))
        }
        // Boxed, so that a tunnel does not carry the size of what it seldom does.
        Opening::Other(sni) => Box::pin(judge_instead(sni, snapshot, upstream, attempted, record)).await,
    }
}

/// Whether the name of a ClientHello may have the tunnel of another.
async fn judge_instead(
    sni: Fqdn,
    snapshot: Own<Snapshot>,
    upstream: &mut Upstream,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Fqdn, Denial> {
    let host = Host::Name(sni.clone());
    let connect = attempted.let_through();
    attempted.renamed(&sni);
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
    attempted.address = Some(upstream.address);
    record.name.clone_from(&attempted.name);
    if let Some(connect) = connect {
        connect.write_passed(record);
    }
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
    attempted.snapshot = Some(snapshot.clone());
    let hits = entry.tunnel.threats(&snapshot);
    hits.filter(|hit| hit.mode == ThreatMode::Alert)
        .for_each(|hit| attempted.write_threat(record, hit));
    match verdict {
        Ok(_) => Ok(entry),
        Err(revoked) => {
            if revoked.cause == Reason::ThreatIntelligence {
                attempted.threat = entry.tunnel.threat(&snapshot).map(Box::new);
            }
            Err(Denial::new(revoked.cause, Stage::Gate))
        }
    }
}

/// Close the books of a relay. A revoked tunnel gets a rule row of its own, under the policy that revoked it.
pub(crate) fn ended(entry: &Registered, transfer: Transfer, record: &mut Record) {
    record.relayed = None;
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
        snapshot: Some(Own::new(revoked.snapshot.clone())),
        address: record.address,
        ..Attempted::default()
    };
    attempted.decided(&revoked.snapshot, &tunnel.host, revoked.decision);
    attempted.packets |= tunnel.protocol.is_none();
    if revoked.cause == Reason::ThreatIntelligence {
        attempted.threat = tunnel.threat(&revoked.snapshot).map(Box::new);
    }
    let denial = Denial::new(Reason::Revoked, Stage::Relay).detail(revoked.cause.name().to_string());
    attempted.write_denial(record, &denial);
}

/// Refuse after the 200: row, alert where TLS is spoken, close.
async fn refuse_tunnel(client: TcpStream, tls: bool, denial: Denial, attempted: Attempted, mut record: Box<Record>) {
    record.denied(&denial);
    attempted.write_denial(&record, &denial);
    drop(attempted);
    if denial.reason != Reason::ClientClosed {
        answer::refuse_tunnel(client, tls).await;
    }
}
