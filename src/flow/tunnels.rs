//! The table of open tunnels: what is needed to judge each of them again after a reload, and to tell it to stop.
//!
//! A tunnel keeps a small attempt, never the snapshot it was decided under: an old policy must not live as long as the
//! longest tunnel.

use crate::flow::{FlowId, judge};
use crate::log::FlowEndKind;
use crate::policy::vet::Candidate;
use crate::policy::{Decision, Host, Protocol, Reason, Threat};
use crate::proof::{Guard, off};
use crate::snapshot::Snapshot;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

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

    /// The generation that last judged it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Resolves when the tunnel must end. One task at a time may wait for it.
    pub(crate) async fn stopped(&self) -> FlowEndKind {
        poll_fn(|cx| self.poll_stopped(cx)).await
    }

    fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<FlowEndKind> {
        let ordered = || match self.order.load(SeqCst) {
            REVOKE => Some(FlowEndKind::Revoked),
            DRAIN => Some(FlowEndKind::Drained),
            _ => None,
        };
        if let Some(end) = ordered() {
            return Poll::Ready(end);
        }
        let mut stop = lock(&self.stop);
        match &mut stop.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        // Looked at again under the lock, so that an order given in between is not missed.
        ordered().map_or(Poll::Pending, Poll::Ready)
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
        // Two threads may judge it at once, under different generations.
        self.generation.fetch_max(snapshot.generation, Relaxed);
        verdict.map(|()| decision).map_err(|cause| {
            let revoked = Revoked {
                snapshot: snapshot.clone(),
                decision,
                cause,
            };
            lock(&self.stop).verdict = Some(Box::new(revoked.clone()));
            self.stop(REVOKE);
            revoked
        })
    }

    fn decide(&self, snapshot: &Snapshot) -> Decision {
        let (source, to) = (self.source.ip(), self.candidate.ip);
        judge::whole(snapshot, source, self.protocol, &self.host, to, self.port)
    }

    /// What lists it, if anything does.
    pub(crate) fn threat(&self, snapshot: &Snapshot) -> Option<Threat> {
        let name = match &self.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        };
        let source = self.source.ip().to_canonical();
        snapshot.policy.threat(source, name, Some(self.candidate.ip))
    }

    fn vet(&self, snapshot: &Snapshot, decision: Decision) -> Result<(), Reason> {
        let addresses = &snapshot.addresses;
        match &self.host {
            Host::Name(name) => addresses.vet_again(name, &self.candidate, snapshot.rule_scope(decision)),
            Host::Address(ip) => addresses.judge_address(*ip, decision.allowing().is_some()),
        }
    }
}

/// All open tunnels.
#[derive(Debug)]
pub(crate) struct Tunnels {
    shards: Box<[Mutex<Shard>]>,
}

type Shard = HashMap<FlowId, Arc<Tunnel>>;

/// A policy that came while a tunnel was being opened, and what it makes of it.
pub(crate) type JudgedAgain = (Arc<Snapshot>, Result<Decision, Revoked>);

