//! A connection to upstream that belongs to one client connection: hyper's client half behind a guard of its own.
//!
//! Never shared and never pooled: it is used again only by the same client connection, for the same name and port and under
//! the same policy generation. Upstream's bytes pass only while a response is due and only if they can be read in one way.

use super::line::{Line, Sending};
use super::upstream_guard::{Due, Link, MAX_RESPONSE_FIELDS, MAX_RESPONSE_HEAD_BYTES, UpstreamGuard};
use crate::flow::connect::Upstream;
use crate::flow::limits::FilePermit;
use crate::flow::relay;
use crate::flow::tunnels::{Registered, Tunnel};
use crate::log::FlowEndKind;
use crate::policy::Fqdn;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResponse {
    /// What came is no response: the first fault.
    Invalid(&'static str),
    /// The connection was revoked or drained.
    Stopped(FlowEndKind),
    /// Upstream closed or reset it.
    Closed,
    /// Nothing moved for the idle limit.
    Silent,
}

/// One connection to upstream.
pub(super) struct Connection {
    /// For the row and for the end of the flow.
    pub entry: Registered,
    /// What was vetted.
    pub address: SocketAddr,
    generation: u64,
    used: bool,
    /// It carries no further request.
    retired: bool,
    line: Arc<Line>,
    sender: http1::SendRequest<Sending>,
    link: Arc<Link>,
    driver: JoinHandle<Option<(TcpStream, Vec<u8>)>>,
    _file: FilePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Speak HTTP over `upstream`. Its place in the tunnel table ends it when the policy no longer allows it.
    pub(super) async fn open(
        upstream: Upstream,
        entry: Registered,
        generation: u64,
        line: Arc<Line>,
    ) -> Result<Self, hyper::Error> {
        let address = upstream.address;
        let link = Arc::new(Link::default());
        let (stream, file) = upstream.into_parts();
        let guard = UpstreamGuard::new(stream, link.clone(), line.clone());
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_headers(MAX_RESPONSE_FIELDS)
            .max_buf_size(MAX_RESPONSE_HEAD_BYTES + 1024)
            .handshake(TokioIo::new(guard))
            .await?;
        let driver = tokio::spawn(drive(connection, entry.tunnel.clone(), link.clone(), line.clone()));
        Ok(Self {
            entry,
            address,
            generation,
            used: false,
            retired: false,
            line,
            sender,
            link,
            driver,
            _file: file,
        })
    }

    /// Whether a request for this name and port, decided under this generation, may go here.
    pub(super) fn serves(&self, name: &Fqdn, port: u16, generation: u64) -> bool {
        self.leads_to(name, port) && self.generation == generation && !self.retired && !self.sender.is_closed()
    }

    /// Whether it was opened for this name and port.
    pub(super) fn leads_to(&self, name: &Fqdn, port: u16) -> bool {
        self.entry.tunnel.name == *name && self.entry.tunnel.port == port
    }

    /// No request after the one at hand.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether a request went here before: it may have been closed meanwhile.
    pub(super) fn used(&self) -> bool {
        self.used
    }

    /// Whether it was revoked or drained.
    pub(super) fn stopped(&self) -> bool {
        self.link.state().stopped.is_some()
    }

    /// Whether a response is due, or under way.
    pub(super) fn owes(&self) -> bool {
        self.link.state().due.is_some()
    }

    /// How it ended between two requests.
    pub(super) fn end(&self) -> FlowEndKind {
        match self.failure() {
            NoResponse::Stopped(end) => end,
            _ if self.sender.is_closed() => FlowEndKind::UpstreamClosed,
            // The client has no more use for it.
            _ => FlowEndKind::ClientClosed,
        }
    }

    /// Send a request and wait for the head of its final response, as long as anything moves within `idle`. On failure the
    /// request comes back if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Sending>,
        websocket: bool,
        idle: Duration,
    ) -> Result<Response<Incoming>, (NoResponse, Option<Request<Sending>>)> {
        self.used = true;
        // Until it is ready, hyper takes a request only to give it back.
        let _ = self.sender.ready().await;
        self.link.state().due = Some(Due {
            to_head: request.method() == hyper::Method::HEAD,
            websocket,
        });
        let response = tokio::select! {
            response = self.sender.try_send_request(request) => response,
            () = self.line.idle(idle) => return Err((NoResponse::Silent, None)),
        };
        response.map_err(|mut failed| (self.failure(), failed.take_message()))
    }

    /// Why it failed.
    pub(super) fn failure(&self) -> NoResponse {
        let state = self.link.state();
        match (state.stopped, state.invalid) {
            (Some(end), _) => NoResponse::Stopped(end),
            (None, Some(what)) => NoResponse::Invalid(what),
            (None, None) => NoResponse::Closed,
        }
    }

    /// The socket after a 101, with what upstream sent behind it. `None`: it went away meanwhile.
    pub(super) async fn tunnel(&mut self) -> Option<(TcpStream, Vec<u8>)> {
        (&mut self.driver).await.ok().flatten()
    }
}

/// Runs hyper's half until the connection ends, is told to, or has switched protocols.
async fn drive(
    mut connection: http1::Connection<TokioIo<UpstreamGuard<TcpStream>>, Sending>,
    tunnel: Arc<Tunnel>,
    link: Arc<Link>,
    line: Arc<Line>,
) -> Option<(TcpStream, Vec<u8>)> {
    let stopped = tokio::select! {
        biased;
        end = tunnel.stopped() => Some(end),
        _ = &mut connection => None,
    };
    let parts = connection.into_parts();
    let (stream, switched) = parts.io.into_inner().into_inner();
    if stopped.is_none() {
        return Some((stream, [&parts.read_buf[..], &switched?].concat()));
    }
    link.state().stopped = stopped;
    relay::reset(&stream);
    line.stop();
    None
}
