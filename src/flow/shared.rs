//! What flows share, named in one place.
//!
//! Each worker has a [`Shared`] of its own: what its flows clone and drop is counted there, and counters, the table of tunnels
//! and answers of DNS that are in use are kept by worker ([`crate::stripe`]). Of egret's memory a permitted tunnel of a known
//! name then writes what other workers write three times, each time the lock of its source in [`Limits`]: as it is admitted,
//! when its attempt is charged, and when it closes. A denial takes it twice more, for its place to linger.
//!
//! Besides come a task id of tokio's, and now and then: who watches the listening socket; bytes of a first flight beyond 4 KiB,
//! which all flows count together; a pipe of a bulk tunnel; a block of flow ids, a batch of log rows, a name that has to be
//! looked up. Bounds are kept without a shared write, by reading what each worker has counted: reads grow with workers.

use super::limits::Limits;
use super::tunnels::Tunnels;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::stripe::Padded;
use arc_swap::{ArcSwap, Guard};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::watch;

/// One worker's hand on what all share. On lines of its own, its count of references too.
#[repr(align(128))]
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
    ending: AtomicBool,
    /// Snapshots that were replaced and that some worker may hold still.
    replaced: Mutex<Vec<Arc<Snapshot>>>,
}

/// Something that all share, counted for one worker: a clone writes no count that other workers write.
#[derive(Debug)]
pub(crate) struct Own<T>(Arc<Padded<Arc<T>>>);

impl<T> Own<T> {
    pub(crate) fn new(whole: Arc<T>) -> Self {
        Self(Arc::new(Padded(whole)))
    }

    /// The thing with the count that all share.
    pub(crate) fn whole(&self) -> &Arc<T> {
        &self.0.0
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
        &self.0.0
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
            ending: AtomicBool::new(false),
            replaced: Mutex::default(),
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
        self.ending.store(phase != Phase::Running, SeqCst);
        self.phase.send_replace(phase);
    }

    /// Whether egret takes no new flows any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(SeqCst)
    }

    /// The snapshot of this moment, for no longer than that: not to be held over an await.
    pub(crate) fn now(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Swap in the next generation. The one before is kept until [`All::given_up`]: freeing a large policy takes long, and no
    /// worker should be the last to hold it.
    pub(crate) fn swap(&self, snapshot: Snapshot) {
        let old = self.snapshot.swap(Arc::new(snapshot));
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner).push(old);
    }

    /// Snapshots that were replaced and that nobody holds any more, for the caller to drop where it keeps nobody waiting.
    pub(crate) fn given_up(&self) -> Vec<Arc<Snapshot>> {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.extract_if(.., |old| Arc::strong_count(old) == 1).collect()
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
