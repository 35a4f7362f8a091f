//! Counts that are bounded: connections in all and per source, attempts per source and second, half-open dials, bytes held.
//!
//! Each limit answers with its own [`Reason`]. A permit gives its place back when it is dropped.

use super::relay;
use crate::config::settings::Limits as Settings;
use crate::policy::Reason;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

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

/// What all flows count together.
#[derive(Debug)]
pub(crate) struct Limits {
    /// File descriptors for flows: one for each client, one for each dial and for what it connects to.
    most_files: usize,
    /// Refused connections that may linger.
    most_lingering: usize,
    files: AtomicUsize,
    connections: AtomicUsize,
    lingering: AtomicUsize,
    dials: AtomicUsize,
    held: AtomicUsize,
    strangers: Mutex<Told>,
    shards: Box<[Mutex<HashMap<IpAddr, Source>>]>,
}

/// One source address. An IPv6 source is its address too, not its /64: a subnet of Azure is exactly a /64, and shared.
#[derive(Debug)]
struct Source {
    connections: usize,
    /// Bytes that wait to be judged.
    held: usize,
    /// Its refused connections that linger.
    lingering: usize,
    tokens: f64,
    refilled: Instant,
    told: Told,
}

/// Rows that this second has seen about what is refused at a limit.
#[derive(Debug)]
struct Told {
    rows: u32,
    since: Instant,
}

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
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        let files = files
            .and_then(|files| usize::try_from(files).ok())
            .unwrap_or(usize::MAX);
        let (most_files, most_lingering) = within(files);
        Arc::new(Self {
            most_files,
            most_lingering,
            files: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            dials: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            strangers: Mutex::new(Told::new()),
            shards,
        })
    }

    /// Tunnels for which there are file descriptors, with the client's and the upstream's each.
    pub(crate) fn fit(&self) -> usize {
        self.most_files / 2
    }

    /// Client connections open now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Dials that have not connected yet.
    pub(crate) fn dials(&self) -> usize {
        self.dials.load(Relaxed)
    }

    /// Bytes held now that wait to be judged, beyond what every flow may hold uncounted.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// A place for a new client connection: `LimitTunnels`, `LimitSourceTunnels` or `LimitFiles` where there is none.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr, settings: &Settings) -> Result<ConnectionPermit, Reason> {
        let mut shard = self.shard(source);
        let known = shard.get(&source).map(|entry| entry.connections);
        let full = known.is_none() && shard.len() >= SOURCES_PER_SHARD;
        if full || known.is_some_and(|open| open >= settings.tunnels_per_source) {
            return Err(Reason::LimitSourceTunnels);
        }
        let for_clients = self.most_files - self.most_files / FOR_DIALS;
        let room = |open: usize| (open < settings.tunnels).then_some(open + 1);
        let counted = self.connections.fetch_update(Relaxed, Relaxed, room);
        counted.map_err(|_| Reason::LimitTunnels)?;
        let file = self.file_below(for_clients).inspect_err(|_| {
            self.connections.fetch_sub(1, Relaxed);
        })?;
        let entry = shard.entry(source).or_insert_with(|| Source {
            connections: 0,
            held: 0,
            lingering: 0,
            tokens: burst(settings),
            refilled: Instant::now(),
            told: Told::new(),
        });
        entry.connections += 1;
        Ok(ConnectionPermit { file, source })
    }

    /// A descriptor for a dial and what it connects to: `LimitFiles` where there is none.
    pub(crate) fn file(self: &Arc<Self>) -> Result<FilePermit, Reason> {
        self.file_below(self.most_files)
    }

    fn file_below(self: &Arc<Self>, most: usize) -> Result<FilePermit, Reason> {
        let room = |open: usize| (open < most).then_some(open + 1);
        let counted = self.files.fetch_update(Relaxed, Relaxed, room);
        counted.map_err(|_| Reason::LimitFiles)?;
        Ok(FilePermit(self.clone()))
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
            None => lock(&self.strangers).one_more(ROWS_OF_STRANGERS),
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
        if self.dials.fetch_add(1, Relaxed) >= settings.dials {
            self.dials.fetch_sub(1, Relaxed);
            return Err(Reason::LimitDials);
        }
        Ok(DialPermit(self.clone()))
    }

    /// A place to linger for a refused connection of this source, if there is one and the source has not its share already.
    pub(crate) fn linger(self: &Arc<Self>, source: IpAddr) -> Option<LingerPermit> {
        let mut shard = self.shard(source);
        let mut stranger = 0;
        let of_source = shard
            .get_mut(&source)
            .map_or(&mut stranger, |entry| &mut entry.lingering);
        let room = |most: usize| move |lingering: usize| (lingering < most).then_some(lingering + 1);
        let more = room(self.most_lingering.div_ceil(SHARE_OF_LINGERING))(*of_source)?;
        self.lingering
            .fetch_update(Relaxed, Relaxed, room(self.most_lingering))
            .ok()?;
        *of_source = more;
        let limits = self.clone();
        Some(LingerPermit { limits, source })
    }

    /// Forget sources that hold nothing and owe nothing. Called every [`SWEEP_EVERY`].
    pub(crate) fn sweep(&self, settings: &Settings) {
        for shard in &self.shards {
            let mut shard = lock(shard);
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

    fn shard(&self, source: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Source>> {
        let bits = match source {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
        };
        let spread = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        lock(&self.shards[spread as usize % SHARDS])
    }
}

/// A panic elsewhere leaves counts, not half-written structures, behind a lock: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn burst(settings: &Settings) -> f64 {
    f64::from(settings.attempts_burst_per_source)
}

impl Told {
    fn new() -> Self {
        Self {
            rows: 0,
            since: Instant::now(),
        }
    }

    /// Whether another row is within so many in this second.
    fn one_more(&mut self, most: u32) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.rows = self.rows.saturating_add(1);
        self.rows <= most
    }
}

