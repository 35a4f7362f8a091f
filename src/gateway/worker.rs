//! What one worker does: it accepts, looks after refused connections, learns of the phase, gives memory back.

use crate::flow::lingering::Lingering;
use crate::flow::{Phase, Shared, relay};
use crate::listen::{self, Door, Share};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often a worker gives memory back.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// So many connections fewer than in the last seconds are worth looking for all that they left.
const MANY: usize = 100;

/// In bytes: beyond what addresses of 57 bits reach.
const MORE_THAN_ANY_MACHINE_HAS: usize = 1 << 60;

/// Serves these listeners until egret ends.
pub(super) async fn work(listeners: Vec<Share>, shared: Arc<Shared>) {
    let lingering = Lingering::default();
    // A task, not a part of this future: waking that costs a system call.
    let looking_after = lingering.clone();
    tokio::spawn(async move { looking_after.look_after().await });
    let following = shared.clone();
    tokio::spawn(async move { following.follow().await });
    let mut accepting = JoinSet::new();
    for (listener, watch) in listeners {
        match Door::new(listener.socket, watch) {
            Ok(door) => {
                let accept = listen::accept(door, listener.passed, shared.clone(), lingering.clone());
                drop(accepting.spawn(accept));
            }
            Err(error) => tracing::error!(%error, "a worker cannot use its listener"),
        }
    }
    // They end when egret drains, with their listeners: from then on the kernel refuses.
    let serving = async {
        while accepting.join_next().await.is_some() {}
        shared.until(Phase::Ended).await;
    };
    tokio::select! {
        () = serving => {}
        () = give_back_memory(&shared) => {}
    }
}

/// Gives memory of this thread back that is not in use, a snapshot that was replaced included. mimalloc looks for what has been
/// free for a second when a large piece comes and goes, and when a crowd of clients has left, nothing else may come for hours.
async fn give_back_memory(shared: &Shared) {
    let mut crowd = 0_usize;
    loop {
        tokio::time::sleep(GIVE_BACK_EVERY).await;
        // Whoever has no flows must not keep an old snapshot.
        drop(shared.snapshot());
        relay::shrink_pools();
        std::hint::black_box(Vec::<u8>::with_capacity(1 << 20));
        let there = shared.limits.connections();
        crowd = there.max(crowd - crowd.div_ceil(4));
        if crowd - there > MANY {
            give_back_all();
        }
    }
}

/// Makes mimalloc give back all that is free, as it does when there is no memory left. What it was to give back after a second
/// stays if another thread was just looking for such pieces and saw none (microsoft/mimalloc#1246), and there is no safe call
/// of `mi_collect`. Another allocator refuses, and nothing happens.
fn give_back_all() {
    std::hint::black_box(Vec::<u8>::new().try_reserve_exact(MORE_THAN_ANY_MACHINE_HAS).is_ok());
}
