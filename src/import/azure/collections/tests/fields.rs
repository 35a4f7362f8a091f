//! Fields: none is passed over.

use super::*;

#[test]
fn a_field_of_another_kind_of_rule_is_not_passed_over() {
    for field in ["targetFqdns", "fqdnTags", "translatedPort", "translatedFqdn"] {
        let rule = network(&json!({field: "x.example"}));
        let allowed = import(&collection(filter("Allow"), &rule), false).unwrap();
        assert_eq!(outcome(&allowed, "g/c/r").0, Outcome::Absent, "{field}");
        assert!(import(&collection(filter("Deny"), &rule), false).is_err(), "{field}");
        let empty = network(&json!({field: []}));
        let carried = import(&collection(filter("Deny"), &empty), false).unwrap();
        assert_eq!(
            outcome(&carried, "g/c/r").0,
            Outcome::Carried,
            "the old schema prints it beside every rule"
        );
    }
}

#[test]
fn a_port_is_not_made_of_two() {
    let ports = |action: &str, ports: Value| {
        let rule = network(&json!({"destinationPorts": ports}));
        import(&json!([policy(&json!({})), collection(filter(action), &rule)]), false)
    };
    for two in [json!("443 80"), json!(["443 80"]), json!(["44 3-80"])] {
        let faults = ports("Deny", two.clone()).unwrap_err();
        assert!(faults[0].found.contains("is no port"), "{faults:?}");
        let allowed = ports("Allow", two).unwrap();
        assert_eq!(outcome(&allowed, "g/c/r").0, Outcome::Absent);
    }
    let range = ports("Deny", json!(["80 - 90", " 443 "])).unwrap();
    assert!(range.toml.contains("\"80-90\", \"443\""), "{}", range.toml);
}

/// A group of policy `p` with these properties, beside one that allows everything.
fn beside(group: &Value) -> Value {
    json!([group, {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/wide", "properties": {
        "priority": 300, "ruleCollections": [{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "wide",
        "priority": 200, "action": {"type": "Allow"}, "rules": [application(&json!({"targetFqdns": ["*"]}))]}]}}])
}

#[test]
fn what_may_hold_rules_beside_what_is_read_of_a_group_or_a_collection_stops_the_import() {
    let deny = json!([{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
        "action": {"type": "Deny"}, "rules": [application(&json!({"targetFqdns": ["evil.example"]}))]}]);
    let group = |properties: &Value, fields: &Value| {
        let group = json!({"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g",
            "properties": with(json!({"priority": 200, "ruleCollections": []}), properties)});
        beside(&with(group, fields))
    };
    for (properties, fields, path) in [
        (json!({"rules": deny}), json!({}), "$[0].properties.rules"),
        (
            json!({"ruleCollection": deny}),
            json!({}),
            "$[0].properties.ruleCollection",
        ),
        (json!({}), json!({"ruleCollections": deny}), "$[0].ruleCollections"),
        (json!({}), json!({"rules": deny}), "$[0].rules"),
    ] {
        let faults = import(&group(&properties, &fields), false).unwrap_err();
        assert!(faults.iter().any(|fault| fault.path == path), "{path}: {faults:?}");
    }
    let plain = json!({"tags": {"name": "x"}, "dependsOn": ["x"], "location": "x", "rules": [], "more": "x"});
    assert!(import(&group(&json!({}), &plain), false).is_ok());
    let twice = collection(
        with(filter("Allow"), &json!({"ruleConditions": deny})),
        &application(&json!({"targetFqdns": ["a.com"]})),
    );
    let faults = import(&twice, false).unwrap_err();
    assert!(
        faults[0]
            .found
            .contains("`ruleConditions` of its collection is not read"),
        "{faults:?}"
    );
}

#[test]
fn a_collection_of_the_old_schema_with_one_condition_and_a_list_is_not_known() {
    let condition = |name: &str| {
        json!({"ruleConditionType": "ApplicationRuleCondition", "name": "r", "sourceAddresses": ["*"],
            "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": [name]})
    };
    let group = |list: &Value| {
        json!({"type": "Microsoft.Network/firewallPolicies/ruleGroups", "name": "p/g", "properties": {"priority": 200,
            "rules": [{"ruleType": "FirewallPolicyFilterRule", "name": "c", "priority": 200, "action": {"type": "Deny"},
                "ruleCondition": condition("a.com"), "ruleConditions": list}]}})
    };
    assert!(import(&group(&json!([])), false).is_ok());
    let faults = import(&group(&json!([condition("evil.com")])), false).unwrap_err();
    assert!(
        faults[0].found.contains("`ruleCondition` and `ruleConditions`"),
        "{faults:?}"
    );
}

