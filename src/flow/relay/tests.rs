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
use tokio::time::Instant;

mod bulk;
mod interleavings;

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

fn tunnel() -> Arc<Tunnel> {
    let name = Fqdn::parse("api.example.com").unwrap();
    let candidate = Candidate {
        ip: "203.0.113.1".parse().unwrap(),
        owner: Some(name.clone()),
        zone: None,
        through_private_link: false,
    };
    let source = "127.0.0.1:9".parse().unwrap();
    Tunnel::new(
        FlowId::next(),
        source,
        Host::Name(name),
        443,
        Some(Protocol::Https),
        candidate,
        1,
    )
}

async fn world(held: &[u8], idle: Duration) -> World {
    let ((client, mut near_client), (origin, mut near_origin)) = (pair().await, pair().await);
    let tunnel = tunnel();
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
async fn r_04_a_tunnel_that_began_without_budget_is_idle_in_time_too() {
    let ((mut client, mut near_client), (mut origin, mut near_origin)) = (pair().await, pair().await);
    client.write_all(b"x").await.unwrap();
    near_client.readable().await.unwrap();
    let (entry, passed) = (tunnel(), super::super::gate::open(Vec::new().into()));
    let idle = Duration::from_millis(300);
    let relaying = tokio::spawn(async move {
        let mut relay = pin!(relay(&mut near_client, &mut near_origin, passed, &entry, idle));
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            // Without budget tokio's timer does not note whom to wake; its sockets do not move anything either.
            while polls == 1 && tokio::task::coop::has_budget_remaining() {
                assert!(pin!(tokio::task::coop::consume_budget()).poll(cx).is_ready());
            }
            relay.as_mut().poll(cx)
        })
        .await
    });
    origin.read_exact(&mut [0]).await.unwrap();
    let transfer = tokio::time::timeout(IDLE, relaying)
        .await
        .expect("idle in time")
        .unwrap();
    assert_eq!((transfer.sent, transfer.end), (1, FlowEndKind::Idle));
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
async fn a_relay_that_is_dropped_resets_both_sides() {
    let mut world = world(b"x", IDLE).await;
    world.origin.read_exact(&mut [0]).await.unwrap();
    world.relay.abort();
    for end in [&mut world.client, &mut world.origin] {
        assert_eq!(
            end.read(&mut [0; 8]).await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
    }
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
