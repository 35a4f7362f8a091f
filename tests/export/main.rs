//! `egret export azure-firewall`: what it writes, what it refuses, and that an export that is imported again decides alike.

#[path = "../support/folder.rs"]
mod folder;
mod limits;
mod policies;
#[path = "../support/random.rs"]
mod random;
mod round_trip;
mod words;

use egret::{
    config::{self, Problem},
    export::{self, Beside},
    import::{Options, azure_firewall},
    policy::{
        Action, ApplicationRule, CompiledPolicy, DecidedBy, Destinations, FlowAttempt, Fqdn, FqdnPattern, IpProtocol,
        Mode, NatRule, NetworkRule, NoTrace, ParentPolicy, Policy, PortRange, Priority, Protocol, ProtocolPort,
        Resolved, RuleCollection, RuleCollectionGroup, RuleRef, Rules, Sources, TargetFqdn, Translated, Transport, Via,
        Wording,
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
    let exported = export::azure_firewall(&policy, &Beside::default()).unwrap();
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
    let exported = export::azure_firewall(&policy, &Beside::default()).unwrap();
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

fn of_type<'v>(template: &'v Value, kind: &str) -> Vec<&'v Value> {
    let resources = template["resources"].as_array().unwrap().iter();
    resources
        .filter(|one| one["type"] == format!("Microsoft.Network/{kind}"))
        .collect()
}

#[test]
fn explicit_proxy_and_dns_servers_are_written_where_another_machine_reaches_them() {
    let exported = |text: &str| {
        let checked = config::from_text("egret.toml", text).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        export::azure_firewall(&checked.policy, &Beside::of(&checked))
    };
    let parent = "[[parent_policy]]\nname = \"base\"\n";
    let network = "[listeners]\nproxy = [\"127.0.0.1:3128\", \"10.0.1.4:8080\"]\n\
                   [dns]\nforwarders = [\"10.0.2.4\", \"127.0.0.1:53\", \"10.0.2.5:5353\"]\n";
    let found = exported(&format!("{network}{parent}")).unwrap();
    let policies = of_type(&found.template, "firewallPolicies");
    let own = &policies[1]["properties"];
    assert_eq!(
        own["explicitProxy"],
        serde_json::json!({ "enableExplicitProxy": true, "httpPort": 8080, "enablePacFile": false })
    );
    assert_eq!(own["dnsSettings"], serde_json::json!({ "servers": ["10.0.2.4"] }));
    assert!(
        policies[0]["properties"]["explicitProxy"].is_null(),
        "the parent's are its own"
    );
    let notes = found.notes.join("\n");
    assert!(
        notes.contains("other ports than 53 are left out") && notes.contains("replaces the whole policy"),
        "{notes}"
    );

    let found = exported("mode = \"enforce\"\n").unwrap();
    let own = &of_type(&found.template, "firewallPolicies")[0]["properties"];
    assert!(own["explicitProxy"].is_null() && own["dnsSettings"].is_null());
    let notes = found.notes.join("\n");
    for setting in ["`explicitProxy` is not written", "`dnsSettings.servers` is not written"] {
        assert!(notes.contains(setting), "{setting}: {notes}");
    }
    let high = network.replace("8080", "64001");
    assert!(
        exported(&high)
            .unwrap_err()
            .join("\n")
            .contains("the explicit proxy has port 64001")
    );
}

#[test]
fn ip_groups_are_deployed_one_after_the_other() {
    let policy = checked("[ip_groups]\na = [\"10.0.0.1\"]\nb = [\"10.0.0.2\"]\nc = [\"10.0.0.3\"]\n");
    let exported = export::azure_firewall(&policy, &Beside::default()).unwrap();
    let groups = of_type(&exported.template, "ipGroups");
    let id = |group: &Value| {
        let name = group["name"].as_str().unwrap();
        serde_json::json!([format!("[resourceId('Microsoft.Network/ipGroups', '{name}')]")])
    };
    assert_eq!(groups.len(), 3);
    assert_eq!(groups[0]["dependsOn"], serde_json::json!([]));
    for pair in groups.windows(2) {
        assert_eq!(pair[1]["dependsOn"], id(pair[0]));
    }
}

