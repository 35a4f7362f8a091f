//! The client's side of a connection: whole heads out of what it sends, each within its limits and its time.

use super::framing::{Framing, Violation};
use super::request;
use super::section::section_end;
use crate::config::settings::Limits;
use crate::flow::held::Held;
use crate::policy::Reason;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Empty lines that may stand before a request line (RFC 9112 section 2.2 asks for one at least).
const MAX_EMPTY_LINES: u8 = 2;

/// Bytes that are held of what a client sends before its response has come: requests that follow, or WebSocket frames.
const MAX_AHEAD_BYTES: usize = 16 * 1024;

/// A client that has sent its request may end its side at once, and is owed the response. One that is gone altogether looks
/// the same until something is written to it: this part of the idle limit is as long as it may be silent.
const HALF_CLOSED_SHARE: u32 = 4;

/// What comes of a client's connection while no request is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// A whole head.
    Head(Vec<u8>),
    /// Something that is none, as far as it was read.
    Refused(Violation, Vec<u8>),
    /// The client ended its side.
    Left,
    /// Its socket failed.
    Reset,
    /// Nothing came for the idle limit.
    Idle,
}

/// Why nothing was read.
enum Unread {
    /// The socket failed.
    Failed,
    /// Too many bytes wait to be judged.
    NoRoom(Reason),
}

/// Bounds on what a client may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Longest head, in bytes.
    pub head_bytes: usize,
    /// Most fields of a head.
    pub head_fields: usize,
    /// Time for a head, from its first byte.
    head_time: Duration,
    /// Bytes that all flows together may hold.
    held_bytes: usize,
    /// Time without a byte either way.
    idle: Duration,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            head_bytes: limits.head_bytes,
            head_fields: limits.head_fields,
            head_time: limits.head_time,
            held_bytes: limits.held_bytes,
            idle: limits.idle,
        }
    }
}

/// A client's socket, and what was read from it and belongs to no request yet.
pub(super) struct Client {
    pub stream: TcpStream,
    pub held: Held,
    pub bounds: Bounds,
    search: HeadSearch,
    /// It ended its side: what is held is its last.
    left: bool,
    /// Some of what it sent was dropped.
    lost: Option<Reason>,
    /// When the head at hand must be whole.
    due: Option<Instant>,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

/// How far the bytes at hand were searched for a head.
#[derive(Debug, Default)]
pub(super) struct HeadSearch {
    empty_lines: u8,
    line_checked: bool,
    searched: usize,
}

impl Client {
    /// Over a socket from which `held` was read already.
    pub(super) fn new(stream: TcpStream, held: Held, bounds: Bounds) -> Self {
        let last = Instant::now();
        Self {
            stream,
            held,
            bounds,
            search: HeadSearch::default(),
            left: false,
            lost: None,
            due: None,
            last,
            timer: Box::pin(sleep_until(last + bounds.idle)),
        }
    }

    /// The time for the first head starts now, not at its first byte.
    pub(super) fn hurried(mut self) -> Self {
        self.due = Some(self.last + self.bounds.head_time);
        self
    }

    /// Whether it has ended its side, and asks nothing more.
    pub(super) fn has_left(&self) -> bool {
        self.left && self.held.bytes.is_empty()
    }

    /// Whether it has ended its side.
    pub(super) fn is_silent(&self) -> bool {
        self.left
    }

    /// Something moved, on whatever side.
    pub(super) fn moved(&mut self) {
        self.last = Instant::now();
    }

