//! Whether what several files, or several places of one, hold is the same thing.

use super::*;

/// A deployment into another resource group.
fn into(group: &str, resources: Value) -> Value {
    json!({"type": "Microsoft.Resources/deployments", "name": group, "resourceGroup": group,
        "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "template": template(resources)}})
}

/// A group as `az` prints it, of the policy `p` of this resource group.
fn printed(resource_group: &str, name: &str, action: &str) -> Value {
    with(
        group(name, action),
        "id",
        id(
            resource_group,
            &format!("firewallPolicies/p/ruleCollectionGroups/{name}"),
        )
        .into(),
    )
}

fn firewall(policy: &str) -> Value {
    resource("azureFirewalls", "f", json!({"firewallPolicy": {"id": policy}}))
}

#[test]
fn a_policy_and_one_of_its_name_in_another_resource_group_of_the_template_are_two() {
    let here = "[resourceId('Microsoft.Network/firewallPolicies', 'p')]";
    let there = into("rg-b", json!([policy("p", json!({})), group("p/allow", "Allow")]));
    let own = |policy_id: &str| {
        template(json!([
            policy("p", json!({})),
            group("p/deny", "Deny"),
            there,
            firewall(policy_id)
        ]))
    };
    assert_eq!(rules(&[own(here)]), ["deny/c/r carried", "allow/c/r absent"]);
    // The policy that is printed is the one that the template has where it is deployed.
    let az = with(
        policy("p", json!({"threatIntelMode": "Off"})),
        "id",
        id("rg-a", "firewallPolicies/p").into(),
    );
    let imported = imported(&[template(json!([policy("p", json!({})), group("p/g", "Allow")])), az]).unwrap();
    assert_eq!(imported.report.policies, ["p"]);
}

fn ip_group(name: &str, address: &str) -> Value {
    resource("ipGroups", name, json!({"ipAddresses": [address]}))
}

/// A group `p/g` with a rule from each of these IP groups.
fn from(action: &str, ip_groups: &[&str]) -> Value {
    let mut group = group("p/g", action);
    let rules = ip_groups.iter().enumerate().map(|(index, name)| {
        let mut rule = rule();
        rule["name"] = format!("r{index}").into();
        rule["sourceAddresses"] = json!([]);
        rule["sourceIpGroups"] = json!([name]);
        rule
    });
    group["properties"]["ruleCollections"][0]["rules"] = rules.collect();
    group
}

const SPOKES: &str = "[resourceId('Microsoft.Network/ipGroups', 'spokes')]";

#[test]
fn an_ip_group_and_one_of_its_name_in_another_resource_group_of_the_template_are_two() {
    let there = into("rg-b", json!([ip_group("spokes", "10.0.0.0/8")]));
    let file = template(json!([ip_group("spokes", "10.0.0.1"), there, from("Allow", &[SPOKES])]));
    let imported = imported(&[file]).unwrap();
    assert!(
        imported.toml.contains("source_ip_groups = [\"spokes\"]"),
        "{}",
        imported.toml
    );
    assert!(
        imported.toml.contains("\"spokes\" = [\"10.0.0.1\"]"),
        "{}",
        imported.toml
    );
}

#[test]
fn what_the_template_deploys_is_in_one_resource_group_at_most() {
    let own = || template(json!([policy("p", json!({}))]));
    let one = [own(), printed("rg-a", "g1", "Allow")];
    assert_eq!(rules(&one), ["g1/c/r carried"]);
    let files = [own(), printed("rg-a", "g1", "Allow"), printed("rg-b", "g2", "Deny")];
    let told = told(&files);
    // Which of them is the template's is not known: nothing of either is allowed, and what may deny is not lost.
    match told {
        Ok(told) => assert!(!told.contains(&"g1/c/r carried".to_owned()), "{told:?}"),
        Err(faults) => assert!(!faults.is_empty()),
    }
    let ids = ["rg-a", "rg-b"].map(|group| id(group, "ipGroups/i"));
    let [a, b] = [&*ids[0], &*ids[1]];
    let group = |ids: &[&str]| [template(json!([ip_group("i", "10.0.0.1"), from("Allow", ids)]))];
    assert_eq!(rules(&group(&[a, a])), ["g/c/r0 carried", "g/c/r1 carried"]);
    assert_eq!(rules(&group(&[a, b])), ["g/c/r0 absent", "g/c/r1 absent"]);
    stops(
        &[template(json!([ip_group("i", "10.0.0.1"), from("Deny", &[a, b])]))],
        "which IP group is meant",
    );
}

/// A template whose resource has a name that is a parameter without a value.
fn unnamed(mut resource: Value, prefix: &str) -> Value {
    resource["name"] = format!("[concat('{prefix}', parameters('n'))]").into();
    json!({"contentVersion": "1", "parameters": {"n": {"type": "string"}}, "resources": [resource]})
}

#[test]
fn a_group_whose_name_is_not_known_may_be_the_one_of_another_file() {
    let mut other = group("p/web", "Allow");
    other["properties"]["ruleCollections"][0]["rules"][0]["targetFqdns"] = json!(["b.example"]);
    let files = |other: &Value| [unnamed(group("", "Allow"), "p/"), template(json!([other]))];
    assert_eq!(rules(&files(&other)), ["n/c/r absent", "web/c/r absent"]);
    // With one content it does not matter which they are.
    assert_eq!(
        rules(&files(&group("p/web", "Allow"))),
        ["n/c/r carried", "web/c/r carried"]
    );
    // One file has no two of a name.
    let mut one = unnamed(group("", "Allow"), "p/");
    one["resources"].as_array_mut().unwrap().push(other);
    assert_eq!(rules(&[one]), ["n/c/r carried", "web/c/r carried"]);
}

#[test]
fn an_ip_group_whose_name_is_not_known_may_be_the_one_of_another_file() {
    let files = |address: &str, action: &str| {
        let other = json!([ip_group("spokes", "10.0.0.0/8"), from(action, &[SPOKES])]);
        [unnamed(ip_group("", address), ""), template(other)]
    };
    assert_eq!(rules(&files("10.0.0.1", "Allow")), ["g/c/r0 absent"]);
    stops(&files("10.0.0.1", "Deny"), "may be this one");
    assert_eq!(rules(&files("10.0.0.0/8", "Allow")), ["g/c/r0 carried"]);
}

#[test]
fn a_firewall_of_which_the_policy_is_not_known_is_not_said_to_use_the_only_one() {
    let file = json!({"contentVersion": "1", "parameters": {"pol": {"type": "string"}},
        "resources": [policy("p", json!({})), group("p/g", "Allow"), firewall("[parameters('pol')]")]});
    let imported = imported(&[file]).unwrap();
    let item = imported.report.items.iter().find(|item| item.name == "f").unwrap();
    assert_eq!(
        item.notes,
        ["a firewall: which policy it uses is not known, `p` is taken"]
    );
}

#[test]
fn a_group_of_a_policy_that_no_file_holds_has_one_content() {
    let other = || {
        let mut other = group("p/g", "Allow");
        other["properties"]["ruleCollections"][0]["rules"][0]["targetFqdns"] = json!(["b.example"]);
        other
    };
    let az = with(
        other(),
        "id",
        id("rg-a", "firewallPolicies/p/ruleCollectionGroups/g").into(),
    );
    for second in [other(), az] {
        let files = [template(json!([group("p/g", "Allow")])), json!([second])];
        assert_eq!(rules(&files), ["g/c/r absent", "g-2/c/r absent"]);
        let [one, other] = files;
        assert_eq!(rules(&[other, one]), ["g/c/r absent", "g-2/c/r absent"]);
    }
}

/// A list in one file is no template: it says no more of what it holds than as many files would.
#[test]
fn a_template_and_what_az_printed_are_joined_in_one_file_as_in_two() {
    let whole = with(policy("p", json!({})), "id", id("rg-a", "firewallPolicies/p").into());
    let az = json!([whole, printed("rg-a", "z", "Allow")]);
    let own = template(json!([policy("p", json!({})), group("p/deny", "Deny")]));
    let list = json!([az[0], az[1], own]);
    let mut of_two = rules(&[az, own]);
    let mut of_one = rules(&[list]);
    of_two.sort();
    of_one.sort();
    assert_eq!(of_two, ["deny/c/r carried", "z/c/r carried"]);
    assert_eq!(of_one, of_two);
}

#[test]
fn in_a_template_an_id_tells_nothing_apart() {
    let id_of = |rest: &str| json!(id("rg", rest));
    let inner = |mut resource: Value, rest: &str| {
        resource["properties"]["id"] = id_of(rest);
        resource
    };
    let other = "firewallPolicies/other/ruleCollectionGroups/deny";
    let allow = || [policy("p", json!({})), group("p/g", "Allow")];
    for deny in [
        inner(group("p/deny", "Deny"), other),
        with(group("p/deny", "Deny"), "id", id_of(other)),
        with(
            group("p/deny", "Deny"),
            "id",
            id_of("firewallPolicies/p/ruleCollectionGroups/deny2"),
        ),
        inner(policy("q", json!({})), "firewallPolicies/r"),
        inner(
            resource("ipGroups", "i", json!({"ipAddresses": ["10.0.0.1"]})),
            "ipGroups/j",
        ),
    ] {
        let resources = [&allow()[..], std::slice::from_ref(&deny)].concat();
        stops(
            &[template(json!(resources))],
            "a template deploys by name and resource group, never by `id`",
        );
        let nested = deployed_to("rg", json!([deny]));
        stops(&[template(json!([allow()[0], allow()[1], nested]))], "never by `id`");
        let never = with(deny, "condition", json!(false));
        assert!(told(&[template(json!([allow()[0], allow()[1], never]))]).is_ok());
    }
    // One that says the same says nothing else, wherever the template is deployed.
    let same = inner(group("p/deny", "Deny"), "firewallPolicies/p/ruleCollectionGroups/deny");
    let resources = json!([allow()[0], allow()[1], same]);
    assert_eq!(rules(&[template(resources)]), ["g/c/r carried", "deny/c/r carried"]);
    // What Azure printed has its name from the id.
    let printed = with(group("deny", "Deny"), "id", id_of(other));
    let of_other = json!([policy("other", json!({})), printed]);
    assert_eq!(rules(&[of_other]), ["deny/c/r carried"]);
}
