//! Heads and bodies that cannot be read in one way only, that are too long or too slow, or that egret answers itself.

use super::*;

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
