//! What hundreds of bulk tunnels do to new ones.

use super::{CROWD, MIB, Sample, Setup, pace};
use crate::{
    client::{self, patiently},
    process::own_cpu,
    world::{
        pattern,
        tunnel::{Asked, take_some},
    },
};
use std::{
    io::{self, ErrorKind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    task::{JoinSet, LocalSet},
};

/// Bytes down a tunnel, on average, before the first new one: buffers are full, and the crowd is in full flow.
const FIRST_BYTES: u64 = 32 * MIB;

/// Longest time for that.
const LONGEST: Duration = Duration::from_secs(60);

/// Pause between two looks whether it is so.
const LOOK: Duration = Duration::from_millis(20);

/// Time between two new tunnels: a tenth of the usual pace, so that they wait for the crowd more than for each other.
const EVERY: Duration = Duration::from_millis(20);

/// What each tunnel of the crowd asks for, in bytes: more than there is time for.
const ENDLESS: u64 = 1 << 50;

/// New tunnels while bytes go down [`CROWD`] others, fewer at a very small scale. CPU time is that of it all, per GiB of
/// the crowd. What new tunnels wait for is to be held against what they wait for without a proxy: they share the upstreams
/// and the processors with the crowd.
///
/// Fails if a tunnel of the crowd does, or if its bytes do not move.
pub fn pace_in_crowd(setup: &Setup) -> io::Result<Sample> {
    let tunnels = setup.scaled(10 * CROWD).min(CROWD);
    let threads = (crate::cores() as u64).min(tunnels);
    let ((stop, stopped), taken) = (watch::channel(()), Arc::new(AtomicU64::new(0)));
    let start = |first| {
        let (setup, taken, stopped) = (setup.clone(), taken.clone(), stopped.clone());
        let numbers = (first..tunnels).step_by(threads as usize);
        thread::spawn(move || crate::block_on(LocalSet::new().run_until(take_all(setup, numbers, taken, stopped))))
    };
    let crowd: Vec<_> = (0..threads).map(start).collect();
    let enough = tunnels * setup.scaled(FIRST_BYTES).min(FIRST_BYTES);
    let moves = wait_for(&taken, enough, &crowd);
    let before = Meter::read(setup, &taken);
    let sample = moves.and_then(|()| pace::pace_every(setup, EVERY));
    let after = Meter::read(setup, &taken);
    drop(stop);
    for client in crowd {
        client
            .join()
            .map_err(|_| io::Error::other("a client panicked"))?
            .map_err(|error| io::Error::new(error.kind(), format!("a tunnel of the crowd: {error}")))?;
    }
    let (before, after) = (before?, after?);
    if after.bytes == before.bytes {
        return Err(stalled());
    }
    Ok(after.since(&before, setup.tree.is_some(), sample?))
}

fn wait_for(taken: &AtomicU64, enough: u64, crowd: &[JoinHandle<io::Result<()>>]) -> io::Result<()> {
    let begin = Instant::now();
    while taken.load(Relaxed) < enough {
        if begin.elapsed() > LONGEST || crowd.iter().any(JoinHandle::is_finished) {
            return Err(stalled());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn stalled() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the crowd does not get its bytes, or too slowly")
}

/// What the crowd has cost by now.
struct Meter {
    at: Instant,
    subject: Duration,
    load: Duration,
    bytes: u64,
}

impl Meter {
    fn read(setup: &Setup, taken: &AtomicU64) -> io::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            subject: setup.usage()?.cpu,
            load: own_cpu(),
            bytes: taken.load(Relaxed),
        })
    }

    /// The sample with this instead of what a new tunnel costs.
    fn since(&self, before: &Self, has_subject: bool, sample: Sample) -> Sample {
        let gib = (self.bytes - before.bytes) as f64 / (1024 * MIB) as f64;
        Sample {
            gib_per_second: Some(gib / self.at.duration_since(before.at).as_secs_f64()),
            cpu_s_gib: has_subject.then(|| self.subject.saturating_sub(before.subject).as_secs_f64() / gib),
            load_s_gib: Some(self.load.saturating_sub(before.load).as_secs_f64() / gib),
            cpu_us: None,
            load_us: None,
            // Of so few it is the longest.
            p999_us: None,
            ..sample
        }
    }
}

/// A tunnel of each number, until told to stop or one of them fails.
async fn take_all(
    setup: Setup,
    numbers: impl Iterator<Item = u64>,
    taken: Arc<AtomicU64>,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    let (setup, mut tunnels) = (Rc::new(setup), JoinSet::new());
    for n in numbers {
        let (setup, taken) = (setup.clone(), taken.clone());
        tunnels.spawn_local(async move {
            let asked = client::ask(setup.route, setup.target(n), setup.world.tunnels, Asked::Send(ENDLESS));
            let (mut stream, mut buffer, mut at) = (patiently(asked).await?, vec![0; pattern::CHUNK_BYTES], 0);
            while at < ENDLESS {
                let more = take_some(&mut stream, at, &mut buffer).await?;
                taken.fetch_add(more, Relaxed);
                at += more;
            }
            Ok(())
        });
    }
    tokio::select! {
        Some(ended) = tunnels.join_next() => ended.map_err(io::Error::other)?,
        _ = stopped.changed() => Ok(()),
    }
}
