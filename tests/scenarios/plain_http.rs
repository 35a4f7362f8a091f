//! Plain HTTP through a whole gateway: absolute-form requests and tunnels to `Http` rules. The origin keeps all that it
//! hears, so that a denial is shown there and not only by its status.

mod any_bytes;
mod books;
mod exchanges;
mod world;

use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{Origin, World, checked, eventually, fields, status};

const HELLO: &str = "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n";

#[tokio::test]
async fn c_25_the_target_decides_and_replaces_host() {
    let world = World::hello().await;
    let mut client = world.client().await;
    client
        .say("GET http://API.example.com.:80/a/../b?c=d HTTP/1.1\r\nHost: evil.test\r\nX-cUsToM: 1\r\naccept: */*\r\n\r\n")
        .await;
    let response = client.response().await;
    assert_eq!((response.status(), response.body.as_str()), (200, "hello"));
    assert!(
        response.field("via").unwrap().starts_with("1.1 egret-"),
        "{}",
        response.head
    );
    let heard = world.origin.heard_all();
    assert!(
        heard.starts_with("GET /a/../b?c=d HTTP/1.1\r\nHost: api.example.com\r\n"),
        "{heard}"
    );
    assert!(
        heard.contains("\r\nX-cUsToM: 1\r\naccept: */*\r\n"),
        "names keep their case: {heard}"
    );
    assert!(!heard.contains("evil"), "{heard}");
    let row = world.last_decision();
    assert_eq!(
        (&row["Fqdn"], &row["Action"]),
        (&json!("api.example.com"), &json!("Allow")),
        "{row}"
    );
    let egret = &row["egret"];
    assert_eq!(
        (&egret["requested"], &egret["host"]),
        (&json!("API.example.com.:80"), &json!("evil.test")),
        "{row}"
    );
    assert_eq!(&egret["name_source"], "host", "{row}");
}

#[tokio::test]
async fn g_02_no_secret_of_a_url_or_head_is_in_a_row() {
    let world = World::hello().await;
    let mut client = world.client().await;
    client
        .say(
            "GET http://api.example.com/a/b?api-key=SECRET HTTP/1.1\r\nHost: api.example.com\r\nCookie: SECRET\r\n\
             Authorization: SECRET\r\n\r\nGET http://me:SECRET@api.example.com/ HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(
        world.rows("AZFWApplicationRule")[0]["TargetUrl"],
        "http://api.example.com/a/b"
    );
    let denied = client.rest().await;
    assert_eq!(status(&denied), 400, "{denied}");
    drop(client);
    world.ended().await;
    let end = &world.rows("EgretFlow")[0];
    let bytes = |key: &str| end[key].as_u64().unwrap();
    assert!(bytes("BytesSent") > 60 && bytes("BytesReceived") == 43, "{end}");
    assert!(
        !world.log().contains("SECRET") && !denied.contains("SECRET"),
        "{}",
        world.log()
    );
}

#[tokio::test]
async fn c_44_c_56_c_62_hop_by_hop_fields_end_at_the_proxy_in_both_directions() {
    let answer = "HTTP/1.1 200 Fine\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n\
                  X-Egret-Reason: forged\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";
    let world = World::with(Origin::answering(answer).await).await;
    let mut client = world.client().await;
    client
        .say(
            "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade, HTTP2-Settings, Host\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nProxy-Authorization: Basic c2VjcmV0\r\n\
             Proxy-Connection: keep-alive\r\nKeep-Alive: 300\r\nTE: trailers\r\nX-Forwarded-For: 10.0.0.1\r\n\
             Forwarded: for=10.0.0.1\r\nX-Egret-Source: 10.0.0.1\r\nAuthorization: Bearer kept\r\n\r\n",
        )
        .await;
    let response = client.response().await;
    assert!(response.head.starts_with("HTTP/1.1 200 Fine\r\n"), "{}", response.head);
    assert_eq!(response.field("x-kept"), Some("1"));
    for gone in ["x-hop", "keep-alive", "proxy-authenticate", "x-egret-reason"] {
        assert_eq!(response.field(gone), None, "{}", response.head);
    }
    let heard = world.origin.heard_all();
    let sent = fields(&heard);
    assert_eq!(
        (sent["Host"], sent["Authorization"]),
        ("api.example.com", "Bearer kept")
    );
    assert_eq!(sent.len(), 3, "Host, Authorization and Via: {heard}");
}

