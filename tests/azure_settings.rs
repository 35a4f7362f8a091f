//! Points of `docs/azure-firewall.md` about settings of a whole policy, held where a user meets them: `egret import`.

use serde_json::{Value, json};
use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("egret-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

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
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
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
