//! What `deploy/` promises whoever copies from it: configurations load without a warning, the variables are those that
//! `egret env` prints, probes ask the port that the configuration opens, and nothing runs as root.

use clap::Parser;
use egret::{
    cli::Cli,
    config::{self, Checked, Problem},
    policy::PrivateLinkZones,
};
use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The block under `egret.toml: |` of a manifest, without its indentation.
fn embedded(manifest: &str) -> String {
    let (_, rest) = manifest
        .split_once("egret.toml: |\n")
        .expect("a ConfigMap with egret.toml");
    let indent = rest.len() - rest.trim_start_matches(' ').len();
    let inside = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() >= indent;
    let lines = rest.lines().take_while(inside);
    lines
        .map(|line| line.get(indent..).unwrap_or("").to_owned() + "\n")
        .collect()
}

fn checked(name: &str, text: &str) -> Checked {
    let said = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let checked = config::from_text(name, text).unwrap_or_else(|problems| panic!("{}", said(&problems)));
    assert!(checked.warnings.is_empty(), "{}", said(&checked.warnings));
    checked
}

/// Each configuration of `deploy/`, with the name that problems show.
fn configurations() -> Vec<(&'static str, String)> {
    vec![
        ("compose/egret.toml", file("compose/egret.toml")),
        ("systemd/egret.toml", file("systemd/egret.toml")),
        ("kubernetes/sidecar.yaml", embedded(&file("kubernetes/sidecar.yaml"))),
        ("kubernetes/gateway.yaml", embedded(&file("kubernetes/gateway.yaml"))),
    ]
}

fn configuration(name: &str) -> Checked {
    let found = configurations().into_iter().find(|(known, _)| *known == name);
    checked(name, &found.expect("a configuration of that name").1)
}

#[test]
fn every_configuration_passes_check() {
    let mut listed = BTreeSet::new();
    for (name, text) in configurations() {
        let checked = checked(name, &text);
        let open = checked.settings.listeners.admin.iter().any(|a| !a.ip().is_loopback());
        assert!(!open, "{name}: metrics and policy are for the machine itself");
        listed.insert(name);
    }
    // A configuration that is added is checked, too.
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for folder in fs::read_dir(root)
        .expect("deploy/")
        .map(|entry| entry.expect("an entry").path())
    {
        for path in fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").path())
        {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the package");
            let name = name
                .strip_prefix("deploy")
                .expect("in deploy/")
                .to_string_lossy()
                .into_owned();
            let holds = name.ends_with(".toml") || text.contains("egret.toml: |");
            assert!(
                !holds || listed.contains(name.as_str()),
                "{name} is not in the list of this test"
            );
        }
    }
}

/// What `egret env` prints for a configuration, line by line.
fn variables(name: &str, shell: &str) -> Vec<String> {
    let text = configuration_text(name);
    let path = env::temp_dir().join(format!("egret-deploy-{}-{shell}.toml", std::process::id()));
    fs::write(&path, text).expect("a temporary file");
    let done = Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(["env", "--shell", shell, "--config"])
        .arg(&path)
        .output()
        .expect("the binary of this package");
    fs::remove_file(&path).expect("it was there");
    let shown = String::from_utf8(done.stdout).expect("UTF-8");
    shown.lines().map(str::to_owned).collect()
}

fn configuration_text(name: &str) -> String {
    let found = configurations().into_iter().find(|(known, _)| *known == name);
    found.expect("a configuration of that name").1
}

/// Whether the lines stand in the text one after the other, however far they are indented.
fn holds(text: &str, wanted: &[String]) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let wanted: Vec<&str> = wanted.iter().map(|line| line.trim()).collect();
    lines.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn workloads_get_the_variables_that_egret_env_prints() {
    let compose = variables("compose/egret.toml", "docker");
    let compose: Vec<String> = compose.iter().map(|line| format!("- {line}")).collect();
    assert_eq!(compose.len(), 7, "{compose:?}");
    assert!(holds(&file("compose/compose.yaml"), &compose), "{compose:#?}");
    let sidecar = variables("kubernetes/sidecar.yaml", "k8s");
    assert!(holds(&file("kubernetes/sidecar.yaml"), &sidecar), "{sidecar:#?}");
    // The gateway is reached by the address of its service.
    let gateway = file("kubernetes/gateway.yaml");
    let (_, service) = gateway.split_once("clusterIP: ").expect("a fixed address");
    let service = service.lines().next().expect("the address");
    let local = variables("kubernetes/gateway.yaml", "k8s");
    let lines = local
        .iter()
        .map(|line| line.replace("http://127.0.0.1:", &format!("http://{service}:")));
    let lines: Vec<String> = lines.collect();
    assert_ne!(lines, local);
    assert!(holds(&gateway, &lines), "{lines:#?}");
}

#[test]
fn probes_ask_the_port_that_the_configuration_opens_to_them() {
    for name in ["kubernetes/sidecar.yaml", "kubernetes/gateway.yaml"] {
        let manifest = file(name);
        let health = configuration(name).settings.listeners.health;
        let [health] = health.as_slice() else {
            panic!("{name}: one health listener")
        };
        assert!(health.ip().is_unspecified(), "{name}: the kubelet is not on loopback");
        let port = format!("{{ name: health, containerPort: {} }}", health.port());
        assert!(manifest.contains(&port), "{name} lacks {port}");
        let asked: Vec<&str> = manifest.lines().filter(|line| line.contains("httpGet:")).collect();
        assert!(asked.len() >= 2, "{name}: {asked:?}");
        for probe in asked {
            assert!(probe.contains("port: health"), "{probe}");
            assert!(
                probe.contains("path: /readyz") || probe.contains("path: /healthz"),
                "{probe}"
            );
        }
    }
}

