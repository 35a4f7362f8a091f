//! The library's gateway inside this program, told by its standard input when to reload.

use egret::{
    config,
    gateway::{Gateway, GatewayOptions},
};
use std::{
    fs,
    io::{self, BufRead},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// `bars serve`: a gateway in this process. Standard input says when to reload, or asks what was
/// allocated so far; its end is the end.
pub fn serve(file: &Path) -> io::Result<()> {
    let read = |file: &Path| config::load(file).map_err(|problems| io::Error::other(format!("{problems:?}")));
    let gateway = Gateway::start(read(file)?, GatewayOptions::default()).map_err(io::Error::other)?;
    let reload = |file: &Path| gateway.reload(read(file)?).map(|_| ()).map_err(io::Error::other);
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["reload", file] => reload(Path::new(file))?,
            ["allocations", file] => {
                let text = stats_alloc::INSTRUMENTED_SYSTEM.stats().allocations.to_string();
                fs::write(format!("{file}.new"), text)?;
                fs::rename(format!("{file}.new"), file)?;
            }
            ["storm", rate, seconds, one, other] => {
                let (rate, seconds): (u64, u64) = (rate.parse().unwrap_or(1), seconds.parse().unwrap_or(1));
                let begin = Instant::now();
                for n in 1..=rate * seconds {
                    reload(Path::new(if n % 2 == 1 { one } else { other }))?;
                    let due = Duration::from_secs_f64(n as f64 / rate as f64);
                    thread::sleep(due.saturating_sub(begin.elapsed()));
                }
            }
            _ => return Err(io::Error::other(format!("not a command: {line}"))),
        }
    }
    gateway.drain(Duration::from_secs(1));
    Ok(())
}
