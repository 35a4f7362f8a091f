//! Where a template is deployed is none of the places that its own deployments name, as far as anybody can tell.

use super::*;

/// A deployment into another resource group, of its own scope.
fn into(resources: Value) -> Value {
    json!({"type": "Microsoft.Resources/deployments", "name": "there", "resourceGroup": "rg-b",
        "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "template": template(resources)}})
}

fn existing(resource: Value) -> Value {
    with(resource, "existing", json!(true))
}

fn ip_group(address: &str) -> Value {
    resource("ipGroups", "i", json!({"ipAddresses": [address]}))
}

/// The group, with this IP group as the source of its rule.
fn from(name: &str, action: &str, ip_group: &str) -> Value {
    let mut group = group(name, action);
    let rule = &mut group["properties"]["ruleCollections"][0]["rules"][0];
    rule["sourceIpGroups"] = json!([ip_group]);
    rule.as_object_mut().unwrap().remove("sourceAddresses");
    group
}

fn firewall(policy: &str) -> Value {
    resource("azureFirewalls", "f", json!({"firewallPolicy": {"id": policy}}))
}

const WHY: &str =
    "one is where the template is deployed, the other in a resource group or subscription that a deployment";

fn own(kind: &str, name: &str) -> String {
    format!("[resourceId('Microsoft.Network/{kind}', '{name}')]")
}

fn there(kind: &str, name: &str) -> String {
    format!("[resourceId('rg-b', 'Microsoft.Network/{kind}', '{name}')]")
}

#[test]
fn a_group_of_a_policy_that_the_template_has_not_is_not_of_one_that_it_deploys_elsewhere() {
    let made = |deployment: Value, action: &str| {
        let all = json!([deployment, group("p/g", action)]);
        let rules = rules(&[template(all)]);
        rules.last().cloned()
    };
    let deployed = || into(json!([policy("p", json!({}))]));
    let mut subscription = with(deployed(), "subscriptionId", json!("other"));
    subscription.as_object_mut().unwrap().remove("resourceGroup");
    let outer = with(
        deployed(),
        "properties",
        json!({"template": {"resources": [policy("p", json!({}))]}}),
    );
    for deployment in [deployed(), subscription, outer] {
        assert_eq!(made(deployment.clone(), "Allow"), Some("g/c/r absent".into()));
        assert_eq!(made(deployment, "Deny"), Some("g/c/r approximated".into()));
    }
    let both = json!([existing(policy("p", json!({}))), deployed(), group("p/g", "Allow")]);
    assert_eq!(rules(&[template(both)]), ["g/c/r absent"]);
    // The other way round: the group is of a policy of the other resource group.
    let group_there = |action: &str| template(json!([policy("p", json!({})), into(json!([group("p/g", action)]))]));
    assert_eq!(rules(&[group_there("Allow")]), ["g/c/r absent"]);
    assert_eq!(rules(&[group_there("Deny")]), ["g/c/r approximated"]);
    // Where it is deployed is said by nobody: it is the same.
    let here = with(deployed(), "resourceGroup", json!("[resourceGroup().name]"));
    assert_eq!(made(here, "Allow"), Some("g/c/r carried".into()));
}

#[test]
fn an_ip_group_of_another_resource_group_fills_no_rule() {
    let here =
        |action: &str, id: &str| template(json!([into(json!([ip_group("10.0.0.0/8")])), from("p/g", action, id)]));
    assert_eq!(rules(&[here("Allow", &own("ipGroups", "i"))]), ["g/c/r absent"]);
    stops(
        &[here("Deny", &own("ipGroups", "i"))],
        "which IP group is meant is not known",
    );
    assert_eq!(rules(&[here("Deny", &there("ipGroups", "i"))]), ["g/c/r carried"]);
    let other = |action: &str| {
        let group = from("p/g", action, &own("ipGroups", "i"));
        template(json!([ip_group("10.0.0.0/8"), into(json!([group]))]))
    };
    assert_eq!(rules(&[other("Allow")]), ["g/c/r absent"]);
    stops(&[other("Deny")], WHY);
}

#[test]
fn a_firewall_and_a_child_mean_a_policy_of_their_own_resource_group() {
    let base_of = |id: String| policy("child", base(&id));
    for user in [firewall, |id: &str| policy("child", base(id))] {
        let files = |id: String| {
            template(json!([
                into(json!([policy("p", json!({})), group("p/g", "Allow")])),
                user(&id)
            ]))
        };
        stops(&[files(own("firewallPolicies", "p"))], WHY);
        assert_eq!(rules(&[files(there("firewallPolicies", "p"))]), ["g/c/r carried"]);
        let from_there = |id: String| {
            let all = json!([policy("p", json!({})), group("p/g", "Allow"), into(json!([user(&id)]))]);
            template(all)
        };
        stops(&[from_there(own("firewallPolicies", "p"))], WHY);
    }
    // What a deployment gives out is where it was made.
    let mut deployment = into(json!([policy("p", json!({})), group("p/g", "Deny")]));
    deployment["properties"]["template"]["outputs"] =
        json!({"id": {"type": "string", "value": own("firewallPolicies", "p")}});
    let child = base_of("[reference('there').outputs.id.value]".into());
    assert_eq!(rules(&[template(json!([deployment, child]))]), ["g/c/r carried"]);
}

#[test]
fn what_other_files_say_is_where_the_template_is_deployed() {
    let printed = |rest: &str, resource: Value| with(resource, "id", id("rg-b", rest).into());
    let own_group = || template(json!([from("p/g", "Allow", &own("ipGroups", "i"))]));
    let ip_group = ip_group("10.0.0.0/8");
    assert_eq!(
        rules(&[own_group(), printed("ipGroups/i", ip_group.clone())]),
        ["g/c/r carried"]
    );
    // Another template's deployment says it as well.
    let main = template(json!([into(json!([policy("p", json!({})), ip_group.clone()]))]));
    assert_eq!(rules(&[own_group(), main.clone()]), ["g/c/r carried"]);
    // Two of one file are two templates.
    assert_eq!(rules(&[json!([own_group(), main])]), ["g/c/r carried"]);
    // What was cut out of one and put into a list is one.
    assert_eq!(
        rules(&[json!([own_group()["resources"][0], into(json!([ip_group]))])]),
        ["g/c/r absent"]
    );
}

#[test]
fn what_is_there_and_not_meant_is_told_as_that() {
    let of = |beside: Value, id: &str| template(json!([beside, from("p/g", "Deny", id)]));
    let own = own("ipGroups", "i");
    stops(
        &[of(existing(ip_group("10.0.0.0/8")), &own)],
        "IP group `i` is not deployed by the files",
    );
    let elsewhere = "have one of this name in another resource group or subscription";
    let deployment = || into(json!([ip_group("10.0.0.0/8"), policy("p", json!({}))]));
    stops(&[of(deployment(), &id("rg-c", "ipGroups/i"))], elsewhere);
    let user = firewall(&id("rg-c", "firewallPolicies/p"));
    stops(&[template(json!([deployment(), user]))], elsewhere);
    let faults = told(&[template(json!([
        group("p/g", "Allow"),
        existing(policy("p", json!({})))
    ]))]);
    assert!(faults.is_ok(), "{faults:?}");
}

#[test]
fn the_place_of_a_printed_ip_group_is_one_that_the_files_say() {
    let printed = with(ip_group("10.7.0.0/16"), "id", id("rg", "ipGroups/i").into());
    let file = |action: &str, reference: &str| {
        let own = json!([
            ip_group("10.1.0.0/16"),
            policy("q", json!({})),
            from("q/g", action, reference)
        ]);
        [template(own), printed.clone()]
    };
    for reference in [
        there("ipGroups", "i"),
        "/subscriptions/s/resourceGroups/rg-b/providers/Microsoft.Network/ipGroups/i".into(),
    ] {
        stops(&file("Deny", &reference), "IP group");
        assert_eq!(rules(&file("Allow", &reference)), ["g/c/r absent"], "{reference}");
    }
}

const TWO: &str = "with a resource group or subscription and of one without";

#[test]
fn a_template_that_refers_to_a_name_with_and_without_a_resource_group_means_two() {
    let [here, there_too] = [own("ipGroups", "i"), there("ipGroups", "i")];
    let file = |action: &str| {
        let groups = [from("p/g", "Deny", &here), from("p/h", action, &there_too)];
        template(json!([
            ip_group("10.1.0.0/16"),
            policy("p", json!({})),
            groups[0],
            groups[1]
        ]))
    };
    stops(&[file("Deny")], TWO);
    assert_eq!(rules(&[file("Allow")]), ["g/c/r carried", "h/c/r absent"]);
    // Two templates may say it each in its own way, and so may one all through.
    let one = template(json!([
        ip_group("10.1.0.0/16"),
        policy("p", json!({})),
        from("p/g", "Deny", &here)
    ]));
    let other = template(json!([from("p/h", "Deny", &there_too)]));
    assert_eq!(rules(&[one, other]), ["g/c/r carried", "h/c/r carried"]);
    let all = json!([
        ip_group("10.1.0.0/16"),
        policy("p", json!({})),
        from("p/g", "Deny", &there_too)
    ]);
    assert_eq!(rules(&[template(all)]), ["g/c/r carried"]);
    let second = with(firewall(&there("firewallPolicies", "p")), "name", json!("f2"));
    let firewalls = json!([
        policy("p", json!({})),
        group("p/g", "Deny"),
        firewall(&own("firewallPolicies", "p")),
        second
    ]);
    stops(&[template(firewalls)], TWO);
}

#[test]
fn what_exists_in_another_resource_group_is_not_what_the_template_deploys() {
    let bare = |kind: &str, name: &str| {
        let mut one = existing(resource(kind, name, json!(null)));
        one.as_object_mut().unwrap().remove("properties");
        one
    };
    let in_place = |kind: &str, name: &str| with(bare(kind, name), "resourceGroup", json!("rg-b"));
    let in_module = |kind: &str, name: &str| into(json!([bare(kind, name)]));
    for exists in [&in_place, &in_module] as [&dyn Fn(&str, &str) -> Value; 2] {
        let file = |action: &str, ip_groups: &str| {
            let own = ip_group("10.1.0.0/16");
            let group = from("p/g", action, ip_groups);
            template(json!([exists("ipGroups", "i"), own, policy("p", json!({})), group]))
        };
        let in_third = "[resourceId('rg-c', 'Microsoft.Network/ipGroups', 'i')]";
        for other in [&there("ipGroups", "i"), in_third] {
            stops(&[file("Deny", other)], TWO);
            assert_eq!(rules(&[file("Allow", other)]), ["g/c/r absent"]);
        }
        assert_eq!(rules(&[file("Deny", &own("ipGroups", "i"))]), ["g/c/r carried"]);
        // It is told of, since it is not what the files deploy.
        let all = told(&[file("Deny", &own("ipGroups", "i"))]).unwrap();
        assert!(all.contains(&"i absent".to_owned()), "{all:?}");
        let policies = |user: Value| {
            let all = json!([
                exists("firewallPolicies", "p"),
                policy("p", json!({})),
                group("p/g", "Allow"),
                user
            ]);
            template(all)
        };
        for user in [firewall, |id: &str| policy("child", base(id))] {
            stops(&[policies(user(&there("firewallPolicies", "p")))], TWO);
            assert_eq!(
                rules(&[policies(user(&own("firewallPolicies", "p")))]),
                ["g/c/r carried"]
            );
        }
        // A child that is called as its parent in the other resource group.
        let child = policy("p", base(&there("firewallPolicies", "p")));
        stops(
            &[template(json!([
                exists("firewallPolicies", "p"),
                child,
                group("p/g", "Deny")
            ]))],
            TWO,
        );
    }
    // Nothing of its own is called so: it is that of the files.
    let printed = with(ip_group("10.7.0.0/16"), "id", id("rg-b", "ipGroups/i").into());
    let rule = from("p/g", "Deny", &there("ipGroups", "i"));
    let file = template(json!([in_place("ipGroups", "i"), policy("p", json!({})), rule]));
    assert_eq!(rules(&[file, printed]), ["g/c/r carried"]);
}

#[test]
fn what_the_files_deploy_needs_no_word_where_a_template_refers_to_it() {
    let refers = |kind: &str, name: &str| {
        let mut one = existing(resource(kind, name, json!(null)));
        one.as_object_mut().unwrap().remove("properties");
        one
    };
    let file = |beside: Value| {
        let of_module = json!([
            refers("firewallPolicies", "p"),
            refers("ipGroups", "i"),
            from("p/g", "Deny", &own("ipGroups", "i"))
        ]);
        let module = json!({"type": "Microsoft.Resources/deployments", "name": "g", "properties": {
            "expressionEvaluationOptions": {"scope": "inner"}, "template": template(of_module)}});
        template(json!([beside, ip_group("10.0.0.0/8"), module]))
    };
    let all = told(&[file(policy("p", json!({})))]).unwrap();
    assert_eq!(all.iter().filter(|one| one.starts_with("p ")).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|one| one.starts_with("i ")).count(), 1, "{all:?}");
    let all = told(&[file(json!({"type": "x/y", "name": "p"}))]).unwrap();
    assert!(all.contains(&"p absent".to_owned()), "{all:?}");
}
