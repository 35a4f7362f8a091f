//! Clients that do one operation after the other, on a thread per core.

use super::{Setup, Tally};
use crate::client::patiently;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::Barrier, task::LocalSet};

/// How much is done at most.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients at once.
    pub clients: u64,
    /// Operations of all together.
    pub operations: u64,
}

/// Longest run.
const LONGEST: Duration = Duration::from_secs(60);

/// Failures after which a client stops.
const FAILURES: u64 = 10;

/// Lets each client `open` what it keeps for the whole run; then, once all have, measures them doing `step` after `step`
/// until the plan is done. Both get the number of the client or of the operation; a step gives the bytes that it moved.
///
/// Fails if the subject is gone.
pub fn run<S, O, P>(setup: &Setup, plan: Plan, open: O, step: P) -> io::Result<Tally>
where
    S: 'static,
    O: AsyncFn(&Setup, u64) -> io::Result<S> + Clone + Send + 'static,
    P: AsyncFn(&Setup, &mut S, u64) -> io::Result<u64> + Clone + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let barrier = Arc::new(Barrier::new(plan.clients as usize + 1));
    let threads = (crate::cores() as u64).min(plan.clients);
    let mut workers = Vec::new();
    for worker in 0..threads {
        let (setup, next, barrier) = (Arc::new(setup.clone()), next.clone(), barrier.clone());
        let (open, step) = (open.clone(), step.clone());
        workers.push(thread::spawn(move || {
            let local = LocalSet::new();
            let clients = (worker..plan.clients).step_by(threads as usize);
            let clients: Vec<_> = clients
                .map(|n| {
                    let (setup, next, barrier) = (setup.clone(), next.clone(), barrier.clone());
                    let (open, step) = (open.clone(), step.clone());
                    local.spawn_local(async move {
                        let opened = patiently(open(&setup, n)).await;
                        barrier.wait().await;
                        barrier.wait().await;
                        client(&setup, plan, &next, opened, step).await
                    })
                })
                .collect();
            crate::block_on(local);
            // A client that panics ends the run: it is a fault of this program.
            clients
                .into_iter()
                .map(|client| crate::block_on(client).expect("a client does not panic"))
                .collect::<Vec<_>>()
        }));
    }
    crate::block_on(barrier.wait());
    let before = Tally::begin(setup);
    let begin = Instant::now();
    crate::block_on(barrier.wait());
    let mut parts = Vec::new();
    for worker in workers {
        parts.extend(worker.join().map_err(|_| io::Error::other("a client panicked"))?);
    }
    let took = begin.elapsed();
    let mut tally = Tally { took, ..before? };
    for mut part in parts {
        tally.done += part.done;
        tally.failed += part.failed;
        tally.failure = tally.failure.or(part.failure);
        tally.bytes += part.bytes;
        tally.latencies.append(&mut part.latencies);
    }
    Ok(tally)
}

async fn client<S, P>(setup: &Setup, plan: Plan, next: &AtomicU64, opened: io::Result<S>, step: P) -> Tally
where
    P: AsyncFn(&Setup, &mut S, u64) -> io::Result<u64>,
{
    let mut tally = Tally::default();
    let mut session = match opened {
        Ok(session) => session,
        Err(error) => {
            tally.failed(&error);
            return tally;
        }
    };
    let begin = Instant::now();
    loop {
        let n = next.fetch_add(1, Relaxed);
        if n >= plan.operations || tally.failed >= FAILURES || begin.elapsed() > LONGEST {
            return tally;
        }
        let since = Instant::now();
        match patiently(step(setup, &mut session, n)).await {
            Ok(bytes) => {
                tally.done += 1;
                tally.bytes += bytes;
                tally.latencies.push(since.elapsed());
            }
            Err(error) => tally.failed(&error),
        }
    }
}

/// The same for operations that keep nothing between them, after a twentieth of them that is not counted.
pub fn operations<P>(setup: &Setup, plan: Plan, step: P) -> io::Result<Tally>
where
    P: AsyncFn(&Setup, u64) -> io::Result<u64> + Clone + Send + 'static,
{
    let stateless = async move |setup: &Setup, (): &mut (), n: u64| step(setup, n).await;
    let nothing = async |_: &Setup, _: u64| Ok(());
    let warm = Plan {
        operations: plan.operations / 20,
        ..plan
    };
    run(setup, warm, nothing, stateless.clone())?;
    run(setup, plan, nothing, stateless)
}
