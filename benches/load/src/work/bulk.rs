//! Work that is counted in bytes.

use super::{
    MIB, Sample, Setup,
    closed_loop::{self, Plan},
};
use crate::{
    client,
    world::tunnel::{Asked, send, take},
};
use std::io;

fn plan(tunnels: u64) -> Plan {
    Plan {
        clients: tunnels,
        operations: tunnels,
    }
}

fn nothing() -> impl AsyncFn(&Setup, u64) -> io::Result<()> + Clone + Send + 'static {
    async |_: &Setup, _| Ok(())
}

/// `length` bytes down each of `tunnels`.
pub fn download(setup: &Setup, tunnels: u64, length: u64) -> io::Result<Sample> {
    let length = setup.scaled(length);
    let step = async move |setup: &Setup, (): &mut (), n| down(setup, n, length).await;
    closed_loop::run(setup, plan(tunnels), nothing(), step)?.sample(setup)
}

async fn down(setup: &Setup, n: u64, length: u64) -> io::Result<u64> {
    let mut stream = client::ask(setup.route, setup.target(n), setup.world.tunnels, Asked::Send(length)).await?;
    take(&mut stream, length).await?;
    Ok(length)
}

/// `length` bytes up each of `tunnels`.
pub fn upload(setup: &Setup, tunnels: u64, length: u64) -> io::Result<Sample> {
    let length = setup.scaled(length);
    let step = async move |setup: &Setup, (): &mut (), n| {
        let mut stream = client::ask(setup.route, setup.target(n), setup.world.tunnels, Asked::Take(length)).await?;
        send(&mut stream, length).await?;
        tokio::io::AsyncReadExt::read_u8(&mut stream).await?;
        Ok(length)
    };
    closed_loop::run(setup, plan(tunnels), nothing(), step)?.sample(setup)
}

/// `length` bytes up and as many down each of `tunnels`.
pub fn duplex(setup: &Setup, tunnels: u64, length: u64) -> io::Result<Sample> {
    let length = setup.scaled(length);
    let step = async move |setup: &Setup, (): &mut (), n| {
        let mut stream = client::ask(setup.route, setup.target(n), setup.world.tunnels, Asked::Both(length)).await?;
        let (mut reader, mut writer) = stream.split();
        tokio::try_join!(take(&mut reader, length), send(&mut writer, length))?;
        Ok(2 * length)
    };
    closed_loop::run(setup, plan(tunnels), nothing(), step)?.sample(setup)
}

/// A new tunnel for each MiB.
pub fn mib(setup: &Setup) -> io::Result<Sample> {
    let plan = Plan {
        clients: 16,
        operations: setup.scaled(2_000),
    };
    closed_loop::operations(setup, plan, async |setup: &Setup, n| down(setup, n, MIB).await)?.sample(setup)
}
