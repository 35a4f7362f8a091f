//! Reload and drain: what changes, what stays, and that every row says under which policy it was decided.

use crate::far::{Origin, page};
use crate::rows::of;
use crate::sink::Sink;
use crate::world::{POLICY, World, until};
use egret::gateway::ReloadError;
use egret::lab::client::{Client, Ended, Hello};
use egret::metrics::Metric;
use std::collections::BTreeMap;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const API: &str = "api.example.com:443";

/// A policy that allows these names (as in TOML) and no other.
fn allows(names: &str) -> String {
    format!(
        "[[application_rule_collection]]\nname = \"allowed\"\npriority = 100\naction = \"Allow\"\n\
         [[application_rule_collection.rule]]\nname = \"catalogue\"\nsource_addresses = [\"*\"]\n\
         destination_fqdns = [{names}]\n"
    )
}

/// Everything but `*.openai.example.com`.
fn without_openai() -> String {
    allows("\"api.example.com\", \"*.blob.example.net\"")
}

impl World {
    /// [`World::reload`] without holding up the other tasks of the test.
    async fn reloads(self: &Arc<Self>, policy: String) -> (u64, usize) {
        let world = self.clone();
        tokio::task::spawn_blocking(move || world.reload(&policy))
            .await
            .unwrap()
    }

    /// Runs [`Gateway::drain`](egret::gateway::Gateway::drain) on a thread of its own.
    fn drains(&self, limit: Duration) -> tokio::task::JoinHandle<()> {
        let gateway = self.gateway.clone();
        tokio::task::spawn_blocking(move || gateway.drain(limit))
    }
}

#[tokio::test]
async fn l_06_the_generation_in_a_row_explains_its_verdict() {
    let fast = "attempts_per_second_per_source = 100000\nattempts_burst_per_source = 100000";
    let world = Arc::new(World::builder().limits(fast).start().await);
    // Odd generations allow the name, even ones deny it.
    let policy = |generation: u64| {
        allows(if generation % 2 == 1 {
            "\"api.example.com\""
        } else {
            "\"other.example.com\""
        })
    };
    let mut hashes = BTreeMap::from([(1, world.gateway.snapshot().hash.to_string())]);
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let (client, stop) = (world.client(), world.clone());
        clients.spawn(async move {
            while stop.gateway.snapshot().generation < 51 {
                let mut connected = client.connect(API).await.unwrap();
                assert!([200, 403].contains(&connected.status()), "{}", connected.phrase());
                if connected.status() == 200 {
                    let _ = connected.wire.handshake(&Hello::to("api.example.com")).await;
                }
            }
        });
    }
    // The first text is the catalogue's, which is not quite that of the odd generations.
    for generation in 2..=51 {
        assert_eq!(world.reloads(policy(generation)).await.0, generation);
        hashes.insert(generation, world.gateway.snapshot().hash.to_string());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let rows = world.rule_rows();
    let mut seen = BTreeMap::new();
    for row in &rows {
        let egret = &of(row, "egret");
        let (generation, reason) = (egret["generation"].as_u64().unwrap(), egret["reason"].as_str().unwrap());
        let (verdict, expected) = match generation % 2 {
            1 => ("Allow", &["RuleMatched"][..]),
            _ => ("Deny", &["NoRuleMatched", "Revoked"][..]),
        };
        assert_eq!(of(row, "Action"), verdict, "{row}");
        assert!(expected.contains(&reason), "{row}");
        assert_eq!(egret["policy_hash"], *hashes[&generation], "{row}");
        *seen.entry(generation).or_insert(0) += 1;
    }
    assert!(seen.len() > 20, "rows of many generations: {seen:?}");
    assert_eq!(world.gateway.metrics().value(Metric::Reloads, &["ok"]), Some(50));
}

