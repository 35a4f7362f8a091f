//! Limits: each refuses with a reason of its own, gives its places back, and leaves everybody else alone.

use crate::far::{BlackHole, Origin};
use crate::world::{POLICY, World, until};
use egret::lab::client::{Client, Ended, Hello};
use egret::lab::dns::Behaviour;
use egret::metrics::Metric;
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const API: &str = "api.example.com:443";

fn target(label: &str) -> String {
    format!("{label}.openai.example.com:443")
}

/// Status and reason phrase of the answer to a CONNECT.
async fn asked(client: &Client, target: &str) -> (u16, String) {
    let connected = client
        .connect(target)
        .await
        .unwrap_or_else(|ended| panic!("{target}: {ended}"));
    (connected.status(), connected.phrase().to_string())
}

/// It is refused at this limit, and says so.
async fn at_limit(client: &Client, target: &str, limit: &str) {
    let (status, phrase) = asked(client, target).await;
    assert_eq!(status, 503, "{phrase}");
    assert!(phrase.contains(limit), "{phrase}");
}

impl World {
    fn refused_at(&self, limit: &str) -> u64 {
        let metrics = self.gateway.metrics();
        metrics.value(Metric::LimitRefusals, &[limit]).unwrap()
    }
}

#[tokio::test]
async fn f_08_r_12_a_source_and_all_together_have_so_many_places_and_get_them_back() {
    let world = World::builder()
        .limits("tunnels = 3\ntunnels_per_source = 2")
        .start()
        .await;
    let [greedy, modest, late] = ["127.0.1.1", "127.0.1.2", "127.0.1.3"].map(|source| world.client_at(source));
    let held = [greedy.open().await.unwrap(), greedy.open().await.unwrap()];
    until("both are in", || world.gateway.connections() == 2).await;
    at_limit(&greedy, API, "LimitSourceTunnels").await;
    let tunnel = modest.connect(API).await.unwrap();
    assert_eq!(tunnel.status(), 200, "others get through");
    at_limit(&late, API, "LimitTunnels").await;
    assert_eq!(
        [world.refused_at("LimitSourceTunnels"), world.refused_at("LimitTunnels")],
        [1, 1]
    );
    let ends = world.rows("EgretFlow");
    let [first, second] = &ends[..] else {
        panic!("two rows for two refusals: {ends:#?}")
    };
    for (row, reason, source) in [
        (first, "LimitSourceTunnels", "127.0.1.1"),
        (second, "LimitTunnels", "127.0.1.3"),
    ] {
        let said = ["Reason", "Stage", "End", "SourceIp"].map(|column| &row["properties"][column]);
        assert_eq!(said, [reason, "Accept", "Refused", source]);
    }
    drop(held);
    until("places come back", || world.gateway.connections() == 1).await;
    assert_eq!(asked(&late, API).await.0, 200);
}

#[tokio::test]
async fn f_08_no_more_dials_at_once_than_the_limit() {
    let hole = BlackHole::start();
    let world = World::builder()
        .leads("hole", hole.address)
        .limits("dials = 1\nconnect_seconds = 1")
        .start()
        .await;
    let client = world.client();
    let (first, dead) = (client.clone(), target("hole"));
    let first = tokio::spawn(async move { asked(&first, &dead).await });
    world.shows("egret_dials_pending 1").await;
    at_limit(&client, API, "LimitDials").await;
    assert_eq!(world.last_reason(), "LimitDials");
    assert_eq!(world.refused_at("LimitDials"), 1);
    assert_eq!(first.await.unwrap().0, 504);
    assert_eq!(asked(&client, API).await.0, 200, "the place is free again");
}

#[tokio::test]
async fn f_08_a_source_asks_no_faster_than_its_rate() {
    let world = World::builder()
        .limits("attempts_per_second_per_source = 1\nattempts_burst_per_source = 3")
        .start()
        .await;
    let (eager, other) = (world.client_at("127.0.1.1"), world.client_at("127.0.1.2"));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(asked(&eager, "evil.test:443").await.0);
    }
    assert_eq!(statuses[..3], [403; 3], "the burst");
    assert!(statuses[3..].contains(&503), "{statuses:?}");
    assert_eq!(world.last_row()["properties"]["Action"], "Deny");
    assert!(world.refused_at("LimitSourceRate") >= 1);
    assert_eq!(asked(&other, API).await.0, 200, "others have a rate of their own");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(asked(&eager, API).await.0, 200, "a second later it may ask again");
}

