//! A policy in JSON where a user meets it: settings of a whole policy (`egret import`), and what a failing test tells (`check`).

#[path = "support/folder.rs"]
mod folder;

use folder::Folder;
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Output},
};

impl Folder {
    /// Imports a template of these policies.
    fn import(&self, policies: &[Value], more: &[&str]) -> Output {
        let template = json!({
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "resources": policies,
        });
        fs::write(self.0.join("policy.json"), template.to_string()).unwrap();
        fs::write(self.0.join("lists.txt"), "198.51.100.1\n").unwrap();
        let mut egret = Command::new(env!("CARGO_BIN_EXE_egret"));
        egret.args(["import", "azure-firewall", "policy.json"]).args(more);
        egret.current_dir(&self.0).output().unwrap()
    }

    /// What `egret check` ends with and says of this configuration.
    fn check(&self, file: &str) -> (Option<i32>, String) {
        fs::write(self.0.join("egret.toml"), file).unwrap();
        let mut egret = Command::new(env!("CARGO_BIN_EXE_egret"));
        let egret = egret.args(["check", "egret.toml"]).current_dir(&self.0);
        let done = egret.output().unwrap();
        (done.status.code(), text(&done.stdout) + &text(&done.stderr))
    }
}

fn policy(name: &str, properties: Value) -> Value {
    json!({ "type": "Microsoft.Network/firewallPolicies", "apiVersion": "2023-09-01", "name": name, "properties": properties })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_strictest_mode_of_threat_intelligence_of_parents_and_child_holds() {
    let folder = Folder::new("strictest");
    for (parent, child, wanted) in [
        ("Off", "Off", "Off"),
        ("Alert", "Off", "Alert"),
        ("Off", "Alert", "Alert"),
        ("Deny", "Off", "Deny"),
        ("Alert", "Deny", "Deny"),
    ] {
        let base = json!({ "id": "[resourceId('Microsoft.Network/firewallPolicies', 'base')]" });
        let policies = [
            policy("base", json!({ "threatIntelMode": parent })),
            policy("child", json!({ "threatIntelMode": child, "basePolicy": base })),
        ];
        let done = folder.import(&policies, &["--policy", "child", "--threat-intelligence", "lists.txt"]);
        let toml = text(&done.stdout);
        assert_eq!(done.status.code(), Some(0), "{parent}, {child}: {}", text(&done.stderr));
        assert!(
            toml.contains(&format!("mode = \"{wanted}\"")),
            "{parent}, {child}: {toml}"
        );
    }
}

/// Lists that deny nothing do not stand for Microsoft's, and it is said why.
#[test]
fn lists_that_deny_nothing_are_no_threat_intelligence() {
    let folder = Folder::new("no-lists");
    fs::write(folder.0.join("empty.txt"), "\u{feff}# nothing yet\n\n").unwrap();
    let deny = [policy("p", json!({ "threatIntelMode": "Deny" })), group_of("p")];
    let done = folder.import(&deny, &["--threat-intelligence", "empty.txt"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(
        text(&done.stderr).contains("the lists that are given are empty"),
        "{}",
        text(&done.stderr)
    );
    let lists = [
        "--threat-intelligence",
        "empty.txt",
        "--threat-intelligence",
        "lists.txt",
    ];
    assert_eq!(folder.import(&deny, &lists).status.code(), Some(0));
    for (section, code, word) in [
        ("files = [\"empty.txt\"]", Some(1), "the lists that are given are empty"),
        (
            "mode = \"Alert\"\nfiles = [\"lists.txt\"]",
            Some(1),
            "`mode` of `[threat_intelligence]` keeps",
        ),
        (
            "mode = \"Off\"\nfiles = [\"lists.txt\"]",
            Some(1),
            "`mode` of `[threat_intelligence]` keeps",
        ),
        ("mode = \"Off\"", Some(1), "give lists of your own"),
        ("files = [\"lists.txt\"]", Some(0), ""),
    ] {
        let file = format!("[policy]\nazure_firewall = [\"policy.json\"]\n[threat_intelligence]\n{section}\n");
        let (status, told) = folder.check(&file);
        assert_eq!(status, code, "{section}: {told}");
        assert!(told.contains(word), "{section}: {told}");
    }
}

/// Azure compares names of network rules by address, and at the proxy port egret does not.
#[test]
fn what_network_rules_deny_by_name_stops_the_load_where_it_is_asked_for_at_the_proxy_port() {
    let folder = Folder::new("by-name");
    let mut group = group_of("p");
    group["properties"]["ruleCollections"] = json!([{ "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "no",
        "priority": 100, "action": { "type": "Deny" }, "rules": [{ "ruleType": "NetworkRule", "name": "paste",
        "ipProtocols": ["TCP"], "sourceAddresses": ["*"], "destinationFqdns": ["paste.example.com"], "destinationPorts": ["*"] }] }]);
    assert_eq!(
        folder.import(&[policy("p", json!({})), group], &[]).status.code(),
        Some(0)
    );
    for (settings, partial, code, word) in [
        ("", "", Some(0), "not judged by network rules"),
        (
            "explicit_network_rules = true\n",
            "",
            Some(1),
            "cannot be enforced in full",
        ),
        (
            "explicit_network_rules = true\n",
            "partial = true\n",
            Some(0),
            "and not the addresses that they lead to",
        ),
    ] {
        let file = format!("{settings}[policy]\nazure_firewall = [\"policy.json\"]\n{partial}");
        let (status, told) = folder.check(&file);
        assert_eq!(status, code, "{settings}{partial}: {told}");
        assert!(told.contains(word), "{settings}{partial}: {told}");
        assert!(code == Some(0) || told.contains("policy.json:1"), "{told}");
    }
}

/// A group with a rule that allows.
fn group_of(policy: &str) -> Value {
    let rule = json!({"ruleType": "ApplicationRule", "name": "r", "sourceAddresses": ["*"],
        "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["a.example"]});
    let collection = json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
        "action": {"type": "Allow"}, "rules": [rule]});
    json!({"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("{policy}/g"),
        "properties": {"priority": 200, "ruleCollections": [collection]}})
}

#[test]
fn settings_that_egret_has_no_part_for_are_told_of() {
    let folder = Folder::new("settings");
    let policies = [policy(
        "p",
        json!({ "threatIntelMode": "Off", "snat": { "privateRanges": ["10.0.0.0/8"] } }),
    )];
    let done = folder.import(&policies, &["--report", "report.json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let report = fs::read_to_string(folder.0.join("report.json")).unwrap();
    assert!(
        report.contains("snat") && report.contains("egret connects from addresses of its machine"),
        "{report}"
    );
}

/// What a failing policy test says to run answers the very same: with the policy in JSON, quoted, with the names that the tests
/// resolve.
#[test]
fn the_command_that_a_failing_policy_test_tells_can_be_run_and_decides_alike() {
    let folder = Folder::new("more line");
    let rules = json!([{
        "ruleType": "NetworkRule", "name": "sql", "ipProtocols": ["TCP"], "sourceAddresses": ["*"],
        "destinationFqdns": ["sql.contoso.com"], "destinationPorts": ["1433"],
    }]);
    let group = json!({
        "type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "apiVersion": "2023-09-01", "name": "p/platform",
        "properties": { "priority": 200, "ruleCollections": [{
            "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "data", "priority": 100,
            "action": { "type": "Allow" }, "rules": rules,
        }]},
    });
    let template = json!({
        "contentVersion": "1.0.0.0", "parameters": { "mode": { "type": "string" } },
        "resources": [policy("p", json!({ "threatIntelMode": "[parameters('mode')]" })), group],
    });
    fs::write(folder.0.join("my policy.json"), template.to_string()).unwrap();
    let tests = "[resolved]\n\"sql.contoso.com\" = [\"203.0.113.5\"]\n\n\
                 [[attempt]]\nname = \"no database\"\nsource = \"10.1.0.5\"\ntarget = \"tcp://203.0.113.5:1433\"\ndecision = \"Deny\"\n";
    fs::write(folder.0.join("tests.toml"), tests).unwrap();
    let given = [
        "check",
        "--azure-policy",
        "my policy.json",
        "--set",
        "mode=Off",
        "--expect",
        "tests.toml",
    ];
    let mut egret = Command::new(env!("CARGO_BIN_EXE_egret"));
    let checked = egret.args(given).current_dir(&folder.0).output().unwrap();
    let said = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{said}{}", text(&checked.stderr));
    assert!(
        said.contains("\nmy policy.json: ok") || said.starts_with("my policy.json: ok"),
        "{said}"
    );

    let (_, more) = said.split_once("  more      egret ").expect(&said);
    let line = format!("exec \"$EGRET\" {}", more.lines().next().unwrap());
    let mut shell = Command::new("sh");
    let told = shell
        .args(["-c", &line])
        .env("EGRET", env!("CARGO_BIN_EXE_egret"))
        .current_dir(&folder.0)
        .output()
        .unwrap();
    let answer = text(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{line}\n{answer}{}", text(&told.stderr));
    assert!(
        answer.contains("Allow, RuleMatched by platform/data/sql"),
        "{line}\n{answer}"
    );
}
