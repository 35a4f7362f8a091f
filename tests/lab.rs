//! `egret lab` as a process: which scenarios it plays, how it lists and prints them, what it says of a mistake.
//!
//! A build with the feature `proof` does not serve: `tests/proof.rs`.
#![cfg(not(feature = "proof"))]

use egret::lab::scenario::SHIPPED;
use serde_json::Value;
use std::{
    env, fs,
    process::{Command, Output, Stdio},
};

fn lab(arguments: &[&str]) -> Output {
    let mut egret = Command::new(env!("CARGO_BIN_EXE_egret"));
    egret.arg("lab").args(arguments).stdin(Stdio::null());
    egret.output().expect("the binary of this package")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn once_plays_every_shipped_scenario_and_adds_them_up() {
    let done = lab(&["--once"]);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}");
    for shipped in &SHIPPED {
        assert!(said.contains(&format!("({}): through egret", shipped.name)), "{said}");
    }
    assert!(said.contains(&format!("\n{} scenarios: ", SHIPPED.len())), "{said}");
    let all = lab(&["--scenario", "all", "--json"]);
    let lines: Vec<Value> = text(&all.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = lines.iter().filter_map(|line| line["scenario"].as_str()).collect();
    assert_eq!(names.len(), lines.len(), "each line names its scenario");
    assert!(SHIPPED.iter().all(|shipped| names.contains(&shipped.name)));
    assert!(lines.iter().all(|line| line["ok"] == true));
}

/// What `--json` prints of every shipped scenario is what `--diff` reads, audit mode included.
#[test]
fn a_run_of_every_shipped_scenario_is_the_same_as_itself() {
    let path = env::temp_dir().join(format!("egret-run-{}.ndjson", std::process::id()));
    let file = path.to_str().unwrap();
    let run = lab(&["--scenario", "all", "--once", "--json"]);
    fs::write(&path, &run.stdout).unwrap();
    let done = lab(&["--diff", file, file]);
    fs::remove_file(&path).unwrap();
    let attempts = text(&run.stdout).lines().count();
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}{}", text(&done.stderr));
    assert!(
        said.contains(&format!("\n{attempts} the same, 0 different, 0 missing.")),
        "{said}"
    );
    assert!(text(&run.stdout).contains("\"decision\":\"audit: Deny\""));
}

#[test]
fn several_scenarios_are_played_in_order_and_none_stays_up() {
    let done = lab(&["--scenario", "locked-down", "core"]);
    let said = text(&done.stdout);
    let at = |name: &str| said.find(&format!("({name}): through egret"));
    assert!(at("locked-down").is_some() && at("locked-down") < at("core"), "{said}");
    assert!(said.contains("\n2 scenarios: ") && done.status.success(), "{said}");
}

#[test]
fn a_shipped_scenario_printed_and_read_back_is_the_same() {
    for shipped in &SHIPPED {
        assert_eq!(text(&lab(&["--print", shipped.name]).stdout), shipped.text);
    }
    let listed = text(&lab(&["--list"]).stdout);
    assert_eq!(listed.lines().count(), SHIPPED.len());
    assert!(
        listed.starts_with("core            23 attempts  Azure OpenAI behind a private endpoint"),
        "{listed}"
    );
    let line = text(&lab(&["--list", "--json"]).stdout);
    let first: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!((&first["scenario"], &first["attempts"]), (&"core".into(), &23.into()));
}

