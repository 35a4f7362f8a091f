mod deployments;
mod doubt;
mod elsewhere;
mod paths;
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
fn collections_that_were_printed_without_their_firewall_are_read() {
    let printed = |kind: &str| {
        let id = id("rg", &format!("azureFirewalls/fw/{kind}/c"));
        json!([{"id": id, "name": "c", "priority": 100, "action": {"type": "Deny"}, "rules": [rule()]}])
    };
    let told = told(&[printed("applicationRuleCollections")]).unwrap();
    assert_eq!(
        told,
        [
            "fw carried",
            "default carried",
            "default/c carried",
            "default/c/r carried"
        ]
    );
}

#[test]
fn collections_beside_another_list_of_their_firewall_are_told_as_that() {
    let collection = |name: &str, action: &str| json!({"name": name, "properties": {"priority": 200, "action": {"type": action}, "rules": [rule()]}});
    let fw = json!({"applicationRuleCollections": [collection("a", "Allow")]});
    let mut printed = collection("deny", "Deny");
    printed["id"] = json!(id("rg", "azureFirewalls/fw/applicationRuleCollections/deny"));
    let files = [
        template(json!([resource("azureFirewalls", "fw", fw)])),
        json!([printed]),
    ];
    let imported = imported(&files).unwrap();
    let allowed = imported
        .report
        .items
        .iter()
        .find(|item| item.name == "default/a/r")
        .unwrap();
    assert_eq!(allowed.outcome, Outcome::Absent);
    let told = allowed.notes.join("; ");
    assert!(
        told.contains("1.json:1 holds other collections of this firewall"),
        "{told}"
    );
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
    assert_eq!(rules(&[one("Deny")]), ["without a name/c/r carried"]);
    let two = |action| {
        template(json!([
            policy("base", json!({})),
            policy("p", base("base")),
            orphan(action)
        ]))
    };
    stops(&[two("Deny")], "which policy it is of");
    assert_eq!(rules(&[two("Allow")]), ["without a name/c/r absent"]);
    let parents = template(json!([policy("base", json!({})), policy("p", base("base"))]));
    stops(&[parents, collection("Deny")], "which policy it is of");
    // A stand-in may be any name.
    let mut named = template(json!([
        policy("p", json!({})),
        group("[concat(parameters('n'), '/g')]", "Deny")
    ]));
    named["parameters"]["n"] = json!({"type": "string"});
    assert_eq!(rules(&[named]), ["g/c/r carried"]);
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

fn named(parameter: &str, resources: Value) -> Value {
    let mut file = template(resources);
    file["parameters"][parameter] = json!({"type": "string"});
    file
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
    assert_eq!(rules(&[policy, rules_of]), ["all/c/r carried", "g/c/r carried"]);
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
fn a_firewall_of_which_the_policy_is_not_known_does_not_choose_among_several() {
    let firewall =
        |name: &str, policy: &str| resource("azureFirewalls", name, json!({"firewallPolicy": {"id": policy}}));
    let file = |firewalls: &[Value]| {
        let mut resources = vec![
            policy("p", json!({})),
            group("p/g", "Allow"),
            policy("q", json!({})),
            group("q/g", "Deny"),
        ];
        resources.extend_from_slice(firewalls);
        named("id", json!(resources))
    };
    stops(
        &[file(&[firewall("f", "[parameters('id')]")])],
        "which of the policies it uses is not known",
    );
    // One that is certain comes first.
    let perhaps = with(firewall("e", "p"), "condition", json!("[parameters('deploy')]"));
    let told = rules(&[file(&[perhaps, firewall("f", "q")])]);
    assert_eq!(told, ["g/c/r absent", "g/c/r carried"]);
    let one = named(
        "id",
        json!([
            policy("p", json!({})),
            group("p/g", "Deny"),
            firewall("f", "[parameters('id')]")
        ]),
    );
    assert_eq!(rules(&[one]), ["g/c/r carried"]);
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
fn the_policy_that_a_firewall_of_the_files_uses_is_the_one() {
    let firewall = |properties: Value| resource("azureFirewalls", "fw", properties);
    let uses = |name: &str| firewall(json!({"firewallPolicy": {"id": id("rg", &format!("firewallPolicies/{name}"))}}));
    let two = |firewall: Value| {
        [template(json!([
            firewall,
            group("loose/g", "Allow"),
            group("strict/h", "Deny")
        ]))]
    };
    assert_eq!(rules(&two(uses("strict"))), ["g/c/r absent", "h/c/r carried"]);
    assert_eq!(rules(&two(uses("loose"))), ["g/c/r carried", "h/c/r absent"]);
    stops(&two(uses("another")), "which is in none of the files");
    // One without rules of its own is no policy.
    for without in [
        json!({}),
        json!({"firewallPolicy": null}),
        json!({"networkRuleCollections": []}),
    ] {
        assert_eq!(rules(&two(firewall(without))), ["g/c/r carried", "h/c/r absent"]);
    }
    stops(
        &[json!([firewall(json!(null)), group("p/g", "Allow")])],
        "its rule collections are not known",
    );
}

#[test]
fn a_firewall_with_a_policy_has_no_rules_of_its_own_that_count() {
    let classic = json!({"name": "c", "properties": {"priority": 100, "action": {"type": "Allow"},
        "rules": [rule()]}});
    let firewall = |action: &str| {
        let mut collection = classic.clone();
        collection["properties"]["action"]["type"] = action.into();
        resource(
            "azureFirewalls",
            "fw",
            json!({"firewallPolicy": {"id": id("a", "firewallPolicies/p")},
            "applicationRuleCollections": [collection]}),
        )
    };
    let policy = policy("p", json!({}));
    let files = |action| [json!([firewall(action), policy, group("p/g", "Deny")])];
    assert_eq!(rules(&files("Allow")), ["default/c/r absent", "g/c/r carried"]);
    stops(&files("Deny"), "its firewall has a policy");
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
fn what_another_firewall_s_policy_denies_is_not_lost() {
    let fw = |name: &str, policy: &str| {
        let id = format!("[resourceId('Microsoft.Network/firewallPolicies', '{policy}')]");
        resource("azureFirewalls", name, json!({"firewallPolicy": {"id": id}}))
    };
    let both = |action: &str| {
        let (p, q) = (policy("p", json!({})), policy("q", json!({})));
        let groups = [group("p/g", "Allow"), group("q/g", action)];
        template(json!([p, q, groups[0], groups[1], fw("a", "p"), fw("b", "q")]))
    };
    stops(&[both("Deny")], "a firewall of the files uses it, another uses `p`");
    assert_eq!(rules(&[both("Allow")]), ["g/c/r carried", "g/c/r absent"]);
    let file = [("0.json".to_owned(), both("Deny").to_string().into_bytes())];
    let named = Options {
        policy: Some("p".into()),
        ..Options::default()
    };
    assert!(azure_firewall(&file, None, &named).is_ok());
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
