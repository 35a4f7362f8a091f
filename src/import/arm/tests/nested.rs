//! Nested deployments: their outputs, and whose names their templates draw on.

use super::*;

/// `expression` beside deployment `d`, whose template has output `x` with these members, and `y`.
fn beside_output(members: &str, expression: &str) -> String {
    let rest = "\"contentVersion\": \"1\", \"parameters\": {\"p\": {\"type\": \"bool\"}}";
    let deployment = format!(
        r#"{{"type": "Microsoft.Resources/deployments", "name": "d", "properties": {{
            "expressionEvaluationOptions": {{"scope": "inner"}}, "template": {{"parameters": {{"p": {{"type": "bool"}}}}, "outputs": {{
                "x": {{"type": "string", "value": "evil", {members}}}, "y": {{"type": "string", "value": "good"}}}}}}}}}}"#
    );
    let group = format!(r#"{{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "{expression}"}}"#);
    let template = one(&format!(r#"{{{rest}, "resources": [{deployment}, {group}]}}"#));
    let resources = deployed(&template, &Given::default()).unwrap();
    shown(resources[0].body.as_object().unwrap().get("p").unwrap())
}

#[test]
fn an_output_is_there_if_its_condition_holds() {
    let value = "[coalesce(tryGet(tryGet(reference('d').outputs, 'x'), 'value'), 'none')]";
    let there = "[contains(reference('d').outputs, 'x')]";
    let other = "[reference('d').outputs.y.value]";
    for (condition, wanted) in [("true", ["evil", "true", "good"]), ("false", ["none", "false", "good"])] {
        let members = format!("\"condition\": {condition}");
        assert_eq!(
            [value, there, other].map(|one| beside_output(&members, one)),
            wanted,
            "{condition}"
        );
    }
    for condition in ["\"[parameters('p')]\"", "\"neither\""] {
        let members = format!("\"condition\": {condition}");
        for expression in [value, there] {
            let made = beside_output(&members, expression);
            assert!(
                made.starts_with("?whether there is an output `x` is not known"),
                "{condition}: {made}"
            );
        }
    }
}

/// What is deployed by a nested deployment of this scope: the list of `t`, of the outer template or of its own.
fn in_scope(scope: &str) -> Vec<String> {
    let template = one(&format!(
        r#"{{"contentVersion": "1",
        "parameters": {{"t": {{"type": "string", "defaultValue": "outer"}},
            "s": {{"type": "string", "defaultValue": "Inner"}}, "unset": {{"type": "string"}}}},
        "resources": [{{"type": "Microsoft.Resources/deployments", "name": "d", "properties": {{
            "expressionEvaluationOptions": {scope}, "parameters": {{"t": {{"value": "inner"}}}},
            "template": {{"parameters": {{"t": {{"type": "string"}}}}, "resources": [
                {{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "[parameters('t')]"}}]}}}}}}]}}"#
    ));
    let resources = deployed(&template, &Given::default()).unwrap();
    let p = |one: &Resource| one.body.get("p").map_or_else(|| one.kind.clone(), shown);
    resources.iter().map(p).collect()
}

#[test]
fn whose_names_a_nested_template_draws_on_is_worked_out() {
    for scope in [r#"{}"#, "null", r#"{"scope": "Outer"}"#, r#"{"scope": "notSpecified"}"#] {
        assert_eq!(in_scope(scope), ["outer"], "{scope}");
    }
    for scope in [r#"{"scope": "inner"}"#, r#"{"scope": "[parameters('s')]"}"#] {
        assert_eq!(in_scope(scope), ["inner"], "{scope}");
    }
    for scope in [
        r#"{"scope": "[parameters('unset')]"}"#,
        r#"{"scope": "innner"}"#,
        r#""[parameters('unset')]""#,
    ] {
        assert_eq!(in_scope(scope), [DEPLOYMENT], "{scope}: the deployment is not known");
    }
}

