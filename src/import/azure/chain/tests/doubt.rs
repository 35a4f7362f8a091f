//! Names, places and ids of which a part is known to Azure alone are never taken for what they read like.

use super::*;

fn of_names(resources: Value) -> Value {
    let text = json!({"type": "string"});
    let parameters = ["rg", "sub", "rgId", "x", "p", "q", "base", "spokes"].map(|name| (name.to_owned(), text.clone()));
    let parameters: serde_json::Map<String, Value> = parameters.into_iter().collect();
    json!({"contentVersion": "1", "parameters": parameters, "resources": resources})
}

/// The group, with these IP groups as the sources of its rule.
fn from(mut group: Value, ip_groups: Value) -> Value {
    let rule = &mut group["properties"]["ruleCollections"][0]["rules"][0];
    rule["sourceIpGroups"] = ip_groups;
    rule.as_object_mut().unwrap().remove("sourceAddresses");
    group
}

/// A GUID that is made anew is never the same again, whatever is made of it; a parameter that has it is the same as itself.
#[test]
fn two_new_guids_are_two_names() {
    for made in [
        "[newGuid()]",
        "[toLower(newGuid())]",
        "[guid(newGuid())]",
        "[concat(newGuid())]",
    ] {
        let given = json!({"type": "string", "defaultValue": made});
        let named = |name: &str| {
            let group_name = format!("[concat(parameters('{name}'), '/g')]");
            [
                policy(&format!("[parameters('{name}')]"), json!({})),
                group(&group_name, "Allow"),
            ]
        };
        let resources = [named("a"), named("b")].concat();
        let template = json!({"contentVersion": "1", "parameters": {"a": given, "b": given}, "resources": resources});
        let rules = rules(&[template]);
        let carried = rules.iter().filter(|rule| rule.ends_with(" carried"));
        assert_eq!((rules.len(), carried.count()), (2, 1), "{made}: {rules:?}");
    }
}

fn printed(kind: &str, name: &str, properties: Value) -> Value {
    with(
        resource(kind, name, properties),
        "id",
        json!(id("rg-b", &format!("{kind}/{name}"))),
    )
}

#[test]
fn a_reference_of_which_the_place_is_not_known_means_nothing_that_is_known() {
    let ip_group = printed("ipGroups", "spokes", json!({"ipAddresses": ["10.1.0.0/16"]}));
    let parent = printed("firewallPolicies", "base", json!({}));
    let places = |kind: &str, name: &str| {
        [
            format!("[resourceId(parameters('rg'), 'Microsoft.Network/{kind}', '{name}')]"),
            format!("[resourceId(parameters('sub'), parameters('rg'), 'Microsoft.Network/{kind}', '{name}')]"),
            format!("[concat(parameters('rgId'), '{NETWORK}/{kind}/{name}')]"),
            format!("[extensionResourceId(parameters('rgId'), 'Microsoft.Network/{kind}', '{name}')]"),
            format!("[concat(parameters('x'), '/{name}')]"),
            format!("[parameters('{name}')]"),
            format!("[resourceId('Microsoft.Network/{kind}', parameters('{name}'))]"),
        ]
    };
    for id in places("ipGroups", "spokes") {
        let deny = of_names(json!([policy("p", json!({})), from(group("p/g", "Deny"), json!([id]))]));
        stops(&[deny, ip_group.clone()], "which IP group is meant is not known");
    }
    for id in places("firewallPolicies", "base") {
        let child = |beside: Value| of_names(json!([policy("p", base(&id)), group("p/g", "Allow"), beside]));
        stops(&[child(json!({})), parent.clone()], "its parent policy");
        stops(&[child(policy("base", json!({})))], "its parent policy");
    }
    // Where the template is deployed is where the files say.
    let here = "[resourceId('Microsoft.Network/ipGroups', 'spokes')]";
    let deny = of_names(json!([
        policy("p", json!({})),
        from(group("p/g", "Deny"), json!([here]))
    ]));
    assert_eq!(rules(&[deny, ip_group]), ["g/c/r carried"]);
}

