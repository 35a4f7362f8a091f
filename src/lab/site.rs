//! Sites: what stands at the lab's addresses, and what each of them heard.
//!
//! In: connections. Out: an answer that names the site, and counts of connections, requests and bytes. Several sites may
//! stand at one address, as the tenants of a shared front end do: SNI or `Host` chooses, and a site without hosts takes
//! what the others leave. Every port speaks TLS, plain HTTP and raw bytes: whatever a firewall lets through is counted.

use super::mocks::{self, Serves};
use crate::tls::authority::Authority;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{LazyConfigAcceptor, rustls::ServerConfig, rustls::server::Acceptor};

/// Bytes of one connection that a site keeps for tests to look at.
const KEPT_BYTES: usize = 64 * 1024;

/// Connections of which bytes are kept.
const KEPT_CONNECTIONS: usize = 256;

/// The methods by which plain HTTP is told from raw bytes.
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
];

/// A site as a scenario describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSpec {
    /// Its name in tables and in the header `X-Lab-Site` of its answers.
    pub name: String,
    /// The host names it answers to, in lower case. Empty: every name that no other site of the address claims, and none.
    pub hosts: Vec<String>,
    /// Where it stands: addresses of the lab, never dialled as such.
    pub addresses: Vec<IpAddr>,
    /// Its ports; empty: all.
    pub ports: Vec<u16>,
    /// What it serves.
    pub serves: Serves,
    /// No denied attempt may reach it.
    pub forbidden: bool,
}

/// A site that runs, with what it heard.
#[derive(Debug)]
pub struct Site {
    spec: SiteSpec,
    connections: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    heard: Mutex<Vec<Vec<u8>>>,
}

impl Site {
    /// A site that has heard nothing.
    pub fn new(spec: SiteSpec) -> Arc<Self> {
        let zero = AtomicU64::default;
        Arc::new(Self {
            spec,
            connections: zero(),
            requests: zero(),
            bytes: zero(),
            heard: Mutex::default(),
        })
    }

    /// How it was described.
    pub fn spec(&self) -> &SiteSpec {
        &self.spec
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Bytes that clients sent to it, TLS included, counted where they arrived.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Connections on which it heard at least one byte.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// HTTP requests it answered.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// The first 64 KiB of each connection that spoke to it first, as received (for TLS: the records).
    pub fn heard(&self) -> Vec<Vec<u8>> {
        lock(&self.heard).clone()
    }

    /// Keeps the bytes of another connection, if there is room.
    fn keep_new(&self, bytes: Vec<u8>) -> Option<usize> {
        let mut heard = lock(&self.heard);
        (heard.len() < KEPT_CONNECTIONS).then(|| heard.push(bytes))?;
        Some(heard.len() - 1)
    }

    /// Counts a request; `mocks` calls it for each.
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }
}

/// One address of the lab: the sites behind it and the connections that reached it.
#[derive(Debug)]
pub struct Front {
    /// The lab's address, which stands for the listener's.
    pub address: IpAddr,
    /// The port it stands for; `None`: every port.
    pub port: Option<u16>,
    sites: Vec<Arc<Site>>,
    tls: Arc<ServerConfig>,
    accepted: AtomicU64,
    open: AtomicU64,
    /// Connections of ours that wait to be accepted, by their client's address.
    probes: Mutex<HashMap<SocketAddr, oneshot::Sender<()>>>,
}

impl Front {
    /// A front end; `sites` is not empty.
    pub fn new(address: IpAddr, port: Option<u16>, sites: Vec<Arc<Site>>, authority: &Arc<Authority>) -> Arc<Self> {
        let hosts: Vec<String> = sites.iter().flat_map(|s| s.spec.hosts.iter().cloned()).collect();
        let tls = authority.server_config(&hosts);
        Arc::new(Self {
            address,
            port,
            sites,
            tls,
            accepted: AtomicU64::default(),
            open: AtomicU64::default(),
            probes: Mutex::default(),
        })
    }

    /// A connection from this address will come that is no visit: the listener hands connections out in the order in which
    /// they came, so that all before it have been counted once the answer arrives.
    pub fn expect_probe(&self, from: SocketAddr) -> oneshot::Receiver<()> {
        let (accepted, answer) = oneshot::channel();
        lock(&self.probes).insert(from, accepted);
        answer
    }

    /// Connections that were ever accepted, silent ones included.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Connections whose client has not closed yet.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// The tenant that a name chooses: the one that claims it, the one that claims none, or the first.
    fn tenant(&self, name: Option<&str>) -> &Arc<Site> {
        let name = name.map(|n| n.trim_end_matches('.').to_ascii_lowercase());
        let claims = |s: &&Arc<Site>| name.as_ref().is_some_and(|n| s.spec.hosts.contains(n));
        self.sites
            .iter()
            .find(claims)
            .or_else(|| self.sites.iter().find(|s| s.spec.hosts.is_empty()))
            .unwrap_or(&self.sites[0])
    }

