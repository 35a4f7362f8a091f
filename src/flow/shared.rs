//! What flows share, named in one place: everything here is touched by several workers.

use super::limits::Limits;
use super::tunnels::Tunnels;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use arc_swap::{ArcSwap, Guard};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Shared by all workers of a gateway.
pub(crate) struct Shared {
    snapshot: ArcSwap<Snapshot>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    pub limits: Arc<Limits>,
    pub tunnels: Arc<Tunnels>,
    listeners: OnceLock<Vec<SocketAddr>>,
    self_test: String,
    phase: watch::Sender<Phase>,
}

/// How far a gateway is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// New flows are taken.
    Running,
    /// They are refused; open tunnels and requests may end.
    Draining,
    /// Threads end, and what is left with them.
    Ended,
}

impl Shared {
    pub(crate) fn new(
        snapshot: Snapshot,
        log: Log,
        metrics: Arc<Metrics>,
        self_test: String,
        phase: watch::Sender<Phase>,
        files: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            log,
            metrics,
            limits: Limits::new(files),
            tunnels: Tunnels::new(),
            listeners: OnceLock::new(),
            self_test,
            phase,
        })
    }

    /// Go on to this phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Whether egret takes no new flows any more.
    pub(crate) fn is_ending(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Resolves when this phase has come.
    pub(crate) async fn until(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as `self`.
        let _ = phases.wait_for(|now| *now >= phase).await;
    }

    /// The snapshot of this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The same for a moment, without counting it: nothing is written that other workers write. Not to be held over an await.
    pub(crate) fn now(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Swap in the next generation.
    pub(crate) fn swap(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The addresses that were bound, once.
    pub(crate) fn bound(&self, listeners: Vec<SocketAddr>) {
        let _ = self.listeners.set(listeners);
    }

    /// Whether a target is one of egret's own listeners: a loop.
    pub(crate) fn is_own_listener(&self, target: SocketAddr) -> bool {
        let ip = target.ip().to_canonical();
        let own = |listener: &SocketAddr| {
            let wildcard = listener.ip().is_unspecified();
            listener.port() == target.port() && (listener.ip().to_canonical() == ip || (wildcard && self.is_own(ip)))
        };
        self.listeners.get().is_some_and(|listeners| listeners.iter().any(own))
    }

    fn is_own(&self, ip: std::net::IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.snapshot.load().addresses.own.contains(&ip)
    }

    /// The self-test's own attempt leaves no rows: a report full of the tool's own traffic hides what matters.
    pub(crate) fn is_self_test(&self, name: &str) -> bool {
        name == self.self_test
    }
}
