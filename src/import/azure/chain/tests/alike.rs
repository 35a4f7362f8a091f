//! Names that several templates make alike of what Azure alone knows.

use super::*;

/// A deployment of its own scope, which is given `env`, a parameter without a value.
fn module(name: &str, resources: Value) -> Value {
    let text = json!({"type": "string"});
    json!({"type": "Microsoft.Resources/deployments", "name": name, "properties": {
        "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"env": {"value": "[parameters('env')]"}},
        "template": {"parameters": {"env": text, "now": {"type": "string", "defaultValue": "[newGuid()]"}},
            "resources": resources}}})
}

fn root(resources: Value) -> Value {
    named("env", resources)
}

/// A policy in one template and its allow group in another, each of a name made so.
fn made(policy_name: &str, group_name: &str) -> [Value; 2] {
    let group_name = format!("[format('{{0}}/g', {group_name})]");
    [
        json!([policy(&format!("[{policy_name}]"), json!({}))]),
        json!([group(&group_name, "Allow")]),
    ]
}

const ALIKE: [&str; 7] = [
    "format('p-{0}', uniqueString(resourceGroup().id))",
    "format('p-{0}', resourceGroup().location)",
    "format('p-{0}', subscription().displayName)",
    "format('p-{0}', substring(uniqueString(subscription().id, resourceGroup().name), 0, 5))",
    "guid(subscription().subscriptionId, 'p')",
    "format('p-{0}', tenant().tenantId)",
    "uniqueString('p')",
];

#[test]
fn what_azure_alone_knows_is_the_same_in_each_template_that_is_deployed_there() {
    let given = [
        "take(format('p-{0}', parameters('env')), 80)",
        "replace(format('p-{0}', parameters('env')), ' ', '')",
        "format('p-{0}', resourceGroup().name)",
    ];
    for name in ALIKE.into_iter().chain(given) {
        let [one, other] = made(name, name);
        let file = root(json!([module("p", one), module("g", other)]));
        assert_eq!(rules(&[file]), ["g/c/r carried"], "{name}");
    }
    for name in ALIKE {
        assert_eq!(
            rules(&made(name, name).map(root)),
            ["g/c/r carried"],
            "two files: {name}"
        );
    }
    let name = "format('i-{0}', resourceGroup().location)";
    let mut deny = group("p/g", "Deny");
    let rule = &mut deny["properties"]["ruleCollections"][0]["rules"][0];
    rule["sourceIpGroups"] = json!([format!("[resourceId('Microsoft.Network/ipGroups', {name})]")]);
    rule.as_object_mut().unwrap().remove("sourceAddresses");
    let ip_group = resource("ipGroups", &format!("[{name}]"), json!({"ipAddresses": ["10.0.0.0/8"]}));
    let file = root(json!([
        module("i", json!([ip_group])),
        module("p", json!([policy("p", json!({})), deny]))
    ]));
    assert_eq!(rules(&[file]), ["g/c/r carried"]);
}

#[test]
fn what_is_made_of_another_or_elsewhere_may_be_another() {
    for (one, other) in [
        ("uniqueString('p')", "uniqueString('P')"),
        ("uniqueString('p', 'q')", "uniqueString('pq')"),
        (
            "uniqueString(subscription().subscriptionId)",
            "uniqueString(toUpper(subscription().subscriptionId))",
        ),
        ("uniqueString(resourceGroup().id)", "uniqueString(subscription().id)"),
        ("deployment().name", "deployment().name"),
        ("parameters('now')", "parameters('now')"),
        ("uniqueString(parameters('now'))", "uniqueString(parameters('now'))"),
    ] {
        let [policy, group] = made(one, other);
        let file = root(json!([module("p", policy), module("g", group)]));
        assert_eq!(rules(&[file]), ["g/c/r absent"], "{one}, {other}");
    }
    let [policy, group] = made(ALIKE[1], ALIKE[1]);
    let there = with(module("p", policy), "resourceGroup", json!("rg-b"));
    assert_eq!(rules(&[root(json!([there, module("g", group)]))]), ["g/c/r absent"]);
}

#[test]
fn names_that_begin_or_end_otherwise_are_two() {
    let beside = |name: &str| {
        let base = json!([
            policy(&format!("[{name}]"), json!({})),
            group(&format!("[concat({name}, '/b')]"), "Deny")
        ]);
        root(json!([
            module("base", base),
            policy("child", json!({})),
            group("child/g", "Allow")
        ]))
    };
    for name in [
        "format('base-{0}', parameters('env'))",
        "concat(parameters('env'), '-base')",
        "concat('c', parameters('env'), '-ild')",
        "concat('child', parameters('env'), 'd')",
    ] {
        let told = rules(&[beside(name)]);
        assert!(
            told.contains(&"g/c/r absent".to_owned()) != told.contains(&"g/c/r carried".to_owned()),
            "{name}: {told:?}"
        );
    }
    for name in [
        "parameters('env')",
        "concat('ch', parameters('env'))",
        "concat(parameters('env'), 'ld')",
    ] {
        stops(&[beside(name)], "whether this is the same one is not known");
    }
    let two = |one: &str, other: &str| {
        let policies = json!([
            policy(one, json!({})),
            group("[concat('q-', parameters('env'), '/g')]", "Deny")
        ]);
        root(json!([
            module("one", policies),
            module("other", json!([policy(other, json!({}))]))
        ]))
    };
    let (one, other) = ("[concat('p-', parameters('now'))]", "[concat('q-', parameters('env'))]");
    assert!(told(&[two(one, other)]).is_ok());
}