    /// Accepts until the runtime ends.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    if let Some(probe) = lock(&self.probes).remove(&from) {
                        let _ = probe.send(());
                        continue;
                    }
                    self.accepted.fetch_add(1, Relaxed);
                    self.open.fetch_add(1, Relaxed);
                    tokio::spawn(Visit::run(self.clone(), stream));
                }
                // Out of files, or the client is gone: leave the loop to others for a moment.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    }
}

/// One connection to a front end: who is being spoken to, and what has been read.
#[derive(Debug)]
pub struct Visit {
    front: Arc<Front>,
    state: Mutex<VisitState>,
}

#[derive(Debug, Default)]
struct VisitState {
    site: Option<Arc<Site>>,
    /// Bytes read since a site was last named.
    fresh: u64,
    /// What was read before a site was named.
    unnamed: Vec<u8>,
    /// Where the first site keeps this connection's bytes.
    slot: Option<usize>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Bytes of which no name could be read still reached somebody: the tenant for nameless ones.
        let unnamed = {
            let state = lock(&self.state);
            state.site.is_none() && state.fresh > 0
        };
        if unnamed {
            self.name(None);
        }
        self.front.open.fetch_sub(1, Relaxed);
    }
}

impl Visit {
    async fn run(front: Arc<Front>, stream: TcpStream) {
        let visit = Arc::new(Self {
            front,
            state: Mutex::default(),
        });
        let _ = stream.set_nodelay(true);
        let mut stream = Metered {
            stream,
            replay: Vec::new(),
            visit: visit.clone(),
        };
        // How a visit ends is the visitor's business; what arrived has been counted.
        let _ = match stream.first_flight().await {
            Ok(Kind::Tls) => visit.tls(stream).await,
            Ok(Kind::Http) => visit.http(stream).await,
            Ok(Kind::Raw) => visit.raw(stream).await,
            Err(e) => Err(e),
        };
    }

    /// The site that this name chooses hears what was read since the last call, and what comes next.
    pub(super) fn name(&self, name: Option<&str>) -> Arc<Site> {
        let site = self.front.tenant(name).clone();
        let mut state = lock(&self.state);
        let fresh = std::mem::take(&mut state.fresh);
        let same = state.site.as_ref().is_some_and(|now| Arc::ptr_eq(now, &site));
        if !same {
            // A pipelined request may have come with its predecessor's bytes: one at least was this site's.
            site.bytes.fetch_add(fresh.max(1), Relaxed);
            site.connections.fetch_add(1, Relaxed);
            state.slot = if state.site.is_none() {
                site.keep_new(std::mem::take(&mut state.unnamed))
            } else {
                None
            };
            state.site = Some(site.clone());
        }
        site
    }

    fn count(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        state.fresh += bytes.len() as u64;
        match &state.site {
            Some(site) => {
                site.bytes.fetch_add(bytes.len() as u64, Relaxed);
                if let Some(slot) = state.slot {
                    keep(&mut lock(&site.heard)[slot], bytes);
                }
            }
            None => keep(&mut state.unnamed, bytes),
        }
    }

    async fn tls(self: &Arc<Self>, stream: Metered) -> io::Result<()> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        self.name(start.client_hello().server_name());
        let stream = start.into_stream(self.front.tls.clone()).await?;
        self.http(stream).await
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, stream: S) -> io::Result<()> {
        let service = service_fn(|request| mocks::answer(self.clone(), request));
        http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .await
            .map_err(io::Error::other)
    }

    async fn raw(self: &Arc<Self>, mut stream: Metered) -> io::Result<()> {
        let site = self.name(None);
        stream
            .write_all(format!("lab-site: {}\n", site.name()).as_bytes())
            .await?;
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Kind {
    Tls,
    Http,
    Raw,
}

/// A stream whose received bytes are counted, with the first ones read again.
struct Metered {
    stream: TcpStream,
    replay: Vec<u8>,
    visit: Arc<Visit>,
}

impl Metered {
    /// Reads until the protocol is known. Fails if the client closes before.
    async fn first_flight(&mut self) -> io::Result<Kind> {
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let n = self.stream.read(&mut buffer).await?;
            self.visit.count(&buffer[..n]);
            seen.extend_from_slice(&buffer[..n]);
            let kind = match seen.first() {
                Some(0x16) => Some(Kind::Tls),
                _ if METHODS.iter().any(|m| seen.starts_with(m)) => Some(Kind::Http),
                _ if n > 0 && METHODS.iter().any(|m| m.starts_with(&seen)) => None,
                Some(_) => Some(Kind::Raw),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            if let Some(kind) = kind {
                self.replay = seen;
                return Ok(kind);
            }
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.replay.is_empty() {
            let n = self.replay.len().min(buf.remaining());
            buf.put_slice(&self.replay[..n]);
            self.replay.drain(..n);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.visit.count(&buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
