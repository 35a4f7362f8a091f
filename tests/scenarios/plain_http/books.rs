//! Connections to upstream behind one client: when one is used again, when it ends, and that each row tells of one.

use super::NOTHING;
use super::world::{Origin, World, checked, eventually, status};
use serde_json::Value;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// A response of HTTP/1.0 makes hyper's client half speak it too, and it knows no chunked body: the request kept its head and
/// lost its body, and the client was told `200`.
#[tokio::test]
async fn a_connection_on_which_upstream_spoke_http_1_0_carries_no_further_request() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.contains("chunked") {
                served.until("\r\n0\r\n\r\n").await;
            }
            served
                .say("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    assert_eq!(client.get("api.example.com").await.body, "ok");
    client
        .say(
            "POST http://api.example.com/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             6\r\nSECRET\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status(), 200);
    let heard = world.origin.heard();
    assert_eq!(heard.len(), 2, "a connection each: {heard:?}");
    assert!(
        heard[1].contains("\r\nTransfer-Encoding: chunked\r\n") && heard[1].ends_with("6\r\nSECRET\r\n0\r\n\r\n"),
        "{heard:?}"
    );
}

/// The rows of what has ended: name, address, end, reason, stage.
fn ends(world: &World) -> Vec<String> {
    let of = |row: &Value| {
        ["Fqdn", "DestinationIp", "End", "Reason", "Stage"].map(|key| row[key].as_str().unwrap().to_string())
    };
    world.rows("EgretFlow").iter().map(|row| of(row).join(" ")).collect()
}

async fn reload(world: &World, rules: &str) {
    let (gateway, next) = (world.gateway.clone(), checked(world.origin.address, rules));
    tokio::task::spawn_blocking(move || gateway.reload(next).unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_row_tells_of_one_upstream_and_a_denial_carries_nothing_of_the_one_before() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.starts_with("POST") {
                served.until("!").await;
            }
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        }
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    let body = format!("{}!", "x".repeat(1999));
    client
        .say(format!(
            "POST http://api.example.com/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n{body}"
        ))
        .await;
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(client.get("x.openai.example.com").await.status(), 200);
    assert_eq!(client.get("evil.test").await.status(), 403);
    drop(client);
    eventually("all ends are written", || ends(&world).len() == 3).await;
    assert_eq!(
        ends(&world),
        [
            "api.example.com 203.0.113.5 ClientClosed RuleMatched Relay",
            "x.openai.example.com 203.0.113.6 ClientClosed RuleMatched Relay",
            "evil.test  Refused NoRuleMatched Decide",
        ]
    );
    let rows = world.rows("EgretFlow");
    let heard: Vec<_> = world.origin.heard().iter().map(|heard| heard.len() as u64).collect();
    let sent: Vec<_> = rows.iter().map(|row| row["BytesSent"].as_u64().unwrap()).collect();
    assert_eq!(sent, [heard[0], heard[1], 0], "{rows:?}");
    assert_eq!(rows[2]["BytesReceived"], 0);
    assert!(rows.iter().all(|row| row["FlowId"] == rows[0]["FlowId"]), "{rows:?}");
}

/// The reader of a revoked download kept its connection, and no row said why it got no more.
#[tokio::test]
async fn l_07_a_revoked_download_ends_though_nobody_reads_it() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.contains("/idle") {
                served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
                continue;
            }
            served
                .say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                .await;
            let block = vec![b'x'; 64 * 1024];
            while served.stream.write_all(&block).await.is_ok() {}
        }
    })
    .await;
    let world = World::with(origin).await;
    let (mut stalled, mut idle) = (world.client().await, world.client().await);
    stalled
        .say("GET http://api.example.com/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(status(&stalled.head().await), 200);
    idle.say("GET http://api.example.com/idle HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(idle.response().await.status(), 200);
    reload(&world, NOTHING).await;
    let revoked = "api.example.com 203.0.113.5 Revoked Revoked Relay";
    eventually("both ends are written", || ends(&world) == [revoked; 2]).await;
    assert!(stalled.whole().await.is_err(), "cut, not ended");
    let denied = world
        .decisions()
        .iter()
        .filter(|row| *row == "api.example.com Deny Revoked")
        .count();
    assert_eq!(denied, 2, "a rule row each");
    drop(idle);
    eventually("the idle connection is gone", || world.gateway.connections() == 0).await;
    assert_eq!(ends(&world).len(), 2, "it asked nothing more");
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_request_waits_is_let_go() {
    let origin = Origin::serving(|mut served| async move { while served.more().await {} }).await;
    let world = World::with(origin).await;
    let mut tunnelled = world.tunnel("api.example.com:80").await;
    tunnelled.say("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
    let mut absolute = world.client().await;
    absolute
        .say("GET http://api.example.com/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    eventually("both are on their way", || {
        world.origin.heard_all().matches("\r\n\r\n").count() == 2
    })
    .await;
    for client in [&tunnelled, &absolute] {
        socket2::SockRef::from(&client.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    drop((tunnelled, absolute));
    let reset = "api.example.com 203.0.113.5 ClientReset RuleMatched Relay";
    eventually("both ends are written", || ends(&world) == [reset; 2]).await;
    eventually("nothing is held", || world.gateway.connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_ended_its_side_is_owed_the_response_but_not_for_ever() {
    let origin = Origin::serving(|mut served| async move {
        let head = served.head().await.unwrap();
        if head.contains("/slow") {
            tokio::time::sleep(Duration::from_millis(300)).await;
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        }
        served.more().await;
    })
    .await;
    let world = World::adjusted(origin, |checked| {
        checked.settings.limits.idle = Duration::from_secs(4);
    })
    .await;
    for path in ["slow", "never"] {
        let mut client = world.client().await;
        client
            .say(format!("GET http://api.example.com/{path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        client.stream.shutdown().await.unwrap();
        if path == "slow" {
            assert_eq!(client.response().await.body, "hello");
            assert_eq!(client.whole().await.unwrap(), b"");
        } else {
            assert!(client.whole().await.is_err());
        }
    }
    let left = "api.example.com 203.0.113.5 ClientClosed RuleMatched Relay";
    eventually("both ends are written", || ends(&world) == [left; 2]).await;
}

#[tokio::test]
async fn who_breaks_off_an_upload_is_who_the_row_names() {
    for framing in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let origin = Origin::serving(|mut served| async move { while served.more().await {} }).await;
        let world = World::with(origin).await;
        let mut client = world.client().await;
        client
            .say(format!("PUT http://api.example.com/ HTTP/1.1\r\nHost: a\r\n{framing}"))
            .await;
        eventually("it is on its way", || world.origin.heard_all().contains("abc")).await;
        drop(client);
        let left = "api.example.com 203.0.113.5 ClientClosed ClientClosed Relay";
        eventually("the end is written", || ends(&world).len() == 1).await;
        assert_eq!(ends(&world), [left], "{framing:?}");
    }
}

#[tokio::test]
async fn r_19_a_tunnel_that_never_asked_is_drained_and_not_left() {
    let world = World::hello().await;
    let mut client = world.tunnel("api.example.com:80").await;
    let gateway = world.gateway.clone();
    let drain = tokio::task::spawn_blocking(move || gateway.drain(Duration::from_secs(20)));
    assert_eq!(client.whole().await.unwrap(), b"", "closed in order");
    drop(client);
    drain.await.unwrap();
    assert_eq!(ends(&world), ["api.example.com 203.0.113.5 Drained Draining Gate"]);
}
