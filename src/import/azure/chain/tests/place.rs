//! What tells resources of one name apart: the place, as far as it is known.

use super::*;

#[test]
fn policies_of_one_name_in_two_resource_groups_stay_two() {
    let printed = |group: &str, base: Value| {
        json!({"id": id(group, "firewallPolicies/fwpol"), "name": "fwpol", "basePolicy": base,
            "type": "Microsoft.Network/firewallPolicies", "ruleCollectionGroups": []})
    };
    let parent = printed("hub", json!(null));
    let child = printed("spoke", json!({"id": id("HUB", "firewallPolicies/fwpol")}));
    let of = |place: &str, action: &str| {
        let id = id(place, "firewallPolicies/fwpol/ruleCollectionGroups/g");
        with(group("fwpol/g", action), "id", json!(id))
    };
    let groups = json!([of("hub", "Deny"), of("spoke", "Allow")]);
    for files in [[parent.clone(), child.clone(), groups.clone()], [groups, child, parent]] {
        let imported = imported(&files).unwrap();
        assert_eq!(imported.report.policies, ["fwpol-2", "fwpol"]);
        let (before, after) = imported.toml.split_once("action = \"Deny\"").unwrap();
        assert!(
            before.contains("parent_policy") && after.contains("action = \"Allow\""),
            "{}",
            imported.toml
        );
    }
}

#[test]
fn two_stand_ins_may_be_one_name() {
    let policy = named(
        "name",
        json!([
            policy("[parameters('name')]", json!({})),
            group("[concat(parameters('name'), '/all')]", "Allow")
        ]),
    );
    let rules_of = named("policy", json!([group("[concat(parameters('policy'), '/g')]", "Deny")]));
    assert_eq!(rules(&[policy, rules_of]), ["all/c/r carried", "g/c/r approximated"]);
}

#[test]
fn a_stand_in_of_one_file_is_not_what_reads_like_it_in_another() {
    let ip_group = resource("ipGroups", "[parameters('x')]", json!({"ipAddresses": ["10.0.0.0/8"]}));
    let mut refers = group("p/g", "Deny");
    let rule = &mut refers["properties"]["ruleCollections"][0]["rules"][0];
    rule["sourceIpGroups"] = json!(["[resourceId('Microsoft.Network/ipGroups', parameters('x'))]"]);
    rule.as_object_mut().unwrap().remove("sourceAddresses");
    assert_eq!(rules(&[named("x", json!([ip_group, refers]))]), ["g/c/r carried"]);
    stops(
        &[named("x", json!([ip_group])), named("x", json!([refers]))],
        "which IP group is meant",
    );
}

#[test]
fn a_resource_group_that_azure_alone_knows_may_be_any_other() {
    let (one, other) = ("[parameters('one')]", "[concat(parameters('other'), '-rg')]");
    let split = |place: &str, action: &str| {
        in_groups(json!([
            deployed_to(place, json!([policy("p", json!({})), group("p/all", "Allow")])),
            deployed_to(one, json!([group("p/g", action)]))
        ]))
    };
    for (place, allowed) in [(one, "carried"), (other, "absent"), ("hub", "absent")] {
        assert_eq!(
            rules(&[split(place, "Deny")]),
            [
                "all/c/r carried",
                if place == one {
                    "g/c/r carried"
                } else {
                    "g/c/r approximated"
                }
            ]
        );
        assert_eq!(
            rules(&[split(place, "Allow")]),
            ["all/c/r carried".to_owned(), format!("g/c/r {allowed}")]
        );
    }
    // As Bicep writes a resource of another group.
    let scope = "format('/subscriptions/{0}/resourceGroups/{1}', subscription().subscriptionId, parameters('one'))";
    let reference = format!("[extensionResourceId({scope}, 'Microsoft.Network/ipGroups', 's')]");
    let refers = |place: &str| {
        let mut refers = group("p/g", "Allow");
        let rule = &mut refers["properties"]["ruleCollections"][0]["rules"][0];
        rule["sourceIpGroups"] = json!([reference]);
        rule.as_object_mut().unwrap().remove("sourceAddresses");
        let ip_group = resource("ipGroups", "s", json!({"ipAddresses": ["10.0.0.0/8"]}));
        [in_groups(json!([deployed_to(place, json!([ip_group])), refers]))]
    };
    assert_eq!(rules(&refers(one)), ["g/c/r carried"]);
    assert_eq!(rules(&refers(other)), ["g/c/r absent"]);
    // Two policies that may be one: what the other denies is not passed over.
    let both = in_groups(json!([
        deployed_to(one, json!([policy("p", json!({})), group("p/all", "Allow")])),
        deployed_to(other, json!([policy("p", json!({})), group("p/g", "Deny")]))
    ]));
    stops(&[both], "whether this is the same one is not known");
    // A parent of which a group is written elsewhere stays one policy, and the parent of its child.
    let family = in_groups(json!([
        deployed_to(one, json!([policy("base", json!({}))])),
        deployed_to(other, json!([group("base/g", "Deny")])),
        policy(
            "p",
            base("[resourceId(parameters('one'), 'Microsoft.Network/firewallPolicies', 'base')]")
        ),
        group("p/all", "Allow")
    ]));
    assert_eq!(rules(&[family]), ["g/c/r approximated", "all/c/r carried"]);
}

