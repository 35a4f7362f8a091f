//! What audit mode lets through, and what a list in mode `Alert` lets pass: each attempt is told as such, whatever becomes of it.

use crate::far::{Origin, nobody};
use crate::rows::{QUARANTINE, decisions, of};
use crate::tables::faults;
use crate::world::{Builder, World, until};
use egret::lab::client::Wire;
use hickory_proto::rr::{RData, rdata::A};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Names that an application rule allows, behind the denied network.
pub(crate) const POLICY: &str = r#"
[[application_rule_collection]]
name = "apps"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "example"
  source_addresses = ["*"]
  protocols = [{ type = "Https", port = 443 }, { type = "Http", port = 80 }]
  destination_fqdns = ["*.example.com"]
"#;

/// Audit mode, with everything that is dialled led to this address.
pub(crate) fn builder(to: &str, more: &str) -> Builder {
    World::builder()
        .key("mode = \"audit\"\nexplicit_network_rules = true")
        .policy(&format!("{more}{QUARANTINE}{POLICY}"))
        .record("www.example.com A 198.51.100.7")
        .record("moved.example.com A 198.51.100.200")
        .config(&format!("[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\""))
}

#[tokio::test]
async fn what_audit_mode_lets_through_is_told_as_such_though_nobody_answers() {
    let world = builder(&nobody().to_string(), "").start().await;
    let by = |rule: &str| json!({ "policy": "egret", "group": "default", "collection": "apps", "rule": rule });
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\n\r\n");
    let get = |host: &str| format!("GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let default = "No rule matched. Proceeding with default action.";
    for (head, category, rule, said, audit) in [
        (
            connect("www.example.com:443"),
            "AZFWApplicationRule",
            "example",
            "",
            Value::Null,
        ),
        (
            get("www.example.com"),
            "AZFWApplicationRule",
            "example",
            "",
            Value::Null,
        ),
        (
            connect("evil.test:443"),
            "AZFWApplicationRule",
            "",
            default,
            json!({ "action": "Deny" }),
        ),
        (
            get("evil.test"),
            "AZFWApplicationRule",
            "",
            default,
            json!({ "action": "Deny" }),
        ),
        (
            connect("moved.example.com:443"),
            "AZFWNetworkRule",
            "quarantine",
            "",
            json!({ "action": "Deny", "behind": by("example") }),
        ),
        (
            get("moved.example.com"),
            "AZFWNetworkRule",
            "quarantine",
            "",
            json!({ "action": "Deny", "behind": by("example") }),
        ),
        (
            connect("198.51.100.200:22"),
            "AZFWNetworkRule",
            "quarantine",
            "",
            json!({ "action": "Deny" }),
        ),
    ] {
        let before = decisions(&world).len();
        let (status, phrase) = world.ask(&head).await;
        assert_eq!(status, 502, "{head}: {phrase}");
        let rows = decisions(&world);
        let [row] = &rows[before..] else {
            panic!("{head}: {rows:#?}")
        };
        assert_eq!(
            (row["category"].as_str(), faults(row)),
            (Some(category), vec![]),
            "{head}"
        );
        let told = ["Action", "Rule", "ActionReason"].map(|column| of(row, column).as_str().unwrap());
        assert_eq!(told, ["Allow", rule, said], "{head}");
        assert_eq!(of(row, "egret")["audit"], audit, "{head}");
        assert_eq!(of(row, "egret")["reason"], "UpstreamRefused", "{head}");
    }
    let count =
        |action: &str, reason: &str| format!("egret_decisions_total{{action=\"{action}\",reason=\"{reason}\"}}");
    world.shows(&format!("{} 5", count("audit", "UpstreamRefused"))).await;
    world.shows(&format!("{} 2", count("allow", "UpstreamRefused"))).await;
}

/// Vetting is enforced in audit mode too: that is a denial, and was let through by nobody.
#[tokio::test]
async fn what_audit_mode_lets_through_and_vetting_does_not_is_denied() {
    let world = builder(&nobody().to_string(), "")
        .record("metadata.example.com A 169.254.169.254")
        .start()
        .await;
    assert_eq!(
        world.ask("CONNECT metadata.example.com:8443 HTTP/1.1\r\n\r\n").await.0,
        403
    );
    let row = world.last_row();
    assert_eq!(
        (of(&row, "Action"), of(&row, "ActionReason")),
        (&json!("Deny"), &json!("AddressDenied"))
    );
    assert_eq!(of(&row, "egret")["audit"], Value::Null);
}

/// Answers each request; `/close` with the end of its connection, unless it is the first there.
pub(crate) async fn origin(connections: Arc<AtomicUsize>) -> Origin {
    let serve = move |mut stream: TcpStream| {
        connections.fetch_add(1, SeqCst);
        async move {
            let (mut heard, mut first) = (Vec::new(), true);
            while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
                if !heard.ends_with(b"\r\n\r\n") {
                    continue;
                }
                if heard.starts_with(b"GET /close") && !first {
                    return;
                }
                (first, heard) = (false, Vec::new());
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                    .await;
            }
        }
    };
    Origin::serving("127.0.0.1:0", serve).await
}

