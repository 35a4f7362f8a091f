//! What the resources of one deployment, and of several, are to each other.

use super::*;

const IP_GROUP: &str = "[resourceId('Microsoft.Network/ipGroups', 'i')]";

/// A template of which these parameters have no value.
fn asking(resources: Value) -> Value {
    let text = json!({"type": "string"});
    json!({"contentVersion": "1", "parameters": {"prefix": text, "n": text}, "resources": resources})
}

/// A deployment where the template is, of its own scope.
fn nested(resources: Value) -> Value {
    json!({"type": "Microsoft.Resources/deployments", "name": "d", "properties": {
        "expressionEvaluationOptions": {"scope": "inner"}, "template": asking(resources)}})
}

fn ip_group(name: &str, addresses: Value) -> Value {
    resource("ipGroups", name, json!({"ipAddresses": addresses}))
}

fn from(group_name: &str, action: &str, ip_group: &str) -> Value {
    let mut group = group(group_name, action);
    let rule = &mut group["properties"]["ruleCollections"][0]["rules"][0];
    rule["sourceIpGroups"] = json!([ip_group]);
    rule.as_object_mut().unwrap().remove("sourceAddresses");
    group
}

fn printed(addresses: Value) -> Value {
    let printed = resource("ipGroups", "i", json!({"ipAddresses": addresses}));
    with(printed, "id", id("rg-a", "ipGroups/i").into())
}

#[test]
fn a_resource_id_of_where_the_template_is_says_no_other_place() {
    let own =
        |addresses: Value, action: &str| template(json!([ip_group("i", addresses), from("p/g", action, IP_GROUP)]));
    let other = json!(["10.0.0.0/8"]);
    stops(
        &[own(json!(["10.0.0.1"]), "Deny"), printed(other.clone())],
        "other addresses",
    );
    assert_eq!(
        rules(&[own(json!(["0.0.0.0/0"]), "Allow"), printed(other.clone())]),
        ["g/c/r absent"]
    );
    // What Azure printed stands for what the template asks it.
    assert_eq!(
        rules(&[own(json!("[reference('x').y]"), "Allow"), printed(other.clone())]),
        ["g/c/r carried"]
    );
    let group = from("g2", "Deny", &id("rg-a", "ipGroups/i"));
    let group = with(
        group,
        "id",
        id("rg-a", "firewallPolicies/p/ruleCollectionGroups/g2").into(),
    );
    assert_eq!(
        rules(&[own(other, "Allow"), group]),
        ["g/c/r carried", "g2/c/r carried"]
    );
}

#[test]
fn ip_groups_of_one_deployment_are_never_one_however_many() {
    for count in [2, 201] {
        let mut many = ip_group("[concat(parameters('prefix'), '-', copyIndex())]", json!(["10.0.0.1"]));
        many["copy"] = json!({"name": "l", "count": count});
        let named = "[resourceId('Microsoft.Network/ipGroups', concat(parameters('prefix'), '-1'))]";
        let rule = from("p/g", "Allow", named);
        assert_eq!(rules(&[asking(json!([many, rule]))]), ["g/c/r carried"], "{count}");
    }
}

#[test]
fn what_is_made_of_the_same_and_ends_otherwise_is_another() {
    let two = |one: &str, other: &str| {
        let ip_groups = json!([ip_group(one, json!(["10.0.0.0/8"])),
            {"type": "Microsoft.Resources/deployments", "name": "d", "properties":
                {"template": {"resources": [ip_group(other, json!(["10.0.0.1"]))]}}},
            from("p/g", "Allow", &format!("[resourceId('Microsoft.Network/ipGroups', {})]", one.trim_matches(['[', ']'])))]);
        rules(&[asking(ip_groups)])
    };
    let (one, other) = (
        "[concat(parameters('prefix'), '-a')]",
        "[concat(parameters('prefix'), '-b')]",
    );
    assert_eq!(two(one, other), ["g/c/r carried"]);
    assert_eq!(two(one, "[concat(parameters('n'), '-a')]"), ["g/c/r absent"]);
}

