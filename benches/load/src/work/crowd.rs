//! What hundreds of bulk tunnels do to new ones.

use super::{CROWD, Sample, Setup, pace};
use crate::{
    client::{self, patiently},
    world::tunnel::{Asked, take},
};
use std::{io, rc::Rc, thread, time::Duration};
use tokio::{
    sync::watch,
    task::{JoinSet, LocalSet},
};

/// For the crowd's tunnels to be opened, and their buffers to fill.
const FILL: Duration = Duration::from_secs(1);

/// Time between two new tunnels: at a tenth of the usual pace they wait for the crowd and not for each other.
const EVERY: Duration = Duration::from_millis(20);

/// What each of them asks for, in bytes: more than there is time for.
const ENDLESS: u64 = 1 << 50;

/// New tunnels while bytes go down [`CROWD`] others. Fails if one of those does.
pub fn pace_in_crowd(setup: &Setup) -> io::Result<Sample> {
    let (stop, stopped) = watch::channel(());
    let threads = crate::cores() as u64;
    let clients: Vec<_> = (0..threads)
        .map(|first| {
            let (setup, stopped) = (setup.clone(), stopped.clone());
            let numbers = (first..CROWD).step_by(threads as usize);
            thread::spawn(move || crate::block_on(LocalSet::new().run_until(take_all(setup, numbers, stopped))))
        })
        .collect();
    thread::sleep(FILL);
    let sample = pace::pace_every(setup, EVERY);
    drop(stop);
    for client in clients {
        client.join().map_err(|_| io::Error::other("a client panicked"))??;
    }
    sample
}

/// A tunnel of each number, until told to stop.
async fn take_all(
    setup: Setup,
    numbers: impl Iterator<Item = u64>,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    let setup = Rc::new(setup);
    let mut tunnels = JoinSet::new();
    for n in numbers {
        let setup = setup.clone();
        tunnels.spawn_local(async move {
            let asked = client::ask(setup.route, setup.target(n), setup.world.tunnels, Asked::Send(ENDLESS));
            take(&mut patiently(asked).await?, ENDLESS).await
        });
    }
    tokio::select! {
        Some(ended) = tunnels.join_next() => ended.map_err(io::Error::other)?,
        _ = stopped.changed() => Ok(()),
    }
}
