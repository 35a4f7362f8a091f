//! Reloads under load: two policies take turns while tunnels are opened, held and cut.
//!
//! Both allow `always`, neither allows `never`, and each allows one of the `turn` names. So every row can be held against
//! the policy whose hash it carries, and every held tunnel against the policy in force.

mod client;
mod library;
mod rows;

pub use library::serve;

use crate::{
    Pace, policy,
    process::{Egret, How, facts},
    report::{Report, mib, ms, slope},
    tunnel::Tunnel,
    world::World,
};
use clap::{Args, ValueEnum};
use client::Client;
use rows::Kept;
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::LocalSet, time::sleep};

const ALWAYS: &str = "always.load.test";
const NEVER: &str = "never.load.test";
const TURNS: [&str; 2] = ["turn-a.load.test", "turn-b.load.test"];

/// After a reload no tunnel may live longer that the policy denies.
const MAX_CUT: Duration = Duration::from_secs(1);

/// Memory may differ by so much between the second and the last third of a storm: pages and arenas, not tunnels.
const MAX_GROWTH: i64 = 4 << 20;

/// Source addresses that share the work.
const SOURCES: usize = 8;

/// Reloads without other load whose cuts are timed.
const CALM_RELOADS: usize = 4;

/// Tunnels that stand through the whole run.
const STANDING: usize = 50;

/// How `reload` measures.
#[derive(Args)]
pub struct ReloadArgs {
    /// Length of the storm, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Reloads per second.
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// New tunnels per second.
    #[arg(long, default_value_t = 500)]
    tunnels: u64,
    /// Tunnels held by each timed reload.
    #[arg(long, default_value_t = 1000)]
    held: usize,
    /// Only this way of reloading; default: both, one after the other.
    #[arg(long)]
    by: Option<By>,
}

/// How a configuration is swapped.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// `Gateway::reload` in a program that embeds the library; each reload reads and checks the file.
    Library,
    /// The file is replaced and `egret run` gets SIGHUP; the next one waits until health shows the new generation.
    Signal,
}

/// Measures each way. Whether every bar held.
pub fn run(binary: &Path, args: &ReloadArgs) -> io::Result<bool> {
    let mut held = true;
    for by in [By::Library, By::Signal] {
        if args.by.is_none_or(|only| only == by) {
            held &= measure(binary, by, args)?;
        }
    }
    Ok(held)
}

fn measure(binary: &Path, by: By, args: &ReloadArgs) -> io::Result<bool> {
    let world = World::start()?;
    let configs = TURNS.map(|turn| {
        let limits = "[limits]\nattempts_per_second_per_source = 100000\nattempts_burst_per_source = 100000\n\n";
        format!("{}{limits}{}", world.config(), policy(&[ALWAYS, turn]))
    });
    let how = match by {
        By::Library => How::Library,
        By::Signal => How::Binary(binary.into()),
    };
    let kept = Kept::default();
    let mut egret = Egret::spawn(&how, &configs[0], kept.keeper())?;
    egret.ready()?;
    let mut hashes = BTreeMap::from([(egret.policy()?.1, 0)]);
    egret.reload(&configs[1])?;
    hashes.insert(egret.policy()?.1, 1);
    egret.reload(&configs[0])?;
    let client = Rc::new(Client::of(egret.proxy));
    let mut report = Report::default();
    let local = LocalSet::new();
    let egret = crate::block_on(local.run_until(async {
        let standing = stand(&client).await?;
        let cuts = calm(&mut egret, &configs, &client, args.held).await?;
        let slowest = cuts.iter().max().copied().unwrap_or_default();
        report.bar(
            format!("{} tunnels cut after a reload, slowest", args.held),
            ms(slowest),
            "< 1 s",
            slowest < MAX_CUT,
        );
        let egret = storm(egret, configs, &client, by, args, &mut report).await?;
        let lost = still_there(standing).await;
        report.none(format!("of {STANDING} standing permitted tunnels, lost"), lost);
        io::Result::Ok(egret)
    }))?;
    egret.stop()?;
    kept.judge(&hashes, &client.counts.borrow(), &mut report);
    let title = match by {
        By::Library => "reload by library",
        By::Signal => "reload by SIGHUP",
    };
    Ok(report.print(title))
}

async fn stand(client: &Rc<Client>) -> io::Result<Vec<Tunnel>> {
    let mut standing = Vec::new();
    for n in 0..STANDING {
        standing.push(
            client
                .open(n, ALWAYS)
                .await
                .map_err(|e| io::Error::other(e.to_string()))?,
        );
    }
    Ok(standing)
}

async fn still_there(standing: Vec<Tunnel>) -> u64 {
    let mut lost = 0;
    for mut tunnel in standing {
        lost += u64::from(tunnel.echo(b"still there").await.is_err());
    }
    lost
}

