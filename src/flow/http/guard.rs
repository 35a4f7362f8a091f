//! What stands between a client's socket and hyper: only bytes that can be read in one way pass.
//!
//! In: whatever the client sends. Out: to hyper, whole heads and bodies that were judged; to the judge, an [`Arrived`] for
//! each head, in order. Where a head is refused hyper gets a plain one in its place, so that the answers keep their order;
//! where a body is, hyper gets its end, and [`Sending`](super::line::Sending) turns that end into an error before upstream can take it for one.

use super::framing::{Framing, Progress, Violation, section_end};
use super::head::{self, RequestHead};
use super::line::{Arrived, Asking, Gone, Line, poll_read_some};
use crate::config::settings::Limits;
use crate::flow::held::Held;
use crate::flow::record::safe;
use crate::policy::Reason;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Empty lines that may stand before a request line (RFC 9112 section 2.2 asks for one at least).
const MAX_EMPTY_LINES: u8 = 2;

/// Bytes behind a WebSocket request that are held until upstream has answered it.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// Bytes that are kept of the target of a head that was refused.
const SHOWN_BYTES: usize = 512;

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
    /// Bytes that all flows together may hold.
    pub held_bytes: usize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            head_bytes: limits.head_bytes,
            head_fields: limits.head_fields,
            head_time: limits.head_time,
            held_bytes: limits.held_bytes,
        }
    }
}

