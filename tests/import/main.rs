//! `egret import azure-firewall` and configurations that draw on a policy in JSON: what public templates come to
//! (`tests/data/azure-policies/`), and that nothing is ever wider than in Azure.

mod command;
#[path = "../support/folder.rs"]
mod folder;
mod never_wider;
mod templates;

use egret::{
    config::{self, Checked, Problem},
    import::{ImportFault, Imported, ItemKind, Options, Outcome, azure_firewall},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const POLICIES: &str = "tests/data/azure-policies";

fn import(files: &[(&str, &str)], options: &Options<'_>) -> Result<Imported, Vec<ImportFault>> {
    let files: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        .collect();
    azure_firewall(&files, None, options)
}

fn template(name: &str, options: &Options<'_>) -> Result<Imported, Vec<ImportFault>> {
    let text = fs::read_to_string(Path::new(POLICIES).join(name)).unwrap();
    import(&[(name, &text)], options)
}

fn partial() -> Options<'static> {
    Options {
        partial: true,
        ..Options::default()
    }
}

fn loads(imported: &Imported) -> Checked {
    config::from_text("imported.toml", &imported.toml)
        .unwrap_or_else(|problems| panic!("{}\n{}", shown(&problems), imported.toml))
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.one_line() + "\n").collect()
}

/// `carried/approximated/absent` of a kind; `-` where the file holds none.
fn count(imported: &Imported, kind: ItemKind) -> String {
    imported.report.counts.get(&kind).map_or_else(
        || "-".into(),
        |count| {
            assert_eq!(count.held, count.carried + count.approximated + count.absent);
            format!("{}/{}/{}", count.carried, count.approximated, count.absent)
        },
    )
}

fn policy(threat: &str, rules: &Value) -> String {
    json!({"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "resources": [
        {"type": "Microsoft.Network/firewallPolicies", "name": "p", "properties": {"threatIntelMode": threat}},
        {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g", "properties": {
            "priority": 200, "ruleCollections": rules}}
    ]})
    .to_string()
}

fn collection(action: &str, rule: Value) -> Value {
    json!([{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
        "action": {"type": action}, "rules": [rule]}])
}

/// An application rule with these fields beside or in place of the usual ones.
fn rule(fields: &Value) -> Value {
    let mut rule = json!({"ruleType": "ApplicationRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"],
        "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["a.example"]});
    for (key, value) in fields.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

fn network(fields: &Value) -> Value {
    let mut rule = json!({"ruleType": "NetworkRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"],
        "ipProtocols": ["TCP"], "destinationAddresses": ["192.0.2.1"], "destinationPorts": ["443"]});
    for (key, value) in fields.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

#[test]
fn parents_stay_apart_from_their_child_and_two_groups_of_one_name_survive() {
    let text = |name: &str, base: Value, fqdn: &str| {
        let rules = collection("Allow", rule(&json!({"targetFqdns": [fqdn]})));
        json!({"contentVersion": "1", "resources": [
            {"type": "Microsoft.Network/firewallPolicies", "name": name, "properties": {"basePolicy": base}},
            {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("{name}/g"),
                "properties": {"priority": 200, "ruleCollections": rules}}]})
        .to_string()
    };
    let base = text("base", Value::Null, "base.example");
    let child = text(
        "child",
        json!({"id": "/subscriptions/s/providers/Microsoft.Network/firewallPolicies/BASE"}),
        "child.example",
    );
    for files in [
        [("a.json", &*child), ("b.json", &*base)],
        [("b.json", &*base), ("a.json", &*child)],
    ] {
        let policy = loads(&import(&files, &Options::default()).unwrap()).policy;
        assert_eq!((&*policy.name, &*policy.parents[0].name), ("child", "base"));
        assert_eq!(
            (&*policy.groups[0].name, &*policy.parents[0].groups[0].name),
            ("g", "g")
        );
    }
}

/// The same policy as ARM, as `az` prints it, as PowerShell does and by REST, in one file or several.
#[test]
fn what_tools_print_is_read_like_a_template() {
    let id = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network";
    let app = rule(
        &json!({"sourceAddresses": [], "sourceIpGroups": [format!("{id}/ipGroups/spokes")], "targetUrls": [], "etag": "x"}),
    );
    let az_group = json!({"etag": "x", "id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g"), "name": "g", "priority": 200,
        "provisioningState": "Succeeded", "resourceGroup": "r", "ruleCollections": collection("Allow", app.clone()),
        "type": "Microsoft.Network/FirewallPolicies/RuleCollectionGroups"});
    let ip_group = json!({"id": format!("{id}/ipGroups/spokes"), "name": "spokes", "ipAddresses": ["10.1.0.0/16"],
        "type": "Microsoft.Network/IpGroups"});
    let az_policy = json!({"id": format!("{id}/firewallPolicies/p"), "name": "p", "threatIntelMode": "Alert", "basePolicy": null,
        "ruleCollectionGroups": [{"id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g")}], "type": "Microsoft.Network/FirewallPolicies"});
    let rest = json!({"value": [{"id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g"), "name": "g",
        "properties": {"priority": 200, "ruleCollections": collection("Allow", app)}}]});
    let shell = json!({"Properties": {"Priority": 200, "RuleCollection": [{"RuleCollectionType": "FirewallPolicyFilterRuleCollection",
        "Name": "c", "Priority": 200, "Action": {"Type": "Allow"}, "Rules": [{"RuleType": "ApplicationRule", "Name": "r",
        "SourceAddresses": [], "SourceIpGroups": [format!("{id}/ipGroups/spokes")], "Protocols": [{"ProtocolType": "Https", "Port": 443}],
        "TargetFqdns": ["a.example"], "FqdnTags": null, "TerminateTLS": false}]}]},
        "Name": "g", "Id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g")});
    let groups = json!([ip_group]).to_string();
    let expected = loads(
        &import(
            &[("a.json", &json!([az_group]).to_string()), ("i.json", &groups)],
            &Options::default(),
        )
        .unwrap(),
    );
    assert_eq!(&*expected.policy.groups[0].collections[0].name, "c");
    assert_eq!(&*expected.policy.name, "p");
    for printed in [
        vec![json!([az_group]).to_string(), az_policy.to_string()],
        vec![json!({"value": [az_group], "Count": 1}).to_string()],
        vec![rest.to_string()],
        vec![shell.to_string()],
        vec![json!([shell]).to_string()],
    ] {
        let mut files: Vec<(&str, &str)> = printed.iter().map(|text| ("p.json", text.as_str())).collect();
        files.push(("i.json", &groups));
        let imported = import(&files, &Options::default()).unwrap_or_else(|faults| panic!("{printed:?} {faults:?}"));
        assert_eq!(loads(&imported).policy, expected.policy, "{printed:?}");
    }
}

