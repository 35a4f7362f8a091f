//! What a tunnel and a denial cost in system calls, counted by strace, and in allocations, counted by the allocator of
//! `bars serve`. Counts, so a busy machine does not change them much: only how many events one epoll_wait(2) brings.

use crate::{
    policy,
    process::{Egret, How},
    report::Report,
    rows::Tally,
    tunnel::{Refusal, Tunnel, source},
    world::World,
};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// System calls of a whole tunnel: what the bare relay of `benches/load` makes.
const MOST_CALLS: f64 = 27.0;

/// Allocations of a whole tunnel.
const MOST_ALLOCATIONS: f64 = 20.0;

/// Names in use, each of them in the cache before anything is counted.
const NAMES: u64 = 16;

/// How both are counted.
#[derive(Args)]
pub struct CallsArgs {
    /// Tunnels, and as many denials.
    #[arg(long, default_value_t = 4000)]
    tunnels: u64,
    /// At once.
    #[arg(long, default_value_t = 32)]
    concurrent: u64,
}

fn config(world: &World) -> String {
    format!(
        "{}[limits]\nattempts_per_second_per_source = 1000000\nattempts_burst_per_source = 1000000\n\n{}",
        world.config(),
        policy(&["*.allowed.load.test"])
    )
}

/// One CONNECT, a ClientHello and its answer, 400 bytes and theirs, and an end; or a denial and its end.
async fn once(proxy: SocketAddr, n: u64, denied: bool) -> Result<(), String> {
    let zone = if denied { "denied" } else { "allowed" };
    let name = format!("n{:02}.{zone}.load.test", n % NAMES);
    match Tunnel::open(proxy, source(n as usize % 8), &name).await {
        Ok(mut tunnel) if !denied => {
            tunnel.echo(&[b'x'; 400]).await.map_err(|e| e.to_string())?;
            tunnel.close(false).await.map_err(|e| e.to_string())
        }
        Err(Refusal::Answered(line)) if denied && line.starts_with("HTTP/1.1 403 ") => Ok(()),
        Ok(_) => Err("a denied name was let through".into()),
        Err(other) => Err(other.to_string()),
    }
}

/// So many of them. How many failed.
fn load(proxy: SocketAddr, args: &CallsArgs, denied: bool) -> u64 {
    crate::block_on(async {
        let (mut running, mut failed) = (JoinSet::new(), 0);
        for n in 0..args.tunnels {
            if running.len() as u64 >= args.concurrent {
                failed += ended(running.join_next().await);
            }
            running.spawn(once(proxy, n, denied));
        }
        while let Some(end) = running.join_next().await {
            failed += ended(Some(end));
        }
        failed
    })
}

fn ended(end: Option<Result<Result<(), String>, tokio::task::JoinError>>) -> u64 {
    let Some(Ok(Err(why))) = end else { return 0 };
    eprintln!("  {why}");
    1
}

/// Runs `binary` under strace. Whether the bar held.
pub fn system_calls(binary: &Path, args: &CallsArgs) -> io::Result<bool> {
    let world = World::start()?;
    let mut egret = Egret::spawn(&How::Binary(binary.into()), &config(&world), Tally::default().counter())?;
    egret.ready()?;
    let mut report = Report::default();
    for (denied, what) in [(false, "tunnel"), (true, "denial")] {
        // Names are resolved, threads and pools are warm.
        report.none(format!("{what}s that failed before"), load(egret.proxy, args, denied));
        let trace = std::env::temp_dir().join(format!("egret-bars-{}-{what}.strace", std::process::id()));
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-o"])
            .arg(&trace)
            .args(["-p", &egret.pid().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("cannot start strace, which counts the calls: {e}")))?;
        wait_for_tracer(egret.pid())?;
        report.none(format!("{what}s that failed"), load(egret.proxy, args, denied));
        // Rows are written up to 25 ms later.
        thread::sleep(Duration::from_millis(200));
        kill_process(Pid::from_child(&strace), Signal::INT)?;
        strace.wait()?;
        let counted = fs::read_to_string(&trace)?;
        fs::remove_file(&trace)?;
        tell(&counted, args.tunnels, what, &mut report);
    }
    egret.stop()?;
    Ok(report.print("calls"))
}

/// Until every thread of the process is traced.
fn wait_for_tracer(pid: u32) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
        let traced = |task: io::Result<fs::DirEntry>| {
            fs::read_to_string(task?.path().join("status")).map(|status| !status.contains("TracerPid:\t0\n"))
        };
        if tasks.all(|task| traced(task).unwrap_or(true)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(
                "strace does not attach; may this user trace processes?",
            ));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The table of `strace -c`: share, seconds, microseconds a call, calls, errors if any, name.
fn tell(counted: &str, operations: u64, what: &str, report: &mut Report) {
    let calls = counted.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = *fields.last()?;
        let calls: u64 = fields.get(3)?.parse().ok()?;
        (name != "total").then_some((name, calls))
    });
    let mut sum = 0;
    for (name, calls) in calls {
        sum += calls;
        let each = calls as f64 / operations as f64;
        if each >= 0.01 {
            report.note(format!("{what}: {name}"), format!("{each:.2}"));
        }
    }
    let each = sum as f64 / operations as f64;
    let figure = format!("system calls of a {what}");
    match what {
        "tunnel" => report.bar(
            figure,
            format!("{each:.2}"),
            format!("<= {MOST_CALLS}"),
            sum > 0 && each <= MOST_CALLS,
        ),
        _ => report.note(figure, format!("{each:.2}")),
    }
}

/// Runs the library in a process of its own. Whether the bar held.
pub fn allocations(args: &CallsArgs) -> io::Result<bool> {
    let world = World::start()?;
    let mut egret = Egret::spawn(&How::Library, &config(&world), Tally::default().counter())?;
    egret.ready()?;
    let mut report = Report::default();
    for (denied, what) in [(false, "tunnel"), (true, "denial")] {
        report.none(format!("{what}s that failed before"), load(egret.proxy, args, denied));
        let before = egret.allocations()?;
        report.none(format!("{what}s that failed"), load(egret.proxy, args, denied));
        let each = (egret.allocations()? - before) as f64 / args.tunnels as f64;
        let figure = format!("allocations of a {what}");
        match what {
            "tunnel" => report.bar(
                figure,
                format!("{each:.2}"),
                format!("<= {MOST_ALLOCATIONS}"),
                each > 0.0 && each <= MOST_ALLOCATIONS,
            ),
            _ => report.note(figure, format!("{each:.2}")),
        }
    }
    egret.stop()?;
    Ok(report.print("allocations"))
}
