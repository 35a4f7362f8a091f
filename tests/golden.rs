//! What the commands print, word for word: `tests/golden/`.
//!
//! `EGRET_GOLDEN=write cargo test --test golden` rewrites the files; the change is then reviewed as a diff. Nothing here
//! listens, resolves or connects.

use egret::config::{self, Settings, schema::schema};
use serde_json::Value;
use std::{env, fmt::Write, fs, path::Path, process::Command};

/// Name of the file in `tests/golden/`, and the command line. It runs in `tests/data/config/`.
const CASES: &[(&str, &str)] = &[
    ("check-whole", "check whole.toml"),
    ("check-problems", "check problems.toml"),
    ("check-dubious", "check dubious.toml"),
    ("check-several", "check explain.toml not-there.toml"),
    ("check-json", "check ../broken/rule-twice.toml not-there.toml --json"),
    ("check-expect", "check explain.toml --expect explain-tests.toml"),
    (
        "check-expect-short",
        "check explain.toml --expect explain-tests.toml --min-coverage 90 --min-mutation 100%",
    ),
    (
        "check-expect-failing",
        "check explain.toml --expect explain-failing.toml",
    ),
    (
        "check-expect-json",
        "check explain.toml --expect explain-tests.toml --expect explain-failing.toml --json",
    ),
    (
        "check-expect-unreadable",
        "check explain.toml --expect explain-unreadable.toml",
    ),
    ("check-expect-not-there", "check explain.toml --expect not-there.toml"),
    (
        "explain-allowed",
        "explain https://Contoso-AI.openai.azure.com./ --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-other-source",
        "explain contoso-ai.openai.azure.com:443 --source 10.9.0.7 --config explain.toml",
    ),
    (
        "explain-other-port",
        "explain api.contoso.com:8443 --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-not-named",
        "explain other.openai.azure.com:443 --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-deny-rule",
        "explain old.contoso.com:443 --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-audit",
        "explain paste.example:443 --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-audit-denied",
        "explain crash.example:443 --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-where-it-leads",
        "explain https://www.contoso.com --source 10.1.0.7 --config addresses.toml",
    ),
    (
        "explain-where-it-leads-json",
        "explain https://www.contoso.com --source 10.1.0.7 --config addresses.toml --json",
    ),
    (
        "explain-where-it-is-said-to-lead",
        "explain https://www.contoso.com --source 10.1.0.7 --config addresses.toml --destination 169.254.169.254",
    ),
    (
        "explain-said-twice",
        "explain https://www.contoso.com --config addresses.toml --destination 192.0.2.9 --resolved www.contoso.com=192.0.2.8",
    ),
    (
        "check-expect-untold-json",
        "check addresses.toml --expect addresses-tests.toml --json",
    ),
    (
        "explain-hidden-behind-a-star",
        "explain https://cloudflare-ech.com --source 10.1.0.7 --allow *ech.com",
    ),
    (
        "explain-connect-80",
        "explain deb.example.org:80 --source 10.1.0.7 --config explain.toml",
    ),
    (
        "explain-mapped-source",
        "explain http://deb.example.org --source ::ffff:10.1.0.7 --config explain.toml",
    ),
    ("explain-address", "explain 203.0.113.5:443 --allow *.example.com"),
    ("explain-no-port", "explain api.example.com:0 --allow *.example.com"),
    ("explain-bad-name", "explain api..example.com:443 --allow *.example.com"),
    ("explain-wide", "explain other.openai.azure.com:443 --allow AzureOpenAI"),
    (
        "explain-json",
        "explain api.contoso.com:8443 --source 10.1.0.7 --config explain.toml --json",
    ),
    (
        "explain-resolved",
        "explain contoso-ai.openai.azure.com:443 --source 10.1.0.7 --config explain.toml --resolve",
    ),
    (
        "explain-rebound",
        "explain rebind.contoso.com:443 --source 10.1.0.7 --config explain.toml --resolve",
    ),
    (
        "explain-resolved-json",
        "explain rebind.contoso.com:443 --source 10.1.0.7 --config explain.toml --resolve --json",
    ),
    (
        "explain-order",
        "explain https://api.contoso.com --source 10.1.0.7 --via transparent --destination 198.51.100.77 --config order.toml",
    ),
    (
        "explain-tie",
        "explain https://api.contoso.com --source 10.1.0.7 --config tie.toml",
    ),
    (
        "explain-tie-json",
        "explain https://api.contoso.com --source 10.1.0.7 --config tie.toml --json",
    ),
    (
        "explain-order-json",
        "explain tcp://203.0.113.5:444 --source 10.1.0.7 --config order.toml --json",
    ),
    (
        "explain-dnat",
        "explain tcp://198.51.100.4:22 --source 192.0.2.9 --config order.toml",
    ),
    (
        "explain-network",
        "explain tcp://203.0.113.5:443 --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-network-near",
        "explain tcp://203.0.113.5:444 --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-network-parent",
        "explain tcp://192.0.2.25:25 --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-network-fqdn",
        "explain tcp://198.51.100.20:1433 --source 10.1.0.7 --config order.toml --resolve",
    ),
    (
        "explain-udp",
        "explain udp://198.51.100.123:123 --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-icmp",
        "explain icmp://203.0.113.5 --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-threat",
        "explain https://x.c2.example --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-infrastructure",
        "explain https://vm.images.example --source 10.1.0.7 --config order.toml",
    ),
    (
        "explain-routed-without-address",
        "explain https://api.contoso.com --via transparent --config order.toml",
    ),
    ("explain-row", "explain --row azure-rows.ndjson:1 --config order.toml"),
    (
        "explain-row-network",
        "explain --row azure-rows.ndjson:2 --config order.toml",
    ),
    (
        "explain-row-otherwise",
        "explain --row azure-rows.ndjson:3 --config order.toml",
    ),
    (
        "explain-row-otherwise-json",
        "explain --row azure-rows.ndjson:3 --config order.toml --json",
    ),
    (
        "explain-row-of-egret",
        "explain --row ../../golden/rows-azure.ndjson:1 --config explain.toml",
    ),
    (
        "explain-row-no-decision",
        "explain --row azure-rows.ndjson:4 --config order.toml",
    ),
    (
        "explain-row-no-line",
        "explain --row azure-rows.ndjson:9 --config order.toml",
    ),
    (
        "explain-nsg",
        "explain https://api.contoso.com --source 10.1.0.7 --config order.toml --nsg nsg-arm.json --proxy 10.0.1.4:3128 \
         --nsg-service-tags ../service-tags.json",
    ),
    (
        "explain-nsg-stopped",
        "explain https://api.contoso.com --source 10.1.0.7 --via transparent --destination 198.51.100.77 --config order.toml \
         --nsg nsg-arm.json --nsg-service-tags ../service-tags.json",
    ),
    (
        "explain-nsg-several",
        "explain tcp://203.0.113.5:443 --source 10.1.0.7 --config order.toml --nsg nsg-cli.json --nsg nsg-arm.json \
         --nsg-service-tags ../service-tags.json",
    ),
    (
        "explain-nsg-unknown-tag",
        "explain tcp://203.0.113.5:443 --source 10.1.0.7 --config order.toml --nsg nsg-arm.json",
    ),
    (
        "explain-nsg-no-proxy",
        "explain https://api.contoso.com --config order.toml --nsg nsg-arm.json",
    ),
    (
        "explain-bad-config",
        "explain api.example.com:443 --config not-there.toml",
    ),
    (
        "explain-bound",
        "explain contoso.westeurope.data.azurecr.io:443 \
         --allow AzureContainerRegistry=contoso,region=westeurope,features=data-endpoint",
    ),
    ("catalogue", "catalogue"),
    ("catalogue-filtered", "catalogue --need optional --cloud china"),
    ("catalogue-tag", "catalogue AzureContainerRegistry"),
    ("catalogue-feature", "catalogue AzureStorage --feature vm-internals"),
    (
        "catalogue-bound",
        "catalogue AzureContainerRegistry --bind resource=contoso,fabrikam --bind region=westeurope \
         --feature data-endpoint --feature blob-layers",
    ),
    (
        "catalogue-kept",
        "catalogue AzureContainerRegistry --bind resource=contoso --feature blob-layers --keep *.blob.core.windows.net",
    ),
    (
        "catalogue-unused",
        "catalogue AzureContainerRegistry --bind resource=contoso --bind region=westeurope",
    ),
    (
        "catalogue-unbound",
        "catalogue AzureContainerRegistry --bind resource=contoso --feature data-endpoint",
    ),
    ("catalogue-tcp", "catalogue AzureRedis --bind cache=contoso"),
    ("catalogue-json", "catalogue AzureOpenAI --need required --json"),
    (
        "catalogue-bound-json",
        "catalogue AzureStorage --bind account=contosodata --feature file --feature vm-internals --json",
    ),
    ("catalogue-unknown", "catalogue AzureOpnAI"),
    ("catalogue-unpublished", "catalogue WindowsDiagnostics"),
    ("catalogue-nothing", "catalogue EntraID --need optional"),
    ("catalogue-folder", "catalogue Own --folder ../tags/own"),
    ("catalogue-diff", "catalogue diff --folder ../tags/own"),
    ("catalogue-diff-json", "catalogue diff --folder ../tags/own --json"),
    ("catalogue-diff-same", "catalogue diff --folder ../tags/same"),
    ("catalogue-diff-not-there", "catalogue diff --folder ../tags/not-there"),
    ("env-sh", "env"),
    ("env-ca", "env --ca /run/lab/ca.pem"),
    ("env-powershell", "env --shell powershell"),
    ("env-docker", "env --shell docker --config whole.toml"),
    ("env-k8s", "env --shell k8s"),
    (
        "lab-diff-other-proxy",
        "lab --diff ../lab/egret.ndjson ../lab/other-proxy.ndjson",
    ),
    (
        "lab-diff-json",
        "lab --diff ../lab/egret.ndjson ../lab/egret-later.ndjson --json",
    ),
    ("lab-diff-same", "lab --diff ../lab/egret.ndjson ../lab/egret.ndjson"),
    ("lab-diff-no-run", "lab --diff ../lab/egret.ndjson ../lab/no-run.ndjson"),
    ("run-both", "run --config whole.toml --allow a.example"),
    ("run-unknown-tag", "run --allow AzureOpnAI=x"),
    ("health-no-file", "health --config not-there.toml"),
    (
        "run-bad-flags",
        "run --listen 0.0.0.0:0 --allow AzureOpenIA --allow *.com --allow a.example:0",
    ),
    ("run-overrides", "run --config whole.toml"),
];

