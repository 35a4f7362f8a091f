//! A client that opens a tunnel: CONNECT, a real ClientHello with the tunnel's name, bytes each way, an end.

use crate::world::QUIT;
use egret::lab::internet::connect_from;
use egret::tls::provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use std::{
    cell::RefCell,
    collections::HashMap,
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a client waits for anything: longer than egret's own 9 s for an upstream.
const PATIENCE: Duration = Duration::from_secs(15);

/// Longest answer to a CONNECT that is read, in bytes.
const MAX_HEAD: usize = 8192;

/// The nth address that clients come from: every 127/8 address is this machine's.
pub fn source(n: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 1 + (n / 250) as u8, 1 + (n % 250) as u8).into()
}

/// Why there is no tunnel.
#[derive(Debug)]
pub enum Refusal {
    /// The status line that was not 200.
    Answered(String),
    /// A TLS alert or a close came instead of the upstream's bytes.
    AtGate(String),
    /// No connection, no answer, or half of one.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(line) => write!(f, "answered {line}"),
            Self::AtGate(what) => write!(f, "after 200: {what}"),
            Self::Broken(what) => write!(f, "broken: {what}"),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The ClientHello of a current client for `name`, post-quantum key share and all. Its handshake is never finished.
pub fn hello(name: &str) -> Vec<u8> {
    thread_local!(static OF_LENGTH: RefCell<HashMap<usize, (Vec<u8>, usize)>> = RefCell::default());
    OF_LENGTH.with_borrow_mut(|known| {
        // A key share costs more than the rest of a tunnel: names of one length share a hello, with the name written over.
        let (bytes, at) = known.entry(name.len()).or_insert_with(|| {
            let bytes = generate(name);
            let at = bytes.windows(name.len()).position(|part| part == name.as_bytes());
            (bytes, at.expect("rustls sends the name that it was given"))
        });
        let mut bytes = bytes.clone();
        bytes[*at..*at + name.len()].copy_from_slice(name.as_bytes());
        bytes
    })
}

fn generate(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("names of this tool are host names");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client can say hello");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a Vec takes every byte");
    bytes
}

/// A tunnel that stands.
pub struct Tunnel {
    stream: TcpStream,
}

impl Tunnel {
    /// CONNECT and ClientHello; stands once the upstream has given the hello back, byte for byte.
    pub async fn open(proxy: SocketAddr, source: IpAddr, name: &str) -> Result<Self, Refusal> {
        let stream = connect(proxy, source, name).await?;
        let mut tunnel = Self { stream };
        tunnel
            .echo(&hello(name))
            .await
            .map_err(|e| Refusal::AtGate(e.to_string()))?;
        Ok(tunnel)
    }

    /// Sends bytes and waits until just these have come back.
    pub async fn echo(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        let mut back = vec![0; bytes.len()];
        timeout(PATIENCE, self.stream.read_exact(&mut back)).await??;
        if back == bytes {
            Ok(())
        } else {
            Err(io::Error::other("other bytes came back"))
        }
    }

    /// Ends it: the client closes first, or asks the upstream to. The close must be seen to pass through.
    pub async fn close(mut self, upstream_first: bool) -> io::Result<()> {
        if upstream_first {
            self.echo(&[QUIT]).await?;
        } else {
            self.stream.shutdown().await?;
        }
        match timeout(PATIENCE, self.stream.read(&mut [0; 16])).await?? {
            0 => Ok(()),
            _ => Err(io::Error::other("bytes instead of an end")),
        }
    }

    /// Resolves when the other side ends it, in order or not.
    pub async fn cut(&mut self) {
        let _ = self.stream.read(&mut [0; 16]).await;
    }
}

/// A connection on which a CONNECT was answered 200.
pub async fn connect(proxy: SocketAddr, source: IpAddr, name: &str) -> Result<TcpStream, Refusal> {
    let mut stream = connect_from(source, proxy).await?;
    stream.write_all(connect_head(name).as_bytes()).await?;
    let head = timeout(PATIENCE, read_head(&mut stream))
        .await
        .map_err(|_| Refusal::Broken("no answer".into()))??;
    match head.lines().next() {
        Some(line) if line.starts_with("HTTP/1.1 200 ") => Ok(stream),
        Some(line) => Err(Refusal::Answered(line.into())),
        None => Err(Refusal::Broken("closed without an answer".into())),
    }
}

/// The head of a CONNECT as most clients send it.
pub fn connect_head(name: &str) -> String {
    format!("CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n")
}

/// Reads to the empty line, or as far as bytes come. A body may be cut: nothing here reads one.
pub async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