#[test]
fn a_resource_that_may_be_only_referred_to_is_in_doubt() {
    let with = |existing: &str| {
        let resource = format!(r#"{{"type": "Microsoft.Network/ipGroups", "name": "g", "existing": {existing}}}"#);
        let rest = r#""parameters": {"b": {"type": "bool"}, "yes": {"type": "bool", "defaultValue": true}}"#;
        let template = one(&format!(
            r#"{{"contentVersion": "1", {rest}, "resources": [{resource}]}}"#
        ));
        let resources = deployed(&template, &Given::default()).unwrap();
        (resources[0].left_out.is_some(), resources[0].doubt.is_some())
    };
    assert_eq!(with("true"), (true, false));
    assert_eq!(with("\"[parameters('yes')]\""), (true, false));
    assert_eq!(with("false"), (false, false));
    assert_eq!(with("\"[parameters('b')]\""), (false, true));
}

/// .NET counts units of 16 bits and has case tables of its own.
#[test]
fn what_counts_or_compares_letters_otherwise_than_azure_is_not_known() {
    let wide = "'😀bad.example'";
    for expression in [
        format!("[substring({wide}, 2)]"),
        format!("[length({wide})]"),
        format!("[take({wide}, 2)]"),
        format!("[skip({wide}, 2)]"),
        format!("[first({wide})]"),
        "[last('bad.example😀')]".to_owned(),
        format!("[indexOf({wide}, 'b')]"),
        format!("[padLeft({wide}, 20)]"),
        "[toUpper('straße')]".to_owned(),
        "[startsWith('İx', 'i')]".to_owned(),
    ] {
        assert!(
            made(&expression).starts_with('?'),
            "{expression}: {}",
            made(&expression)
        );
    }
    for (expression, wanted) in [
        ("[substring('é.example', 2)]", "example"),
        ("[length('é')]", "1"),
        ("[concat('😀', 'x')]", "😀x"),
        ("[toUpper('strasse')]", "STRASSE"),
    ] {
        assert_eq!(made(expression), wanted);
    }
}

#[test]
fn a_null_or_a_link_leaves_in_doubt_whether_the_default_of_a_nested_parameter_counts() {
    let inner = |properties: &str| {
        let text = format!(
            r#"{{"parameters": {{"all": {{"type": "object"}}}}, "resources": [{{
                "type": "Microsoft.Resources/deployments", "name": "d", "properties": {{
                    "expressionEvaluationOptions": {{"scope": "inner"}}, {properties}
                    "template": {{"parameters": {{"p": {{"type": "array", "defaultValue": ["d"]}}}},
                        "resources": [{{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "[parameters('p')]"}}]}}
                }}}}]}}"#
        );
        let resources = deployed(&one(&text), &Given::default()).unwrap();
        shown(resources[0].body.written("p").unwrap())
    };
    assert_eq!(inner(""), "[d]");
    assert_eq!(inner(r#""parameters": {"p": {"value": ["v"]}},"#), "[v]");
    assert_eq!(
        inner(r#""parameters": {"p": {"value": "[null()]"}},"#),
        "?parameter `p` is given null, for which its default may stand"
    );
    assert_eq!(
        inner(r#""parameters": "[parameters('all')]","#),
        "?parameter `all` has no value"
    );
    assert_eq!(
        inner(r#""parametersLink": {"uri": "https://x.example/p.json"},"#),
        "?its parameters are in a file elsewhere"
    );
}

#[test]
fn outputs_are_those_of_the_deployment_that_is_certainly_meant() {
    let rest = r#""parameters": {"x": {"type": "string"}}, "variables": {"x": "[parameters('x')]"}"#;
    let deployment = |name: &str, value: &str| {
        format!(
            r#"{{"type": "Microsoft.Resources/deployments", "name": "{name}", "properties": {{"template":
                {{"resources": [], "outputs": {{"o": {{"type": "string", "value": "{value}"}}}}}}}}}}"#
        )
    };
    let made = |names: [&str; 2], reference: &str| {
        let [one_name, other] = names;
        let text = format!(
            r#"{{{rest}, "resources": [{}, {},
                {{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "[{reference}.outputs.o.value]"}}]}}"#,
            deployment(one_name, "one"),
            deployment(other, "other")
        );
        let resources = deployed(&one(&text), &Given::default()).unwrap();
        shown(resources[0].body.written("p").unwrap())
    };
    let id = "reference(resourceId('Microsoft.Resources/deployments', 'm'), '2022-09-01')";
    assert_eq!(made(["m", "n"], id), "one");
    assert!(made(["m", "M"], id).starts_with('?'));
    // Made of the same, it is the same; read the same, it may be another.
    let by_name = "reference(resourceId('Microsoft.Resources/deployments', concat(parameters('x'), '-m')))";
    assert_eq!(made(["n", "[concat(parameters('x'),'-m')]"], by_name), "other");
    assert_eq!(made(["x-m", "[concat(variables('x'), '-m')]"], by_name), "other");
    assert!(made(["x-m", "[concat(toUpper(take(parameters('x'), 1)), '-m')]"], by_name).starts_with('?'));
    // One of the same name elsewhere is another.
    for elsewhere in [
        "resourceId('other', 'Microsoft.Resources/deployments', 'm')",
        "resourceId(parameters('x'), 'Microsoft.Resources/deployments', 'm')",
        "subscriptionResourceId('Microsoft.Resources/deployments', 'm')",
        "extensionResourceId('/subscriptions/s/resourceGroups/g', 'Microsoft.Resources/deployments', 'm')",
        "extensionResourceId(parameters('x'), 'Microsoft.Resources/deployments', 'm')",
        "concat(parameters('x'), '/providers/Microsoft.Resources/deployments/m')",
    ] {
        assert!(
            made(["m", "n"], &format!("reference({elsewhere})")).starts_with('?'),
            "{elsewhere}"
        );
    }
    let here = "extensionResourceId(resourceGroup().id, 'Microsoft.Resources/deployments', 'm')";
    assert_eq!(made(["m", "n"], &format!("reference({here})")), "one");
}

