mod alike;
mod deployments;
mod doubt;
mod elsewhere;
mod firewalls;
mod handed;
mod paths;
mod place;
mod printed;
mod same;
mod unread;
mod used;

use crate::import::{Imported, ItemKind, Options, Outcome, azure_firewall};
use serde_json::{Value, json};

const NETWORK: &str = "/providers/Microsoft.Network";

/// Every item as `name outcome`, or what stands in the way.
fn told(files: &[Value]) -> Result<Vec<String>, Vec<String>> {
    imported(files).map(|imported| outcomes(&imported))
}

fn imported(files: &[Value]) -> Result<Imported, Vec<String>> {
    let named = files.iter().enumerate();
    let files: Vec<_> = named
        .map(|(index, file)| (format!("{index}.json"), file.to_string().into_bytes()))
        .collect();
    let imported = azure_firewall(&files, None, &Options::default());
    imported.map_err(|faults| faults.into_iter().map(|fault| fault.found).collect())
}

fn outcomes(imported: &Imported) -> Vec<String> {
    let items = imported.report.items.iter();
    let outcome = |outcome| match outcome {
        Outcome::Carried => "carried",
        Outcome::Approximated => "approximated",
        Outcome::Absent => "absent",
    };
    items
        .map(|item| format!("{} {}", item.name, outcome(item.outcome)))
        .collect()
}

fn stops(files: &[Value], word: &str) {
    let faults = told(files).expect_err(word);
    assert!(faults.iter().any(|fault| fault.contains(word)), "{word}: {faults:?}");
}

/// Those of rules alone.
fn rules(files: &[Value]) -> Vec<String> {
    let imported = imported(files).unwrap_or_else(|faults| panic!("{files:?}: {faults:?}"));
    let all = outcomes(&imported);
    let items = imported.report.items.iter().zip(all);
    items
        .filter(|(item, _)| item.kind == ItemKind::ApplicationRule)
        .map(|(_, told)| told)
        .collect()
}

fn resource(kind: &str, name: &str, properties: Value) -> Value {
    json!({"type": format!("Microsoft.Network/{kind}"), "name": name, "properties": properties})
}

fn policy(name: &str, properties: Value) -> Value {
    resource("firewallPolicies", name, properties)
}

fn collection(action: &str) -> Value {
    json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
        "action": {"type": action}, "rules": [rule()]})
}

