//! What stands between a client's socket and hyper: only bytes that can be read in one way pass.
//!
//! In: whatever the client sends. Out: to hyper, whole heads and bodies that were judged; to the judge, an [`Arrived`] for
//! each head, in order. Where a head is refused hyper gets a plain one in its place, so that the answers keep their order;
//! where a body is, hyper gets its end, and [`Sending`] turns that end into an error before upstream can take it for one.

use super::framing::{Framing, Progress, Violation, section_end};
use super::head::{self, RequestHead};
use crate::config::settings::Limits;
use crate::policy::Reason;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// Empty lines that may stand before a request line (RFC 9112 section 2.2 asks for one at least).
const MAX_EMPTY_LINES: u8 = 2;

/// Bytes behind a WebSocket request that are held until upstream has answered it.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// What hyper reads in place of a head that was refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: egret\r\nConnection: close\r\n\r\n";

/// Bounds on what a client may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Longest head, and longest trailer section, in bytes.
    pub head_bytes: usize,
    /// Most fields of a head.
    pub head_fields: usize,
    /// Time for a head, from its first byte.
    pub head_time: Duration,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            head_bytes: limits.head_bytes,
            head_fields: limits.head_fields,
            head_time: limits.head_time,
        }
    }
}

/// A head as the judge gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// hyper has it too.
    Request(RequestHead),
    /// hyper has a stand-in. The first byte tells which alert the client may understand.
    Refused {
        /// What was wrong.
        violation: Violation,
        /// First byte of what was sent; 0 if nothing was.
        first: u8,
    },
}

/// What the guard, the judge and the clock of one client connection tell each other.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<LineState>,
    stopped: Notify,
}

#[derive(Debug)]
struct LineState {
    arrived: VecDeque<Arrived>,
    spoilt: Option<Violation>,
    asking: Asking,
    gone: Option<Gone>,
    last: Instant,
    sent: u64,
    received: u64,
}

/// How far a request for WebSocket has come.
#[derive(Debug, Default)]
enum Asking {
    #[default]
    No,
    /// What follows is held; the guard waits here.
    Asked(Option<Waker>),
}

/// How the client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It ended its side.
    Closed,
    /// Its socket failed.
    Reset,
}

impl Line {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(LineState {
                arrived: VecDeque::new(),
                spoilt: None,
                asking: Asking::No,
                gone: None,
                last: Instant::now(),
                sent: 0,
                received: 0,
            }),
            stopped: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head that belongs to the request that hyper has just read.
    pub(super) fn next(&self) -> Option<Arrived> {
        self.state().arrived.pop_front()
    }

    /// What is wrong with the body on its way, if it is.
    pub(super) fn spoilt(&self) -> Option<Violation> {
        self.state().spoilt
    }

    /// Upstream will not speak WebSocket: what the guard held is the next request.
    pub(super) fn stays_http(&self) {
        if let Asking::Asked(Some(waker)) = std::mem::take(&mut self.state().asking) {
            waker.wake();
        }
    }

    /// The upstream connection was revoked or drained.
    pub(super) fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Resolves when that has happened.
    pub(super) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// How the client left, if it did.
    pub(super) fn gone(&self) -> Option<Gone> {
        self.state().gone
    }

    /// Bytes went to upstream.
    pub(super) fn sent(&self, bytes: usize) {
        let mut state = self.state();
        state.sent += bytes as u64;
        state.last = Instant::now();
    }

    /// Bytes came from upstream.
    pub(super) fn received(&self, bytes: usize) {
        let mut state = self.state();
        state.received += bytes as u64;
        state.last = Instant::now();
    }

    /// Bytes to and from upstream so far.
    pub(super) fn moved(&self) -> (u64, u64) {
        let state = self.state();
        (state.sent, state.received)
    }

