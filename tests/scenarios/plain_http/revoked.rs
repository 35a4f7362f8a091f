//! Connections that are open when the rules change, or when egret ends.

use super::*;

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
    eventually("both have their rows", || world.rows("EgretFlow").len() == 2).await;
    for row in world.rows("EgretFlow") {
        // Whether it was reset or could still be answered.
        let said = (&row["End"], &row["Reason"], &row["Generation"]);
        assert_eq!(said, (&"Revoked".into(), &"Revoked".into(), &2.into()), "{row}");
    }
}

#[tokio::test]
async fn f_03_no_connection_keeps_the_policy_that_decided_it() {
    const IN_TUNNEL: &str = "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let world = World::hello().await;
    let mut clients = [
        (world.client().await, HELLO),
        (world.tunnel("api.example.com:80").await, IN_TUNNEL),
    ];
    for (client, request) in &mut clients {
        client.say(*request).await;
        assert_eq!(client.response().await.status(), 200);
    }
    let old = Arc::downgrade(&world.gateway.snapshot());
    let same = POLICY.replace("priority = 100", "priority = 101");
    let (gateway, next) = (world.gateway.clone(), checked(world.origin.address, &same));
    let (_, revoked) = tokio::task::spawn_blocking(move || gateway.reload(next).unwrap())
        .await
        .unwrap();
    assert_eq!(revoked, 0);
    eventually("it is gone, though its connections are open", || {
        old.upgrade().is_none()
    })
    .await;
    for (client, request) in &mut clients {
        client.say(*request).await;
        assert_eq!(client.response().await.status(), 200);
    }
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