#[tokio::test]
async fn c_38_c_39_every_request_of_a_connection_is_judged() {
    let world = World::hello().await;
    let mut client = world.client().await;
    assert_eq!(client.get("api.example.com").await.status(), 200);
    let denied = client.get("evil.test").await;
    assert_eq!(denied.status(), 403);
    assert!(
        denied.head.contains("egret: evil.test:80 denied, NoRuleMatched (flow "),
        "{}",
        denied.head
    );
    assert!(denied.head.contains("\r\nConnection: close\r\n"), "{}", denied.head);
    assert_eq!(client.rest().await, "", "closed behind the denial");

    let evil = "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    let both = world.answer(format!("{HELLO}{evil}{HELLO}")).await;
    let (first, second) = both.split_once("hello").expect("the first response in front");
    assert_eq!((status(first), status(second)), (200, 403), "{both}");
    assert!(!world.origin.heard_all().contains("evil"));
    assert_eq!(world.origin.heard_all().matches("GET / ").count(), 2);
    let pair = ["api.example.com Allow RuleMatched", "evil.test Deny NoRuleMatched"];
    assert_eq!(
        world.decisions(),
        [pair, pair].concat(),
        "a row for every request that was answered"
    );
}

#[tokio::test]
async fn c_05_to_c_09_c_48_c_50_c_51_what_cannot_be_read_in_one_way_is_refused() {
    let world = World::hello().await;
    let ok = "Host: api.example.com\r\n\r\n";
    for (line, expected) in [
        ("GET http://api.example.com@evil.test/ HTTP/1.1", 400),
        ("GET http://evil.test@api.example.com/ HTTP/1.1", 400),
        ("GET / HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 400),
        ("GET https://api.example.com/ HTTP/1.1", 400),
        ("GET ftp://api.example.com/ HTTP/1.1", 400),
        ("GET http://api.example.com:80:443/ HTTP/1.1", 400),
        ("GET http://api.example.com/#@evil.test/ HTTP/1.1", 400),
        ("GET http://api.example.com\\@evil.test/ HTTP/1.1", 400),
        ("GET http:///evil.test/ HTTP/1.1", 400),
        ("GET http://api.example.com/ HTTP/1.2", 400),
        ("GET http://api.example.com/ HTTP/2.0", 400),
        ("GET http://api.example.com/ http/1.1", 400),
        ("GET http://api.example.com/", 400),
        ("GET  http://api.example.com/ HTTP/1.1", 400),
        ("connect api.example.com:80 HTTP/1.1", 400),
        ("TRACE http://api.example.com/ HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 400),
        ("GET http://203.0.113.5/ HTTP/1.1", 403),
        ("GET http://3405803781/ HTTP/1.1", 403),
        ("GET http://api..example.com/ HTTP/1.1", 400),
        ("GET http://x.evil.test/ HTTP/1.1", 403),
        ("GET http://api.example.com:8443/ HTTP/1.1", 403),
        ("GET http://dark.example.com/ HTTP/1.1", 403),
    ] {
        let answer = world.answer(format!("{line}\r\n{ok}")).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        // the same behind a request that is fine: another reader sees it
        let answer = world.answer(format!("{HELLO}{line}\r\n{ok}")).await;
        let (first, second) = answer.split_once("hello").unwrap_or_else(|| panic!("{line}: {answer}"));
        assert_eq!((status(first), status(second)), (200, expected), "{line}: {answer}");
    }
    let heard = world.origin.heard_all();
    let good = heard
        .matches("GET / HTTP/1.1\r\nHost: api.example.com\r\nVia: 1.1 egret")
        .count();
    assert_eq!((good, heard.matches("HTTP/1.1").count()), (24, 24), "{heard}");
}

#[tokio::test]
async fn c_22_c_26_to_c_32_spoilt_heads_are_refused() {
    let world = World::hello().await;
    let line = "POST http://api.example.com/ HTTP/1.1\r\n";
    for fields in [
        "",
        "Host: api.example.com\r\nHost: api.example.com\r\n",
        "Host: api.example.com\r\nHost: evil.test\r\n",
        "Host: api.example.com, evil.test\r\n",
        "Host:\r\n",
        "Host : api.example.com\r\n",
        " Host: api.example.com\r\n",
        "Host: api.example.com\r\n evil.test\r\n",
        "Host: api.example.com\r\nX: a\r\n\tb\r\n",
        "Host: api.example.com\n",
        "Host: api.example.com\r\nX: a\rb\r\n",
        "Host: api.example.com\r\r\n",
        "Host: api.example.com\r\nX: a\0b\r\n",
        "Host: api.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: api.example.com\r\nContent-Length: 5, 5\r\n",
        "Host: api.example.com\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Host: api.example.com\r\nContent-Length: +5\r\n",
        "Host: api.example.com\r\nContent-Length: 12345678901234567890\r\n",
        "Host: api.example.com\r\nTransfer-Encoding: xchunked\r\n",
        "Host: api.example.com\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: api.example.com\r\nTransfer-Encoding: \u{b}chunked\r\n",
        "Host: api.example.com\r\nTransfer-Encoding\t: chunked\r\n",
        "Host: api.example.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let body = "0\r\n\r\nGET http://api.example.com/smuggled HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
        let answer = world.answer(format!("{line}{fields}\r\n{body}")).await;
        assert_eq!(status(&answer), 400, "{fields:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 4").count(), 1, "{fields:?}: {answer}");
    }
    assert_eq!(world.origin.heard_all(), "");
}

#[tokio::test]
async fn c_49_one_or_two_empty_lines_in_front_are_forgiven() {
    let world = World::hello().await;
    for (lines, expected) in [(1, 200), (2, 200), (3, 400), (1000, 400)] {
        let mut client = world.client().await;
        client.say(format!("{}{HELLO}", "\r\n".repeat(lines))).await;
        assert_eq!(client.response().await.status(), expected, "{lines} empty lines");
        let mut client = world.client().await;
        assert_eq!(client.get("api.example.com").await.status(), 200);
        client.say(format!("{}{HELLO}", "\r\n".repeat(lines))).await;
        assert_eq!(
            client.response().await.status(),
            expected,
            "{lines} empty lines between two requests"
        );
    }
}

#[tokio::test]
async fn c_33_c_34_a_spoilt_body_goes_no_further_than_its_first_fault() {
    let world = World::with(
        Origin::serving(|mut served| async move {
            served.head().await;
            if served.until("0\r\n\r\n").await.is_some() {
                served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            }
        })
        .await,
    )
    .await;
    let head = "POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(16 << 10));
    for bad in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        long.as_str(),
        "0\r\nHost: evil.test\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
    ] {
        let evil = "GET http://api.example.com/evil HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
        let answer = world.answer(format!("{head}4\r\ngood\r\n{bad}{evil}")).await;
        assert_eq!(status(&answer), 400, "{bad:?}: {answer}");
        assert!(answer.contains("Framing"), "{bad:?}: {answer}");
    }
    let rows = ["api.example.com Allow RuleMatched", "api.example.com Deny Framing"].repeat(11);
    assert_eq!(world.decisions(), rows);
    // The origin waits for the end of a body, which must not have come.
    let heard = world.origin.heard_all();
    assert!(!heard.contains("\r\n0\r\n") && !heard.contains("evil"), "{heard}");
    let mut client = world.client().await;
    client
        .say(format!("{head}4;x=y\r\ngood\r\n0\r\nX-Sum: 1\r\n\r\n"))
        .await;
    assert_eq!(client.response().await.body, "hello");
}