#[test]
fn a_stop_waits_longer_than_tunnels_may() {
    let cases = [
        ("compose/compose.yaml", "compose/egret.toml", "stop_grace_period: ", "s"),
        ("systemd/egret.service", "systemd/egret.toml", "TimeoutStopSec=", ""),
        (
            "kubernetes/sidecar.yaml",
            "kubernetes/sidecar.yaml",
            "terminationGracePeriodSeconds: ",
            "",
        ),
        (
            "kubernetes/gateway.yaml",
            "kubernetes/gateway.yaml",
            "terminationGracePeriodSeconds: ",
            "",
        ),
    ];
    for (name, config, key, unit) in cases {
        let text = file(name);
        let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("{name} lacks {key}"));
        let number = rest.lines().next().expect("a value").trim_end_matches(unit);
        let seconds: u64 = number.parse().unwrap_or_else(|_| panic!("{name}: {number}"));
        assert!(
            seconds > configuration(config).settings.limits.drain_time.as_secs(),
            "{name}"
        );
    }
}

#[test]
fn command_lines_parse() {
    let mut lines = vec![];
    let unit = file("systemd/egret.service");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/"));
    lines.push(start.expect("ExecStart").to_owned());
    for name in [
        "compose/compose.yaml",
        "kubernetes/sidecar.yaml",
        "kubernetes/gateway.yaml",
        "Dockerfile",
    ] {
        for line in file(name).lines().map(str::trim) {
            let list = ["args: [", "command: [", "CMD [", "test: [\"CMD\", \"/egret\", "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            let Some(list) = list.and_then(|list| list.strip_suffix(']')) else {
                continue;
            };
            let words: Vec<&str> = list.split(", ").map(|word| word.trim_matches('"')).collect();
            if words[0] != "sleep" {
                lines.push(format!("egret {}", words.join(" ")));
            }
        }
    }
    assert_eq!(lines.len(), 7, "{lines:#?}");
    for line in lines {
        if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn the_unit_writes_where_it_may() {
    let log = configuration("systemd/egret.toml")
        .settings
        .log
        .file
        .expect("an audit file");
    assert!(log.path.starts_with("/var/log/egret"), "{}", log.path.display());
    let unit = file("systemd/egret.service");
    for line in [
        "LogsDirectory=egret",
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn nothing_runs_as_root_or_can_write_where_it_runs() {
    // Of every container of egret: who it is, and what it may not do.
    let cases: [(&str, &str, &[&str]); 4] = [
        ("Dockerfile", "ENTRYPOINT", &["USER 65532:65532"]),
        (
            "compose/compose.yaml",
            "image: egret",
            &[
                "user: \"65532:65532\"",
                "read_only: true",
                "cap_drop: [ALL]",
                "no-new-privileges:true",
            ],
        ),
        (
            "kubernetes/sidecar.yaml",
            "image: contoso.azurecr.io/egret",
            &[
                "runAsUser: 65532",
                "readOnlyRootFilesystem: true",
                "capabilities: { drop: [ALL] }",
            ],
        ),
        (
            "kubernetes/gateway.yaml",
            "image: contoso.azurecr.io/egret",
            &[
                "runAsUser: 65532",
                "readOnlyRootFilesystem: true",
                "capabilities: { drop: [ALL] }",
            ],
        ),
    ];
    for (name, container, wanted) in cases {
        let text = file(name);
        let containers = text.matches(container).count();
        assert!(containers > 0, "{name}");
        for line in wanted {
            assert!(
                text.matches(line).count() >= containers,
                "{name}: not every container has {line}"
            );
        }
    }
}

#[test]
fn the_socket_unit_has_the_addresses_of_the_proxy_listeners() {
    let unit = file("systemd/egret.socket");
    let listens = unit.lines().filter_map(|line| line.strip_prefix("ListenStream="));
    let listens: BTreeSet<_> = listens.map(str::to_owned).collect();
    let proxy = configuration("systemd/egret.toml").settings.listeners.proxy;
    assert_eq!(listens, proxy.iter().map(ToString::to_string).collect());
}

/// `private-endpoint-leaks-azure.kql` asks for every public zone that has a private-link zone.
#[test]
fn the_query_for_leaks_past_private_endpoints_knows_every_zone() {
    let table = PrivateLinkZones::embedded();
    let placeholder = |part: &str| {
        part.split_once('}')
            .map_or(String::new(), |(_, rest)| format!("[^.]+{rest}"))
    };
    let zone = |text: &str| {
        let mut parts = text.split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.map(placeholder).fold(first, |text, part| text + &part)
    };
    let escaped = |text: &str| zone(&text.replace('.', r"\."));
    let zones: BTreeSet<String> = table.public_zones().map(escaped).collect();
    let wanted = zones.into_iter().collect::<Vec<_>>().join("|");
    let query = file("kql/private-endpoint-leaks-azure.kql");
    assert!(
        // The Resource Manager's own name is a zone: nothing need stand in front.
        query.contains(&format!("let Zones = @\"(^|\\.)({wanted})$\";")),
        "the query should say: {wanted}"
    );
}

/// A real Azure Firewall's tables have no column `egret`: a query whose question is not egret's runs without it.
#[test]
fn queries_that_ask_of_any_firewall_need_no_column_of_ours() {
    let queries = [
        "beaconing",
        "denied-top",
        "first-seen-fqdn",
        "name-scan",
        "names-of-rules",
        "odd-ports",
        "rule-hits",
        "who-talks-to-what",
    ];
    for name in queries {
        let query = file(&format!("kql/{name}.kql"));
        let rest = query.replace("column_ifexists(\"egret\", dynamic(null))", "");
        assert!(rest.len() < query.len() && !rest.contains("egret"), "{name}: {rest}");
    }
}
