use super::copy::BUFFER_BYTES;
use super::pipes::testing;
use super::*;
use crate::log::FlowId;
use crate::policy::vet::Candidate;
use crate::policy::{Fqdn, Host, Protocol};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const IDLE: Duration = Duration::from_secs(30);

/// Room of a pipe as it is in use.
const PIPE: usize = 1 << 20;

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
    let ((client, mut near_client), (origin, mut near_origin)) = (pair().await, pair().await);
    let name = Fqdn::parse("api.example.com").unwrap();
    let candidate = Candidate {
        ip: "203.0.113.1".parse().unwrap(),
        owner: Some(name.clone()),
        zone: None,
        through_private_link: false,
    };
    let source = "127.0.0.1:9".parse().unwrap();
    let tunnel = Tunnel::new(
        FlowId::next(),
        source,
        Host::Name(name),
        443,
        Some(Protocol::Https),
        candidate,
        1,
    );
    let (entry, passed) = (tunnel.clone(), super::super::gate::open(held.to_vec().into()));
    let relay = tokio::spawn(async move { relay(&mut near_client, &mut near_origin, passed, &entry, idle).await });
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
    let ((mut far, mut source), (mut sink, mut there)) = (pair().await, pair().await);
    far.write_all(&pattern(1000)).await.unwrap();
    far.shutdown().await.unwrap();
    // A little less than 4 GiB have gone through already.
    let mut direction = Direction::after(u64::from(u32::MAX) - 10);
    let done = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, false)).await;
    assert_eq!((done, direction.moved()), (Ok(()), (1 << 32) + 989));
    drop(sink);
    let mut got = Vec::new();
    there.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), 1000);
}

#[tokio::test]
async fn f_04_a_busy_direction_holds_one_buffer_and_an_idle_one_none() {
    testing::budget(0, PIPE);
    const { assert!(2 * BUFFER_BYTES <= 128 * 1024) };
    let ((mut far, mut source), (mut sink, mut there)) = (pair().await, pair().await);
    let writing = tokio::spawn(async move {
        let block = pattern(64 * 1024);
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(200), far.write(&block)).await {}
        far
    });
    let mut direction = Direction::new(Box::new(b"held".to_vec().into()));
    let moving = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, false));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), moving).await.is_err(),
        "nobody reads"
    );
    assert_eq!(direction.buffered(), BUFFER_BYTES);

    let _far = writing.await.unwrap();
    let reading = tokio::spawn(async move { tokio::io::copy(&mut there, &mut tokio::io::sink()).await });
    let idle = poll_fn(|cx| match direction.poll(cx, &mut source, &mut sink, false) {
        Poll::Pending if direction.buffered() == 0 => Poll::Ready(()),
        _ => Poll::Pending,
    });
    tokio::time::timeout(IDLE, idle).await.expect("everything is written");
    reading.abort();
}

/// Bytes through a new tunnel in one direction, the receiver as slow as it likes to be; what arrived.
async fn through(world: &mut World, sent: Vec<u8>, to_client: bool) -> Vec<u8> {
    let (from, to) = match to_client {
        true => (&mut world.origin, &mut world.client),
        false => (&mut world.client, &mut world.origin),
    };
    let mut got = vec![0; sent.len()];
    let (wrote, read) = tokio::join!(from.write_all(&sent), to.read_exact(&mut got));
    wrote.unwrap();
    read.unwrap();
    got
}

#[tokio::test]
async fn bulk_is_spliced_both_ways_byte_for_byte_and_its_pipe_is_given_back() {
    let budget = testing::budget(8, PIPE);
    for to_client in [true, false] {
        let mut world = world(b"", IDLE).await;
        let got = through(&mut world, pattern(8 << 20), to_client).await;
        assert!(got == pattern(8 << 20), "to the client: {to_client}");
        assert!((1..=2).contains(&budget.open()), "{} pipes", budget.open());
        // What comes in small pieces is copied again, and no pipe waits for it.
        let got = through(&mut world, b"a little more".to_vec(), to_client).await;
        assert_eq!(got, b"a little more");
        assert_eq!(testing::pooled(), budget.open(), "an idle tunnel holds no pipe");
        drop((world.client, world.origin));
        let transfer = world.relay.await.unwrap();
        assert_eq!(transfer.sent + transfer.received, (8 << 20) + 13);
    }
    pipes::shrink_pool();
    pipes::shrink_pool();
    assert_eq!(budget.open(), 0, "what is closed has its place back");
}

#[tokio::test]
async fn short_pipes_and_none_at_all_carry_the_same_bytes() {
    for (most, pipe_bytes, refused) in [(8, 4096, false), (1, PIPE, false), (0, PIPE, true)] {
        let budget = testing::budget(most, pipe_bytes);
        let mut world = world(b"", IDLE).await;
        let answer = pattern(4 << 20);
        let (mut origin, mut client) = (world.origin, world.client);
        let echo = tokio::spawn(async move {
            let mut all = vec![0; 4 << 20];
            origin.read_exact(&mut all).await.unwrap();
            origin.write_all(&all).await.unwrap();
            origin
        });
        let mut got = vec![0; answer.len()];
        client.write_all(&answer).await.unwrap();
        client.read_exact(&mut got).await.unwrap();
        assert!(got == answer, "{most} pipes of {pipe_bytes} bytes");
        let exhausted = budget.exhausted.load(Relaxed);
        assert_eq!(exhausted > 0, refused, "{exhausted} times copied for want of a pipe");
        world.origin = echo.await.unwrap();
        world.client = client;
        drop((world.client, world.origin));
        world.relay.await.unwrap();
    }
}