#[test]
fn two_deployments_of_one_file_may_make_the_same() {
    let groups = |inner: Value| json!([policy("p", json!({})), group("p/web", "Allow"), nested(inner)]);
    let mut other = group("[concat('p/', parameters('n'))]", "Allow");
    other["properties"]["ruleCollections"][0]["rules"][0]["targetFqdns"] = json!(["b.example"]);
    let told = rules(&[template(groups(json!([other])))]);
    assert!(
        told.len() == 2 && told.iter().all(|one| one.ends_with("absent")),
        "{told:?}"
    );
    let ip_groups = json!([
        ip_group("i", json!(["10.0.0.0/8"])),
        from("p/g", "Allow", IP_GROUP),
        nested(json!([ip_group("[parameters('n')]", json!(["10.0.0.1"]))]))
    ]);
    assert_eq!(rules(&[template(ip_groups)]), ["g/c/r absent"]);
    let policies = json!([
        policy("p", json!({})),
        group("p/all", "Allow"),
        nested(json!([
            policy("[parameters('n')]", json!({})),
            group("[concat(parameters('n'), '/g')]", "Deny")
        ]))
    ]);
    stops(&[template(policies)], "whether this is the same one is not known");
}

#[test]
fn outputs_of_a_deployment_that_may_not_be_made_are_not_known() {
    for condition in [json!(false), json!("[parameters('deploy')]")] {
        let inner = json!({"resources": [], "outputs": {"x": {"type": "array", "value": ["evil.example"]}}});
        let deployment = json!({"type": "Microsoft.Resources/deployments", "name": "d", "condition": condition,
            "properties": {"template": inner}});
        let mut rule = group("p/g", "Allow");
        rule["properties"]["ruleCollections"][0]["rules"][0]["targetFqdns"] = json!("[reference('d').outputs.x.value]");
        assert_eq!(rules(&[template(json!([deployment, rule]))]), ["g/c/r absent"]);
    }
}

#[test]
fn a_field_that_may_be_a_mode_stops_if_its_text_is_not_known() {
    let policies = json!([policy("p", json!({"idps": "[parameters('n')]"})), group("p/g", "Allow")]);
    stops(&[asking(policies)], "may hold rules, or deny");
}

#[test]
fn options_that_are_no_object_say_no_scope() {
    let mut deployment = nested(json!([group("p/g", "Allow")]));
    deployment["properties"]["expressionEvaluationOptions"] = json!("inner");
    stops(
        &[template(json!([policy("p", json!({})), deployment]))],
        "which names its template draws on is not known",
    );
}

#[test]
fn a_list_of_protocols_that_is_empty_says_nothing_beside_another() {
    let mut group = group("p/g", "Deny");
    group["properties"]["ruleCollections"][0]["rules"][0] = json!({"ruleType": "NetworkRule", "name": "n",
        "sourceAddresses": ["*"], "destinationAddresses": ["203.0.113.9"], "destinationPorts": ["443"],
        "ipProtocols": ["TCP"], "protocols": []});
    assert!(told(&[template(json!([group]))]).is_ok());
}

/// Two deployments of one file into resource groups that are parameters without a value, with these resources, beside others.
fn twice(one: Value, other: Value, beside: Value) -> Value {
    let into = |group: &str, resources: Value| {
        let name = format!("[parameters('{group}')]");
        with(nested(resources), "resourceGroup", name.into())
    };
    let mut all = vec![into("prefix", one), into("n", other)];
    all.extend(beside.as_array().unwrap().iter().cloned());
    asking(Value::Array(all))
}

