//! The table of open tunnels: what is needed to judge each of them again after a reload, and to tell it to stop.
//!
//! A tunnel keeps a small attempt, never the snapshot it was decided under: an old policy must not live as long as the
//! longest tunnel.

use crate::flow::shared::Own;
use crate::flow::{FlowId, judge};
use crate::log::FlowEndKind;
use crate::policy::vet::Candidate;
use crate::policy::{Decision, Fqdn, Host, Protocol, Reason, Threat};
use crate::proof::{Guard, off};
use crate::seeded::Seeded;
use crate::snapshot::Snapshot;
use crate::stripe::{Padded, STRIPES};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

/// Tunnels judged before other threads of the machine get their turn.
const SLICE: usize = 256;

/// What an open tunnel is, as far as judging it again needs.
#[derive(Debug)]
pub struct Tunnel {
    /// Its flow.
    pub flow: FlowId,
    /// The client.
    pub source: SocketAddr,
    /// The name or address that was allowed.
    pub host: Host,
    /// The port that was allowed.
    pub port: u16,
    /// What its gate held it to. `None`: a network rule opened it, and nothing is known of what it carries.
    pub protocol: Option<Protocol>,
    /// The dialled address with where its record came from.
    pub candidate: Candidate,
    /// When it was registered.
    pub since: SystemTime,
    /// Bytes to upstream so far.
    pub sent: AtomicU64,
    /// Bytes to the client so far.
    pub received: AtomicU64,
    generation: AtomicU64,
    order: AtomicU8,
    stop: Mutex<Stop>,
}

/// What an order to stop needs.
#[derive(Debug, Default)]
struct Stop {
    /// The one task that relays it.
    waker: Option<Waker>,
    verdict: Option<Box<Revoked>>,
}

/// Why a tunnel was revoked: what the `Revoked` row needs.
#[derive(Clone, Debug)]
pub(crate) struct Revoked {
    /// What it was judged under.
    pub snapshot: Arc<Snapshot>,
    /// The decision that denies it now, or the one that still allows it while its address no longer may be dialled.
    pub decision: Decision,
    /// `NoRuleMatched`, `RuleMatched`, `IpLiteral`, `ThreatIntelligence`, `AddressDenied` or `PublicResolution`.
    pub cause: Reason,
}

const GO_ON: u8 = 0;
const REVOKE: u8 = 1;
const DRAIN: u8 = 2;

impl Tunnel {
    pub(crate) fn new(
        flow: FlowId,
        source: SocketAddr,
        host: Host,
        port: u16,
        protocol: Option<Protocol>,
        candidate: Candidate,
        generation: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            flow,
            source,
            host,
            port,
            protocol,
            candidate,
            since: SystemTime::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            generation: AtomicU64::new(generation),
            order: AtomicU8::new(GO_ON),
            stop: Mutex::default(),
        })
    }

    /// Bytes to upstream and to the client so far.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }

    /// The generation that last judged it.
    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Resolves when the tunnel must end. One task at a time may wait for it.
    pub(crate) async fn stopped(&self) -> FlowEndKind {
        poll_fn(|cx| self.poll_stopped(cx)).await
    }

    /// Ready when the tunnel must end. Else this task is woken by the order, whether it asks again before or not.
    pub(crate) fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<FlowEndKind> {
        if let Some(end) = self.order() {
            return Poll::Ready(end);
        }
        let mut stop = lock(&self.stop);
        match &mut stop.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        // Looked at again under the lock, so that an order given in between is not missed.
        self.order().map_or(Poll::Pending, Poll::Ready)
    }

    /// Why the tunnel must end, if it must.
    pub(crate) fn order(&self) -> Option<FlowEndKind> {
        match self.order.load(SeqCst) {
            REVOKE => Some(FlowEndKind::Revoked),
            DRAIN => Some(FlowEndKind::Drained),
            _ => None,
        }
    }

    /// Why it was revoked, if it was.
    pub(crate) fn revoked(&self) -> Option<Revoked> {
        lock(&self.stop).verdict.as_deref().cloned()
    }

    /// The first order stands: a tunnel that was revoked is not recorded as drained.
    fn stop(&self, order: u8) {
        let _ = self.order.compare_exchange(GO_ON, order, SeqCst, SeqCst);
        if let Some(waker) = lock(&self.stop).waker.take() {
            waker.wake();
        }
    }

    /// Judge it under `snapshot`. A tunnel that is now denied is told to stop; the answer says whether it may go on.
    pub(crate) fn judge(&self, snapshot: &Arc<Snapshot>) -> Result<Decision, Revoked> {
        let decision = self.decide(snapshot);
        let verdict = if !decision.permits() {
            Err(decision.reason)
        } else {
            self.vet(snapshot, decision)
        };
        let verdict = verdict.map(|()| decision).map_err(|cause| {
            let revoked = Revoked {
                snapshot: snapshot.clone(),
                decision,
                cause,
            };
            lock(&self.stop).verdict = Some(Box::new(revoked.clone()));
            self.stop(REVOKE);
            revoked
        });
        // Last: whoever reads that it was judged finds the order too. Two threads may judge it at once, under different generations.
        self.generation.fetch_max(snapshot.generation, SeqCst);
        verdict
    }

    fn decide(&self, snapshot: &Snapshot) -> Decision {
        let (source, to) = (self.source.ip(), self.candidate.ip);
        judge::whole(snapshot, source, self.protocol, &self.host, to, self.port)
    }

    /// What lists it, if anything does.
    pub(crate) fn threat(&self, snapshot: &Snapshot) -> Option<Threat> {
        let (source, name, to) = self.listed_by();
        snapshot.policy.threat(source, name, to)
    }

    /// All hits on lists of another policy.
    pub(crate) fn threats(&self, snapshot: &Snapshot) -> impl Iterator<Item = Threat> + use<> {
        let (source, name, to) = self.listed_by();
        snapshot.policy.threats(source, name, to)
    }

    /// What lists may hold of it.
    fn listed_by(&self) -> (IpAddr, Option<&Fqdn>, Option<IpAddr>) {
        let name = match &self.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        };
        (self.source.ip().to_canonical(), name, Some(self.candidate.ip))
    }

    fn vet(&self, snapshot: &Snapshot, decision: Decision) -> Result<(), Reason> {
        let addresses = &snapshot.addresses;
        match &self.host {
            Host::Name(name) => addresses.vet_again(name, &self.candidate, snapshot.rule_scope(decision)),
            Host::Address(ip) => addresses.judge_address(*ip, decision.allowing().is_some()),
        }
    }
}