#[test]
fn a_range_is_written_as_a_range() {
    let rule = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Allow\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\ndestination_ports = [\"443\"]\n\
                source_addresses = [\"10.0.0.3-10.0.0.250\", \"10.0.2.0/24\", \"10.0.3.0/24\"]\n\
                destination_addresses = [\"10.1.0.3-10.1.0.250\"]\n";
    let exported = export::azure_firewall(&checked(rule), &Beside::default()).unwrap();
    let rule = &rules(&exported.template)[0];
    let sources = serde_json::json!(["10.0.0.3-10.0.0.250", "10.0.2.0/24", "10.0.3.0/24"]);
    assert_eq!(rule["sourceAddresses"], sources);
    assert_eq!(rule["destinationAddresses"], serde_json::json!(["10.1.0.3-10.1.0.250"]));
}

/// A policy cannot be changed while its parent is.
#[test]
fn a_policy_is_deployed_after_the_groups_of_its_parent() {
    let parent =
        "[[parent_policy]]\nname = \"base\"\n[[parent_policy.rule_collection_group]]\nname = \"bg\"\npriority = 100\n";
    let exported = export::azure_firewall(&checked(parent), &Beside::default()).unwrap();
    let policies = of_type(&exported.template, "firewallPolicies");
    let kind = "Microsoft.Network/firewallPolicies";
    let needs = serde_json::json!([
        format!("[resourceId('{kind}/ruleCollectionGroups', 'base', 'bg')]"),
        format!("[resourceId('{kind}', 'base')]"),
    ]);
    assert_eq!(policies[1]["dependsOn"], needs);
}

/// A firewall without a policy names its collections kind by kind; a policy's groups do not.
#[test]
fn collections_of_one_name_keep_it_on_import_and_are_told_apart_on_export() {
    let collection = |rule: Value| serde_json::json!([{ "name": "hub", "properties": { "priority": 200, "action": { "type": "Allow" }, "rules": [rule] } }]);
    let network = serde_json::json!({
        "name": "r", "protocols": ["UDP"], "sourceAddresses": ["10.0.0.0/8"], "destinationAddresses": ["10.9.0.1"],
        "destinationPorts": ["123"]
    });
    let application = serde_json::json!({
        "name": "r", "protocols": [{ "protocolType": "Https", "port": 443 }], "sourceAddresses": ["10.0.0.0/8"],
        "targetFqdns": ["a.example"]
    });
    let firewall = serde_json::json!({ "name": "fw", "type": "Microsoft.Network/azureFirewalls", "properties": {
        "networkRuleCollections": collection(network), "applicationRuleCollections": collection(application),
    }});
    let files = [("fw.json".to_owned(), firewall.to_string().into_bytes())];
    let imported = azure_firewall(&files, None, &Options::default()).unwrap_or_else(|f| panic!("{f:?}"));
    let policy = checked(&imported.toml);
    let of = |policy: &Policy| -> Vec<(DecidedBy, String)> {
        let collections = policy.collections();
        collections
            .map(|one| (one.rules.kind(), one.name.to_string()))
            .collect()
    };
    let own = "hub".to_owned();
    assert_eq!(
        of(&policy),
        [(DecidedBy::Network, own.clone()), (DecidedBy::Application, own.clone())]
    );
    let exported = export::azure_firewall(&policy, &Beside::default()).unwrap_or_else(|f| panic!("{f:?}"));
    assert!(exported.notes.join("\n").contains("this one is called `hub-2`"));
    let again = [("out.json".to_owned(), exported.template.to_string().into_bytes())];
    let again = azure_firewall(&again, None, &Options::default()).unwrap_or_else(|f| panic!("{f:?}"));
    assert_eq!(
        of(&checked(&again.toml)),
        [(DecidedBy::Network, own.clone()), (DecidedBy::Application, own + "-2")]
    );
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

    // What the import leaves out is in no template either, and a deployment would take it away.
    let lossy = r#"{ "name": "g", "priority": 200, "ruleCollections": [{ "name": "c", "priority": 100, "action": { "type": "Allow" },
        "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "rules": [{ "ruleType": "ApplicationRule", "name": "urls",
        "sourceAddresses": ["*"], "protocols": [{ "protocolType": "Https", "port": 443 }], "terminateTLS": true,
        "targetUrls": ["github.com/contoso"] }] }] }"#;
    std::fs::write(folder.0.join("lossy.json"), lossy).unwrap();
    let out = egret("export azure-firewall --azure-policy lossy.json");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(
        said.contains("`g/c/urls` is absent") && said.contains("replaces the whole policy"),
        "{said}"
    );
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
    let exported = export::azure_firewall(&policy, &Beside::default()).unwrap();
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