fn output(line: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let done = Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .expect("the binary of this package");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    let code = done.status.code().expect("an exit code");
    let (stdout, stderr) = (text(done.stdout), text(done.stderr));
    let stderr = if stderr.is_empty() {
        stderr
    } else {
        format!("--- standard error ---\n{stderr}")
    };
    format!("$ egret {line}\n{stdout}{stderr}--- exit code {code} ---\n")
}

/// Whether the files are to be rewritten.
fn writing() -> bool {
    env::var_os("EGRET_GOLDEN").is_some_and(|value| value == "write")
}

#[test]
fn commands_say_what_they_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut differing = Vec::new();
    // A build that can lose its guards says so instead of running: `tests/proof.rs`.
    let runs = |line: &str| !(cfg!(feature = "proof") && line.starts_with("run "));
    for (name, line) in CASES.iter().filter(|(_, line)| runs(line)) {
        let path = folder.join(format!("{name}.txt"));
        let found = output(line);
        if writing() {
            fs::write(&path, found).expect("tests/golden can be written");
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            differing.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(
        differing.is_empty(),
        "EGRET_GOLDEN=write rewrites these:\n{}",
        differing.join("\n")
    );
}

const MARK: &str = "<!-- keys: written by EGRET_GOLDEN=write cargo test --test golden -->\n";

#[test]
fn docs_list_every_key_of_the_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let found = fs::read_to_string(&path).expect("docs/config.md");
    let (head, _) = found.split_once(MARK).expect("the mark is in docs/config.md");
    let mut wanted = format!("{head}{MARK}");
    section(&mut wanted, "", &schema(), false);
    if writing() {
        fs::write(&path, wanted).expect("docs can be written");
    } else {
        assert!(
            found == wanted,
            "docs/config.md is not as the schema is: EGRET_GOLDEN=write rewrites it"
        );
    }
}

