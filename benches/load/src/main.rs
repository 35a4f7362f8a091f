//! `egret-load WORK..`: load for a proxy that it starts (egret, the floor), for one that runs already, or for nothing.
//!
//! ```text
//! cargo build --release -p egret -p egret-load
//! target/release/egret-load connect deny download --egret target/release/egret --bare --rounds 5
//! target/release/egret-load connect --wait --proxy 127.0.0.1:3128     # says where upstreams and DNS are, and waits
//! ```
//!
//! With several rounds the subjects take turns within each; ratios are those of one round, and their median is shown.

use clap::Parser;
use egret_load::{
    client::Route,
    process::Tree,
    report::{Spread, line},
    subject::{
        Running, bare,
        egret::{self, Options},
        own_folder,
    },
    work::{Sample, Setup, TUNNELS, Work},
    world::{SUFFIXES, World},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

#[derive(Parser)]
#[command(about = "Load for a forward proxy, with upstreams and DNS of its own on loopback")]
struct Args {
    /// What to do; default: everything but `crowd`, `flow`, `pace-among` and `pace-in-crowd`, with `--transparent` also without
    /// `tls` and `http`.
    works: Vec<Work>,
    /// Start this egret with a policy of 201 suffixes and a file log.
    #[arg(long, value_name = "BINARY")]
    egret: Vec<PathBuf>,
    /// Start the floor: a relay, denier or HTTP relay that decides nothing.
    #[arg(long)]
    bare: bool,
    /// Nothing between client and upstream.
    #[arg(long)]
    direct: bool,
    /// A proxy that runs already. `--wait` says what it must reach.
    #[arg(long, value_name = "ADDRESS:PORT")]
    proxy: Option<SocketAddr>,
    /// Its process, for CPU time and memory.
    #[arg(long, requires = "proxy")]
    pid: Option<u32>,
    /// `--proxy` takes a ClientHello instead of a CONNECT. It has one upstream, as `bare-relay --raw` has: for `tls` that of TLS.
    #[arg(long, requires = "proxy")]
    transparent: bool,
    /// Wait for a line on standard input after telling where upstreams and DNS are, so that `--proxy` can be started.
    #[arg(long)]
    wait: bool,
    /// Rounds; the subjects take turns within each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Part of the usual operations: 1 is a run of a few seconds.
    #[arg(long, default_value_t = 1.0, value_parser = egret_load::scale)]
    scale: f64,
    /// Silent tunnels of `idle` and `pace-among`.
    #[arg(long, default_value_t = TUNNELS, value_parser = clap::value_parser!(u64).range(1..))]
    tunnels: u64,
    /// Suffixes of egret's policy.
    #[arg(long, default_value_t = SUFFIXES)]
    suffixes: usize,
    /// A line for egret's `[limits]`, such as `workers = 1`.
    #[arg(long)]
    limit: Vec<String>,
    /// One JSON object a sample instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    egret_load::raise_file_limit();
    egret_load::subject::end_subjects_with_us();
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("egret-load: {error}");
            ExitCode::from(2)
        }
    }
}

/// A subject as asked for on the command line.
enum Subject {
    Direct,
    Bare,
    Egret(PathBuf, Options),
    Given(Route, Option<Tree>),
}

impl Subject {
    fn of(args: &Args) -> Vec<Self> {
        let given = args.proxy.map(|proxy| {
            let route = match args.transparent {
                true => Route::Transparent(proxy),
                false => Route::Proxy(proxy),
            };
            Self::Given(route, args.pid.map(|pid| Tree { pid }))
        });
        let direct = args.direct.then_some(Self::Direct);
        let bare = args.bare.then_some(Self::Bare);
        let egret = args.egret.iter().map(|path| {
            let options = Options {
                suffixes: args.suffixes,
                limits: args.limit.clone(),
            };
            Self::Egret(path.clone(), options)
        });
        direct.into_iter().chain(bare).chain(egret).chain(given).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::Direct => "direct".into(),
            Self::Bare => "bare".into(),
            Self::Egret(path, _) => path.display().to_string(),
            Self::Given(Route::Proxy(at) | Route::Transparent(at), _) => at.to_string(),
            Self::Given(Route::Direct, _) => "direct".into(),
        }
    }

    /// One run of one work.
    fn run(&self, work: Work, setup: &Setup) -> io::Result<Sample> {
        let on = |mut running: Running| {
            let setup = setup.with(Route::Proxy(running.proxy), Some(running.tree()));
            work.run(&setup).map_err(|error| running.explained(error))
        };
        match self {
            Self::Direct => work.run(&setup.with(Route::Direct, None)),
            Self::Given(route, tree) => work.run(&setup.with(*route, *tree)),
            Self::Bare => on(bare::recipe(work, &setup.world, &own_folder()?)?.start()?),
            Self::Egret(path, options) => on(egret::recipe(path, &setup.world, options)?.start()?),
        }
    }
}

