//! [`Cache`]: what was resolved, by name, until it expires. Holds answers and errors alike; `now` is always an argument.
//!
//! Sharded, so that workers rarely meet. Each shard keeps two generations: a hit moves a name into the young one; when that is
//! full it becomes the old one and the former old one goes, with every name that was not asked for meanwhile. So a flood of
//! names that are asked once cannot push out those in use, and evicting costs nothing per name. The shards do so in turn, not
//! all at once: memory stays level, at three quarters of the bound under such a flood. What a worker uses from its own copy
//! (`front`) is not used here: it may go, and is asked again when the copy expires.

use super::{
    ResolveError,
    chain::{Failure, least_ttl},
    plan::CacheLimits,
};
use crate::policy::{Answer, Fqdn};
use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How a resolution ended, as every waiter gets it.
pub type Outcome = Result<Arc<Answer>, ResolveError>;

const SHARDS: usize = 16;

/// Answers and errors by name. At most [`CacheLimits::entries`] of them, rounded up to 2 per shard (32).
#[derive(Debug)]
pub struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    /// Randomly keyed, so that names cannot be chosen to collide.
    hashing: RandomState,
    limits: CacheLimits,
}

/// By hash of the name. Two names of one 64-bit hash share a place: the later one has it.
type Generation = HashMap<u64, Entry, BuildHasherDefault<Hashed>>;

#[derive(Debug)]
struct Shard {
    young: Generation,
    old: Generation,
    /// Names that the young one still takes.
    room: usize,
}

#[derive(Debug)]
struct Entry {
    name: Fqdn,
    outcome: Outcome,
    expires: Instant,
}

/// Passes on a key that is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Cache {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        // The first generations are of unequal size, so that later ones do not fill at the same time.
        let room = |n: usize| (generation_size(&limits) * (n + 1) / SHARDS).max(1);
        Self {
            shards: std::array::from_fn(|n| Mutex::new(Shard::new(room(n)))),
            hashing: RandomState::new(),
            limits,
        }
    }

    /// What is known of a name.
    pub fn find(&self, name: &Fqdn, now: Instant) -> Option<Outcome> {
        self.find_until(name, now).map(|(outcome, _)| outcome)
    }

    /// The same, and until when.
    pub(super) fn find_until(&self, name: &Fqdn, now: Instant) -> Option<(Outcome, Instant)> {
        let hash = self.hashing.hash_one(name);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.young.get(&hash) {
            return entry.answers(name, now).then(|| (entry.outcome.clone(), entry.expires));
        }
        let entry = shard.old.remove(&hash)?;
        if !entry.answers(name, now) {
            return None;
        }
        let outcome = (entry.outcome.clone(), entry.expires);
        let evicted = shard.insert(hash, entry, generation_size(&self.limits));
        drop(shard);
        drop(evicted);
        Some(outcome)
    }

    /// Remembers a whole answer for as long as its shortest TTL. An answer that lacks a family because asking for it failed
    /// (`partial`) is asked again sooner.
    pub fn store_answer(&self, answer: &Arc<Answer>, partial: bool, now: Instant) {
        let ttl = Duration::from_secs(least_ttl(answer).into());
        let ttl = ttl.max(self.limits.min_ttl).min(self.limits.max_ttl);
        let ttl = if partial {
            ttl.min(self.limits.negative_max)
        } else {
            ttl
        };
        self.store(answer.name.clone(), Ok(answer.clone()), now, ttl);
    }

    /// Remembers that a name has no address: for as long as the zone says, or as a failure if it does not say
    /// (RFC 2308 section 5 keeps no negative answer without an SOA; some time there must be, against storms).
    pub fn store_failure(&self, name: &Fqdn, failure: &Failure, now: Instant) {
        let negative = matches!(
            failure.error,
            ResolveError::Nxdomain { .. } | ResolveError::NoData { .. }
        );
        let ttl = match (failure.ttl, &failure.error) {
            (Some(seconds), _) if negative => Duration::from_secs(seconds.into()).min(self.limits.negative_max),
            // our own trouble: it may be over with the next question
            (_, ResolveError::TooManyQueries | ResolveError::NoSocket | ResolveError::Internal) => return,
            _ => self.limits.failure,
        };
        self.store(name.clone(), Err(failure.error.clone()), now, ttl);
    }

    fn store(&self, name: Fqdn, outcome: Outcome, now: Instant, ttl: Duration) {
        if ttl.is_zero() {
            return;
        }
        let hash = self.hashing.hash_one(&name);
        let entry = Entry {
            name,
            outcome,
            expires: now + ttl,
        };
        // what is evicted is freed after the lock is released
        let evicted = self.shard(hash).insert(hash, entry, generation_size(&self.limits));
        drop(evicted);
    }

    /// Names held now, expired ones included.
    pub fn len(&self) -> usize {
        let sizes = self
            .shards
            .iter()
            .map(lock)
            .map(|shard| shard.young.len() + shard.old.len());
        sizes.sum()
    }

    /// Whether no name is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // bits that the tables do not use: they take the lowest and the highest
        lock(&self.shards[(hash >> 40) as usize % SHARDS])
    }
}

