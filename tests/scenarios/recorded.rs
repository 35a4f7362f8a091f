//! Rows as they are written while all scenarios of the lab are played, against the columns that Microsoft documents.
//!
//! `EGRET_ROWS=FILE` keeps them: `.ci/run kql` checks the queries of `deploy/kql/` against them.

use crate::sink::Sink;
use crate::tables::faults;
use crate::world::until;
use egret::lab::client::Hello;
use egret::lab::course::{Course, Way};
use egret::lab::scenario::SHIPPED;
use egret::lab::world::Ground;
use serde_json::Value;
use std::collections::BTreeMap;
use std::{env, fs};

/// Every row that the shipped scenarios leave behind, as it was written.
fn of_the_lab() -> Vec<String> {
    let mut rows = Vec::new();
    for shipped in &SHIPPED {
        let scenario = shipped.scenario().unwrap_or_else(|problems| panic!("{}", problems[0]));
        let course = Course::new(scenario, Way::Egret, &Ground::Mapped).unwrap_or_else(|e| panic!("{e}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(course.play());
        let log = course.rows.clone().expect("egret is on the way");
        // Stopping it ends its flows, and each end has a row.
        drop(course);
        rows.extend(log.lines());
    }
    rows
}

/// A listed name that a network rule lets through.
const BY_NAME: &str = r#"
[[network_rule_collection]]
name = "named"
priority = 100
action = "Allow"
  [[network_rule_collection.rule]]
  name = "bad"
  protocols = ["TCP"]
  source_addresses = ["*"]
  destination_fqdns = ["bad.openai.example.com"]
  destination_ports = ["1433"]
"#;

/// Rows of network rules and of threat intelligence, which no scenario of the lab has.
async fn by_address() -> Vec<Value> {
    let sink = Sink::start().await;
    let to = sink.address.to_string();
    let networks = crate::network_rules::world(&to)
        .config("[proxy]\nsni_mismatch = \"decide\"")
        .start()
        .await;
    for (source, target) in [
        ("127.0.1.5", "198.51.100.7:22"),
        ("127.0.1.5", "198.51.100.200:22"),
        ("127.0.1.5", "203.0.113.1:22"),
        // By name: two are denied to a source that others may reach one of.
        ("127.0.1.5", "db.example.com:1433"),
        ("127.0.4.5", "db.example.com:1433"),
        ("127.0.4.5", "old.example.com:1433"),
    ] {
        drop(networks.client_at(source).connect(target).await);
    }
    let mut fronted = networks
        .client()
        .connect("both.example.com:443")
        .await
        .expect("it is allowed");
    let hello = Hello::to("moved.example.com")
        .bytes(&networks.lab.authority)
        .expect("a hello");
    fronted.wire.send(&hello).await.expect("it is open");
    fronted.wire.to_end().await;
    until("a row of each", || networks.rows("AZFWNetworkRule").len() == 7).await;
    let mut rows = networks.rows("AZFWNetworkRule");
    for mode in ["Deny", "Alert"] {
        let threats = crate::threat_intelligence::world(&format!("recorded-{mode}"), mode, &to).await;
        drop(threats.client().connect("bad.openai.example.com:443").await);
        rows.extend(threats.rows("AZFWThreatIntel"));
    }
    let policy = crate::threat_intelligence::policy("recorded-named", "Alert") + BY_NAME;
    let named = crate::threat_intelligence::builder("recorded-named", "Alert", &to)
        .key("explicit_network_rules = true")
        .policy(&policy)
        .start()
        .await;
    drop(named.client().connect("bad.openai.example.com:1433").await);
    until("its decision", || !named.rows("AZFWNetworkRule").is_empty()).await;
    rows.extend(named.rows("AZFWThreatIntel"));
    rows.extend(named.rows("AZFWNetworkRule"));
    rows
}

#[test]
fn rows_that_are_recorded_in_the_lab_have_exactly_the_documented_columns_types_and_values() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut lines = of_the_lab();
    lines.extend(runtime.block_on(by_address()).iter().map(Value::to_string));
    let rows: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("a row is JSON"))
        .collect();
    let category = |row: &Value| row["category"].as_str().unwrap_or_default().to_owned();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = Vec::new();
    for row in &rows {
        *seen.entry(category(row)).or_default() += 1;
        if category(row).starts_with("AZFW") {
            all.extend(faults(row));
        }
    }
    assert!(all.is_empty(), "{all:#?}");
    for table in [
        "AZFWApplicationRule",
        "AZFWFqdnResolveFailure",
        "AZFWNetworkRule",
        "AZFWThreatIntel",
        "EgretFlow",
    ] {
        assert!(seen.contains_key(table), "no row of {table} among {seen:?}");
    }
    if let Some(path) = env::var_os("EGRET_ROWS") {
        fs::write(path, lines.join("\n") + "\n").expect("the file of EGRET_ROWS can be written");
    }
}
