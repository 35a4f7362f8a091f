//! The relay: bytes both ways between a client and its upstream until both have ended.
//!
//! In: two sockets, the bytes that the gate held, and the tunnel's entry. Out: a [`Transfer`]. One function, so that
//! another engine (splice, io_uring) can take its place.
//!
//! A tunnel holds no buffer while it is idle: a direction borrows one from a pool of its thread when its source is
//! readable and gives it back when everything in it is written (measured: copying with held buffers cost 19.8 KB a tunnel).

use super::gate::Passed;
use super::held::Held;
use super::tunnels::Tunnel;
use crate::log::FlowEndKind;
use std::cell::RefCell;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// One read, in bytes. 16 KiB is one full TLS record and was level with 64 KiB for anything but bulk.
const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers that a thread keeps for the next tunnel; more are given back to the allocator.
const POOLED_BUFFERS: usize = 64;

/// Reads in a row before other tunnels of the thread get their turn.
const READS_PER_TURN: usize = 16;

/// How a relay ended, and what it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Bytes to upstream.
    pub sent: u64,
    /// Bytes to the client.
    pub received: u64,
    /// How it ended.
    pub end: FlowEndKind,
}

/// Relay until both sides have ended, one was reset, nothing moved for `idle`, or the tunnel was told to stop.
///
/// Half-close is kept: the end of one direction is passed on and the other goes on (RFC 9293 section 3.6). A reset is passed
/// on as a reset; so are idleness, as Azure Firewall does it after 4 minutes, and revocation, so that no peer takes them
/// for a complete answer.
pub(crate) async fn relay(
    client: TcpStream,
    upstream: TcpStream,
    passed: Passed,
    tunnel: &Tunnel,
    idle: Duration,
) -> Transfer {
    let mut sent = Direction::new(passed.into_held());
    let mut received = Direction::new(Held::default());
    let cut = {
        let mut stopped = pin!(tunnel.stopped());
        let mut last = Instant::now();
        let mut timer = pin!(sleep_until(last + idle));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(end) = stopped.as_mut().poll(cx) {
                return Poll::Ready(Some(end));
            }
            let before = sent.moved + received.moved;
            let up = sent.poll(cx, &client, &upstream);
            let down = received.poll(cx, &upstream, &client);
            if sent.moved + received.moved != before {
                last = Instant::now();
                tunnel.sent.store(sent.moved, Relaxed);
                tunnel.received.store(received.moved, Relaxed);
            }
            match (up, down) {
                (Poll::Ready(Err(Side::Source)), _) | (_, Poll::Ready(Err(Side::Sink))) => {
                    Poll::Ready(Some(FlowEndKind::ClientReset))
                }
                (Poll::Ready(Err(Side::Sink)), _) | (_, Poll::Ready(Err(Side::Source))) => {
                    Poll::Ready(Some(FlowEndKind::UpstreamReset))
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(None),
                _ => poll_idle(cx, timer.as_mut(), last + idle).map(|()| Some(FlowEndKind::Idle)),
            }
        })
        .await
    };
    let end = match cut {
        None if sent.ended_first(&received) => FlowEndKind::ClientClosed,
        None => FlowEndKind::UpstreamClosed,
        Some(end) => {
            reset(&client);
            reset(&upstream);
            end
        }
    };
    Transfer {
        sent: sent.moved,
        received: received.moved,
        end,
    }
}

/// Close with RST instead of FIN when the socket is dropped.
pub(crate) fn reset(stream: &TcpStream) {
    // Fails only on a socket that is gone already.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Which end of a direction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Sink,
}

/// One direction: source to sink.
struct Direction {
    buffer: Option<Buffer>,
    held: Held,
    start: usize,
    end: usize,
    moved: u64,
    source_ended: bool,
    finished: Option<Instant>,
}

impl Direction {
    fn new(held: Held) -> Self {
        Self {
            end: held.bytes.len(),
            held,
            buffer: None,
            start: 0,
            moved: 0,
            source_ended: false,
            finished: None,
        }
    }

    fn ended_first(&self, other: &Self) -> bool {
        self.finished <= other.finished
    }