/// Names that a generation of a shard takes.
fn generation_size(limits: &CacheLimits) -> usize {
    (limits.entries / SHARDS / 2).max(1)
}

/// Nothing in here panics while it holds the lock; were it so, the table would still be whole.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn new(room: usize) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            room,
        }
    }

    /// Puts an entry into the young generation, or into a new one of `size` if that is full; returns the generation that had to go.
    fn insert(&mut self, hash: u64, entry: Entry, size: usize) -> Option<Generation> {
        self.old.remove(&hash);
        let full = self.room == 0 && !self.young.contains_key(&hash);
        let evicted = full.then(|| {
            self.room = size;
            let retired = mem::take(&mut self.young);
            mem::replace(&mut self.old, retired)
        });
        if self.young.insert(hash, entry).is_none() {
            self.room -= 1;
        }
        evicted
    }
}

impl Entry {
    fn answers(&self, name: &Fqdn, now: Instant) -> bool {
        now < self.expires && self.name == *name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AnswerAddress;
    use std::net::IpAddr;

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).expect("test name")
    }

    fn answer(text: &str, ttl: u32) -> Arc<Answer> {
        let owner = name(text);
        let ip = IpAddr::from([203, 0, 113, 5]);
        let address = AnswerAddress {
            ip,
            owner: owner.clone(),
            zone: ".".into(),
            server: "s".into(),
            ttl,
        };
        Arc::new(Answer {
            name: owner,
            links: vec![],
            addresses: vec![address],
        })
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Whole seconds that a stored answer lives.
    fn life(limits: CacheLimits, ttl: u32, partial: bool) -> u64 {
        let (cache, now) = (Cache::new(limits), Instant::now());
        cache.store_answer(&answer("a.test", ttl), partial, now);
        (0..10_000)
            .take_while(|&s| cache.find(&name("a.test"), now + seconds(s)).is_some())
            .count() as u64
    }

    #[test]
    fn d_11_a_positive_ttl_is_bounded_and_zero_is_not_kept() {
        let limits = CacheLimits::default();
        for (ttl, lives) in [(0, 0), (1, 1), (60, 60), (3600, 3600), (i32::MAX as u32, 3600)] {
            assert_eq!(life(limits, ttl, false), lives, "TTL {ttl}");
        }
        assert_eq!(
            life(limits, 3600, true),
            30,
            "a family that failed is asked for again soon"
        );
        let limits = CacheLimits {
            min_ttl: seconds(5),
            ..limits
        };
        for (ttl, lives) in [(0, 5), (4, 5), (6, 6)] {
            assert_eq!(life(limits, ttl, false), lives, "TTL {ttl}, at least 5");
        }
    }

    /// Positive answers at most one hour, negative ones at most 30 minutes (Azure Firewall DNS settings).
    #[test]
    fn azures_ceilings_are_kept_with_negative_ttl_seconds_1800() {
        let limits = CacheLimits {
            negative_max: seconds(1800),
            ..CacheLimits::default()
        };
        assert_eq!(life(limits, 86_400, false), 3600);
        let (cache, now) = (Cache::new(limits), Instant::now());
        let error = ResolveError::NoData {
            name: name("a.test"),
            zone: ".".into(),
        };
        let failure = Failure {
            error,
            ttl: Some(86_400),
        };
        cache.store_failure(&name("a.test"), &failure, now);
        assert!(cache.find(&name("a.test"), now + seconds(1799)).is_some());
        assert!(cache.find(&name("a.test"), now + seconds(1800)).is_none());
    }

    #[test]
    fn d_23_negative_answers_and_failures_have_their_own_bounds() {
        let nxdomain = || ResolveError::Nxdomain {
            name: name("a.test"),
            zone: ".".into(),
            private_zone_hint: false,
        };
        let no_data = || ResolveError::NoData {
            name: name("a.test"),
            zone: ".".into(),
        };
        let zone = || Arc::<str>::from(".");
        for (error, ttl, lives) in [
            (nxdomain(), Some(86400), 30),
            (nxdomain(), Some(10), 10),
            (nxdomain(), Some(0), 0),
            (nxdomain(), None, 2),
            (no_data(), Some(20), 20),
            (ResolveError::Servfail { zone: zone() }, None, 2),
            (ResolveError::Timeout { zone: zone() }, None, 2),
            (ResolveError::NoSocket, None, 0),
            (ResolveError::TooManyQueries, None, 0),
        ] {
            let (cache, now) = (Cache::new(CacheLimits::default()), Instant::now());
            cache.store_failure(
                &name("a.test"),
                &Failure {
                    error: error.clone(),
                    ttl,
                },
                now,
            );
            let lived = (0..1000)
                .take_while(|&s| cache.find(&name("a.test"), now + seconds(s)).is_some())
                .count();
            assert_eq!(lived, lives, "{error}");
        }
    }

    #[test]
    fn a_newer_answer_replaces_the_older() {
        let (cache, now) = (Cache::new(CacheLimits::default()), Instant::now());
        cache.store_answer(&answer("a.test", 60), false, now);
        let newer = answer("a.test", 90);
        cache.store_answer(&newer, false, now);
        assert_eq!(cache.find(&name("a.test"), now), Some(Ok(newer)));
        assert_eq!(cache.len(), 1);
        assert_eq!(cache.find(&name("b.test"), now), None);
    }

    #[test]
    fn f_06_the_cache_is_bounded_and_keeps_what_is_in_use() {
        let limits = CacheLimits {
            entries: 1000,
            ..CacheLimits::default()
        };
        let (cache, now) = (Cache::new(limits), Instant::now());
        let kept = name("in-use.test");
        cache.store_answer(&answer("in-use.test", 3600), false, now);
        for i in 0..20_000 {
            cache.store_answer(&answer(&format!("n{i}.test"), 3600), false, now);
            assert!(
                cache.find(&kept, now).is_some(),
                "a name in use was evicted by the {i}th other"
            );
        }
        assert!(cache.len() <= 1000, "{} names", cache.len());
        assert!(cache.len() > 400, "{} names", cache.len());
        assert!(cache.find(&name("n0.test"), now).is_none());
        assert!(cache.find(&name("n19999.test"), now).is_some());
    }

    /// Where all shards evict at once memory falls by half again and again, and who watches it cannot tell that from a leak.
    #[test]
    fn a_flood_of_names_keeps_the_cache_at_three_quarters_of_its_bound() {
        let limits = CacheLimits {
            entries: 16_000,
            ..CacheLimits::default()
        };
        let (cache, now) = (Cache::new(limits), Instant::now());
        for i in 0..100_000 {
            cache.store_answer(&answer(&format!("n{i}.test"), 3600), false, now);
            let filled = i >= 16_000;
            if filled && i % 500 == 0 {
                let names = cache.len();
                assert!((10_000..=14_000).contains(&names), "{names} names after {i}");
            }
        }
    }

    #[test]
    fn a_tiny_bound_still_holds() {
        let limits = CacheLimits {
            entries: 0,
            ..CacheLimits::default()
        };
        let (cache, now) = (Cache::new(limits), Instant::now());
        (0..500).for_each(|i| cache.store_answer(&answer(&format!("n{i}.test"), 60), false, now));
        assert!(cache.len() <= 32, "{} names", cache.len());
    }
}