#[tokio::test]
async fn f_08_what_waits_to_be_judged_has_one_budget_for_all() {
    let world = World::builder().limits("held_mib = 1").start().await;
    // A record of 16 KiB, and the handshake header of a ClientHello of 63 KiB: never whole.
    let record = [&[22, 3, 1, 0x40, 0][..], &[1, 0, 0xfc, 0], &[0; 0x4000 - 4]].concat();
    let flight = [&record[..], &record, &record].concat();
    let mut held = Vec::new();
    let refused = |world: &World| world.refused_at("LimitHeldBytes");
    // Of eight sources: none has used up its own share when the budget is spent.
    for n in 0..40 {
        let client = world.client_at(&format!("127.0.1.{}", 1 + n % 8));
        let mut tunnel = client.connect(API).await.unwrap().wire;
        // It may be refused before all of it is sent.
        let _ = tunnel.send(&flight).await;
        held.push(tunnel);
        if refused(&world) > 0 {
            break;
        }
    }
    until("the budget is spent", || refused(&world) > 0).await;
    assert!(held.len() > 10, "{}", held.len());
    assert_eq!(world.last_reason(), "LimitHeldBytes");
    let mut usual = world.tunnel(API).await;
    usual.handshake(&Hello::to("api.example.com")).await.unwrap();
    drop(held);
    world.shows("egret_held_bytes 0").await;
}

#[tokio::test]
async fn f_08_heads_that_follow_are_counted_and_one_source_gets_its_share_alone() {
    let world = World::builder().limits("held_mib = 1").start().await;
    // The first request is answered by egret itself, the second one never ends.
    let first = "OPTIONS * HTTP/1.1\r\nHost: api.example.com\r\nMax-Forwards: 0\r\n\r\n";
    let second = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(12 << 10));
    let mut held = Vec::new();
    let greedy = world.client_at("127.0.1.1");
    while world.refused_at("LimitHeldBytes") == 0 {
        let mut tunnel = greedy.connect("api.example.com:80").await.unwrap().wire;
        tunnel.send(first.as_bytes()).await.unwrap();
        tunnel.send(second.as_bytes()).await.unwrap();
        held.push(tunnel);
        assert!(held.len() < 200, "nobody is refused");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(held.len() > 15, "{} of 12 KiB are a quarter of 1 MiB", held.len());
    let mut other = world
        .client_at("127.0.1.2")
        .connect("api.example.com:80")
        .await
        .unwrap()
        .wire;
    other
        .send(format!("{second}\r\nHost: api.example.com\r\n\r\n").as_bytes())
        .await
        .unwrap();
    assert!(
        other.take(12).await.unwrap().starts_with(b"HTTP/1.1 200"),
        "another source has its own"
    );
    drop((held, other));
    world.shows("egret_held_bytes 0").await;
}

#[tokio::test]
async fn c_02_a_carriage_return_in_the_middle_ends_no_head() {
    let world = World::builder().start().await;
    for head in [
        "GET http://api.example.com/ HTTP/1.1\r\n\rX",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n",
    ] {
        let (status, said) = world.ask(head).await;
        assert_eq!(status, 400, "at once, not at the time limit: {said}");
        assert_eq!(world.last_reason(), "BadRequest");
    }
}

#[tokio::test]
async fn f_08_nonsense_costs_as_much_as_an_attempt_and_beyond_the_rate_fills_no_log() {
    let world = World::builder()
        .limits("attempts_per_second_per_source = 1\nattempts_burst_per_source = 3")
        .start()
        .await;
    let started = Instant::now();
    for n in 0..60 {
        let ask = match n % 3 {
            0 => "CONNECT api.example.com HTTP/1.1\r\n\r\n",
            1 => "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            _ => "CONNECT evil.test:443 HTTP/1.1\r\n\r\n",
        };
        let (status, said) = world.ask(ask).await;
        assert!(n < 3 || status == 503 || said.contains("denied"), "{status} {said}");
        drop(world.client().open().await);
    }
    // Within its rate, and three a second beyond it.
    let most = 3 + 4 * (1 + started.elapsed().as_secs() as usize);
    // The last one may still wait in the kernel. One more is the self-test's.
    let accepted = || world.gateway.metrics().value(Metric::Accepted, &[]);
    until("all have come", || accepted() == Some(121)).await;
    until("all have ended", || world.gateway.connections() == 0).await;
    let rows = [world.rule_rows().len(), world.rows("EgretFlow").len()];
    assert!(rows[0] <= most && rows[1] <= 2 * most, "{rows:?} of 60 and 120, {most}");
    assert_eq!(world.last_reason(), "LimitSourceRate");
    let metrics = world.gateway.metrics();
    let suppressed = metrics.value(Metric::LogSuppressed, &[]).unwrap() as usize;
    assert_eq!(rows[0] + rows[1] + suppressed, 60 + 120, "each is counted");
}

#[tokio::test]
async fn f_07_no_more_lookups_in_flight_than_the_limit() {
    let world = World::builder().limits("dns_queries = 1").start().await;
    world.dns().behave("silent.openai.example.com", Behaviour::Silent);
    let mut waits = world.client().open().await.unwrap();
    waits
        .send(format!("CONNECT {} HTTP/1.1\r\n\r\n", target("silent")).as_bytes())
        .await
        .unwrap();
    until("the one lookup is in flight", || {
        world.dns().queries("silent.openai.example.com") > 0
    })
    .await;
    at_limit(&world.client(), API, "LimitDnsQueries").await;
    assert_eq!(world.last_reason(), "LimitDnsQueries");
    assert_eq!(world.dns().queries("api.example.com"), 0);
    assert_eq!(world.refused_at("LimitDnsQueries"), 1);
}

