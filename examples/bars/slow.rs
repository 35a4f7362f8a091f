//! Thousands of clients that are slow or say nothing, and one that wants its tunnels as fast as ever.

mod crowd;
mod limits;

use crate::{
    Pace, policy,
    process::{Egret, Facts, How},
    report::{Report, mib, ms, quantile},
    rows::Tally,
    tunnel::Tunnel,
    world::World,
};
use clap::Args;
use crowd::{Answers, Crowd, SOURCES};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

/// A good client's p99 may rise to so many times what it was alone.
const MAX_RATIO: f64 = 3.0;

/// Memory that may stay behind once the slow clients have left.
const MAX_LEFT: i64 = 8 << 20;

/// Descriptors that may: sockets to forwarders come and go.
const MORE_FDS: i64 = 8;

/// How soon they must be back.
const GIVE_BACK: Duration = Duration::from_secs(20);

/// Tunnels without a byte end after this; short, so that the run sees it.
const IDLE: Duration = Duration::from_secs(8);

/// New tunnels of the good client, per second.
const GOOD_RATE: f64 = 100.0;

/// Attempts of one source, per second and at once: twice what the good client needs.
const ATTEMPTS: u64 = 200;

/// How `slow` measures.
#[derive(Args)]
pub struct SlowArgs {
    /// Slow and silent clients.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Time for which the good client is measured, alone and among them, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Show times without judging them: for a machine that others use as well.
    #[arg(long)]
    counts_only: bool,
}

/// Runs `binary`. Whether every bar held.
pub fn run(binary: &Path, args: &SlowArgs) -> io::Result<bool> {
    let world = World::start()?;
    let tally = Tally::default();
    let room = Room::of(args.clients);
    let mut egret = Egret::spawn(&How::Binary(binary.into()), &config(&world, &room), tally.counter())?;
    egret.ready()?;
    let mut report = Report::default();
    // Half before, half after: what the machine does beside this run shows in both figures.
    let mut alone = crate::block_on(good(egret.proxy, args.seconds.div_ceil(2), &mut report))?;
    let before = settled(&egret)?;

    let crowd = Crowd::start(egret.proxy, args.clients)?;
    crowd.wait_until_there()?;
    let mut among = crate::block_on(good(egret.proxy, args.seconds, &mut report))?;
    let full = egret.facts()?;
    let there = crowd.standing.load(Relaxed);
    crate::block_on(limits::probe(egret.proxy, &room, &mut report))?;
    let answers = crowd.leave()?;
    let (after, took) = left_behind(&egret, before)?;
    alone.extend(crate::block_on(good(
        egret.proxy,
        args.seconds.div_ceil(2),
        &mut report,
    ))?);
    egret.stop()?;

    let bar = format!(">= {} at once", args.clients * 9 / 10);
    report.bar("slow clients", there, bar, there >= args.clients as i64 * 9 / 10);
    judge_latency(&mut alone, &mut among, args.counts_only, &mut report);
    judge_answers(&answers, &tally, &mut report);
    judge_left(before, full, after, &mut report);
    report.note("given back after", format!("{:.1} s", took.as_secs_f64()));
    Ok(report.print("slow"))
}

/// How many connections there are places for.
struct Room {
    tunnels: usize,
    per_source: usize,
}

impl Room {
    fn of(clients: usize) -> Self {
        let per_source = clients / SOURCES + 200;
        Self {
            tunnels: clients + per_source + 200,
            per_source,
        }
    }
}

fn config(world: &World, room: &Room) -> String {
    format!(
        "{}[limits]\ntunnels = {}\ntunnels_per_source = {}\nidle_seconds = {}\nattempts_per_second_per_source = \
         {ATTEMPTS}\nattempts_burst_per_source = {ATTEMPTS}\n\n{}",
        world.config(),
        room.tunnels,
        room.per_source,
        IDLE.as_secs(),
        policy(&["always.load.test", "flood.load.test"])
    )
}

/// What the process holds once nothing happens any more.
fn settled(egret: &Egret) -> io::Result<Facts> {
    thread::sleep(Duration::from_secs(2));
    egret.facts()
}

/// What it still holds once everybody has left: allocators give back after a while, so it gets [`GIVE_BACK`].
fn left_behind(egret: &Egret, before: Facts) -> io::Result<(Facts, Duration)> {
    let begin = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(250));
        let now = egret.facts()?;
        let back = now.fds <= before.fds + MORE_FDS && now.rss < before.rss + MAX_LEFT;
        if back || begin.elapsed() > GIVE_BACK {
            return Ok((now, begin.elapsed()));
        }
    }
}

/// The times of a good client's tunnels, from connecting to the first byte back.
async fn good(proxy: SocketAddr, seconds: u64, report: &mut Report) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut failed = 0;
    let mut pace = Pace::new(GOOD_RATE);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        pace.next().await;
        let since = Instant::now();
        match Tunnel::open(proxy, Ipv4Addr::LOCALHOST.into(), "always.load.test").await {
            Ok(tunnel) => {
                times.push(since.elapsed());
                failed += u64::from(tunnel.close(false).await.is_err());
            }
            Err(why) => {
                failed += 1;
                if failed <= 5 {
                    eprintln!("  good client: {why}");
                }
            }
        }
    }
    report.none(format!("of {} tunnels of the good client, failed", times.len()), failed);
    Ok(times)
}

fn judge_latency(alone: &mut [Duration], among: &mut [Duration], counts_only: bool, report: &mut Report) {
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let (before, during) = (quantile(alone, share), quantile(among, share));
        let ratio = during.as_secs_f64() / before.as_secs_f64().max(1e-9);
        let figure = format!("new tunnel, {name}: {} alone, {} among them", ms(before), ms(during));
        match name {
            "p99" if !counts_only => report.bar(figure, format!("{ratio:.2}x"), "< 3x", ratio < MAX_RATIO),
            _ => report.note(figure, format!("{ratio:.2}x")),
        }
    }
}

fn judge_answers(answers: &Answers, tally: &Tally, report: &mut Report) {
    for (figure, told, rows) in [
        (
            "silent or half a head: told HeadTimeout",
            &answers.head,
            tally.ends("HeadTimeout"),
        ),
        (
            "half a ClientHello: alert access_denied, row TlsIncomplete",
            &answers.hello,
            tally.ends("TlsIncomplete"),
        ),
        ("slow readers: reset, row Idle", &answers.idle, tally.ends("Idle")),
    ] {
        let told = told.load(Relaxed);
        report.bar(
            figure,
            format!("{told} clients, {rows} rows"),
            "> 0, rows >= clients",
            told > 0 && rows >= told,
        );
    }
    report.none(
        "slow clients told something else, or nothing",
        answers.other.load(Relaxed),
    );
    report.none("rows lost", tally.losses());
}

fn judge_left(before: Facts, full: Facts, after: Facts, report: &mut Report) {
    report.bar(
        format!("fds: {} before, {} with all", before.fds, full.fds),
        after.fds,
        format!("<= {} + 8", before.fds),
        after.fds <= before.fds + MORE_FDS,
    );
    let left = after.rss - before.rss;
    report.bar(
        format!("resident: {} before, {} with all, then", mib(before.rss), mib(full.rss)),
        format!("{} more", mib(left)),
        "< 8 MiB more",
        left < MAX_LEFT,
    );
}
