//! Names to addresses: forwarders by zone, one chain algorithm, a cache in front.
//!
//! In comes a name that a rule could allow; out goes an [`Answer`](crate::policy::Answer) that says for every alias and address which zone and which
//! server said it, or a [`ResolveError`]. Whether an address may be dialled is for [`vet`](crate::policy::vet) to say.
//!
//! - [`plan`] says where a name is asked. Never the hosts file, never a search list, never another zone's forwarders.
//! - [`cache`] knows what was resolved before; `front` keeps what a worker uses of it.
//! - [`chain`] walks from the name to its addresses, without IO.
//! - [`forward`] carries one question to the servers of one zone.
//! - [`message`] is the wire: a question out, a reply in.

pub mod cache;
pub mod chain;
pub mod counters;
pub mod error;
pub mod forward;
mod front;
pub mod message;
pub mod plan;

pub use cache::Outcome;
pub use counters::Counters;
pub use error::{ChainFault, ResolveError, Side};
pub use plan::{Authority, CacheLimits, DnsPlan, StaticData, StaticRecord, Timing, Zone};

use crate::{
    policy::Fqdn,
    proof::{self, Guard},
};
use cache::Cache;
use chain::{Chain, Failure, Found, Step, join};
use counters::count;
use forward::Forwarders;
use front::Front;
use message::{Family, Question};
use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::{runtime::Handle, sync::watch, time::sleep_until};

/// Resolves names by a plan. One per plan; shared by all workers.
#[derive(Debug)]
pub struct Resolver {
    plan: Arc<DnsPlan>,
    handle: Handle,
    cache: Cache,
    front: Front,
    forwarders: Forwarders,
    flights: Mutex<HashMap<Fqdn, Flight>>,
    counters: Arc<Counters>,
}

/// Where those who wait for one name learn how it ended. `None`: not yet.
type Flight = watch::Receiver<Option<Outcome>>;

impl Resolver {
    /// A resolver with an empty cache. Questions are asked by tasks on `handle`, whoever waits for them.
    pub fn new(plan: Arc<DnsPlan>, handle: Handle) -> Arc<Self> {
        Self::counting(plan, handle, Arc::default())
    }

    /// A resolver for another plan, with an empty cache; it goes on counting where this one stands.
    pub fn renewed(&self, plan: Arc<DnsPlan>) -> Arc<Self> {
        Self::counting(plan, self.handle.clone(), self.counters.clone())
    }

