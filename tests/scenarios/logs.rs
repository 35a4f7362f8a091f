//! Decision rows as they are written: both forms, hostile text, every reason, and what a crash leaves behind.
//!
//! `EGRET_GOLDEN=write cargo test --test scenarios golden` rewrites the files of `tests/golden` that this compares with.

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

#[test]
fn rows_of_every_form_are_as_the_golden_files_show() {
    for (format, file) in [
        (LogFormat::Azure, "rows-azure.ndjson"),
        (LogFormat::AzureDiagnostics, "rows-diagnostics.ndjson"),
        (LogFormat::Text, "rows-text.txt"),
    ] {
        let lines: String = gallery()
            .iter()
            .map(|row| Log::line(format, &Azure::default(), row))
            .collect();
        golden(&format!("tests/golden/{file}"), &lines);
    }
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
fn g_01_whatever_is_in_a_name_a_header_or_a_url_each_record_is_one_line_that_parses_back() {
    let long = "x".repeat(64 << 10);
    let hostile = [
        "a\r\nb",
        "a\0b",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\"},\"Action\":\"Allow\"{\"",
        "a\\",
        "\\u0000",
        "\u{2028}\u{2029}",
        "\u{202e}moc.live",
        "\u{9b}31m",
        "ünïcödé 漢字 😀",
        "</script><script>",
        "${jndi:ldap://x}",
        &long,
    ];
    for text in hostile {
        let row = parsed(&Row::Application(ApplicationRow {
            fqdn: text,
            requested: Some(text.as_bytes()),
            target_url: Some(text),
            sni: Some(text.as_bytes()),
            host_header: Some(text.as_bytes()),
            detail: Some(text),
            ..denied(Reason::NameInvalid)
        }));
        let properties = &row["properties"];
        for shown in [
            &properties["Fqdn"],
            &properties["TargetUrl"],
            &properties["egret"]["detail"],
        ] {
            let shown = shown.as_str().unwrap();
            let cut = text.len() > 512 && shown.ends_with("...(cut, 65536 bytes)");
            assert!(shown == text || cut, "{shown:?}");
        }
        let bytes = text.replace('\\', "\\x5c");
        for key in ["requested", "sni", "host"] {
            let shown = properties["egret"][key].as_str().unwrap();
            assert!(shown == bytes || shown.ends_with("...(cut, 65536 bytes)"), "{shown:?}");
        }
        assert_eq!(properties["Action"], "Deny", "nothing in a name reaches another column");
        parsed(&Row::FlowEnd(FlowEnd { fqdn: text, ..end() }));
    }
    let row = parsed(&Row::Application(ApplicationRow {
        sni: Some(b"\xff\xc0\xaf"),
        ..denied(Reason::SniInvalid)
    }));
    assert_eq!(row["properties"]["egret"]["sni"], "\\xff\\xc0\\xaf");
}

#[test]
fn the_longest_row_is_bounded() {
    let label = "l".repeat(63);
    let longest = name(&[label.as_str(); 3].join("."));
    let wild = "\u{1b}".repeat(64 << 10);
    let link = Link {
        owner: longest.clone(),
        target: longest.clone(),
        zone: wild.as_str().into(),
        server: wild.as_str().into(),
        ttl: u32::MAX,
    };
    let found = AnswerAddress {
        ip: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(),
        owner: longest.clone(),
        zone: wild.as_str().into(),
        server: wild.as_str().into(),
        ttl: u32::MAX,
    };
    let answer = Answer {
        name: longest,
        links: vec![link; 8],
        addresses: vec![found.clone(); 64],
    };
    let rule = RuleRef {
        policy: wild.as_str().into(),
        group: wild.as_str().into(),
        collection: wild.as_str().into(),
        rule: wild.as_str().into(),
    };
    let row = Row::Application(ApplicationRow {
        fqdn: &wild,
        requested: Some(wild.as_bytes()),
        target_url: Some(&wild),
        sni: Some(wild.as_bytes()),
        host_header: Some(wild.as_bytes()),
        detail: Some(&wild),
        policy_hash: &wild,
        rule: Some(&rule),
        dns: Some(&answer),
        refused_addresses: &[found.ip; 64],
        generation: u64::MAX,
        wide: true,
        public_resolution: true,
        overrides: true,
        ech: Some("outer"),
        ..denied(Reason::LimitSourceTunnels)
    });
    let settings = Azure {
        resource_id: wild.as_str().into(),
        action_reason: wild.as_str().into(),
        ..Azure::default()
    };
    for format in [LogFormat::Azure, LogFormat::AzureDiagnostics, LogFormat::Text] {
        let line = Log::line(format, &settings, &row);
        assert!(line.len() <= LONGEST, "{format:?}: {} bytes", line.len());
    }
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

#[test]
fn g_10_text_for_people_cannot_drive_a_terminal_or_forge_a_line() {
    let hostile = "\u{1b}[2J\r\n2026-01-01T00:00:00.000000Z ALLOW\u{9b}31m\u{202e}\u{7}";
    let row = Row::Application(ApplicationRow {
        fqdn: hostile,
        requested: Some(hostile.as_bytes()),
        sni: Some(b"\x9b\xff"),
        host_header: Some(hostile.as_bytes()),
        detail: Some(hostile),
        ..denied(Reason::NameInvalid)
    });
    let line = Log::line(LogFormat::Text, &Azure::default(), &row);
    assert_eq!(line.matches('\n').count(), 1);
    let shown = line.trim_end_matches('\n');
    assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    assert!(shown.contains("\\u{1b}[2J") && shown.contains(" DENY "), "{shown}");
}

/// The other process of `g_05_..`: writes rows until it is killed. Does nothing unless it was told where to.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os("EGRET_TEST_ROWS") else {
        return;
    };
    let log = file_log(path.into());
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut number = 0;
    while Instant::now() < deadline {
        log.write(&Row::FlowEnd(FlowEnd { sent: number, ..end() }));
        number += 1;
        if !log.accepts_new_flows() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn file_log(path: PathBuf) -> Log {
    let file = FileLog {
        path,
        max_bytes: 1 << 30,
        keep: 1,
        max_age: None,
        on_full: OnFull::Deny,
    };
    let settings = LogSettings {
        stdout: false,
        file: Some(file),
        ..LogSettings::default()
    };
    Log::start(&settings, &Azure::default(), &Limits::default()).unwrap()
}

#[test]
fn g_05_after_sigkill_rows_are_there_without_a_gap_and_the_next_start_leaves_none_torn() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{}.ndjson", std::process::id()));
    let _ = fs::remove_file(&path);
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logs::writes_until_it_is_killed"])
            .env("EGRET_TEST_ROWS", &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let before = fs::metadata(&path).map_or(0, |there| there.len());
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::metadata(&path).map_or(0, |there| there.len()) < before + 1_000_000 {
            assert!(Instant::now() < deadline, "the other process writes nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The next start finds the file as the kill left it.
        file_log(path.clone()).close();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'));
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect(line));
        let sent = rows.filter_map(|row| row["properties"]["BytesSent"].as_u64());
        let mut next = 0;
        for number in sent {
            assert!(number == next || number == 0, "a gap: {number} where {next} should be");
            next = number + 1;
        }
        assert!(next > 1000);
    }
    fs::remove_file(&path).unwrap();
}

/// A folder that can be taken away: the disk of these tests.
struct Disk(PathBuf);

impl Disk {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("egret.ndjson")
    }

    fn rows(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn g_03_a_log_that_cannot_be_written_refuses_new_flows_and_leaves_open_tunnels_alone() {
    let (world, disk) = (World::usual().await, Disk::new("gone"));
    let log = file_log(disk.file());
    let checked = config::from_text("scenario.toml", &world.text(POLICY)).unwrap();
    let options = GatewayOptions::logging_to(log.clone());
    let gateway = tokio::task::spawn_blocking(|| Gateway::start(checked, options))
        .await
        .unwrap()
        .unwrap();
    let road = Road::Proxy(gateway.proxy_addrs()[0]);
    let client = Client::new("127.0.0.1".parse().unwrap(), road, world.lab.authority.clone());
    let mut open = client.connect("api.example.com:443").await.unwrap().wire;
    open.handshake(&Hello::to("api.example.com")).await.unwrap();

    fs::remove_dir_all(&disk.0).unwrap();
    // The row that finds out waits for the disk; it is not lost.
    client.connect("evil.test:443").await.unwrap();
    until("the log is found broken", || !log.accepts_new_flows()).await;
    let refused = client.connect("api.example.com:443").await.unwrap();
    assert_eq!(refused.status(), 503, "{}", refused.phrase());
    assert!(refused.phrase().contains("LogUnavailable"), "{}", refused.phrase());
    open.send(b"GET /hello HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(open.reply("GET").await.unwrap().status, 200, "the open tunnel lives");

    fs::create_dir_all(&disk.0).unwrap();
    until("the log is written again", || log.accepts_new_flows()).await;
    assert_eq!(client.connect("api.example.com:443").await.unwrap().status(), 200);
    log.flush();
    let reasons: Vec<_> = disk
        .rows()
        .iter()
        .map(|row| row["properties"]["egret"]["reason"].clone())
        .collect();
    assert!(
        reasons.contains(&"NoRuleMatched".into()) && reasons.contains(&"LogUnavailable".into()),
        "{reasons:?}"
    );
    tokio::task::spawn_blocking(move || drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn g_08_every_connection_has_a_row_however_it_ends() {
    let world = World::usual().await;
    let client = world.client();
    client.get_https("api.example.com", "/hello").await.unwrap();
    for request in [
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "\x16\x03\x01\x00\x05hello\r\n\r\n",
    ] {
        let _ = client.ask(request).await;
    }
    // One says nothing, one breaks off in its head, one in its tunnel.
    drop(client.open().await.unwrap());
    let mut broken = client.open().await.unwrap();
    broken.send(b"CONNECT api.exa").await.unwrap();
    drop(broken);
    drop(client.connect("api.example.com:443").await.unwrap());
    until("nine connections, nine rows", || world.rows("EgretFlow").len() >= 9).await;
    assert_eq!(world.rows("EgretFlow").len(), 9);
    let metrics = world.gateway.metrics();
    let accepted = metrics.value(egret::metrics::Metric::Accepted, &[]).unwrap();
    assert_eq!(accepted, 9 + 1, "and the self-test, which leaves no rows");
    // A decision has a rule row, which names the flow that its end names.
    let flows: Vec<_> = world
        .rows("EgretFlow")
        .iter()
        .map(|row| row["properties"]["FlowId"].clone())
        .collect();
    for row in world.rule_rows() {
        assert!(flows.contains(&row["properties"]["egret"]["flow"]), "{row}");
    }
}