    /// Resolves when nothing has moved on any side for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let deadline = self.state().last + limit;
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// The client's socket as hyper sees it.
pub(super) struct ClientGuard<S> {
    io: S,
    line: Arc<Line>,
    bounds: Bounds,
    /// What was read and not yet handed on; the first `ready` bytes may be.
    buffer: Vec<u8>,
    ready: usize,
    state: State,
    timer: Option<Pin<Box<Sleep>>>,
}

enum State {
    /// Between two requests, or inside a head.
    Head(HeadSearch),
    Body(Framing),
    /// Behind a request for WebSocket.
    Held,
    /// Refused: nothing more is read.
    Refused,
}

#[derive(Default)]
struct HeadSearch {
    empty_lines: u8,
    line_checked: bool,
    searched: usize,
}

impl<S> ClientGuard<S> {
    /// Over a socket from which `bytes` were read already.
    pub(super) fn new(io: S, bytes: Vec<u8>, bounds: Bounds, line: Arc<Line>) -> Self {
        Self {
            io,
            line,
            bounds,
            buffer: bytes,
            ready: 0,
            state: State::Head(HeadSearch::default()),
            timer: None,
        }
    }

    /// The time for the first head starts now, not at its first byte.
    pub(super) fn hurried(mut self) -> Self {
        self.timer = Some(Box::pin(sleep(self.bounds.head_time)));
        self
    }

    /// The socket, and what was read from it but not handed on.
    pub(super) fn into_inner(self) -> (S, Vec<u8>) {
        (self.io, self.buffer)
    }

    /// Judge what is in the buffer. Whether anything is ready, or may be on another look.
    fn judge(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Head(_) => self.judge_head(),
            State::Body(framing) => match framing.advance(&self.buffer, self.bounds.head_bytes) {
                Ok(Progress { released, ended }) => {
                    self.ready = released;
                    if ended {
                        self.state = State::Head(HeadSearch::default());
                    }
                    released > 0 || ended
                }
                Err(violation) => {
                    let end = framing.terminator();
                    self.spoil(violation, end);
                    true
                }
            },
            State::Held => match &mut self.line.state().asking {
                Asking::Asked(waker) => {
                    *waker = Some(cx.waker().clone());
                    false
                }
                Asking::No => {
                    self.state = State::Head(HeadSearch::default());
                    true
                }
            },
            State::Refused => false,
        }
    }

    fn judge_head(&mut self) -> bool {
        match self.find_head() {
            Ok(None) => return false,
            Ok(Some(request)) => {
                self.timer = None;
                self.state = match (request.websocket, &request.body) {
                    (true, _) => State::Held,
                    (false, Framing::Length(0)) => State::Head(HeadSearch::default()),
                    (false, body) => State::Body(body.clone()),
                };
                let mut line = self.line.state();
                if request.websocket {
                    line.asking = Asking::Asked(None);
                }
                line.spoilt = None;
                line.arrived.push_back(Arrived::Request(request));
            }
            Err(violation) => self.refuse(violation),
        }
        true
    }

    /// The head at the start of the buffer, once it is whole; `ready` is then its length.
    fn find_head(&mut self) -> Result<Option<RequestHead>, Violation> {
        let State::Head(search) = &mut self.state else {
            return Ok(None);
        };
        while self.buffer.starts_with(b"\r\n") {
            if search.empty_lines == MAX_EMPTY_LINES {
                return Err(Violation::bad_request("more than two empty lines before a request"));
            }
            search.empty_lines += 1;
            self.buffer.drain(..2);
        }
        if matches!(self.buffer[..], [] | [b'\r']) {
            return Ok(None);
        }
        if !head::may_start(&self.buffer) {
            return Err(Violation::not_http());
        }
        let end = section_end(&self.buffer, &mut search.searched)
            .map_err(|()| Violation::bad_request("a line that ends in a bare line feed"))?;
        if !search.line_checked
            && let Some(feed) = self.buffer.iter().position(|byte| *byte == b'\n')
        {
            head::request_line(&self.buffer[..feed.saturating_sub(1)])?;
            search.line_checked = true;
        }
        if end.unwrap_or(self.buffer.len()) > self.bounds.head_bytes {
            return Err(Violation {
                reason: Reason::HeadTooLarge,
                what: "a request head beyond its limit",
            });
        }
        let Some(end) = end else { return Ok(None) };
        let request = head::request(&self.buffer[..end], self.bounds.head_fields)?;
        self.ready = end;
        Ok(Some(request))
    }