#[tokio::test]
async fn c_41_a_head_beyond_its_limits_is_refused() {
    let world = World::hello().await;
    let line = "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n";
    for head in [
        format!("{line}X: {}\r\n\r\n", "a".repeat(64 << 10)),
        format!("{line}{}\r\n", "X: 12345\r\n".repeat(10_000)),
        format!("{line}{}\r\n", "X: 1\r\n".repeat(100)),
        format!("GET http://api.example.com/{} HTTP/1.1\r\n", "a".repeat(64 << 10)),
    ] {
        let answer = world.answer(&head).await;
        assert_eq!(status(&answer), 431, "{} bytes: {answer}", head.len());
        let answer = world.answer(format!("{HELLO}{head}")).await;
        assert_eq!(
            status(answer.split_once("hello").unwrap().1),
            431,
            "{} bytes",
            head.len()
        );
    }
    let answer = world
        .answer(format!("{line}{}Connection: close\r\n\r\n", "X: 1\r\n".repeat(98)))
        .await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn c_42_the_time_for_a_head_is_for_the_whole_head() {
    let world = World::adjusted(Origin::hello().await, |checked| {
        checked.settings.limits.head_time = Duration::from_millis(400);
    })
    .await;
    let mut client = world.client().await;
    assert_eq!(client.get("api.example.com").await.status(), 200);
    // waiting between two requests is no head
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(client.get("api.example.com").await.status(), 200);
    let started = Instant::now();
    for byte in HELLO.bytes().take(20) {
        client.say([byte]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.response().await.status(), 408);
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn c_45_trace_is_denied_and_the_last_options_is_answered_here() {
    let world = World::hello().await;
    let ask = |line: &str, left: &str| format!("{line} HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: {left}\r\n\r\n");
    let mut client = world.client().await;
    client.say(ask("OPTIONS http://api.example.com/", "0")).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.body.as_str()), (200, ""), "{response:?}");
    assert_eq!(world.origin.heard_all(), "");
    client.say(ask("OPTIONS http://api.example.com", "2")).await;
    assert_eq!(client.response().await.status(), 200);
    let heard = world.origin.heard_all();
    assert!(
        heard.starts_with("OPTIONS * HTTP/1.1\r\n") && heard.contains("Max-Forwards: 1\r\n"),
        "{heard}"
    );
    assert_eq!(status(&world.answer(ask("OPTIONS http://evil.test/", "0")).await), 403);
    assert_eq!(
        status(&world.answer(ask("TRACE http://api.example.com/", "0")).await),
        400
    );
}

#[tokio::test]
async fn c_46_a_request_that_comes_round_is_a_loop() {
    let world = World::hello().await;
    let mut client = world.client().await;
    assert_eq!(client.get("api.example.com").await.status(), 200);
    let heard = world.origin.heard_all();
    let via = fields(&heard)["Via"];
    client
        .say(format!(
            "GET http://api.example.com/ HTTP/1.1\r\nHost: a\r\nVia: 1.1 other, {via}\r\n\r\n"
        ))
        .await;
    let response = client.response().await;
    assert!(response.head.contains("Loop"), "{}", response.head);
    let own = world.gateway.proxy_addrs()[0];
    let answer = world
        .answer(format!("GET http://{own}/ HTTP/1.1\r\nHost: {own}\r\n\r\n"))
        .await;
    assert!(status(&answer) >= 400 && answer.contains("Loop"), "{answer}");
}

#[tokio::test]
async fn c_40_an_upstream_connection_belongs_to_one_client_connection() {
    let world = World::hello().await;
    let mut first = world.client_at("127.0.0.1").await;
    let mut second = world.client_at("127.0.0.2").await;
    for _ in 0..3 {
        assert_eq!(first.get("api.example.com").await.status(), 200);
        assert_eq!(second.get("api.example.com").await.status(), 200);
    }
    let requests: Vec<_> = world
        .origin
        .heard()
        .iter()
        .map(|heard| heard.matches("GET ").count())
        .collect();
    assert_eq!(requests, [3, 3], "kept alive for each, shared by none");
    // the same address under another name is another connection
    assert_eq!(first.get("x.openai.example.com").await.status(), 200);
    assert_eq!(world.origin.heard().len(), 3);
}

#[tokio::test]
async fn a_kept_upstream_connection_that_closed_meanwhile_is_opened_again() {
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("api.example.com").await.status(), 200);
    }
    assert_eq!(world.origin.heard().len(), 20);
}