#[test]
fn what_windows_powershell_prints_once_more_as_text_is_passed_over() {
    let texts =
        json!({"protocolsText": "[\r\n  \"TCP\"\r\n]", "SourceAddressesText": "[]", "DestinationPortsText": "[443]"});
    let deny = with(
        filter("Deny"),
        &json!({"RulesText": "[\r\n  {}\r\n]", "ActionText": "{}"}),
    );
    let rule = network(&texts);
    let imported = import(&collection(deny.clone(), &rule), false).unwrap();
    assert_eq!(outcome(&imported, "g/c/r"), (Outcome::Carried, String::new()));
    let classic = with(
        deny.clone(),
        &json!({"name": "c", "priority": 200, "rules": [with(
        application(&json!({"targetFqdns": ["a.com"]})), &json!({"TargetFqdnsText": "[]"}))]}),
    );
    let classic =
        json!({"Name": "fw", "Type": "Microsoft.Network/azureFirewalls", "ApplicationRuleCollections": [classic]});
    let imported = import(&classic, false).unwrap();
    assert_eq!(outcome(&imported, "default/c/r"), (Outcome::Carried, String::new()));
    // Of no field that is known, or no text.
    for fields in [json!({"otherText": "[]"}), json!({"protocolsText": ["TCP"]})] {
        assert!(
            import(&collection(deny.clone(), &network(&fields)), false).is_err(),
            "{fields}"
        );
    }
    let list = with(deny, &json!({"RulesText": [{}]}));
    assert!(import(&collection(list, &rule), false).is_err());
}

#[test]
fn a_slip_of_the_pen_in_the_type_of_what_denies_stops_the_import() {
    let group = collection(filter("Deny"), &application(&json!({"targetFqdns": ["evil.com"]})));
    for kind in [
        "Microsoft.Network/firewallPolicy/ruleCollectionGroups",
        "Microsoft.Network/firewalPolicies/ruleCollectionGroups",
        "Microsoft.Network/firewallPolicies/ruleCollectionGroup",
        "Microsoft.Network/azureFirewall",
    ] {
        let slip = with(group.clone(), &json!({"type": kind}));
        let template = json!({"contentVersion": "1", "resources": [policy(&json!({})), slip]});
        assert!(import(&template, false).is_err(), "{kind}");
    }
}

/// Whether Azure works out such a list is not documented; what it would deny must not be missing without a word.
#[test]
fn resources_that_an_expression_stands_for_stop_the_import() {
    let deny = collection(filter("Deny"), &application(&json!({"targetFqdns": ["evil.com"]})));
    let template = |resource: Value| {
        let variables = json!({"r": [deny.clone()]});
        json!({"contentVersion": "1", "variables": variables, "resources": [policy(&json!({})), resource]})
    };
    let deployment = |resources: Value, scope: &str| {
        let nested = json!({"contentVersion": "1", "variables": {"r": [deny.clone()]}, "resources": resources});
        json!({"type": "Microsoft.Resources/deployments", "name": "n", "properties": {
            "expressionEvaluationOptions": {"scope": scope}, "template": nested}})
    };
    let mut parent = policy(&json!({}));
    parent["resources"] = json!("[variables('r')]");
    for resource in [
        deployment(json!("[variables('r')]"), "inner"),
        deployment(json!("[variables('r')]"), "outer"),
        parent,
    ] {
        assert!(import(&template(resource.clone()), false).is_err(), "{resource}");
    }
    for nothing in [json!([]), json!(null)] {
        let imported = import(&template(deployment(nothing.clone(), "inner")), false);
        assert!(imported.is_ok(), "{nothing}");
    }
}

#[test]
fn a_slip_of_the_pen_in_the_type_of_a_deployment_stops_the_import() {
    for kind in [
        "Microsoft.Resources/deployments/",
        "Microsoft.Resources/deployments@2022-09-01",
        "Microsoft.Resources/deploymentStacks@2024-03-01",
    ] {
        let slip = json!({"type": kind, "name": "n", "properties": {"template": {"resources": []}}});
        let template = json!({"contentVersion": "1", "resources": [policy(&json!({})), slip]});
        assert!(import(&template, false).is_err(), "{kind}");
    }
    let script = json!({"type": "Microsoft.Resources/deploymentScripts", "name": "n", "properties": {}});
    let template = json!({"contentVersion": "1", "resources": [policy(&json!({})), script]});
    assert!(import(&template, false).is_ok());
}
