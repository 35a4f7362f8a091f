//! `egret export azure-firewall`: what it writes, what it refuses, and that an export that is imported again decides alike.

#[path = "../support/folder.rs"]
mod folder;
mod limits;
mod policies;
#[path = "../support/random.rs"]
mod random;
mod round_trip;

use egret::{
    config::{self, Problem},
    export,
    import::{Options, azure_firewall},
    policy::{
        Action, ApplicationRule, CompiledPolicy, Destinations, FlowAttempt, Fqdn, FqdnPattern, IpProtocol, Mode,
        NatRule, NetworkRule, NoTrace, ParentPolicy, Policy, PortRange, Priority, Protocol, ProtocolPort, Resolved,
        RuleCollection, RuleCollectionGroup, RuleRef, Rules, Sources, TargetFqdn, Translated, Transport, Via, Wording,
    },
};
use folder::Folder;
use ipnet::IpNet;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, process::Command, sync::Arc};

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.one_line() + "\n").collect()
}

fn one_rule(rule: ApplicationRule) -> Policy {
    let priority = Priority::new(100).unwrap();
    Policy {
        name: "p".into(),
        groups: vec![RuleCollectionGroup {
            name: "g".into(),
            priority,
            collections: vec![RuleCollection {
                name: "c".into(),
                priority,
                action: Action::Allow,
                mode: Mode::Enforce,
                rules: Rules::Application(vec![rule]),
            }],
        }],
        ..Policy::default()
    }
}

fn rules(template: &Value) -> &Vec<Value> {
    let resources = template["resources"].as_array().unwrap();
    let group = resources
        .iter()
        .find(|one| one["type"] == "Microsoft.Network/firewallPolicies/ruleCollectionGroups");
    group.unwrap()["properties"]["ruleCollections"][0]["rules"]
        .as_array()
        .unwrap()
}

fn checked(text: &str) -> Policy {
    config::from_text("egret.toml", text)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)))
        .policy
}

#[test]
fn tags_of_azures_stay_tags_and_all_others_become_names_by_protocol() {
    let policy = checked(
        r#"
        [ip_groups]
        spokes = ["10.1.0.0/16", "10.2.0.0/16"]
        [fqdn_tag.AzureOpenAI]
        resource = ["contoso-ai"]
        [[application_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[application_rule_collection.rule]]
          name = "r"
          source_ip_groups = ["spokes"]
          source_addresses = ["10.9.0.1"]
          protocols = [{ type = "Https" }, { type = "Http" }, { type = "Https", port = 8443 }]
          destination_fqdns = ["a.example"]
          destination_fqdn_tags = ["AzureOpenAI", "WindowsUpdate"]
        "#,
    );
    let exported = export::azure_firewall(&policy).unwrap();
    let rules = rules(&exported.template);
    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["r", "r-2", "r-3"], "{:#}", exported.template);
    assert_eq!(rules[0]["targetFqdns"], serde_json::json!(["a.example"]));
    assert_eq!(
        rules[1]["targetFqdns"],
        serde_json::json!(["contoso-ai.openai.azure.com"])
    );
    assert_eq!(
        rules[1]["protocols"].as_array().unwrap().len(),
        1,
        "its entries are for HTTPS alone"
    );
    let usual = serde_json::json!([{"protocolType": "Https", "port": 443}, {"protocolType": "Http", "port": 80}]);
    let tagged: Vec<_> = rules
        .iter()
        .filter(|rule| rule["fqdnTags"] != serde_json::json!([]))
        .collect();
    assert_eq!(tagged.len(), 1);
    assert_eq!(tagged[0]["fqdnTags"], serde_json::json!(["WindowsUpdate"]));
    assert_eq!(tagged[0]["protocols"], usual, "on the usual ports alone");
    let group = "[resourceId('Microsoft.Network/ipGroups', 'spokes')]";
    assert_eq!(rules[0]["sourceIpGroups"], serde_json::json!([group]));
    assert_eq!(rules[0]["sourceAddresses"], serde_json::json!(["10.9.0.1"]));
}

#[test]
fn what_azure_cannot_express_is_named() {
    let mut policy = checked(
        r#"
        mode = "audit"
        [[application_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[application_rule_collection.rule]]
          name = "six"
          source_addresses = ["fd00::/8"]
          destination_fqdns = ["a.example"]
          [[application_rule_collection.rule]]
          name = "private"
          source_addresses = ["10.0.0.1", "fd00::1"]
          destination_fqdns = ["b.example"]
          resolves_into = ["10.0.0.0/8"]
        "#,
    );
    policy.explicit_network_rules = true;
    let exported = export::azure_firewall(&policy).unwrap();
    let notes = exported.notes.join("\n");
    for word in [
        "audit mode",
        "explicit_network_rules",
        "`default/c/six`: it has no IPv4 source",
        "`default/c/private`: its IPv6",
        "resolves_into",
    ] {
        assert!(notes.contains(word), "{word}: {notes}");
    }
    assert_eq!(rules(&exported.template).len(), 1);
}

#[test]
fn the_command_writes_a_template_that_checks_like_its_source() {
    let folder = Folder::new("export");
    let egret = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
        command.current_dir(&folder.0).args(line.split(' ')).output().unwrap()
    };
    let template = format!(
        "{}/tests/data/azure-policies/bicep-vwan-azfwpolicy.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let out = egret(&format!("export azure-firewall --azure-policy {template} -o out.json"));
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let out = egret("check --azure-policy out.json");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    assert!(String::from_utf8_lossy(&out.stdout).contains("ok, 3 rules, 20 names"));
}

#[test]
fn a_rule_keeps_its_description_and_names_the_ip_groups_that_it_was_written_with() {
    let policy = checked(
        r#"
        [ip_groups]
        one = ["10.1.0.0/16"]
        two = ["10.1.0.0/16", "10.2.0.0/16"]
        [[network_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[network_rule_collection.rule]]
          name = "r"
          description = "Azure's clock [NTP]"
          source_ip_groups = ["one"]
          source_addresses = ["10.2.0.0/16"]
          protocols = ["UDP"]
          destination_ip_groups = ["two"]
          destination_ports = ["123"]
        "#,
    );
    let exported = export::azure_firewall(&policy).unwrap();
    let rule = &rules(&exported.template)[0];
    let id = |name: &str| serde_json::json!([format!("[resourceId('Microsoft.Network/ipGroups', '{name}')]")]);
    assert_eq!(
        rule["sourceIpGroups"],
        id("one"),
        "`two` holds the same, and is not what was written"
    );
    assert_eq!(rule["sourceAddresses"], serde_json::json!(["10.2.0.0/16"]));
    assert_eq!(rule["destinationIpGroups"], id("two"));
    assert_eq!(rule["description"], "Azure's clock [NTP]");
}