#[tokio::test]
async fn bodies_stream_both_ways_whatever_their_framing() {
    const LENGTH: usize = 8 << 20;
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        while served.rest.len() < LENGTH && served.more().await {}
        let sum: u64 = served.rest.iter().map(|byte| u64::from(*byte)).sum();
        served
            .say(format!(
                "HTTP/1.1 200 OK\r\nX-Sum: {sum}\r\nTransfer-Encoding: chunked\r\n\r\n"
            ))
            .await;
        let body = std::mem::take(&mut served.rest);
        for block in body.chunks(50_000) {
            served.say(format!("{:x}\r\n", block.len())).await;
            let _ = served.stream.write_all(block).await;
            served.stream.write_all(b"\r\n").await.unwrap();
        }
        served.stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    let world = World::with(origin).await;
    let body: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let mut client = world.client().await;
    let (mut read, mut write) = client.stream.split();
    let head = format!(
        "PUT http://api.example.com/ HTTP/1.0\r\nContent-Type: application/octet-stream\r\nContent-Length: {LENGTH}\r\n\r\n"
    );
    let send = async {
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&body).await.unwrap();
    };
    let receive = async {
        let mut answer = Vec::new();
        read.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(send, receive);
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&answer[..at]);
    assert!(
        head.starts_with("HTTP/1.0 200 ") && head.contains(&format!("X-Sum: {sum}\r\n")),
        "{head}"
    );
    assert!(!head.contains("chunked"), "HTTP/1.0 knows no chunks: {head}");
    assert!(answer[at..] == body, "byte for byte, ended by the close");
}

