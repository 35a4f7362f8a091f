//! Size on disk, time to ready, memory when idle.

use crate::{
    process::{Egret, How},
    report::{Report, mib, ms, quantile},
    rows::Tally,
    world::World,
};
use clap::Args;
use std::{fs, io, path::Path, thread, time::Duration};

/// Largest binary, stripped.
const MAX_BINARY: i64 = 16 << 20;

/// Largest resident memory of an idle gateway.
const MAX_IDLE: i64 = 15 << 20;

/// Longest time from spawn to ready.
const MAX_READY: Duration = Duration::from_millis(50);

/// How `start` measures.
#[derive(Args)]
pub struct StartArgs {
    /// Starts; the median counts.
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// Quiet time before memory is read, in seconds.
    #[arg(long, default_value_t = 2)]
    quiet: u64,
}

/// Measures `binary`. Whether every bar held.
pub fn run(binary: &Path, args: &StartArgs) -> io::Result<bool> {
    let world = World::start()?;
    let config = format!("{}{}", world.config(), crate::policy(&["always.load.test"]));
    let mut times = Vec::new();
    let mut idle = 0;
    for start in 0..args.starts.max(1) {
        let mut egret = Egret::spawn(&How::Binary(binary.into()), &config, Tally::default().counter())?;
        times.push(egret.ready()?);
        if start == 0 {
            thread::sleep(Duration::from_secs(args.quiet));
            idle = egret.facts()?.rss;
        }
        egret.stop()?;
    }
    let size = i64::try_from(fs::metadata(binary)?.len()).unwrap_or(i64::MAX);
    let median = quantile(&mut times, 0.5);
    let mut report = Report::default();
    report.bar("binary, stripped", mib(size), "< 16 MiB", size < MAX_BINARY);
    report.bar("spawn to ready, median", ms(median), "< 50 ms", median < MAX_READY);
    report.note("spawn to ready, fastest", ms(times[0]));
    report.note("spawn to ready, slowest", ms(times[times.len() - 1]));
    report.bar("resident when idle", mib(idle), "< 15 MiB", idle < MAX_IDLE);
    Ok(report.print("start"))
}
