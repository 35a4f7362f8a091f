//! `DestinationIp` of a row of network rules: where it was connected to, or the address that a denial is about.

use crate::far::{Origin, nobody};
use crate::rows::{QUARANTINE, of};
use crate::tables::faults;
use crate::world::{Builder, World, until};
use egret::lab::client::Hello;
use serde_json::{Value, json};

/// Names that a rule allows, and an application rule.
const POLICY: &str = r#"
[[network_rule_collection]]
name = "allowed"
priority = 200
action = "Allow"
  [[network_rule_collection.rule]]
  name = "database"
  protocols = ["TCP"]
  source_addresses = ["*"]
  destination_fqdns = ["db.example.com", "inner.example.com", "half.example.com"]
  destination_ports = ["443", "1433"]
[[application_rule_collection]]
name = "apps"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "example"
  source_addresses = ["*"]
  destination_fqdns = ["*.example.com"]
"#;

/// `dead` of the addresses is at nobody's; the others echo.
fn builder(echo: &Origin, dead: &str) -> Builder {
    let (to, dead_end) = (echo.address, nobody());
    World::builder()
        .key("explicit_network_rules = true")
        .policy(&format!("{QUARANTINE}{POLICY}"))
        .record("db.example.com A 198.51.100.7")
        .record("half.example.com A 198.51.100.7")
        .record("half.example.com A 198.51.100.9")
        .record("www.example.com A 198.51.100.11")
        .record("inner.example.com A 169.254.169.254")
        .record("mixed.example.com A 169.254.169.254")
        .record("mixed.example.com A 198.51.100.200")
        .config(&format!(
            "[[dial.override]]\nfrom = \"{dead}:*\"\nto = \"{dead_end}\"\n[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\"\n\
             [proxy]\nsni_mismatch = \"decide\""
        ))
}

/// The latest row of network rules.
fn last(world: &World) -> Value {
    let row = world.rows("AZFWNetworkRule").pop();
    let row = row.unwrap_or_else(|| panic!("{:#?}", world.log.lines()));
    assert_eq!(faults(&row), [""; 0]);
    row
}

#[tokio::test]
async fn the_row_tells_the_address_that_answered_and_not_the_first_of_the_answer() {
    let echo = Origin::echo().await;
    for (dead, answered) in [("198.51.100.7", "198.51.100.9"), ("198.51.100.9", "198.51.100.7")] {
        let world = builder(&echo, dead).start().await;
        let connected = world.client().connect("half.example.com:1433").await.unwrap();
        assert_eq!(connected.status(), 200, "{}", connected.phrase());
        until("the row", || !world.rows("AZFWNetworkRule").is_empty()).await;
        let row = last(&world);
        assert_eq!(
            (of(&row, "DestinationIp"), &of(&row, "egret")["address"]),
            (&json!(answered), &json!(answered))
        );
        drop(connected);
        until("the end", || !world.rows("EgretFlow").is_empty()).await;
        assert_eq!(of(&world.rows("EgretFlow")[0], "DestinationIp"), answered);
    }
}

#[tokio::test]
async fn the_row_of_a_denial_tells_the_address_that_it_is_about() {
    let echo = Origin::echo().await;
    let world = builder(&echo, "198.51.100.7").start().await;
    for (target, status, about, action, reason, rule) in [
        // Vetted away is what comes first in the answer; the rule denies what is left.
        (
            "mixed.example.com:443",
            403,
            "198.51.100.200",
            "Deny",
            "RuleMatched",
            "quarantine",
        ),
        (
            "inner.example.com:443",
            403,
            "169.254.169.254",
            "Deny",
            "AddressDenied",
            "database",
        ),
        // Dialled, and nobody was there.
        (
            "db.example.com:1433",
            502,
            "198.51.100.7",
            "Allow",
            "UpstreamRefused",
            "database",
        ),
        // Denied before anything was looked up, and judged as it was asked for.
        (
            "198.51.100.200:443",
            403,
            "198.51.100.200",
            "Deny",
            "RuleMatched",
            "quarantine",
        ),
    ] {
        let answer = world.client().connect(target).await.unwrap();
        assert_eq!(answer.status(), status, "{target}: {}", answer.phrase());
        let row = last(&world);
        let told = ["DestinationIp", "Action", "Rule"].map(|column| of(&row, column).as_str().unwrap());
        assert_eq!(told, [about, action, rule], "{target}");
        assert_eq!(of(&row, "egret")["reason"], reason, "{target}");
        assert_eq!(of(&row, "egret")["address"], Value::Null, "{target}: connected to none");
        let port = answer.wire.local().port();
        drop(answer);
        let ended = |row: &Value| of(row, "SourcePort") == port;
        until("the end", || world.rows("EgretFlow").iter().any(ended)).await;
        let end = world.rows("EgretFlow").into_iter().find(ended).unwrap();
        assert_eq!(of(&end, "DestinationIp"), "", "{target}");
    }
}

/// The name in the ClientHello leads elsewhere than the tunnel: nothing was dialled for it.
#[tokio::test]
async fn the_row_of_a_name_that_nothing_was_dialled_for_tells_no_address() {
    let echo = Origin::echo().await;
    let world = builder(&echo, "192.0.2.1").start().await;
    let mut tunnel = world.client().connect("www.example.com:443").await.unwrap();
    let hello = Hello::to("db.example.com").bytes(&world.lab.authority).unwrap();
    tunnel.wire.send(&hello).await.unwrap();
    tunnel.wire.to_end().await;
    let row = last(&world);
    assert_eq!(of(&row, "egret")["reason"], "SniMismatch");
    assert_eq!(
        (of(&row, "egret")["fqdn"].as_str(), of(&row, "DestinationIp")),
        (Some("db.example.com"), &json!(""))
    );
}