/// A world whose list in mode `Alert` holds where `moved.example.com` leads.
async fn alerting(test: &str, connections: &Arc<AtomicUsize>) -> (World, Origin) {
    let list = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.audited.txt"));
    std::fs::write(&list, "198.51.100.200\n").unwrap();
    let lists = format!("[threat_intelligence]\nmode = \"Alert\"\nfiles = [{list:?}]\n");
    let origin = origin(connections.clone()).await;
    let world = builder(&origin.address.to_string(), &lists).start().await;
    (world, origin)
}

/// Asks on a connection that is kept; 200 is the answer.
pub(crate) async fn ask(wire: &mut Wire, url: &str) {
    let host = url
        .split('/')
        .find(|part| part.contains(".example"))
        .unwrap_or("moved.example.com");
    let head = format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    wire.send(head.as_bytes()).await.unwrap();
    assert_eq!(wire.reply("GET").await.unwrap().status, 200, "{url}");
}

/// What is told of an attempt at `moved.example.com` by its address: alerts, and the denial that audit mode lets through.
fn told(world: &World) -> (usize, usize) {
    let alerts = world.rows("AZFWThreatIntel");
    for row in &alerts {
        assert_eq!(faults(row), [""; 0]);
        assert_eq!(
            (of(row, "Action"), of(row, "DestinationIp")),
            (&json!("Alert"), &json!("198.51.100.200"))
        );
        assert_eq!(of(row, "Fqdn"), "moved.example.com");
    }
    let denials = world.rows("AZFWNetworkRule");
    for row in &denials {
        assert_eq!(faults(row), [""; 0]);
        let columns = ["Action", "Rule", "DestinationIp"].map(|column| of(row, column).as_str().unwrap());
        assert_eq!(columns, ["Allow", "quarantine", "198.51.100.200"]);
        let egret = of(row, "egret");
        assert_eq!(
            (&egret["audit"]["action"], &egret["audit"]["behind"]["rule"]),
            (&json!("Deny"), &json!("example"))
        );
        assert_eq!(
            (&egret["address"], &egret["fqdn"]),
            (&json!("198.51.100.200"), &json!("moved.example.com"))
        );
    }
    (alerts.len(), denials.len())
}

#[tokio::test]
async fn each_request_of_a_kept_connection_is_told_what_is_said_of_its_address() {
    let connections = Arc::default();
    let (world, _origin) = alerting("each", &connections).await;
    let mut wire = world.client().open().await.unwrap();
    for asked in 1..=3 {
        ask(&mut wire, "http://moved.example.com/").await;
        assert_eq!(told(&world), (asked, asked));
    }
    assert_eq!(connections.load(SeqCst), 1, "it was kept");
    // Another name has a connection of its own, of which nothing is said.
    for _ in 0..2 {
        ask(&mut wire, "http://www.example.com/").await;
    }
    assert_eq!((told(&world), world.rule_rows().len()), ((3, 3), 2));
    ask(&mut wire, "http://moved.example.com/").await;
    assert_eq!(told(&world), (4, 4), "resolved and judged anew");
    drop(wire);
    until("the ends", || world.rows("EgretFlow").len() == 3).await;
    for end in world.rows("EgretFlow") {
        assert_eq!(of(&end, "Reason"), "RuleMatched", "as in the rule rows");
    }
}

/// The connection was opened for its CONNECT, whose alert is that of the first request too.
#[tokio::test]
async fn each_request_in_a_tunnel_is_told_what_is_said_of_its_address() {
    let connections = Arc::default();
    let (world, _origin) = alerting("tunnel", &connections).await;
    let mut tunnel = world.client().connect("moved.example.com:80").await.unwrap();
    assert_eq!((tunnel.status(), told(&world)), (200, (1, 0)));
    for asked in 1..=3 {
        ask(&mut tunnel.wire, "/").await;
        assert_eq!(told(&world), (asked, asked));
    }
    assert_eq!(connections.load(SeqCst), 1, "it was kept");
}

/// Upstream had closed the kept connection, and the request goes over another one.
#[tokio::test]
async fn a_request_that_is_sent_again_is_told_once() {
    let connections = Arc::default();
    let (world, _origin) = alerting("again", &connections).await;
    let mut wire = world.client().open().await.unwrap();
    for (asked, path) in ["", "close", "", "close"].into_iter().enumerate() {
        ask(&mut wire, &format!("http://moved.example.com/{path}")).await;
        assert_eq!(told(&world), (asked + 1, asked + 1), "{path}");
    }
    assert_eq!(connections.load(SeqCst), 3);
}

