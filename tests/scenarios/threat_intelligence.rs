//! Threat intelligence: known-bad names before they are looked up, known-bad addresses before they are dialled.

use crate::far::Origin;
use crate::rows::of;
use crate::sink::Sink;
use crate::tables::faults;
use crate::world::{Builder, POLICY, World, until};
use egret::lab::client::{Ended, Hello};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A list of this test's own.
fn list(test: &str, lines: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.threats.txt"));
    std::fs::write(&path, lines).unwrap();
    path
}

/// The catalogue's policy behind a list, whose name `bad.openai.example.com` an application rule allows.
pub(crate) fn policy(test: &str, mode: &str) -> String {
    let path = list(
        test,
        "# known bad\nbad.openai.example.com\n*.c2.openai.example.com # and below\n203.0.113.99\n198.51.100.0/24\n127.0.1.66\n",
    );
    format!(
        "[threat_intelligence]\nmode = \"{mode}\"\nfiles = [{path:?}]\n\
         allowlist = {{ ip_addresses = [\"198.51.100.5\"], fqdns = [\"fine.c2.openai.example.com\"] }}\n{POLICY}"
    )
}

pub(crate) async fn world(test: &str, mode: &str, to: &str) -> World {
    builder(test, mode, to).start().await
}

pub(crate) fn builder(test: &str, mode: &str, to: &str) -> Builder {
    World::builder()
        .policy(&policy(test, mode))
        .record("bad.openai.example.com A 203.0.113.10")
        .record("x.c2.openai.example.com A 203.0.113.10")
        .record("fine.c2.openai.example.com A 203.0.113.10")
        .record("moved.openai.example.com A 203.0.113.10")
        .record("moved.openai.example.com A 203.0.113.99")
        .record("shared.openai.example.com A 198.51.100.5")
        .record("bad-but-shared.c2.openai.example.com A 198.51.100.5")
        .record("six.openai.example.com AAAA 64:ff9b::c633:6407")
        .record("alias.openai.example.com CNAME bad.openai.example.com")
        .record("astray.openai.example.com CNAME moved.openai.example.com")
        .record("all.c2.openai.example.com A 203.0.113.99")
        .record("all.c2.openai.example.com A 198.51.100.7")
        .config(&format!("[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\""))
}

#[tokio::test]
async fn a_listed_name_or_address_is_denied_before_every_rule_and_nobody_is_dialled() {
    let sink = Sink::start().await;
    let world = world("denied", "Deny", &sink.address.to_string()).await;
    for (target, address, listed) in [
        (
            "bad.openai.example.com:443",
            "",
            "the name bad.openai.example.com is listed",
        ),
        (
            "BAD.openai.example.com.:443",
            "",
            "the name bad.openai.example.com is listed",
        ),
        (
            "x.c2.openai.example.com:443",
            "",
            "the name x.c2.openai.example.com is listed",
        ),
        (
            "moved.openai.example.com:443",
            "203.0.113.99",
            "the destination 203.0.113.99 is listed",
        ),
        (
            "198.51.100.7:443",
            "198.51.100.7",
            "the destination 198.51.100.7 is listed",
        ),
        (
            "[64:ff9b::198.51.100.7]:443",
            "64:ff9b::c633:6407",
            "the destination 64:ff9b::c633:6407 is listed",
        ),
        (
            "six.openai.example.com:443",
            "64:ff9b::c633:6407",
            "the destination 64:ff9b::c633:6407 is listed",
        ),
        (
            "bad-but-shared.c2.openai.example.com:443",
            "",
            "the name bad-but-shared.c2.openai.example.com is listed",
        ),
    ] {
        let before = world.rows("AZFWThreatIntel").len();
        let denied = world.client().connect(target).await.unwrap();
        assert_eq!(denied.status(), 403, "{target}");
        assert!(denied.phrase().contains("ThreatIntelligence"), "{}", denied.phrase());
        let rows = world.rows("AZFWThreatIntel");
        assert_eq!(rows.len(), before + 1, "{target}");
        let row = &rows[before];
        assert_eq!(faults(row), [""; 0], "{target}");
        assert_eq!(of(row, "Action"), "Deny", "{target}");
        assert_eq!(of(row, "ThreatDescription"), listed, "{target}");
        assert_eq!(of(row, "DestinationIp"), address, "{target}");
    }
    let url = "GET http://bad.openai.example.com/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(world.ask(url).await.0, 403);
    let row = world.rows("AZFWThreatIntel").pop().unwrap();
    assert_eq!(of(&row, "TargetUrl"), "http://bad.openai.example.com/x");
    assert_eq!(
        world.dns().queries("bad.openai.example.com"),
        0,
        "a listed name is not looked up"
    );
    assert_eq!(world.rule_rows(), [] as [Value; 0], "Azure writes the hit alone");
    assert_eq!(sink.dials().await, 0, "somebody was dialled");
}