/// A table of the plain keys of a section, then the sections in it.
fn section(text: &mut String, path: &str, schema: &Value, list: bool) {
    let properties = schema["properties"].as_object().expect("a table has properties");
    let required = |key: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|keys| keys.iter().any(|known| known == key))
    };
    let (tables, plain): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, value)| table_of(value).is_some());
    if !plain.is_empty() {
        let title = match (path, list) {
            ("", _) => "At top level".to_owned(),
            (path, false) => format!("`[{path}]`"),
            (path, true) => format!("`[[{path}]]`"),
        };
        let _ = writeln!(text, "\n### {title}\n\n| key | value | what it is |\n|---|---|---|");
        for (key, value) in plain {
            let name = if required(key) {
                format!("**`{key}`**")
            } else {
                format!("`{key}`")
            };
            let what = value["description"].as_str().expect("every key is described");
            let _ = writeln!(text, "| {name} | {} | {what} |", kind(value));
        }
    }
    for (key, value) in tables {
        let inner = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        if inner.starts_with("rule_collection_group.") || inner == "parent_policy.rule_collection_group" {
            let holder = if path == "parent_policy" { "policy" } else { "group" };
            let _ = writeln!(text, "\n`[[{inner}]]`: as `[[{key}]]`, in this {holder}.");
            continue;
        }
        section(
            text,
            &inner,
            table_of(value).expect("partitioned"),
            value["type"] == "array",
        );
    }
}