/// Where `flip.example.com` leads from now on.
fn flip(world: &World, to: [u8; 4]) {
    let name = "flip.example.com";
    world.dns().forget(name).record(name, 0, RData::A(A(to.into())));
}

/// A world in this mode, with `198.51.100.66` on a list in mode `Deny`.
async fn flipping(test: &str, mode: &str, origin: &Origin) -> World {
    let list = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.flipping.txt"));
    std::fs::write(&list, "198.51.100.66\n").unwrap();
    let lists = format!("[threat_intelligence]\nmode = \"Deny\"\nfiles = [{list:?}]\n");
    let to = origin.address;
    World::builder()
        .key(&format!("mode = \"{mode}\"\nexplicit_network_rules = true"))
        .policy(&format!("{lists}{QUARANTINE}{POLICY}"))
        .config(&format!("[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\""))
        .start()
        .await
}

const FLIP: &[u8] = b"GET http://flip.example.com/close HTTP/1.1\r\nHost: flip.example.com\r\n\r\n";

/// Upstream had closed the kept connection, and the name leads elsewhere now: that is denied, and told, as of a first request.
#[tokio::test]
async fn a_request_that_is_sent_again_is_denied_as_a_first_one() {
    let connections: Arc<AtomicUsize> = Arc::default();
    let origin = origin(connections.clone()).await;
    let world = flipping("again", "enforce", &origin).await;
    for (to, category, reason) in [
        ([198, 51, 100, 200], "AZFWNetworkRule", "RuleMatched"),
        ([198, 51, 100, 66], "AZFWThreatIntel", "ThreatIntelligence"),
        ([169, 254, 169, 254], "AZFWApplicationRule", "AddressDenied"),
    ] {
        let denials = || {
            let rows = world.log.rows().into_iter();
            rows.filter(|row| of(row, "Action") == "Deny").collect::<Vec<_>>()
        };
        let (before, dialled) = (denials().len(), connections.load(SeqCst));
        flip(&world, [198, 51, 100, 7]);
        let mut wire = world.client().open().await.unwrap();
        ask(&mut wire, "http://flip.example.com/").await;
        flip(&world, to);
        wire.send(FLIP).await.unwrap();
        let reply = wire.reply("GET").await.unwrap();
        assert_eq!(reply.status, 403, "{category}");
        let rows = denials();
        let [row] = &rows[before..] else {
            panic!("{category}: {rows:#?}")
        };
        assert_eq!((&row["category"], faults(row)), (&json!(category), vec![]));
        if category != "AZFWApplicationRule" {
            assert_eq!(
                of(row, "DestinationIp"),
                &json!(std::net::Ipv4Addr::from(to).to_string())
            );
        }
        if category != "AZFWThreatIntel" {
            assert_eq!(of(row, "egret")["reason"], reason);
            assert_eq!(of(row, "egret")["address"], Value::Null, "where it led before");
        }
        let ended = || {
            let ends = world.rows("EgretFlow");
            ends.iter().any(|end| of(end, "Reason") == reason)
        };
        until("the end", ended).await;
        assert_eq!(connections.load(SeqCst), dialled + 1, "nothing else was dialled");
    }
}

/// Audit mode lets it go where it leads now, and a row tells that enforcing would not.
#[tokio::test]
async fn a_request_that_is_sent_again_elsewhere_is_told_as_audit_mode_lets_it_through() {
    let connections: Arc<AtomicUsize> = Arc::default();
    let origin = origin(connections.clone()).await;
    let world = flipping("audit", "audit", &origin).await;
    flip(&world, [198, 51, 100, 7]);
    let mut wire = world.client().open().await.unwrap();
    ask(&mut wire, "http://flip.example.com/").await;
    flip(&world, [198, 51, 100, 200]);
    ask(&mut wire, "http://flip.example.com/close").await;
    let rules = || -> Vec<Value> { decisions(&world).iter().map(|row| of(row, "Rule").clone()).collect() };
    assert_eq!(rules(), ["example", "example", "quarantine"]);
    let row = decisions(&world).pop().unwrap();
    assert_eq!(faults(&row), [""; 0]);
    let egret = of(&row, "egret");
    assert_eq!(
        (
            &egret["address"],
            &egret["audit"]["action"],
            &egret["audit"]["behind"]["rule"]
        ),
        (&json!("198.51.100.200"), &json!("Deny"), &json!("example"))
    );
    // Back again: it is a plain Allow, which a row tells too.
    flip(&world, [198, 51, 100, 7]);
    ask(&mut wire, "http://flip.example.com/close").await;
    assert_eq!(rules()[3..], ["quarantine", "example"]);
}
