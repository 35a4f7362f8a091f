//! Connections to upstream behind one client: when one is used again, when it ends, and that each row tells of one.

use super::world::{Origin, World};

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
