//! The kinds of work, and the figures that one run gives.

mod bulk;
mod closed_loop;
mod crowd;
mod hold;
mod pace;
mod short;

use crate::{
    client::{Route, hello::Target},
    process::{Tree, Usage, own_cpu},
    report::quantile,
    world::{self, World},
};
use clap::ValueEnum;
use serde::Serialize;
use std::{io, sync::Arc, thread, time::Duration};

/// A byte count of transfers.
const MIB: u64 = 1 << 20;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// New tunnels: connect, CONNECT, ClientHello, 2.5 KB down, 400 B up, 1 KiB down, close; 32 clients.
    Connect,
    /// New tunnels with a real TLS 1.3 handshake; 16 clients.
    Tls,
    /// A name that is not allowed; 16 clients.
    Deny,
    /// Bytes down 4 tunnels.
    Download,
    /// Bytes up 4 tunnels.
    Upload,
    /// Bytes both ways in 4 tunnels.
    Duplex,
    /// Bytes down 1 tunnel.
    Flow,
    /// Bytes down 500 tunnels.
    Crowd,
    /// A new tunnel for each MiB down; 16 clients.
    Mib,
    /// Round trips of 512 B in 64 tunnels.
    Small,
    /// Plain HTTP requests on 32 kept connections, answers of 1 KiB.
    Http,
    /// Tunnels that are silent after the answer to their ClientHello: memory.
    Idle,
    /// A new tunnel every 2 ms: time to the first upstream byte.
    Pace,
    /// The same while silent tunnels are open.
    PaceAmong,
    /// A new tunnel every 20 ms while bytes go down 500 tunnels.
    PaceInCrowd,
}

/// Who is measured, and by what way.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The far side.
    pub world: World,
    /// The way there.
    pub route: Route,
    /// The subject's processes, if there is a subject.
    pub tree: Option<Tree>,
    /// Names in use.
    pub targets: Arc<Vec<Target>>,
    /// A name that is not allowed.
    pub denied: Arc<Target>,
    /// Part of the usual count of operations; 1 is a run of a few seconds.
    pub scale: f64,
    /// Silent tunnels of [`Work::Idle`] and [`Work::PaceAmong`].
    pub tunnels: u64,
}

/// Bulk tunnels of [`Work::Crowd`] and [`Work::PaceInCrowd`].
const CROWD: u64 = 500;

/// Silent tunnels, unless told otherwise.
pub const TUNNELS: u64 = 3_000;

impl Setup {
    /// Names are made here, at some cost. Fails only if TLS does.
    pub fn new(world: World, route: Route, tree: Option<Tree>) -> io::Result<Self> {
        Ok(Self {
            world,
            route,
            tree,
            targets: Arc::new(Target::allowed()?),
            denied: Arc::new(Target::new(world::DENIED)?),
            scale: 1.0,
            tunnels: TUNNELS,
        })
    }

    /// The same for another subject.
    pub fn with(&self, route: Route, tree: Option<Tree>) -> Self {
        Self {
            route,
            tree,
            ..self.clone()
        }
    }

    fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.scale) as u64).max(1)
    }

    fn target(&self, n: u64) -> &Target {
        &self.targets[n as usize % self.targets.len()]
    }

    /// What the subject has used; nothing where there is none.
    fn usage(&self) -> io::Result<Usage> {
        self.tree.map_or(Ok(Usage::default()), Tree::usage)
    }
}

/// The figures of one run. What a kind of work has no figure for is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// Operations that went right.
    pub done: u64,
    /// Operations that did not.
    pub failed: u64,
    /// Why the first of them did not.
    pub failure: Option<String>,
    /// Operations per second.
    pub per_second: Option<f64>,
    /// Median time of an operation, in microseconds.
    pub p50_us: Option<f64>,
    /// 99th percentile of it.
    pub p99_us: Option<f64>,
    /// 99.9th percentile of it.
    pub p999_us: Option<f64>,
    /// Throughput, both directions together.
    pub gib_per_second: Option<f64>,
    /// The subject's CPU time per operation, in microseconds.
    pub cpu_us: Option<f64>,
    /// The subject's CPU time per GiB, in seconds.
    pub cpu_s_gib: Option<f64>,
    /// That of the clients, upstreams and DNS server per operation, in microseconds. The kernel charges TCP's work to whoever
    /// happens to be running: what it saves the subject may be found here.
    pub load_us: Option<f64>,
    /// The same per GiB, in seconds.
    pub load_s_gib: Option<f64>,
    /// The subject's resident memory before the run, in bytes.
    pub resident: Option<u64>,
    /// Its peak during the run, in bytes.
    pub peak: Option<u64>,
    /// Resident memory per silent tunnel, in bytes.
    pub tunnel_bytes: Option<f64>,
    /// Resident memory after all are closed, less that before, in bytes.
    pub left_bytes: Option<i64>,
}

