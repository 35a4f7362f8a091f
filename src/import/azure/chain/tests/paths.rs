//! Every path of the report selects something in its file.

use super::*;

/// What a path of plain names and positions selects.
fn selected<'v>(file: &'v Value, path: &str) -> Option<&'v Value> {
    let steps = path.strip_prefix('$')?.replace(']', "").replace('[', ".");
    let mut steps = steps.split('.').skip(1);
    steps.try_fold(file, |here, step| match here {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => here.get(step),
    })
}

fn all_select(file: &Value) {
    let imported = imported(std::slice::from_ref(file)).unwrap_or_else(|faults| panic!("{file}: {faults:?}"));
    assert!(imported.report.items.len() > 1, "{file}");
    for item in &imported.report.items {
        assert!(selected(file, &item.path).is_some(), "`{}` in {file}", item.path);
    }
}

/// The same in the letters of PowerShell.
fn capital(value: &Value) -> Value {
    let name = |name: &str| name[..1].to_uppercase() + &name[1..];
    match value {
        Value::Object(object) => object.iter().map(|(key, value)| (name(key), capital(value))).collect(),
        Value::Array(items) => items.iter().map(capital).collect(),
        _ => value.clone(),
    }
}

/// The same without `properties`, as `az` prints resources.
fn flat(mut resource: Value) -> Value {
    let properties = resource.as_object_mut().unwrap().remove("properties").unwrap();
    for (key, value) in properties.as_object().unwrap() {
        resource[key] = value.clone();
    }
    resource
}

#[test]
fn the_path_of_each_part_has_the_letters_of_the_file_and_its_members_alone() {
    let settings = json!({"threatIntelMode": "Off", "snat": {"autoLearnPrivateRanges": "Enabled"},
        "intrusionDetection": {"mode": "Off"}, "threatIntelWhitelist": {"fqdns": ["a.example"]}});
    let policy = policy("p", settings);
    let nested = json!({"type": "Microsoft.Resources/deployments", "name": "d",
        "properties": {"template": {"contentVersion": "1", "resources": [group("p/nested", "Deny")]}}});
    let parent = with(
        policy.clone(),
        "resources",
        json!([
        {"type": "ruleCollectionGroups", "name": "child", "properties": content("Allow")}]),
    );
    let old = resource(
        "firewallPolicies/ruleGroups",
        "p/old",
        json!({"priority": 300, "rules": [
        {"name": "c", "priority": 200, "action": {"type": "Allow"}, "ruleConditions": [
            {"ruleConditionType": "ApplicationRuleCondition", "name": "r", "sourceAddresses": ["*"],
            "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["a.example"]}]}]}),
    );
    let classic = resource(
        "azureFirewalls",
        "f",
        json!({"applicationRuleCollections": [
        {"name": "c", "properties": {"priority": 200, "action": {"type": "Allow"}, "rules": [
            {"name": "r", "sourceAddresses": ["*"], "targetFqdns": ["a.example"],
            "protocols": [{"protocolType": "Https", "port": 443}]}]}}]}),
    );
    let files = [
        template(json!([policy, group("p/g", "Allow"), old, nested])),
        template(json!([parent])),
        json!([classic]),
        json!([flat(policy.clone()), flat(group("p/g", "Allow"))]),
    ];
    for file in &files {
        all_select(file);
        all_select(&capital(file));
    }
}

#[test]
fn a_parent_that_is_not_there_is_told_at_its_reference() {
    let base = json!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/firewallPolicies/base");
    let file = json!([{"type": "Microsoft.Network/firewallPolicies", "name": "p", "BasePolicy": {"Id": base}}]);
    let files = [("p.json".to_owned(), file.to_string().into_bytes())];
    let faults = azure_firewall(&files, None, &Options::default()).unwrap_err();
    assert_eq!(faults[0].path, "$[0].BasePolicy");
}