fn rule() -> Value {
    json!({"ruleType": "ApplicationRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"],
        "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["a.example"]})
}

fn content(action: &str) -> Value {
    json!({"priority": 200, "ruleCollections": [collection(action)]})
}

fn group(name: &str, action: &str) -> Value {
    resource("firewallPolicies/ruleCollectionGroups", name, content(action))
}

fn with(mut value: Value, key: &str, member: Value) -> Value {
    value[key] = member;
    value
}

fn template(resources: Value) -> Value {
    json!({"contentVersion": "1", "parameters": {"deploy": {"type": "bool"}, "list": {"type": "array"}}, "resources": resources})
}

fn base(id: &str) -> Value {
    json!({"basePolicy": {"id": id}})
}

fn id(group: &str, rest: &str) -> String {
    format!("/subscriptions/s/resourceGroups/{group}{NETWORK}/{rest}")
}

fn named(parameter: &str, resources: Value) -> Value {
    let mut file = template(resources);
    file["parameters"][parameter] = json!({"type": "string"});
    file
}

/// Resources in a deployment of a template of its own parameters, in the resource group that an expression of them names.
fn deployed_to(group: &str, resources: Value) -> Value {
    json!({"type": "Microsoft.Resources/deployments", "name": "d", "resourceGroup": group,
        "properties": {"template": {"resources": resources}}})
}

fn in_groups(resources: Value) -> Value {
    json!({"contentVersion": "1", "parameters": {"one": {"type": "string"}, "other": {"type": "string"}},
        "resources": resources})
}

#[test]
fn a_resource_outside_a_template_is_read_like_one_inside() {
    let off = with(group("p/g", "Allow"), "condition", json!(false));
    let other = group("p/other", "Allow");
    assert_eq!(rules(&[json!([off, other])]), ["g/c/r absent", "other/c/r carried"]);
    let perhaps = |action| with(group("p/g", action), "condition", json!("[parameters('deploy')]"));
    assert_eq!(rules(&[json!({"resources": [perhaps("Allow")]})]), ["g/c/r absent"]);
    assert_eq!(
        rules(&[json!({"resources": [perhaps("Deny")]})]),
        ["g/c/r approximated"]
    );
    let child = json!({"type": "ruleCollectionGroups", "name": "g", "properties": content("Deny")});
    let parent = with(policy("p", json!({})), "resources", json!([child]));
    assert_eq!(rules(&[parent]), ["g/c/r carried"]);
    let deployment = json!({"type": "Microsoft.Resources/deployments", "name": "d", "condition": false,
        "properties": {"template": template(json!([group("p/g", "Allow")]))}});
    assert_eq!(
        rules(&[json!([deployment, group("p/h", "Allow")])]),
        ["g/c/r absent", "h/c/r carried"]
    );
}

#[test]
fn a_condition_is_that_of_the_resource_and_not_of_its_children() {
    let child = json!({"type": "ruleCollectionGroups", "name": "g", "properties": content("Deny")});
    let parent = with(policy("p", json!({})), "resources", json!([child]));
    for condition in [json!(false), json!("[parameters('deploy')]")] {
        let parent = with(parent.clone(), "condition", condition);
        assert_eq!(rules(&[template(json!([parent]))]), ["g/c/r carried"]);
    }
}

#[test]
fn what_is_not_deployed_is_named_with_all_that_is_in_it() {
    let never = with(group("p/never", "Deny"), "copy", json!({"name": "l", "count": 0}));
    let there = with(group("p/there", "Deny"), "existing", json!(true));
    let inside = json!({"type": "Microsoft.Resources/deployments", "name": "d", "condition": false,
        "properties": {"template": {"resources": [group("p/inside", "Deny")]}}});
    let all = template(json!([policy("p", json!({})), never, there, inside]));
    assert_eq!(
        told(&[all]).unwrap(),
        [
            "p carried",
            "never absent",
            "never/c absent",
            "never/c/r absent",
            "there absent",
            "there/c absent",
            "there/c/r absent",
            "inside absent",
            "inside/c absent",
            "inside/c/r absent"
        ]
    );
}

#[test]
fn of_a_policy_that_is_written_twice_none_wins() {
    let twice = |one: Value, other: Value| {
        let one = with(policy("p", one), "condition", json!("[parameters('deploy')]"));
        let other = with(policy("p", other), "condition", json!("[not(parameters('deploy'))]"));
        [template(json!([
            one,
            other,
            group("p/g", "Allow"),
            policy("base", json!({}))
        ]))]
    };
    stops(
        &twice(json!({"threatIntelMode": "Deny"}), json!({"threatIntelMode": "Off"})),
        "threatIntelMode",
    );
    stops(
        &twice(json!({"threatIntelMode": "Off"}), json!({"threatIntelMode": "Deny"})),
        "threatIntelMode",
    );
    stops(&twice(base("base"), json!({})), "another parent or with none");
    let same = told(&twice(
        json!({"threatIntelMode": "Off"}),
        json!({"threatIntelMode": "Off"}),
    ))
    .unwrap();
    assert_eq!(same.iter().filter(|item| *item == "p carried").count(), 2);
}

#[test]
fn what_a_parent_allows_is_in_doubt_if_the_policy_that_names_it_is() {
    let child = with(policy("p", base("base")), "condition", json!("[parameters('deploy')]"));
    let files = |action| {
        [template(json!([
            child,
            policy("base", json!({})),
            group("base/g", action)
        ]))]
    };
    assert_eq!(rules(&files("Allow")), ["g/c/r absent"]);
    assert_eq!(rules(&files("Deny")), ["g/c/r approximated"]);
}

#[test]
fn a_group_has_one_content() {
    let file = |action| template(json!([group("p/g", action)]));
    let printed = |action| {
        let id = id("rg", "firewallPolicies/p/ruleCollectionGroups/g");
        json!({"id": id, "name": "g", "etag": "x", "priority": 200, "ruleCollections": [collection(action)]})
    };
    assert_eq!(
        rules(&[file("Allow"), printed("Allow")]),
        ["g/c/r carried", "g/c/r absent"]
    );
    assert_eq!(
        rules(&[file("Allow"), printed("Deny")]),
        ["g/c/r absent", "g-2/c/r approximated"]
    );
    let perhaps = with(group("p/g", "Allow"), "condition", json!("[parameters('deploy')]"));
    let once_more = [template(json!([perhaps])), printed("Allow")];
    assert_eq!(
        rules(&once_more),
        ["g/c/r carried", "g/c/r absent"],
        "one of them is there for certain"
    );
    let third = [file("Allow"), printed("Deny"), file("Allow")];
    assert_eq!(rules(&third), ["g/c/r absent", "g-2/c/r approximated", "g/c/r absent"]);
}

#[test]
fn a_group_that_a_policy_names_has_to_be_in_the_files() {
    let named = |name: &str| {
        let group = id("rg", &format!("firewallPolicies/p/ruleCollectionGroups/{name}"));
        json!({"id": id("rg", "firewallPolicies/p"), "ruleCollectionGroups": [{"id": group}], "threatIntelMode": "Off"})
    };
    stops(
        &[named("deny"), json!([group("p/allow", "Allow")])],
        "none of the files does",
    );
    assert_eq!(
        rules(&[named("DENY"), json!([group("p/deny", "Deny")])]),
        ["deny/c/r carried"]
    );
    let inside = |list: Value| policy("p", json!({"ruleCollectionGroups": list}));
    let whole = json!([{"name": "g", "properties": content("Deny")}]);
    assert_eq!(rules(&[inside(whole)]), ["g/c/r carried"]);
    for cut in [json!("System.Object[]"), json!([5]), json!([{"etag": "x"}])] {
        stops(&[inside(cut)], "p/ruleCollectionGroups");
    }
}

#[test]
fn a_group_of_which_the_policy_is_not_known_is_of_the_only_one_or_stops() {
    let orphan = |action| group("[concat(reference('q').outputs.n.value, '/g')]", action);
    let one = |action| template(json!([policy("p", json!({})), orphan(action)]));
    assert_eq!(rules(&[one("Deny")]), ["g/c/r approximated"]);
    assert_eq!(rules(&[one("Allow")]), ["g/c/r absent"]);
    let two = |action| {
        template(json!([
            policy("base", json!({})),
            policy("p", base("base")),
            orphan(action)
        ]))
    };
    stops(&[two("Deny")], "which policy it is of");
    assert_eq!(rules(&[two("Allow")]), ["g/c/r absent"]);
    let parents = template(json!([policy("base", json!({})), policy("p", base("base"))]));
    stops(&[parents, collection("Deny")], "which policy it is of");
    // A stand-in may be any name.
    let mut named = template(json!([
        policy("p", json!({})),
        group("[concat(parameters('n'), '/g')]", "Deny")
    ]));
    named["parameters"]["n"] = json!({"type": "string"});
    assert_eq!(rules(&[named]), ["g/c/r approximated"]);
}

#[test]
fn whatever_is_written_as_a_parent_may_be_one() {
    let child = |base: Value| template(json!([policy("p", json!({"basePolicy": base}))]));
    for none in [
        json!(null),
        json!(""),
        json!({}),
        json!({"id": null}),
        json!({"id": ""}),
    ] {
        told(&[child(none.clone())]).unwrap_or_else(|faults| panic!("{none}: {faults:?}"));
    }
    for one in [
        json!({"resourceId": "/x"}),
        json!(["/x/firewallPolicies/base"]),
        json!({"id": {"id": "/x"}}),
        json!({"id": []}),
        json!(5),
        json!("/"),
    ] {
        stops(&[child(one)], "its parent policy is not known");
    }
    stops(
        &[child(json!("/x/firewallPolicies/base/"))],
        "`base` is in none of the files",
    );
}

#[test]
fn where_collections_without_a_group_stand_among_groups_is_not_known() {
    let file = template(json!([policy("p", json!({})), group("p/all", "Allow")]));
    stops(&[file.clone(), collection("Deny")], "the group's priority is not known");
    assert_eq!(
        rules(&[file, collection("Allow")]),
        ["all/c/r carried", "default/c/r absent"]
    );
    stops(
        &[collection("Allow"), collection("Deny")],
        "the group's priority is not known",
    );
    let alone = template(json!([policy("p", json!({}))]));
    assert_eq!(rules(&[alone, collection("Deny")]), ["default/c/r carried"]);
}

#[test]
fn what_is_printed_of_a_template_is_the_same_group() {
    let mut printed = group("p/g", "Allow");
    let rule = &mut printed["properties"]["ruleCollections"][0]["rules"][0];
    rule["fqdnTags"] = json!([]);
    rule["sourceIpGroups"] = json!([]);
    rule["terminateTLS"] = json!(false);
    let written = || json!([policy("p", json!({})), group("p/g", "Allow")]);
    let both = [template(written()), json!([printed.clone()])];
    assert_eq!(rules(&both), ["g/c/r carried", "g/c/r absent"]);
    // Nobody is not anybody.
    printed["properties"]["ruleCollections"][0]["rules"][0]
        .as_object_mut()
        .unwrap()
        .remove("sourceIpGroups");
    printed["properties"]["ruleCollections"][0]["rules"][0]["sourceAddresses"] = json!([]);
    let mut anybody = written();
    anybody[1]["properties"]["ruleCollections"][0]["rules"][0]
        .as_object_mut()
        .unwrap()
        .remove("sourceAddresses");
    assert_eq!(
        rules(&[template(anybody), json!([printed])]),
        ["g/c/r absent", "g-2/c/r absent"]
    );
}

#[test]
fn a_policy_of_which_the_parent_is_not_known_comes_before_what_may_be_that() {
    let family = |parent: &str| {
        let base_policy = deployed_to("hub", json!([policy("base", json!({})), group("base/g", "Allow")]));
        in_groups(json!([base_policy, policy("p", base(parent)), group("p/g", "Deny")]))
    };
    assert_eq!(rules(&[family("base")]), ["g/c/r carried", "g/c/r carried"]);
    stops(
        &[family("[reference('n').outputs.id.value]")],
        "parent policy is not known",
    );
    stops(&[family(&id("spoke", "firewallPolicies/base"))], "in none of the files");
}

#[test]
fn a_deployment_stack_deploys_what_its_template_says() {
    let stack = |properties: Value| {
        let stack = json!({"type": "Microsoft.Resources/deploymentStacks", "name": "s", "properties": properties});
        template(json!([policy("p", json!({})), group("p/all", "Allow"), stack]))
    };
    // It has a scope of its own without saying so.
    let inner = json!({"contentVersion": "1", "parameters": {"action": {"type": "string"}},
        "resources": [group("p/g", "[parameters('action')]")]});
    let given =
        json!({"template": inner, "parameters": {"action": {"value": "Deny"}}, "deploymentScope": "/subscriptions/s"});
    // Where it deploys to is not worked out.
    assert_eq!(rules(&[stack(given)]), ["all/c/r carried", "g/c/r approximated"]);
    stops(&[stack(json!({"templateLink": {"uri": "x"}}))], "is not in the file");
}
