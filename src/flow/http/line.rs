//! What the parts of one client connection tell each other: heads in their order, a body that is spoilt, who left, what moved.

use super::framing::Violation;
use super::head::RequestHead;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Longest read, in bytes.
const MOST_READ_BYTES: usize = 16 * 1024 - 1;

/// A head as the judge gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// hyper has it too.
    Request(RequestHead),
    /// hyper has a stand-in.
    Refused {
        /// What was wrong.
        violation: Violation,
        /// First byte of what was sent, which tells which alert the client may understand; 0 if nothing was.
        first: u8,
        /// What stands where the target should, cut to `guard::SHOWN_BYTES`: for the row.
        target: Vec<u8>,
    },
}

/// What the guard, the judge and the clock of one client connection tell each other.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<LineState>,
    news: Notify,
}

#[derive(Debug)]
pub(super) struct LineState {
    pub arrived: VecDeque<Arrived>,
    pub spoilt: Option<Violation>,
    pub asking: Asking,
    pub gone: Option<Gone>,
    pub last: Instant,
    sent: u64,
    received: u64,
}

/// How far a request for WebSocket has come.
#[derive(Debug, Default)]
pub(super) enum Asking {
    #[default]
    No,
    /// What follows is held; the guard waits here.
    Asked(Option<Waker>),
}

/// How the client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It ended its side, between two requests or after its last.
    Closed,
    /// It ended its side in the middle of a body.
    CutOff,
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
            news: Notify::new(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LineState> {
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
        self.news.notify_one();
    }

    /// The client ended its side, between two requests or after its last: the response that is due is still owed.
    pub(super) fn left(&self) {
        let mut state = self.state();
        if state.gone.is_none() {
            state.gone = Some(Gone::Closed);
            state.last = Instant::now();
            self.news.notify_one();
        }
    }

    /// Resolves when the upstream connection was stopped or the client has left.
    pub(super) async fn news(&self) {
        self.news.notified().await;
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

    /// Bytes to and from upstream since this was last asked.
    pub(super) fn take_moved(&self) -> (u64, u64) {
        let mut state = self.state();
        (std::mem::take(&mut state.sent), std::mem::take(&mut state.received))
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

/// One read of less than 16 KiB. hyper doubles the buffer that it reads into while reads fill it; a stalled exchange would
/// keep 64 KiB on each side.
pub(super) fn poll_read_some<S: AsyncRead + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    out: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let most = out.remaining().min(MOST_READ_BYTES);
    let mut some = ReadBuf::new(out.initialize_unfilled_to(most));
    ready!(Pin::new(io).poll_read(cx, &mut some))?;
    let count = some.filled().len();
    out.advance(count);
    Poll::Ready(Ok(()))
}
