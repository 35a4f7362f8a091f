//! `log/row`: encoding one rule row, beside the same row as a `serde_json` value printed. `log/write`: what a flow pays for
//! a row that ends in a file, beside one `write` a line; with 1 and 4 threads at once. The claim is the ratio in one run.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egret::{
    config::settings::{Azure, FileLog, Limits, LogFormat, LogSettings, OnFull},
    log::{ApplicationRow, FlowId, Log, NameSource, Row},
    policy::{Action, Mode, Protocol, Reason, RuleRef},
};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    hint::black_box,
    io::Write,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime},
};

fn rule() -> RuleRef {
    RuleRef {
        policy: "egret".into(),
        group: "ai".into(),
        collection: "azure-ai".into(),
        rule: "openai".into(),
    }
}

fn row(rule: &RuleRef) -> Row<'_> {
    Row::Application(ApplicationRow {
        time: SystemTime::now(),
        flow: FlowId::next(),
        source: ([10, 1, 0, 4], 51_000).into(),
        protocol: Protocol::Https,
        port: 443,
        fqdn: "contoso-ai.openai.azure.com",
        requested: Some(b"contoso-ai.openai.azure.com:443"),
        target_url: None,
        action: Action::Allow,
        mode: Mode::Enforce,
        rule: Some(rule),
        behind: None,
        reason: Reason::RuleMatched,
        explicit: true,
        name_source: NameSource::Connect,
        sni: Some(b"contoso-ai.openai.azure.com"),
        host_header: None,
        ech: None,
        generation: 3,
        policy_hash: "5f2c9a7be1d04c38",
        dns: None,
        address: Some(([10, 1, 2, 4], 443).into()),
        refused_addresses: &[],
        wide: false,
        public_resolution: false,
        overrides: false,
        detail: None,
    })
}

/// The same row as a value built anew, as a logger without an encoder of its own would print it.
fn value(flow: FlowId) -> serde_json::Value {
    json!({
        "category": "AZFWApplicationRule", "time": "2026-11-24T08:30:00.123456Z", "resourceId": &*Azure::default().resource_id,
        "properties": {
            "Protocol": "HTTPS", "SourceIp": "10.1.0.4", "SourcePort": 51000, "DestinationPort": 443,
            "Fqdn": "contoso-ai.openai.azure.com", "TargetUrl": "", "Action": "Allow", "Policy": "egret",
            "RuleCollectionGroup": "ai", "RuleCollection": "azure-ai", "Rule": "openai", "ActionReason": "",
            "IsTlsInspected": false, "IsExplicitProxyRequest": true, "WebCategory": "",
            "egret": {
                "flow": flow.to_string(), "reason": "RuleMatched", "mode": "enforce", "generation": 3,
                "policy_hash": "5f2c9a7be1d04c38", "name_source": "connect",
                "requested": "contoso-ai.openai.azure.com:443", "sni": "contoso-ai.openai.azure.com", "address": "10.1.2.4",
            },
        },
    })
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("egret-bench-{name}-{}", std::process::id()))
}

fn log() -> Log {
    let file = FileLog {
        path: path("log"),
        max_bytes: 256 << 20,
        keep: 1,
        max_age: None,
        on_full: OnFull::Deny,
    };
    let settings = LogSettings {
        stdout: false,
        file: Some(file),
        ..LogSettings::default()
    };
    Log::start(&settings, &Azure::default(), &Limits::default()).expect("the file can be written")
}

/// `count` rows by each of `threads`, until the last is with the system.
fn timed(threads: usize, count: u64, each: impl Fn() + Sync, finish: impl Fn()) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..count).for_each(|_| each()));
        }
    });
    finish();
    start.elapsed()
}

/// As a flow does: none starts while the queue is nearly full.
fn write(log: &Log, rule: &RuleRef) {
    while !log.accepts_new_flows() {
        thread::sleep(Duration::from_millis(1));
    }
    log.write(&row(rule));
}

fn rows(c: &mut Criterion) {
    let (rule, azure) = (rule(), Azure::default());
    let ours: serde_json::Value =
        serde_json::from_str(&Log::line(LogFormat::Azure, &azure, &row(&rule))).expect("a row");
    let baseline = value(FlowId::next());
    assert_eq!(
        ours["properties"]["Fqdn"], baseline["properties"]["Fqdn"],
        "the two print the same"
    );
    let (memory, _) = Log::memory();
    c.bench_function("log/row/serde_json", |b| {
        b.iter(|| black_box(value(FlowId::next()).to_string()))
    });
    c.bench_function("log/row/egret", |b| b.iter(|| memory.write(black_box(&row(&rule)))));
}

fn writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("log/write");
    let rule = rule();
    for threads in [1, 4] {
        let file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path("direct"))
            .expect("the file can be written");
        let line = Log::line(LogFormat::Azure, &Azure::default(), &row(&rule));
        group.bench_function(BenchmarkId::new("write-each", threads), |b| {
            b.iter_custom(|n| {
                timed(
                    threads,
                    n,
                    || (&file).write_all(line.as_bytes()).expect("written"),
                    || (),
                )
            });
        });
        file.set_len(0).expect("truncated");
        let log = log();
        group.bench_function(BenchmarkId::new("egret", threads), |b| {
            b.iter_custom(|n| timed(threads, n, || write(&log, &rule), || log.flush()));
        });
        assert_eq!(
            log.status()[0].dropped,
            0,
            "rows that were dropped cost nothing: the figure would be wrong"
        );
    }
    group.finish();
    for name in ["log", "log.1", "direct"] {
        let _ = fs::remove_file(path(name));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = rows, writes
}
criterion_main!(benches);
