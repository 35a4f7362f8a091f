//! What is left on record: of every connection one `EgretFlow` row, of every decision one rule row, and in both what an
//! inquiry needs, whatever the reason was.

mod deeds;

use crate::corpus::case;
use crate::far::{BlackHole, Origin, nobody};
use crate::flight::Flight;
use crate::world::{POLICY, World, until};
use deeds::{Deed, connect, deed, get, hello, in_tunnels, refused_early, refused_on_the_way};
use egret::lab::client::{Client, Wire};
use egret::lab::dns::Behaviour;
use egret::log::Stage;
use egret::metrics::Metric;
use egret::policy::Reason;
use hickory_proto::op::ResponseCode;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// Reasons that no scenario here can bring about, and where else they are shown.
const ELSEWHERE: [(Reason, &str); 9] = [
    (
        Reason::ThreatIntelligence,
        "threat_intelligence::a_listed_name_or_address_is_denied_before_every_rule_and_nobody_is_dialled",
    ),
    (
        Reason::LimitHeldBytes,
        "limits::f_08_what_waits_to_be_judged_has_one_budget_for_all",
    ),
    (
        Reason::UpstreamUnreachable,
        "a route that is missing: flow::connect maps the errors of the kernel",
    ),
    (
        Reason::UpstreamPorts,
        "no local port left: flow::connect maps the errors of the kernel",
    ),
    (
        Reason::LimitFiles,
        "no file descriptor left: the bars take them away from a process of their own",
    ),
    (
        Reason::LogUnavailable,
        "there is no row where none can be written: limits::g_03",
    ),
    (Reason::Internal, "a defect: limits::r_24"),
    (Reason::LimitDials, "limits::f_08"),
    (Reason::LimitDnsQueries, "limits::f_07"),
];

const DENIED_AND_AZURE: &str = r#"
[[application_rule_collection]]
name = "denied"
priority = 100
action = "Deny"
  [[application_rule_collection.rule]]
  name = "denied"
  source_addresses = ["*"]
  destination_fqdns = ["denied.openai.example.com"]
[[application_rule_collection]]
name = "azure"
priority = 110
action = "Allow"
  [[application_rule_collection.rule]]
  name = "azure"
  source_addresses = ["*"]
  destination_fqdns = ["contoso.openai.azure.com"]
"#;

/// Where everything in [`refused_early`], [`refused_on_the_way`] and [`in_tunnels`] happens.
async fn unhappy_world(hole: &BlackHole, mute: &Origin, garbage: &Origin) -> World {
    let world = World::builder()
        .policy(&format!("{DENIED_AND_AZURE}{}", POLICY.replace("100", "105")))
        .limits("head_seconds = 1\nclient_hello_seconds = 1\nclient_hello_bytes = 4096\nconnect_seconds = 2")
        .config("[proxy]\nech = \"deny\"\n[private_endpoints]\nmode = \"require\"\nnetworks = [\"10.1.0.0/16\"]")
        .record("metadata.openai.example.com A 169.254.169.254")
        .record("contoso.openai.azure.com A 203.0.113.10")
        .leads("nobody", nobody())
        .leads("hole", hole.address)
        .leads("mute", mute.address)
        .leads("garbage", garbage.address)
        .start()
        .await;
    for (label, behaviour) in [
        ("empty", Behaviour::Code(ResponseCode::NoError)),
        ("servfail", Behaviour::Code(ResponseCode::ServFail)),
        ("refused", Behaviour::Code(ResponseCode::Refused)),
        ("silent", Behaviour::Silent),
    ] {
        world.dns().behave(&format!("{label}.openai.example.com"), behaviour);
    }
    world
}

/// Does it, to the end of the connection; the client's port.
async fn done(client: Client, head: Vec<u8>, then: Vec<u8>) -> u16 {
    let mut wire = client.open().await.unwrap();
    wire.send(&head).await.unwrap();
    let tunnel = head.starts_with(b"CONNECT");
    let reply = wire.reply(if tunnel { "CONNECT" } else { "GET" }).await.unwrap();
    if reply.status == 200 {
        wire.send(&then).await.unwrap();
        let _ = wire.finish().await;
    }
    wire.to_end().await;
    wire.local().port()
}