impl Source {
    fn refill(&mut self, settings: &Settings) {
        let now = Instant::now();
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        let rate = f64::from(settings.attempts_per_second_per_source);
        self.tokens = (self.tokens + seconds * rate).min(burst(settings));
        self.refilled = now;
    }
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
        let all = self.limits.held.fetch_update(Relaxed, Relaxed, within(budget));
        all.map_err(|_| Reason::LimitHeldBytes)?;
        *of_source = grown;
        self.bytes += more;
        Ok(())
    }

    /// Hold nothing any more.
    pub(crate) fn release(&mut self) {
        if self.bytes > 0 {
            self.limits.held.fetch_sub(self.bytes, Relaxed);
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
        limits.connections.fetch_sub(1, Relaxed);
        if let Some(entry) = limits.shard(self.source).get_mut(&self.source) {
            entry.connections -= 1;
        }
    }
}

impl Drop for FilePermit {
    fn drop(&mut self) {
        self.0.files.fetch_sub(1, Relaxed);
    }
}

impl Drop for LingerPermit {
    fn drop(&mut self) {
        self.limits.lingering.fetch_sub(1, Relaxed);
        // One that was no source when it came may be one now.
        if let Some(entry) = self.limits.shard(self.source).get_mut(&self.source) {
            entry.lingering = entry.lingering.saturating_sub(1);
        }
    }
}