#[tokio::test]
async fn an_expectation_is_met_once_the_request_may_pass() {
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        served.until("body!").await;
        served.say("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let world = World::with(origin).await;
    let ask = |host: &str| {
        format!("POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut client = world.client().await;
    client.say(ask("api.example.com")).await;
    assert_eq!(status(&client.head().await), 100);
    client.say("body!").await;
    assert_eq!(client.response().await.status(), 201);
    let mut client = world.client().await;
    client.say(ask("evil.test")).await;
    assert_eq!(client.response().await.status(), 403, "no 100 before a denial");
}

#[tokio::test]
async fn responses_without_a_body_do_not_wait_for_one() {
    for (method, answer, expected) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200),
    ] {
        let world = World::with(Origin::answering(answer).await).await;
        let mut client = world.client().await;
        for _ in 0..2 {
            client
                .say(format!("{method} http://api.example.com/ HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            assert_eq!(status(&client.head().await), expected, "{method} {answer:?}");
        }
        assert_eq!(world.origin.heard().len(), 1, "kept alive: {method} {answer:?}");
    }
}

#[tokio::test]
async fn interim_responses_go_on_to_a_client_that_knows_them() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Egret-A: 1\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let world = World::with(Origin::answering(answer).await).await;
    let mut client = world.client().await;
    for _ in 0..2 {
        client.say(HELLO).await;
        let hints = client.head().await;
        assert_eq!((status(&hints), fields(&hints)["Link"]), (103, "</a>"), "{hints}");
        assert!(!hints.contains("X-Egret"), "{hints}");
        let response = client.response().await;
        assert_eq!((response.status(), response.body.as_str()), (200, "hello"));
    }
    assert_eq!(world.origin.heard().len(), 1, "kept alive");
    let old = world.answer("GET http://api.example.com/ HTTP/1.0\r\n\r\n").await;
    assert!(status(&old) == 200 && !old.contains("103"), "{old}");
}

#[tokio::test]
async fn c_58_a_response_that_is_none_is_a_502() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(50);
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/2 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        &interim,
        &head,
    ] {
        let world = World::with(Origin::answering(bad).await).await;
        let mut client = world.client().await;
        let response = client.get("api.example.com").await;
        assert_eq!(
            response.status(),
            502,
            "{}: {}",
            &bad[..bad.len().min(80)],
            response.head
        );
        assert!(response.head.contains("UpstreamInvalid"), "{}", response.head);
    }
    let world = World::with(Origin::serving(|_| async {}).await).await;
    let response = world.client().await.get("api.example.com").await;
    assert!(
        response.status() == 502 && response.head.contains("UpstreamClosed"),
        "{}",
        response.head
    );
}

