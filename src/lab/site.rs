//! Sites: what stands at the lab's addresses, and what each of them heard.
//!
//! In: connections. Out: an answer that names the site, and counts of connections, requests and bytes. Several sites may
//! stand at one address, as the tenants of a shared front end do: SNI or `Host` chooses, and a site without hosts takes
//! what the others leave. Every port speaks TLS, plain HTTP and raw bytes: whatever a firewall lets through is counted.

mod visit;

pub(super) use visit::Visit;

use super::mocks::{Serves, keep::Kept};
use crate::tls::authority::Authority;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_rustls::rustls::ServerConfig;

/// Bytes of one connection that a site keeps for tests to look at.
const KEPT_BYTES: usize = 64 * 1024;

/// Connections of which bytes are kept.
const KEPT_CONNECTIONS: usize = 256;

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
    kept: Kept,
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
            kept: Kept::default(),
        })
    }

    /// How it was described.
    pub fn spec(&self) -> &SiteSpec {
        &self.spec
    }

    /// What its mock keeps between requests.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
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
    /// For sites that speak HTTP/2.
    tls_h2: Arc<ServerConfig>,
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
        let mut tls_h2 = ServerConfig::clone(&tls);
        tls_h2.alpn_protocols.insert(0, b"h2".to_vec());
        Arc::new(Self {
            address,
            port,
            sites,
            tls,
            tls_h2: Arc::new(tls_h2),
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