/// The rows of a table that are about this client's port, `properties` alone.
fn rows_of(world: &World, category: &str, port: u16) -> Vec<Value> {
    let rows = world.rows(category).into_iter();
    rows.filter(|row| row["properties"]["SourcePort"] == port)
        .map(|row| {
            assert!(is_now(row["time"].as_str().unwrap()), "{row}");
            row["properties"].clone()
        })
        .collect()
}

/// `2026-11-24T08:30:00.123456Z`, in the year and on the day on which the test runs or the day before.
fn is_now(time: &str) -> bool {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let year = 1970 + days * 400 / 146_097;
    let shape = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        26 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    time.len() == 27 && time.bytes().enumerate().all(shape) && time[..4].parse::<u64>().unwrap().abs_diff(year) <= 1
}

async fn end_of(world: &World, port: u16) -> Value {
    until("the flow ends", || !rows_of(world, "EgretFlow", port).is_empty()).await;
    let mut ends = rows_of(world, "EgretFlow", port);
    assert_eq!(ends.len(), 1, "one end: {ends:#?}");
    ends.remove(0)
}

fn has_text(row: &Value, keys: &[&str]) {
    for key in keys {
        assert!(row[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {row}");
    }
}

/// What every end of a flow says.
fn check_end(end: &Value, deed: &Deed) {
    assert_eq!(end["Reason"], deed.reason.name(), "{end}");
    assert_eq!(end["Stage"], deed.stage.name(), "{end}");
    has_text(end, &["FlowId", "SourceIp", "End"]);
    for key in [
        "BytesSent",
        "BytesReceived",
        "DurationMs",
        "Generation",
        "DestinationPort",
    ] {
        assert!(end[key].is_number(), "{key} of {end}");
    }
}

/// What every rule row says, and what more it says the further the flow came.
fn check_row(row: &Value, end: &Value, deed: &Deed) {
    let ours = &row["egret"];
    has_text(row, &["Protocol", "SourceIp", "Action"]);
    has_text(ours, &["flow", "reason", "mode", "policy_hash", "name_source"]);
    assert_eq!(
        (&ours["flow"], &ours["generation"]),
        (&end["FlowId"], &1.into()),
        "{row}"
    );
    assert_eq!(row["SourceIp"], "127.0.0.1");
    let target = deed.head.split(|byte| *byte == b' ').nth(1).unwrap();
    let target = String::from_utf8_lossy(target);
    let unread = matches!(deed.reason, Reason::HeadTimeout | Reason::HeadTooLarge);
    let by_request = deed.reason == Reason::HostMismatch;
    if deed.head.starts_with(b"CONNECT") && !unread && !by_request {
        assert_eq!(ours["requested"], *target, "raw: {row}");
        // A client does not write the column that queries group by.
        let none = matches!(deed.reason, Reason::BadAuthority | Reason::NameInvalid);
        assert_eq!(row["Fqdn"] == "", none, "{row}");
    }
    if deed.reached(Stage::Decide) {
        assert!(target.contains(row["Fqdn"].as_str().unwrap()), "normal: {row}");
        assert!(row["DestinationPort"].as_u64().unwrap() > 0, "{row}");
    }
    let decided = deed.reached(Stage::Resolve) || deed.reason == Reason::RuleMatched;
    if decided {
        has_text(row, &["Policy", "RuleCollectionGroup", "RuleCollection", "Rule"]);
    }
    if deed.reached(Stage::Vet) {
        assert!(!ours["dns"].as_array().unwrap().is_empty(), "{row}");
    }
    if deed.reached(Stage::Gate) {
        has_text(ours, &["address"]);
        assert_eq!(end["DestinationIp"], ours["address"], "{end}");
    }
    let read = ["Sni", "Ech"].iter().any(|start| deed.reason.name().starts_with(start));
    if read && deed.reason != Reason::SniMissing {
        has_text(ours, &["sni"]);
    }
    let trouble = deed.stage == Stage::Relay;
    assert_eq!(
        ours["reason"],
        if trouble { "RuleMatched" } else { deed.reason.name() },
        "{row}"
    );
    // A rule's Allow stands, whatever became of the connection.
    let by_rule = ours["reason"] == "RuleMatched" || row["Action"] == "Allow";
    assert_eq!(row["ActionReason"] == "", by_rule, "{row}");
}

#[tokio::test]
async fn g_08_g_09_whatever_the_reason_the_record_is_whole() {
    let hole = BlackHole::start();
    let mute = Origin::serving("127.0.0.1:0", |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let garbage = Origin::serving("127.0.0.1:0", |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    })
    .await;
    let world = Arc::new(unhappy_world(&hole, &mute, &garbage).await);
    let own = world.proxy().to_string();
    let deeds: Vec<Deed> = [refused_early(&own), refused_on_the_way(), in_tunnels()]
        .into_iter()
        .flatten()
        .collect();
    let count = deeds.len();
    let mut running = JoinSet::new();
    for deed in deeds {
        let client = world.client();
        running.spawn(async move { (done(client, deed.head.clone(), deed.then.clone()).await, deed) });
    }
    let mut seen = BTreeSet::new();
    while let Some(finished) = running.join_next().await {
        let (port, deed) = finished.unwrap();
        let end = end_of(&world, port).await;
        check_end(&end, &deed);
        let rows = rows_of(&world, "AZFWApplicationRule", port);
        assert_eq!(rows.len(), 1, "one decision, one row: {rows:#?}");
        check_row(&rows[0], &end, &deed);
        seen.insert(deed.reason);
    }
    assert_eq!((world.rows("EgretFlow").len(), world.rule_rows().len()), (count, count));
    seen.extend(ended_otherwise().await);
    let elsewhere: BTreeSet<_> = ELSEWHERE.iter().map(|(reason, _)| *reason).collect();
    let open: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !seen.contains(reason) && !elsewhere.contains(reason))
        .collect();
    assert!(open.is_empty(), "not looked at: {open:?}");
    let both: Vec<_> = seen.intersection(&elsewhere).collect();
    assert!(both.is_empty(), "looked at here: {both:?}");
}

/// Reasons that need a limit, a reload, a client that leaves, or an end of egret.
async fn ended_otherwise() -> Vec<Reason> {
    let world = Arc::new(
        World::builder()
            .limits("tunnels = 4\ntunnels_per_source = 2\nattempts_per_second_per_source = 1\nattempts_burst_per_source = 2")
            .start()
            .await,
    );
    let mut seen = Vec::new();
    let mut ended = async |wire: Wire, reason: Reason, stage: Stage, rows: usize| {
        let port = wire.local().port();
        drop(wire);
        let end = end_of(&world, port).await;
        check_end(&end, &deed(reason, stage, ""));
        let written = rows_of(&world, "AZFWApplicationRule", port);
        assert_eq!(written.len(), rows, "{reason}: {written:#?}");
        if let Some(row) = written.last() {
            assert_eq!(
                (&row["egret"]["reason"], &row["egret"]["flow"]),
                (&reason.name().into(), &end["FlowId"])
            );
            has_text(&row["egret"], &["policy_hash", "mode"]);
        }
        seen.push(reason);
    };
    // Turned away before anything was read: no decision, so no rule row.
    let greedy = world.client_at("127.0.1.1");
    let mut held = vec![greedy.open().await.unwrap(), greedy.open().await.unwrap()];
    until("both are in", || world.gateway.connections() == 2).await;
    let mut one_more = greedy.open().await.unwrap();
    assert_eq!(one_more.reply("CONNECT").await.unwrap().status, 503);
    ended(one_more, Reason::LimitSourceTunnels, Stage::Accept, 0).await;
    for source in ["127.0.1.2", "127.0.1.3"] {
        held.push(world.client_at(source).open().await.unwrap());
    }
    until("all are in", || world.gateway.connections() == 4).await;
    let mut one_more = world.client_at("127.0.1.4").open().await.unwrap();
    assert_eq!(one_more.reply("CONNECT").await.unwrap().status, 503);
    ended(one_more, Reason::LimitTunnels, Stage::Accept, 0).await;
    ended(held.pop().unwrap(), Reason::ClientClosed, Stage::Intent, 0).await;
    drop(held);
    until("places come back", || world.gateway.connections() == 0).await;
    let eager = world.client_at("127.0.1.5");
    for _ in 0..2 {
        assert_eq!(eager.connect("evil.test:443").await.unwrap().status(), 403);
    }
    let refused = eager.connect("evil.test:443").await.unwrap();
    assert_eq!(refused.status(), 503);
    ended(refused.wire, Reason::LimitSourceRate, Stage::Decide, 1).await;
    let tunnel = world
        .client_at("127.0.1.6")
        .connect("api.example.com:443")
        .await
        .unwrap();
    let mut wire = tunnel.wire;
    wire.send(&hello(Some("api.example.com")).record()).await.unwrap();
    until("the tunnel is open", || {
        !rows_of(&world, "AZFWApplicationRule", wire.local().port()).is_empty()
    })
    .await;
    world.reload(&POLICY.replace("api.example.com", "other.example.com"));
    ended(wire, Reason::Revoked, Stage::Relay, 2).await;
    seen.push(drained().await);
    seen
}

/// A request that is still waiting when the time to drain is over.
async fn drained() -> Reason {
    let patient = Origin::serving("127.0.0.1:0", |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let world = World::builder().leads("patient", patient.address).start().await;
    let mut wire = world.client().open().await.unwrap();
    wire.send(get("patient.openai.example.com").as_bytes()).await.unwrap();
    until("the request is on its way", || !world.rule_rows().is_empty()).await;
    let gateway = world.gateway.clone();
    let drain = tokio::task::spawn_blocking(move || gateway.drain(Duration::from_millis(50)));
    let (told, _) = wire.to_end().await;
    assert!(told.starts_with(b"HTTP/1.1 503 egret: "), "{}", told.escape_ascii());
    drain.await.unwrap();
    let end = end_of(&world, wire.local().port()).await;
    check_end(&end, &deed(Reason::Draining, Stage::Relay, ""));
    assert_eq!(world.last_reason(), "Draining");
    Reason::Draining
}

/// Of many clients at once, turned away, timed out, gone, denied and served: nothing is missing and nothing is there twice.
#[tokio::test]
async fn g_08_rows_and_counters_add_up_after_a_flood() {
    const CLIENTS: usize = 300;
    let world = Arc::new(
        World::builder()
            .limits("workers = 2\nhead_seconds = 1\ntunnels_per_source = 20\nattempts_per_second_per_source = 20\nattempts_burst_per_source = 60")
            .start()
            .await,
    );
    let mut running = JoinSet::new();
    for n in 0..CLIENTS {
        let client = world.client_at(&format!("127.0.1.{}", 1 + n % 5));
        running.spawn(async move {
            match n % 4 {
                0 => drop(client.get_https("api.example.com", "/").await),
                1 => drop(client.ask(connect("evil.test:443")).await),
                2 => drop(client.open().await),
                _ => drop(client.ask("CONNECT api.example").await),
            }
        });
    }
    running.join_all().await;
    // Of those turned away at the door a few a second have rows; the others are counted.
    let untold = || world.gateway.metrics().value(Metric::LogSuppressed, &[]).unwrap() as usize;
    until("every flow ends", || {
        world.rows("EgretFlow").len() + untold() == CLIENTS
    })
    .await;
    assert_eq!(world.gateway.connections(), 0);
    let flows: BTreeSet<String> = ids(&world.rows("EgretFlow"), |row| &row["properties"]["FlowId"]);
    assert_eq!(flows.len() + untold(), CLIENTS, "each has an id of its own");
    let rows = world.rule_rows();
    let decided = ids(&rows, |row| &row["properties"]["egret"]["flow"]);
    assert_eq!(decided.len(), rows.len(), "one row a decision");
    assert!(decided.is_subset(&flows));
    for end in world.rows("EgretFlow") {
        let end = &end["properties"];
        // Who was turned away at the door, or left before it had asked, is no decision.
        let undecided = end["Stage"] == "Accept" || end["Reason"] == "ClientClosed";
        assert_eq!(decided.contains(end["FlowId"].as_str().unwrap()), !undecided, "{end}");
    }
    // The gateway's own test at start is counted and leaves no row.
    let metrics = world.gateway.metrics();
    assert_eq!(metrics.value(Metric::Accepted, &[]), Some(CLIENTS as u64 + 1));
    let sum: u64 = Reason::ALL
        .iter()
        .flat_map(|reason| ["allow", "deny", "audit"].map(|action| (action, reason)))
        .filter_map(|(action, reason)| metrics.value(Metric::Decisions, &[action, reason.name()]))
        .sum();
    assert_eq!(sum, rows.len() as u64 + 1);
}

fn ids(rows: &[Value], of: impl Fn(&Value) -> &Value) -> BTreeSet<String> {
    rows.iter().map(|row| of(row).as_str().unwrap().to_string()).collect()
}