#[tokio::test]
async fn a_pipe_that_the_kernel_refuses_is_counted_and_not_asked_for_at_once_again() {
    // No user may have a pipe of this size: EPERM, or ENOMEM for root (fcntl(2), F_SETPIPE_SZ).
    let budget = testing::budget(8, 1 << 31);
    let mut world = world(b"", IDLE).await;
    let got = through(&mut world, pattern(8 << 20), true).await;
    assert!(got == pattern(8 << 20));
    assert_eq!(
        budget.refused.load(Relaxed),
        1,
        "once, then the thread copies for a while"
    );
    assert_eq!(budget.open(), 0);
}

/// A direction whose pipe holds bytes that its sink does not take.
async fn stuck(byte: u8) -> (Direction, TcpStream, TcpStream, TcpStream, TcpStream) {
    let ((far, mut source), (mut sink, there)) = (pair().await, pair().await);
    socket2::SockRef::from(&far).set_send_buffer_size(128 << 10).unwrap();
    socket2::SockRef::from(&sink).set_send_buffer_size(64 << 10).unwrap();
    socket2::SockRef::from(&there).set_recv_buffer_size(64 << 10).unwrap();
    let block = [byte; 64 << 10];
    let mut direction = Direction::default();
    let full = poll_fn(|cx| {
        while let Ok(1..) = far.try_write(&block) {}
        match direction.poll(cx, &mut source, &mut sink, false) {
            Poll::Pending if direction.in_pipe() > 0 => Poll::Ready(()),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(end) => panic!("{end:?} instead of a full sink"),
        }
    });
    tokio::time::timeout(IDLE, full).await.expect("a sink fills up");
    (direction, far, source, sink, there)
}

#[tokio::test]
async fn r_17_a_pipe_with_bytes_in_it_is_closed_and_never_lent_again() {
    /// Resets with bytes in the pipe. Every one of them would show if its pipe were used again.
    const RESETS: usize = 2000;
    let budget = testing::budget(4, PIPE);
    for round in 0..RESETS {
        let mine = (round % 251) as u8;
        let (mut direction, far, mut source, mut sink, mut there) = stuck(mine).await;
        assert_eq!((budget.open(), testing::pooled()), (1, 0), "this one has the only pipe");
        if round % 8 == 7 {
            // One in eight goes on, with whatever pipe it got: all that arrives is its own.
            drop(far);
            let reading = async {
                let mut got = Vec::new();
                there.read_to_end(&mut got).await.unwrap();
                got
            };
            let moving = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, false));
            let (done, got) = tokio::join!(moving, reading);
            assert_eq!((done, got.len() as u64), (Ok(()), direction.moved()));
            assert!(got.iter().all(|byte| *byte == mine), "a byte of another tunnel");
            pipes::shrink_pool();
            continue;
        }
        reset(&there);
        drop(there);
        let end = poll_fn(|cx| direction.poll(cx, &mut source, &mut sink, false)).await;
        assert_eq!(end, Err(Side::Sink));
        drop(direction);
        assert_eq!((budget.open(), testing::pooled()), (0, 0), "closed, not kept");
    }
}

#[tokio::test]
async fn r_03_a_reset_in_the_middle_of_bulk_is_a_reset_for_the_other_side() {
    testing::budget(8, PIPE);
    for client_resets in [true, false] {
        let mut world = world(b"", IDLE).await;
        let _ = through(&mut world, pattern(4 << 20), !client_resets).await;
        let (gone, mut left) = match client_resets {
            true => (world.client, world.origin),
            false => (world.origin, world.client),
        };
        reset(&gone);
        drop(gone);
        let error = left.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "not a clean end");
        let transfer = world.relay.await.unwrap();
        let (end, bytes) = match client_resets {
            true => (FlowEndKind::ClientReset, transfer.sent),
            false => (FlowEndKind::UpstreamReset, transfer.received),
        };
        assert_eq!((transfer.end, bytes), (end, 4 << 20));
    }
}

#[tokio::test]
async fn r_04_bulk_that_stops_is_idle_after_the_limit_and_not_before() {
    testing::budget(8, PIPE);
    let idle = Duration::from_millis(300);
    let mut world = world(b"", idle).await;
    let _ = through(&mut world, pattern(4 << 20), true).await;
    let since = Instant::now();
    let error = world.client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(since.elapsed() >= idle * 9 / 10, "{:?}", since.elapsed());
    assert_eq!(world.relay.await.unwrap().end, FlowEndKind::Idle);
}

mod interleavings {
    use super::*;
    use proptest::prelude::*;