    /// The next head, or what comes instead.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Arrived> {
        if let Some(reason) = self.lost {
            return Poll::Ready(self.crowded(reason));
        }
        loop {
            match self.search.find(&mut self.held.bytes, self.bounds.head_bytes) {
                Ok(Some(end)) => return Poll::Ready(Arrived::Head(self.take(end))),
                Ok(None) if self.left => return Poll::Ready(Arrived::Left),
                Ok(None) => {}
                Err(violation) => return Poll::Ready(self.refused(violation)),
            }
            match self.poll_read(cx, self.bounds.head_bytes) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Unread::Failed)) => return Poll::Ready(Arrived::Reset),
                Poll::Ready(Err(Unread::NoRoom(reason))) => return Poll::Ready(self.crowded(reason)),
                Poll::Pending => return self.poll_late(cx),
            }
        }
    }

    /// Reads ahead while a request is under way, which tells when the client is gone: `Ready` when its socket has failed.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.left && self.held.bytes.len() < MAX_AHEAD_BYTES {
            match ready!(self.poll_read(cx, MAX_AHEAD_BYTES)) {
                Err(Unread::Failed) => return Poll::Ready(()),
                // It stays in the socket, and is told so when its turn comes.
                Err(Unread::NoRoom(_)) => return Poll::Pending,
                Ok(()) => {}
            }
        }
        Poll::Pending
    }

    /// `Ready` when nothing has moved for `idle` while a request is under way.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>, idle: Duration) -> Poll<()> {
        let share = if self.left { HALF_CLOSED_SHARE } else { 1 };
        self.poll_until(cx, self.last + idle / share)
    }

    /// One read behind what is held.
    fn poll_read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<(), Unread>> {
        if self.held.bytes.is_empty() {
            // A connection that waits for its next request holds no buffer.
            self.held.release();
        }
        let read = ready!(self.held.poll_read(cx, &mut self.stream, most, self.bounds.held_bytes));
        let count = match read {
            Err(reason) => return Poll::Ready(Err(Unread::NoRoom(reason))),
            Ok(Err(_)) => return Poll::Ready(Err(Unread::Failed)),
            Ok(Ok(count)) => count,
        };
        self.moved();
        self.left = count == 0;
        Poll::Ready(Ok(()))
    }

    /// Whether the head at hand has taken too long, or its first byte has. A head's time starts with its first byte.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Arrived> {
        if self.due.is_none() && !self.held.bytes.is_empty() {
            self.due = Some(Instant::now() + self.bounds.head_time);
        }
        let Some(due) = self.due else {
            return self.poll_idle(cx, self.bounds.idle).map(|()| Arrived::Idle);
        };
        ready!(self.poll_until(cx, due));
        Poll::Ready(self.refused(Violation {
            reason: Reason::HeadTimeout,
            what: "a request head that took too long",
        }))
    }

    /// One timer a connection, moved on only when it fires or comes too late: arming it at every request would cost more
    /// than the request's own work.
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    fn take(&mut self, end: usize) -> Vec<u8> {
        self.search = HeadSearch::default();
        self.due = None;
        let rest = self.held.bytes.split_off(end);
        std::mem::replace(&mut self.held.bytes, rest)
    }

    /// What was read of the body of the request at hand, where it has one.
    pub(super) fn take_body(&mut self, body: &Framing) -> Vec<u8> {
        match *body {
            Framing::NONE => Vec::new(),
            _ => std::mem::take(&mut self.held.bytes),
        }
    }

    /// What was read behind that body. Where there is no room for it, it is lost, and nothing behind it may be read as if it
    /// were not.
    pub(super) fn give_back(&mut self, rest: Vec<u8>) {
        if !rest.is_empty() {
            self.lost = self.held.put_back(rest, self.bounds.held_bytes).err();
        }
    }

    fn crowded(&mut self, reason: Reason) -> Arrived {
        let what = "more bytes that wait than the limit";
        self.refused(Violation { reason, what })
    }

    fn refused(&mut self, violation: Violation) -> Arrived {
        Arrived::Refused(violation, std::mem::take(&mut self.held.bytes))
    }
}

impl HeadSearch {
    /// Where the head at the start of these bytes ends, once it is whole. Empty lines before it are taken away.
    pub(super) fn find(&mut self, bytes: &mut Vec<u8>, most: usize) -> Result<Option<usize>, Violation> {
        while bytes.starts_with(b"\r\n") {
            if self.empty_lines == MAX_EMPTY_LINES {
                return Err(Violation::bad_request("more than two empty lines before a request"));
            }
            self.empty_lines += 1;
            bytes.drain(..2);
        }
        if matches!(bytes[..], [] | [b'\r']) {
            return Ok(None);
        }
        if !request::may_start(bytes) {
            return Err(Violation::not_http());
        }
        let end = section_end(bytes, &mut self.searched)
            .map_err(|()| Violation::bad_request("a line that ends in a bare line feed"))?;
        if end.is_none()
            && !self.line_checked
            && let Some(feed) = bytes.iter().position(|byte| *byte == b'\n')
        {
            // What is no request at all is not waited for.
            request::request_line(&bytes[..feed.saturating_sub(1)])?;
            self.line_checked = true;
        }
        if end.unwrap_or(bytes.len()) > most {
            return Err(Violation {
                reason: Reason::HeadTooLarge,
                what: "a request head beyond its limit",
            });
        }
        Ok(end)
    }
}
