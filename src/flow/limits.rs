//! Counts that are bounded: connections in all and per source, attempts per source and second, half-open dials, bytes held.
//!
//! Each limit answers with its own [`Reason`]. A permit gives its place back when it is dropped.

mod source;

use super::relay;
use crate::config::settings::Limits as Settings;
use crate::policy::Reason;
use crate::seeded::Seeded;
use crate::stripe::{Counts, Padded};
use source::{Source, Told, burst};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A source is forgotten when it has no connection and its bucket is full again; swept this often.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Sources are spread over this many locks, so that workers rarely meet at one.
const SHARDS: usize = 64;

/// Rows about attempts beyond its rate, or connections beyond its limit, that a source may cause each second.
const ROWS_BEYOND: u32 = 3;

/// The same for all sources together that have no connection.
const ROWS_OF_STRANGERS: u32 = 100;

/// Sources remembered in each shard. A new source beyond it is refused rather than left uncounted.
const SOURCES_PER_SHARD: usize = 4096;

/// File descriptors that flows leave to everything else: listeners, probes, logs, questions to forwarders. Of a small limit,
/// a half.
const RESERVED_FILES: usize = 64;

/// Of the descriptors for flows, this part is for dials alone: clients that only stand there must not keep those from their
/// targets that have asked.
const FOR_DIALS: usize = 8;

/// One source may hold this part of the bytes that all may hold together, so that it cannot shut out the others.
const SHARE_OF_HELD: usize = 4;

/// Refused connections of one source may take this part of the places to linger.
const SHARE_OF_LINGERING: usize = 4;

/// Refused connections that linger at once, so that their answer is not lost. Of a small limit on descriptors, an eighth.
const LINGERING_REFUSALS: usize = 512;

/// One worker's hand on what all flows count together. Permits hold it, so that cloning and dropping them writes nothing that
/// other workers write.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Limits {
    all: Arc<All>,
    /// Client connections of this worker.
    own: AtomicUsize,
}

/// What all flows count together.
#[derive(Debug)]
struct All {
    /// File descriptors for flows: one for each client, one for each dial and for what it connects to.
    most_files: usize,
    /// Refused connections that may linger.
    most_lingering: usize,
    counts: Counts<4>,
    held: Padded<AtomicUsize>,
    strangers: Padded<Mutex<Told>>,
    shards: Box<[Padded<Mutex<Sources>>]>,
}

type Sources = HashMap<IpAddr, Source, Seeded>;

// What is counted.
const CONNECTIONS: usize = 0;
const FILES: usize = 1;
const DIALS: usize = 2;
const LINGERING: usize = 3;

/// One client connection's place, from accept to close.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    file: FilePermit,
    source: IpAddr,
}

/// One file descriptor of a flow.
#[derive(Debug)]
pub(crate) struct FilePermit(Arc<Limits>);

/// One half-open dial's place.
#[derive(Debug)]
pub(crate) struct DialPermit(Arc<Limits>);

/// What one flow holds of the bytes that all may hold together.
#[derive(Debug)]
pub(crate) struct HeldPermit {
    limits: Arc<Limits>,
    source: IpAddr,
    bytes: usize,
}

/// A refused connection's place while it lingers.
#[derive(Debug)]
pub(crate) struct LingerPermit {
    limits: Arc<Limits>,
    source: IpAddr,
}

/// How many descriptors of so many are for flows, and how many for refused connections that linger. The relay's pipes have
/// theirs besides.
fn within(files: usize) -> (usize, usize) {
    let lingering = LINGERING_REFUSALS.min(files / 8);
    let others = lingering + RESERVED_FILES.min(files / 2) + relay::descriptors(files);
    (files - others, lingering)
}

impl Limits {
    /// `files`: how many descriptors the process may have; `None`: no end of them.
    pub(crate) fn new(files: Option<u64>) -> Arc<Self> {
        let sources = || Padded(Mutex::new(Sources::with_hasher(Seeded::new())));
        let shards = (0..SHARDS).map(|_| sources()).collect();
        let files = files
            .and_then(|files| usize::try_from(files).ok())
            .unwrap_or(usize::MAX);
        let (most_files, most_lingering) = within(files);
        let all = Arc::new(All {
            most_files,
            most_lingering,
            counts: Counts::new(),
            held: Padded::default(),
            strangers: Padded(Mutex::new(Told::new())),
            shards,
        });
        Self::over(all)
    }

