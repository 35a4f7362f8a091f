//! What flows share, named in one place.
//!
//! Each worker has a [`Shared`] of its own: what its flows clone and drop is counted there, and counters, the table of tunnels
//! and answers of DNS that are in use are kept by worker ([`crate::stripe`]). What a permitted tunnel of a known name still
//! writes that other workers write is one lock, that of its source in [`Limits`], three times: as it is admitted, when its
//! attempt is charged, and when it closes. A denial writes it once more, for its place to linger. What comes only now and then
//! is not counted: a block of flow ids, a batch of log rows, a name that has to be looked up.

use super::limits::Limits;
use super::tunnels::Tunnels;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use arc_swap::{ArcSwap, Guard};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::watch;

/// One worker's hand on what all share.
pub(crate) struct Shared {
    all: Arc<All>,
    pub limits: Arc<Limits>,
    pub tunnels: Arc<Tunnels>,
    /// The snapshot that this worker saw last.
    seen: Mutex<Own<Snapshot>>,
    /// The phase as this worker knows it: its flows wait here.
    phase: watch::Sender<Phase>,
}

/// What there is once.
pub(crate) struct All {
    snapshot: ArcSwap<Snapshot>,
    pub log: Log,
    pub metrics: Arc<Metrics>,
    listeners: OnceLock<Vec<SocketAddr>>,
    self_test: String,
    phase: watch::Sender<Phase>,
}

/// Something that all share, counted for one worker: a clone writes no count that other workers write.
#[derive(Debug)]
#[expect(clippy::redundant_allocation, reason = "the outer count is the worker's own")]
pub(crate) struct Own<T>(Arc<Arc<T>>);

impl<T> Own<T> {
    pub(crate) fn new(whole: Arc<T>) -> Self {
        Self(Arc::new(whole))
    }

    /// The thing with the count that all share.
    pub(crate) fn whole(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T> Clone for Own<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
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

impl Deref for Shared {
    type Target = All;

    fn deref(&self) -> &All {
        &self.all
    }
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
        let all = All {
            snapshot: ArcSwap::from_pointee(snapshot),
            log,
            metrics,
            listeners: OnceLock::new(),
            self_test,
            phase,
        };
        Self::over(Arc::new(all), Limits::new(files), Tunnels::new())
    }

    fn over(all: Arc<All>, limits: Arc<Limits>, tunnels: Arc<Tunnels>) -> Arc<Self> {
        let seen = Mutex::new(Own::new(all.snapshot.load_full()));
        let (phase, _) = watch::channel(*all.phase.borrow());
        Arc::new(Self {
            all,
            limits,
            tunnels,
            seen,
            phase,
        })
    }

    /// The hand of a worker, counted from 0.
    pub(crate) fn for_worker(&self, index: usize) -> Arc<Self> {
        Self::over(
            self.all.clone(),
            self.limits.for_worker(),
            self.tunnels.for_worker(index),
        )
    }

    /// Learn of each phase as it comes, without end: what makes [`Shared::until`] resolve. One task of the worker does it, so
    /// that its flows wait for a worker's own list.
    pub(crate) async fn follow(&self) {
        let mut phases = self.all.phase.subscribe();
        loop {
            let now = *phases.borrow_and_update();
            self.phase.send_replace(now);
            // The sender lives as long as `self`.
            let _ = phases.changed().await;
        }
    }

    /// Resolves when this phase has come and the worker has learnt of it.
    pub(crate) async fn until(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as `self`.
        let _ = phases.wait_for(|now| *now >= phase).await;
    }

    /// The snapshot of this moment.
    pub(crate) fn snapshot(&self) -> Own<Snapshot> {
        let now = self.all.snapshot.load();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(seen.whole(), &now) {
            *seen = Own::new(Guard::into_inner(now));
        }
        seen.clone()
    }
}

impl All {
    /// Go on to this phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Whether egret takes no new flows any more.
    pub(crate) fn is_ending(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// The snapshot of this moment, for no longer than that: not to be held over an await.
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

    fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.snapshot.load().addresses.own.contains(&ip)
    }

    /// The self-test's own attempt leaves no rows: a report full of the tool's own traffic hides what matters.
    pub(crate) fn is_self_test(&self, name: &str) -> bool {
        name == self.self_test
    }
}
