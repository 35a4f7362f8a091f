//! What the origin answers, and how bodies go both ways.

use super::*;

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
