//! What a parameter may be.

use super::*;
use crate::import::{Imported, Options, azure_firewall};

/// The import of a template whose collection has parameter `a`, defined so, as its action.
fn import(definition: &str, set: &[(&str, &str)], parameters: Option<&str>) -> Result<Imported, Vec<String>> {
    let template = format!(
        r#"{{"contentVersion": "1", "parameters": {{"a": {definition}}}, "definitions": {{"act": {{"type": "string", "allowedValues": ["Deny"]}}}},
        "resources": [{{"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g",
        "properties": {{"priority": 100, "ruleCollections": [{{"ruleCollectionType": "FirewallPolicyFilterRuleCollection",
        "name": "c", "priority": 100, "action": {{"type": "[parameters('a')]"}}, "rules": []}}]}}}}]}}"#
    );
    let set = set
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let parameters = parameters.map(|text| ("parameters.json".to_owned(), text.as_bytes().to_vec()));
    let options = Options {
        set,
        ..Options::default()
    };
    let imported = azure_firewall(
        &[("t.json".to_owned(), template.into_bytes())],
        parameters.as_ref(),
        &options,
    );
    imported.map_err(|faults| faults.into_iter().map(|fault| fault.found).collect())
}

#[test]
fn a_value_from_outside_that_azure_refuses_is_an_error() {
    for definition in [
        r#"{"type": "string", "allowedValues": ["Deny"]}"#,
        r##"{"$ref": "#/definitions/act"}"##,
        r#"{"type": "string", "maxLength": 4}"#,
        r#"{"type": "string", "minLength": 6}"#,
    ] {
        let refused = import(definition, &[("a", "Allow")], None).unwrap_err();
        assert!(
            refused[0].starts_with("parameter `a` is given a value"),
            "{definition}: {refused:?}"
        );
        let file = r#"{"parameters": {"a": {"value": "Allow"}}}"#;
        assert_eq!(
            import(definition, &[], Some(file)).unwrap_err(),
            refused,
            "{definition}"
        );
    }
    let definition = r#"{"type": "string", "allowedValues": ["allow", "Deny"], "maxLength": 5, "minLength": 4}"#;
    assert!(import(definition, &[("a", "Allow")], None).is_ok());
}

