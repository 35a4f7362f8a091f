//! `bare-relay LISTEN UPSTREAM`: accepts, reads a CONNECT head, connects to UPSTREAM, answers 200 and relays.
//! `bare-relay LISTEN UPSTREAM --raw`: waits for the first bytes instead, as who reads an SNI must, and relays them.

use egret_load::floor::{self, dial, read_head, relay::relay};
use std::{io, net::SocketAddr, process::ExitCode};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    egret_load::raise_file_limit();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (listen, upstream, raw) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [listen, upstream] => (listen.parse(), upstream.parse(), false),
        [listen, upstream, "--raw"] => (listen.parse(), upstream.parse(), true),
        _ => return usage(),
    };
    let (Ok(listen), Ok(upstream)): (_, Result<SocketAddr, _>) = (listen, upstream) else {
        return usage();
    };
    let done = floor::run(listen, move |client| async move {
        // A tunnel that fails is the client's to notice.
        let _ = if raw {
            serve_raw(client, upstream).await
        } else {
            serve(client, upstream).await
        };
    });
    if let Err(error) = done {
        eprintln!("bare-relay: {error}");
    }
    ExitCode::from(2)
}

fn usage() -> ExitCode {
    eprintln!("usage: bare-relay LISTEN UPSTREAM [--raw]");
    ExitCode::from(2)
}

async fn serve(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    read_head(&mut client).await?;
    let upstream = dial(upstream).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    relay(client, upstream).await
}

async fn serve_raw(client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    client.readable().await?;
    relay(client, dial(upstream).await?).await
}