    /// What one end does next.
    #[derive(Clone, Debug)]
    enum Act {
        /// Up to so many bytes, as the socket takes them.
        Write(usize),
        Read(usize),
        /// Let the relay run.
        Turn,
    }

    fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
        let act = prop_oneof![
            3 => (1..200_000_usize).prop_map(Act::Write),
            3 => (1..200_000_usize).prop_map(Act::Read),
            2 => Just(Act::Turn),
        ];
        proptest::collection::vec((any::<bool>(), act), 1..60)
    }

    /// One end: what it has written and read so far.
    struct End {
        stream: TcpStream,
        /// The first byte of its pattern: the two ends send different bytes.
        first: usize,
        wrote: usize,
        read: usize,
    }

    impl End {
        fn write(&mut self, most: usize) {
            let bytes: Vec<_> = (0..most).map(|n| ((self.first + self.wrote + n) % 251) as u8).collect();
            self.wrote += self.stream.try_write(&bytes).unwrap_or(0);
        }

        fn read(&mut self, most: usize, first: usize) {
            let mut bytes = vec![0; most];
            let read = self.stream.try_read(&mut bytes).unwrap_or(0);
            let right = (0..read).all(|n| bytes[n] == ((first + self.read + n) % 251) as u8);
            assert!(right, "other bytes, or in another order, behind byte {}", self.read);
            self.read += read;
        }
    }

    /// `from` ends, and all that it wrote arrives.
    async fn finish(from: &mut End, to: &mut End) {
        from.stream.shutdown().await.unwrap();
        while to.read < from.wrote {
            to.stream.readable().await.unwrap();
            to.read(1 << 20, from.first);
        }
        assert_eq!(
            to.stream.read(&mut [0; 8]).await.unwrap(),
            0,
            "its end, and no byte more"
        );
    }

    async fn play(acts: Vec<(bool, Act)>) {
        let World {
            client, origin, relay, ..
        } = world(b"", IDLE).await;
        let end = |stream, first| End {
            stream,
            first,
            wrote: 0,
            read: 0,
        };
        let (mut client, mut origin) = (end(client, 0), end(origin, 100));
        for (at_client, act) in acts {
            let (one, first) = if at_client {
                (&mut client, 100)
            } else {
                (&mut origin, 0)
            };
            match act {
                Act::Write(bytes) => one.write(bytes),
                Act::Read(bytes) => one.read(bytes, first),
                Act::Turn => tokio::task::yield_now().await,
            }
        }
        let rest = async {
            finish(&mut client, &mut origin).await;
            finish(&mut origin, &mut client).await;
        };
        tokio::time::timeout(IDLE, rest).await.expect("all bytes arrive");
        let transfer = relay.await.unwrap();
        let counted = (transfer.sent, transfer.received, transfer.end);
        let (sent, received) = (client.wrote as u64, origin.wrote as u64);
        assert_eq!(counted, (sent, received, FlowEndKind::ClientClosed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn in_any_interleaving_each_end_gets_the_others_bytes_in_order(
            acts in acts(),
            pipes in 0..3_usize,
            room in prop_oneof![Just(PIPE), Just(64 << 10), Just(4096)],
        ) {
            testing::budget(pipes, room);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(play(acts));
        }
    }
}

/// Sockets on which bytes wait without end, and sinks that take them all: the far ends are blocking threads of their own.
fn flood(from: TcpStream, to: TcpStream) {
    use std::io::{Read, Write};
    let blocking = |stream: TcpStream| {
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    };
    let (mut from, mut to) = (blocking(from), blocking(to));
    std::thread::spawn(move || while from.write_all(&[7; 64 * 1024]).is_ok() {});
    std::thread::spawn(move || {
        let mut bytes = vec![0; 256 * 1024];
        while to.read(&mut bytes).is_ok_and(|n| n > 0) {}
    });
}

#[tokio::test]
async fn a_new_event_waits_for_no_more_than_a_turn_of_each_bulk_tunnel() {
    const BULK: usize = 4;
    let mut tunnels = Vec::new();
    for _ in 0..BULK {
        let world = world(b"", IDLE).await;
        flood(world.origin, world.client);
        tunnels.push(world.tunnel);
    }
    let moved = || tunnels.iter().map(|tunnel| tunnel.received.load(Relaxed)).sum::<u64>();
    // What is written there has arrived when the call is over; over loopback a busy kernel delivers it later.
    let (mut near, mut far) = tokio::net::UnixStream::pair().unwrap();
    let (mut longest, mut events) = (0, 0);
    let started = std::time::Instant::now();
    while events < 200 || moved() <= 1 << 20 {
        assert!(started.elapsed() < Duration::from_secs(30), "bulk goes on beside it");
        events += 1;
        far.write_all(b"x").await.unwrap();
        let before = moved();
        // A short read: the next one waits for an event.
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 1);
        longest = longest.max(moved() - before);
        // In their midst, not while the first ones of them are on their way.
        tokio::task::yield_now().await;
    }
    // Each may have been about to take its turn, and takes another one if the event comes while it does.
    let most = 2 * BULK as u64 * (direction::BYTES_PER_TURN + PIPE as u64);
    assert!(longest <= most, "{longest} bytes went before one event, {most} at most");
}
