//! One request and its response on the wire: bodies, trailers, what comes early, late or twice.

use super::HELLO;
use super::world::{Origin, World, eventually, fields, status};
use tokio::io::AsyncWriteExt;

const POST: &str = "POST http://api.example.com/ HTTP/1.1\r\nHost: a\r\n";

#[tokio::test]
async fn what_follows_a_body_is_the_next_request() {
    let origin = Origin::serving(|mut served| async move {
        while let Some(head) = served.head().await {
            if head.starts_with("POST") {
                served
                    .until(if head.contains("chunked") {
                        "\r\n0\r\n\r\n"
                    } else {
                        "abc"
                    })
                    .await;
            }
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        }
    })
    .await;
    let world = World::with(origin).await;
    for framing in [
        "Content-Length: 3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n00\r\n\r\n",
    ] {
        let evil = "GET http://evil.test/ HTTP/1.1\r\nHost: a\r\n\r\n";
        let all = format!("{POST}{framing}{HELLO}{POST}{framing}{evil}{HELLO}");
        for size in [all.len(), 7] {
            let mut client = world.client().await;
            for piece in all.as_bytes().chunks(size) {
                client.say(piece).await;
            }
            for expected in [200, 200, 200, 403] {
                assert_eq!(
                    client.response().await.status(),
                    expected,
                    "{framing:?} in pieces of {size}"
                );
            }
            assert_eq!(client.rest().await, "", "nothing behind the denial");
        }
    }
    let heard = world.origin.heard_all();
    assert!(
        !heard.contains("evil") && !heard.contains("x=y") && !heard.contains("00\r\n"),
        "{heard}"
    );
    assert_eq!(world.origin.heard().len(), 4, "one connection for each client");
}

#[tokio::test]
async fn c_34_trailer_fields_go_on_in_both_directions_if_the_head_announced_them() {
    let answer = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                  02;a=b\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\n\r\n";
    let origin = Origin::serving(move |mut served| async move {
        served.head().await;
        served.until("X-Sum: 1\r\n\r\n").await;
        served.say(answer).await;
    })
    .await;
    let world = World::with(origin).await;
    let body = "1\r\na\r\n0\r\nX-Other: 2\r\nx-sum: 0\r\nX-Sum: 1\r\n\r\n";
    let request = format!("{POST}Trailer: x-sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{body}");
    let response = world.answer(request).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(fields(head)["Trailer"], "X-Sum", "{response}");
    assert_eq!(body, "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n");
    let heard = world.origin.heard_all();
    assert!(
        heard.ends_with("\r\n\r\n1\r\na\r\n0\r\nx-sum: 0\r\nX-Sum: 1\r\n\r\n"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_response_that_comes_before_its_request_is_whole_is_the_last() {
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        served
            .say("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
            .await;
        while served.more().await {}
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    client.say(format!("{POST}Content-Length: 1000000\r\n\r\nstart")).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.body.as_str()), (413, "large"));
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(client.whole().await.unwrap(), b"", "closed in order");
}

/// Upstream says why before it closes: a write that fails must not hide it.
#[tokio::test]
async fn an_upstream_that_answers_and_closes_in_the_middle_of_an_upload_is_heard() {
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        served
            .say("HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
            .await;
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    client.say(format!("{POST}Content-Length: 100000000\r\n\r\n")).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.body.as_str()), (401, "no"));
}

/// RFC 9112 section 9.3.1: only what does no harm is sent a second time.
#[tokio::test]
async fn a_request_that_may_have_been_carried_out_is_not_sent_again() {
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        served.head().await;
    })
    .await;
    let world = World::with(origin).await;
    for (method, expected, times) in [("GET", 200, 2), ("DELETE", 502, 1), ("POST", 502, 1)] {
        let mut client = world.client().await;
        assert_eq!(client.get("api.example.com").await.status(), 200);
        let request = format!("{method} http://api.example.com/{method} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.say(request).await;
        assert_eq!(client.response().await.status(), expected, "{method}");
        let heard = world.origin.heard_all();
        assert_eq!(heard.matches(&format!("{method} /{method}")).count(), times, "{heard}");
    }
}

#[tokio::test]
async fn c_58_bytes_that_no_request_asked_for_end_a_kept_connection_to_upstream() {
    let origin = Origin::serving(|mut served| async move {
        while served.head().await.is_some() {
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            // A response to nobody, apart from the one before.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            served.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged").await;
        }
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    for requests in 1..=3 {
        assert_eq!(client.get("api.example.com").await.body, "hello");
        eventually("the connection is gone", || world.rows("EgretFlow").len() == requests).await;
    }
    assert_eq!(world.origin.heard().len(), 3);
    assert_eq!(world.rows("EgretFlow")[0]["End"], "UpstreamClosed");
}

#[tokio::test]
async fn a_response_without_a_length_ends_with_its_connection() {
    let origin = Origin::serving(|mut served| async move {
        served.head().await;
        served.say("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil ").await;
        served.say("the end").await;
    })
    .await;
    let world = World::with(origin).await;
    let mut client = world.client().await;
    client.say(HELLO).await;
    let head = client.head().await;
    assert_eq!(fields(&head)["Connection"], "close", "{head}");
    assert_eq!(client.whole().await.unwrap(), b"until the end");
}

#[tokio::test]
async fn a_denial_of_head_has_no_body() {
    let world = World::hello().await;
    let answer = world.answer("HEAD http://evil.test/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!((status(head), body), (403, ""), "{answer}");
    assert_ne!(fields(head)["Content-Length"], "0");
}

#[tokio::test]
async fn many_responses_go_to_a_client_that_reads_late() {
    let world = World::hello().await;
    let mut client = world.client().await;
    client.stream.write_all(HELLO.repeat(500).as_bytes()).await.unwrap();
    for at in 0..500 {
        assert_eq!(client.response().await.body, "hello", "{at}");
    }
    assert_eq!(world.origin.heard().len(), 1);
    assert_eq!(world.decisions().len(), 500);
}
