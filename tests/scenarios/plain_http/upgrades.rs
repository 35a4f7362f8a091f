//! Connections that stop being requests: WebSocket, and CONNECT to an `Http` rule.

use super::*;

const WEBSOCKET: &str = "GET http://api.example.com/chat HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\n\
                         Upgrade: h2c, websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfirst";

#[tokio::test]
async fn c_57_a_101_opens_a_tunnel_and_nothing_else_does() {
    let origin = Origin::serving(|mut served| async move {
        let head = served.head().await.unwrap();
        assert_eq!(
            (fields(&head)["Upgrade"], fields(&head)["Connection"]),
            ("websocket", "Upgrade"),
            "{head}"
        );
        served.say(ANSWER).await;
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
    let (sent, received) = (world.origin.heard_all().len(), ANSWER.len() + "echo!echo!".len());
    let flow = &world.flows().await["flows"][0];
    let listed = (&flow["sent_bytes"], &flow["received_bytes"]);
    assert_eq!(listed, (&sent.into(), &received.into()), "request and 101 included");
    drop(client);
    let end = world.ended().await;
    assert_eq!(
        (&end["BytesSent"], &end["BytesReceived"]),
        (&sent.into(), &received.into())
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
