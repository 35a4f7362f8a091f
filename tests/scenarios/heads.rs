//! The head of a CONNECT: how it is read, how long it may be, how long it may take. What is no HTTP at all.

use crate::world::{World, until};
use egret::lab::client::{Client, Ended, Hello};
use std::time::{Duration, Instant};

const LINE: &str = "CONNECT api.example.com:443 HTTP/1.1\r\n";

/// The slow clients of [`c_42_a_dribbled_head_has_one_time_for_all_of_it`]: the catalogue's thousand, scaled down.
const SLOW_CLIENTS: usize = 100;

/// A CONNECT with this head, line ends included, is answered 200.
async fn passes(world: &World, head: &str) {
    let mut wire = world.client().open().await.unwrap();
    wire.send(head.as_bytes()).await.unwrap();
    let reply = wire.reply("CONNECT").await.unwrap();
    assert_eq!(reply.status, 200, "{:?}: {}", &head[..head.len().min(80)], reply.phrase);
}

#[tokio::test]
async fn c_26_connect_needs_no_host_and_has_at_most_one() {
    let world = World::usual().await;
    for head in [
        "CONNECT api.example.com:443 HTTP/1.0\r\n\r\n",
        "CONNECT api.example.com:443 HTTP/1.1\r\n\r\n",
        "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
    ] {
        passes(&world, head).await;
    }
    let vectors = [
        "Host: api.example.com\r\nHost: api.example.com\r\n",
        "Host: api.example.com\r\nhost: evil.test\r\n",
        "Host: api.example.com, evil.test\r\n",
    ];
    let vectors = vectors.map(|fields| format!("{LINE}{fields}\r\n"));
    world.refuses(vectors, &[400], &["BadRequest"]).await;
}

#[tokio::test]
async fn c_27_c_28_c_29_lines_of_a_connect_can_be_read_in_one_way() {
    let world = World::usual().await;
    let vectors = [
        format!("{LINE}Host : api.example.com\r\n\r\n"),
        format!("{LINE} Host: x\r\n\r\n"),
        format!("{LINE}Host: api.example.com\r\n evil.test\r\n\r\n"),
        format!("{LINE}X: a\r\n\tb\r\n\r\n"),
        format!("{LINE}X: a\rb\r\n\r\n"),
        format!("{LINE}X: a\nb: c\r\n\r\n"),
        format!("{LINE}X: a\r\r\n\r\n"),
        format!("{LINE}X: a\n\n"),
        LINE.replace("\r\n", "\n\n"),
        LINE.replace("\r\n", "\r\r\n\r\n"),
    ];
    world.refuses(vectors, &[400], &["BadRequest"]).await;
}

#[tokio::test]
async fn c_48_c_50_the_request_line_is_method_target_and_version() {
    let world = World::usual().await;
    passes(&world, "CONNECT api.example.com:443 HTTP/1.0\r\n\r\n").await;
    let vectors = [
        "CONNECT api.example.com:443 HTTP/1.2",
        "CONNECT api.example.com:443 HTTP/2.0",
        "CONNECT api.example.com:443 http/1.1",
        "CONNECT api.example.com:443",
        "GET http://evil.test/",
        "connect api.example.com:443 HTTP/1.1",
        "CONNECT\tapi.example.com:443 HTTP/1.1",
        "CONNECT  api.example.com:443 HTTP/1.1",
        "CONNECT api.example.com:443  HTTP/1.1",
        " CONNECT api.example.com:443 HTTP/1.1",
        "CONNECT api.example.com:443 HTTP/1.1 evil.test:443",
    ];
    let vectors = vectors.map(|line| format!("{line}\r\nHost: api.example.com\r\n\r\n"));
    world.refuses(vectors, &[400], &["BadRequest"]).await;
}

#[tokio::test]
async fn c_49_two_empty_lines_before_a_connect_are_forgiven() {
    let world = World::usual().await;
    for lines in [1, 2] {
        passes(&world, &format!("{}{LINE}\r\n", "\r\n".repeat(lines))).await;
    }
    let vectors = [3, 1000].map(|lines| format!("{}{LINE}\r\n", "\r\n".repeat(lines)));
    world.refuses(vectors, &[400], &["BadRequest"]).await;
}

#[tokio::test]
async fn c_41_a_head_over_its_limits_is_refused_before_it_is_whole() {
    let world = World::usual().await;
    let vectors = [
        format!("{LINE}X: {}\r\n\r\n", "a".repeat(64 << 10)),
        format!("{LINE}{}\r\n", "X: 12345\r\n".repeat(10_000)),
        format!("CONNECT {}.example.com:443 HTTP/1.1\r\n\r\n", "a".repeat(64 << 10)),
        // No end ever comes: the limit must not wait for it.
        format!("{LINE}X: {}", "a".repeat(16 << 10)),
    ];
    world.refuses(vectors, &[431], &["HeadTooLarge"]).await;
}

