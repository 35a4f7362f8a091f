//! Many tunnels to many names over a long time: nothing may grow.

use crate::{
    Pace, policy,
    process::{Egret, Facts, How},
    report::{Report, mib, slope},
    rows::Tally,
    tunnel::{Tunnel, source},
    world::World,
};
use clap::Args;
use std::{
    cell::{Cell, RefCell},
    io,
    path::Path,
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};
use tokio::{
    task::{LocalSet, yield_now},
    time::{Instant, sleep, sleep_until},
};

/// Source addresses that share the work, so that none meets its rate limit.
const SOURCES: usize = 8;

/// Tunnels that may be under way at once before the client waits for the gateway.
const MOST_AT_ONCE: usize = 512;

/// How `soak` runs.
#[derive(Args)]
pub struct SoakArgs {
    /// Length of the run, in minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Tunnels, spread over the run.
    #[arg(long, default_value_t = 1_000_000)]
    tunnels: u64,
    /// Names, each new to the cache until all have been used.
    #[arg(long, default_value_t = 1_000_000)]
    names: u64,
    /// Reloads by SIGHUP, spread over the run.
    #[arg(long, default_value_t = 50)]
    reloads: u64,
}

/// Runs `binary`. Whether every bar held.
pub fn run(binary: &Path, args: &SoakArgs) -> io::Result<bool> {
    let world = World::start()?;
    let tally = Tally::default();
    let log = std::env::temp_dir().join(format!("egret-bars-{}.ndjson", std::process::id()));
    // A run of other than full length fills the cache in the same share of its time as the full one: a tenth.
    let cache = (args.names / 10).min(100_000);
    let config = |generation: u64| {
        let extra = format!("generation-{generation}.load.test");
        format!(
            "{}[log]\nfile = {{ path = {log:?}, max_mib = 16, keep = 1 }}\n\n[limits]\ndns_cache_entries = {cache}\n\n{}",
            world.config(),
            policy(&["*.soak.load.test", &extra])
        )
    };
    let mut egret = Egret::spawn(&How::Binary(binary.into()), &config(0), tally.counter())?;
    egret.ready()?;
    let before = egret.facts()?;
    let soaked = crate::block_on(LocalSet::new().run_until(soak(&mut egret, args, config)));
    let after = egret.facts()?;
    let soaked = soaked?;
    egret.stop()?;
    for suffix in ["", ".1", ".2"] {
        // The file and what it rotated into; there may be fewer.
        let _ = std::fs::remove_file(format!("{}{suffix}", log.display()));
    }
    Ok(judge(args, &world, &tally, &soaked, before, after).print("soak"))
}

struct Soaked {
    failed: u64,
    reloads: u64,
    generation: u64,
    took: Duration,
    samples: Vec<(f64, Facts)>,
}

async fn soak(egret: &mut Egret, args: &SoakArgs, config: impl Fn(u64) -> String) -> io::Result<Soaked> {
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    let (failed, under_way) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0_usize)));
    let samples = RefCell::new(Vec::new());
    let begin = Instant::now();
    let mut pace = Pace::new(args.tunnels as f64 / length.as_secs_f64());
    let (mut reloads, mut next_sample) = (0, begin);
    for n in 0..args.tunnels {
        pace.next().await;
        while under_way.get() >= MOST_AT_ONCE {
            sleep(Duration::from_millis(1)).await;
        }
        let (proxy, failed, under_way) = (egret.proxy, failed.clone(), under_way.clone());
        let name = format!("n{:07}.soak.load.test", n % args.names);
        under_way.set(under_way.get() + 1);
        tokio::task::spawn_local(async move {
            if let Err(why) = once(proxy, n, &name).await {
                failed.set(failed.get() + 1);
                if failed.get() <= 5 {
                    eprintln!("  {name}: {why}");
                }
            }
            under_way.set(under_way.get() - 1);
        });
        if Instant::now() >= next_sample {
            samples
                .borrow_mut()
                .push((begin.elapsed().as_secs_f64(), egret.facts()?));
            next_sample += Duration::from_secs(1);
        }
        if reloads < args.reloads && n >= (reloads + 1) * args.tunnels / (args.reloads + 1) {
            reloads += 1;
            egret.reload(&config(reloads))?;
        }
    }
    while under_way.get() > 0 {
        yield_now().await;
        sleep(Duration::from_millis(5)).await;
    }
    let took = begin.elapsed();
    // What is closing still has its descriptors for a moment.
    sleep_until(Instant::now() + Duration::from_secs(3)).await;
    Ok(Soaked {
        failed: failed.get(),
        reloads,
        generation: egret.policy()?.0,
        took,
        samples: samples.into_inner(),
    })
}