#[tokio::test]
async fn what_the_allowlist_names_is_not_looked_at() {
    let echo = Origin::echo().await;
    let world = world("allowlist", "Deny", &echo.address.to_string()).await;
    for name in ["fine.c2.openai.example.com", "shared.openai.example.com"] {
        let allowed = world.client().connect(&format!("{name}:443")).await.unwrap();
        assert_eq!(allowed.status(), 200, "{name}: {}", allowed.phrase());
    }
    assert_eq!(world.rows("AZFWThreatIntel"), [] as [Value; 0]);
}

#[tokio::test]
async fn an_alert_is_recorded_once_and_the_rules_decide() {
    let echo = Origin::echo().await;
    let world = world("alert", "Alert", &echo.address.to_string()).await;
    for (label, listed) in [("bad", "the name"), ("moved", "the destination 203.0.113.99")] {
        let before = world.rows("AZFWThreatIntel").len();
        let _wire = world.echoing(&world.client(), label).await;
        let rows = world.rows("AZFWThreatIntel");
        assert_eq!(rows.len(), before + 1, "{label}");
        assert_eq!(of(&rows[before], "Action"), "Alert");
        assert!(
            of(&rows[before], "ThreatDescription")
                .as_str()
                .unwrap()
                .starts_with(listed)
        );
        assert_eq!(of(&world.last_row(), "Action"), "Allow");
        assert_eq!(
            of(&world.last_row(), "egret")["flow"],
            of(&rows[before], "egret")["flow"]
        );
    }
    let denied = world.client().connect("198.51.100.7:443").await.unwrap();
    assert_eq!((denied.status(), world.last_reason().as_str()), (403, "IpLiteral"));
    assert_eq!(world.rows("AZFWThreatIntel").len(), 3);
    // A trailing dot makes no name of it.
    let _ = world.client().connect("198.51.100.7.:443").await.unwrap();
    assert_eq!(world.rows("AZFWThreatIntel").len(), 4);
}

#[tokio::test]
async fn an_alias_of_a_listed_name_is_judged_by_its_addresses() {
    let echo = Origin::echo().await;
    let world = world("alias", "Deny", &echo.address.to_string()).await;
    let allowed = world.client().connect("alias.openai.example.com:443").await.unwrap();
    assert_eq!(allowed.status(), 200, "{}", allowed.phrase());
    let denied = world.client().connect("astray.openai.example.com:443").await.unwrap();
    assert_eq!(denied.status(), 403, "{}", denied.phrase());
    assert_eq!(descriptions(&world), ["the destination 203.0.113.99 is listed"]);
}

/// What hits a world has recorded, in their order.
fn descriptions(world: &World) -> Vec<String> {
    let text = |row: &Value| of(row, "ThreatDescription").as_str().unwrap().to_owned();
    world.rows("AZFWThreatIntel").iter().map(text).collect()
}

/// A name, two addresses that it leads to, and who asks: a query by any of them finds the attempt.
#[tokio::test]
async fn each_hit_of_an_attempt_in_mode_alert_is_a_row_once() {
    let echo = Origin::echo().await;
    let world = world("each", "Alert", &echo.address.to_string()).await;
    let _wire = world.echoing(&world.client_at("127.0.1.66"), "all.c2").await;
    let mut rows = descriptions(&world);
    // Addresses are looked at in the order in which they may be dialled.
    rows[2..].sort();
    assert_eq!(
        rows,
        [
            "the name all.c2.openai.example.com is listed",
            "the source 127.0.1.66 is listed",
            "the destination 198.51.100.7 is listed",
            "the destination 203.0.113.99 is listed",
        ]
    );
    for row in world.rows("AZFWThreatIntel") {
        assert_eq!(faults(&row), [""; 0]);
        assert_eq!(of(&row, "Action"), "Alert");
        assert_eq!(of(&row, "Fqdn"), "all.c2.openai.example.com");
    }
    assert_eq!(of(&world.last_row(), "Action"), "Allow");
}