#[test]
fn two_resource_groups_that_are_not_known_may_be_one() {
    let named = "[resourceId(parameters('n'), 'Microsoft.Network/ipGroups', 'i')]";
    let ip_groups = |other: &str, action: &str| {
        let [one, other] = ["10.0.0.0/8", other].map(|address| json!([ip_group("i", json!([address]))]));
        twice(one, other, json!([from("p/g", action, named)]))
    };
    assert_eq!(rules(&[ip_groups("10.0.0.1", "Allow")]), ["g/c/r absent"]);
    stops(&[ip_groups("10.0.0.1", "Deny")], "that may be this one");
    assert_eq!(rules(&[ip_groups("10.0.0.0/8", "Allow")]), ["g/c/r carried"]);
    let groups = twice(
        json!([policy("p", json!({})), group("p/g", "Allow")]),
        json!([policy("p", json!({})), group("p/g", "Deny")]),
        json!([]),
    );
    stops(&[groups], "whether this is the same one is not known");
    let groups = twice(json!([group("p/g", "Allow")]), json!([group("p/g", "Deny")]), json!([]));
    assert_eq!(rules(&[groups]), ["g/c/r absent", "g-2/c/r approximated"]);
}

/// What becomes of the rule of an allow group beside a policy, both named by what is known or made of an object without a value.
fn beside_policy(policy_name: &str, group_name: &str) -> Vec<String> {
    let mut file = template(json!([policy(policy_name, json!({})), group(group_name, "Allow")]));
    file["parameters"] = json!({"cfg": {"type": "object"}, "names": {"type": "array"}});
    rules(&[file])
}

#[test]
fn a_group_of_which_the_name_is_not_known_at_all_is_of_the_policy_that_is_named_alike() {
    for (policy_name, group_name) in [
        ("hub", "[concat(parameters('cfg').name, '/g')]"),
        ("hub", "[parameters('cfg').group]"),
        ("hub", "[if(parameters('cfg').spoke, 'spoke/g', 'hub/g')]"),
        ("[parameters('cfg').name]", "spoke/g"),
        ("[parameters('cfg').hub]", "[concat(parameters('cfg').spoke, '/g')]"),
        ("[parameters('names')[0]]", "[format('{0}/g', parameters('names')[1])]"),
    ] {
        let told = beside_policy(policy_name, group_name);
        assert!(told[0].ends_with("c/r absent"), "{policy_name}, {group_name}: {told:?}");
    }
    for (policy_name, group_name) in [
        ("[parameters('cfg').hub]", "[concat(parameters('cfg').hub, '/g')]"),
        (
            "[parameters('names')[0]]",
            "[format('{0}/{1}', parameters('names')[0], 'g')]",
        ),
        (
            "[concat('p-', parameters('cfg').env)]",
            "[concat('p-', parameters('cfg').env, '/g')]",
        ),
    ] {
        assert_eq!(
            beside_policy(policy_name, group_name),
            ["g/c/r carried"],
            "{policy_name}"
        );
    }
}

#[test]
fn a_name_that_is_not_known_is_handed_on_to_nested_deployments_as_itself() {
    let module = |name: &str, value: &str, resources: Value| {
        json!({"type": "Microsoft.Resources/deployments", "name": name, "properties": {
            "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"name": {"value": value}},
            "template": {"parameters": {"name": {"type": "string"}}, "resources": resources}}})
    };
    let groups = module(
        "groups",
        "[parameters('name')]",
        json!([group("[concat(parameters('name'), '/g')]", "Allow")]),
    );
    let whole = json!([policy("[parameters('name')]", json!({})), groups]);
    let mut file = template(json!([module("policy", "[parameters('cfg').policy]", whole)]));
    file["parameters"] = json!({"cfg": {"type": "object"}});
    assert_eq!(rules(&[file]), ["g/c/r carried"]);
}

#[test]
fn what_stands_beside_the_template_of_a_deployment_is_not_passed_over() {
    let mut deployment = nested(json!([]));
    deployment["resources"] = json!([group("p/g", "Deny")]);
    let file = template(json!([policy("p", json!({})), group("p/all", "Allow"), deployment]));
    assert_eq!(rules(&[file]), ["all/c/r carried", "g/c/r carried"]);
}