#[tokio::test]
async fn c_58_a_second_response_to_one_request_answers_nobody() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let world = World::with(Origin::answering(two).await).await;
    let mut client = world.client().await;
    for _ in 0..5 {
        let response = client.get("api.example.com").await;
        assert_eq!(response.body, "hello");
    }
    assert_eq!(world.origin.heard().len(), 5, "never used again");
}

#[tokio::test]
async fn r_03_a_response_cut_short_does_not_look_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let origin = Origin::serving(move |mut served| async move {
            served.head().await;
            served.say(answer).await;
        })
        .await;
        let world = World::with(origin).await;
        for version in ["1.1", "1.0"] {
            let mut client = world.client().await;
            client
                .say(format!("GET http://api.example.com/ HTTP/{version}\r\nHost: a\r\n\r\n"))
                .await;
            assert!(client.whole().await.is_err(), "a reset: {answer:?} to HTTP/{version}");
        }
    }
}

const WEBSOCKET: &str = "GET http://api.example.com/chat HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\n\
                         Upgrade: h2c, websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test]
async fn c_57_a_101_opens_a_tunnel_and_nothing_else_does() {
    let origin = Origin::serving(|mut served| async move {
        let head = served.head().await.unwrap();
        assert_eq!((fields(&head)["Upgrade"], fields(&head)["Connection"]), ("websocket", "Upgrade"), "{head}");
        served
            .say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfirst")
            .await;
        while served.until("!").await.is_some() {
            served.say("echo!").await;
        }
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    // frames may come right behind the request: they are no request
    client
        .say(format!("{WEBSOCKET}GET http://evil.test/ HTTP/1.1\r\n\r\n!"))
        .await;
    let head = client.head().await;
    assert_eq!(status(&head), 101, "{head}");
    assert_eq!(
        (fields(&head)["Upgrade"], fields(&head)["Sec-WebSocket-Accept"]),
        ("websocket", "x"),
        "{head}"
    );
    assert_eq!(client.take(10).await, b"firstecho!");
    client.say("more!").await;
    assert_eq!(client.take(5).await, b"echo!");
    assert!(
        world
            .origin
            .heard_all()
            .ends_with("GET http://evil.test/ HTTP/1.1\r\n\r\n!more!")
    );
}

#[tokio::test]
async fn c_57_a_200_in_place_of_the_101_is_an_ordinary_response() {
    let world = World::hello().await;
    let mut client = world.client().await;
    client
        .say(format!(
            "{WEBSOCKET}GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(client.response().await.status(), 403, "framing goes on");
    assert!(!world.origin.heard_all().contains("evil"));
    let other = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    let world = World::with(Origin::answering(other).await).await;
    assert_eq!(status(&world.answer(WEBSOCKET).await), 502);
}

#[tokio::test]
async fn connect_to_an_http_rule_carries_requests_for_its_host_alone() {
    let world = World::hello().await;
    let ask = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut client = world.tunnel("api.example.com:80").await;
    for host in ["api.example.com", "API.example.com.:80"] {
        client.say(ask("/a?b", host)).await;
        let response = client.response().await;
        assert_eq!((response.status(), response.body.as_str()), (200, "hello"));
    }
    client.say(ask("/", "evil.test")).await;
    let response = client.response().await;
    assert_eq!(response.status(), 400, "{}", response.head);
    assert!(response.head.contains("HostMismatch"), "{}", response.head);
    let heard = world.origin.heard();
    assert_eq!(heard.len(), 1, "the connection that CONNECT opened is used");
    assert_eq!(
        heard[0]
            .matches("GET /a?b HTTP/1.1\r\nHost: api.example.com\r\n")
            .count(),
        2,
        "{heard:?}"
    );

    for (target, host, expected) in [
        ("/", "api.example.com:81", 400),
        ("/", "x.openai.example.com", 400),
        ("http://api.example.com/", "api.example.com", 400),
        ("http://evil.test/", "api.example.com", 400),
        ("*", "api.example.com", 400),
    ] {
        let mut client = world.tunnel("api.example.com:80").await;
        client.say(ask(target, host)).await;
        assert_eq!(client.response().await.status(), expected, "{target} {host}");
    }
    let mut client = world.tunnel("api.example.com:8080").await;
    client.say(ask("/", "api.example.com:8080")).await;
    assert_eq!(client.response().await.status(), 200);
    assert!(!world.origin.heard_all().contains("evil"));
}

#[tokio::test]
async fn s_21_an_http_tunnel_that_carries_another_protocol_is_closed() {
    let world = World::hello().await;
    let hello = [22, 3, 1, 0, 50, 1, 0, 0, 46, 3, 3];
    for (why, bytes, answer, reason) in [
        ("SSH", &b"SSH-2.0-OpenSSH_9.2\r\n"[..], &b""[..], "NotHttp"),
        ("SMTP", b"EHLO mail.example\r\n", b"", "NotHttp"),
        ("SOCKS5", &[5, 1, 0], b"", "NotHttp"),
        (
            "TLS: with an alert that it understands, and what the rules say of it",
            &hello,
            &[21, 3, 3, 0, 2, 2, 49],
            "NoRuleMatched",
        ),
    ] {
        let mut client = world.tunnel("api.example.com:80").await;
        client.say(bytes).await;
        assert_eq!(client.whole().await.unwrap(), answer, "{why}");
        let expected = format!("api.example.com Deny {reason}");
        assert_eq!(world.decisions().pop().unwrap(), expected, "{why}");
    }
    let mut client = world.tunnel("api.example.com:80").await;
    client.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(status(&client.rest().await), 400, "an HTTP/2 preface");
    assert_eq!(world.origin.heard_all(), "");
}

#[tokio::test]
async fn a_tunnel_that_says_nothing_has_its_time() {
    let world = World::adjusted(Origin::hello().await, |checked| {
        checked.settings.limits.head_time = Duration::from_millis(300);
    })
    .await;
    let mut client = world.tunnel("api.example.com:80").await;
    assert_eq!(status(&client.rest().await), 408);
    assert_eq!(world.origin.heard_all(), "");
}

#[tokio::test]
async fn r_04_an_idle_connection_is_reset() {
    let world = World::adjusted(
        Origin::serving(|mut served| async move {
            served.head().await;
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await;
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                served.say("x").await;
            }
            served.more().await;
        })
        .await,
        |checked| checked.settings.limits.idle = Duration::from_millis(500),
    )
    .await;
    let mut client = world.client().await;
    client.say(HELLO).await;
    let started = Instant::now();
    assert!(client.whole().await.is_err());
    assert_eq!(world.ended().await["End"], "Idle");
    assert!(
        started.elapsed() > Duration::from_millis(1400),
        "bytes kept it: {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_a_504_within_the_idle_limit() {
    let origin = Origin::serving(|mut served| async move { while served.more().await {} }).await;
    let world = World::adjusted(origin, |checked| {
        checked.settings.limits.idle = Duration::from_millis(300)
    })
    .await;
    let response = world.client().await.get("api.example.com").await;
    assert!(
        response.status() == 504 && response.head.contains("UpstreamTimeout"),
        "{}",
        response.head
    );
}

#[tokio::test]
async fn a_method_with_an_unusual_body_keeps_it_and_one_without_gets_none() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.contains("chunked") {
                served.until("\r\n0\r\n\r\n").await;
            }
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    for (request, sent) in [
        (
            "GET http://api.example.com/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "POST http://api.example.com/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "Content-Length: 0\r\n",
        ),
        (
            "DELETE http://api.example.com/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "\r\n\r\nabc",
        ),
        (
            "PURGE http://api.example.com/4 HTTP/1.1\r\nHost: a\r\n\r\n",
            "PURGE /4 HTTP/1.1\r\nHost: api.example.com\r\nVia",
        ),
    ] {
        client.say(request).await;
        assert_eq!(client.response().await.status(), 200, "{request:?}");
        let heard = world.origin.heard_all();
        assert!(heard.contains(sent), "{sent:?} in {heard}");
    }
    let heard = world.origin.heard_all();
    assert_eq!(heard.matches("Transfer-Encoding").count(), 1, "{heard}");
    assert_eq!(world.origin.heard().len(), 1);
}

const NOTHING: &str = r#"
[[application_rule_collection]]
name = "plain"
priority = 100
action = "Allow"
[[application_rule_collection.rule]]
name = "other"
protocols = [{ type = "Http", port = 80 }]
destination_fqdns = ["other.example.com"]
"#;

#[tokio::test]
async fn l_08_a_revoked_name_is_denied_on_the_next_request_and_cut_in_the_middle_of_one() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.contains("/stream") {
                served
                    .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                    .await;
            } else {
                served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            }
        }
    })
    .await;
    let world = World::with(origin).await;
    let (mut kept, mut streaming) = (world.client().await, world.client().await);
    assert_eq!(kept.get("api.example.com").await.status(), 200);
    streaming
        .say("GET http://api.example.com/stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(status(&streaming.head().await), 200);
    let (gateway, next) = (world.gateway.clone(), checked(world.origin.address, NOTHING));
    let (_, revoked) = tokio::task::spawn_blocking(move || gateway.reload(next).unwrap())
        .await
        .unwrap();
    assert_eq!(revoked, 2);
    let started = Instant::now();
    assert!(streaming.whole().await.is_err(), "cut, not ended");
    assert!(started.elapsed() < Duration::from_secs(1));
    eventually("the row of the revocation", || {
        world.decisions().contains(&"api.example.com Deny Revoked".into())
    })
    .await;
    assert_eq!(kept.get("api.example.com").await.status(), 403);
    assert_eq!(world.origin.heard_all().matches("GET ").count(), 2);
}

