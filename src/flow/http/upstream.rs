//! A connection to upstream that belongs to one client connection: hyper's client half behind a guard of its own.
//!
//! Never shared and never pooled: it is used again only by the same client connection, for the same name and port and under
//! the same policy generation. Upstream's bytes pass only while a response is due and only if they can be read in one way.

use super::framing::{Framing, section_end};
use super::guard::{Line, Sending};
use super::head;
use crate::flow::connect::Upstream;
use crate::flow::relay;
use crate::flow::tunnels::{Registered, Tunnel};
use crate::log::FlowEndKind;
use crate::policy::Fqdn;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longest response head, in bytes. Browsers take 256 KiB; more than this is nobody's ordinary answer.
pub(super) const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// Most fields of a response head.
const MAX_RESPONSE_FIELDS: usize = 256;

/// Most interim responses (100 to 199) before a final one.
const MAX_INTERIM_RESPONSES: u8 = 8;

/// What upstream, its guard and the judge tell each other.
#[derive(Debug, Default)]
struct Link(Mutex<LinkState>);

#[derive(Debug, Default)]
struct LinkState {
    /// A request is on its way.
    due: Option<Due>,
    /// What upstream did wrong.
    invalid: Option<&'static str>,
    /// The tunnel table told this connection to end.
    stopped: Option<FlowEndKind>,
}

/// The response that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    to_head: bool,
    websocket: bool,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    line: Arc<Line>,
    sender: http1::SendRequest<Sending>,
    link: Arc<Link>,
    driver: JoinHandle<Option<(TcpStream, Vec<u8>)>>,
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
        let guard = UpstreamGuard::new(upstream.into_stream(), link.clone(), line.clone());
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
            line,
            sender,
            link,
            driver,
        })
    }

    /// Whether a request for this name and port, decided under this generation, may go here.
    pub(super) fn serves(&self, name: &Fqdn, port: u16, generation: u64) -> bool {
        let tunnel = &self.entry.tunnel;
        tunnel.name == *name && tunnel.port == port && self.generation == generation && !self.sender.is_closed()
    }

    /// Whether a request went here before: it may have been closed meanwhile.
    pub(super) fn used(&self) -> bool {
        self.used
    }

    /// Whether it was revoked or drained.
    pub(super) fn stopped(&self) -> bool {
        self.link.state().stopped.is_some()
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

/// Upstream's socket as hyper sees it.
struct UpstreamGuard<S> {
    io: S,
    link: Arc<Link>,
    line: Arc<Line>,
    /// What was read and not yet handed on; the first `ready` bytes may be.
    buffer: Vec<u8>,
    ready: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No response is due.
    Idle,
    Head {
        searched: usize,
        interim: u8,
    },
    Body(Framing),
    /// A 101 went on: the rest is not HTTP.
    Switched,
}

impl<S> UpstreamGuard<S> {
    fn new(io: S, link: Arc<Link>, line: Arc<Line>) -> Self {
        Self {
            io,
            link,
            line,
            buffer: Vec::new(),
            ready: 0,
            state: State::Idle,
        }
    }

    /// The socket and, if it switched protocols, what came behind the 101.
    fn into_inner(self) -> (S, Option<Vec<u8>>) {
        let switched = matches!(self.state, State::Switched).then_some(self.buffer);
        (self.io, switched)
    }

    /// Judge what is in the buffer. Whether anything is ready, or may be on another look.
    fn judge(&mut self) -> Result<bool, &'static str> {
        match &mut self.state {
            State::Idle if self.link.state().due.is_some() => {
                self.state = State::Head {
                    searched: 0,
                    interim: 0,
                };
                Ok(true)
            }
            State::Idle if !self.buffer.is_empty() => Err("bytes that no request asked for"),
            State::Idle | State::Switched => Ok(false),
            State::Head { .. } => self.judge_head(),
            State::Body(framing) => {
                let progress = framing
                    .advance(&self.buffer, MAX_RESPONSE_HEAD_BYTES)
                    .map_err(|violation| violation.what)?;
                self.ready = progress.released;
                if progress.ended {
                    self.finish();
                }
                Ok(progress.released > 0 || progress.ended)
            }
        }
    }

    fn judge_head(&mut self) -> Result<bool, &'static str> {
        let State::Head { searched, interim } = &mut self.state else {
            return Ok(false);
        };
        let Some(due) = self.link.state().due else {
            return Err("a response that no request asked for");
        };
        let end = section_end(&self.buffer, searched).map_err(|()| "a line that ends in a bare line feed")?;
        if end.unwrap_or(self.buffer.len()) > MAX_RESPONSE_HEAD_BYTES {
            return Err("a response head beyond its limit");
        }
        let Some(end) = end else { return Ok(false) };
        let response = head::response(&self.buffer[..end], due.to_head, MAX_RESPONSE_FIELDS)?;
        self.ready = end;
        match response.status {
            101 if due.websocket && response.websocket => self.state = State::Switched,
            101 => return Err("a 101 that no request asked for"),
            100..200 if *interim == MAX_INTERIM_RESPONSES => return Err("more interim responses than the limit"),
            100..200 => {
                *interim += 1;
                *searched = 0;
            }
            _ => match response.body {
                Framing::Length(0) => self.finish(),
                body => self.state = State::Body(body),
            },
        }
        Ok(true)
    }

    /// The final response is complete.
    fn finish(&mut self) {
        self.link.state().due = None;
        self.state = State::Idle;
    }

    fn invalid(&self, what: &'static str) -> io::Error {
        self.link.state().invalid = Some(what);
        io::Error::new(io::ErrorKind::InvalidData, what)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UpstreamGuard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        loop {
            if this.ready > 0 {
                let count = this.ready.min(out.remaining());
                out.put_slice(&this.buffer[..count]);
                this.buffer.drain(..count);
                this.ready -= count;
                return Poll::Ready(Ok(()));
            }
            match this.judge() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(what) => return Poll::Ready(Err(this.invalid(what))),
            }
            if matches!(this.state, State::Switched) {
                return Poll::Pending;
            }
            ready!(Pin::new(&mut this.io).poll_read(cx, out))?;
            let bytes = &out.filled()[before..];
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.line.received(bytes.len());
            let mut released = 0;
            if let State::Body(framing) = &mut this.state
                && this.buffer.is_empty()
                && let Ok(progress) = framing.advance(bytes, MAX_RESPONSE_HEAD_BYTES)
            {
                released = progress.released;
                if progress.ended {
                    this.finish();
                }
            }
            this.buffer.extend_from_slice(&bytes[released..]);
            out.set_filled(before + released);
            if released > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UpstreamGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.line.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        self.line.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
