//! Every first flight of the corpus through CONNECT, over real sockets: the origin hears the very same bytes, or none.

#[path = "../data/clienthellos.rs"]
mod clienthellos;

use crate::flight::{SINK, with_sink};
use crate::sink::Sink;
use crate::world::{World, until};
use clienthellos::{Case, corpus};
use egret::lab::client::{Ended, Wire};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Everything is allowed: the gate alone decides.
const ANY_NAME: &str = r#"
[[application_rule_collection]]
name = "any"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "any"
  source_addresses = ["*"]
  destination_fqdns = ["*"]
  allow_wide = true
"#;

/// Between two writes that shall not become one segment.
const PAUSE: Duration = Duration::from_millis(2);

/// A first flight by the name of its file.
pub fn case(id: &str) -> Vec<u8> {
    let found = corpus().into_iter().find(|case| case.id == id);
    found.unwrap_or_else(|| panic!("{id} is not in the corpus")).bytes
}

async fn world() -> (Arc<World>, Arc<Sink>) {
    let builder = World::builder().policy(ANY_NAME).limits("client_hello_seconds = 60");
    let (world, sink) = with_sink(builder).await;
    let names = corpus().into_iter().filter_map(|case| case.expect.sni_normalized);
    for name in names.chain(["api.example.com".into(), "another.example.com".into()]) {
        world.dns().forget(&name).address_of(&name, SINK.parse().unwrap());
    }
    (Arc::new(world), Arc::new(sink))
}

/// All cases at once, each on a connection of its own, in writes of these sizes; a size of 0 is all the rest.
async fn send_all(cases: Vec<Case>, sizes: fn(&Case) -> Vec<usize>) -> usize {
    let (world, sink) = world().await;
    let mut flows = JoinSet::new();
    let count = cases.len();
    for case in cases {
        let sizes = sizes(&case);
        flows.spawn(meets_its_fate(world.clone(), case, sizes));
    }
    let (mut passed, mut all) = (Vec::new(), 0);
    while let Some(flight) = flows.join_next().await {
        passed.extend(flight.unwrap());
        all += 1;
    }
    assert_eq!(all, count);
    passed.sort();
    let heard = || {
        let mut heard: Vec<_> = sink.heard().into_iter().filter(|heard| !heard.is_empty()).collect();
        heard.sort();
        heard
    };
    until("all that passed arrives, and nothing else", || heard() == passed).await;
    passed.len()
}

/// The bytes, if they pass.
async fn meets_its_fate(world: Arc<World>, case: Case, sizes: Vec<usize>) -> Option<Vec<u8>> {
    let Case { id, bytes, expect, .. } = case;
    let host = expect.sni_normalized.as_deref().unwrap_or("api.example.com");
    let mut wire = world.tunnel(&format!("{host}:443")).await;
    // A refusal may come before the last byte was sent.
    let mut sent = write(&mut wire, &bytes, &sizes).await;
    if expect.result == "incomplete" {
        sent = wire.finish().await;
    }
    let Some(denied) = expect
        .deny_reason
        .or((expect.result == "incomplete").then(|| "TlsIncomplete".into()))
    else {
        sent.unwrap_or_else(|end| panic!("{id}: {end}"));
        until(&id, || world.find_row(&wire).is_some()).await;
        let row = world.row_of(&wire);
        assert_eq!(row["properties"]["Action"], "Allow", "{id}");
        assert_eq!(row["properties"]["Fqdn"], host, "{id}");
        let ech = row["properties"]["egret"]["ech"].as_str().unwrap_or("none");
        assert_eq!(ech, case.ech, "{id}");
        return Some(bytes);
    };
    let (told, end) = wire.to_end().await;
    let reason = world.reason_of(&wire);
    assert!(
        reason == denied || Some(&reason) == expect.alt_reason.as_ref(),
        "{id}: {reason}, not {denied}"
    );
    assert_eq!(end, Ended::Closed, "{id}");
    let alert: &[u8] = if bytes[0] == 22 { &[21, 3, 3, 0, 2, 2, 49] } else { &[] };
    assert_eq!(told, alert, "{id}");
    None
}

async fn write(wire: &mut Wire, bytes: &[u8], sizes: &[usize]) -> Result<(), Ended> {
    let mut rest = bytes;
    for size in sizes.iter().copied().chain([0]) {
        let (now, later) = rest.split_at(if size == 0 { rest.len() } else { size.min(rest.len()) });
        if !now.is_empty() {
            wire.send(now).await?;
        }
        rest = later;
        if !rest.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn s_16_s_18_s_34_every_first_flight_of_the_corpus_meets_its_fate_in_one_write() {
    assert_eq!(send_all(corpus(), |_| vec![]).await, 115);
}

#[tokio::test]
async fn s_09_every_first_flight_of_the_corpus_meets_its_fate_in_segments() {
    let sizes = |case: &Case| {
        if case.segments.is_empty() {
            vec![1, 3, 2, case.bytes.len() / 2]
        } else {
            case.segments.clone()
        }
    };
    send_all(corpus(), sizes).await;
}

#[tokio::test]
async fn s_08_first_flights_of_the_corpus_in_single_bytes() {
    let short = corpus().into_iter().filter(|case| case.bytes.len() < 325).collect();
    assert!(send_all(short, |case| vec![1; case.bytes.len()]).await > 20);
}

#[tokio::test]
async fn s_01_no_hello_of_the_corpus_passes_for_another_host() {
    let (world, sink) = world().await;
    let mut flows = JoinSet::new();
    for case in corpus() {
        if case.expect.deny_reason.is_some() || case.expect.result != "sni" {
            continue;
        }
        let world = world.clone();
        flows.spawn(async move {
            let mut wire = world.tunnel("another.example.com:443").await;
            wire.send(&case.bytes).await.unwrap();
            wire.to_end().await;
            assert_eq!(world.reason_of(&wire), "SniMismatch", "{}", case.id);
        });
    }
    assert!(flows.len() > 100);
    while let Some(flow) = flows.join_next().await {
        flow.unwrap();
    }
    assert_eq!(sink.bytes().await, 0);
    assert!(sink.dials().await > 100, "the origin was there");
}
