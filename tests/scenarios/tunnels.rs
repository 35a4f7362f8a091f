//! Tunnels: how they open when the far end does not help, what passes through them, how they end.

use crate::far::{BlackHole, Origin, nobody};
use crate::sink::Sink;
use crate::world::{World, until};
use egret::lab::client::{Ended, Hello};
use egret::lab::dns::Behaviour;
use socket2::SockRef;
use std::time::{Duration, Instant};

fn target(label: &str) -> String {
    format!("{label}.openai.example.com:443")
}

#[tokio::test]
async fn r_08_a_far_end_that_leads_nowhere_is_a_504_at_the_limit() {
    let hole = BlackHole::start();
    let world = World::builder()
        .leads("hole", hole.address)
        .limits("connect_seconds = 1")
        .start()
        .await;
    let started = Instant::now();
    let refused = world.client().connect(&target("hole")).await.unwrap();
    let took = started.elapsed();
    assert_eq!(refused.status(), 504, "{}", refused.phrase());
    assert!(refused.phrase().contains("UpstreamTimeout"), "{}", refused.phrase());
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(4),
        "{took:?}"
    );
    assert_eq!(world.last_reason(), "UpstreamTimeout");
    assert_eq!(world.last_row()["properties"]["Action"], "Allow", "the rule allowed it");
}

#[tokio::test]
async fn r_09_what_the_kernel_says_of_a_far_end_is_a_502_with_its_cause() {
    // TCP to the broadcast address of loopback: the kernel has no way there and sends nothing.
    let nowhere = "127.255.255.255:9".parse().unwrap();
    let world = World::builder()
        .leads("refused", nobody())
        .leads("nowhere", nowhere)
        .start()
        .await;
    for (label, reason, cause) in [
        ("refused", "UpstreamRefused", "refused"),
        ("nowhere", "UpstreamUnreachable", "unreachable"),
    ] {
        let refused = world.client().connect(&target(label)).await.unwrap();
        assert_eq!(refused.status(), 502, "{}", refused.phrase());
        assert!(refused.phrase().contains(reason), "{}", refused.phrase());
        assert_eq!(world.last_reason(), reason);
        let detail = world.last_row()["properties"]["egret"]["detail"].to_string();
        assert!(detail.contains(cause), "{detail}");
    }
}

#[tokio::test]
async fn r_09_an_address_that_was_refused_is_no_fallback() {
    let sink = Sink::start().await;
    let world = World::builder()
        .config(&sink.instead_of(&["169.254.169.254/32"]))
        .leads("mixed", nobody())
        .record("mixed.openai.example.com A 169.254.169.254")
        .start()
        .await;
    let refused = world.client().connect(&target("mixed")).await.unwrap();
    assert_eq!(refused.status(), 502, "{}", refused.phrase());
    assert_eq!(sink.dials().await, 0, "not even after the only other one failed");
}

#[tokio::test]
async fn r_14_the_200_comes_before_anything_that_the_origin_says() {
    let banner = Sink::that_says(b"220 at your service\r\n").await;
    let world = World::builder().leads("banner", banner.address).start().await;
    let hello = Hello::to("banner.openai.example.com")
        .bytes(&world.lab.authority)
        .unwrap();
    // Both sides speak at once: the hello comes with the CONNECT, the banner with the connection.
    let head = format!("CONNECT {} HTTP/1.1\r\n\r\n", target("banner"));
    let mut wire = world.client().open().await.unwrap();
    wire.send(&[head.as_bytes(), &hello].concat()).await.unwrap();
    let all = wire.take(39 + 21).await.unwrap();
    assert_eq!(
        all.escape_ascii().to_string(),
        "HTTP/1.1 200 Connection established\\r\\n\\r\\n220 at your service\\r\\n"
    );
    until("the hello arrives whole", || banner.heard() == [hello.clone()]).await;
}

#[tokio::test]
async fn r_16_a_zero_window_stalls_nobody_else_and_ends_at_the_idle_limit() {
    let (flood, echo) = (Origin::flood().await, Origin::echo().await);
    let world = World::builder()
        .leads("flood", flood.address)
        .leads("echo", echo.address)
        .limits("idle_seconds = 1")
        .start()
        .await;
    let (deaf, _) = world.passed(&world.client(), "flood").await;
    let mut lively = world.echoing(&world.client(), "echo").await;
    let started = Instant::now();
    while world.find_end(&deaf).is_none() {
        assert!(started.elapsed() < Duration::from_secs(10), "the deaf one stays");
        lively.send(b"still here").await.unwrap();
        assert_eq!(lively.take(10).await.unwrap(), b"still here");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.find_end(&deaf).unwrap()["properties"]["End"], "Idle");
}

#[tokio::test]
async fn r_16_urgent_data_stalls_nothing() {
    let echo = Origin::echo().await;
    let world = World::builder().leads("echo", echo.address).start().await;
    let mut wire = world.echoing(&world.client(), "echo").await;
    SockRef::from(wire.stream()).send_out_of_band(b"!").unwrap();
    wire.send(b"in line").await.unwrap();
    assert_eq!(wire.take(7).await.unwrap(), b"in line");
}

