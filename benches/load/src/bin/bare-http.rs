//! `bare-http LISTEN UPSTREAM`: accepts, connects to UPSTREAM and relays whatever comes, as a proxy for plain HTTP that
//! reads nothing.

use egret_load::floor::{self, dial, relay::relay};
use std::{net::SocketAddr, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<SocketAddr>());
    let (Some(Ok(listen)), Some(Ok(upstream))) = (args.next(), args.next()) else {
        eprintln!("usage: bare-http LISTEN UPSTREAM");
        return ExitCode::from(2);
    };
    let done = floor::run(listen, move |client| async move {
        // A connection that fails is the client's to notice.
        if let Ok(upstream) = dial(upstream).await {
            let _ = relay(client, upstream).await;
        }
    });
    if let Err(error) = done {
        eprintln!("bare-http: {error}");
    }
    ExitCode::from(2)
}