/// The schema of a table, or of the tables in a list.
fn table_of(value: &Value) -> Option<&Value> {
    let inner = if value["type"] == "array" {
        &value["items"]
    } else {
        value
    };
    inner.get("properties").map(|_| inner)
}

fn kind(value: &Value) -> String {
    let choices = || {
        let described = value["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|form| &form["const"]);
        let bare = value["enum"].as_array().into_iter().flatten();
        let texts: Vec<String> = described
            .chain(bare)
            .filter_map(Value::as_str)
            .map(|text| format!("`{text}`"))
            .collect();
        texts.join(", ")
    };
    match value["type"].as_str() {
        _ if value.get("oneOf").is_some() || value.get("enum").is_some() => choices(),
        Some("integer") => format!("{} to {}", value["minimum"], value["maximum"]),
        Some("array") if value["items"].get("enum").is_some() => format!("list of {}", kind(&value["items"])),
        Some("array") => "list of texts".into(),
        Some("object") => format!("table: name to {}", kind(&value["additionalProperties"])),
        Some("boolean") => "true or false".into(),
        _ => "text".into(),
    }
}

#[test]
fn docs_write_every_default_out() {
    let docs =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).expect("docs/config.md");
    let block = docs
        .split("## Every default, written out")
        .nth(1)
        .and_then(|rest| rest.split("```toml\n").nth(1));
    let block = block
        .and_then(|rest| rest.split("```").next())
        .expect("the block of defaults");
    let written = config::from_text("docs/config.md", block).expect("it loads");
    let bare = config::from_text("bare.toml", "mode = \"enforce\"\n").expect("it loads");
    assert_eq!(written.settings, Settings::default());
    assert_eq!((written.dns, written.warnings.len()), (bare.dns, 0));
    assert_eq!(written.addresses.private_endpoints, bare.addresses.private_endpoints);
    let keys = block.lines().filter(|line| line.contains(" = ")).count();
    let unset = [
        "forwarders",
        "workers",
        "networks",
        "tags",
        "file",
        "azure_firewall",
        "parameters",
        "set",
        "name",
        "not_enforced",
    ];
    let known = count(
        &schema(),
        &unset,
        &[
            "rule_collection_group",
            "application_rule_collection",
            "network_rule_collection",
            "nat_rule_collection",
            "ip_groups",
            "fqdn_tag",
            "zone",
            "record",
            "override",
            "catalogue",
            "explicit_network_rules",
            "infrastructure",
            "parent_policy",
            "service_tags",
            "threat_intelligence",
        ],
    );
    assert_eq!(
        keys, known,
        "a key with a default is missing, or one is there that has none"
    );
}

/// Keys that are no tables, but for those that have no default of their own.
fn count(schema: &Value, unset: &[&str], skipped: &[&str]) -> usize {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let wanted = properties.filter(|(key, _)| !unset.contains(&key.as_str()) && !skipped.contains(&key.as_str()));
    wanted
        .map(|(_, value)| {
            if table_of(value).is_some() {
                count(value, unset, skipped)
            } else {
                1
            }
        })
        .sum()
}
