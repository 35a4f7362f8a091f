//! Decision rows as they are written: both forms, hostile text, every reason, and what a crash leaves behind.
//!
//! `EGRET_GOLDEN=write cargo test --test scenarios golden` rewrites the files of `tests/golden` that this compares with.

mod durable;
mod hostile;

use crate::world::{POLICY, World, until};
use egret::config;
use egret::config::settings::{Azure, FileLog, Limits, LogFormat, LogSettings, OnFull};
use egret::gateway::{Gateway, GatewayOptions};
use egret::lab::client::{Client, Hello, Road};
use egret::log::{ApplicationRow, FlowEnd, FlowEndKind, FlowId, Log, Loss, LossCause, NameSource, Row, Stage};
use egret::policy::{Action, Answer, AnswerAddress, Fqdn, Link, Mode, Protocol, Reason, RuleRef};
use serde_json::{Value, json};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest row that README and docs promise, in bytes.
const LONGEST: usize = 8192;

static RULE: LazyLock<RuleRef> = LazyLock::new(|| RuleRef {
    policy: "egret".into(),
    group: "ai".into(),
    collection: "azure-ai".into(),
    rule: "openai".into(),
});

static PRIVATE: LazyLock<Answer> = LazyLock::new(|| Answer {
    name: name("contoso-ai.openai.azure.com"),
    links: vec![Link {
        owner: name("contoso-ai.openai.azure.com"),
        target: name("contoso-ai.privatelink.openai.azure.com"),
        zone: "openai.azure.com".into(),
        server: "10.0.0.4:53".into(),
        ttl: 300,
    }],
    addresses: vec![AnswerAddress {
        ip: "10.1.2.4".parse().unwrap(),
        owner: name("contoso-ai.privatelink.openai.azure.com"),
        zone: "openai.azure.com".into(),
        server: "10.0.0.4:53".into(),
        ttl: 10,
    }],
});

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// 2026-11-24T08:30:00.123456Z
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_795_509_000_123_456)
}

/// An allowed call of a private endpoint.
pub(crate) fn allowed() -> ApplicationRow<'static> {
    ApplicationRow {
        time: noon(),
        flow: FlowId::from_value(0x00c0_ffee_7f3a_0001),
        source: address("10.1.0.4:51000"),
        protocol: Protocol::Https,
        port: 443,
        fqdn: "contoso-ai.openai.azure.com",
        requested: Some(b"Contoso-AI.openai.azure.com:443"),
        target_url: None,
        action: Action::Allow,
        mode: Mode::Enforce,
        rule: Some(&RULE),
        behind: None,
        reason: Reason::RuleMatched,
        explicit: true,
        name_source: NameSource::Connect,
        sni: Some(b"contoso-ai.openai.azure.com"),
        host_header: None,
        ech: None,
        generation: 3,
        policy_hash: "5f2c9a7be1d04c38",
        dns: Some(&PRIVATE),
        address: Some(address("10.1.2.4:443")),
        refused_addresses: &[],
        wide: false,
        public_resolution: false,
        overrides: false,
        detail: None,
    }
}

pub(crate) fn denied(reason: Reason) -> ApplicationRow<'static> {
    ApplicationRow {
        fqdn: "paste.example",
        requested: Some(b"paste.example:443"),
        action: Action::Deny,
        rule: None,
        reason,
        sni: None,
        dns: None,
        address: None,
        ..allowed()
    }
}

fn end() -> FlowEnd<'static> {
    FlowEnd {
        time: noon(),
        flow: FlowId::from_value(0x00c0_ffee_7f3a_0001),
        source: address("[::ffff:10.1.0.4]:51000"),
        fqdn: "contoso-ai.openai.azure.com",
        port: 443,
        address: Some(address("10.1.2.4:443")),
        protocol: Some(Protocol::Https),
        sent: 1820,
        received: 40_960,
        duration: Duration::from_micros(1_234_567),
        end: FlowEndKind::UpstreamClosed,
        stage: Stage::Relay,
        reason: Reason::RuleMatched,
        generation: 3,
    }
}

fn azure(row: &Row<'_>) -> String {
    Log::line(LogFormat::Azure, &Azure::default(), row)
}

