//! New tunnels at a steady, low rate: what a client waits for when nothing queues.

use super::{Sample, Setup, Tally};
use crate::client::{self, patiently};
use std::{io, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, LocalSet},
    time::{Instant, MissedTickBehavior, interval},
};

/// How long new tunnels are opened at the usual scale.
const LONG: Duration = Duration::from_secs(2);

/// Time between two new tunnels where nothing else is done.
pub const EVERY: Duration = Duration::from_millis(2);

/// Tunnels that may be under way at once.
const MOST: usize = 256;

pub fn pace(setup: &Setup) -> io::Result<Sample> {
    pace_every(setup, EVERY)
}

/// The same at another pace.
pub fn pace_every(setup: &Setup, every: Duration) -> io::Result<Sample> {
    let tally = crate::block_on(LocalSet::new().run_until(new_tunnels(setup, every)))?;
    tally.sample(setup)
}

/// A new tunnel after each `every`, from connect to the first upstream bytes. To be run in a `LocalSet`.
pub async fn new_tunnels(setup: &Setup, every: Duration) -> io::Result<Tally> {
    let count = setup.scaled((LONG.as_nanos() / every.as_nanos().max(1)) as u64);
    // Names and pools are warm before the clock starts.
    for n in 0..setup.targets.len() as u64 {
        patiently(client::open(setup.route, setup.target(n), setup.world.tunnels)).await?;
    }
    let mut tally = Tally::begin(setup)?;
    let (begin, places, setup) = (Instant::now(), Arc::new(Semaphore::new(MOST)), Rc::new(setup.clone()));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tunnels = JoinSet::new();
    for n in 0..count {
        ticks.tick().await;
        let place = places.clone().acquire_owned();
        let setup = setup.clone();
        tunnels.spawn_local(async move {
            let _place = place.await;
            let since = Instant::now();
            let opened = patiently(client::open(setup.route, setup.target(n), setup.world.tunnels)).await;
            opened.map(|_| since.elapsed())
        });
    }
    while let Some(opened) = tunnels.join_next().await {
        match opened.map_err(io::Error::other)? {
            Ok(latency) => {
                tally.done += 1;
                tally.latencies.push(latency);
            }
            Err(error) => tally.failed(&error),
        }
    }
    tally.took = begin.elapsed();
    Ok(tally)
}