#[test]
fn inside_a_nested_deployment_here_is_where_that_is_deployed() {
    let ip_group = |address: &str| resource("ipGroups", "s", json!({"ipAddresses": [address]}));
    let here = "[resourceId('Microsoft.Network/ipGroups', 's')]";
    let nested = |place: &str, scope: &str, resources: Value| {
        json!({"type": "Microsoft.Resources/deployments", "name": "d", "resourceGroup": place, "properties":
            {"template": {"resources": resources}, "expressionEvaluationOptions": {"scope": scope}}})
    };
    let files = |place: &str, scope: &str| {
        let refers = from(group("p/g", "Deny"), json!([here]));
        of_names(json!([
            nested(
                place,
                scope,
                json!([policy("p", json!({})), ip_group("10.2.0.0/16"), refers])
            ),
            nested("spoke", scope, json!([ip_group("10.1.0.0/16")]))
        ]))
    };
    assert_eq!(rules(&[files("hub", "inner")]), ["g/c/r carried"]);
    stops(&[files("hub", "outer")], "it may be each of several");
    // An inner template does not see the parameter: its place is given from outside all the same. It may be the other one's.
    let unknown = || files("[parameters('rg')]", "inner");
    stops(
        &[unknown()],
        "which name or resource group one of them has is not known",
    );
    let mut only = unknown();
    only["resources"].as_array_mut().unwrap().pop();
    assert_eq!(rules(&[only]), ["g/c/r carried"]);
}

#[test]
fn a_stand_in_is_not_the_policy_that_it_reads_like() {
    let two = |beside: Value| {
        of_names(json!([
            policy("p", json!({})),
            group("p/g", "Allow"),
            policy("q", json!({})),
            beside
        ]))
    };
    let firewall = resource(
        "azureFirewalls",
        "fw",
        json!({"firewallPolicy": {"id": "[parameters('p')]"}}),
    );
    stops(&[two(firewall)], "which of the policies it uses is not known");
    for name in [
        "[concat(parameters('q'), '/deny')]",
        "[concat(parameters('x'), '/deny')]",
    ] {
        stops(&[two(group(name, "Deny"))], "which policy it is of is not known");
    }
    // What is made of the same is the same, in one file alone.
    let own = |action: &str| {
        of_names(json!([
            policy("[toLower(concat('fw-', parameters('x')))]", json!({})),
            group("[format('{0}/g', toLower(concat('fw-', parameters('x'))))]", action)
        ]))
    };
    assert_eq!(rules(&[own("Allow")]), ["g/c/r carried"]);
    stops(
        &[own("Allow"), own("Deny")],
        "whether this is the same one is not known",
    );
}

#[test]
fn a_group_of_another_policy_than_those_of_the_files_is_not_given_to_one_by_its_parameter() {
    let files = of_names(json!([
        policy("[parameters('x')]", json!({})),
        policy("q", json!({})),
        group("lab/g", "Allow")
    ]));
    assert_eq!(rules(&[files]), ["g/c/r absent"]);
    let only = of_names(json!([policy("[parameters('x')]", json!({})), group("lab/g", "Allow")]));
    assert_eq!(rules(&[only]), ["g/c/r absent"]);
    let two = of_names(json!([
        group("[concat(parameters('p'), '/g')]", "Deny"),
        group("[concat(parameters('q'), '/h')]", "Allow")
    ]));
    assert_eq!(rules(&[two]), ["g/c/r carried", "h/c/r absent"]);
}

#[test]
fn a_policy_that_a_firewall_uses_is_missed_by_its_name_however_its_place_is_written() {
    let used = |id: &str| {
        let firewall = resource("azureFirewalls", "fw", json!({"firewallPolicy": {"id": id}}));
        of_names(json!([policy("lab", json!({})), group("lab/g", "Allow"), firewall]))
    };
    for id in [
        "[resourceId('hub', 'Microsoft.Network/firewallPolicies', 'other')]",
        "[concat(resourceGroup().id, '/providers/Microsoft.Network/firewallPolicies/other')]",
    ] {
        stops(&[used(id)], "it uses the policy `other`, which is in none of the files");
    }
    let lab = "[resourceId('Microsoft.Network/firewallPolicies', 'lab')]";
    assert_eq!(rules(&[used(lab)]), ["g/c/r carried"]);
    // The firewall may use the parent itself.
    let parent = of_names(json!([
        policy("base", json!({})),
        policy("p", base("base")),
        group("p/g", "Allow"),
        resource(
            "azureFirewalls",
            "fw",
            json!({"firewallPolicy": {"id": "[parameters('x')]"}})
        )
    ]));
    stops(&[parent], "which of the policies it uses is not known");
}