/// Whether every operation went right.
fn run(args: &Args) -> io::Result<bool> {
    let subjects = Subject::of(args);
    if subjects.is_empty() {
        return Err(io::Error::other(
            "nothing to measure: give --egret, --bare, --direct or --proxy",
        ));
    }
    let mut setup = Setup::new(World::start()?, Route::Direct, None)?;
    setup.scale = args.scale;
    setup.tunnels = args.tunnels;
    if args.wait {
        wait(&setup.world)?;
    }
    let mut right = true;
    for work in works(args) {
        let mut rounds: Vec<Vec<Sample>> = Vec::new();
        for round in 1..=args.rounds {
            let mut samples = Vec::new();
            for subject in &subjects {
                let sample = subject.run(work, &setup)?;
                right &= sample.failed == 0;
                show(args, work, round, subject, &sample)?;
                samples.push(sample);
            }
            rounds.push(samples);
        }
        if !args.json {
            ratios(work, &subjects, &rounds)?;
        }
    }
    Ok(right)
}

fn works(args: &Args) -> Vec<Work> {
    use Work::*;
    if !args.works.is_empty() {
        return args.works.clone();
    }
    let mut works = vec![
        Connect, Tls, Deny, Download, Upload, Duplex, Mib, Small, Http, Idle, Pace,
    ];
    works.retain(|work| !args.transparent || !matches!(work, Tls | Http));
    works
}

/// Tells what a proxy must reach, and waits until it runs.
fn wait(world: &World) -> io::Result<()> {
    eprintln!(
        "names *.allowed.test by DNS at {} (they are 127.0.0.1); allow CONNECT to ports {} and {}, plain HTTP to port {}; \
         deny the rest. Enter when the proxy runs.",
        world.dns,
        world.tunnels.port(),
        world.tls.port(),
        world.http.port()
    );
    io::stdin().read_line(&mut String::new()).map(drop)
}

fn show(args: &Args, work: Work, round: u32, subject: &Subject, sample: &Sample) -> io::Result<()> {
    let (work, subject) = (work.name(), subject.name());
    if args.json {
        let mut value = serde_json::to_value(sample)?;
        value["work"] = work.into();
        value["subject"] = subject.into();
        value["round"] = round.into();
        writeln!(io::stdout(), "{value}")
    } else {
        writeln!(io::stdout(), "{work:<13} {round:>2}  {subject}: {}", line(sample))
    }
}

/// CPU time of each subject against the floor of the same round; of silent tunnels memory.
fn ratios(work: Work, subjects: &[Subject], rounds: &[Vec<Sample>]) -> io::Result<()> {
    let Some(floor) = subjects.iter().position(|subject| matches!(subject, Subject::Bare)) else {
        return Ok(());
    };
    let cost = |sample: &Sample| sample.tunnel_bytes.or(sample.cpu_us).or(sample.cpu_s_gib);
    let what = if work == Work::Idle { "memory" } else { "CPU" };
    for (n, subject) in subjects.iter().enumerate().filter(|&(n, _)| n != floor) {
        let of_round = |samples: &Vec<Sample>| Some(cost(&samples[n])? / cost(&samples[floor])?);
        if let Some(spread) = Spread::of(rounds.iter().filter_map(of_round)) {
            let (work, subject) = (work.name(), subject.name());
            writeln!(io::stdout(), "{work:<13} {what} of {subject} / bare: {}", spread.show())?;
        }
    }
    Ok(())
}
