//! Rows of Azure Firewall's tables against the columns that Microsoft documents: `tests/data/reference/azfw-tables.tsv`.
//!
//! `EGRET_GOLDEN=write cargo test --test scenarios golden` rewrites `tests/golden/tables-*`.

use crate::logs::golden;
use egret::config::settings::{Azure, LogFormat};
use egret::log::{FlowId, Log, NetworkRow, Row, Spoken, ThreatAction, ThreatIntelRow, Transport};
use egret::policy::{Action, Mode, Protocol, Reason, RuleRef};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static TABLES: &str = include_str!("../data/reference/azfw-tables.tsv");

static RULE: LazyLock<RuleRef> = LazyLock::new(|| RuleRef {
    policy: "egret".into(),
    group: "net".into(),
    collection: "ssh".into(),
    rule: "jump".into(),
});

/// A documented column.
struct Column {
    name: &'static str,
    kind: &'static str,
    values: &'static str,
}

/// The table that a category fills.
fn table(category: &str) -> &str {
    match category {
        "AZFWFqdnResolveFailure" => "AZFWInternalFqdnResolutionFailure",
        same => same,
    }
}

/// The documented columns of a category; none for tables of ours.
fn columns(category: &str) -> Vec<Column> {
    let lines = TABLES.lines().filter(|line| !line.starts_with('#')).skip(1);
    let cells = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    cells
        .filter(|cells| cells[0] == table(category))
        .map(|cells| Column {
            name: cells[1],
            kind: cells[2],
            values: cells[3],
        })
        .collect()
}

/// What a row has that the documented table has not, or the other way round.
pub(crate) fn faults(row: &Value) -> Vec<String> {
    let category = row["category"].as_str().unwrap_or_default();
    let documented = columns(category);
    if documented.is_empty() {
        return vec![format!("{category} is no table of Azure Firewall")];
    }
    let properties = row["properties"].as_object().expect("properties are an object");
    let mut faults: Vec<String> = ["category", "time", "resourceId"]
        .iter()
        .filter(|key| !row[**key].is_string())
        .map(|key| format!("{category}: no {key}"))
        .collect();
    for column in &documented {
        match properties.get(column.name) {
            None => faults.push(format!("{category}: no {}", column.name)),
            Some(value) if !fits(value, column) => faults.push(format!(
                "{category}.{}: {value} is not {} of {}",
                column.name, column.kind, column.values
            )),
            Some(_) => {}
        }
    }
    let names: BTreeSet<_> = documented.iter().map(|column| column.name).collect();
    let strange = properties
        .keys()
        .filter(|key| *key != "egret" && !names.contains(&key[..]));
    faults.extend(strange.map(|key| format!("{category}.{key} is not documented")));
    faults
}

fn fits(value: &Value, column: &Column) -> bool {
    let typed = match column.kind {
        "string" => value.is_string(),
        "int" => value.is_u64(),
        "real" => value.is_number(),
        "bool" => value.is_boolean(),
        other => panic!("{other} is no type of the table"),
    };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    typed
        && match column.values {
            "*" => true,
            "ip" => text.is_empty() || text.parse::<IpAddr>().is_ok(),
            "port" => text.parse::<u16>().is_ok(),
            words => words.split('|').any(|word| word == text),
        }
}

/// 2026-11-24T08:30:00.123456Z
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_795_509_000_123_456)
}

/// An allowed connection to an address.
fn network() -> NetworkRow<'static> {
    NetworkRow {
        time: noon(),
        flow: FlowId::from_value(0x00c0_ffee_7f3a_0002),
        source: "10.1.0.4:51001".parse().unwrap(),
        transport: Transport::Tcp,
        destination: Some("10.1.2.4".parse().unwrap()),
        port: 22,
        fqdn: None,
        requested: Some(b"10.1.2.4:22"),
        action: Action::Allow,
        mode: Mode::Enforce,
        rule: Some(&RULE),
        reason: Reason::RuleMatched,
        generation: 3,
        policy_hash: "5f2c9a7be1d04c38",
        dns: None,
        address: Some("10.1.2.4:22".parse().unwrap()),
        refused_addresses: &[],
        overrides: false,
        detail: None,
    }
}

fn threat() -> ThreatIntelRow<'static> {
    ThreatIntelRow {
        time: noon(),
        flow: FlowId::from_value(0x00c0_ffee_7f3a_0003),
        source: "10.1.0.4:51002".parse().unwrap(),
        spoken: Spoken::Application(Protocol::Https),
        destination: None,
        port: 443,
        fqdn: "c2.example",
        target_url: None,
        action: ThreatAction::Deny,
        description: "c2.example is listed",
        generation: 3,
        policy_hash: "5f2c9a7be1d04c38",
    }
}

/// Rows of each table, as the golden files hold them.
fn gallery() -> Vec<Row<'static>> {
    const REFUSED: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254))];
    vec![
        Row::Network(network()),
        Row::Network(NetworkRow {
            action: Action::Deny,
            rule: None,
            reason: Reason::NoRuleMatched,
            mode: Mode::Audit,
            ..network()
        }),
        Row::Network(NetworkRow {
            action: Action::Deny,
            reason: Reason::AddressDenied,
            destination: None,
            fqdn: Some("git.example"),
            requested: Some(b"git.example:22"),
            address: None,
            refused_addresses: &REFUSED,
            overrides: true,
            detail: Some("169.254.169.254 is link-local"),
            ..network()
        }),
        Row::Network(NetworkRow {
            source: "10.1.0.4:0".parse().unwrap(),
            transport: Transport::Icmp,
            port: 0,
            requested: None,
            address: None,
            ..network()
        }),
        Row::ThreatIntel(threat()),
        Row::ThreatIntel(ThreatIntelRow {
            spoken: Spoken::Transport(Transport::Tcp),
            destination: Some("203.0.113.66".parse().unwrap()),
            fqdn: "",
            port: 22,
            action: ThreatAction::Alert,
            description: "203.0.113.66 is listed",
            ..threat()
        }),
    ]
}

fn azure(row: &Row<'_>) -> Value {
    serde_json::from_str(&Log::line(LogFormat::Azure, &Azure::default(), row)).expect("a row is JSON")
}

#[test]
fn rows_of_every_table_are_as_the_golden_files_show() {
    for (format, file) in [
        (LogFormat::Azure, "tables-azure.ndjson"),
        (LogFormat::Text, "tables-text.txt"),
    ] {
        let lines: String = gallery()
            .iter()
            .map(|row| Log::line(format, &Azure::default(), row))
            .collect();
        golden(&format!("tests/golden/{file}"), &lines);
    }
}

#[test]
fn rows_have_exactly_the_documented_columns_types_and_values() {
    let faults: Vec<_> = gallery().iter().flat_map(|row| faults(&azure(row))).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_row_that_strays_from_the_table_is_noticed() {
    let row = azure(&Row::Network(network()));
    for (column, value) in [
        ("Action", "ALLOW".into()),
        ("Action", Value::Null),
        ("SourcePort", "51001".into()),
        ("DestinationPort", 70_000.into()),
        ("SourceIp", "client".into()),
        ("Fqdn", "a.example".into()),
    ] {
        let mut strayed = row.clone();
        strayed["properties"][column] = value;
        assert_eq!(faults(&strayed).len(), 1, "{column}");
    }
    let mut short = row.clone();
    short["properties"].as_object_mut().unwrap().remove("Rule");
    assert_eq!(faults(&short), ["AZFWNetworkRule: no Rule"]);
}
