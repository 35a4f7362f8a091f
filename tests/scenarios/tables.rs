//! Rows of Azure Firewall's tables against the columns that Microsoft documents: `tests/data/reference/azfw-tables.tsv`.
//!
//! `EGRET_GOLDEN=write cargo test --test scenarios golden` rewrites `tests/golden/tables-*`.

use crate::logs::golden_rows;
use egret::config::settings::{Azure, LogFormat};
use egret::log::{
    ApplicationAggregate, ApplicationRow, DnsQueryRow, FatFlowRow, FlowId, FlowTraceRow, IdpsRow, Log, NameSource,
    NatAggregate, NatRow, NetworkAggregate, NetworkRow, Packets, ResolveFailureRow, Row, Spoken, ThreatAction,
    ThreatIntelRow, TraceFlag,
};
use egret::policy::{Action, Mode, Protocol, Reason, RuleRef, Transport};
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
        name_source: NameSource::Connect,
        requested: Some(b"10.1.2.4:22"),
        sni: None,
        host_header: None,
        ech: None,
        action: Action::Allow,
        mode: Mode::Enforce,
        rule: Some(&RULE),
        behind: None,
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
pub(crate) fn gallery() -> Vec<Row<'static>> {
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
        Row::ThreatIntel(ThreatIntelRow {
            spoken: Spoken::Application(Protocol::Http),
            port: 80,
            target_url: Some("http://c2.example/beacon"),
            ..threat()
        }),
        Row::ResolveFailure(ResolveFailureRow {
            time: noon(),
            flow: FlowId::from_value(0x00c0_ffee_7f3a_0004),
            fqdn: "gone.example",
            error: "gone.example does not exist (zone .)",
            zone: Some("."),
            server: Some("10.0.0.4:53".parse().unwrap()),
            rule: Some(&RULE),
            reason: Reason::DnsNxdomain,
            generation: 3,
            policy_hash: "5f2c9a7be1d04c38",
        }),
        Row::ResolveFailure(ResolveFailureRow {
            time: noon(),
            flow: FlowId::from_value(0x00c0_ffee_7f3a_0005),
            fqdn: "gone.example",
            error: "no zone holds the name and there is no default forwarder",
            zone: None,
            server: None,
            rule: Some(&RULE),
            reason: Reason::DnsRefused,
            generation: 3,
            policy_hash: "5f2c9a7be1d04c38",
        }),
    ]
    .into_iter()
    .chain(without_events())
    .collect()
}