/// What a loop of clients did.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    failed: u64,
    failure: Option<String>,
    bytes: u64,
    latencies: Vec<Duration>,
    took: Duration,
    before: Usage,
    load_before: Duration,
}

/// What is closing is charged as well.
const SETTLE: Duration = Duration::from_millis(150);

impl Tally {
    /// Of a run that begins now. Fails if the subject is gone.
    fn begin(setup: &Setup) -> io::Result<Self> {
        Ok(Self {
            before: setup.usage()?,
            load_before: own_cpu(),
            ..Self::default()
        })
    }

    /// The figures, with what the subject has used since.
    fn sample(mut self, setup: &Setup) -> io::Result<Sample> {
        thread::sleep(SETTLE);
        let load = own_cpu().saturating_sub(self.load_before).as_secs_f64();
        let after = setup.usage()?;
        let seconds = self.took.as_secs_f64().max(1e-9);
        let cpu = setup
            .tree
            .map(|_| after.cpu.saturating_sub(self.before.cpu).as_secs_f64());
        let gib = self.bytes as f64 / (1024 * MIB) as f64;
        let bulk = self.bytes > 0;
        let timed = !self.latencies.is_empty() && !bulk;
        let done = self.done.max(1) as f64;
        let mut quantile = |share| timed.then(|| quantile(&mut self.latencies, share).as_secs_f64() * 1e6);
        Ok(Sample {
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            done: self.done,
            failed: self.failed,
            failure: self.failure,
            per_second: Some(self.done as f64 / seconds),
            gib_per_second: bulk.then_some(gib / seconds),
            cpu_us: cpu.filter(|_| !bulk).map(|cpu| cpu * 1e6 / done),
            cpu_s_gib: cpu.filter(|_| bulk).map(|cpu| cpu / gib),
            load_us: (!bulk).then_some(load * 1e6 / done),
            load_s_gib: bulk.then_some(load / gib),
            resident: setup.tree.map(|_| self.before.resident),
            peak: setup.tree.map(|_| after.peak),
            ..Sample::default()
        })
    }

    fn failed(&mut self, error: &io::Error) {
        self.failed += 1;
        self.failure.get_or_insert_with(|| error.to_string());
    }
}

impl Work {
    /// Runs it once, after a short run that warms the subject's caches. Fails if the subject ends, or
    /// [`Work::PaceInCrowd`]'s crowd does not get its bytes.
    pub fn run(self, setup: &Setup) -> io::Result<Sample> {
        if let Some(tree) = setup.tree {
            tree.forget_peak()?;
        }
        match self {
            Self::Connect => short::connect(setup),
            Self::Tls => short::tls(setup),
            Self::Deny => short::deny(setup),
            Self::Small => short::small(setup),
            Self::Http => short::http(setup),
            Self::Download => bulk::download(setup, 4, 512 * MIB),
            Self::Flow => bulk::download(setup, 1, 1024 * MIB),
            Self::Crowd => bulk::download(setup, CROWD, 8 * MIB),
            Self::Upload => bulk::upload(setup, 4, 512 * MIB),
            Self::Duplex => bulk::duplex(setup, 4, 256 * MIB),
            Self::Mib => bulk::mib(setup),
            Self::Idle => hold::idle(setup),
            Self::Pace => pace::pace(setup),
            Self::PaceAmong => hold::pace_among(setup),
            Self::PaceInCrowd => crowd::pace_in_crowd(setup),
        }
    }

    /// As it is named on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no kind of work is hidden");
        value.get_name().to_owned()
    }
}
