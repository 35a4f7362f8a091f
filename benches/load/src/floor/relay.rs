//! The hybrid relay: a pooled 16 KiB copy that turns to splice(2) on bulk, and nothing else. No idle timer, no counts.

use super::pipe::{PIPE_BYTES, Pipe};
use rustix::pipe::{SpliceFlags, splice};
use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// One read while copying, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// Full reads in a row that make a direction bulk.
const FULL_READS: u32 = 4;

/// Buffers that a thread keeps.
const POOLED: usize = 64;

/// Moves of one direction before other tunnels of the thread get their turn.
const MOVES_PER_TURN: u32 = 16;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Relays both ways until both sides have ended. Fails where a socket does.
pub async fn relay(mut client: TcpStream, mut upstream: TcpStream) -> io::Result<()> {
    let (mut up, mut down) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let sent = up.poll(cx, &mut client, &mut upstream, down.ended)?;
        let received = down.poll(cx, &mut upstream, &mut client, up.ended)?;
        match (sent, received) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await
}

/// What is on its way in one direction.
#[derive(Debug, Default)]
enum Load {
    #[default]
    Nothing,
    Buffer {
        bytes: Box<[u8]>,
        from: usize,
        to: usize,
    },
    Pipe {
        pipe: Pipe,
        bytes: usize,
    },
}

#[derive(Debug, Default)]
struct Direction {
    load: Load,
    full_reads: u32,
    /// The source has ended; the sink was told.
    ended: bool,
}

impl Direction {
    /// `Ready` once the source has ended and everything is with the sink.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        other_ended: bool,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..MOVES_PER_TURN {
            ready!(self.poll_out(cx, sink))?;
            if !ready!(self.poll_in(cx, source))? {
                self.ended = true;
                // Closing both sockets says as much where the other direction has ended already.
                return match other_ended {
                    true => Poll::Ready(Ok(())),
                    false => Pin::new(sink).poll_shutdown(cx),
                };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what there is.
    fn poll_out(&mut self, cx: &mut Context<'_>, sink: &mut TcpStream) -> Poll<io::Result<()>> {
        loop {
            match &mut self.load {
                Load::Nothing => return Poll::Ready(Ok(())),
                Load::Buffer { bytes, from, to } => {
                    *from += ready!(Pin::new(&mut *sink).poll_write(cx, &bytes[*from..*to]))?;
                    if from == to {
                        self.put_down();
                    }
                }
                Load::Pipe { pipe, bytes } => {
                    ready!(sink.poll_write_ready(cx))?;
                    let all = *bytes;
                    match sink.try_io(Interest::WRITABLE, || step(&pipe.outlet, &*sink, all)) {
                        Ok(moved) => *bytes -= moved,
                        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                        Err(e) => return Poll::Ready(Err(e)),
                    }
                    if *bytes == 0 {
                        self.put_down();
                    }
                }
            }
        }
    }

    /// Takes up what the source has. False at its end.
    fn poll_in(&mut self, cx: &mut Context<'_>, source: &mut TcpStream) -> Poll<io::Result<bool>> {
        if self.full_reads < FULL_READS {
            self.poll_read(cx, source)
        } else {
            self.poll_splice(cx, source)
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, source: &mut TcpStream) -> Poll<io::Result<bool>> {
        // No buffer for a source that has nothing.
        ready!(source.poll_read_ready(cx))?;
        let mut bytes = take_buffer();
        let mut filled = ReadBuf::new(&mut bytes);
        let polled = Pin::new(source).poll_read(cx, &mut filled);
        let to = filled.filled().len();
        if !matches!(polled, Poll::Ready(Ok(()))) || to == 0 {
            give_back_buffer(bytes);
            return polled.map_ok(|()| false);
        }
        self.full_reads = if to == BUFFER_BYTES { self.full_reads + 1 } else { 0 };
        self.load = Load::Buffer { bytes, from: 0, to };
        Poll::Ready(Ok(true))
    }

    fn poll_splice(&mut self, cx: &mut Context<'_>, source: &mut TcpStream) -> Poll<io::Result<bool>> {
        loop {
            ready!(source.poll_read_ready(cx))?;
            let Ok(pipe) = Pipe::take() else {
                return self.poll_read(cx, source);
            };
            match source.try_io(Interest::READABLE, || step(&*source, &pipe.inlet, PIPE_BYTES)) {
                Ok(0) => {
                    pipe.give_back();
                    return Poll::Ready(Ok(false));
                }
                Ok(bytes) => {
                    if bytes < BUFFER_BYTES {
                        self.full_reads = 0;
                    }
                    self.load = Load::Pipe { pipe, bytes };
                    return Poll::Ready(Ok(true));
                }
                Err(e) => {
                    pipe.give_back();
                    if e.kind() != ErrorKind::WouldBlock {
                        return Poll::Ready(Err(e));
                    }
                }
            }
        }
    }

    fn put_down(&mut self) {
        match mem::take(&mut self.load) {
            Load::Nothing => {}
            Load::Buffer { bytes, .. } => give_back_buffer(bytes),
            Load::Pipe { pipe, .. } => pipe.give_back(),
        }
    }
}

/// One splice(2) of up to `bytes`.
fn step(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, bytes: usize) -> io::Result<usize> {
    Ok(splice(
        from,
        None,
        to,
        None,
        bytes,
        SpliceFlags::MOVE | SpliceFlags::NONBLOCK,
    )?)
}

fn take_buffer() -> Box<[u8]> {
    let pooled = POOL.with_borrow_mut(Vec::pop);
    pooled.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice())
}

fn give_back_buffer(bytes: Box<[u8]>) {
    POOL.with_borrow_mut(|pool| {
        if pool.len() < POOLED {
            pool.push(bytes);
        }
    });
}