/// The row as a log reader sees it.
fn parsed(row: &Row<'_>) -> Value {
    let line = azure(row);
    assert!(line.len() <= LONGEST, "{} bytes", line.len());
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    let body = line.strip_suffix('\n').unwrap();
    assert!(body.ends_with('}') && !body.contains(char::is_control), "{line}");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// Rows of each kind, as the golden files hold them.
fn gallery() -> Vec<Row<'static>> {
    const REFUSED: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254))];
    vec![
        Row::Application(allowed()),
        Row::Application(denied(Reason::NoRuleMatched)),
        Row::Application(ApplicationRow {
            mode: Mode::Audit,
            ..denied(Reason::NoRuleMatched)
        }),
        Row::Application(ApplicationRow {
            sni: Some(b"evil.test"),
            ech: Some("outer"),
            rule: Some(&RULE),
            ..denied(Reason::SniMismatch)
        }),
        Row::Application(ApplicationRow {
            protocol: Protocol::Http,
            port: 80,
            fqdn: "api.example.com",
            requested: Some(b"http://api.example.com/v1"),
            target_url: Some("http://api.example.com/v1"),
            name_source: NameSource::Host,
            host_header: Some(b"evil.test\x1b[2J"),
            sni: None,
            dns: None,
            wide: true,
            public_resolution: true,
            overrides: true,
            ..allowed()
        }),
        Row::Application(ApplicationRow {
            refused_addresses: &REFUSED,
            detail: Some("169.254.169.254 is link-local"),
            ..denied(Reason::AddressDenied)
        }),
        Row::Application(ApplicationRow {
            fqdn: "",
            port: 0,
            requested: Some(b"a\xff\r\nb"),
            name_source: NameSource::None,
            ..denied(Reason::NameInvalid)
        }),
        Row::FlowEnd(end()),
        Row::FlowEnd(FlowEnd {
            address: None,
            protocol: None,
            end: FlowEndKind::Refused,
            stage: Stage::Decide,
            reason: Reason::NoRuleMatched,
            sent: 0,
            received: 0,
            ..end()
        }),
        Row::Loss(Loss {
            time: noon(),
            sink: "stdout",
            rows: 120,
            bytes: 70_000,
            first: noon() - Duration::from_secs(5),
            last: noon() - Duration::from_secs(1),
            cause: LossCause::QueueFull,
        }),
    ]
}

pub(crate) fn golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("EGRET_GOLDEN").is_some_and(|value| value == "write") {
        return fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{file} differs; EGRET_GOLDEN=write rewrites it");
}

/// Rows in every form against `tests/golden/{name}-*`.
pub(crate) fn golden_rows(name: &str, rows: &[Row<'_>]) {
    for (format, ending) in [
        (LogFormat::Azure, "azure.ndjson"),
        (LogFormat::AzureDiagnostics, "diagnostics.ndjson"),
        (LogFormat::Text, "text.txt"),
    ] {
        let lines = rows.iter().map(|row| Log::line(format, &Azure::default(), row));
        golden(&format!("tests/golden/{name}-{ending}"), &lines.collect::<String>());
    }
}

#[test]
fn rows_of_every_form_are_as_the_golden_files_show() {
    golden_rows("rows", &gallery());
}

#[test]
fn docs_of_the_metrics_are_the_table() {
    let head = "# Metrics\n\nWhat `/metrics` of the admin listener shows, as OpenMetrics text. Labels take their values from closed sets: the number of\n\
                series does not depend on what clients ask for. Counters start at zero with the process; series of two labels appear with\n\
                their first count. This page is made from the table in the source (`EGRET_GOLDEN=write cargo test --test scenarios docs_of`).\n\n";
    golden("docs/metrics.md", &format!("{head}{}", egret::metrics::reference()));
}

#[test]
fn every_column_has_its_line_in_the_docs() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logs.md")).unwrap();
    let mut missing = Vec::new();
    for row in gallery().into_iter().chain(crate::tables::gallery()) {
        let row = parsed(&row);
        for (key, value) in row["properties"].as_object().unwrap() {
            let inner = value.as_object().into_iter().flat_map(|o| o.keys());
            missing.extend(
                inner
                    .chain([key])
                    .filter(|key| !docs.contains(&format!("`{key}`")))
                    .cloned(),
            );
        }
    }
    assert!(missing.is_empty(), "docs/logs.md lacks {missing:?}");
}

