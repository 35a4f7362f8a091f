//! Plain HTTP through a whole gateway: absolute-form requests and tunnels to `Http` rules. The origin keeps all that it
//! hears, so that a denial is shown there and not only by its status.

mod any_bytes;
mod books;
mod exchanges;
mod heads;
mod responses;
mod revoked;
mod upgrades;
mod world;

use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{Origin, POLICY, World, checked, eventually, fields, status};

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
