//! The upstream of plain HTTP: answers of 1 KiB on kept connections.

use super::pattern;
use std::io::{self, ErrorKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Length of an answer's body, in bytes.
pub const BODY_BYTES: usize = 1024;

/// Longest request head, in bytes.
const MAX_HEAD: usize = 8192;

/// An answer as it is sent.
pub fn response() -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    [head.as_bytes(), pattern::at(0, BODY_BYTES as u64)].concat()
}

/// Serves one connection until the client ends it; one request at a time. `InvalidData` where it is no GET.
pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let response = response();
    let mut head = Vec::with_capacity(1024);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > MAX_HEAD {
                return Err(ErrorKind::InvalidData.into());
            }
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        if !head.starts_with(b"GET ") {
            return Err(ErrorKind::InvalidData.into());
        }
        stream.write_all(&response).await?;
    }
}
