//! The signal that is to end a tool. Shared by `egret-load`, `egret-compare` and `examples/bars`, which end what they started first.

use std::fs;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

/// The number of the first SIGINT, SIGTERM or SIGHUP that comes. One that this process ignores, as what `nohup` or a shell started in
/// the background does, stays ignored.
pub async fn first() -> i32 {
    let mut waiting = JoinSet::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let number = kind.as_raw_value();
        if ignores(number) {
            continue;
        }
        if let Ok(mut signals) = signal(kind) {
            waiting.spawn(async move {
                signals.recv().await;
                number
            });
        }
    }
    match waiting.join_next().await {
        Some(Ok(number)) => number,
        _ => std::future::pending().await,
    }
}

/// `SigIgn` of proc(5).
fn ignores(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