/// A module with a parameter `n` of this definition, which is given so.
fn module(name: &str, n: &Value, given: &str, resources: Value) -> Value {
    let template = json!({"contentVersion": "1", "parameters": {"n": n}, "resources": resources,
        "outputs": {"name": {"type": "string", "value": "[parameters('n')]"}}});
    json!({"type": "Microsoft.Resources/deployments", "name": name, "properties": {"template": template,
        "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"n": {"value": given}}}})
}

/// A template with an object, a list and a boolean of which nothing is known.
fn of_objects(resources: Value) -> Value {
    json!({"contentVersion": "1", "resources": resources, "parameters":
        {"cfg": {"type": "object"}, "names": {"type": "array"}, "b": {"type": "bool"}}})
}

#[test]
fn a_name_that_is_not_known_at_all_is_one_in_all_modules_that_are_given_it() {
    let n = json!({"type": "string"});
    let pol = |n: &Value, given: &str| module("pol", n, given, json!([policy("[parameters('n')]", json!({}))]));
    let grp = |n: &Value, given: &str| {
        let group = group("[format('{0}/g', parameters('n'))]", "Allow");
        module("grp", n, given, json!([group]))
    };
    let told = |policy: Value, group: Value| rules(&[of_objects(json!([policy, group]))]);
    let output = "[reference(resourceId('Microsoft.Resources/deployments', 'pol')).outputs.name.value]";
    for given in [
        "[parameters('cfg').name]",
        "[format('afwp-{0}', parameters('cfg').env)]",
        "[toLower(parameters('cfg').name)]",
        "[parameters('names')[0]]",
        "[if(parameters('b'), 'x', 'y')]",
    ] {
        assert_eq!(told(pol(&n, given), grp(&n, given)), ["g/c/r carried"], "{given}");
        assert_eq!(told(pol(&n, given), grp(&n, output)), ["g/c/r carried"], "{given}");
        assert_eq!(
            told(policy(given, json!({})), grp(&n, given)),
            ["g/c/r carried"],
            "{given}"
        );
        let other = "[parameters('cfg').other]";
        assert_eq!(told(pol(&n, given), grp(&n, other)), ["g/c/r absent"], "{given}");
    }
    // What is put together within what is put together.
    let put = "format('afwp-{0}', parameters('cfg').env)";
    let group = group(&format!("[format('{{0}}/{{1}}', {put}, 'g')]"), "Allow");
    let named = policy(&format!("[{put}]"), json!({}));
    assert_eq!(told(named, group), ["g/c/r carried"]);
    // Given null, each has its own default.
    let default = |text: &str| json!({"type": "string", "defaultValue": text});
    let both = |given: &str| told(pol(&default("a"), given), grp(&default("b"), given));
    assert_eq!(both("[parameters('cfg').name]"), ["g/c/r absent"]);
    assert_eq!(both("[concat('afwp-', parameters('cfg').env)]"), ["g/c/r carried"]);
}

#[test]
fn a_resource_group_that_is_not_known_at_all_is_one_where_it_is_written_alike() {
    let firewall = || {
        resource(
            "azureFirewalls",
            "f",
            json!({"firewallPolicy": {"id": "[resourceId('Microsoft.Network/firewallPolicies', 'p')]"}}),
        )
    };
    let own = || {
        json!([
            ip_group("i", json!(["10.0.0.0/8"])),
            policy("p", json!({})),
            from("p/g", "Deny", IP_GROUP),
            firewall()
        ])
    };
    let at = |group: &str, resources: Value| with(nested(resources), "resourceGroup", group.into());
    for group in ["[parameters('cfg').rg]", "[parameters('names')[0]]"] {
        assert_eq!(
            rules(&[of_objects(json!([at(group, own())]))]),
            ["g/c/r carried"],
            "{group}"
        );
    }
    let two = |other: &str| {
        let group = at(other, json!([group("p/g", "Allow")]));
        rules(&[of_objects(json!([
            at("[parameters('cfg').rg]", json!([policy("p", json!({}))])),
            group
        ]))])
    };
    assert_eq!(two("[parameters('cfg').rg]"), ["g/c/r carried"]);
    assert_eq!(two("[parameters('cfg').other]"), ["g/c/r absent"]);
}