    /// The hand of another worker.
    pub(crate) fn for_worker(&self) -> Arc<Self> {
        Self::over(self.all.clone())
    }

    fn over(all: Arc<All>) -> Arc<Self> {
        let own = AtomicUsize::new(0);
        Arc::new(Self { all, own })
    }

    /// Tunnels for which there are file descriptors, with the client's and the upstream's each.
    pub(crate) fn fit(&self) -> usize {
        self.all.most_files / 2
    }

    /// Client connections open now.
    pub(crate) fn connections(&self) -> usize {
        self.all.counts.total(CONNECTIONS)
    }

    /// Whether this worker has clearly more client connections than the others of so many have on average: by a quarter and one.
    pub(crate) fn is_ahead(&self, workers: usize) -> bool {
        let own = self.own.load(Relaxed);
        let others = self.connections().saturating_sub(own);
        4 * own.saturating_sub(1) * workers.saturating_sub(1) > 5 * others
    }

    /// Dials that have not connected yet.
    pub(crate) fn dials(&self) -> usize {
        self.all.counts.total(DIALS)
    }

    /// Bytes held now that wait to be judged, beyond what every flow may hold uncounted.
    pub(crate) fn held(&self) -> usize {
        self.all.held.0.load(Relaxed)
    }

    /// A place for a new client connection: `LimitTunnels`, `LimitSourceTunnels` or `LimitFiles` where there is none.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr, settings: &Settings) -> Result<ConnectionPermit, Reason> {
        // Counted before the lock, which it would make last longer.
        let place = self.place(settings);
        let mut shard = self.shard(source);
        let full = shard.len() >= SOURCES_PER_SHARD;
        let entry = shard.entry(source);
        let refused = match &entry {
            Entry::Occupied(known) => known.get().connections >= settings.tunnels_per_source,
            Entry::Vacant(_) => full,
        };
        if refused {
            place.inspect(|_| self.all.counts.give_back(CONNECTIONS)).ok();
            return Err(Reason::LimitSourceTunnels);
        }
        let file = place?;
        entry.or_insert_with(|| Source::new(settings)).connections += 1;
        self.own.fetch_add(1, Relaxed);
        Ok(ConnectionPermit { file, source })
    }

    /// One connection more of all, with its descriptor.
    fn place(self: &Arc<Self>, settings: &Settings) -> Result<FilePermit, Reason> {
        let all = &self.all;
        if !all.counts.take(CONNECTIONS, settings.tunnels) {
            return Err(Reason::LimitTunnels);
        }
        let for_clients = all.most_files - all.most_files / FOR_DIALS;
        self.file_below(for_clients)
            .inspect_err(|_| all.counts.give_back(CONNECTIONS))
    }

    /// A descriptor for a dial and what it connects to: `LimitFiles` where there is none.
    pub(crate) fn file(self: &Arc<Self>) -> Result<FilePermit, Reason> {
        self.file_below(self.all.most_files)
    }

    fn file_below(self: &Arc<Self>, most: usize) -> Result<FilePermit, Reason> {
        let counted = self.all.counts.take(FILES, most);
        counted.then(|| FilePermit(self.clone())).ok_or(Reason::LimitFiles)
    }

    /// One attempt of this source: `LimitSourceRate` when it asks faster than its rate.
    ///
    /// One client was seen to send 490 CONNECTs a second for ever when it was refused without an answer.
    pub(crate) fn attempt(&self, source: IpAddr, settings: &Settings) -> Result<(), Reason> {
        let mut shard = self.shard(source);
        let Some(entry) = shard.get_mut(&source) else {
            return Ok(());
        };
        entry.refill(settings);
        if entry.tokens < 1.0 {
            return Err(Reason::LimitSourceRate);
        }
        entry.tokens -= 1.0;
        Ok(())
    }

    /// Whether a row may tell of what is refused to this source at a limit: a few each second, however often it asks.
    pub(crate) fn may_tell(&self, source: IpAddr) -> bool {
        match self.shard(source).get_mut(&source) {
            Some(entry) => entry.told.one_more(ROWS_BEYOND),
            None => lock(&self.all.strangers.0).one_more(ROWS_OF_STRANGERS),
        }
    }

    /// A permit for no bytes yet, of a source that has a connection.
    pub(crate) fn hold(self: &Arc<Self>, source: IpAddr) -> HeldPermit {
        HeldPermit {
            limits: self.clone(),
            source,
            bytes: 0,
        }
    }

    /// A place for a dial that has not connected yet: `LimitDials` where there is none.
    pub(crate) fn dial(self: &Arc<Self>, settings: &Settings) -> Result<DialPermit, Reason> {
        let counted = self.all.counts.take(DIALS, settings.dials);
        counted.then(|| DialPermit(self.clone())).ok_or(Reason::LimitDials)
    }

    /// A place to linger for a refused connection of this source, if there is one and the source has not its share already.
    pub(crate) fn linger(self: &Arc<Self>, source: IpAddr) -> Option<LingerPermit> {
        let mut shard = self.shard(source);
        let mut stranger = 0;
        let of_source = shard
            .get_mut(&source)
            .map_or(&mut stranger, |entry| &mut entry.lingering);
        let most = self.all.most_lingering;
        if *of_source >= most.div_ceil(SHARE_OF_LINGERING) || !self.all.counts.take(LINGERING, most) {
            return None;
        }
        *of_source += 1;
        let limits = self.clone();
        Some(LingerPermit { limits, source })
    }

    /// Forget sources that hold nothing and owe nothing. Called every [`SWEEP_EVERY`].
    pub(crate) fn sweep(&self, settings: &Settings) {
        for shard in &self.all.shards {
            let mut shard = lock(&shard.0);
            shard.retain(|_, source| {
                source.refill(settings);
                source.connections > 0 || source.held > 0 || source.lingering > 0 || source.tokens < burst(settings)
            });
            // A burst of sources must not keep its memory for ever.
            if shard.capacity() > 64 && shard.len() * 4 < shard.capacity() {
                shard.shrink_to_fit();
            }
        }
    }

    fn shard(&self, source: IpAddr) -> MutexGuard<'_, Sources> {
        let bits = match source {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
        };
        let spread = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        lock(&self.all.shards[spread as usize % SHARDS].0)
    }
}