    fn counting(plan: Arc<DnsPlan>, handle: Handle, counters: Arc<Counters>) -> Arc<Self> {
        let cache = Cache::new(plan.cache);
        let front = Front::new(plan.cache.entries);
        let forwarders = Forwarders::new(&plan, counters.clone());
        Arc::new(Self {
            plan,
            handle,
            cache,
            front,
            forwarders,
            flights: Mutex::default(),
            counters,
        })
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What this resolver was made from.
    pub fn plan(&self) -> &Arc<DnsPlan> {
        &self.plan
    }

    /// Names in the cache.
    pub fn cached_names(&self) -> usize {
        self.cache.len()
    }

    /// Names being resolved.
    pub fn in_flight(&self) -> usize {
        self.flights().len()
    }

    /// What the cache has of a name: without a wait.
    pub fn known(&self, name: &Fqdn) -> Option<Outcome> {
        let now = Instant::now();
        let known = match self.front.find(name, now) {
            Some(answer) => Ok(answer),
            None => {
                let (known, expires) = self.cache.find_until(name, now)?;
                known.map(|answer| self.front.keep(answer, expires))
            }
        };
        self.counters.hits.add(1);
        Some(known)
    }

    /// The addresses of a name, from the cache or from the forwarders within [`Timing::total`].
    ///
    /// Many may wait for one name: it is asked once. Dropping this future ends the waiting, not the work.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(self: &Arc<Self>, name: &Fqdn) -> Outcome {
        if let Some(known) = self.known(name) {
            return known;
        }
        let mut flight = self.board(name)?;
        let ended = flight.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|outcome| outcome.clone())
            .unwrap_or(Err(ResolveError::Internal))
    }

    /// Joins the flight of a name, or starts it.
    fn board(self: &Arc<Self>, name: &Fqdn) -> Result<Flight, ResolveError> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(name) {
            count(&self.counters.joined);
            return Ok(flight.clone());
        }
        // it may have landed since the cache was asked
        if let Some(known) = self.cache.find(name, Instant::now()) {
            self.counters.hits.add(1);
            return Ok(watch::channel(Some(known)).1);
        }
        if flights.len() >= self.plan.max_queries && !proof::off(Guard::Limits) {
            count(&self.counters.refused);
            return Err(ResolveError::TooManyQueries);
        }
        count(&self.counters.misses);
        let (landed, flight) = watch::channel(None);
        flights.insert(name.clone(), flight.clone());
        // a runtime that has ended drops the task at once, and the task takes this lock when it is dropped
        drop(flights);
        let landing = Landing {
            resolver: self.clone(),
            name: name.clone(),
        };
        self.handle.spawn(async move {
            let outcome = landing.resolver.resolve_now(&landing.name).await;
            drop(landing);
            landed.send_replace(Some(outcome));
        });
        Ok(flight)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Fqdn, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for both families, and remembers how it ended.
    async fn resolve_now(&self, name: &Fqdn) -> Outcome {
        let (v6, v4) = self.both_families(name, Instant::now() + self.plan.timing.total).await;
        let unanswered =
            |family: &Result<Found, Failure>| family.as_ref().is_err_and(|failed| !says_none(&failed.error));
        let partial = unanswered(&v6) || unanswered(&v4);
        let now = Instant::now();
        match join(name, v6, v4) {
            Ok(answer) => {
                let answer = Arc::new(answer);
                self.cache.store_answer(&answer, partial, now);
                Ok(answer)
            }
            Err(failure) => {
                count(&self.counters.failures);
                self.cache.store_failure(name, &failure, now);
                Err(failure.error)
            }
        }
    }

    /// Each family on its own. Once one has addresses, the other has [`Timing::per_try`] left (RFC 8305 section 3 gives it
    /// 50 ms; here the answer is kept for everyone, so it is worth a little more).
    async fn both_families(&self, name: &Fqdn, deadline: Instant) -> (Result<Found, Failure>, Result<Found, Failure>) {
        let mut v6 = pin!(self.one_family(name, Family::V6, deadline));
        let mut v4 = pin!(self.one_family(name, Family::V4, deadline));
        let (mut ended_v6, mut ended_v4) = (None, None);
        // every question ends by the deadline on its own
        let mut limit = deadline + self.plan.timing.per_try;
        while ended_v6.is_none() || ended_v4.is_none() {
            let ended = tokio::select! {
                ended = &mut v6, if ended_v6.is_none() => ended_v6.insert(ended),
                ended = &mut v4, if ended_v4.is_none() => ended_v4.insert(ended),
                () = sleep_until(limit.into()) => break,
            };
            if ended.is_ok() {
                limit = limit.min(Instant::now() + self.plan.timing.per_try);
            }
        }
        let late = || {
            let zone = self
                .plan
                .zone_of(name)
                .map_or_else(|| ".".into(), |zone| zone.name.clone());
            Err(ResolveError::Timeout { zone }.into())
        };
        (ended_v6.unwrap_or_else(late), ended_v4.unwrap_or_else(late))
    }

    async fn one_family(&self, name: &Fqdn, family: Family, deadline: Instant) -> Result<Found, Failure> {
        let (mut chain, mut step) = Chain::start(&self.plan, name, family);
        loop {
            match step {
                Step::Ask(zone, name) => {
                    let reply = self.forwarders.ask(zone, Question { name, family }, deadline).await?;
                    step = chain.answered(&reply);
                }
                Step::Found(found) => return Ok(found),
                Step::Failed(failure) => return Err(failure),
            }
        }
    }
}

/// Whether a zone says that there is no address, rather than nothing.
fn says_none(error: &ResolveError) -> bool {
    matches!(error, ResolveError::NoData { .. } | ResolveError::Nxdomain { .. })
}

/// Takes a name off the list of flights, however its task ends; what was learnt is in the cache by then.
struct Landing {
    resolver: Arc<Resolver>,
    name: Fqdn,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.resolver.flights().remove(&self.name);
    }
}
