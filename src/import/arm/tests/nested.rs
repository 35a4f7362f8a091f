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
