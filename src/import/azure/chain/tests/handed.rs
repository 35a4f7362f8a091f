//! Names by way of objects that deployments are handed, and of variables.

use super::*;

/// A deployment of its own scope, which is handed `conf`.
fn module(name: &str, conf: Value, resources: Value) -> Value {
    let template = json!({"parameters": {"conf": {"type": "object"}}, "resources": resources});
    json!({"type": "Microsoft.Resources/deployments", "name": name, "properties": {
        "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"conf": {"value": conf}}, "template": template}})
}

/// A template with objects without a value, and with variables of them.
fn root(resources: Value) -> Value {
    json!({"contentVersion": "1", "parameters": {"one": {"type": "object"}, "other": {"type": "object"}, "all": {"type": "array"}},
        "variables": {"one": "[parameters('one')]", "name": "[parameters('one').policy.name]",
            "of": {"policy": "[parameters('one').policy]"}, "all": ["[parameters('one')]", "[parameters('other')]"]},
        "resources": resources})
}

/// What one deployment makes of a policy's name, and another of its group's.
fn made(policy_name: &str, group_name: &str) -> [Value; 2] {
    [
        json!([policy(&format!("[{policy_name}]"), json!({}))]),
        json!([group(&format!("[format('{{0}}/g', {group_name})]"), "Allow")]),
    ]
}

fn handed(one: Value, other: Value) -> Value {
    let name = "parameters('conf').policy.name";
    let [policy, group] = made(name, name);
    root(json!([module("p", one, policy), module("g", other, group)]))
}

#[test]
fn what_is_handed_to_two_deployments_is_one_in_both() {
    let whole = json!("[parameters('one')]");
    let parts = json!({"policy": {"name": "[parameters('one').policy.name]"}});
    let half = json!({"policy": "[parameters('one')['policy']]"});
    let variables = ["[variables('one')]", "[variables('of')]", "[variables('all')[0]]"].map(|one| json!(one));
    let ways = [whole, parts, half].into_iter().chain(variables);
    let ways: Vec<Value> = ways
        .chain([json!({"policy": {"name": "[variables('name')]"}})])
        .collect();
    for one in &ways {
        for other in &ways {
            assert_eq!(
                rules(&[handed(one.clone(), other.clone())]),
                ["g/c/r carried"],
                "{one} {other}"
            );
        }
        let another = json!("[parameters('other')]");
        assert_eq!(rules(&[handed(one.clone(), another)]), ["g/c/r absent"], "{one}");
    }
}

#[test]
fn a_function_of_what_is_handed_is_one_in_both() {
    let whole = json!("[parameters('one')]");
    for name in [
        "toLower(parameters('conf').name)",
        "concat('p-', toUpper(parameters('conf').name))",
        "replace(parameters('conf').name, ' ', '-')",
        "uniqueString(parameters('conf').name, 'x')",
    ] {
        let [policy, group] = made(name, name);
        let file = root(json!([
            module("p", whole.clone(), policy),
            module("g", whole.clone(), group)
        ]));
        assert_eq!(rules(&[file]), ["g/c/r carried"], "{name}");
    }
    let [policy, group] = made("toLower(parameters('conf').name)", "toLower(parameters('conf').id)");
    let file = root(json!([module("p", whole.clone(), policy), module("g", whole, group)]));
    assert_eq!(rules(&[file]), ["g/c/r absent"]);
}

/// The same deployment with another definition of what it is handed.
fn declared(module: Value, definition: Value) -> Value {
    let mut module = module;
    let round = json!({"$ref": "#/definitions/round"});
    let template = &mut module["properties"]["template"];
    template["definitions"] = json!({"round": {"type": "object", "properties": {"a": round, "b": round, "c": round}}});
    template["parameters"]["conf"] = definition;
    module
}

#[test]
fn what_its_type_converts_in_one_deployment_is_another_there() {
    let whole = json!("[parameters('one')]");
    let name = "format('p{0}', parameters('conf').n)";
    let text = json!({"type": "string"});
    let of = |definition: Value| {
        let [policy, group] = made(name, name);
        let policy = declared(module("p", whole.clone(), policy), definition);
        rules(&[root(json!([policy, module("g", whole.clone(), group)]))])
    };
    for definition in [
        json!({"type": "object", "properties": {"n": {"type": "int"}}}),
        json!({"type": "object", "additionalProperties": {"type": "bool"}}),
        json!({"type": "object", "discriminator": {"propertyName": "kind", "mapping": {}}}),
        json!({"$ref": "#/definitions/nowhere"}),
        json!({"type": "object", "properties": {"n": {"$ref": "#/definitions/round"}}}),
    ] {
        assert_eq!(of(definition.clone()), ["g/c/r absent"], "{definition}");
    }
    for definition in [
        json!({"type": "object", "properties": {"n": text, "m": {"type": "int"}}}),
        json!({"type": "object", "additionalProperties": text}),
    ] {
        assert_eq!(of(definition.clone()), ["g/c/r carried"], "{definition}");
    }
    // A number where a text is declared is written as one.
    let typed = json!({"type": "object", "properties": {"n": text, "l": {"type": "array", "items": text}}});
    for name in [
        "format('a{0}', parameters('conf'))",
        "format('a{0}', take(parameters('conf').l, 1))",
        "uniqueString(string(parameters('conf')))",
        "if(contains(parameters('conf').l, '7'), 'x', parameters('conf').n)",
        "if(equals(parameters('conf').n, '7'), 'x', 'y')",
        "format('a{0:D3}', parameters('conf').n)",
    ] {
        let [policy, group] = made(name, name);
        let policy = declared(module("p", whole.clone(), policy), typed.clone());
        let file = root(json!([policy, module("g", whole.clone(), group)]));
        assert_eq!(rules(&[file]), ["g/c/r absent"], "{name}");
    }
    // A member of its own type, and whether it is there.
    let typed = json!({"type": "object", "properties": {"n": text, "m": {"type": "int"}}});
    for name in [
        "coalesce(tryGet(parameters('conf'), 'n'), 'd')",
        "if(contains(parameters('conf'), 'n'), parameters('conf').n, 'd')",
    ] {
        let [policy, group] = made(name, name);
        let policy = declared(module("p", whole.clone(), policy), typed.clone());
        let file = root(json!([policy, module("g", whole.clone(), group)]));
        assert_eq!(rules(&[file]), ["g/c/r carried"], "{name}");
    }
}

#[test]
fn what_is_handed_is_one_however_it_is_asked_for() {
    let whole = json!("[parameters('one')]");
    for name in [
        "tryGet(parameters('conf'), 'n')",
        "coalesce(tryGet(parameters('conf'), 'n'), 'd')",
        "if(contains(parameters('conf'), 'n'), parameters('conf').n, 'd')",
        "take(parameters('conf').n, 80)",
        "format('p-{0}', take(uniqueString(parameters('conf').id), 5))",
        "last(split(parameters('conf').id, '/'))",
    ] {
        let [policy, group] = made(name, name);
        let other = module("g", json!("[parameters('other')]"), group.clone());
        let file = root(json!([module("p", whole.clone(), policy.clone()), other]));
        assert_eq!(rules(&[file]), ["g/c/r absent"], "{name}");
        let file = root(json!([
            module("p", whole.clone(), policy),
            module("g", whole.clone(), group)
        ]));
        assert_eq!(rules(&[file]), ["g/c/r carried"], "{name}");
    }
    let parts = json!({"n": "[parameters('one').name]"});
    let name = "coalesce(tryGet(parameters('conf'), 'n'), 'd')";
    let [policy, group] = made(name, name);
    let file = root(json!([module("p", parts.clone(), policy), module("g", parts, group)]));
    assert_eq!(rules(&[file]), ["g/c/r carried"]);
    let (one, other) = (
        "coalesce(tryGet(parameters('conf'), 'n'), 'd')",
        "coalesce(tryGet(parameters('conf'), 'n'), 'e')",
    );
    let [policy, group] = made(one, other);
    let file = root(json!([module("p", whole.clone(), policy), module("g", whole, group)]));
    assert_eq!(rules(&[file]), ["g/c/r absent"]);
}

#[test]
fn a_reference_by_a_member_of_an_object_finds_what_is_named_by_it() {
    let id = |kind: &str, name: &str| format!("[resourceId('Microsoft.Network/{kind}', {name})]");
    let mut allow = group("p/g", "Allow");
    let rule = &mut allow["properties"]["ruleCollections"][0]["rules"][0];
    rule["sourceIpGroups"] = json!([id("ipGroups", "parameters('one').ipg")]);
    rule.as_object_mut().unwrap().remove("sourceAddresses");
    let ip_group = |name: &str| resource("ipGroups", name, json!({"ipAddresses": ["10.0.0.0/8"]}));
    let file = |name: &str| root(json!([ip_group(name), policy("p", json!({})), allow]));
    assert_eq!(rules(&[file("[parameters('one').ipg]")]), ["g/c/r carried"]);
    assert_eq!(rules(&[file("[parameters('one').other]")]), ["g/c/r absent"]);

    let child = json!({"basePolicy": {"id": id("firewallPolicies", "parameters('one').base")}});
    let file = root(json!([
        policy("[parameters('one').base]", json!({})),
        group("[format('{0}/b', parameters('one').base)]", "Deny"),
        policy("[concat('c-', parameters('other').name)]", child),
        group("[concat('c-', parameters('other').name, '/g')]", "Allow"),
    ]));
    assert_eq!(rules(&[file]), ["b/c/r carried", "g/c/r carried"]);
}

#[test]
fn a_text_that_an_output_hands_on_is_one_with_what_it_is_made_of() {
    let [policy, group] = made("parameters('conf').n", "parameters('conf').n");
    let mut one = module("p", json!("[parameters('one')]"), policy);
    one["properties"]["template"]["outputs"] = json!({"name": {"type": "string", "value": "[parameters('conf').n]"}});
    let handed = json!({"n": "[reference('p').outputs.name.value]"});
    assert_eq!(
        rules(&[root(json!([one, module("g", handed, group)]))]),
        ["g/c/r carried"]
    );
}

#[test]
fn an_argument_of_which_nothing_is_known_says_why() {
    let [policy, group] = made("parameters('conf')", "parameters('conf')");
    let mut deployment = module("p", Value::Null, policy);
    let either = "[if(empty(parameters('all')), createObject('value', 'a'), createObject('value', 'b'))]";
    deployment["properties"]["parameters"]["conf"] = json!(either);
    let mut other = module("g", Value::Null, group);
    other["properties"]["parameters"]["conf"] = json!(either);
    let told = format!("{:?}", imported(&[root(json!([deployment, other]))]));
    assert!(
        told.contains("parameter `all`") && !told.contains("Key Vault"),
        "{told}"
    );
}

#[test]
fn what_rounds_of_two_loops_are_handed_is_one_in_the_same_round() {
    let looped = |name: &str, conf: &str, resources: Value| {
        with(
            module(
                &format!("[format('{name}-{{0}}', copyIndex())]"),
                json!(conf),
                resources,
            ),
            "copy",
            json!({"name": name, "count": 1}),
        )
    };
    let of = |one: &str, other: &str| {
        let name = "parameters('conf').name";
        let [policy, group] = made(name, name);
        root(json!([looped("p", one, policy), looped("g", other, group)]))
    };
    let (same, next) = ("[parameters('all')[copyIndex()]]", "[parameters('all')[copyIndex(7)]]");
    assert_eq!(rules(&[of(same, same)]), ["g/c/r carried"]);
    assert_eq!(rules(&[of(same, "[parameters('all')[0]]")]), ["g/c/r carried"]);
    assert_eq!(rules(&[of(same, next)]), ["g/c/r absent"]);
}

#[test]
fn what_may_be_a_default_or_is_no_object_is_not_taken_for_what_is_handed() {
    let name = "parameters('conf').policy.name";
    let [policy, group] = made(name, name);
    let mut files = handed(json!("[parameters('one')]"), json!("[parameters('one')]"));
    let definition = "/resources/1/properties/template/parameters/conf";
    *files.pointer_mut(definition).unwrap() = json!({"type": "object", "defaultValue": {"policy": {"name": "x"}}});
    assert_eq!(rules(&[files]), ["g/c/r absent"]);
    let text = json!({"policy": {"name": "[if(empty(parameters('all')), 'a', 'b')]"}});
    let file = root(json!([module("p", text.clone(), policy), module("g", text, group)]));
    assert_eq!(rules(&[file]), ["g/c/r carried"]);
}

#[test]
fn what_depends_on_a_text_that_is_handed_is_one_in_both() {
    let text = json!({"type": "string"});
    let name = "if(equals(parameters('conf'), 'prod'), 'p', 'd')";
    let of = |root_type: &str, conf: &str| {
        let [policy, group] = made(name, name);
        let modules = [("p", policy), ("g", group)]
            .map(|(label, resources)| declared(module(label, json!(conf), resources), text.clone()));
        let mut file = root(json!(modules));
        file["parameters"]["env"] = json!({"type": root_type});
        rules(&[file])
    };
    assert_eq!(of("string", "[parameters('env')]"), ["g/c/r carried"]);
    // It may be a number in one of them.
    assert_eq!(of("object", "[parameters('env').n]"), ["g/c/r absent"]);
}

#[test]
fn the_name_of_a_policy_in_its_id_is_its_name() {
    let id = "resourceId('Microsoft.Network/firewallPolicies', parameters('name'))";
    for group_name in [format!("last(split({id}, '/'))"), format!("split({id}, '/')[8]")] {
        let [policy, group] = made("parameters('name')", &group_name);
        let both = json!([policy[0], group[0]]);
        assert_eq!(rules(&[named("name", both)]), ["g/c/r carried"], "{group_name}");
        // By way of an output.
        let text = json!({"type": "string"});
        let mut one = declared(module("p", json!("[parameters('name')]"), Value::Null), text.clone());
        let template = &mut one["properties"]["template"];
        template["resources"] = made("parameters('conf')", "'x'")[0].clone();
        template["outputs"] = json!({"id": {"type": "string",
            "value": format!("[{}]", id.replace("'name'", "'conf'"))}});
        let asked = group_name.replace(id, "parameters('conf')");
        let other = module(
            "g",
            json!("[reference('p').outputs.id.value]"),
            made("'x'", &asked)[1].clone(),
        );
        assert_eq!(
            rules(&[named("name", json!([one, declared(other, text)]))]),
            ["g/c/r carried"],
            "{group_name}"
        );
    }
}

#[test]
fn lists_that_are_put_together_are_shown_as_one() {
    let [one, other] = ["concat(parameters('one').l, parameters('one').m)", "variables('both')"];
    for shown in [format!("format('a{{0}}', {one})"), format!("format('a{{0}}', {other})")] {
        let apart = "format('a{0}{1}', parameters('one').l, parameters('one').m)";
        let of = |policy_name: &str| {
            let [policy, group] = made(policy_name, apart);
            let mut file = root(json!([policy[0], group[0]]));
            file["variables"]["both"] = json!(format!("[{one}]"));
            rules(&[file])
        };
        assert_eq!(of(&shown), ["g/c/r absent"], "{shown}");
        assert_eq!(of(apart), ["g/c/r carried"]);
    }
    let [policy, group] = made(
        "format('a{0}', concat(parameters('one').l, '-', parameters('one').m))",
        "format('a{0}-{1}', parameters('one').l, parameters('one').m)",
    );
    assert_eq!(rules(&[root(json!([policy[0], group[0]]))]), ["g/c/r carried"]);
}
