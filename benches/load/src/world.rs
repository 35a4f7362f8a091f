//! The far side of every run, on loopback: upstreams of three kinds and a DNS server, each on threads of its own.

pub mod dns;
pub mod http;
pub mod pattern;
pub mod tunnel;

use crate::floor;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};
use tokio::net::TcpStream;

/// Names that the policy of every subject allows are `*.allowed.test`.
pub const ALLOWED: &str = "allowed.test";

/// A name that none of them allows.
pub const DENIED: &str = "paste.denied.test";

/// Allowed names in use: few, so that every DNS cache has them.
pub const NAMES: usize = 16;

/// Suffixes of the policy, unless told otherwise.
pub const SUFFIXES: usize = 201;

/// What names resolve to for a subject that refuses to dial loopback: an address for documentation (RFC 5737), which the
/// subject is told to dial as 127.0.0.1.
pub const DOCUMENTATION: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// The allowed names in use.
pub fn names() -> impl Iterator<Item = String> {
    (0..NAMES).map(|n| format!("h{n:02}.{ALLOWED}"))
}

/// So many suffixes of the policy, that of the names in use first.
pub fn suffixes(count: usize) -> impl Iterator<Item = String> {
    let more = (1..count).map(|n| format!("service-{n:03}.example.test"));
    [ALLOWED.to_owned()].into_iter().chain(more)
}

/// What arrived at the far side.
#[derive(Debug, Default)]
pub struct Heard {
    /// Connections to any upstream.
    pub connections: AtomicU64,
    /// Connections whose bytes were not what a client of this crate sends.
    pub spoilt: AtomicU64,
}

/// A running far side. It ends with the process.
#[derive(Clone, Debug)]
pub struct World {
    /// Tunnels with a ClientHello that nobody answers in TLS.
    pub tunnels: SocketAddr,
    /// Tunnels with a real TLS 1.3 handshake.
    pub tls: SocketAddr,
    /// Plain HTTP.
    pub http: SocketAddr,
    /// Every name is 127.0.0.1.
    pub dns: SocketAddr,
    /// Every name is [`DOCUMENTATION`].
    pub dns_documentation: SocketAddr,
    /// As `dns`, on port 53: for who can be told no port. None where this process may not have it.
    pub dns_53: Option<SocketAddr>,
    /// What the upstreams heard.
    pub heard: Arc<Heard>,
}

/// Where [`World::dns_53`] listens: no system keeps a server there.
const DNS_53: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 67, 0, 53)), 53);

impl World {
    /// Binds and starts everything. Fails if loopback has no port left.
    pub fn start() -> io::Result<Self> {
        let heard = Arc::new(Heard::default());
        let acceptor = tunnel::acceptor()?;
        Ok(Self {
            tunnels: upstream(&heard, |stream| async { tunnel::serve(stream).await })?,
            tls: upstream(&heard, move |stream| tunnel::serve_tls(stream, acceptor.clone()))?,
            http: upstream(&heard, |stream| async { http::serve(stream).await })?,
            dns: dns::start((Ipv4Addr::LOCALHOST, 0).into(), Ipv4Addr::LOCALHOST)?,
            dns_documentation: dns::start((Ipv4Addr::LOCALHOST, 0).into(), DOCUMENTATION)?,
            dns_53: dns::start(DNS_53, Ipv4Addr::LOCALHOST).ok(),
            heard,
        })
    }
}

/// Starts an upstream on a thread per core.
fn upstream<F, Fut>(heard: &Arc<Heard>, serve: F) -> io::Result<SocketAddr>
where
    F: Fn(TcpStream) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    let first = floor::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = first.local_addr()?;
    let others = (1..crate::cores()).map(|_| floor::bind(address));
    for listener in [Ok(first)].into_iter().chain(others) {
        let (listener, serve, heard) = (listener?, serve.clone(), heard.clone());
        thread::spawn(move || {
            crate::block_on(floor::accept(listener, move |stream| {
                heard.connections.fetch_add(1, Relaxed);
                let (served, heard) = (serve(stream), heard.clone());
                async move {
                    if served.await.is_err_and(|e| e.kind() == io::ErrorKind::InvalidData) {
                        heard.spoilt.fetch_add(1, Relaxed);
                    }
                }
            }))
        });
    }
    Ok(address)
}
