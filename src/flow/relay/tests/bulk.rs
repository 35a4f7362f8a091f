//! Bulk: spliced through pipes that are lent, and no longer at once than others can wait.

use super::*;

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
async fn r_16_what_stands_behind_urgent_data_arrives_also_at_the_end_of_bulk() {
    let budget = testing::budget(8, PIPE);
    let mut world = world(b"", IDLE).await;
    let got = through(&mut world, pattern(8 << 20), true).await;
    assert!(got == pattern(8 << 20) && budget.open() > 0, "it is spliced");
    let urgent = socket2::SockRef::from(&world.origin).send_out_of_band(b"!").unwrap();
    assert_eq!(urgent, 1);
    world.origin.write_all(&pattern(100_000)).await.unwrap();
    drop(world.origin);
    let mut got = Vec::new();
    world.client.read_to_end(&mut got).await.unwrap();
    assert!(got == pattern(100_000), "{} bytes", got.len());
    drop(world.client);
    assert_eq!(world.relay.await.unwrap().received, (8 << 20) + 100_000);
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
    let (mut longest, mut turns, mut events) = (0, 0, 0);
    let started = std::time::Instant::now();
    let sustained = || {
        let moved = |tunnel: &Arc<Tunnel>| tunnel.received.load(Relaxed);
        tunnels.iter().all(|tunnel| moved(tunnel) >= 2 * turn::SUSTAINED_BYTES)
    };
    while events < 200 || !sustained() {
        assert!(started.elapsed() < Duration::from_secs(90), "bulk goes on beside it");
        events += 1;
        far.write_all(b"x").await.unwrap();
        let before = (moved(), turn::taken());
        // A short read: the next one waits for an event.
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 1);
        longest = longest.max(moved() - before.0);
        turns = turns.max(turn::taken() - before.1);
        // In their midst, not while the first ones of them are on their way.
        tokio::task::yield_now().await;
    }
    // Each may have been about to take its turn, and takes another one if the event comes while it does.
    assert!((1..=2 * BULK as u64).contains(&turns), "{turns} turns before one event");
    let most = 2 * BULK as u64 * (turn::MOST_BYTES + PIPE as u64);
    assert!(longest <= most, "{longest} bytes went before one event, {most} at most");
}

#[tokio::test]
async fn a_turn_among_many_others_moves_little() {
    testing::budget(8, PIPE);
    let ((far, mut source), (mut sink, there)) = (pair().await, pair().await);
    flood(far, there);
    let mut direction = Direction::after(turn::SUSTAINED_BYTES);
    let mut others = turn::Turn::default();
    let (mut most, started) = (0, std::time::Instant::now());
    while direction.moved() < 16 * turn::SUSTAINED_BYTES {
        assert!(started.elapsed() < Duration::from_secs(90), "it goes on");
        (0..256).for_each(|_| others.took(turn::LEAST_BYTES));
        let before = direction.moved();
        poll_fn(|cx| Poll::Ready(direction.poll(cx, &mut source, &mut sink, false).is_pending())).await;
        most = most.max(direction.moved() - before);
        tokio::task::yield_now().await;
    }
    let bound = turn::LEAST_BYTES + PIPE as u64;
    assert!(most <= bound, "{most} bytes in a turn, {bound} at most");
}