/// A tunnel's place in the table, given back when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    tunnels: Arc<Tunnels>,
    /// The entry.
    pub tunnel: Arc<Tunnel>,
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

    fn shard(&self, flow: FlowId) -> MutexGuard<'_, Shard> {
        let mut shard = lock(&self.shards[flow.value() as usize % SHARDS]);
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
        current: impl FnOnce() -> Arc<Snapshot>,
    ) -> (Registered, Option<JudgedAgain>) {
        let entry = self.register(tunnel);
        let now = current();
        if entry.tunnel.generation() >= now.generation || off(Guard::Rejudging) {
            return (entry, None);
        }
        let verdict = entry.tunnel.judge(&now);
        (entry, Some((now, verdict)))
    }

    /// Enter it, to be judged by every reload from now on.
    pub(super) fn register(self: &Arc<Self>, tunnel: Arc<Tunnel>) -> Registered {
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
            let shard = lock(shard);
            listed.extend(shard.values().take(most - listed.len()).cloned());
        }
        listed
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn every(&self, mut act: impl FnMut(&Tunnel) -> bool) -> usize {
        let mut acted = 0;
        for shard in &self.shards {
            let entries: Vec<_> = lock(shard).values().cloned().collect();
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
mod tests {
    use super::*;
    use crate::config;
    use crate::dns::Resolver;
    use crate::policy::{CompiledPolicy, Fqdn};
    use arc_swap::ArcSwap;
    use std::sync::Barrier;
    use std::thread;
    use tokio::runtime::{Builder, Runtime};

    const NAME: &str = "api.example.com";

    /// A policy that allows this name and no other.
    fn snapshot(generation: u64, name: &str, runtime: &Runtime) -> Arc<Snapshot> {
        let text = format!(
            "[dns]\nforwarders = [\"127.0.0.1:1\"]\n[[application_rule_collection]]\nname = \"c\"\npriority = 100\n\
             action = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r\"\ndestination_fqdns = [\"{name}\"]\n"
        );
        let checked = config::from_text("test.toml", &text).unwrap();
        Arc::new(Snapshot {
            generation,
            hash: checked.hash,
            settings: Arc::new(checked.settings),
            policy: CompiledPolicy::new(checked.policy),
            addresses: checked.addresses,
            resolver: Resolver::new(Arc::new(checked.dns), runtime.handle().clone()),
            overrides: Vec::new(),
        })
    }

    fn tunnel(generation: u64) -> Arc<Tunnel> {
        let name = Fqdn::parse(NAME).unwrap();
        let candidate = Candidate {
            ip: "203.0.113.1".parse().unwrap(),
            owner: Some(name.clone()),
            zone: None,
            through_private_link: false,
        };
        let source = "10.0.0.1:9".parse().unwrap();
        Tunnel::new(
            FlowId::next(),
            source,
            Host::Name(name),
            443,
            Some(Protocol::Https),
            candidate,
            generation,
        )
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    /// Flows decide, enter and catch up on two threads while a third one swaps in a policy that denies them all.
    #[test]
    fn l_07_a_tunnel_entered_around_a_swap_is_judged_by_the_swap_or_by_itself() {
        let runtime = runtime();
        let (allows, denies) = (snapshot(1, NAME, &runtime), snapshot(2, "other.example.com", &runtime));
        let (mut by_swap, mut by_itself) = (0, 0);
        for round in 0..1000 {
            let (current, tunnels) = (ArcSwap::new(allows.clone()), Tunnels::new());
            let start = Barrier::new(3);
            let flow = || {
                let decided = current.load_full();
                let tunnel = tunnel(decided.generation);
                tunnel.decide(&decided).permits().then(|| {
                    tunnels.enter(tunnel, || {
                        let now = current.load_full();
                        // Time for a swap: whoever loads before it enters comes too late for both.
                        thread::yield_now();
                        now
                    })
                })
            };
            let flows = || {
                start.wait();
                std::iter::from_fn(flow).take(50).collect::<Vec<_>>()
            };
            let entered = thread::scope(|scope| {
                let threads = [scope.spawn(flows), scope.spawn(flows)];
                start.wait();
                // Not always at the same point of a flow.
                (0..round % 100 * 20).for_each(|_| std::hint::spin_loop());
                current.store(denies.clone());
                tunnels.judge_again(&denies);
                threads
                    .into_iter()
                    .flat_map(|thread| thread.join().unwrap())
                    .collect::<Vec<_>>()
            });
            for (entry, judged) in &entered {
                assert!(entry.tunnel.revoked().is_some(), "nobody judged it, in round {round}");
                assert_eq!(entry.tunnel.order.load(SeqCst), REVOKE);
                match judged {
                    Some(_) => by_itself += 1,
                    None => by_swap += 1,
                }
            }
            drop(entered);
            assert_eq!(tunnels.len(), 0, "dropped entries leave the table");
        }
        assert!(
            by_swap > 0,
            "no swap found a tunnel in the table ({by_itself} judged themselves)"
        );
    }

    #[test]
    fn a_verdict_under_an_older_policy_does_not_wind_back_the_generation() {
        let (runtime, tunnel) = (runtime(), tunnel(1));
        assert!(tunnel.judge(&snapshot(3, NAME, &runtime)).is_ok());
        assert!(tunnel.judge(&snapshot(2, NAME, &runtime)).is_ok());
        assert_eq!(tunnel.generation(), 3);
    }

    /// Each open tunnel has one, and its place in the table besides.
    #[test]
    fn f_03_an_entry_is_a_few_hundred_bytes() {
        assert!(size_of::<Tunnel>() <= 288, "{} bytes", size_of::<Tunnel>());
    }

    #[test]
    fn the_first_order_stands() {
        let (runtime, tunnels) = (runtime(), Tunnels::new());
        let entry = tunnels.register(tunnel(1));
        assert_eq!(tunnels.judge_again(&snapshot(2, "other.example.com", &runtime)), 1);
        tunnels.drain();
        let end = runtime.block_on(entry.tunnel.stopped());
        assert_eq!(end, FlowEndKind::Revoked, "and not drained");
        assert_eq!(entry.tunnel.revoked().unwrap().cause, Reason::NoRuleMatched);
    }

    #[test]
    fn judging_again_takes_the_address_into_account() {
        let runtime = runtime();
        let next = snapshot(2, NAME, &runtime);
        let mut addresses = next.addresses.clone();
        addresses.own = ["203.0.113.1".parse().unwrap()].into();
        let next = Arc::new(Snapshot {
            addresses,
            policy: CompiledPolicy::new(next.policy.model().clone()),
            hash: next.hash.clone(),
            settings: next.settings.clone(),
            resolver: next.resolver.clone(),
            overrides: Vec::new(),
            generation: 2,
        });
        let revoked = tunnel(1).judge(&next).unwrap_err();
        assert_eq!(
            revoked.cause,
            Reason::AddressDenied,
            "the address is now one of this machine"
        );
        assert!(revoked.decision.permits(), "while the rules still allow the name");
    }
}