#[tokio::test]
async fn l_07_a_tunnel_of_a_revoked_name_is_cut_whether_it_is_used_or_not() {
    let origin = Origin::serving(|mut served| async move { while served.head().await.is_some() {} }).await;
    let world = World::with(origin).await;
    let mut idle = world.tunnel("api.example.com:80").await;
    let mut waiting = world.tunnel("api.example.com:80").await;
    waiting.say("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
    eventually("the request is on its way", || world.origin.heard_all().contains("GET")).await;
    let (gateway, next) = (world.gateway.clone(), checked(world.origin.address, NOTHING));
    let (_, revoked) = tokio::task::spawn_blocking(move || gateway.reload(next).unwrap())
        .await
        .unwrap();
    assert_eq!(revoked, 2);
    let started = Instant::now();
    assert!(idle.whole().await.is_err(), "cut");
    let response = waiting.response().await;
    assert!(
        response.status() == 403 && response.head.contains("Revoked"),
        "{}",
        response.head
    );
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn r_19_draining_ends_connections_that_wait_and_lets_requests_end() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.contains("/slow") {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        }
    })
    .await;
    let world = World::with(origin).await;
    let (mut waiting, mut busy) = (world.client().await, world.client().await);
    assert_eq!(waiting.get("api.example.com").await.status(), 200);
    busy.say("GET http://api.example.com/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    eventually("the slow request is on its way", || {
        world.origin.heard_all().contains("/slow")
    })
    .await;
    let gateway = world.gateway.clone();
    let started = Instant::now();
    let drain = tokio::task::spawn_blocking(move || gateway.drain(Duration::from_secs(20)));
    assert_eq!(waiting.whole().await.unwrap(), b"", "closed in order");
    let response = busy.response().await;
    assert_eq!((response.status(), response.body.as_str()), (200, "hello"));
    assert_eq!(busy.whole().await.unwrap(), b"");
    drop((waiting, busy));
    drain.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// The guard held back what followed a request for WebSocket while hyper took it for the request's body: from then on what
/// was judged was another request than the one that went up.
#[tokio::test]
async fn c_57_a_request_for_websocket_with_a_body_cannot_put_judge_and_sender_out_of_step() {
    let world = crate::world::World::usual().await;
    let hidden = "GET http://api.example.com/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    for length in [
        format!("Content-Length: {}", hidden.len()),
        "Transfer-Encoding: chunked".to_string(),
    ] {
        let request = format!(
            "GET http://api.example.com/ws HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\n{length}\r\n\r\n{hidden}"
        );
        world.refuses([request], &[400], &["Framing"]).await;
    }
}