#[tokio::test]
async fn r_18_the_second_family_gets_its_turn_when_the_first_is_silent() {
    let (hole, sink) = (BlackHole::start(), Sink::start().await);
    let at = |from: &str, to| format!("[[dial.override]]\nfrom = \"{from}:*\"\nto = \"{to}\"");
    let world = World::builder()
        .config(&at("2001:db8::66", hole.address))
        .config(&at("203.0.113.77/32", sink.address))
        .config(&at("::1/128", nobody()))
        .record("two.openai.example.com AAAA 2001:db8::66")
        .record("two.openai.example.com AAAA ::1")
        .record("two.openai.example.com A 203.0.113.77")
        .start()
        .await;
    let started = Instant::now();
    let (wire, _) = world.passed(&world.client(), "two").await;
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(250),
        "the first family had its head start: {took:?}"
    );
    assert!(took < Duration::from_millis(1500), "{took:?}");
    until("its row", || world.find_row(&wire).is_some()).await;
    let row = world.row_of(&wire);
    assert_eq!(row["properties"]["egret"]["address"], "203.0.113.77");
    assert_eq!(row["properties"]["egret"]["refused"][0], "::1", "never dialled");
}

#[tokio::test]
async fn r_23_families_mix_and_a_source_has_one_form() {
    let echo6 = Origin::serving("[::1]:0", |mut stream| async move {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let echo4 = Origin::echo().await;
    let world = World::builder()
        .listen(&["127.0.0.1:0", "[::1]:0"])
        .leads("six", echo6.address)
        .leads("four", echo4.address)
        .start()
        .await;
    for (proxy, label, source) in [(0, "six", "127.0.0.1"), (1, "four", "::1"), (1, "six", "::1")] {
        let client = world.client_through(proxy, source);
        let wire = world.echoing(&client, label).await;
        let row = world.row_of(&wire);
        assert_eq!(row["properties"]["SourceIp"], source, "{label}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_the_lookup_leaves_nothing_behind() {
    let world = World::builder().start().await;
    world.dns().behave("silent.openai.example.com", Behaviour::Silent);
    let mut wire = world.client().open().await.unwrap();
    wire.send(format!("CONNECT {} HTTP/1.1\r\n\r\n", target("silent")).as_bytes())
        .await
        .unwrap();
    until("the lookup starts", || {
        world.dns().queries("silent.openai.example.com") > 0
    })
    .await;
    assert_eq!(world.gateway.connections(), 1);
    let (left, local) = (Instant::now(), wire.local().port());
    drop(wire);
    until("the flow ends", || world.gateway.connections() == 0).await;
    assert!(left.elapsed() < Duration::from_secs(2), "not at the end of the lookup");
    let ends = world.rows("EgretFlow");
    let end = ends
        .iter()
        .find(|row| row["properties"]["SourcePort"] == local)
        .unwrap();
    assert_eq!(
        [
            &end["properties"]["End"],
            &end["properties"]["Stage"],
            &end["properties"]["Reason"]
        ],
        ["ClientClosed", "Resolve", "ClientClosed"]
    );
    assert!(
        world.rows("AZFWApplicationRule").is_empty(),
        "nothing was decided that anybody saw"
    );
}

#[tokio::test]
async fn a_client_that_leaves_during_the_dial_gives_its_place_back() {
    let hole = BlackHole::start();
    let echo = Origin::echo().await;
    let world = World::builder()
        .leads("hole", hole.address)
        .leads("echo", echo.address)
        .limits("dials = 1")
        .start()
        .await;
    let mut wire = world.client().open().await.unwrap();
    wire.send(format!("CONNECT {} HTTP/1.1\r\n\r\n", target("hole")).as_bytes())
        .await
        .unwrap();
    world.shows("egret_dials_pending 1").await;
    let refused = world.client().connect(&target("echo")).await.unwrap();
    assert_eq!(refused.status(), 503, "the one place is taken: {}", refused.phrase());
    let local = wire.local().port();
    drop(wire);
    until("the flow ends", || {
        let ends = world.rows("EgretFlow");
        ends.iter().any(|row| {
            row["properties"]["SourcePort"] == local
                && row["properties"]["Stage"] == "Connect"
                && row["properties"]["End"] == "ClientClosed"
        })
    })
    .await;
    let connected = world.client().connect(&target("echo")).await.unwrap();
    assert_eq!(connected.status(), 200, "its place is free: {}", connected.phrase());
}

#[tokio::test]
async fn a_far_end_that_closes_before_the_hello_ends_the_tunnel_in_order_or_by_a_reset() {
    let closes = Origin::serving("127.0.0.1:0", |stream| async move { drop(stream) }).await;
    let world = World::builder().leads("closes", closes.address).start().await;
    let (mut wire, _) = world.passed(&world.client(), "closes").await;
    let (rest, ended) = wire.to_end().await;
    assert!(rest.is_empty());
    assert!(matches!(ended, Ended::Closed | Ended::Reset), "{ended:?}");
    drop(wire);
    until("the flow ends", || world.gateway.connections() == 0).await;
    let end = world.rows("EgretFlow").pop().unwrap();
    let kind = end["properties"]["End"].as_str().unwrap();
    assert!(["UpstreamClosed", "UpstreamReset"].contains(&kind), "{kind}");
    assert_eq!(end["properties"]["Stage"], "Relay");
}

#[tokio::test]
async fn r_04_an_idle_tunnel_is_reset_and_its_end_is_recorded_with_its_bytes() {
    let echo = Origin::echo().await;
    let world = World::builder()
        .leads("echo", echo.address)
        .limits("idle_seconds = 1")
        .start()
        .await;
    let (mut wire, hello) = world.passed(&world.client(), "echo").await;
    wire.take(hello).await.unwrap();
    assert_eq!(wire.to_end().await.1, Ended::Reset, "as Azure Firewall does it");
    until("its end", || world.find_end(&wire).is_some()).await;
    let end = world.find_end(&wire).unwrap();
    assert_eq!(end["properties"]["End"], "Idle");
    assert_eq!(end["properties"]["BytesSent"], hello);
    assert_eq!(end["properties"]["BytesReceived"], hello);
}
