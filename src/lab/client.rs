//! The lab's raw client: it sends exactly the bytes it is told to, and says exactly what came back.
//!
//! In: a source address and a road (a proxy, or none). Out: [`Wire`]s, on which heads, bodies, TLS handshakes and raw
//! bytes go by. A result is what arrived: an answer, an alert, an end, a reset.

pub mod hello;
pub mod wire;

pub use hello::Hello;
pub use wire::{Ended, Reply, Wire};

use super::internet::{Internet, connect_from};
use crate::tls::authority::Authority;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;

/// How long a client waits for anything: longer than the 9 s after which egret gives up on an upstream.
const PATIENCE: Duration = Duration::from_secs(12);

/// How a client gets out.
#[derive(Clone, Debug)]
pub enum Road {
    /// By this proxy.
    Proxy(SocketAddr),
    /// By itself: it asks the lab's public DNS and dials.
    Direct(Internet),
}

/// A workload of the lab: an address and a road.
#[derive(Clone, Debug)]
pub struct Client {
    source: IpAddr,
    road: Road,
    authority: Arc<Authority>,
    patience: Duration,
}

/// The answer to a CONNECT, with the connection on which it came.
#[derive(Debug)]
pub struct Connected {
    /// The proxy's head. On the direct road, where nobody answers: 200.
    pub answer: Reply,
    /// The tunnel after a 2xx; after anything else a connection that is about to end.
    pub wire: Wire,
}

impl Connected {
    /// The status.
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// The reason phrase.
    pub fn phrase(&self) -> &str {
        &self.answer.phrase
    }
}

impl Client {
    /// A client at `source` (`127.0.1.x`), which trusts the lab's authority.
    pub fn new(source: IpAddr, road: Road, authority: Arc<Authority>) -> Self {
        Self {
            source,
            road,
            authority,
            patience: PATIENCE,
        }
    }

    /// The same client, waiting no longer than this for anything. Default 12 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its road.
    pub fn road(&self) -> &Road {
        &self.road
    }

    /// A connection to the proxy, with nothing said. Fails on the direct road.
    pub async fn open(&self) -> Result<Wire, Ended> {
        match &self.road {
            Road::Proxy(proxy) => {
                let none = |error| Ended::NoProxy(format!("no proxy answers at {proxy}: {error}"));
                self.wire(connect_from(self.source, *proxy).await.map_err(none)?)
            }
            Road::Direct(_) => Err(Ended::Failed("there is no proxy to open a connection to".to_owned())),
        }
    }

    /// A connection to `host` and `port` without any proxy. Fails on the proxy's road.
    pub async fn dial(&self, host: &str, port: u16) -> Result<Wire, Ended> {
        match &self.road {
            Road::Direct(internet) => self.wire(internet.dial(self.source, host, port).await?),
            Road::Proxy(_) => Err(Ended::Failed("this client goes by a proxy".to_owned())),
        }
    }

    /// `CONNECT target` through the proxy, or simply `target` on the direct road.
    pub async fn connect(&self, target: &str) -> Result<Connected, Ended> {
        if let Road::Direct(_) = self.road {
            let (host, port) = target.rsplit_once(':').unwrap_or((target, "443"));
            let port = port
                .parse()
                .map_err(|_| Ended::Failed(format!("{target} has no port")))?;
            let answer = Reply {
                status: 200,
                ..Reply::default()
            };
            return Ok(Connected {
                answer,
                wire: self.dial(host, port).await?,
            });
        }
        let mut wire = self.open().await?;
        wire.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())
            .await?;
        let answer = wire.reply("CONNECT").await?;
        Ok(Connected { answer, wire })
    }

    /// Sends these bytes to the proxy and reads one answer.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Result<Reply, Ended> {
        let mut wire = self.open().await?;
        wire.send(request.as_ref()).await?;
        wire.reply("GET").await
    }

    /// `CONNECT host:443`, a handshake for `host`, `GET path`.
    pub async fn get_https(&self, host: &str, path: &str) -> Result<Reply, Ended> {
        let mut connected = self.connect(&format!("{host}:443")).await?;
        if connected.status() != 200 {
            return Ok(connected.answer);
        }
        connected.wire.handshake(&Hello::to(host)).await?;
        connected
            .wire
            .send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
            .await?;
        connected.wire.reply("GET").await
    }

    fn wire(&self, stream: TcpStream) -> Result<Wire, Ended> {
        Ok(Wire::new(stream, self.authority.clone(), self.patience)?)
    }
}
