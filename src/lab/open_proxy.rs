//! A proxy that decides next to nothing: it shows what an attempt does where no firewall stands.
//!
//! In: CONNECT and absolute-form requests. Out: whatever the client asked for, byte for byte. The controls of the lab go
//! through it where egret itself refuses under any policy (gate, vetting, parsing). With a list of suffixes it is the
//! common allow-list proxy, which looks at the CONNECT name and at nothing behind it (`examples/lax_proxy.rs`).

use super::internet::{ANY_SOURCE, Internet};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Time for a request head.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// What the proxy knows: where to ask and dial, and the suffixes that a CONNECT name must end with, if any.
#[derive(Clone, Debug)]
pub struct OpenProxy {
    /// How names become connections.
    pub internet: Internet,
    /// CONNECT names must end with one of these; empty: every name. Nothing else is looked at.
    pub allow: Vec<String>,
}

impl OpenProxy {
    /// Serves until the runtime ends.
    pub async fn serve(self, listener: TcpListener) {
        let proxy = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((client, _)) => {
                    let proxy = proxy.clone();
                    // A relay ends as its two sides end it; there is nothing to report.
                    tokio::spawn(async move { proxy.relay(client).await.ok() });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn relay(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let (head, rest) = timeout(HEAD_TIME, read_head(&mut client)).await??;
        let Some(request) = Request::read(&head) else {
            return client
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await;
        };
        if request.tunnel && !self.admits(&request.host) {
            return client
                .write_all(b"HTTP/1.1 403 not in the list\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
        let mut upstream = match self.internet.dial(ANY_SOURCE, &request.host, request.port).await {
            Ok(upstream) => upstream,
            Err(e) => {
                let answer = format!("HTTP/1.1 502 {e}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return client.write_all(answer.as_bytes()).await;
            }
        };
        match request.forward {
            Some(head) => upstream.write_all(&head).await?,
            None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
        }
        upstream.write_all(&rest).await?;
        copy_bidirectional(&mut client, &mut upstream).await?;
        Ok(())
    }

    fn admits(&self, host: &str) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|suffix| host.ends_with(suffix.as_str()))
    }
}

/// The head through its empty line, and what came behind it.
async fn read_head(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Ok((head, rest));
        }
        if head.len() > MAX_HEAD || client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

struct Request {
    tunnel: bool,
    host: String,
    port: u16,
    /// The head that goes upstream: the target in origin form, every header as it came.
    forward: Option<Vec<u8>>,
}

impl Request {
    /// `None` if it is neither CONNECT nor in absolute form.
    fn read(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let (line, headers) = text.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if method == "CONNECT" {
            let (host, port) = target.rsplit_once(':')?;
            return Some(Self {
                tunnel: true,
                host: host.to_owned(),
                port: port.parse().ok()?,
                forward: None,
            });
        }
        let rest = target.strip_prefix("http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let forward = format!("{method} {path} HTTP/1.1\r\n{headers}").into_bytes();
        Some(Self {
            tunnel: false,
            host: host.to_owned(),
            port,
            forward: Some(forward),
        })
    }
}