/// Rows of the tables that egret has no event for.
fn without_events() -> Vec<Row<'static>> {
    let packets = Packets {
        transport: Transport::Tcp,
        source: "198.51.100.7:51003".parse().unwrap(),
        destination: "203.0.113.1:8443".parse().unwrap(),
    };
    let question = DnsQueryRow {
        time: noon(),
        source: "10.1.0.4:51004".parse().unwrap(),
        transport: Transport::Udp,
        id: 4711,
        kind: "A",
        class: "IN",
        name: "api.example.com",
        request_bytes: 44,
        dnssec_ok: false,
        edns0_bytes: 1232,
        code: "NOERROR",
        flags: "qr,rd,ra",
        response_bytes: 60,
        duration: Duration::from_micros(1_250),
        error: None,
    };
    let trace = |flag| {
        Row::FlowTrace(FlowTraceRow {
            time: noon(),
            packets,
            flag,
        })
    };
    let idps = IdpsRow {
        time: noon(),
        packets,
        denied: true,
        signature: "2008983",
        category: "A Network Trojan was detected",
        description: "MALWARE suspicious user agent",
        severity: 1,
    };
    vec![
        Row::Nat(NatRow {
            time: noon(),
            packets,
            translated: "10.1.2.4:443".parse().unwrap(),
            rule: &RULE,
        }),
        Row::Idps(idps),
        Row::Idps(IdpsRow {
            denied: false,
            severity: 3,
            ..idps
        }),
        Row::DnsQuery(question),
        Row::DnsQuery(DnsQueryRow {
            code: "SERVFAIL",
            error: Some((2, "read udp 10.0.0.1:40000->10.0.0.4:53: i/o timeout")),
            ..question
        }),
        Row::FatFlow(FatFlowRow {
            time: noon(),
            packets,
            rate: 12.5,
        }),
        trace(TraceFlag::Fin),
        trace(TraceFlag::FinAck),
        trace(TraceFlag::SynAck),
        trace(TraceFlag::Rst),
        trace(TraceFlag::Invalid),
        Row::ApplicationAggregate(ApplicationAggregate {
            time: noon(),
            source: "10.1.0.4".parse().unwrap(),
            protocol: Protocol::Https,
            port: 443,
            fqdn: "api.example.com",
            target_url: None,
            action: Action::Allow,
            rule: Some(&RULE),
            reason: Reason::RuleMatched,
            count: 12,
        }),
        Row::NetworkAggregate(NetworkAggregate {
            time: noon(),
            source: "10.1.0.4".parse().unwrap(),
            transport: Transport::Udp,
            destination: "203.0.113.1:53".parse().unwrap(),
            action: Action::Deny,
            rule: None,
            reason: Reason::NoRuleMatched,
            count: 3,
        }),
        Row::NatAggregate(NatAggregate {
            time: noon(),
            source: "198.51.100.7".parse().unwrap(),
            transport: Transport::Tcp,
            translated: "10.1.2.4:443".parse().unwrap(),
            rule: &RULE,
            count: 2,
        }),
        Row::Network(NetworkRow {
            action: Action::Deny,
            destination: Some("203.0.113.10".parse().unwrap()),
            port: 443,
            fqdn: Some("front.example"),
            name_source: NameSource::Sni,
            requested: Some(b"back.example:443"),
            sni: Some(b"Front.example"),
            host_header: Some(b"back.example"),
            ech: Some("outer"),
            address: None,
            ..network()
        }),
    ]
}

fn azure(row: &Row<'_>) -> Value {
    serde_json::from_str(&Log::line(LogFormat::Azure, &Azure::default(), row)).expect("a row is JSON")
}

#[test]
fn rows_of_every_table_are_as_the_golden_files_show() {
    golden_rows("tables", &gallery());
}