#[test]
fn equal_priorities_keep_the_order_of_the_file_and_say_so() {
    let one = |name: &str, action: &str| {
        json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": name, "priority": 200,
            "action": {"type": action}, "rules": [rule(&json!({}))]})
    };
    let text = policy("Off", &json!([one("first", "Deny"), one("second", "Allow")]));
    let imported = import(&[("a.json", &text)], &Options::default()).unwrap();
    let second = imported
        .report
        .items
        .iter()
        .find(|item| item.name == "g/second")
        .unwrap();
    assert!(
        second.notes[0].contains("priority 200 is that of `first` as well"),
        "{:?}",
        second.notes
    );
    let checked = loads(&imported);
    assert!(shown(&checked.warnings).contains("the order of the file counts"));
    let names: Vec<_> = checked.policy.groups[0]
        .collections
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn a_value_for_a_parameter_that_no_template_has_is_refused() {
    let options = Options {
        set: vec![("lcation".into(), "x".into())],
        ..Options::default()
    };
    let faults = template("bicep-vwan-azfwpolicy.json", &options).unwrap_err();
    assert_eq!(faults[0].found, "no template has a parameter `lcation`");
}

#[test]
fn a_file_of_something_else_is_refused() {
    for text in ["{\"a\": 1}", "3", "{\"resources\": {}, \"x\": []}"] {
        let faults = import(&[("a.json", text)], &Options::default()).unwrap_err();
        assert_eq!(faults[0].found, "holds nothing of an Azure Firewall", "{text}");
    }
}

/// A list may be shared by many rules, so that a small file holds many entries.
#[test]
fn a_small_file_that_comes_to_a_great_many_entries_is_refused() {
    let names: Vec<String> = (0..9_000).map(|index| format!("h{index}.example")).collect();
    let rules: Vec<Value> = (0..100)
        .map(|index| rule(&json!({"name": format!("r{index}"), "targetFqdns": "[variables('n')]"})))
        .collect();
    let groups: Vec<Value> = (0..60)
        .map(|index| {
            json!({"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("p/g{index}"), "properties": {
                "priority": 100 + index, "ruleCollections": [{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c",
                    "priority": 200, "action": {"type": "Allow"}, "rules": "[variables('r')]"}]}})
        })
        .collect();
    let template = json!({"contentVersion": "1", "variables": {"n": names, "r": rules}, "resources": groups});
    let faults = import(&[("a.json", &template.to_string())], &Options::default()).unwrap_err();
    assert_eq!(
        faults[0].found,
        "the rules and what is to be said of them come to more than 300000 entries of lists"
    );
}

/// 700 KB as Bicep compiles it: 40 modules of a group each, whose rules are made by loops over lists in variables.
#[test]
fn a_large_compiled_template_is_imported_within_two_seconds() {
    let module = |index: usize| {
        let names: Vec<String> = (0..400)
            .map(|name| format!("long-host-name-{name}.group-{index}.contoso.example"))
            .collect();
        json!({"type": "Microsoft.Resources/deployments", "name": format!("m{index}"), "properties": {
        "expressionEvaluationOptions": {"scope": "inner"},
        "parameters": {"priority": {"value": 100 + index}},
        "template": {
            "parameters": {"priority": {"type": "int"}},
            "variables": {"names": names, "copy": [{"name": "rules", "count": "[div(length(variables('names')), 10)]", "input": {
                "ruleType": "ApplicationRule", "name": "[format('rule-{0}', copyIndex('rules'))]", "sourceAddresses": ["10.0.0.0/8"],
                "protocols": [{"protocolType": "Https", "port": 443}],
                "targetFqdns": "[take(skip(variables('names'), mul(copyIndex('rules'), 10)), 10)]"}}]},
            "resources": [{"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("p/g{index}"),
                "properties": {"priority": "[parameters('priority')]", "ruleCollections": [{
                    "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
                    "action": {"type": "Allow"}, "rules": "[variables('rules')]"}]}}]
        }}})
    };
    let modules: Vec<Value> = (0..40).map(module).collect();
    let template = json!({"contentVersion": "1", "resources": modules}).to_string();
    assert!(template.len() > 700_000, "{}", template.len());
    let started = std::time::Instant::now();
    let imported = import(&[("large.json", &template)], &Options::default()).unwrap();
    assert_eq!(count(&imported, ItemKind::ApplicationRule), "1600/0/0");
    // A debug build on a busy machine; a release build takes a tenth of it.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert_eq!(loads(&imported).policy.groups.len(), 40);
}