#[test]
fn the_id_of_something_else_or_of_several_is_no_reference() {
    let ip_group = |name: &str| resource("ipGroups", name, json!({"ipAddresses": ["10.1.0.0/16"]}));
    let denies = |source: Value| {
        json!([
            policy("p", json!({})),
            ip_group("a"),
            ip_group("b"),
            from(group("p/g", "Deny"), source)
        ])
    };
    let (a, b) = (id("g", "ipGroups/a"), id("g", "ipGroups/b"));
    for text in [
        format!("{a} {b}"),
        format!("{a},{b}"),
        "a b".into(),
        "x/y/ipGroups/b".into(),
    ] {
        stops(&[denies(json!(text))], "IP group");
        stops(&[denies(json!([text]))], "IP group");
    }
    stops(
        &[denies(json!([id("g", "applicationSecurityGroups/a")]))],
        "something else than an IP group",
    );
    let child = policy("p", base(&id("g", "azureFirewalls/base")));
    stops(
        &[json!([child, policy("base", json!({})), group("p/g", "Allow")])],
        "is no policy",
    );
}

#[test]
fn equal_priorities_keep_the_order_of_the_file_however_a_group_comes_to_its_policy() {
    let files = of_names(json!([
        policy("p", json!({})),
        group("[concat(parameters('x'), '/first')]", "Deny"),
        group("p/second", "Allow")
    ]));
    assert_eq!(rules(&[files]), ["first/c/r approximated", "second/c/r carried"]);
}

#[test]
fn a_loose_collection_that_may_not_be_deployed_allows_nothing() {
    let loose = |action: &str| {
        let content = json!({"priority": 100, "action": {"type": action}, "rules": [rule()]});
        with(
            resource("azureFirewalls/applicationRuleCollections", "fw/c", content),
            "condition",
            json!("[parameters('deploy')]"),
        )
    };
    assert_eq!(
        rules(&[template(json!([loose("Allow")]))])[0].rsplit(' ').next(),
        Some("absent")
    );
    assert_eq!(
        rules(&[template(json!([loose("Deny")]))])[0].rsplit(' ').next(),
        Some("approximated")
    );
}

#[test]
fn a_group_of_a_policy_by_another_name_may_not_be_of_the_only_one() {
    let firewall = resource(
        "azureFirewalls",
        "f",
        json!({"firewallPolicy": {"id": id("rg", "firewallPolicies/p")}}),
    );
    let named = |own: &str, name: &str, action: &str| {
        let group = group(name, action);
        [
            of_names(json!([policy(own, json!({})), group])),
            of_names(json!([policy(own, json!({})), group, firewall])),
        ]
    };
    for name in [
        "[concat(last(split(parameters('x'), '/')), '/g')]",
        "[format('{0}/g', parameters('q'))]",
        "[parameters('q')]",
    ] {
        for file in named("p", name, "Allow") {
            let told = rules(std::slice::from_ref(&file));
            assert!(told[0].ends_with(" absent"), "{name}: {told:?}");
            let imported = imported(&[file]).unwrap();
            let notes = imported.report.items.iter().flat_map(|item| &item.notes);
            let said = notes
                .filter(|note| note.contains("it may be of another policy than this"))
                .count();
            assert!(said > 0, "{name}: {:?}", imported.report);
        }
        for file in named("p", name, "Deny") {
            let told = rules(&[file]);
            assert!(told[0].ends_with(" approximated"), "{name}: {told:?}");
        }
    }
    let [of_two, _] = named("[parameters('p')]", "[format('{0}/g', parameters('q'))]", "Allow");
    assert_eq!(rules(&[of_two]), ["g/c/r absent"]);
    let [of_one, _] = named("[parameters('p')]", "[format('{0}/g', parameters('p'))]", "Allow");
    assert_eq!(rules(&[of_one]), ["g/c/r carried"]);
    // `az` prints a group without its policy where a query leaves the id out.
    assert_eq!(
        rules(&[json!([policy("p", json!({})), group("g", "Allow")])]),
        ["g/c/r carried"]
    );
}

#[test]
fn a_reference_to_an_ip_group_of_which_the_name_is_not_known_is_told_as_that() {
    let deny = || from(group("p/g", "Deny"), json!(["[parameters('x')]"]));
    let referred = with(resource("ipGroups", "i", json!({})), "existing", json!(true));
    let two = ["i", "j"].map(|name| resource("ipGroups", name, json!({"ipAddresses": ["10.0.0.1"]})));
    for beside in [vec![], vec![referred], two.to_vec()] {
        let resources = [&[policy("p", json!({})), deny()], &beside[..]].concat();
        stops(
            &[of_names(json!(resources))],
            "which IP group is meant is not known: parameter `x` has no value",
        );
    }
}
