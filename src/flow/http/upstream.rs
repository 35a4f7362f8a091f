//! A connection to upstream that belongs to one client connection.
//!
//! Never shared and never pooled: it is used again only by the same client connection, for the same name and port and under
//! the same policy generation.

use crate::flow::connect::Upstream;
use crate::flow::judge::Screened;
use crate::flow::limits::FilePermit;
use crate::flow::relay;
use crate::flow::tunnels::Registered;
use crate::log::FlowEndKind;
use crate::policy::Host;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// One connection to upstream.
pub(super) struct Connection {
    pub stream: TcpStream,
    /// For the row and for the end of the flow.
    pub entry: Registered,
    /// What was vetted.
    pub address: SocketAddr,
    /// What each request that goes here is told as.
    pub screened: Option<Box<Screened>>,
    /// Bytes to upstream.
    pub sent: u64,
    /// Bytes from upstream.
    pub received: u64,
    /// A request went here before: it may have been closed meanwhile.
    pub used: bool,
    generation: u64,
    stop: Pin<Box<dyn Future<Output = FlowEndKind> + Send>>,
    file: FilePermit,
}

impl Connection {
    /// Its place in the tunnel table ends it when the policy no longer allows it.
    pub(super) fn new(mut upstream: Upstream, entry: Registered, generation: u64) -> Self {
        let (address, screened) = (upstream.address, upstream.screened.take());
        let (stream, file) = upstream.into_parts();
        let tunnel = entry.tunnel.clone();
        Self {
            stream,
            entry,
            address,
            screened,
            sent: 0,
            received: 0,
            used: false,
            generation,
            stop: Box::pin(async move { tunnel.stopped().await }),
            file,
        }
    }

    /// Whether a request for this host and port, decided under this generation, may go here.
    pub(super) fn serves(&self, host: &Host, port: u16, generation: u64) -> bool {
        self.leads_to(host, port) && self.generation == generation
    }

    /// Whether it was opened for this host and port.
    pub(super) fn leads_to(&self, host: &Host, port: u16) -> bool {
        self.entry.tunnel.host == *host && self.entry.tunnel.port == port
    }

    /// Resolves, once, when it was revoked or drained.
    pub(super) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<FlowEndKind> {
        self.stop.as_mut().poll(cx)
    }

    /// Resolves when no request may go here any more while none is under way: it was stopped, upstream has closed it, or
    /// sends what no request asked for.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<FlowEndKind> {
        if let Poll::Ready(end) = self.poll_stopped(cx) {
            return Poll::Ready(end);
        }
        while ready!(self.stream.poll_read_ready(cx)).is_ok() {
            match self.stream.try_read(&mut [0]) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        Poll::Ready(FlowEndKind::UpstreamClosed)
    }

    /// So many bytes have gone each way.
    pub(super) fn moved(&mut self, sent: u64, received: u64) {
        self.sent += sent;
        self.received += received;
        self.entry.tunnel.sent.store(self.sent, Relaxed);
        self.entry.tunnel.received.store(self.received, Relaxed);
    }

    /// The bytes that have gone each way, to be counted elsewhere from now on.
    pub(super) fn take_moved(&mut self) -> (u64, u64) {
        let moved = (self.sent, self.received);
        (self.sent, self.received) = (0, 0);
        self.moved(0, 0);
        moved
    }

    /// Nobody there takes its end for that of a message.
    pub(super) fn reset(&self) {
        relay::reset(&self.stream);
    }

    /// For the tunnel behind a 101.
    pub(super) fn into_tunnel(self) -> (TcpStream, Registered, FilePermit) {
        (self.stream, self.entry, self.file)
    }
}

#[cfg(test)]
impl Connection {
    /// Over this socket, which requests have used before.
    pub(super) fn over(stream: TcpStream) -> Self {
        use crate::flow::{FlowId, limits::Limits, tunnels::Tunnel, tunnels::Tunnels};
        use crate::policy::vet::Candidate;
        let address = stream.peer_addr().unwrap();
        let (host, ip) = (Host::Address(address.ip()), address.ip());
        let candidate = Candidate {
            ip,
            owner: None,
            zone: None,
            through_private_link: false,
        };
        let tunnel = Tunnel::new(FlowId::next(), address, host, address.port(), None, candidate, 1);
        Self {
            stream,
            entry: Tunnels::new().register(tunnel.clone()),
            address,
            screened: None,
            sent: 0,
            received: 0,
            used: true,
            generation: 1,
            stop: Box::pin(async move { tunnel.stopped().await }),
            file: Limits::new(None).file().unwrap(),
        }
    }
}