/// Another name in the tunnel is another hit; the source was told with the first.
#[tokio::test]
async fn a_listed_name_inside_the_tunnel_of_another_is_a_hit_of_its_own() {
    let echo = Origin::echo().await;
    let world = builder("inside", "Alert", &echo.address.to_string())
        .config("[proxy]\nsni_mismatch = \"decide\"")
        .start()
        .await;
    let client = world.client_at("127.0.1.66");
    let mut tunnel = client.connect("x.c2.openai.example.com:443").await.unwrap();
    let hello = Hello::to("bad.openai.example.com").bytes(&world.lab.authority).unwrap();
    tunnel.wire.send(&hello).await.unwrap();
    assert_eq!(tunnel.wire.take(hello.len()).await.unwrap(), hello);
    assert_eq!(
        descriptions(&world),
        [
            "the name x.c2.openai.example.com is listed",
            "the source 127.0.1.66 is listed",
            "the name bad.openai.example.com is listed",
        ]
    );
}

/// The gateway tries itself from 127.0.0.1 before anybody may.
#[tokio::test]
async fn the_self_test_of_a_start_is_no_hit() {
    let path = list("start", "127.0.0.1\n");
    let world = World::builder()
        .policy(&format!(
            "[threat_intelligence]\nmode = \"Alert\"\nfiles = [{path:?}]\n{POLICY}"
        ))
        .start()
        .await;
    assert_eq!(descriptions(&world), [""; 0]);
    assert_eq!(world.client().connect("evil.test:443").await.unwrap().status(), 403);
    assert_eq!(descriptions(&world), ["the source 127.0.0.1 is listed"]);
}

#[tokio::test]
async fn l_07_a_tunnel_whose_name_comes_onto_a_list_is_revoked() {
    let echo = Origin::echo().await;
    let world = Arc::new(world("revoked", "Off", &echo.address.to_string()).await);
    let mut listed = world.echoing(&world.client(), "bad").await;
    let mut kept = world.echoing(&world.client(), "a").await;
    assert_eq!(world.rows("AZFWThreatIntel"), [] as [Value; 0], "off is off");
    let (reloading, policy) = (world.clone(), policy("revoked", "Deny"));
    let reloaded = tokio::task::spawn_blocking(move || reloading.reload(&policy))
        .await
        .unwrap();
    assert_eq!(reloaded, (2, 1));
    assert_eq!(listed.to_end().await.1, Ended::Reset);
    until("its row", || world.rows("AZFWThreatIntel").len() == 1).await;
    kept.send(b"goes on").await.unwrap();
    assert_eq!(kept.take(7).await.unwrap(), b"goes on");
    assert_eq!(json!(world.rule_rows().len()), json!(2), "two decisions that allowed");
}

/// What comes onto a list while its tunnel waits for a ClientHello is a hit like any other.
#[tokio::test]
async fn a_name_that_comes_onto_a_list_before_its_tunnel_is_up_is_told_as_a_hit() {
    let echo = Origin::echo().await;
    for (mode, passes) in [("Deny", false), ("Alert", true)] {
        let test = format!("meanwhile-{mode}");
        let world = Arc::new(world(&test, "Off", &echo.address.to_string()).await);
        let name = "bad.openai.example.com";
        let mut tunnel = world.tunnel(&format!("{name}:443")).await;
        let (reloading, policy) = (world.clone(), policy(&test, mode));
        let reloaded = tokio::task::spawn_blocking(move || reloading.reload(&policy))
            .await
            .unwrap();
        assert_eq!(reloaded, (2, 0), "{mode}");
        let hello = Hello::to(name).bytes(&world.lab.authority).unwrap();
        tunnel.send(&hello).await.unwrap();
        match passes {
            true => assert_eq!(tunnel.take(hello.len()).await.unwrap(), hello),
            false => drop(tunnel.to_end().await),
        }
        until("its hit", || !world.rows("AZFWThreatIntel").is_empty()).await;
        let hits = world.rows("AZFWThreatIntel");
        assert_eq!(hits.len(), 1, "{mode}: {hits:?}");
        assert_eq!(of(&hits[0], "Action"), mode);
        assert_eq!(of(&hits[0], "Fqdn"), name);
        assert_eq!(faults(&hits[0]), [""; 0], "{mode}");
        let rules = world.rule_rows();
        let actions: Vec<_> = rules.iter().map(|row| of(row, "Action")).collect();
        assert_eq!(
            json!(actions),
            if passes { json!(["Allow"]) } else { json!([]) },
            "{mode}: {rules:?}"
        );
    }
}