#[test]
fn nested_deployments_have_a_scope_of_their_own_or_that_of_the_template_around_them() {
    let nested = |scope: &str| {
        let text = format!(
            r#"{{"variables": {{"v": "outer"}}, "resources": [{{
                "type": "Microsoft.Resources/deployments", "name": "d",
                "properties": {{
                    "expressionEvaluationOptions": {{"scope": "{scope}"}},
                    "parameters": {{"p": {{"value": "[variables('v')]"}}}},
                    "template": {{
                        "parameters": {{"p": {{"type": "string"}}}},
                        "variables": {{"v": "[concat('inner of ', parameters('p'))]"}},
                        "resources": [{{"type": "Microsoft.Network/ipGroups", "name": "[variables('v')]"}}]
                    }}
                }}
            }}]}}"#
        );
        let resources = deployed(&one(&text), &Given::default()).unwrap();
        (shown(&resources[0].name), resources[0].path.to_string())
    };
    let path = "$.resources[0].properties.template.resources[0]";
    assert_eq!(nested("inner"), ("inner of outer".into(), path.into()));
    assert_eq!(nested("outer"), ("outer".into(), path.into()));
}

#[test]
fn outputs_of_a_deployment_in_the_file_are_known() {
    let text = r#"{"resources": {
        "module": {"type": "Microsoft.Resources/deployments", "name": "m",
            "properties": {"expressionEvaluationOptions": {"scope": "inner"}, "template": {
                "resources": [], "outputs": {"id": {"type": "string", "value": "[concat('a', 'b')]"}}}}},
        "g": {"type": "Microsoft.Network/ipGroups",
            "name": "[concat(reference('module').outputs.id.value, reference(resourceId('Microsoft.Resources/deployments', 'm'), '2020').outputs.id.value)]"}
    }}"#;
    assert_eq!(shown(&deployed(&one(text), &Given::default()).unwrap()[0].name), "abab");
}

#[test]
fn azure_has_more_of_a_deployment_than_the_values_of_its_outputs() {
    let made = |expression: &str| beside_output("\"metadata\": null", &format!("[{expression}]"));
    for expression in [
        "contains(reference('d'), 'mode')",
        "contains(reference('d').outputs.x, 'type')",
        "contains(reference('d', '2022-09-01', 'Full'), 'id')",
        "length(objectKeys(reference('d')))",
        "equals(null(), tryGet(reference('d'), 'mode'))",
        "equals(reference('d').outputs.x, createObject('value', 'evil'))",
        "equals(createArray(reference('d').outputs.x), createArray(createObject('value', 'evil')))",
        "contains(union(createObject('a', reference('d')), createObject('a', createObject('b', 1))).a, 'mode')",
        "contains(shallowMerge(createArray(reference('d'), createObject('b', 1))), 'mode')",
        "length(mapValues(reference('d'), lambda('v', 'x')))",
        "length(items(reference('d')))",
        "reference('d').mode",
    ] {
        let made = made(expression);
        assert!(made.starts_with('?'), "{expression}: {made}");
    }
    for expression in [
        "tryGet(reference('d').outputs, 'x', 'value')",
        "createObject('a', reference('d')).a.outputs.x.value",
        "first(map(items(reference('d').outputs), lambda('o', lambdaVariables('o').value.value)))",
    ] {
        assert_eq!(made(expression), "evil", "{expression}");
    }
    assert_eq!(made("length(items(reference('d').outputs))"), "2");
    assert_eq!(made("if(contains(reference('d').outputs, 'z'), 1, 2)"), "2");
}