#[test]
fn azures_columns_are_exactly_azures() {
    let row = parsed(&Row::Application(allowed()));
    let keys: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(row["category"], "AZFWApplicationRule");
    assert_eq!(row["time"], "2026-11-24T08:30:00.123456Z");
    let resource = row["resourceId"].as_str().unwrap();
    assert_eq!(resource, resource.to_uppercase());
    assert!(resource.contains("/AZUREFIREWALLS/"));
    let mut properties = row["properties"].clone();
    let ours = properties.as_object_mut().unwrap().remove("egret").unwrap();
    assert_eq!(
        properties,
        json!({
            "Protocol": "HTTPS", "SourceIp": "10.1.0.4", "SourcePort": 51000, "DestinationPort": 443,
            "Fqdn": "contoso-ai.openai.azure.com", "TargetUrl": "", "Action": "Allow", "Policy": "egret",
            "RuleCollectionGroup": "ai", "RuleCollection": "azure-ai", "Rule": "openai", "ActionReason": "",
            "IsTlsInspected": false, "IsExplicitProxyRequest": true, "WebCategory": "",
        })
    );
    assert_eq!(ours["flow"], "00c0ffee7f3a0001");
    assert_eq!(ours["requested"], "Contoso-AI.openai.azure.com:443");
    assert_eq!(
        ours["dns"][0],
        "contoso-ai.openai.azure.com CNAME contoso-ai.privatelink.openai.azure.com (zone openai.azure.com, server 10.0.0.4:53, 300 s)"
    );
}

#[test]
fn a_denial_that_audit_mode_lets_through_is_an_allow_that_says_what_it_would_have_been() {
    for (reason, let_through) in [
        (Reason::NoRuleMatched, true),
        (Reason::RuleMatched, true),
        (Reason::SniMismatch, false),
        (Reason::AddressDenied, false),
    ] {
        let row = parsed(&Row::Application(ApplicationRow {
            mode: Mode::Audit,
            ..denied(reason)
        }));
        let properties = &row["properties"];
        assert_eq!(
            properties["Action"],
            if let_through { "Allow" } else { "Deny" },
            "{reason}"
        );
        assert_eq!(properties["egret"]["mode"], "audit");
        assert_eq!(
            properties["egret"]["audit"]["action"].as_str(),
            let_through.then_some("Deny"),
            "{reason}"
        );
    }
}

/// Let through, and nobody was there: what is told of the decision is the decision.
#[test]
fn trouble_with_what_audit_mode_let_through_is_no_reason_of_the_decision() {
    for (rule, said, sentence) in [
        (
            None,
            "No rule matched. Proceeding with default action.",
            "Allow. No rule matched.",
        ),
        (allowed().rule, "", "Allow. Policy:"),
    ] {
        let row = Row::Application(ApplicationRow {
            mode: Mode::Audit,
            rule,
            ..denied(Reason::UpstreamTimeout)
        });
        let properties = &parsed(&row)["properties"];
        assert_eq!(
            (&properties["Action"], &properties["ActionReason"]),
            (&"Allow".into(), &said.into())
        );
        assert_eq!(properties["egret"]["reason"], "UpstreamTimeout");
        assert_eq!(properties["egret"]["audit"]["action"], "Deny");
        let older = Log::line(LogFormat::AzureDiagnostics, &Azure::default(), &row);
        assert!(older.contains(sentence), "{older}");
    }
}

#[test]
fn the_sentence_of_the_default_action_is_a_setting() {
    let row = Row::Application(denied(Reason::NoRuleMatched));
    assert_eq!(
        parsed(&row)["properties"]["ActionReason"],
        "No rule matched. Proceeding with default action."
    );
    let documented = Azure {
        action_reason: "Default Action".into(),
        ..Azure::default()
    };
    let line: Value = serde_json::from_str(&Log::line(LogFormat::Azure, &documented, &row)).unwrap();
    assert_eq!(line["properties"]["ActionReason"], "Default Action");
}

#[test]
fn g_09_a_record_of_every_reason_has_what_an_inquiry_needs() {
    for &reason in Reason::ALL.iter() {
        for row in [denied(reason), ApplicationRow { reason, ..allowed() }] {
            let row = parsed(&Row::Application(row));
            let properties = &row["properties"];
            for key in ["SourceIp", "Fqdn", "Action", "ActionReason", "Policy", "Rule"] {
                assert!(properties[key].is_string(), "{reason}: {key}");
            }
            let ours = &properties["egret"];
            assert_eq!(ours["reason"], reason.name());
            for key in ["flow", "mode", "policy_hash", "name_source", "requested"] {
                assert!(ours[key].is_string(), "{reason}: {key}");
            }
            assert_eq!(ours["generation"], 3);
        }
        let row = parsed(&Row::FlowEnd(FlowEnd { reason, ..end() }));
        let properties = &row["properties"];
        assert_eq!(properties["Reason"], reason.name());
        for key in [
            "BytesSent",
            "BytesReceived",
            "DurationMs",
            "SourcePort",
            "DestinationPort",
            "Generation",
        ] {
            assert!(properties[key].is_number(), "{reason}: {key}");
        }
        assert_eq!(properties["DestinationIp"], "10.1.2.4");
        assert_eq!(
            properties["FlowId"], "00c0ffee7f3a0001",
            "the same flow as in the rule row"
        );
    }
}
