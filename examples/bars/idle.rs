//! What open tunnels hold that say nothing any more, and what is left of it when they are closed.

use crate::{
    policy,
    process::{Egret, Facts, How},
    report::{Report, mib},
    rows::Tally,
    tunnel::{Tunnel, source},
    world::World,
};
use clap::Args;
use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Process memory of one tunnel, in bytes; the kernel's memory of its sockets comes on top.
const MOST_BYTES: i64 = 3072;

/// Memory that may stay behind.
const MAX_LEFT: i64 = 8 << 20;

/// How soon it must be back.
const GIVE_BACK: Duration = Duration::from_secs(20);

/// Source addresses that share the tunnels: more from one than its limit would be refused.
const SOURCES: usize = 50;

/// How `idle` measures.
#[derive(Args)]
pub struct IdleArgs {
    /// Tunnels.
    #[arg(long, default_value_t = 3000)]
    tunnels: usize,
}

/// Runs `binary`. Whether every bar held.
pub fn run(binary: &Path, args: &IdleArgs) -> io::Result<bool> {
    let world = World::start()?;
    let config = format!(
        "{}[limits]\ntunnels = {most}\ntunnels_per_source = {most}\nattempts_per_second_per_source = 100000\n\
         attempts_burst_per_source = 100000\n\n{}",
        world.config(),
        policy(&["idle.load.test"]),
        most = args.tunnels + 100,
    );
    let mut egret = Egret::spawn(&How::Binary(binary.into()), &config, Tally::default().counter())?;
    egret.ready()?;
    let (before, full, after, again) = crate::block_on(async {
        // A warm process: its threads have their pools.
        drop(open(&egret, 200).await?);
        let before = settled(&egret)?;
        let tunnels = open(&egret, args.tunnels).await?;
        let full = settled(&egret)?;
        drop(tunnels);
        let after = left(&egret, before)?;
        let tunnels = open(&egret, args.tunnels).await?;
        let again = settled(&egret)?;
        drop(tunnels);
        io::Result::Ok((before, full, after, again))
    })?;
    egret.stop()?;
    let each = |facts: Facts| (facts.rss - before.rss) / args.tunnels as i64;
    let mut report = Report::default();
    report.bar(
        format!("process memory of a tunnel, {} open", args.tunnels),
        format!("{} B", each(full)),
        format!("<= {MOST_BYTES} B"),
        (1..=MOST_BYTES).contains(&each(full)),
    );
    report.note("the same, opened again", format!("{} B", each(again)));
    report.bar(
        format!("resident: {} before, {} with all, then", mib(before.rss), mib(full.rss)),
        mib(after.rss),
        "< 8 MiB more",
        after.rss < before.rss + MAX_LEFT,
    );
    Ok(report.print("idle"))
}

/// So many tunnels that stand: each has had a ClientHello and its answer.
async fn open(egret: &Egret, count: usize) -> io::Result<Vec<Tunnel>> {
    let mut tunnels = Vec::with_capacity(count);
    for n in 0..count {
        let opened = Tunnel::open(egret.proxy, source(n % SOURCES), "idle.load.test").await;
        tunnels.push(opened.map_err(|why| io::Error::other(why.to_string()))?);
    }
    Ok(tunnels)
}

/// What the process holds once nothing happens any more.
fn settled(egret: &Egret) -> io::Result<Facts> {
    thread::sleep(Duration::from_secs(3));
    egret.facts()
}

/// What it still holds once all are closed: allocators give back after a while.
fn left(egret: &Egret, before: Facts) -> io::Result<Facts> {
    let begin = Instant::now();
    loop {
        let now = settled(egret)?;
        if now.rss < before.rss + MAX_LEFT || begin.elapsed() > GIVE_BACK {
            return Ok(now);
        }
    }
}
