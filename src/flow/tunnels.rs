//! The table of open tunnels: what is needed to judge each of them again after a reload, and to tell it to stop.
//!
//! A tunnel keeps a small attempt, never the snapshot it was decided under: an old policy must not live as long as the
//! longest tunnel.

use crate::flow::FlowId;
use crate::log::FlowEndKind;
use crate::policy::vet::Candidate;
use crate::policy::{Attempt, Decision, Fqdn, NoTrace, Protocol, Reason};
use crate::proof::{Guard, off};
use crate::snapshot::Snapshot;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::Notify;

/// Tunnels judged before other threads of the machine get their turn.
const SLICE: usize = 256;

/// Shards of the table; flow ids spread over them.
const SHARDS: usize = 16;

/// What an open tunnel is, as far as judging it again needs.
#[derive(Debug)]
pub struct Tunnel {
    /// Its flow.
    pub flow: FlowId,
    /// The client.
    pub source: SocketAddr,
    /// The name that was allowed.
    pub name: Fqdn,
    /// The port that was allowed.
    pub port: u16,
    /// What is spoken in it.
    pub protocol: Protocol,
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
    notify: Notify,
    verdict: Mutex<Option<Revoked>>,
}

/// Why a tunnel was revoked: what the `Revoked` row needs.
#[derive(Clone, Debug)]
pub(crate) struct Revoked {
    /// What it was judged under.
    pub snapshot: Arc<Snapshot>,
    /// The decision that denies it now, or the one that still allows it while its address no longer may be dialled.
    pub decision: Decision,
    /// `NoRuleMatched`, `RuleMatched`, `AddressDenied` or `PublicResolution`.
    pub cause: Reason,
}

const GO_ON: u8 = 0;
const REVOKE: u8 = 1;
const DRAIN: u8 = 2;

impl Tunnel {
    pub(crate) fn new(
        flow: FlowId,
        source: SocketAddr,
        name: Fqdn,
        port: u16,
        protocol: Protocol,
        candidate: Candidate,
        generation: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            flow,
            source,
            name,
            port,
            protocol,
            candidate,
            since: SystemTime::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            generation: AtomicU64::new(generation),
            order: AtomicU8::new(GO_ON),
            notify: Notify::new(),
            verdict: Mutex::new(None),
        })
    }

    /// The generation that last judged it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Resolves when the tunnel must end.
    pub(crate) async fn stopped(&self) -> FlowEndKind {
        loop {
            // Registered before the order is read, so that an order given in between is not missed.
            let notified = self.notify.notified();
            match self.order.load(SeqCst) {
                REVOKE => return FlowEndKind::Revoked,
                DRAIN => return FlowEndKind::Drained,
                _ => notified.await,
            }
        }
    }

    /// Why it was revoked, if it was.
    pub(crate) fn revoked(&self) -> Option<Revoked> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first order stands: a tunnel that was revoked is not recorded as drained.
    fn stop(&self, order: u8) {
        let _ = self.order.compare_exchange(GO_ON, order, SeqCst, SeqCst);
        self.notify.notify_waiters();
    }

    /// Judge it under `snapshot`. A tunnel that is now denied is told to stop; the answer says whether it may go on.
    pub(crate) fn judge(&self, snapshot: &Arc<Snapshot>) -> Result<Decision, Revoked> {
        let decision = self.decide(snapshot);
        let verdict = if !decision.permits() {
            Err(decision.reason)
        } else {
            snapshot
                .addresses
                .vet_again(&self.name, &self.candidate, snapshot.rule_scope(decision))
        };
        // Two threads may judge it at once, under different generations.
        self.generation.fetch_max(snapshot.generation, Relaxed);
        verdict.map(|()| decision).map_err(|cause| {
            let revoked = Revoked {
                snapshot: snapshot.clone(),
                decision,
                cause,
            };
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(revoked.clone());
            self.stop(REVOKE);
            revoked
        })
    }

    fn decide(&self, snapshot: &Snapshot) -> Decision {
        let attempt = Attempt {
            source: self.source.ip().to_canonical(),
            protocol: self.protocol,
            name: &self.name,
            port: self.port,
        };
        snapshot.policy.decide(&attempt, &mut NoTrace)
    }
}

/// All open tunnels.
#[derive(Debug)]
pub(crate) struct Tunnels {
    shards: Box<[Mutex<HashMap<FlowId, Arc<Tunnel>>>]>,
}

/// A tunnel's place in the table, given back when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    tunnels: Arc<Tunnels>,
    /// The entry.
    pub tunnel: Arc<Tunnel>,
}

impl Registered {
    /// Judge it under `now` if the policy changed since it was decided; `None`: it did not, or a reload has judged it.
    ///
    /// `now` is loaded after it was entered. So a swap that came before the entry is seen here, and one that came after it
    /// found the entry in the table: no tunnel slips between.
    pub(crate) fn catch_up(&self, now: &Arc<Snapshot>) -> Option<Result<Decision, Revoked>> {
        let behind = self.tunnel.generation() < now.generation;
        (behind && !off(Guard::Rejudging)).then(|| self.tunnel.judge(now))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.tunnels.shard(self.tunnel.flow).remove(&self.tunnel.flow);
    }
}

impl Tunnels {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
        })
    }

    fn shard(&self, flow: FlowId) -> MutexGuard<'_, HashMap<FlowId, Arc<Tunnel>>> {
        let mut shard = self.shards[flow.value() as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.capacity() > 64 && shard.len() * 8 < shard.capacity() {
            let length = shard.len();
            shard.shrink_to(length * 2);
        }
        shard
    }

    /// Enter it, to be judged by every reload from now on. Those before: [`Registered::catch_up`].
    pub(crate) fn register(self: &Arc<Self>, tunnel: Arc<Tunnel>) -> Registered {
        self.shard(tunnel.flow).insert(tunnel.flow, tunnel.clone());
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

    /// Tell every tunnel to end: the drain time is over.
    pub(crate) fn drain(&self) -> usize {
        self.every(|tunnel| {
            tunnel.stop(DRAIN);
            true
        })
    }

    /// Up to `most` open tunnels, for the admin listener.
    pub(crate) fn list(&self, most: usize) -> Vec<Arc<Tunnel>> {
        let mut listed = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            listed.extend(shard.values().take(most - listed.len()).cloned());
        }
        listed
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    fn every(&self, mut act: impl FnMut(&Tunnel) -> bool) -> usize {
        let mut acted = 0;
        for shard in &self.shards {
            let entries: Vec<_> = shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .cloned()
                .collect();
            for slice in entries.chunks(SLICE) {
                acted += slice.iter().filter(|tunnel| act(tunnel)).count();
                std::thread::yield_now();
            }
        }
        acted
    }
}
