//! The admin and health listeners over real sockets.

use crate::world::{World, until};
use egret::lab::client::{Connected, Hello};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends the bytes; status and body of the answer, or 0 and nothing where the connection was only closed.
async fn send(to: SocketAddr, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // It may answer and close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(12), stream.read_to_end(&mut answer)).await;
    read.expect("the listener neither answered nor closed").ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), body.to_string())
}

async fn get(to: SocketAddr, path: &str) -> (u16, String) {
    send(to, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await
}

async fn tunnel(world: &World) -> Connected {
    let mut connected = world.client().connect("api.example.com:443").await.unwrap();
    connected.wire.handshake(&Hello::to("api.example.com")).await.unwrap();
    connected
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The series of a metrics page.
fn series(body: &str) -> Vec<&str> {
    body.lines().filter(|line| !line.starts_with('#')).collect()
}

#[tokio::test]
async fn the_pages_tell_what_is_going_on() {
    let world = World::usual().await;
    let admin = world.gateway.admin_addrs()[0];
    assert_eq!(
        world
            .client()
            .get_https("api.example.com", "/hello")
            .await
            .unwrap()
            .status,
        200
    );
    world.ask("CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (status, metrics) = get(admin, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "egret_ready 1",
        "egret_policy_generation 1",
        "egret_decisions_total{action=\"allow\",reason=\"RuleMatched\"} 1",
        "egret_dns_lookups_total{result=\"miss\"} 1",
    ] {
        assert!(series(&metrics).contains(&line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
    let (status, policy) = get(admin, "/policy").await;
    assert_eq!(status, 200);
    let collection = &json(&policy)["groups"][0]["collections"][0];
    assert_eq!(collection["name"], "allowed");
    assert_eq!(collection["rules"][0]["targets"][1]["fqdn"], "*.openai.example.com");
    assert_eq!(collection["rules"][0]["protocols"][0], "Https:443");
    let (status, state) = get(admin, "/status").await;
    assert_eq!((status, &json(&state)["status"]), (200, &"ready".into()));
}

#[tokio::test]
async fn open_flows_are_listed_with_their_bytes() {
    let world = World::usual().await;
    let admin = world.gateway.admin_addrs()[0];
    let before = json(&get(admin, "/flows").await.1);
    assert_eq!(before["open"], 0);
    let tunnel = tunnel(&world).await;
    until("the tunnel is in the table", || world.rule_rows().len() == 1).await;
    let listed = json(&get(admin, "/flows").await.1);
    assert_eq!((&listed["open"], &listed["listed"]), (&1.into(), &1.into()));
    assert_eq!(listed["flows"][0]["fqdn"], "api.example.com");
    assert_eq!(
        listed["flows"][0]["flow"],
        world.last_row()["properties"]["egret"]["flow"]
    );
    for bytes in ["sent_bytes", "received_bytes"] {
        let count = listed["flows"][0][bytes].as_u64();
        assert!(count > Some(200), "both sides of a handshake: {listed}");
    }
    drop(tunnel);
}

#[tokio::test]
async fn x_01_the_admin_listener_is_on_loopback_and_nowhere_else() {
    let text = "[listeners]\nadmin = [\"0.0.0.0:9180\"]\n";
    let problems = egret::config::from_text("egret.toml", text).unwrap_err();
    assert!(
        problems.iter().any(|p| p.to_string().contains("not on loopback")),
        "{problems:?}"
    );
    let listeners = egret::config::settings::Listeners::default();
    assert!(
        listeners
            .admin
            .iter()
            .chain(&listeners.health)
            .all(|address| address.ip().is_loopback())
    );
}

#[tokio::test]
async fn x_02_a_page_that_rebinds_its_name_to_loopback_reads_nothing() {
    let world = World::usual().await;
    let admin = world.gateway.admin_addrs()[0];
    for host in [
        "evil.test",
        "evil.test:9180",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "0.0.0.0",
        "[::]",
        "",
    ] {
        for path in ["/metrics", "/policy", "/flows", "/status"] {
            let (status, body) = send(admin, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
            assert_eq!(status, 403, "{host}: {body}");
            assert!(!body.contains("api.example.com"));
        }
    }
    for head in [
        "GET /policy HTTP/1.0\r\n\r\n",
        "GET /policy HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n",
    ] {
        assert_eq!(send(admin, head.as_bytes()).await.0, 403, "{head}");
    }
    for host in ["localhost", "LocalHost:9180", "127.0.0.1:1", "[::1]:9180"] {
        let (status, _) = send(
            admin,
            format!("GET /status HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(),
        )
        .await;
        assert_eq!(status, 200, "{host}");
    }
}

#[tokio::test]
async fn x_06_odd_requests_get_a_refusal_and_the_listener_lives() {
    let world = World::usual().await;
    let long = "a".repeat(9000);
    for listener in [world.gateway.admin_addrs()[0], world.gateway.health_addrs()[0]] {
        for path in [
            "/../metrics",
            "//metrics",
            "/%2e%2e/metrics",
            "/metrics/",
            "/METRICS",
            "/readyz/..",
            "//readyz",
            "/%72eadyz",
            "/",
            "/metrics%00",
            "/debug",
            "/config",
            "http://localhost/metrics",
            "http://evil.test/readyz",
            "*",
        ] {
            let (status, body) = get(listener, path).await;
            assert!((400..500).contains(&status), "{path}: {status} {body}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            for path in ["/metrics", "/readyz", "/drain"] {
                let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}");
                assert_eq!(send(listener, request.as_bytes()).await.0, 405, "{method}");
            }
        }
        for request in [
            format!("GET /metrics?{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
            format!(
                "GET /metrics HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                "x: y\r\n".repeat(500)
            ),
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n".into(),
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".into(),
            "GET / HTTP/9.9\r\n\r\n".into(),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        ] {
            let (status, _) = send(listener, request.as_bytes()).await;
            assert!(
                status == 0 || (400..600).contains(&status),
                "{status}: {}",
                &request[..40]
            );
        }
    }
    assert_eq!(get(world.gateway.admin_addrs()[0], "/metrics?x=1").await.0, 200);
    assert_eq!(get(world.gateway.health_addrs()[0], "/readyz").await.0, 200);
    assert_eq!(world.upstream_bytes(), 0);
}

#[tokio::test]
async fn x_06_slow_heads_and_bodies_hold_a_place_only_for_a_while() {
    let world = World::usual().await;
    let admin = world.gateway.admin_addrs()[0];
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: lo").await.unwrap();
        silent.push(stream);
    }
    let start = Instant::now();
    while get(admin, "/metrics").await.0 != 200 {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the silent ones still hold every place"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let slow = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx";
    let (status, _) = send(admin, slow.as_bytes()).await;
    assert_eq!(status, 200, "a body is never waited for");
}

#[tokio::test]
async fn x_08_health_answers_at_once_and_says_when_egret_stops() {
    let world = World::usual().await;
    let health = world.gateway.health_addrs()[0];
    let start = Instant::now();
    let (status, body) = get(health, "/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    let ready = json(&body);
    assert_eq!((&ready["generation"], &ready["mode"]), (&1.into(), &"enforce".into()));
    assert_eq!(ready["overrides"], true, "the lab's mapping is not hidden");
    assert_eq!(get(health, "/healthz").await.0, 200);
    // A tunnel keeps the drain going while health is asked.
    let tunnel = tunnel(&world).await;
    let gateway = world.gateway.clone();
    let drained = tokio::task::spawn_blocking(move || gateway.drain(Duration::from_secs(10)));
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let (status, body) = get(health, "/readyz").await;
        if status == 503 {
            assert_eq!(json(&body)["status"], "draining");
            break;
        }
        assert!(Instant::now() < deadline, "readiness does not show the drain");
    }
    assert_eq!(get(health, "/healthz").await.0, 200, "a draining process is alive");
    drop(tunnel);
    drained.await.unwrap();
}

#[tokio::test]
async fn x_08_silent_connections_do_not_keep_a_probe_out() {
    let world = World::usual().await;
    let health = world.gateway.health_addrs()[0];
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(health).await.unwrap());
    }
    let start = Instant::now();
    assert_eq!(get(health, "/readyz").await.0, 200);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    let mut last = silent.pop().unwrap();
    let closed = timeout(Duration::from_secs(3), last.read(&mut [0; 512])).await;
    assert!(closed.is_ok(), "a second is enough for a head");
}

#[tokio::test]
async fn g_07_names_that_clients_choose_make_no_series() {
    let world = World::builder()
        .limits("attempts_per_second_per_source = 100000\nattempts_burst_per_source = 100000")
        .start()
        .await;
    let admin = world.gateway.admin_addrs()[0];
    world.ask("CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let before = get(admin, "/metrics").await.1;
    for n in 0..500 {
        world
            .ask(format!("CONNECT n{n}.evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
    }
    let after = get(admin, "/metrics").await.1;
    assert_eq!(series(&before).len(), series(&after).len());
    assert!(!after.contains("evil"), "{after}");
    assert!(
        after.contains("egret_decisions_total{action=\"deny\",reason=\"NoRuleMatched\"} 50"),
        "{after}"
    );
}

#[tokio::test]
async fn x_04_no_page_shows_what_clients_authenticate_with() {
    let world = World::usual().await;
    for request in [
        "CONNECT user:hunter2@api.example.com:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic aHVudGVyMg==\r\n\r\n",
        "GET http://evil.test/?api-key=hunter2 HTTP/1.1\r\nHost: evil.test\r\nAuthorization: Bearer hunter2\r\nCookie: s=hunter2\r\n\r\n",
    ] {
        world.ask(request).await;
    }
    let admin = world.gateway.admin_addrs()[0];
    let mut pages = world.log.lines().join("\n");
    for path in [
        "/metrics",
        "/status",
        "/policy",
        "/flows",
        "/config",
        "/debug",
        "/debug/pprof",
        "/core",
    ] {
        let (status, body) = get(admin, path).await;
        assert_eq!(
            status == 404,
            ["/config", "/debug", "/debug/pprof", "/core"].contains(&path),
            "{path}"
        );
        pages.push_str(&body);
    }
    for secret in ["hunter2", "aHVudGVyMg"] {
        assert!(!pages.contains(secret), "{pages}");
    }
}

#[tokio::test]
async fn x_05_the_proxy_is_no_way_to_its_own_listeners() {
    let policy = "
[[application_rule_collection]]
name = \"everything\"
priority = 100
action = \"Allow\"
  [[application_rule_collection.rule]]
  name = \"any\"
  source_addresses = [\"*\"]
  protocols = [{ type = \"Https\", port = ADMIN }, { type = \"Http\", port = HEALTH }]
  destination_fqdns = [\"*\"]
  allow_wide = true
";
    let world = World::builder()
        .record("me.example.com A 127.0.0.1")
        .record("mapped.example.com AAAA ::ffff:127.0.0.1")
        .start()
        .await;
    let (admin, health) = (
        world.gateway.admin_addrs()[0].port(),
        world.gateway.health_addrs()[0].port(),
    );
    world.reload(
        &policy
            .replace("ADMIN", &admin.to_string())
            .replace("HEALTH", &health.to_string()),
    );
    let mut vectors = Vec::new();
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "me.example.com",
        "mapped.example.com",
    ] {
        vectors.push(format!("CONNECT {host}:{admin} HTTP/1.1\r\nHost: x\r\n\r\n"));
        vectors.push(format!(
            "GET http://{host}:{health}/readyz HTTP/1.1\r\nHost: {host}:{health}\r\n\r\n"
        ));
    }
    let refused = [403, 502, 508];
    world
        .refuses(
            vectors,
            &refused,
            &["IpLiteral", "AddressDenied", "Loop", "DnsNxdomain"],
        )
        .await;
}
