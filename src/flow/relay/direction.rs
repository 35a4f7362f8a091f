//! One direction of a tunnel: what it owes its sink, and when it goes from copying to splicing and back.

use super::copy::{self, BUFFER_BYTES, Buffer};
use super::pipes::Pipe;
use super::splice;
use super::turn::{COUNTED_BYTES, Turn};
use crate::flow::held::Held;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// Reads in a row before the thread turns to others, whatever they brought.
const READS_PER_TURN: usize = 16;

// Full reads that are copied count as a turn, the last of them not written yet.
const _: () = assert!(((READS_PER_TURN - 1) * BUFFER_BYTES) as u64 >= COUNTED_BYTES);

/// Reads that fill the buffer, in a row, after which a direction is bulk.
const FULL_READS: u8 = 4;

/// Which end of a direction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Sink,
}

/// Source to sink.
#[derive(Default)]
pub(super) struct Direction {
    owed: Owed,
    moved: u64,
    /// In a row, up to now.
    full_reads: u8,
    end: End,
    turn: Turn,
}

/// What was read and is not written yet. One thing at a time: nothing is read while something is owed, so bytes cannot
/// overtake each other.
#[derive(Default)]
enum Owed {
    #[default]
    Nothing,
    /// From the gate; the first so many bytes are written.
    Held(Box<Held>, usize),
    Buffer(Buffer),
    Pipe(Pipe),
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// The source has ended.
    Seen,
    /// It has, and the sink was told.
    PassedOn,
    /// It has, and so had the other direction: closing tells.
    Last,
}

impl Direction {
    pub(super) fn new(held: Box<Held>) -> Self {
        let owed = if held.bytes.is_empty() {
            Owed::Nothing
        } else {
            Owed::Held(held, 0)
        };
        Self {
            owed,
            ..Self::default()
        }
    }

    /// Bytes written to the sink.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// The source has ended and everything is written.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.end, End::PassedOn | End::Last)
    }

    /// It ended while the other direction went on.
    pub(super) fn passed_end_on(&self) -> bool {
        self.end == End::PassedOn
    }

    /// `Ready(Ok)` when the source has ended, everything is written and the end is passed on. With `last`, the other
    /// direction has ended already, and both sockets are about to be closed: no shutdown(2) is needed to say so.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        last: bool,
    ) -> Poll<Result<(), Side>> {
        if self.has_ended() {
            return Poll::Ready(Ok(()));
        }
        let before = self.moved;
        let polled = self.poll_turn(cx, source, sink, last);
        self.turn.took(self.moved - before);
        polled
    }

    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        last: bool,
    ) -> Poll<Result<(), Side>> {
        let until = self.moved + self.turn.bytes(self.moved);
        for _ in 0..READS_PER_TURN {
            ready!(self.poll_write(cx, sink)).map_err(|_| Side::Sink)?;
            if self.end == End::Seen {
                return Poll::Ready(self.finish(sink, last));
            }
            if self.moved >= until {
                break;
            }
            ready!(self.poll_read(cx, source)).map_err(|_| Side::Source)?;
        }
        step_back(cx);
        Poll::Pending
    }

    /// Ready when nothing is owed.
    fn poll_write(&mut self, cx: &mut Context<'_>, sink: &mut TcpStream) -> Poll<std::io::Result<()>> {
        loop {
            let (written, left) = match &mut self.owed {
                Owed::Nothing => return Poll::Ready(Ok(())),
                Owed::Held(held, at) => {
                    let written = ready!(copy::poll_write(cx, &mut sink.split().1, &held.bytes[*at..]))?;
                    *at += written;
                    (written, held.bytes.len() - *at)
                }
                Owed::Buffer(buffer) => {
                    let written = ready!(copy::poll_write(cx, &mut sink.split().1, buffer.owed()))?;
                    buffer.written(written);
                    (written, buffer.owed().len())
                }
                Owed::Pipe(pipe) => (ready!(splice::poll_drain(cx, sink, pipe))?, pipe.bytes()),
            };
            self.moved += written as u64;
            if left == 0 {
                self.owed = Owed::Nothing;
            }
        }
    }

    /// One read, by the engine that fits what the reads before it brought.
    fn poll_read(&mut self, cx: &mut Context<'_>, source: &mut TcpStream) -> Poll<std::io::Result<()>> {
        if self.full_reads >= FULL_READS {
            if let Some(pipe) = ready!(splice::poll_fill(cx, source))? {
                self.count(pipe.bytes());
                self.owed = Owed::Pipe(pipe);
                return Poll::Ready(Ok(()));
            }
            // A pipe is asked for again after as many full reads.
            self.full_reads = 0;
        }
        let buffer = ready!(Buffer::poll_read(cx, &mut source.split().0))?;
        match buffer.owed().len() {
            0 => self.end = End::Seen,
            bytes => {
                self.count(bytes);
                self.owed = Owed::Buffer(buffer);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn count(&mut self, bytes: usize) {
        self.full_reads = if bytes < BUFFER_BYTES {
            0
        } else {
            self.full_reads.saturating_add(1)
        };
    }

    fn finish(&mut self, sink: &TcpStream, last: bool) -> Result<(), Side> {
        if last {
            self.end = End::Last;
            return Ok(());
        }
        self.end = End::PassedOn;
        match socket2::SockRef::from(sink).shutdown(std::net::Shutdown::Write) {
            Ok(()) => Ok(()),
            // The sink ended by itself: there is nobody to pass the end on to, and its own direction tells how it ended.
            Err(e) if e.kind() == ErrorKind::NotConnected => Ok(()),
            Err(_) => Err(Side::Sink),
        }
    }
}

/// Go on once the thread has seen to everything else, new events included. Woken at once, tunnels with bulk would keep it
/// from its sockets for 61 turns, tokio's `event_interval`: a new connection waited for as many.
pub(crate) fn step_back(cx: &mut Context<'_>) {
    // Its first poll leaves the waker to be woken after the next look for events; there is no second.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

#[cfg(test)]
impl Direction {
    /// One that has moved so many bytes before.
    pub(super) fn after(moved: u64) -> Self {
        Self {
            moved,
            ..Self::default()
        }
    }

    /// Bytes of user space that it holds.
    pub(super) fn buffered(&self) -> usize {
        match &self.owed {
            Owed::Nothing | Owed::Pipe(_) => 0,
            Owed::Held(held, _) => held.bytes.capacity(),
            Owed::Buffer(_) => BUFFER_BYTES,
        }
    }

    /// Bytes that wait in its pipe.
    pub(super) fn in_pipe(&self) -> usize {
        match &self.owed {
            Owed::Pipe(pipe) => pipe.bytes(),
            _ => 0,
        }
    }
}