#[test]
fn rows_have_exactly_the_documented_columns_types_and_values() {
    let faults: Vec<_> = gallery().iter().flat_map(|row| faults(&azure(row))).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_documented_table_has_a_row_here() {
    let shown: BTreeSet<_> = gallery().iter().map(|row| table(row.category()).to_owned()).collect();
    let lines = TABLES.lines().filter(|line| !line.starts_with('#')).skip(1);
    let documented: BTreeSet<_> = lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(
        shown
            .into_iter()
            .chain(["AZFWApplicationRule".to_owned()])
            .collect::<BTreeSet<_>>(),
        documented
    );
}

/// The sentence of a row in the older form.
fn sentence(row: &Row<'_>) -> String {
    let line = Log::line(LogFormat::AzureDiagnostics, &Azure::default(), row);
    let row: Value = serde_json::from_str(&line).expect("a row is JSON");
    row["properties"]["msg"].as_str().expect("it has a sentence").to_owned()
}

#[test]
fn the_sentences_of_the_older_form_are_those_of_the_documentation() {
    let application = crate::logs::allowed();
    let policy = ". Policy: egret. Rule Collection Group: ai. Rule Collection: azure-ai. Rule: openai";
    let denied = ApplicationRow {
        fqdn: "paste.example",
        action: Action::Deny,
        rule: None,
        reason: Reason::NoRuleMatched,
        ..application
    };
    for (row, expected) in [
        (application, format!("HTTPS request from 10.1.0.4:51000 to contoso-ai.openai.azure.com:443. Action: Allow{policy}")),
        (
            ApplicationRow { protocol: Protocol::Http, port: 80, target_url: Some("http://api.example.com/v1"), fqdn: "api.example.com", ..application },
            format!("HTTP request from 10.1.0.4:51000 to api.example.com:80. Url: http://api.example.com/v1. Action: Allow{policy}"),
        ),
        (
            denied,
            "HTTPS request from 10.1.0.4:51000 to paste.example:443. Action: Deny. No rule matched. Proceeding with default action".to_owned(),
        ),
        (
            ApplicationRow { reason: Reason::RuleMatched, rule: application.rule, ..denied },
            format!("HTTPS request from 10.1.0.4:51000 to paste.example:443. Action: Deny{policy}"),
        ),
        (
            ApplicationRow { reason: Reason::SniMissing, rule: application.rule, ..denied },
            "HTTPS request from 10.1.0.4:51000. Action: Deny. Reason: SNI TLS extension was missing.".to_owned(),
        ),
        (
            ApplicationRow { reason: Reason::AddressDenied, rule: application.rule, ..denied },
            "HTTPS request from 10.1.0.4:51000 to paste.example:443. Action: Deny. Reason: AddressDenied.".to_owned(),
        ),
    ] {
        assert_eq!(sentence(&Row::Application(row)), expected);
    }
    let rule = ". Policy: egret. Rule Collection Group: net. Rule Collection: ssh. Rule: jump";
    for (row, expected) in gallery().iter().zip([
        format!("TCP request from 10.1.0.4:51001 to 10.1.2.4:22. Action: Allow{rule}"),
        "TCP request from 10.1.0.4:51001 to 10.1.2.4:22. Action: Allow. No rule matched. Proceeding with default action".to_owned(),
        "TCP request from 10.1.0.4:51001 to git.example:22. Action: Deny. Reason: AddressDenied.".to_owned(),
        format!("ICMP request from 10.1.0.4 to 10.1.2.4. Action: Allow{rule}"),
        "HTTPS request from 10.1.0.4:51002 to c2.example:443. Action: Deny. ThreatIntel: c2.example is listed".to_owned(),
        "TCP request from 10.1.0.4:51002 to 203.0.113.66:22. Action: Alert. ThreatIntel: 203.0.113.66 is listed".to_owned(),
        "HTTP request from 10.1.0.4:51002 to c2.example:80. Url: http://c2.example/beacon. Action: Deny. ThreatIntel: c2.example is listed".to_owned(),
    ]) {
        assert_eq!(sentence(row), expected);
    }
    for (row, expected) in without_events().iter().zip([
        format!("TCP request from 198.51.100.7:51003 to 203.0.113.1:8443 was DNAT'ed to 10.1.2.4:443{rule}"),
        "TCP request from 198.51.100.7:51003 to 203.0.113.1:8443. Action: Deny. Signature: 2008983. IDS: MALWARE suspicious user agent. Priority: 1. Classification: A Network Trojan was detected".to_owned(),
        "TCP request from 198.51.100.7:51003 to 203.0.113.1:8443. Action: alert. Signature: 2008983. IDS: MALWARE suspicious user agent. Priority: 3. Classification: A Network Trojan was detected".to_owned(),
        "DNS Request: 10.1.0.4:51004 - 4711 A IN api.example.com. udp 44 false 1232 NOERROR qr,rd,ra 60 0.00125s".to_owned(),
        " Error: 2 api.example.com. A: read udp 10.0.0.1:40000->10.0.0.4:53: i/o timeout".to_owned(),
    ]) {
        assert_eq!(sentence(row), expected);
    }
}

#[test]
fn g_01_no_name_can_end_the_sentence_of_the_older_form_and_go_on_in_our_name() {
    for name in [
        "a.example:443. Action: Allow. Policy: egret",
        "a\tb\nc\u{2028}d",
        "a\" b",
    ] {
        let row = Row::Application(ApplicationRow {
            fqdn: name,
            ..crate::logs::denied(Reason::NameInvalid)
        });
        let text = sentence(&row);
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words[0..3], ["HTTPS", "request", "from"], "{text}");
        assert_eq!(words[6..8], ["Action:", "Deny."], "{text}");
    }
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