/// All open tunnels, and one worker's part of the table: of up to [`STRIPES`] workers none writes another's.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Tunnels {
    shards: Arc<[Padded<Mutex<Shard>>]>,
    own: usize,
    /// The drain time is over: what enters now is told at once.
    drained: Arc<AtomicBool>,
}

type Shard = HashMap<FlowId, Arc<Tunnel>, Seeded>;

/// A policy that came while a tunnel was being opened, and what it makes of it.
pub(crate) type JudgedAgain = (Own<Snapshot>, Result<Decision, Revoked>);

/// A tunnel's place in the table, given back when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    tunnels: Arc<Tunnels>,
    /// The entry.
    pub tunnel: Arc<Tunnel>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.tunnels.own().remove(&self.tunnel.flow);
    }
}

impl Tunnels {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: (0..STRIPES)
                .map(|_| Padded(Mutex::new(Shard::with_hasher(Seeded::new()))))
                .collect(),
            own: 0,
            drained: Arc::default(),
        })
    }

    /// The same table with the part of this worker.
    pub(crate) fn for_worker(&self, index: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: self.shards.clone(),
            own: index % STRIPES,
            drained: self.drained.clone(),
        })
    }

    fn own(&self) -> MutexGuard<'_, Shard> {
        let mut shard = lock(&self.shards[self.own].0);
        if shard.capacity() > 64 && shard.len() * 8 < shard.capacity() {
            let length = shard.len();
            shard.shrink_to(length * 2);
        }
        shard
    }

    /// Enter it, and judge it again if the policy changed since it was decided: then under which policy, and how.
    ///
    /// Entered first, compared second: a swap that came before the entry is seen here, and one that comes after it finds the
    /// entry in the table. So no tunnel slips between.
    pub(crate) fn enter(
        self: &Arc<Self>,
        tunnel: Arc<Tunnel>,
        current: impl FnOnce() -> Own<Snapshot>,
    ) -> (Registered, Option<JudgedAgain>) {
        let entry = self.register(tunnel);
        let now = current();
        if entry.tunnel.generation() >= now.generation || off(Guard::Rejudging) {
            return (entry, None);
        }
        let verdict = entry.tunnel.judge(now.whole());
        (entry, Some((now, verdict)))
    }

    /// Enter it, to be judged by every reload and told of the end of the drain time from now on.
    pub(super) fn register(self: &Arc<Self>, tunnel: Arc<Tunnel>) -> Registered {
        self.own().insert(tunnel.flow, tunnel.clone());
        if self.drained.load(SeqCst) {
            tunnel.stop(DRAIN);
        }
        Registered {
            tunnels: self.clone(),
            tunnel,
        }
    }

    /// Judge every tunnel under the new snapshot, in slices. The number of those revoked.
    pub(crate) fn judge_again(&self, snapshot: &Arc<Snapshot>) -> usize {
        if off(Guard::Rejudging) {
            return 0;
        }
        self.every(|tunnel| tunnel.generation() < snapshot.generation && tunnel.judge(snapshot).is_err())
    }

    /// Tell every tunnel to end, and each that comes yet: the drain time is over. The number of those that were open.
    pub(crate) fn drain(&self) -> usize {
        self.drained.store(true, SeqCst);
        self.every(|tunnel| {
            tunnel.stop(DRAIN);
            true
        })
    }

    /// Up to `most` open tunnels, for the admin listener.
    pub(crate) fn list(&self, most: usize) -> Vec<Arc<Tunnel>> {
        let mut listed = Vec::new();
        for shard in self.shards.iter() {
            let shard = lock(&shard.0);
            listed.extend(shard.values().take(most - listed.len()).cloned());
        }
        listed
    }

    /// Whether this worker has any.
    pub(crate) fn has_own(&self) -> bool {
        !lock(&self.shards[self.own].0).is_empty()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).len()).sum()
    }

    fn every(&self, mut act: impl FnMut(&Tunnel) -> bool) -> usize {
        let mut acted = 0;
        for shard in self.shards.iter() {
            let entries: Vec<_> = lock(&shard.0).values().cloned().collect();
            for slice in entries.chunks(SLICE) {
                acted += slice.iter().filter(|tunnel| act(tunnel)).count();
                std::thread::yield_now();
            }
        }
        acted
    }
}

/// A panic elsewhere leaves whole entries behind a lock: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
