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
