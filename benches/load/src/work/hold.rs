//! Silent tunnels: what they hold, what is left of it, and what they do to new ones.

use super::{Sample, Setup, Tally, pace};
use crate::client::{self, patiently};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    task::{JoinSet, LocalSet},
    time::sleep,
};

/// Tunnels that are opened at once.
const AT_ONCE: usize = 64;

/// Quiet time before memory is read.
const QUIET: Duration = Duration::from_secs(1);

/// How long a subject has to give memory back.
const GIVE_BACK: Duration = Duration::from_secs(5);

pub fn idle(setup: &Setup) -> io::Result<Sample> {
    crate::block_on(LocalSet::new().run_until(async {
        drop(open(setup, setup.tunnels.div_ceil(20)).await?);
        sleep(QUIET).await;
        let (held, tally) = open(setup, setup.tunnels).await?;
        sleep(QUIET).await;
        let with = setup.usage()?;
        drop(held);
        let before = tally.before.resident;
        let left = left(setup, before).await?;
        let tunnel_bytes = (with.resident as f64 - before as f64) / tally.done.max(1) as f64;
        Ok(Sample {
            tunnel_bytes: setup.tree.map(|_| tunnel_bytes),
            left_bytes: setup.tree.map(|_| left),
            // Most of it would be the looking.
            load_us: None,
            ..tally.sample(setup)?
        })
    }))
}

/// What is still held once memory does not fall any more, less `before`.
async fn left(setup: &Setup, before: u64) -> io::Result<i64> {
    let begin = Instant::now();
    let mut least = u64::MAX;
    while begin.elapsed() < GIVE_BACK && least > before {
        sleep(QUIET / 4).await;
        least = least.min(setup.usage()?.resident);
    }
    Ok(least as i64 - before as i64)
}

pub fn pace_among(setup: &Setup) -> io::Result<Sample> {
    crate::block_on(LocalSet::new().run_until(async {
        let (held, opening) = open(setup, setup.tunnels).await?;
        sleep(QUIET).await;
        let mut tally = pace::new_tunnels(setup, pace::EVERY).await?;
        tally.failed += opening.failed;
        tally.failure = tally.failure.or(opening.failure);
        let sample = tally.sample(setup);
        drop(held);
        sample
    }))
}

/// Opens `count` tunnels, each silent after the answer to its ClientHello.
async fn open(setup: &Setup, count: u64) -> io::Result<(Vec<TcpStream>, Tally)> {
    let (mut held, mut tally) = (Vec::with_capacity(count as usize), Tally::begin(setup)?);
    let (begin, mut opening) = (Instant::now(), JoinSet::new());
    let setup = std::rc::Rc::new(setup.clone());
    for n in 0..count {
        let setup = setup.clone();
        opening.spawn_local(
            async move { patiently(client::open(setup.route, setup.target(n), setup.world.tunnels)).await },
        );
        while opening.len() >= AT_ONCE || (n + 1 == count && !opening.is_empty()) {
            match opening
                .join_next()
                .await
                .expect("some are opening")
                .map_err(io::Error::other)?
            {
                Ok(stream) => {
                    held.push(stream);
                    tally.done += 1;
                }
                Err(error) => tally.failed(&error),
            }
        }
    }
    tally.took = begin.elapsed();
    Ok((held, tally))
}
