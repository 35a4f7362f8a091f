//! What stands between upstream's socket and hyper: bytes pass only while a response is due, and only if they can be read in
//! one way.

use super::framing::{Framing, section_end};
use super::head;
use super::line::{Line, poll_read_some};
use crate::log::FlowEndKind;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest response head, in bytes. Browsers take 256 KiB; more than this is nobody's ordinary answer.
pub(super) const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// Most fields of a response head.
pub(super) const MAX_RESPONSE_FIELDS: usize = 256;

/// Most interim responses (100 to 199) before a final one.
const MAX_INTERIM_RESPONSES: u8 = 32;

/// What upstream, its guard and the judge tell each other.
#[derive(Debug, Default)]
pub(super) struct Link(Mutex<LinkState>);

#[derive(Debug, Default)]
pub(super) struct LinkState {
    /// A request is on its way.
    pub due: Option<Due>,
    /// What upstream did wrong.
    pub invalid: Option<&'static str>,
    /// The tunnel table told this connection to end.
    pub stopped: Option<FlowEndKind>,
}

/// The response that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub to_head: bool,
    pub websocket: bool,
}

impl Link {
    pub(super) fn state(&self) -> MutexGuard<'_, LinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Upstream's socket as hyper sees it.
pub(super) struct UpstreamGuard<S> {
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
    pub(super) fn new(io: S, link: Arc<Link>, line: Arc<Line>) -> Self {
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
    pub(super) fn into_inner(self) -> (S, Option<Vec<u8>>) {
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
            ready!(poll_read_some(&mut this.io, cx, out))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// What passes of these bytes to a request, written in pieces of `size`; the fault, where there is one.
    async fn passed(bytes: &[u8], size: usize, due: Option<Due>) -> (String, Option<&'static str>) {
        let (near, mut far) = duplex(64 * 1024);
        let link = Arc::new(Link::default());
        link.state().due = due;
        let mut guard = UpstreamGuard::new(near, link.clone(), Line::new());
        let (mut out, mut buffer) = (Vec::new(), [0; 100]);
        for piece in bytes.chunks(size) {
            far.write_all(piece).await.unwrap();
            // everything that is ready, and no more
            while let Ok(Ok(count)) = tokio::time::timeout(std::time::Duration::ZERO, guard.read(&mut buffer)).await {
                out.extend_from_slice(&buffer[..count]);
            }
        }
        let fault = link.state().invalid;
        (String::from_utf8(out).unwrap(), fault)
    }

    const DUE: Due = Due {
        to_head: false,
        websocket: false,
    };

    #[tokio::test]
    async fn one_response_passes_however_it_is_cut_and_a_second_does_not() {
        for (response, to_head) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false),
            (
                "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n",
                false,
            ),
        ] {
            for size in [1, 2, 7, 1000] {
                let due = Some(Due { to_head, ..DUE });
                let (out, fault) = passed(response.as_bytes(), size, due).await;
                assert_eq!((out.as_str(), fault), (response, None), "in pieces of {size}");
                let two = [response, response].concat();
                let (out, fault) = passed(two.as_bytes(), size, due).await;
                let unasked = Some("bytes that no request asked for");
                assert_eq!((out.as_str(), fault), (response, unasked), "in pieces of {size}");
            }
        }
    }

    #[tokio::test]
    async fn what_no_request_asked_for_does_not_pass() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(passed(ok.as_bytes(), 5, None).await.0, "");
        let switch = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(passed(switch.as_bytes(), 5, Some(DUE)).await.0, "");
        let websocket = Some(Due { websocket: true, ..DUE });
        assert_eq!(
            passed(format!("{switch}frames").as_bytes(), 5, websocket).await,
            (switch.to_string(), None)
        );
        let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(usize::from(MAX_INTERIM_RESPONSES) + 1);
        assert!(passed(flood.as_bytes(), 1000, Some(DUE)).await.1.is_some());
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(MAX_RESPONSE_HEAD_BYTES));
        assert!(passed(long.as_bytes(), 10_000, Some(DUE)).await.1.is_some());
    }
}