#[tokio::test]
async fn c_41_f_01_the_limits_on_a_head_hold_to_the_byte_and_to_the_field() {
    let world = World::builder()
        .limits("head_bytes = 1024\nhead_fields = 10")
        .start()
        .await;
    let of_bytes = |bytes: usize| {
        format!(
            "{LINE}X: {}\r\n\r\n",
            "a".repeat(bytes - LINE.len() - "X: \r\n\r\n".len())
        )
    };
    let of_fields = |fields: usize| format!("{LINE}{}\r\n", "X: a\r\n".repeat(fields));
    passes(&world, &of_bytes(1024)).await;
    passes(&world, &of_fields(10)).await;
    world
        .refuses([of_bytes(1025), of_fields(11)], &[431], &["HeadTooLarge"])
        .await;
}

/// Sends a byte of a head every 50 ms, until the answer comes: its status, and how long that took.
async fn dribble(client: Client) -> (u16, Duration) {
    let mut wire = client.open().await.unwrap();
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for byte in LINE.bytes().cycle().take(100) {
        tokio::select! {
            reply = wire.reply("CONNECT") => return (reply.unwrap().status, started.elapsed()),
            _ = ticks.tick() => {}
        }
        if wire.send(&[byte]).await.is_err() {
            break;
        }
    }
    (wire.reply("CONNECT").await.unwrap().status, started.elapsed())
}

#[tokio::test]
async fn c_42_a_dribbled_head_has_one_time_for_all_of_it() {
    let world = World::builder().limits("head_seconds = 1").start().await;
    let slow: Vec<_> = (0..SLOW_CLIENTS)
        .map(|_| tokio::spawn(dribble(world.client())))
        .collect();
    until("all slow clients are there", || {
        world.gateway.connections() == SLOW_CLIENTS
    })
    .await;
    let started = Instant::now();
    let reply = world
        .client_at("127.0.1.9")
        .get_https("api.example.com", "/")
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "others are served meanwhile");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    for client in slow {
        let (status, took) = client.await.unwrap();
        assert_eq!(status, 408);
        assert!(
            took < Duration::from_secs(4),
            "the limit is for the whole head: {took:?}"
        );
    }
    assert_eq!(timeouts(&world), SLOW_CLIENTS);
}

fn timeouts(world: &World) -> usize {
    let rows = world.rule_rows();
    rows.iter()
        .filter(|row| row["properties"]["egret"]["reason"] == "HeadTimeout")
        .count()
}

#[tokio::test]
async fn c_43_a_client_that_says_nothing_is_closed_at_the_limit_and_counted() {
    let world = World::builder().limits("head_seconds = 1").start().await;
    let started = Instant::now();
    let mut silent = world.client().open().await.unwrap();
    // Two empty lines are no head either.
    let mut blank = world.client().open().await.unwrap();
    blank.send(b"\r\n\r\n").await.unwrap();
    for wire in [&mut silent, &mut blank] {
        assert_eq!(wire.reply("CONNECT").await.unwrap().status, 408);
        assert_eq!(wire.to_end().await.1, Ended::Closed);
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(timeouts(&world), 2);
    drop((silent, blank));
    until("both flows end", || world.rows("EgretFlow").len() == 2).await;
    for row in world.rows("EgretFlow") {
        assert_eq!(
            (&row["properties"]["Reason"], &row["properties"]["Stage"]),
            (&"HeadTimeout".into(), &"Intent".into())
        );
    }
}

/// A client that goes away before it has said anything was no attempt: one row tells its end.
#[tokio::test]
async fn c_43_a_client_that_leaves_before_its_head_is_no_denial() {
    let world = World::usual().await;
    drop(world.client().open().await.unwrap());
    until("the flow ends", || world.rows("EgretFlow").len() == 1).await;
    assert_eq!(world.rows("EgretFlow")[0]["properties"]["Reason"], "ClientClosed");
    assert_eq!(world.rows("AZFWApplicationRule").len(), 0);
}

#[tokio::test]
async fn c_60_other_protocols_on_the_proxy_port_get_a_400_at_their_first_bytes() {
    let world = World::usual().await;
    let hello = Hello::to("api.example.com").bytes(&world.lab.authority).unwrap();
    let vectors: [(&str, &[u8]); 9] = [
        ("SOCKS4", b"\x04\x01\x01\xbb\xcb\x00\x71\x0a\x00"),
        ("SOCKS4a", b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00api.example.com\x00"),
        ("SOCKS5", b"\x05\x01\x00"),
        ("TLS", &hello),
        ("PROXY protocol v2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"),
        (
            "PROXY protocol v1",
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 443\r\nCONNECT api.example.com:443 HTTP/1.1\r\n\r\n",
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ("a zero", b"\0"),
    ];
    for (what, bytes) in vectors {
        let started = Instant::now();
        world.refuses([bytes], &[400], &["BadRequest"]).await;
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{what}: not at the time limit"
        );
        let row = world.last_row();
        assert_eq!(row["properties"]["Rule"], "", "{what}: nothing was decided by a rule");
        assert_eq!(row["properties"]["Action"], "Deny", "{what}");
    }
    assert_eq!(world.dns().total(), 0);
    until("every connection is counted", || {
        world.rows("EgretFlow").len() == vectors.len()
    })
    .await;
}
