//! `bare-denier LISTEN`: accepts, reads a head, answers 403 and closes.

use egret_load::floor::{self, read_head};
use std::{io, process::ExitCode};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ANSWER: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn main() -> ExitCode {
    let Some(Ok(listen)) = std::env::args().nth(1).map(|listen| listen.parse()) else {
        eprintln!("usage: bare-denier LISTEN");
        return ExitCode::from(2);
    };
    let done = floor::run(listen, |client| async {
        // A client that is gone needs no answer.
        let _ = deny(client).await;
    });
    if let Err(error) = done {
        eprintln!("bare-denier: {error}");
    }
    ExitCode::from(2)
}

async fn deny(mut client: TcpStream) -> io::Result<()> {
    read_head(&mut client).await?;
    client.write_all(ANSWER).await
}