/// The client's socket as hyper sees it.
pub(super) struct ClientGuard<S> {
    io: S,
    line: Arc<Line>,
    bounds: Bounds,
    /// What was read and not yet handed on; the first `ready` bytes may be.
    held: Held,
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
    /// Over a socket from which `held` was read already.
    pub(super) fn new(io: S, held: Held, bounds: Bounds, line: Arc<Line>) -> Self {
        Self {
            io,
            line,
            bounds,
            held,
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
        (self.io, self.held.bytes)
    }

    /// Judge what is in the buffer. Whether anything is ready, or may be on another look.
    fn judge(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Head(_) => self.judge_head(),
            State::Body(framing) => match framing.advance(&self.held.bytes, self.bounds.head_bytes) {
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
        while self.held.bytes.starts_with(b"\r\n") {
            if search.empty_lines == MAX_EMPTY_LINES {
                return Err(Violation::bad_request("more than two empty lines before a request"));
            }
            search.empty_lines += 1;
            self.held.bytes.drain(..2);
        }
        if matches!(self.held.bytes[..], [] | [b'\r']) {
            return Ok(None);
        }
        if !head::may_start(&self.held.bytes) {
            return Err(Violation::not_http());
        }
        let end = section_end(&self.held.bytes, &mut search.searched)
            .map_err(|()| Violation::bad_request("a line that ends in a bare line feed"))?;
        if !search.line_checked
            && let Some(feed) = self.held.bytes.iter().position(|byte| *byte == b'\n')
        {
            head::request_line(&self.held.bytes[..feed.saturating_sub(1)])?;
            search.line_checked = true;
        }
        if end.unwrap_or(self.held.bytes.len()) > self.bounds.head_bytes {
            return Err(Violation {
                reason: Reason::HeadTooLarge,
                what: "a request head beyond its limit",
            });
        }
        let Some(end) = end else { return Ok(None) };
        let request = head::request(&self.held.bytes[..end], self.bounds.head_fields)?;
        self.ready = end;
        Ok(Some(request))
    }

    /// hyper reads a request that the judge answers with this violation.
    fn refuse(&mut self, violation: Violation) {
        // All of the line behind the method: a blank inside userinfo must not hide that it is userinfo.
        let end = self.held.bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &self.held.bytes[..end.unwrap_or(self.held.bytes.len())];
        let behind = line
            .iter()
            .position(|byte| *byte == b' ')
            .map_or(&[][..], |blank| &line[blank + 1..]);
        let version = behind.windows(6).rposition(|window| window == b" HTTP/");
        let mut target = safe(&behind[..version.unwrap_or(behind.len())]);
        target.truncate(SHOWN_BYTES);
        self.line.state().arrived.push_back(Arrived::Refused {
            violation,
            first: self.held.bytes.first().copied().unwrap_or_default(),
            target,
        });
        self.end_with(STAND_IN);
    }

    /// hyper reads the end of the body, and [`Sending`](super::line::Sending) an error in its place.
    fn spoil(&mut self, violation: Violation, end: &[u8]) {
        self.line.state().spoilt = Some(violation);
        self.end_with(end);
    }

    /// No room for what was read: it is lost, and nothing behind it may be read as if it were not. Behind a request for
    /// WebSocket nobody can be told.
    fn overflow(&mut self, reason: Reason) -> io::Result<()> {
        let what = "more bytes that wait than the limit";
        let violation = Violation { reason, what };
        match &self.state {
            State::Head(_) => self.refuse(violation),
            State::Body(framing) => {
                let end = framing.terminator();
                self.spoil(violation, end);
            }
            State::Held | State::Refused => {
                self.line.state().gone = Some(Gone::Reset);
                return Err(io::Error::other(what));
            }
        }
        Ok(())
    }

    fn end_with(&mut self, last: &[u8]) {
        self.timer = None;
        self.state = State::Refused;
        self.held.release();
        self.held.bytes.extend_from_slice(last);
        self.ready = last.len();
    }

    /// Whether the head at hand has taken too long. Its time starts with its first byte.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.state, State::Head(_)) || (self.held.bytes.is_empty() && self.timer.is_none()) {
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
        if let Err(error) = ready!(poll_read_some(&mut self.io, cx, out)) {
            self.line.state().gone = Some(Gone::Reset);
            return Poll::Ready(Err(error));
        }
        let bytes = &out.filled()[before..];
        if bytes.is_empty() {
            if matches!(self.state, State::Body(_)) {
                self.line.state().gone = Some(Gone::CutOff);
                return Poll::Ready(Ok(false));
            }
            // hyper would take this end for that of the connection, and let the response drop that is due.
            self.line.left();
            return Poll::Pending;
        }
        self.line.state().last = Instant::now();
        let mut released = 0;
        if let State::Body(framing) = &mut self.state
            && self.held.bytes.is_empty()
            && let Ok(progress) = framing.advance(bytes, self.bounds.head_bytes)
        {
            released = progress.released;
            if progress.ended {
                self.state = State::Head(HeadSearch::default());
            }
        }
        let kept = self.held.append(&bytes[released..], self.bounds.held_bytes);
        out.set_filled(before + released);
        if let Err(reason) = kept {
            self.overflow(reason)?;
        }
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        loop {
            if self.ready > 0 {
                let count = self.ready.min(out.remaining());
                out.put_slice(&self.held.bytes[..count]);
                self.held.bytes.drain(..count);
                self.ready -= count;
                if self.held.bytes.is_empty() {
                    // A connection that waits for its next request holds no buffer.
                    self.held.release();
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
            let full = matches!(self.state, State::Held) && self.held.bytes.len() >= MAX_HELD_BYTES;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const BOUNDS: Bounds = Bounds {
        head_bytes: 512,
        head_fields: 10,
        head_time: Duration::from_secs(10),
        held_bytes: 1 << 20,
    };

    /// A guard, the line it talks on, and the far end of its socket.
    fn guard() -> (ClientGuard<DuplexStream>, Arc<Line>, DuplexStream) {
        let (near, far) = duplex(64 * 1024);
        let line = Line::new();
        (ClientGuard::new(near, Held::default(), BOUNDS, line.clone()), line, far)
    }

    /// What passes of these bytes, written in pieces of `size`, up to a refusal or their end.
    async fn passed(bytes: &[u8], size: usize) -> (String, Arc<Line>) {
        let (mut guard, line, mut far) = guard();
        let mut out = Vec::new();
        let mut buffer = [0; 100];
        for piece in bytes.chunks(size) {
            far.write_all(piece).await.unwrap();
            // everything that is ready, and no more
            while let Ok(Ok(count)) = tokio::time::timeout(Duration::ZERO, guard.read(&mut buffer)).await {
                out.extend_from_slice(&buffer[..count]);
            }
        }
        (String::from_utf8(out).unwrap(), line)
    }

    const GET: &str = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
    const POST: &str = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str = "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n\
                           5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n";

    #[tokio::test]
    async fn what_is_well_formed_passes_unchanged_however_it_is_cut() {
        let all = [GET, POST, CHUNKED, GET, CHUNKED, POST].concat();
        for size in [1, 2, 3, 7, 50, 1000] {
            let (out, line) = passed(all.as_bytes(), size).await;
            assert_eq!(out, all, "in pieces of {size}");
            let mut heads = 0;
            while let Some(arrived) = line.next() {
                assert!(matches!(arrived, Arrived::Request(_)));
                heads += 1;
            }
            assert_eq!(heads, 6);
        }
        let (out, _) = passed(format!("\r\n{GET}\r\n\r\n{GET}").as_bytes(), 1).await;
        assert_eq!(out, [GET, GET].concat(), "empty lines end here");
    }

    #[tokio::test]
    async fn a_refused_head_is_replaced_and_nothing_behind_it_is_read() {
        let stand_in = std::str::from_utf8(STAND_IN).unwrap();
        let long = format!("GET http://a.example/{} HTTP/1.1\r\n", "a".repeat(600));
        for (bad, reason) in [
            ("GET / HTTP/1.1\r\n\r\n", Reason::BadRequest),
            ("GET http://a.example/ HTTP/1.1\nHost: a\n\n", Reason::BadRequest),
            ("\r\n\r\n\r\n", Reason::BadRequest),
            ("\u{16}\u{3}\u{1}", Reason::NotHttp),
            ("EHLO mail.example\r\n", Reason::NotHttp),
            (&long, Reason::HeadTooLarge),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
                Reason::Framing,
            ),
        ] {
            for size in [1, 5, 2000] {
                let (out, line) = passed(format!("{GET}{bad}{GET}").as_bytes(), size).await;
                assert_eq!(out, [GET, stand_in].concat(), "{bad:?} in pieces of {size}");
                assert!(matches!(line.next(), Some(Arrived::Request(_))));
                let Some(Arrived::Refused { violation, first, .. }) = line.next() else {
                    panic!("{bad:?}")
                };
                assert_eq!((violation.reason, line.next()), (reason, None), "{bad:?}");
                assert!(first == bad.as_bytes()[0], "{bad:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_spoilt_body_ends_where_it_is_spoilt() {
        for (start, bad, end) in [
            ("", "0x5\r\n", "0\r\n\r\n"),
            ("5\r\nhello\r\n", "5 \r\n", "0\r\n\r\n"),
            ("5\r\nhello", "!\r\n", "\r\n0\r\n\r\n"),
            ("0\r\n", "Host: b\r\n\r\n", "\r\n"),
        ] {
            let head = CHUNKED.split_inclusive("\r\n\r\n").next().unwrap();
            for size in [1, 4, 2000] {
                let (out, line) = passed(format!("{head}{start}{bad}{GET}").as_bytes(), size).await;
                assert_eq!(out, [head, start, end].concat(), "{bad:?} in pieces of {size}");
                assert_eq!(line.spoilt().map(|violation| violation.reason), Some(Reason::Framing));
            }
        }
    }

    #[tokio::test]
    async fn what_follows_a_websocket_request_waits_for_its_answer() {
        let ask = "GET http://a.example/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let (out, _) = passed(format!("{ask}{GET}").as_bytes(), 10).await;
        assert_eq!(out, ask);
        let (mut guard, line, mut far) = guard();
        far.write_all(format!("{ask}{GET}").as_bytes()).await.unwrap();
        let mut buffer = vec![0; ask.len()];
        guard.read_exact(&mut buffer).await.unwrap();
        let next = tokio::spawn(async move {
            let mut buffer = vec![0; GET.len()];
            guard.read_exact(&mut buffer).await.unwrap();
            buffer
        });
        tokio::task::yield_now().await;
        line.stays_http();
        assert_eq!(next.await.unwrap(), GET.as_bytes());
    }

    #[tokio::test]
    async fn the_time_of_a_head_starts_with_its_first_byte() {
        let (guard, line, mut far) = guard();
        let head_time = Duration::from_millis(150);
        let mut guard = ClientGuard {
            bounds: Bounds { head_time, ..BOUNDS },
            ..guard
        };
        let mut buffer = [0; 200];
        let silent = tokio::time::timeout(head_time * 2, guard.read(&mut buffer)).await;
        assert!(silent.is_err(), "nothing was sent: nothing is late");
        let started = Instant::now();
        far.write_all(b"GET ").await.unwrap();
        let count = guard.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], STAND_IN);
        assert!(started.elapsed() >= head_time);
        let Some(Arrived::Refused { violation, .. }) = line.next() else {
            panic!()
        };
        assert_eq!(violation.reason, Reason::HeadTimeout);
    }
}