    /// hyper reads a request that the judge answers with this violation.
    fn refuse(&mut self, violation: Violation) {
        let first = self.buffer.first().copied().unwrap_or_default();
        self.line
            .state()
            .arrived
            .push_back(Arrived::Refused { violation, first });
        self.end_with(STAND_IN);
    }

    /// hyper reads the end of the body, and [`Sending`] an error in its place.
    fn spoil(&mut self, violation: Violation, end: &[u8]) {
        self.line.state().spoilt = Some(violation);
        self.end_with(end);
    }

    fn end_with(&mut self, last: &[u8]) {
        self.timer = None;
        self.state = State::Refused;
        self.buffer = last.to_vec();
        self.ready = last.len();
    }

    /// Whether the head at hand has taken too long. Its time starts with its first byte.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.state, State::Head(_)) || (self.buffer.is_empty() && self.timer.is_none()) {
            return Poll::Pending;
        }
        let time = self.bounds.head_time;
        self.timer
            .get_or_insert_with(|| Box::pin(sleep(time)))
            .as_mut()
            .poll(cx)
    }
}

impl<S: AsyncRead + Unpin> ClientGuard<S> {
    /// One read into `out`, the caller's buffer. Only what belongs to the body at hand stays in it. `false` at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = out.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.io).poll_read(cx, out)) {
            self.line.state().gone = Some(Gone::Reset);
            return Poll::Ready(Err(error));
        }
        let bytes = &out.filled()[before..];
        if bytes.is_empty() {
            self.line.state().gone = Some(Gone::Closed);
            return Poll::Ready(Ok(false));
        }
        self.line.state().last = Instant::now();
        let mut released = 0;
        if let State::Body(framing) = &mut self.state
            && self.buffer.is_empty()
            && let Ok(progress) = framing.advance(bytes, self.bounds.head_bytes)
        {
            released = progress.released;
            if progress.ended {
                self.state = State::Head(HeadSearch::default());
            }
        }
        self.buffer.extend_from_slice(&bytes[released..]);
        out.set_filled(before + released);
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        loop {
            if self.ready > 0 {
                let count = self.ready.min(out.remaining());
                out.put_slice(&self.buffer[..count]);
                self.buffer.drain(..count);
                self.ready -= count;
                if self.buffer.is_empty() {
                    // A connection that waits for its next request holds no buffer.
                    self.buffer = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if self.judge(cx) {
                continue;
            }
            if self.poll_timer(cx).is_ready() {
                self.refuse(Violation {
                    reason: Reason::HeadTimeout,
                    what: "a request head that took too long",
                });
                continue;
            }
            let full = matches!(self.state, State::Held) && self.buffer.len() >= MAX_HELD_BYTES;
            if full || matches!(self.state, State::Refused) {
                return Poll::Pending;
            }
            if !ready!(self.poll_fill(cx, out))? || out.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
        Poll::Ready(self.wrote(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices));
        Poll::Ready(self.wrote(written))
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

impl<S> ClientGuard<S> {
    fn wrote(&self, written: io::Result<usize>) -> io::Result<usize> {
        let mut line = self.line.state();
        match &written {
            Ok(_) => line.last = Instant::now(),
            Err(_) => line.gone = Some(Gone::Reset),
        }
        written
    }
}

/// A request body on its way to upstream: as hyper reads it, but a spoilt one ends in an error.
pub(super) struct Sending {
    body: Option<Incoming>,
    line: Arc<Line>,
}

impl Sending {
    pub(super) fn new(body: Incoming, line: Arc<Line>) -> Self {
        Self { body: Some(body), line }
    }

    /// No body.
    pub(super) fn nothing(line: Arc<Line>) -> Self {
        Self { body: None, line }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        match ready!(Pin::new(body).poll_frame(cx)) {
            Some(frame) => Poll::Ready(Some(frame.map_err(io::Error::other))),
            None => Poll::Ready(
                self.line
                    .spoilt()
                    .map(|violation| Err(io::Error::other(violation.what))),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(|body| body.is_end_stream() && self.line.spoilt().is_none())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
