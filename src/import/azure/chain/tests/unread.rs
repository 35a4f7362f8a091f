//! Fields of policies, firewalls and groups that are not read.

use super::*;

#[test]
fn a_group_that_an_old_policy_lists_and_no_file_holds_stops() {
    let named = json!([{"id": id("g", "firewallPolicies/p/ruleGroups/deny")}]);
    let listing = |key: &str| {
        with(
            policy("p", json!({"threatIntelMode": "Off", key: named})),
            "id",
            id("g", "firewallPolicies/p").into(),
        )
    };
    for key in ["ruleGroups", "ruleCollectionGroups"] {
        let files = [listing(key), group("p/g", "Allow")];
        stops(&files, "none of the files does");
        let files = [listing(key), json!([group("p/g", "Allow"), group("p/deny", "Deny")])];
        assert_eq!(rules(&files), ["g/c/r carried", "deny/c/r carried"], "{key}");
    }
}

#[test]
fn an_old_group_that_a_policy_writes_out_is_read() {
    let old = json!({"name": "g", "priority": 300, "rules": [
        {"name": "c", "priority": 200, "action": {"type": "Allow"}, "ruleConditions": [
            {"ruleConditionType": "ApplicationRuleCondition", "name": "r", "sourceAddresses": ["*"],
            "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["a.example"]}]}]});
    assert_eq!(
        rules(&[json!([policy("p", json!({"ruleGroups": [old]}))])]),
        ["g/c/r carried"]
    );
}

#[test]
fn rules_in_a_policy_itself_or_in_a_firewall_stop() {
    let allows = || group("p/g", "Allow");
    for key in ["ruleCollections", "networkRuleCollections", "rules", "denials"] {
        let body = json!({key: [collection("Deny")]});
        stops(
            &[template(json!([policy("p", body.clone()), allows()]))],
            "may hold rules",
        );
        let flat = json!({"type": "Microsoft.Network/firewallPolicies", "name": "p", key: body[key]});
        stops(&[template(json!([flat, allows()]))], "may hold rules");
        if key != "networkRuleCollections" {
            let mut firewall = resource("azureFirewalls", "f", body);
            stops(
                &[template(json!([policy("p", json!({})), allows(), firewall]))],
                "may hold rules",
            );
            firewall["properties"]["firewallPolicy"] = json!({"id": "p"});
            stops(
                &[template(json!([policy("p", json!({})), allows(), firewall]))],
                "may hold rules",
            );
        }
    }
}

#[test]
fn a_setting_that_nobody_knows_is_told_of_and_stops_if_it_may_deny() {
    for (harmless, value) in [
        ("flag", json!(true)),
        ("newThing", json!({"enabled": true, "hours": [1, 2]})),
    ] {
        let file = template(json!([policy("p", json!({harmless: value})), group("p/g", "Allow")]));
        let told = told(&[file]).unwrap();
        assert!(told.contains(&format!("p: {harmless} absent")), "{told:?}");
    }
    for (key, value) in [
        ("newMode", json!("Deny")),
        ("newMode", json!("Block")),
        ("newThing", json!({"mode": "Deny"})),
        ("newThing", json!("[parameters('list')]")),
        ("intrusionSystemMode", json!("Enabled")),
    ] {
        let file = template(json!([policy("p", json!({key: value})), group("p/g", "Allow")]));
        stops(&[file], key);
    }
    let off = json!({"intrusionSystemMode": "Disabled", "newMode": "Off"});
    assert!(told(&[template(json!([policy("p", off), group("p/g", "Allow")]))]).is_ok());
}

#[test]
fn a_setting_that_shares_what_is_in_it_is_looked_at_a_bounded_number_of_times() {
    let mut variables = json!({"v0": {"x": false}});
    for round in 1..40 {
        let below = format!("[variables('v{}')]", round - 1);
        variables[format!("v{round}")] = json!({"a": below, "b": below});
    }
    let settings = json!({"snat": "[variables('v30')]", "newThing": "[variables('v30')]"});
    let file = with(
        template(json!([policy("p", settings), group("p/g", "Allow")])),
        "variables",
        variables,
    );
    stops(&[file], "steps");
}

#[test]
fn plain_fields_of_groups_and_collections_that_nobody_knows_are_told_of() {
    let mut group = group("p/g", "Allow");
    group["properties"]["weight"] = json!(1);
    group["properties"]["ruleCollections"][0]["note"] = json!("x");
    let imported = imported(&[template(json!([group]))]).unwrap();
    let notes = |name: &str| {
        let item = imported.report.items.iter().find(|item| item.name == name).unwrap();
        item.notes.join("; ")
    };
    assert_eq!(notes("g"), "`properties.weight` is not read: egret does not know it");
    assert_eq!(notes("g/c"), "`note` is not read: egret does not know it");
}

#[test]
fn what_every_firewall_says_is_not_told_of() {
    let known = json!({"sku": {"name": "AZFW_VNet", "tier": "Standard"}, "zones": ["1", "2"], "ipConfigurations": [{"name": "c"}],
        "hubIPAddresses": {"publicIPs": {"count": 1}}, "firewallPolicy": {"id": "p"}, "threatIntelMode": "Alert"});
    let firewall = with(resource("azureFirewalls", "f", known), "zones", json!(["1"]));
    let imported = imported(&[template(json!([
        policy("p", json!({})),
        group("p/g", "Allow"),
        firewall
    ]))])
    .unwrap();
    let unread = imported.report.items.iter().filter(|item| item.name.starts_with("f:"));
    let unread: Vec<_> = unread.map(|item| (&item.name, &item.notes)).collect();
    // Of one that stands in two places, the other.
    assert_eq!(unread.len(), 1, "{unread:?}");
    assert_eq!(unread[0].0, "f: zones");
}

#[test]
fn a_deployment_of_which_the_names_are_not_known_is_told_where_nothing_else_is_deployed() {
    let deployment = json!({"type": "Microsoft.Resources/deployments", "name": "d", "properties": {
        "expressionEvaluationOptions": {"scope": "innner"}, "template": template(json!([group("p/g", "Allow")]))}});
    stops(
        &[template(json!([deployment]))],
        "which names its template draws on is not known",
    );
}

#[test]
fn what_stands_among_rule_collections_and_is_none_stops_the_import() {
    let mut no_action = collection("Deny");
    let fields = no_action.as_object_mut().unwrap();
    fields.remove("action");
    fields.remove("ruleCollectionType");
    for beside in [no_action, rule(), json!("System.Object")] {
        stops(&[json!([collection("Allow"), beside])], "nothing that is read");
    }
    let page = |next: Value| json!({"value": [group("p/g", "Allow")], "nextLink": next});
    stops(&[page(json!("https://management.azure.com/x?skip=1"))], "another page");
    for key in ["skip_token", "$skipToken", "SkipToken", "@odata.nextLink"] {
        stops(&[json!({"data": [group("p/g", "Allow")], key: "x"})], "another page");
    }
    let mut odd = group("p/g", "Deny");
    odd["type"] = json!("Microsoft.Network/firewallPolicies/unheardOf");
    stops(&[template(json!([policy("p", json!({})), odd]))], "not known to egret");
    assert_eq!(rules(&[page(json!(null))]), ["g/c/r carried"]);
    let machine = json!({"type": "Microsoft.Compute/virtualMachines", "name": "vm"});
    told(&[json!([collection("Allow"), machine, null, {}])]).unwrap();
    let mut no_action = collection("Deny");
    let fields = no_action.as_object_mut().unwrap();
    fields.remove("action");
    fields.remove("ruleCollectionType");
    let cut_off = json!({"name": "g", "properties": "System.Collections.Hashtable"});
    for beside in [
        no_action.clone(),
        json!([no_action]),
        rule(),
        cut_off,
        json!("@{name=g}"),
    ] {
        stops(
            &[json!({"a": [collection("Allow")], "b": beside})],
            "nothing that is read",
        );
    }
    let harmless = json!({"a": [collection("Allow")], "count": 1, "kind": "x", "tags": {"owner": "x"}, "zones": ["1"],
        "vm": machine, "systemData": {"createdAt": "2024"}});
    told(&[harmless]).unwrap();
}

#[test]
fn what_was_cut_off_where_the_content_should_be_stops_the_import() {
    for cut in [
        json!("Microsoft.Azure.Commands.Models.X"),
        json!(null),
        json!({"priority": 200}),
    ] {
        stops(
            &[
                resource("firewallPolicies/ruleCollectionGroups", "p/g", cut),
                group("p/h", "Allow"),
            ],
            "its rule collections are not known",
        );
    }
    stops(
        &[json!([policy("p", json!(null)), group("p/h", "Allow")])],
        "its settings are not known",
    );
    let ip_group = resource("ipGroups", "spokes", json!(null));
    let told = told(&[json!([ip_group, group("p/h", "Allow")])]).unwrap();
    assert_eq!(told[0], "spokes absent");
}

#[test]
fn what_stands_beside_under_a_type_that_is_no_resource_type_is_not_passed_over() {
    let deny = json!({"type": "Deny", "name": "deny", "priority": 50, "rules": [rule()]});
    stops(&[json!([group("p/g", "Allow"), deny])], "may be a rule or a collection");
    let state = json!({"type": "azurerm_firewall_policy_rule_collection_group", "name": "x", "instances": [{"attributes": {}}]});
    stops(
        &[json!([group("p/g", "Allow"), state])],
        "may be a rule or a collection",
    );
    let network = json!({"type": "Microsoft.Network/virtualNetworks", "name": "vnet", "properties": {}});
    let block = json!({"type": "VirtualNetwork", "name": "x", "settings": [{"name": "y"}]});
    assert_eq!(
        rules(&[json!([group("p/g", "Allow"), network, block])]),
        ["g/c/r carried"]
    );
}

#[test]
fn an_unknown_child_of_a_policy_is_called_what_it_is() {
    for kind in [
        "firewallPolicies/ruleCollectionGroups/",
        "firewallPolicies/ruleCollectionGroups@2023-04-01",
    ] {
        let odd = resource(kind, "p/g", content("Deny"));
        stops(
            &[template(json!([policy("p", json!({})), odd]))],
            "is not known to egret",
        );
    }
    let spaced = resource("firewallPolicies/ruleCollectionGroups ", "p/g", content("Deny"));
    assert_eq!(
        rules(&[template(json!([policy("p", json!({})), spaced]))]),
        ["g/c/r carried"]
    );
}

#[test]
fn a_group_with_two_lists_of_collections_is_not_known() {
    let beside = |key: &str| with(content("Allow"), key, json!([collection("Deny")]));
    let place = |properties: Value| resource("firewallPolicies/ruleCollectionGroups", "p/g", properties);
    for key in ["rules", "ruleCollection"] {
        stops(&[json!([place(beside(key))])], "beside what is read");
    }
    let empty = place(json!({"priority": 100, "ruleCollections": []}));
    let flattened = with(empty.clone(), "ruleCollections", json!([collection("Deny")]));
    stops(&[json!([flattened])], "beside what is read");
    assert_eq!(rules(&[json!([empty, group("p/h", "Allow")])]), ["h/c/r carried"]);
}