async fn once(proxy: std::net::SocketAddr, n: u64, name: &str) -> Result<(), String> {
    let mut tunnel = Tunnel::open(proxy, source(n as usize % SOURCES), name)
        .await
        .map_err(|e| e.to_string())?;
    tunnel
        .echo(b"some bytes of the workload")
        .await
        .map_err(|e| e.to_string())?;
    tunnel.close(n.is_multiple_of(2)).await.map_err(|e| e.to_string())
}

fn judge(args: &SoakArgs, world: &World, tally: &Tally, soaked: &Soaked, before: Facts, after: Facts) -> Report {
    let settled = args.minutes * 60.0 / 3.0;
    let late: Vec<_> = soaked.samples.iter().filter(|(at, _)| *at >= settled).collect();
    let rss: Vec<_> = late.iter().map(|(at, facts)| (*at, facts.rss as f64)).collect();
    let growth = slope(&rss) / 1024.0;
    // 1 KiB/s is promised of 20 minutes, in which the long run may grow by 1.2 MiB. The allocator takes memory in pieces of 64 KiB
    // and more, of which a few come late in a run of a minute (-2 to 8 KiB/s was seen), so that is held to a third of as much.
    // It makes up for it with twice the tunnels a second: what a tunnel leaves behind shows as soon.
    let bar = f64::max(1.0, 400.0 / (args.minutes * 60.0 - settled));
    let most_fds = late.iter().map(|(_, facts)| facts.fds).max().unwrap_or_default();
    let rate = args.tunnels as f64 / soaked.took.as_secs_f64();
    let mut report = Report::default();
    report.note(
        "tunnels",
        format!("{} in {:.0} s, {rate:.0}/s", args.tunnels, soaked.took.as_secs_f64()),
    );
    report.none("tunnels that failed", soaked.failed);
    report.exactly(
        "tunnels that reached the upstream",
        world.counts.connections.load(Relaxed),
        args.tunnels,
    );
    let names = args.names.min(args.tunnels);
    let queries = world.counts.queries.load(Relaxed);
    report.bar(
        "names asked (A and AAAA)",
        queries,
        format!(">= {}", 2 * names),
        queries >= 2 * names,
    );
    report.exactly("rows of decisions", tally.decisions("RuleMatched"), args.tunnels);
    report.exactly("rows of ends", tally.all_ends(), args.tunnels);
    report.none("rows lost", tally.losses());
    report.exactly("reloads", soaked.generation - 1, soaked.reloads);
    report.bar(
        "fds at the end",
        after.fds,
        format!("<= {} + 8", before.fds),
        after.fds <= before.fds + 8,
    );
    report.note("fds, most under load", most_fds);
    report.bar(
        "resident, slope of the last two thirds",
        format!("{growth:.2} KiB/s"),
        format!("< {bar:.2} KiB/s"),
        growth < bar,
    );
    report.note(
        "resident, before and after",
        format!("{} -> {}", mib(before.rss), mib(after.rss)),
    );
    report.note(
        "CPU time per tunnel",
        format!(
            "{:.0} us",
            (after.cpu - before.cpu).as_secs_f64() * 1e6 / args.tunnels as f64
        ),
    );
    report
}