/// One reload at a time: how long until every tunnel that is denied now has been cut.
async fn calm(egret: &mut Egret, configs: &[String; 2], client: &Rc<Client>, held: usize) -> io::Result<Vec<Duration>> {
    let mut cuts = Vec::new();
    for round in 0..CALM_RELOADS {
        let turn = round % 2;
        let mut tunnels = Vec::new();
        for n in 0..held {
            tunnels.push(
                client
                    .open(n, TURNS[turn])
                    .await
                    .map_err(|e| io::Error::other(e.to_string()))?,
            );
        }
        let begin = Instant::now();
        egret.reload(&configs[1 - turn])?;
        for tunnel in &mut tunnels {
            tokio::time::timeout(2 * MAX_CUT, tunnel.cut()).await.ok();
        }
        cuts.push(begin.elapsed());
        client.counts.borrow_mut().cut += held as u64;
    }
    Ok(cuts)
}

async fn storm(
    egret: Egret,
    configs: [String; 2],
    client: &Rc<Client>,
    by: By,
    args: &ReloadArgs,
    report: &mut Report,
) -> io::Result<Egret> {
    let pid = egret.pid();
    let before = egret.policy()?.0;
    let (over, is_over) = watch::channel(false);
    let length = Duration::from_secs(args.seconds);
    let begin = Instant::now();
    let (seconds, rate) = (args.seconds, args.rate);
    let reloading = thread::spawn(move || reload_all_the_time(egret, configs, by, rate, seconds));
    let mut pace = Pace::new(args.tunnels as f64);
    let (mut memory, mut opened) = (Vec::new(), Vec::new());
    for n in 0..usize::try_from(args.tunnels * args.seconds).unwrap_or(usize::MAX) {
        pace.next().await;
        let (client, over) = (client.clone(), is_over.clone());
        let one = tokio::task::spawn_local(async move {
            match n % 10 {
                0..=4 => client.permitted(n).await,
                5 | 6 => client.in_turn(n, 0, over).await,
                7 | 8 => client.in_turn(n, 1, over).await,
                _ => client.forbidden(n).await,
            }
        });
        opened.push(one);
        if n.is_multiple_of(usize::try_from(args.tunnels).unwrap_or(1).max(4) / 4) {
            memory.push((begin.elapsed().as_secs_f64(), facts(pid)?.rss));
        }
    }
    let took = begin.elapsed();
    while !reloading.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    let egret = reloading
        .join()
        .map_err(|_| io::Error::other("the reloading thread panicked"))??;
    sleep(MAX_CUT).await;
    let (generation, _) = egret.policy()?;
    let live = *client.live.borrow();
    over.send_replace(true);
    for one in opened {
        let _ = one.await;
    }
    let reloads = generation - before;
    let wanted = args.rate * args.seconds;
    let figure = format!("reloads in {:.0} s", length.as_secs_f64());
    // A signal that comes before the last one was taken up says nothing new: that way waits, and may fall short a little.
    let least = if by == By::Signal { wanted * 9 / 10 } else { wanted };
    report.bar(figure, reloads, format!(">= {least}"), reloads >= least);
    report.note(
        "new tunnels per second",
        format!("{:.0}", (args.tunnels * args.seconds) as f64 / took.as_secs_f64()),
    );
    judge_storm(client, live, generation, &memory, report);
    Ok(egret)
}

fn judge_storm(client: &Client, live: [i64; 2], generation: u64, memory: &[(f64, i64)], report: &mut Report) {
    let counts = client.counts.borrow();
    report.none("permitted tunnels lost", counts.permitted_lost);
    report.none("forbidden tunnels opened", counts.forbidden_passed);
    // Generations begin at 1 with the first policy, and every reload swaps.
    let denied = usize::from(generation % 2 == 1);
    report.none(
        "1 s after the last reload, live tunnels that are denied",
        live[denied].unsigned_abs(),
    );
    let bar = MAX_CUT + Duration::from_millis(20);
    report.bar(
        "longest life of a tunnel allowed in turns",
        ms(counts.longest),
        "< 1 s + 2 turns",
        counts.longest < bar,
    );
    let (begin, end) = (memory.len() / 3, memory.len() * 2 / 3);
    let mean = |part: &[(f64, i64)]| part.iter().map(|m| m.1).sum::<i64>() / part.len().max(1) as i64;
    let growth = mean(&memory[end..]) - mean(&memory[begin..end]);
    report.bar(
        "memory, last third less the one before",
        mib(growth),
        "< 4.0 MiB",
        growth < MAX_GROWTH,
    );
    let points: Vec<_> = memory[begin..]
        .iter()
        .map(|(at, rss)| (*at, *rss as f64 / 1024.0))
        .collect();
    report.note(
        "memory, slope of the last two thirds",
        format!("{:.1} KiB/s", slope(&points)),
    );
}

/// Swaps the policies at `rate` for `seconds`, or as fast as they are taken up.
fn reload_all_the_time(mut egret: Egret, configs: [String; 2], by: By, rate: u64, seconds: u64) -> io::Result<Egret> {
    let begin = Instant::now();
    let mut next = usize::from(egret.policy()?.0 % 2 == 1);
    match by {
        By::Library => egret.storm(rate, seconds, [&configs[next], &configs[1 - next]])?,
        By::Signal => {
            let mut count = 0;
            while begin.elapsed() < Duration::from_secs(seconds) {
                egret.reload(&configs[next])?;
                next = 1 - next;
                count += 1;
                let due = Duration::from_secs_f64(f64::from(count) / rate as f64);
                thread::sleep(due.saturating_sub(begin.elapsed()));
            }
        }
    }
    Ok(egret)
}