/// The hits of an attempt for `bad`, if lists hold its name, where that leads, and who asks.
const ALL_OF_BAD: [&str; 3] = [
    "the destination 203.0.113.10 is listed",
    "the name bad.openai.example.com is listed",
    "the source 127.0.0.1 is listed",
];

/// A reload makes no new attempt of one that is under way: what was told of its CONNECT is told once.
#[tokio::test]
async fn what_was_told_of_a_connect_is_not_told_again_after_a_reload() {
    let echo = Origin::echo().await;
    let path = list("once", "bad.openai.example.com\n127.0.0.1\n203.0.113.10\n");
    let policy = |port: u16| {
        format!(
            "[threat_intelligence]\nmode = \"Alert\"\nfiles = [{path:?}]\n[[application_rule_collection]]\nname = \"c\"\npriority = 100\n\
             action = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r{port}\"\nsource_addresses = [\"*\"]\n\
             protocols = [{{ type = \"Http\", port = 8080 }}, {{ type = \"Https\", port = 443 }}]\n\
             destination_fqdns = [\"bad.openai.example.com\"]\n"
        )
    };
    let world = Arc::new(
        builder("once-world", "Off", &echo.address.to_string())
            .policy(&policy(1))
            .start()
            .await,
    );
    let name = "bad.openai.example.com";
    for (generation, port) in [(2, 8080), (3, 443)] {
        let before = descriptions(&world).len();
        let mut tunnel = world.tunnel(&format!("{name}:{port}")).await;
        let (reloading, next) = (world.clone(), policy(port));
        let reloaded = tokio::task::spawn_blocking(move || reloading.reload(&next))
            .await
            .unwrap();
        assert_eq!(reloaded.0, generation);
        let sent = match port {
            443 => Hello::to(name).bytes(&world.lab.authority).unwrap(),
            _ => format!("GET / HTTP/1.1\r\nHost: {name}:8080\r\n\r\n").into_bytes(),
        };
        tunnel.send(&sent).await.unwrap();
        until("its row", || world.rule_rows().len() == usize::from(generation > 2) + 1).await;
        let mut told = descriptions(&world).split_off(before);
        told.sort_unstable();
        assert_eq!(told, ALL_OF_BAD, "{port}");
    }
}

/// TLS in a tunnel for plain HTTP is the attempt of its CONNECT, denied.
#[tokio::test]
async fn tls_in_a_tunnel_for_plain_http_tells_no_hit_twice() {
    let echo = Origin::echo().await;
    let path = list("tls-in-http", "bad.openai.example.com\n127.0.0.1\n203.0.113.10\n");
    let policy = format!(
        "[threat_intelligence]\nmode = \"Alert\"\nfiles = [{path:?}]\n[[application_rule_collection]]\nname = \"c\"\npriority = 100\n\
         action = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
         protocols = [{{ type = \"Http\", port = 8080 }}]\ndestination_fqdns = [\"bad.openai.example.com\"]\n"
    );
    let builder = builder("tls-in-http-world", "Off", &echo.address.to_string());
    let world = builder.policy(&policy).start().await;
    let name = "bad.openai.example.com";
    let mut tunnel = world.tunnel(&format!("{name}:8080")).await;
    let hello = Hello::to(name).bytes(&world.lab.authority).unwrap();
    tunnel.send(&hello).await.unwrap();
    tunnel.to_end().await;
    until("its row", || world.rule_rows().len() == 1).await;
    assert_eq!(of(&world.rule_rows()[0], "Action"), "Deny");
    let mut told = descriptions(&world);
    told.sort_unstable();
    assert_eq!(told, ALL_OF_BAD);
}