#[test]
fn an_ip_group_has_one_list_of_addresses_whether_it_is_certain_or_not() {
    let in_force = |addresses: Value| {
        let ip_group = |addresses: Value| resource("ipGroups", "s", json!({"ipAddresses": addresses}));
        let mut deny = group("p/g", "Deny");
        let rule = &mut deny["properties"]["ruleCollections"][0]["rules"][0];
        rule["sourceIpGroups"] = json!(["s"]);
        rule.as_object_mut().unwrap().remove("sourceAddresses");
        let perhaps = with(ip_group(addresses), "condition", json!("[parameters('deploy')]"));
        [template(json!([ip_group(json!(["10.1.0.0/16"])), perhaps, deny]))]
    };
    assert_eq!(rules(&in_force(json!(["10.1.0.0/16"]))), ["g/c/r carried"]);
    assert_eq!(rules(&in_force(json!("[parameters('list')]"))), ["g/c/r carried"]);
    stops(&in_force(json!(["10.0.0.0/8"])), "other addresses");
    stops(
        &in_force(json!(["10.0.0.0/8", "[reference('x').y]"])),
        "other addresses",
    );
}

#[test]
fn an_ip_group_is_told_by_its_resource_group_too() {
    let inside = |place: &str, addresses: Value| {
        json!({"type": "Microsoft.Resources/deployments", "name": place, "resourceGroup": place, "properties": {"template":
            {"resources": [resource("ipGroups", "spokes", json!({"ipAddresses": addresses}))]}}})
    };
    let refers = |id: String| {
        let mut group = group("p/g", "Allow");
        let rule = &mut group["properties"]["ruleCollections"][0]["rules"][0];
        rule["sourceIpGroups"] = json!([id]);
        rule.as_object_mut().unwrap().remove("sourceAddresses");
        group
    };
    let both = |id: String| {
        let unknown = json!("[parameters('list')]");
        [template(json!([
            inside("a", unknown),
            inside("b", json!(["10.0.0.0/8"])),
            refers(id)
        ]))]
    };
    assert_eq!(rules(&both(id("a", "ipGroups/spokes"))), ["g/c/r absent"]);
    assert_eq!(rules(&both(id("b", "ipGroups/spokes"))), ["g/c/r carried"]);
    assert_eq!(
        rules(&both("spokes".into())),
        ["g/c/r absent"],
        "it may be each of them"
    );
    let computed = |arguments: &str| format!("[resourceId({arguments}'Microsoft.Network/ipGroups', 'spokes')]");
    for (arguments, outcome) in [
        ("'a', ", "absent"),
        ("'B', ", "carried"),
        ("subscription().subscriptionId, 'b', ", "carried"),
        ("", "absent"),
    ] {
        assert_eq!(
            rules(&both(computed(arguments))),
            [format!("g/c/r {outcome}")],
            "{arguments}"
        );
    }
    let one = [template(json!([
        inside("b", json!(["10.0.0.0/8"])),
        refers(id("c", "ipGroups/spokes"))
    ]))];
    assert_eq!(rules(&one), ["g/c/r absent"]);
    let one = |arguments: &str| {
        [template(json!([
            inside("b", json!(["10.0.0.0/8"])),
            refers(computed(arguments))
        ]))]
    };
    assert_eq!(rules(&one("'c', ")), ["g/c/r absent"]);
    assert_eq!(rules(&one("'b', ")), ["g/c/r carried"]);
    assert_eq!(
        rules(&one("")),
        ["g/c/r absent"],
        "the template refers to one where it is deployed"
    );
    let perhaps = resource("ipGroups", "spokes", json!({"ipAddresses": ["10.0.0.0/8"]}));
    let perhaps = with(perhaps, "condition", json!("[parameters('deploy')]"));
    assert_eq!(
        rules(&[template(json!([perhaps, refers("spokes".into())]))]),
        ["g/c/r absent"]
    );
}

#[test]
fn the_addresses_of_an_ip_group_have_no_order() {
    let from = |addresses: Value| {
        let mut group = group("p/g", "Deny");
        let rule = &mut group["properties"]["ruleCollections"][0]["rules"][0];
        rule["sourceIpGroups"] = json!(["s"]);
        rule.as_object_mut().unwrap().remove("sourceAddresses");
        let ip_group = |addresses: Value| resource("ipGroups", "s", json!({"ipAddresses": addresses}));
        let own = ip_group(json!(["10.0.0.0/16", "10.1.0.0/16"]));
        [
            template(json!([policy("p", json!({})), own, group])),
            template(json!([ip_group(addresses)])),
        ]
    };
    let turned = from(json!(["10.1.0.0/16", "10.0.0.0/16", "10.1.0.0/16"]));
    assert_eq!(rules(&turned), ["g/c/r carried"]);
    let other = from(json!(["10.1.0.0/16", "10.2.0.0/16"]));
    stops(&other, "there are two of this name with other addresses");
}