    /// `Ready(Ok)` when the source has ended, everything is written and the end is passed on.
    fn poll(&mut self, cx: &mut Context<'_>, source: &TcpStream, sink: &TcpStream) -> Poll<Result<(), Side>> {
        if self.finished.is_some() {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..READS_PER_TURN {
            ready!(self.poll_write(cx, sink))?;
            if self.source_ended {
                return self.finish(sink);
            }
            ready!(self.poll_read(cx, source))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, sink: &TcpStream) -> Poll<Result<(), Side>> {
        while self.start < self.end {
            let bytes = match &self.buffer {
                Some(buffer) => &buffer.0[self.start..self.end],
                None => &self.held.bytes[self.start..self.end],
            };
            match sink.try_write(bytes) {
                Ok(0) => return Poll::Ready(Err(Side::Sink)),
                Ok(n) => {
                    self.start += n;
                    self.moved += n as u64;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    ready!(sink.poll_write_ready(cx)).map_err(|_| Side::Sink)?;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(Err(Side::Sink)),
            }
        }
        if !self.held.bytes.is_empty() {
            self.held = Held::default();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, source: &TcpStream) -> Poll<Result<(), Side>> {
        loop {
            match source.poll_read_ready(cx) {
                Poll::Pending => {
                    self.buffer = None;
                    return Poll::Pending;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Side::Source)),
                Poll::Ready(Ok(())) => {}
            }
            let buffer = self.buffer.get_or_insert_with(Buffer::borrow);
            match source.try_read(&mut buffer.0) {
                Ok(0) => {
                    self.source_ended = true;
                    self.buffer = None;
                    (self.start, self.end) = (0, 0);
                    return Poll::Ready(Ok(()));
                }
                Ok(n) => {
                    (self.start, self.end) = (0, n);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Poll::Ready(Err(Side::Source)),
            }
        }
    }

    fn finish(&mut self, sink: &TcpStream) -> Poll<Result<(), Side>> {
        self.finished = Some(Instant::now());
        match socket2::SockRef::from(sink).shutdown(std::net::Shutdown::Write) {
            Ok(()) => Poll::Ready(Ok(())),
            // The sink ended by itself: there is nobody to pass the end on to, and its own direction tells how it ended.
            Err(e) if e.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(Side::Sink)),
        }
    }
}

/// One timer a tunnel, moved on only when it fires: re-arming it at every read would cost more than the read's own work.
fn poll_idle(cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>, deadline: Instant) -> Poll<()> {
    loop {
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}

/// A buffer on loan from the pool of its thread.
struct Buffer(Box<[u8]>);

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

impl Buffer {
    fn borrow() -> Self {
        let pooled = POOL.with_borrow_mut(Vec::pop);
        Self(pooled.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice()))
    }
}

/// Gives half of the buffers that this thread keeps back to the allocator. Called now and then: those of a crowd are gone
/// soon, and a few stay warm.
pub(crate) fn shrink_pool() {
    POOL.with_borrow_mut(|pool| drop(pool.drain(..pool.len() / 2)));
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // While a thread ends, its pool may be gone before its tunnels are.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_BUFFERS {
                pool.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::FlowId;
    use crate::policy::vet::Candidate;
    use crate::policy::{Fqdn, Protocol};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    const IDLE: Duration = Duration::from_secs(30);

    /// A relay between two socket pairs: the far ends of both, and its outcome.
    struct World {
        client: TcpStream,
        origin: TcpStream,
        tunnel: Arc<Tunnel>,
        relay: JoinHandle<Transfer>,
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (far, listener.accept().await.unwrap().0)
    }

    async fn world(held: &[u8], idle: Duration) -> World {
        let ((client, near_client), (origin, near_origin)) = (pair().await, pair().await);
        let name = Fqdn::parse("api.example.com").unwrap();
        let candidate = Candidate {
            ip: "203.0.113.1".parse().unwrap(),
            owner: name.clone(),
            zone: None,
            through_private_link: false,
        };
        let source = "127.0.0.1:9".parse().unwrap();
        let tunnel = Tunnel::new(FlowId::next(), source, name, 443, Protocol::Https, candidate, 1);
        let (entry, passed) = (tunnel.clone(), super::super::gate::open(held.to_vec().into()));
        let relay = tokio::spawn(async move { relay(near_client, near_origin, passed, &entry, idle).await });
        World {
            client,
            origin,
            tunnel,
            relay,
        }
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_the_gate_held_comes_first_and_is_counted() {
        let mut world = world(b"hello", IDLE).await;
        world.client.write_all(b" world").await.unwrap();
        world.client.shutdown().await.unwrap();
        let mut got = Vec::new();
        world.origin.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"hello world");
        drop(world.origin);
        let transfer = world.relay.await.unwrap();
        assert_eq!(
            (transfer.sent, transfer.received, transfer.end),
            (11, 0, FlowEndKind::ClientClosed)
        );
    }

    #[tokio::test]
    async fn r_01_a_client_that_half_closes_still_gets_the_whole_answer() {
        let mut world = world(b"", IDLE).await;
        world.client.shutdown().await.unwrap();
        assert_eq!(world.origin.read(&mut [0; 8]).await.unwrap(), 0, "the end is passed on");
        let answer = pattern(10 << 20);
        let sent = answer.clone();
        let origin = tokio::spawn(async move { world.origin.write_all(&sent).await });
        let mut got = Vec::new();
        world.client.read_to_end(&mut got).await.unwrap();
        origin.await.unwrap().unwrap();
        assert!(got == answer, "10 MiB, byte for byte");
        assert_eq!(world.relay.await.unwrap().received, 10 << 20);
    }

    #[tokio::test]
    async fn r_02_an_origin_that_half_closes_still_gets_what_the_client_sends() {
        let mut world = world(b"", IDLE).await;
        world.origin.shutdown().await.unwrap();
        assert_eq!(world.client.read(&mut [0; 8]).await.unwrap(), 0);
        world.client.write_all(&pattern(1 << 20)).await.unwrap();
        world.client.shutdown().await.unwrap();
        let mut got = Vec::new();
        world.origin.read_to_end(&mut got).await.unwrap();
        assert!(got == pattern(1 << 20));
        assert_eq!(world.relay.await.unwrap().end, FlowEndKind::UpstreamClosed);
    }

    #[tokio::test]
    async fn r_03_a_reset_of_either_side_is_a_reset_for_the_other() {
        for client_resets in [true, false] {
            let mut world = world(b"x", IDLE).await;
            world.origin.read_exact(&mut [0]).await.unwrap();
            let (gone, mut left) = if client_resets {
                (world.client, world.origin)
            } else {
                (world.origin, world.client)
            };
            reset(&gone);
            drop(gone);
            let error = left.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "not a clean end");
            let expected = if client_resets {
                FlowEndKind::ClientReset
            } else {
                FlowEndKind::UpstreamReset
            };
            assert_eq!(world.relay.await.unwrap().end, expected);
        }
    }

    #[tokio::test]
    async fn r_04_an_idle_tunnel_is_reset_on_both_sides_and_one_byte_keeps_it() {
        let idle = Duration::from_millis(400);
        let mut world = world(b"", idle).await;
        let started = Instant::now();
        for _ in 0..4 {
            tokio::time::sleep(idle * 3 / 5).await;
            world.client.write_all(b"x").await.unwrap();
            world.origin.read_exact(&mut [0]).await.unwrap();
        }
        let (client, origin) = tokio::join!(
            async { world.client.read(&mut [0; 8]).await.unwrap_err().kind() },
            async { world.origin.read(&mut [0; 8]).await.unwrap_err().kind() },
        );
        assert_eq!(
            (client, origin),
            (ErrorKind::ConnectionReset, ErrorKind::ConnectionReset)
        );
        assert!(
            started.elapsed() >= idle * 12 / 5 + idle,
            "each byte started the limit anew"
        );
        assert_eq!(world.relay.await.unwrap().end, FlowEndKind::Idle);
    }

    #[tokio::test]
    async fn r_05_a_client_that_does_not_read_stops_its_origin() {
        let mut world = world(b"", IDLE).await;
        let block = pattern(64 * 1024);
        let mut written = 0;
        // The kernel's buffers fill; the relay must not read on into its own memory.
        while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_millis(500), world.origin.write(&block)).await {
            written += n;
            assert!(written < 64 << 20, "64 MiB went nowhere: nothing holds the origin back");
        }
        let mut got = vec![0; written];
        world.client.read_exact(&mut got).await.unwrap();
        drop((world.origin, world.client));
        assert_eq!(world.relay.await.unwrap().received, written as u64);
    }

    #[tokio::test]
    async fn a_tunnel_told_to_stop_stops_while_it_is_idle() {
        let tunnels = super::super::tunnels::Tunnels::new();
        let mut world = world(b"", IDLE).await;
        let _entry = tunnels.register(world.tunnel.clone());
        assert_eq!(tunnels.drain(), 1);
        assert_eq!(
            world.client.read(&mut [0; 8]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(world.relay.await.unwrap().end, FlowEndKind::Drained);
    }

    #[tokio::test]
    async fn r_15_bytes_are_counted_beyond_32_bits() {
        let ((mut far, source), (sink, mut there)) = (pair().await, pair().await);
        far.write_all(&pattern(1000)).await.unwrap();
        far.shutdown().await.unwrap();
        let mut direction = Direction::new(Held::default());
        // As if a little less than 4 GiB had gone through already.
        direction.moved = u64::from(u32::MAX) - 10;
        let done = std::future::poll_fn(|cx| direction.poll(cx, &source, &sink)).await;
        assert_eq!((done, direction.moved), (Ok(()), (1 << 32) + 989));
        drop(sink);
        let mut got = Vec::new();
        there.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), 1000);
    }

    #[tokio::test]
    async fn f_04_a_busy_direction_holds_one_buffer_and_an_idle_one_none() {
        const { assert!(2 * BUFFER_BYTES <= 128 * 1024) };
        let ((mut far, source), (sink, mut there)) = (pair().await, pair().await);
        let writing = tokio::spawn(async move {
            let block = pattern(64 * 1024);
            while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(200), far.write(&block)).await {}
            far
        });
        let mut direction = Direction::new(b"held".to_vec().into());
        let moving = std::future::poll_fn(|cx| direction.poll(cx, &source, &sink));
        assert!(
            tokio::time::timeout(Duration::from_secs(1), moving).await.is_err(),
            "nobody reads"
        );
        let held = direction.buffer.as_ref().map(|buffer| buffer.0.len());
        assert_eq!((held, direction.held.bytes.capacity()), (Some(BUFFER_BYTES), 0));

        let _far = writing.await.unwrap();
        let reading = tokio::spawn(async move { tokio::io::copy(&mut there, &mut tokio::io::sink()).await });
        let idle = std::future::poll_fn(|cx| match direction.poll(cx, &source, &sink) {
            Poll::Pending if direction.buffer.is_none() => Poll::Ready(()),
            _ => Poll::Pending,
        });
        tokio::time::timeout(IDLE, idle).await.expect("everything is written");
        reading.abort();
    }
}