/// A panic elsewhere leaves counts, not half-written structures, behind a lock: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl HeldPermit {
    /// Hold `bytes` from now on, no fewer than before: `LimitHeldBytes` where all flows would then hold more than `budget`,
    /// or those of one source more than its share.
    pub(crate) fn grow(&mut self, bytes: usize, budget: usize) -> Result<(), Reason> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let within = |most: usize| move |held: usize| Some(held + more).filter(|held| *held <= most);
        let mut shard = self.limits.shard(self.source);
        let mut none = 0;
        let of_source = shard.get_mut(&self.source).map_or(&mut none, |entry| &mut entry.held);
        let grown = within(budget / SHARE_OF_HELD)(*of_source).ok_or(Reason::LimitHeldBytes)?;
        let all = self.limits.all.held.0.fetch_update(Relaxed, Relaxed, within(budget));
        all.map_err(|_| Reason::LimitHeldBytes)?;
        *of_source = grown;
        self.bytes += more;
        Ok(())
    }

    /// Hold nothing any more.
    pub(crate) fn release(&mut self) {
        if self.bytes > 0 {
            self.limits.all.held.0.fetch_sub(self.bytes, Relaxed);
            if let Some(entry) = self.limits.shard(self.source).get_mut(&self.source) {
                entry.held -= self.bytes;
            }
            self.bytes = 0;
        }
    }
}

impl Drop for HeldPermit {
    fn drop(&mut self) {
        self.release();
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let limits = &self.file.0;
        limits.all.counts.give_back(CONNECTIONS);
        limits.own.fetch_sub(1, Relaxed);
        if let Some(entry) = limits.shard(self.source).get_mut(&self.source) {
            entry.connections -= 1;
        }
    }
}

impl Drop for FilePermit {
    fn drop(&mut self) {
        self.0.all.counts.give_back(FILES);
    }
}

impl Drop for LingerPermit {
    fn drop(&mut self) {
        self.limits.all.counts.give_back(LINGERING);
        // One that was no source when it came may be one now.
        if let Some(entry) = self.limits.shard(self.source).get_mut(&self.source) {
            entry.lingering = entry.lingering.saturating_sub(1);
        }
    }
}

impl Drop for DialPermit {
    fn drop(&mut self) {
        self.0.all.counts.give_back(DIALS);
    }
}

#[cfg(test)]
mod tests;