impl Drop for DialPermit {
    fn drop(&mut self) {
        self.0.dials.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(tunnels: usize, per_source: usize, rate: u32) -> Settings {
        Settings {
            tunnels,
            tunnels_per_source: per_source,
            attempts_per_second_per_source: rate,
            attempts_burst_per_source: 2 * rate,
            dials: 1,
            ..Settings::default()
        }
    }

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_cannot_take_every_place() {
        let (limits, settings) = (Limits::new(None), settings(3, 2, 100));
        let held: Vec<_> = (0..2)
            .map(|_| limits.admit(source("10.0.0.1"), &settings).unwrap())
            .collect();
        assert_eq!(
            limits.admit(source("10.0.0.1"), &settings).unwrap_err(),
            Reason::LimitSourceTunnels
        );
        let other = limits.admit(source("10.0.0.2"), &settings).unwrap();
        assert_eq!(
            limits.admit(source("10.0.0.3"), &settings).unwrap_err(),
            Reason::LimitTunnels
        );
        drop((held, other));
        assert_eq!(limits.connections(), 0);
        assert!(limits.admit(source("10.0.0.1"), &settings).is_ok());
    }

    #[test]
    fn a_source_that_reconnects_does_not_get_a_fresh_bucket() {
        let (limits, settings) = (Limits::new(None), settings(100, 100, 1));
        let asked: Vec<_> = (0..5)
            .map(|_| {
                let _permit = limits.admit(source("10.0.0.1"), &settings).unwrap();
                limits.sweep(&settings);
                limits.attempt(source("10.0.0.1"), &settings)
            })
            .collect();
        assert!(asked[0].is_ok() && asked[1].is_ok(), "both are in the burst");
        assert_eq!(asked[4], Err(Reason::LimitSourceRate));
    }

    #[test]
    fn a_source_beyond_its_rate_is_told_of_three_times_a_second() {
        let (limits, settings) = (Limits::new(None), settings(10, 10, 1));
        let _held = limits.admit(source("10.0.0.1"), &settings).unwrap();
        let started = Instant::now();
        let told = (0..1000).filter(|_| limits.may_tell(source("10.0.0.1"))).count();
        let seconds = 1 + started.elapsed().as_secs() as usize;
        assert!((3..=3 * seconds).contains(&told), "{told}");
    }

    #[test]
    fn strangers_share_a_hundred_rows_a_second() {
        let limits = Limits::new(None);
        let started = Instant::now();
        let told = (0..1000_u32)
            .filter(|n| limits.may_tell(IpAddr::V4((*n).into())))
            .count();
        let seconds = 1 + started.elapsed().as_secs() as usize;
        assert!((100..=100 * seconds).contains(&told), "{told}");
    }

    #[test]
    fn an_ipv6_source_is_one_address() {
        let (limits, settings) = (Limits::new(None), settings(10, 1, 100));
        let _held = limits.admit(source("2001:db8::1"), &settings).unwrap();
        assert_eq!(
            limits.admit(source("2001:db8::1"), &settings).unwrap_err(),
            Reason::LimitSourceTunnels
        );
        let neighbour = limits.admit(source("2001:db8::2"), &settings);
        assert!(neighbour.is_ok(), "a whole subnet of Azure is one /64");
    }

    #[test]
    fn f_08_the_last_place_is_given_once() {
        let (limits, settings) = (Limits::new(None), settings(100, 100, 100));
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    let (limits, settings) = (&limits, &settings);
                    scope.spawn(move || {
                        let ask = |k| limits.admit(source(&format!("10.0.{n}.{k}")), settings);
                        let held: Vec<_> = (0..50).filter_map(|k| ask(k).ok()).collect();
                        let count = held.len();
                        std::mem::forget(held);
                        count
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!((admitted, limits.connections()), (100, 100));
    }

    #[test]
    fn flows_leave_descriptors_for_everything_else() {
        for (files, flows, lingering) in [
            (0, 0, 0),
            (16, 6, 2),
            (256, 160, 32),
            (1024, 824, 128),
            (20_000, 19_120, 512),
        ] {
            assert_eq!(within(files), (flows, lingering), "of {files}");
        }
    }

    #[test]
    fn refused_connections_of_one_source_leave_places_to_linger_for_others() {
        let (limits, settings) = (Limits::new(Some(256)), settings(100, 100, 100));
        let _admitted = [1, 2].map(|n| limits.admit(source(&format!("10.0.0.{n}")), &settings).unwrap());
        let linger = |ip| limits.linger(source(ip));
        let held: Vec<_> = std::iter::from_fn(|| linger("10.0.0.1")).collect();
        assert_eq!(held.len(), 32 / SHARE_OF_LINGERING);
        assert!(linger("10.0.0.2").is_some());
        drop(held);
        assert!(linger("10.0.0.1").is_some(), "what it gave back it may have again");
        assert_eq!(limits.lingering.load(Relaxed), 0);
    }

    #[test]
    fn clients_leave_descriptors_for_dials() {
        let (limits, settings) = (Limits::new(Some(26)), settings(100, 100, 100));
        let admit = || limits.admit(source("10.0.0.1"), &settings);
        let held: Vec<_> = (0..9).map(|_| admit().unwrap()).collect();
        assert_eq!(admit().unwrap_err(), Reason::LimitFiles);
        let dialled = limits.file().unwrap();
        assert_eq!(limits.file().unwrap_err(), Reason::LimitFiles, "all ten are in use");
        drop(held);
        assert!(admit().is_ok(), "a client holds one descriptor, not two");
        drop(dialled);
        assert_eq!(limits.files.load(Relaxed), 0);
    }

    #[test]
    fn half_open_dials_are_counted_until_they_end() {
        let (limits, settings) = (Limits::new(None), settings(1, 1, 1));
        let first = limits.dial(&settings).unwrap();
        assert_eq!(limits.dial(&settings).unwrap_err(), Reason::LimitDials);
        drop(first);
        assert!(limits.dial(&settings).is_ok());
    }
}