#[tokio::test]
async fn r_11_a_flood_of_connections_does_not_starve_an_allowed_client() {
    let world = World::builder().limits("tunnels_per_source = 20").start().await;
    let made = Arc::new(AtomicUsize::new(0));
    // Eight sources, together up to 2,000 connections a second, each holding more than it may.
    let mut floods = JoinSet::new();
    for n in 1..=8 {
        let (client, made) = (world.client_at(&format!("127.0.2.{n}")), made.clone());
        floods.spawn(async move {
            let mut held = VecDeque::new();
            loop {
                if let Ok(mut wire) = client.open().await {
                    made.fetch_add(1, Relaxed);
                    let _ = wire.send(b"CONNECT evil.test:443 HTTP/1.1\r\n").await;
                    held.push_back(wire);
                    held.drain(..held.len().saturating_sub(30));
                }
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
        });
    }
    until("the flood is there", || made.load(Relaxed) > 500).await;
    let client = world.client();
    let mut times = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        assert_eq!(asked(&client, API).await.0, 200);
        times.push(started.elapsed());
    }
    floods.shutdown().await;
    times.sort();
    assert!(
        times[98] < Duration::from_secs(1),
        "p99 amid {made:?} connections: {times:?}"
    );
    assert!(world.refused_at("LimitSourceTunnels") > 0, "the flood met its limit");
}

#[tokio::test]
async fn r_24_a_panic_ends_its_own_flow_and_nothing_else() {
    let echo = Origin::echo().await;
    let world = World::builder().leads("echo", echo.address).start().await;
    let mut open = world.echoing(&world.client(), "echo").await;
    let before = world.gateway.connections();
    // No clock holds this time, so that a flow breaks where it adds it. No configuration file can say it.
    let mut broken = world.checked(POLICY);
    broken.settings.limits.connect_time = Duration::MAX;
    world.gateway.reload(broken).unwrap();
    for n in 1..=3 {
        let ended = world.client().connect(API).await.unwrap_err();
        assert!(matches!(ended, Ended::Closed | Ended::Reset), "{ended}");
        until("its place is given back", || world.gateway.connections() == before).await;
        assert_eq!(world.gateway.metrics().value(Metric::Panics, &[]), Some(n));
    }
    let end = world.rows("EgretFlow").pop().unwrap();
    assert_eq!(end["properties"]["Reason"], "Internal");
    open.send(b"goes on").await.unwrap();
    assert_eq!(open.take(7).await.unwrap(), b"goes on", "on the same thread");
    world.reload(POLICY);
    assert_eq!(asked(&world.client(), API).await.0, 200, "no lock is poisoned");
}

#[test]
fn r_20_no_timer_reads_the_wall_clock() {
    // A jump of the clock moves what these say, and nothing that waits: rows, the age of a log file, when a tunnel and the
    // gateway started, the dates in certificates, tokens and answers of the lab; and rows that only tests write.
    const MAY: [&str; 9] = [
        "flow/record.rs",
        "flow/record/rows.rs",
        "flow/tunnels.rs",
        "gateway.rs",
        "log/counted.rs",
        "log/file.rs",
        "log/queue.rs",
        "log/writer.rs",
        "tls/authority.rs",
    ];
    fn readers(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                readers(&path, found);
            } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("SystemTime::now()")) {
                found.push(path.to_str().unwrap().to_string());
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    readers(&src, &mut found);
    assert!(found.len() > 3, "{found:?}");
    for file in found {
        let file = Path::new(&file).strip_prefix(&src).unwrap();
        assert!(
            file.starts_with("lab/mocks") || MAY.iter().any(|may| file == Path::new(may)),
            "{file:?} reads the wall clock"
        );
    }
}

/// Each has a place to linger for as long as it does not close; one source cannot have them all.
#[tokio::test]
async fn f_08_refused_clients_that_do_not_close_leave_others_their_whole_answer() {
    let world = World::builder()
        .limits("attempts_per_second_per_source = 10000\nattempts_burst_per_source = 10000")
        .start()
        .await;
    let [crowd, other] = ["127.0.1.1", "127.0.1.2"].map(|source| world.client_at(source));
    let mut open = Vec::new();
    for _ in 0..600 {
        let mut wire = crowd.open().await.unwrap();
        wire.send(b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n").await.unwrap();
        open.push(wire);
    }
    until("all are refused", || world.rule_rows().len() >= 600).await;
    for behind in [0, 6_000, 100_000] {
        let mut wire = other.open().await.unwrap();
        let asked = [&b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n"[..], &vec![b'x'; behind]].concat();
        wire.send(&asked).await.unwrap();
        let (told, ended) = wire.to_end().await;
        assert!(told.starts_with(b"HTTP/1.1 403"), "{behind}: {}", told.escape_ascii());
        assert!(matches!(ended, Ended::Closed), "{behind}: {ended}");
    }
}