#[tokio::test]
async fn l_07_tunnels_of_a_revoked_name_are_reset_within_a_second_and_others_live() {
    let echo = Origin::echo().await;
    let world = Arc::new(
        World::builder()
            .leads("echo", echo.address)
            .record("echo.blob.example.net A 203.0.113.99")
            .config(&format!(
                "[[dial.override]]\nfrom = \"203.0.113.99:*\"\nto = \"{}\"",
                echo.address
            ))
            .start()
            .await,
    );
    let mut revoked = Vec::new();
    for _ in 0..30 {
        revoked.push(world.echoing(&world.client(), "echo").await);
    }
    let mut kept = world.client().connect("echo.blob.example.net:443").await.unwrap().wire;
    let hello = Hello::to("echo.blob.example.net").bytes(&world.lab.authority).unwrap();
    kept.send(&hello).await.unwrap();
    kept.take(hello.len()).await.unwrap();

    let started = Instant::now();
    assert_eq!(world.reloads(without_openai()).await, (2, 30));
    for wire in &mut revoked {
        assert_eq!(
            wire.to_end().await.1,
            Ended::Reset,
            "nobody takes it for a complete answer"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    for wire in &revoked {
        until("its last rows", || world.find_end(wire).is_some()).await;
        let (row, end) = (world.row_of(wire), world.find_end(wire).unwrap());
        assert_eq!(of(&row, "Action"), "Deny");
        assert_eq!(of(&row, "egret")["reason"], "Revoked");
        assert_eq!(of(&row, "egret")["detail"], "NoRuleMatched", "what the policy says now");
        assert_eq!(of(&row, "egret")["generation"], 2);
        let said = ["End", "Reason", "Stage"].map(|column| of(&end, column));
        assert_eq!(said, ["Revoked", "Revoked", "Relay"]);
        assert_eq!(of(&end, "Generation"), 2);
        assert!(of(&end, "BytesSent").as_u64() > Some(100), "{end}");
    }
    kept.send(b"goes on").await.unwrap();
    assert_eq!(kept.take(7).await.unwrap(), b"goes on");
    drop(kept);
    until("the last tunnel ends", || world.gateway.connections() == 0).await;
    let end = world.rows("EgretFlow").pop().unwrap();
    assert_eq!(of(&end, "Generation"), 2, "it was judged by the second policy too");
}

#[tokio::test]
async fn l_07_a_tunnel_whose_address_may_no_longer_be_dialled_is_revoked_too() {
    let echo = Origin::echo().await;
    let rule = |extra: &str| allows("\"inside.example.com\"") + extra;
    let world = Arc::new(
        World::builder()
            .record("inside.example.com A 10.9.8.7")
            .config(&format!(
                "[[dial.override]]\nfrom = \"10.9.8.7/32:*\"\nto = \"{}\"",
                echo.address
            ))
            .policy(&rule("resolves_into = [\"10.9.0.0/16\"]\n"))
            .start()
            .await,
    );
    let mut wire = world.client().connect("inside.example.com:443").await.unwrap().wire;
    let hello = Hello::to("inside.example.com").bytes(&world.lab.authority).unwrap();
    wire.send(&hello).await.unwrap();
    wire.take(hello.len()).await.unwrap();

    assert_eq!(world.reloads(rule("resolves_into = [\"10.9.8.0/24\"]\n")).await, (2, 0));
    assert_eq!(world.reloads(rule("resolves_into = [\"10.7.0.0/16\"]\n")).await, (3, 1));
    assert_eq!(wire.to_end().await.1, Ended::Reset);
    until("its last row", || world.last_reason() == "Revoked").await;
    assert_eq!(of(&world.last_row(), "egret")["detail"], "AddressDenied");
}

#[tokio::test]
async fn f_03_no_tunnel_counts_the_policy_that_opened_it_and_none_outlives_its_reload() {
    let echo = Origin::echo().await;
    let world = Arc::new(World::builder().leads("echo", echo.address).start().await);
    let mut open = vec![world.echoing(&world.client(), "echo").await];
    let first = world.gateway.snapshot();
    let counted = Arc::strong_count(&first);
    for _ in 0..20 {
        open.push(world.echoing(&world.client(), "echo").await);
    }
    // Each worker holds it once, and may not have seen it before.
    let workers = std::thread::available_parallelism().unwrap().get();
    assert!(
        Arc::strong_count(&first) < counted + workers,
        "flows count it for themselves"
    );
    let old = Arc::downgrade(&first);
    drop(first);
    let same = POLICY.replace("priority = 100", "priority = 101");
    assert_eq!(world.reloads(same).await, (2, 0));
    until("it is gone, though its tunnels are open", || old.upgrade().is_none()).await;
    for wire in &mut open {
        wire.send(b"goes on").await.unwrap();
        assert_eq!(wire.take(7).await.unwrap(), b"goes on");
    }
}

#[tokio::test]
async fn l_09_dns_limits_and_answers_apply_at_once_and_what_cannot_is_refused_whole() {
    let world = World::builder().start().await;
    assert_eq!(asked(&world.client(), API).await.0, 200);
    let asked_before = world.dns().queries("api.example.com");

    // Another forwarder, another limit, another kind of answer: all of it new at the next attempt.
    let other = egret::lab::dns::LabDns::start().await.unwrap();
    other.address_of("api.example.com", "203.0.113.10".parse().unwrap());
    let text = world
        .text(POLICY)
        .replace(&world.dns().address().to_string(), &other.address().to_string())
        .replace("[limits]\n", "[limits]\ntunnels_per_source = 1\n")
        + "[proxy]\ndeny_detail = \"flow-id\"\n";
    let next = || egret::config::from_text("next.toml", &text).unwrap();
    world.gateway.reload(next()).unwrap();
    assert_eq!(asked(&world.client(), API).await.0, 200);
    assert_eq!(
        world.dns().queries("api.example.com"),
        asked_before,
        "not the old forwarder"
    );
    assert!(other.queries("api.example.com") > 0, "but the new one");
    let phrase = asked(&world.client(), "evil.test:443").await.1;
    assert!(!phrase.contains("NoRuleMatched"), "{phrase}");
    until("nothing is open", || world.gateway.connections() == 0).await;
    let held = world.client().open().await.unwrap();
    until("one is open", || world.gateway.connections() == 1).await;
    assert_eq!(asked(&world.client(), API).await.0, 503, "one place for a source");
    drop(held);

    // Listeners, sinks and workers are those of the start: nothing of such a file applies.
    let mut fixed = egret::config::from_text("fixed.toml", &world.text(&without_openai())).unwrap();
    fixed.settings.listeners.proxy.push("127.0.0.1:1".parse().unwrap());
    fixed.settings.log.stdout = !fixed.settings.log.stdout;
    fixed.settings.limits.workers = Some(7);
    let before = world.gateway.snapshot();
    let refused = world.gateway.reload(fixed).unwrap_err();
    let ReloadError::Fixed(what) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(what[..], ["listeners", "log", "limits.workers"], "all of them at once");
    assert!(
        Arc::ptr_eq(&before, &world.gateway.snapshot()),
        "and nothing else has changed"
    );
    assert_eq!(world.gateway.metrics().value(Metric::Reloads, &["failed"]), Some(1));
    let status = || page(world.gateway.admin_addrs()[0], "/status");
    assert!(status().await.contains("listeners, log, limits.workers cannot change"));
    world.reload(POLICY);
    assert!(!status().await.contains("cannot change"), "the last one went well");
}

#[tokio::test]
async fn l_10_a_reload_judges_cached_answers_by_its_own_rules() {
    let sink = Sink::start().await;
    let rule = |extra: &str| allows("\"inside.example.com\"") + extra;
    let world = World::builder()
        .record("inside.example.com A 10.9.8.7")
        .config(&sink.instead_of(&["10.9.8.7/32"]))
        .policy(&rule("resolves_into = [\"10.9.0.0/16\"]\n"))
        .start()
        .await;
    let client = world.client();
    assert_eq!(asked(&client, "inside.example.com:443").await.0, 200);
    let (queries, dials) = (world.dns().queries("inside.example.com"), sink.dials().await);

    world.reload(&rule(""));
    let (status, phrase) = asked(&client, "inside.example.com:443").await;
    assert_eq!(status, 403, "{phrase}");
    assert_eq!(world.last_reason(), "AddressDenied");
    world.reload(&allows("\"other.example.com\""));
    assert_eq!(asked(&client, "inside.example.com:443").await.0, 403);
    assert_eq!(world.last_reason(), "NoRuleMatched", "no decision is kept either");
    assert_eq!(
        (world.dns().queries("inside.example.com"), sink.dials().await),
        (queries, dials),
        "the answer was in the cache, and nobody was dialled"
    );
}

/// Status and reason phrase of the answer to a CONNECT.
async fn asked(client: &Client, target: &str) -> (u16, String) {
    let connected = client.connect(target).await.unwrap();
    (connected.status(), connected.phrase().to_string())
}

#[tokio::test]
async fn r_19_a_drain_refuses_at_once_lets_tunnels_live_and_cuts_them_at_the_second_signal() {
    let echo = Origin::echo().await;
    let world = World::builder().leads("echo", echo.address).start().await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(world.echoing(&world.client(), "echo").await);
    }
    let mut silent = world.client().open().await.unwrap();
    until("all are in", || world.gateway.connections() == 101).await;

    let drained = world.drains(Duration::from_secs(60));
    // A client that is connected and has not asked yet is told; a new one is refused by the kernel.
    let told = silent.reply("CONNECT").await.unwrap();
    assert_eq!(told.status, 503);
    assert!(told.phrase.contains("Draining"), "{}", told.phrase);
    drop(silent);
    until("nobody listens any more", || StdStream::connect(world.proxy()).is_err()).await;
    for wire in &mut open {
        wire.send(b"still here").await.unwrap();
        assert_eq!(wire.take(10).await.unwrap(), b"still here");
    }
    assert!(!drained.is_finished());

    let cut = Instant::now();
    world.gateway.hurry();
    for wire in &mut open {
        assert_eq!(wire.to_end().await.1, Ended::Reset);
    }
    drained.await.unwrap();
    assert!(cut.elapsed() < Duration::from_secs(3), "{:?}", cut.elapsed());
    let ends = world.rows("EgretFlow");
    let drained: Vec<_> = ends.iter().filter(|row| of(row, "End") == "Drained").collect();
    assert_eq!(drained.len(), 100);
    for row in drained {
        assert!(
            of(row, "BytesSent").as_u64() > Some(10) && of(row, "BytesSent") == of(row, "BytesReceived"),
            "{row}"
        );
    }
}

#[tokio::test]
async fn r_19_at_the_drain_limit_every_stage_is_cut_and_recorded_as_drained() {
    let hole = crate::far::BlackHole::start();
    let world = World::builder().leads("hole", hole.address).start().await;
    let mut gated = world.tunnel(API).await;
    let mut dialling = world.client().open().await.unwrap();
    dialling
        .send(b"CONNECT hole.openai.example.com:443 HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    world.shows("egret_dials_pending 1").await;
    let started = Instant::now();
    world.drains(Duration::from_millis(100)).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    for (wire, stage) in [(&mut gated, "Gate"), (&mut dialling, "Connect")] {
        wire.to_end().await;
        let end = world.find_end(wire).unwrap();
        let said = ["End", "Reason", "Stage"].map(|column| of(&end, column));
        assert_eq!(said, ["Drained", "Draining", stage]);
    }
    assert_eq!(world.gateway.metrics().value(Metric::Panics, &[]), Some(0));
}