#[test]
fn a_value_in_the_template_that_azure_refuses_is_not_known() {
    let parameter = |definition: &str| {
        let made = property(&format!(r#""parameters": {{"a": {definition}}}"#), "[parameters('a')]");
        shown(&made)
    };
    for definition in [
        r#"{"type": "int", "defaultValue": 3, "maxValue": 2}"#,
        r#"{"type": "int", "defaultValue": 3, "minValue": 4}"#,
        r#"{"type": "array", "defaultValue": ["a", "x"], "allowedValues": ["a", "b"]}"#,
        r#"{"type": "array", "defaultValue": [1, 2], "maxLength": 1}"#,
    ] {
        assert!(
            parameter(definition).starts_with('?'),
            "{definition}: {}",
            parameter(definition)
        );
    }
    for (definition, wanted) in [
        (
            r#"{"type": "int", "defaultValue": 3, "maxValue": 3, "minValue": 3, "allowedValues": [3]}"#,
            "3",
        ),
        (
            r#"{"type": "array", "defaultValue": ["a"], "allowedValues": ["a", "b"]}"#,
            "[a]",
        ),
        (
            r#"{"type": "array", "defaultValue": ["a"], "allowedValues": [["a"], ["b"]]}"#,
            "[a]",
        ),
        (
            r#"{"type": "bool", "defaultValue": true, "allowedValues": [true]}"#,
            "true",
        ),
    ] {
        assert_eq!(parameter(definition), wanted, "{definition}");
    }
}

#[test]
fn a_parameters_file_that_is_none_says_what_is_missing() {
    let definition = r#"{"type": "string", "defaultValue": "Deny"}"#;
    for (file, word) in [
        (
            r#"{"parameters": {"a": {"type": "string"}}}"#,
            "neither `value` nor `reference`",
        ),
        (
            r#"{"parameters": {"a": {"type": "string"}}, "resources": []}"#,
            "a template where a parameters file belongs",
        ),
    ] {
        let faults = import(definition, &[], Some(file)).unwrap_err();
        assert!(faults[0].contains(word), "{faults:?}");
    }
    let bare =
        r#"{"$schema": "https://x/deploymentParameters.json#", "contentVersion": "1.0.0.0", "a": {"value": "Allow"}}"#;
    assert!(import(definition, &[], Some(bare)).is_ok());
}

#[test]
fn elements_and_members_are_what_their_definitions_allow() {
    let mode = r#"{"type": "string", "allowedValues": ["Deny"]}"#;
    let act = r##"{"$ref": "#/definitions/act"}"##;
    // Of each: a value that Azure takes, and one that it refuses.
    let cases: Vec<(String, &str, &str)> = [mode, act]
        .iter()
        .flat_map(|one| {
            [
                (
                    format!(r#"{{"type": "array", "items": {one}}}"#),
                    r#"["Deny", "deny"]"#,
                    r#"["Deny", "Allow"]"#,
                ),
                (
                    format!(r#"{{"type": "array", "prefixItems": [{{"type": "string"}}, {one}]}}"#),
                    r#"["Allow", "Deny", "x"]"#,
                    r#"["Allow", "Allow"]"#,
                ),
                (
                    format!(r#"{{"type": "array", "items": {{"type": "object", "properties": {{"m": {one}}}}}}}"#),
                    r#"[{"m": "Deny", "n": "Allow"}]"#,
                    r#"[{"m": "Deny"}, {"M": "Allow"}]"#,
                ),
                (
                    format!(
                        r#"{{"type": "object", "properties": {{"n": {{"type": "string"}}}}, "additionalProperties": {one}}}"#
                    ),
                    r#"{"n": "Allow", "m": "Deny"}"#,
                    r#"{"n": "Allow", "m": "Allow"}"#,
                ),
            ]
        })
        .chain([
            (
                r#"{"type": "object", "properties": {"m": {"type": "int", "maxValue": 2}}}"#.to_owned(),
                r#"{"m": 2}"#,
                r#"{"m": 3}"#,
            ),
            (
                r#"{"type": "array", "items": {"type": "array", "items": {"type": "string", "minLength": 2}}}"#.to_owned(),
                r#"[["ab"]]"#,
                r#"[["ab"], ["a"]]"#,
            ),
        ])
        .collect();
    for (definition, good, bad) in cases {
        let given = |value: &str| {
            let file = format!(r#"{{"parameters": {{"a": {{"value": {value}}}}}}}"#);
            import(&definition, &[], Some(&file))
        };
        // An action that is a list or an object stops for other reasons.
        let is_refused = |value: &str| {
            let faults = given(value).unwrap_err();
            faults.iter().any(|fault| fault.starts_with("parameter `a` is given a"))
        };
        assert!(is_refused(bad) && !is_refused(good), "{definition}");
        let default = |value: &str| {
            let definition = definition.replacen('{', &format!(r#"{{"defaultValue": {value},"#), 1);
            let definitions = r#""definitions": {"act": {"type": "string", "allowedValues": ["Deny"]}}"#;
            let parameters = format!(r#"{definitions}, "parameters": {{"a": {definition}}}"#);
            shown(&property(&parameters, "[parameters('a')]"))
        };
        assert!(default(bad).starts_with('?'), "{definition}: {}", default(bad));
        assert!(!default(good).starts_with('?'), "{definition}: {}", default(good));
    }
}

#[test]
fn a_type_that_holds_itself_ends_with_the_value() {
    let definitions =
        r##""definitions": {"t": {"type": "array", "items": {"$ref": "#/definitions/t"}, "maxLength": 2}}"##;
    let made = |value: &str| {
        let parameter = format!(
            r##"{definitions}, "parameters": {{"a": {{"$ref": "#/definitions/t", "defaultValue": {value}}}}}"##
        );
        shown(&property(&parameter, "[parameters('a')]"))
    };
    assert_eq!(made("[[[]], []]"), "[[[]],[]]");
    assert!(made("[[[], [], []]]").starts_with('?'));
}

#[test]
fn what_is_known_of_a_value_is_refused_beside_what_is_not() {
    let definition = r#"{"type": "object", "defaultValue": {"x": "[reference('a').b]", "m": "Off"},
        "properties": {"m": {"type": "string", "allowedValues": ["On"]}}}"#;
    let made = property(
        &format!(r#""parameters": {{"a": {definition}}}"#),
        "[parameters('a').m]",
    );
    assert!(shown(&made).starts_with('?'), "{}", shown(&made));
}

#[test]
fn an_element_or_a_member_of_another_type_is_converted_as_the_whole_value_is() {
    let definition = r##"{"type": "object", "properties": {
        "n": {"type": "int", "allowedValues": [100, 200]}, "b": {"type": "bool"}, "s": {"$ref": "#/definitions/text"},
        "l": {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "int", "minValue": 1}},
        "o": {"$ref": "#/definitions/numbers"}}}"##;
    let rest = format!(
        r#""definitions": {{"text": {{"type": "string", "allowedValues": ["443"]}},
            "numbers": {{"type": "object", "additionalProperties": {{"type": "int", "maxValue": 9}}}}}},
        "parameters": {{"o": {definition}, "d": {{"type": "string"}}}}"#
    );
    let made = |value: &str, expression: &str| {
        let mut given = Given::default();
        given
            .add_file(&one(&format!("{{\"o\": {{\"value\": {value}}}}}")))
            .unwrap();
        let budget = Budget::default();
        let file = template(&rest, &format!("\"[{expression}]\""));
        let resources = deploy(&budget, &file, &given, &Path::default()).unwrap();
        (
            shown(resources[0].body.written("p").unwrap()),
            !budget.refused().is_empty(),
        )
    };
    for (value, expression, expected) in [
        (r#"{"n": "100"}"#, "equals(parameters('o').n, 100)", "true"),
        (
            r#"{"n": "100", "other": "5"}"#,
            "equals(parameters('o').other, '5')",
            "true",
        ),
        (r#"{"b": "True"}"#, "if(parameters('o').b, 1, 2)", "1"),
        (r#"{"s": 443}"#, "equals(parameters('o').s, '443')", "true"),
        (
            r#"{"l": [1, "2", 3]}"#,
            "equals(parameters('o').l, createArray('1', 2, 3))",
            "true",
        ),
        (
            r#"{"o": {"a": "7", "b": 8}}"#,
            "equals(parameters('o').o, createObject('a', 7, 'b', 8))",
            "true",
        ),
    ] {
        assert_eq!(made(value, expression), (expected.to_owned(), false), "{value}");
    }
    for refused in [
        r#"{"n": "300"}"#,
        r#"{"s": 80}"#,
        r#"{"l": ["a", "0"]}"#,
        r#"{"o": {"a": "10"}}"#,
    ] {
        let (value, is_refused) = made(refused, "string(parameters('o'))");
        assert!(value.starts_with('?') && is_refused, "{refused}: {value}");
    }
    let no_number = made(r#"{"n": "many", "b": true}"#, "parameters('o').n");
    assert_eq!(
        no_number,
        ("?member `n` has a value that is no int: it is a text".to_owned(), false)
    );
}