#[test]
fn a_scenario_that_attempts_nothing_is_no_success() {
    let path = env::temp_dir().join(format!("egret-empty-{}.toml", std::process::id()));
    let (world, _) = SHIPPED[0].text.split_once("\n[[attempt]]\n").unwrap();
    fs::write(&path, world).unwrap();
    let output = lab(&["--once", "--scenario", path.to_str().unwrap()]);
    fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("attempts nothing"));
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_line_and_the_nearest_word() {
    let path = env::temp_dir().join(format!("egret-lab-{}.toml", std::process::id()));
    let core = SHIPPED[0].text;
    for (from, to, expected, why) in [
        (
            "serves = \"entra\"",
            "serves = \"entrra\"",
            "`entra`",
            "a mock that there is not",
        ),
        (
            "reaches = \"telemetry\"",
            "reeches = \"telemetry\"",
            "`reaches`",
            "a key that there is not",
        ),
        (
            "reaches = \"telemetry\"",
            "reaches = \"telemetri\"",
            "`telemetry`",
            "a site that there is not",
        ),
        (
            "reason = \"NotTls\"",
            "reason = \"NoTls\"",
            "`NotTls`",
            "a reason that there is not",
        ),
        (
            "[private_endpoints]",
            "[private_endpoint]",
            "`private_endpoints`",
            "a key of the configuration",
        ),
    ] {
        assert_eq!(core.matches(from).count(), 1, "{from}");
        fs::write(&path, core.replacen(from, to, 1)).unwrap();
        let line = 1 + core[..core.find(from).unwrap()].matches('\n').count();
        let done = lab(&["--once", "--scenario", path.to_str().unwrap()]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{why}: {said}");
        let place = format!("{}:{line}:", path.display());
        assert!(
            said.contains(&place) && said.contains(expected),
            "{why}: {place} {expected}: {said}"
        );
    }
    let _ = fs::remove_file(&path);
    let done = lab(&["--scenario", "opneai-rag"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(
        text(&done.stderr).contains("did you mean `openai-rag`?"),
        "{}",
        text(&done.stderr)
    );
}

#[test]
fn a_proxy_that_is_not_there_is_no_firewall_that_denies() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let done = lab(&["--scenario", "core", "--once", "--json", "--proxy", &proxy]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&format!("--proxy {proxy}: ")) && done.stdout.is_empty(),
        "{said}"
    );
}

/// A policy in Azure's JSON is played end to end: real connections, its own rules, a control for every denial.
#[test]
fn an_exported_policy_of_azure_firewall_is_played_in_place_of_the_rules() {
    let data = |name: &str| format!("{}/tests/data/lab/{name}", env!("CARGO_MANIFEST_DIR"));
    let (scenario, policy) = (data("weather.toml"), data("weather-policy.json"));
    let played = lab(&["--scenario", &scenario, "--once", "--json", "--azure-policy", &policy]);
    let lines: Vec<Value> = text(&played.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(played.status.code(), Some(0), "{lines:#?}\n{}", text(&played.stderr));
    let got: Vec<_> = lines
        .iter()
        .map(|line| (&line["decision"], &line["row"]["properties"]["Rule"]))
        .collect();
    assert_eq!(
        got,
        [
            (&"Allow".into(), &"weather".into()),
            (&"Deny".into(), &"retired".into()),
            (&"Deny".into(), &"".into())
        ]
    );
    assert!(
        lines.iter().all(|line| line["row"]["properties"]["Policy"] != "egret"),
        "the policy's name stands in rows"
    );

    // Without the policy the same world denies all, and what expects its rules fails.
    let bare = lab(&["--scenario", &scenario, "--once"]);
    assert_eq!(bare.status.code(), Some(1), "{}", text(&bare.stdout));
    // What the policy does not allow does not get through with it.
    let shipped = lab(&["--scenario", "core", "--once", "--azure-policy", &policy]);
    let said = text(&shipped.stdout);
    assert!(
        shipped.status.code() == Some(1) && !said.contains("let through: "),
        "{said}"
    );
}

/// An imported policy speaks of its own networks: `--client` says which of them a client is.
#[test]
fn a_client_has_the_rights_of_the_source_that_it_stands_for() {
    let path = env::temp_dir().join(format!("egret-sources-{}.json", std::process::id()));
    let policy = r#"{ "name": "g", "priority": 200, "ruleCollections": [
        { "name": "deny", "priority": 100, "action": { "type": "Deny" }, "ruleCollectionType": "FirewallPolicyFilterRuleCollection",
          "rules": [{ "ruleType": "ApplicationRule", "name": "never", "sourceAddresses": ["10.1.0.0/16"],
            "protocols": [{ "protocolType": "Https", "port": 443 }], "targetFqdns": ["fabrikam-ai.openai.azure.com"] }] },
        { "name": "allow", "priority": 200, "action": { "type": "Allow" }, "ruleCollectionType": "FirewallPolicyFilterRuleCollection",
          "rules": [{ "ruleType": "ApplicationRule", "name": "entra", "sourceAddresses": ["10.1.0.0/16"],
            "protocols": [{ "protocolType": "Https", "port": 443 }], "targetFqdns": ["login.microsoftonline.com"] }] }] }"#;
    fs::write(&path, policy).unwrap();
    let file = path.to_str().unwrap();
    let of = |arguments: &[&str]| {
        let done = lab(&[
            &["--scenario", "core", "--once", "--json", "--azure-policy", file],
            arguments,
        ]
        .concat());
        let lines: Vec<Value> = text(&done.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (lines, text(&done.stderr))
    };
    let find = |lines: &[Value], name: &str| lines.iter().find(|line| line["attempt"] == name).unwrap().clone();
    let (lines, said) = of(&["--client", "workload=10.1.0.5", "--client", "build=10.2.0.5"]);
    let token = find(&lines, "token from Entra ID");
    assert!(token["ok"] == true && token["decision"] == "Allow", "{token:#}");
    assert_eq!(token["row"]["properties"]["Rule"], "entra");
    let tenant = find(&lines, "another tenant's OpenAI: not in the list");
    assert_eq!(tenant["row"]["properties"]["Rule"], "never");
    assert!(tenant["ok"] == true, "denied by a rule in place of by none: {tenant:#}");
    let build = find(&lines, "the build agent asks the workload's model");
    assert!(build["ok"] == true && !said.contains("--client"), "{said}");

    let (lines, said) = of(&[]);
    assert!(lines.iter().all(|line| line["decision"] == "Deny"));
    assert!(said.contains("`--client NAME=ADDRESS`"), "{said}");
    let (lines, said) = of(&["--client", "wrkload=10.1.0.5"]);
    assert!(lines.is_empty() && said.contains("only `build`, `workload`"), "{said}");
    fs::remove_file(&path).unwrap();
}

#[test]
fn what_a_policy_has_no_part_in_does_not_take_one() {
    for arguments in [
        &["--direct", "--azure-policy", "p.json"][..],
        &["--list", "--azure-policy", "p.json"],
        &["--print", "core", "--azure-policy", "p.json"],
        &["--proxy", "http://127.0.0.1:1", "--azure-policy", "p.json"],
        &["--diff", "a", "b", "--azure-policy", "p.json"],
        &["--once", "--parameters", "p.json"],
        &["--once", "--client", "workload=10.1.0.5"],
    ] {
        let done = lab(arguments);
        assert_eq!(done.status.code(), Some(2), "{arguments:?}");
        let said = text(&done.stderr);
        assert!(
            said.contains("--azure-policy") && done.stdout.is_empty(),
            "{arguments:?}: {said}"
        );
    }
}

/// `docs/conformance.md`: what `--print-config` prints is what `egret export` takes, with the rights of each client at an address
/// of its own.
#[test]
fn the_configuration_of_every_shipped_scenario_can_be_exported() {
    let proxy = [
        "--proxy",
        "http://10.0.1.4:8080",
        "--stand-ins",
        "10.0.2.32/27",
        "--dns-listen",
        "10.0.2.4:53",
    ];
    for shipped in &SHIPPED {
        let printed = lab(&[&["--scenario", shipped.name, "--print-config"], &proxy[..]].concat());
        assert_eq!(
            printed.status.code(),
            Some(0),
            "{}: {}",
            shipped.name,
            text(&printed.stderr)
        );
        let path = env::temp_dir().join(format!("egret-{}-{}.toml", shipped.name, std::process::id()));
        fs::write(&path, &printed.stdout).unwrap();
        let mut egret = Command::new(env!("CARGO_BIN_EXE_egret"));
        let done = egret
            .args(["export", "azure-firewall", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(done.status.code(), Some(0), "{}: {}", shipped.name, text(&done.stderr));
        let said = text(&done.stdout);
        assert!(!said.contains("127.0."), "{}: {said}", shipped.name);
        for part in ["\"httpPort\": 8080", "\"10.0.2.4\"", "\"10.0.2.33\"", "\"10.0.2.34\""] {
            assert!(said.contains(part), "{}: {part}: {said}", shipped.name);
        }
    }
}
