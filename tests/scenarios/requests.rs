//! Plain HTTP requests in the catalogue's world: each is an attempt with a row of its own, and the forbidden origin, which
//! really answers whoever reaches it, hears none of the denied ones.

use crate::world::{POLICY, World, until};
use egret::lab::client::{Ended, Wire};
use serde_json::Value;

fn get(host: &str) -> String {
    format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// What the allowed origin heard, as text.
fn heard(world: &World) -> String {
    let heard = world.site("allowed").heard();
    heard.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
}

async fn say(world: &World, bytes: &str) -> Wire {
    let mut wire = world.client().open().await.unwrap();
    wire.send(bytes.as_bytes()).await.unwrap();
    wire
}

async fn status(wire: &mut Wire) -> u16 {
    wire.reply("GET").await.unwrap().status
}

/// Name, action and reason of each rule row.
fn decisions(world: &World) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let rows = world.rule_rows();
    rows.iter()
        .map(|row| &row["properties"])
        .map(|row| {
            [&row["Fqdn"], &row["Action"], &row["egret"]["reason"]]
                .map(text)
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn c_38_the_next_request_of_a_kept_connection_is_judged_too() {
    let world = World::usual().await;
    let mut wire = say(&world, &get("api.example.com")).await;
    assert_eq!(status(&mut wire).await, 200);
    wire.send(get("evil.test").as_bytes()).await.unwrap();
    assert_eq!(status(&mut wire).await, 403);
    assert_eq!(wire.to_end().await.1, Ended::Closed);
    assert_eq!(
        decisions(&world),
        ["api.example.com Allow RuleMatched", "evil.test Deny NoRuleMatched"]
    );
    assert_eq!(
        (world.site("forbidden").bytes(), world.dns().queries("evil.test")),
        (0, 0)
    );
}

#[tokio::test]
async fn c_38_the_next_request_to_another_port_is_judged_too() {
    let world = World::usual().await;
    let mut wire = say(&world, &get("api.example.com")).await;
    assert_eq!(status(&mut wire).await, 200);
    let before = world.upstream_bytes();
    wire.send(get("api.example.com:8080").as_bytes()).await.unwrap();
    assert_eq!(status(&mut wire).await, 403);
    assert_eq!(world.last_row()["properties"]["DestinationPort"], 8080);
    assert_eq!(world.upstream_bytes(), before);
}

#[tokio::test]
async fn c_39_of_pipelined_requests_each_is_judged_and_answered_in_its_turn() {
    let world = World::usual().await;
    let allowed = get("api.example.com");
    let mut wire = say(&world, &format!("{allowed}{allowed}{}{allowed}", get("evil.test"))).await;
    for expected in [200, 200, 403] {
        assert_eq!(status(&mut wire).await, expected);
    }
    let (rest, end) = wire.to_end().await;
    assert_eq!((rest, end), (Vec::new(), Ended::Closed), "nothing behind the denial");
    assert_eq!(world.site("forbidden").bytes(), 0);
    assert_eq!(world.site("allowed").requests(), 2);
    assert_eq!(decisions(&world).len(), 3);
}

#[tokio::test]
async fn c_40_what_one_source_may_reach_another_does_not_get_by_its_connection() {
    let world = World::builder()
        .policy(&POLICY.replace("[\"*\"]", "[\"127.0.1.1\", \"127.0.1.2\"]"))
        .start()
        .await;
    let mut wires = Vec::new();
    for source in ["127.0.1.1", "127.0.1.2"] {
        let mut wire = world.client_at(source).open().await.unwrap();
        for _ in 0..2 {
            wire.send(get("api.example.com").as_bytes()).await.unwrap();
            assert_eq!(status(&mut wire).await, 200, "{source}");
        }
        wires.push(wire);
    }
    assert_eq!(world.site("allowed").connections(), 2, "kept for each, shared by none");
    let denied = world.client_at("127.0.1.3").ask(get("api.example.com")).await.unwrap();
    assert_eq!(denied.status, 403);
    assert_eq!(world.site("allowed").requests(), 4);
    let sources: Vec<_> = world
        .rule_rows()
        .iter()
        .map(|row| row["properties"]["SourceIp"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(
        sources,
        ["127.0.1.1", "127.0.1.1", "127.0.1.2", "127.0.1.2", "127.0.1.3"]
    );
}

#[tokio::test]
async fn c_25_c_44_c_62_what_the_client_says_of_itself_and_of_the_host_goes_no_further() {
    let world = World::usual().await;
    let request = "GET http://api.example.com/ HTTP/1.1\r\nHost: evil.test\r\nConnection: close, Host, X-Hop\r\nX-Hop: 1\r\n\
                   Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nTE: trailers, x\r\n\
                   X-Forwarded-For: 10.0.0.9\r\nForwarded: for=10.0.0.9\r\nX-Egret-Source: 10.0.0.9\r\n\r\n";
    let mut wire = say(&world, request).await;
    assert_eq!(status(&mut wire).await, 200);
    let heard = heard(&world);
    assert!(heard.contains("\r\nHost: api.example.com\r\n"), "{heard}");
    for gone in ["evil", "X-Hop", "Proxy", "TE:", "10.0.0.9", "c2VjcmV0"] {
        assert!(!heard.contains(gone), "{gone} in {heard}");
    }
    let row = world.last_row();
    assert_eq!(row["properties"]["SourceIp"], "127.0.0.1");
    assert_eq!(row["properties"]["Fqdn"], "api.example.com");
    assert_eq!(
        row["properties"]["egret"]["host"], "evil.test",
        "both are in the record"
    );
    let lines = world.log.lines().concat();
    assert!(!lines.contains("10.0.0.9") && !lines.contains("c2VjcmV0"), "{lines}");
    assert_eq!(
        (world.dns().queries("evil.test"), world.site("forbidden").bytes()),
        (0, 0)
    );
}

#[tokio::test]
async fn c_30_c_31_c_32_a_body_of_two_lengths_is_refused_with_its_head() {
    let world = World::usual().await;
    let fields = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: 12345678901234567890",
        "Content-Length: -1",
        "Content-Length:",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ];
    let evil = get("evil.test");
    let vectors = fields.map(|fields| {
        format!("POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n\r\n0\r\n\r\n{evil}")
    });
    world.refuses(vectors, &[400], &["Framing"]).await;
    assert_eq!(
        world.last_row()["properties"]["egret"]["requested"],
        "http://api.example.com/"
    );
    let old = "POST http://api.example.com/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    world.refuses([old], &[400], &["Framing"]).await;
    let spoilt = ["Transfer-Encoding\t: chunked", "Transfer-Encoding: \u{b}chunked"].map(|field| {
        format!("POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n{field}\r\n\r\n0\r\n\r\n{evil}")
    });
    world.refuses(spoilt, &[400], &["BadRequest", "Framing"]).await;
}

#[tokio::test]
async fn c_33_c_34_nothing_behind_a_spoilt_chunk_or_trailer_reaches_the_origin() {
    let world = World::usual().await;
    let head = "POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    for spoilt in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\nHost: evil.test\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let mut wire = say(
            &world,
            &format!("{head}4\r\ngood\r\n{spoilt}{}", get("api.example.com/smuggled")),
        )
        .await;
        let reply = wire.reply("POST").await.unwrap();
        assert!(
            reply.status == 400 && reply.phrase.contains("Framing"),
            "{spoilt:?}: {}",
            reply.phrase
        );
        assert_eq!(wire.to_end().await, (Vec::new(), Ended::Closed), "{spoilt:?}");
        assert_eq!(world.last_reason(), "Framing", "{spoilt:?}");
    }
    // The origin waits for the end of each body, which never comes.
    until("the origin's connections end", || world.lab.open() == 0).await;
    let heard = heard(&world);
    assert!(!heard.contains("smuggled") && !heard.contains("evil"), "{heard}");
    assert!(!heard.contains("\r\n0\r\n\r\n"), "no body came to its end: {heard}");
}

#[tokio::test]
async fn c_56_http2_gets_in_neither_by_upgrade_nor_by_prior_knowledge() {
    let world = World::usual().await;
    let upgrade = "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    let mut wire = say(&world, upgrade).await;
    assert_eq!(status(&mut wire).await, 200, "an ordinary request");
    let text = heard(&world);
    assert!(
        !text.to_ascii_lowercase().contains("upgrade") && !text.contains("HTTP2"),
        "{text}"
    );
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    world.refuses([preface], &[400], &["BadRequest"]).await;
    // Behind a CONNECT to an allowed port 80 as well.
    let before = world.upstream_bytes();
    let mut tunnel = world.client().connect("api.example.com:80").await.unwrap();
    assert_eq!(tunnel.status(), 200);
    tunnel.wire.send(preface.as_bytes()).await.unwrap();
    let (told, _) = tunnel.wire.to_end().await;
    assert!(
        told.is_empty() || told.starts_with(b"HTTP/1.1 400 "),
        "{}",
        told.escape_ascii()
    );
    assert!(["BadRequest", "NotHttp"].contains(&world.last_reason().as_str()));
    assert_eq!(world.upstream_bytes(), before);
}

#[tokio::test]
async fn c_57_an_upgrade_that_the_origin_does_not_take_is_an_ordinary_exchange() {
    let world = World::usual().await;
    let ask = |what: &str| {
        format!(
            "GET http://api.example.com/{what} HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    // The next request stands right behind: had the 200 opened a tunnel, it would go up unjudged.
    let mut wire = say(&world, &format!("{}{}", ask("ws"), get("evil.test"))).await;
    assert_eq!(status(&mut wire).await, 200);
    assert_eq!(status(&mut wire).await, 403);
    assert!(heard(&world).contains("Upgrade: websocket"), "the origin was asked");
    assert_eq!(world.site("forbidden").bytes(), 0);
    assert!(!heard(&world).contains("evil"));
    world
        .refuses(
            [ask("").replace("api.example.com", "evil.test")],
            &[403],
            &["NoRuleMatched"],
        )
        .await;
}

#[tokio::test]
async fn a_request_is_answered_though_its_client_has_ended_its_side() {
    let world = World::usual().await;
    let mut plain = say(&world, &get("api.example.com")).await;
    plain.finish().await.unwrap();
    assert_eq!(status(&mut plain).await, 200);
    let mut tunnel = world.client().connect("api.example.com:80").await.unwrap().wire;
    tunnel
        .send(b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .await
        .unwrap();
    tunnel.finish().await.unwrap();
    assert_eq!(status(&mut tunnel).await, 200);
    assert_eq!(decisions(&world), ["api.example.com Allow RuleMatched"; 2]);
}

#[tokio::test]
async fn a_tunnel_that_ends_before_its_first_request_was_left_by_its_client() {
    let world = World::usual().await;
    drop(world.client().connect("api.example.com:80").await.unwrap());
    until("the flow ends", || !world.rows("EgretFlow").is_empty()).await;
    let end = world.rows("EgretFlow").remove(0);
    assert_eq!(
        (&end["properties"]["Reason"], &end["properties"]["End"]),
        (&"ClientClosed".into(), &"ClientClosed".into())
    );
}
