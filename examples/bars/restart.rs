//! Restarts under socket activation, as systemd does them: the socket stays, the old process ends, the next one starts. No
//! client may notice but by waiting.

use crate::{
    policy,
    process::Egret,
    report::Report,
    rows::Tally,
    tunnel::{Refusal, Tunnel, source},
    world::World,
};
use clap::Args;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How `restart` runs.
#[derive(Args)]
pub struct RestartArgs {
    /// Restarts.
    #[arg(long, default_value_t = 50)]
    restarts: u64,
    /// Tunnels at least; clients go on until the last restart is done.
    #[arg(long, default_value_t = 100_000)]
    connects: u64,
    /// Clients at once.
    #[arg(long, default_value_t = 32)]
    concurrent: u64,
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    asked: AtomicU64,
    passed: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    done: AtomicBool,
}

/// Runs `binary`. Whether every bar held.
pub fn run(binary: &Path, args: &RestartArgs) -> io::Result<bool> {
    let world = World::start()?;
    let config = format!(
        "{}[limits]\nattempts_per_second_per_source = 1000000\nattempts_burst_per_source = 1000000\n\n{}",
        world.config(),
        policy(&["*.restart.load.test"])
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let seen = Arc::new(Seen::default());
    let start = || -> io::Result<Egret> {
        let mut egret = Egret::passed(binary, &config, &listener, Tally::default().counter())?;
        egret.ready()?;
        Ok(egret)
    };
    let mut egret = start()?;
    let clients = clients(listener.local_addr()?, args.concurrent, seen.clone())?;
    let begin = Instant::now();
    for n in 1..=args.restarts {
        let due = n * args.connects / (args.restarts + 1);
        wait_for(&seen, due)?;
        egret.stop()?;
        egret = start()?;
    }
    wait_for(&seen, args.connects)?;
    seen.done.store(true, Relaxed);
    clients.join().map_err(|_| io::Error::other("the clients panicked"))?;
    egret.stop()?;
    let mut report = Report::default();
    let (asked, passed) = (seen.asked.load(Relaxed), seen.passed.load(Relaxed));
    report.bar(
        "tunnels",
        asked,
        format!(">= {}", args.connects),
        asked >= args.connects,
    );
    report.note("restarts", args.restarts);
    report.note("took", format!("{:.0} s", begin.elapsed().as_secs_f64()));
    report.exactly("passed", passed, asked);
    report.none("refused by egret", seen.refused.load(Relaxed));
    report.none("reset, refused by the kernel, or cut", seen.broken.load(Relaxed));
    Ok(report.print("restart"))
}

/// Clients on a thread of their own, which ask one tunnel after the other until all is done.
fn clients(proxy: SocketAddr, count: u64, seen: Arc<Seen>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("clients".into()).spawn(move || {
        crate::block_on(async {
            let mut running = JoinSet::new();
            for n in 0..count {
                running.spawn(client(proxy, n, seen.clone()));
            }
            while running.join_next().await.is_some() {}
        });
    })
}

async fn client(proxy: SocketAddr, n: u64, seen: Arc<Seen>) {
    while !seen.done.load(Relaxed) {
        let name = format!("n{n:02}.restart.load.test");
        let ended = match Tunnel::open(proxy, source(n as usize), &name).await {
            Ok(tunnel) => tunnel.close(false).await.map_err(|e| Refusal::Broken(e.to_string())),
            Err(why) => Err(why),
        };
        let count = match &ended {
            Ok(()) => &seen.passed,
            Err(Refusal::Answered(_) | Refusal::AtGate(_)) => &seen.refused,
            Err(Refusal::Broken(_)) => &seen.broken,
        };
        count.fetch_add(1, Relaxed);
        seen.asked.fetch_add(1, Relaxed);
        if let Err(why) = ended {
            eprintln!("  {name}: {why}");
        }
    }
}

/// Until so many tunnels were asked for.
fn wait_for(seen: &Seen, count: u64) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let begin = Instant::now();
    while seen.asked.load(Relaxed) < count {
        if begin.elapsed() > PATIENCE {
            return Err(io::Error::other("the clients are stuck"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
