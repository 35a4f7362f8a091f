//! What a parameter is declared to be decides what its value is, and what Azure's order of texts is not known for is not known.

use super::*;

/// Property `p`, with a parameter `x` of this definition, a file of parameters, and this expression.
fn with(definition: &str, file: Option<&str>, expression: &str) -> String {
    let mut given = Given::default();
    if let Some(file) = file {
        given.add_file(&one(file)).unwrap();
    }
    let rest = format!("\"parameters\": {{\"x\": {definition}}}");
    let text = serde_json::Value::from(expression).to_string();
    let resources = deployed(&template(&rest, &text), &given).unwrap();
    shown(resources[0].body.written("p").unwrap())
}

#[test]
fn a_value_of_another_type_is_converted_or_not_known_and_never_compared_as_it_stands() {
    for (definition, file, expression, expected) in [
        (
            "{\"type\": \"bool\"}",
            Some("\"true\""),
            "[equals(parameters('x'), true())]",
            "true",
        ),
        (
            "{\"type\": \"Bool\", \"defaultValue\": \"False\"}",
            None,
            "[equals(parameters('x'), false())]",
            "true",
        ),
        (
            "{\"type\": \"int\", \"defaultValue\": \"1\"}",
            None,
            "[equals(parameters('x'), 1)]",
            "true",
        ),
        (
            "{\"type\": \"int\"}",
            Some("\"2\""),
            "[equals(parameters('x'), 1)]",
            "false",
        ),
        (
            "{\"type\": \"string\"}",
            Some("7"),
            "[equals(parameters('x'), '7')]",
            "true",
        ),
        ("{\"type\": \"secureString\"}", Some("\"a\""), "[parameters('x')]", "a"),
        ("{}", Some("\"true\""), "[parameters('x')]", "true"),
        (
            "{\"type\": \"bool\"}",
            Some("\"yes\""),
            "[parameters('x')]",
            "?parameter `x` has a value that is no bool: it is a text",
        ),
        (
            "{\"type\": \"array\", \"defaultValue\": \"a\"}",
            None,
            "[parameters('x')]",
            "?parameter `x` has a value that is no array: it is a text",
        ),
        (
            "{\"type\": \"string\"}",
            Some("true"),
            "[equals(parameters('x'), 'true')]",
            "?two values of which one is not known are compared",
        ),
    ] {
        let file = file.map(|value| format!("{{\"parameters\": {{\"x\": {{\"value\": {value}}}}}}}"));
        assert_eq!(
            with(definition, file.as_deref(), expression),
            expected,
            "{definition} {expression}"
        );
    }
}

#[test]
fn null_is_the_value_of_what_is_nullable_alone() {
    let empty = "[if(empty(parameters('x')), createArray('*'), parameters('x'))]";
    let no_value = "?parameter `x` has no value";
    for definition in [
        "{\"type\": \"array\", \"defaultValue\": null}",
        "{\"type\": \"array\", \"defaultValue\": \"[null()]\"}",
    ] {
        assert_eq!(with(definition, None, empty), no_value);
        assert_eq!(with(definition, Some("{\"x\": [\"a\"]}"), empty), "[a]");
    }
    assert_eq!(with("{\"type\": \"array\"}", Some("{\"x\": null}"), empty), no_value);
    assert_eq!(
        with(
            "{\"type\": \"array\", \"nullable\": true, \"defaultValue\": null}",
            None,
            empty
        ),
        "[*]"
    );
    assert_eq!(
        with(
            "{\"type\": \"string\", \"defaultValue\": null}",
            None,
            "[parameters('x')]"
        ),
        "~x"
    );
}

#[test]
fn values_are_read_in_each_form_of_a_parameters_file() {
    let list = "{\"type\": \"array\"}";
    for file in [
        "{\"parameters\": {\"x\": {\"value\": [\"a\"]}}}",
        "{\"x\": {\"value\": [\"a\"]}}",
        "{\"x\": {\"type\": \"Array\", \"value\": [\"a\"]}}",
        "{\"x\": [\"a\"]}",
    ] {
        assert_eq!(with(list, Some(file), "[parameters('x')]"), "[a]", "{file}");
    }
    let secret = with(
        "{\"type\": \"bool\"}",
        Some("{\"x\": {\"reference\": {\"secretName\": \"s\"}}}"),
        "[parameters('x')]",
    );
    assert_eq!(secret, "?parameter `x` is a secret of a Key Vault");
    // An object of the user's own that has a `value` among others.
    let object = with(
        "{\"type\": \"object\"}",
        Some("{\"x\": {\"value\": 1, \"b\": 2}}"),
        "[parameters('x').b]",
    );
    assert_eq!(object, "2");
    let (_, mixed) = Given::default()
        .add_file(&one("{\"x\": {\"value\": 1}, \"y\": 2}"))
        .unwrap_err();
    assert_eq!(
        mixed,
        "parameter `y` has neither `value` nor `reference`: { \"value\": .. }"
    );
}

#[test]
fn texts_are_in_an_order_where_every_way_of_comparing_gives_the_same() {
    let unknown = "in which order Azure puts two such texts is not known";
    for (one, other, expected) in [
        ("a", "b", Some(true)),
        ("item-10", "item-9", Some(true)),
        ("aiFoundry", "aiSearch", Some(true)),
        ("rg", "rg-1", Some(true)),
        ("2", "1", Some(false)),
        ("1", "a", Some(true)),
        ("", "a", Some(true)),
        ("A", "a", None),
        ("Weball", "denyEvil", None),
        ("a-b", "ab", None),
        ("allow-web", "deny-all", Some(true)),
        ("b-1", "A-1", Some(false)),
        ("x-1-a", "x-2", Some(true)),
        ("B-1", "a-1", None),
        ("a-1", "A-2", None),
        ("-a", "b", None),
        ("ae\u{301}", "b", None),
        ("a_b", "aXb", None),
        ("é", "f", None),
    ] {
        let less = expected.map_or(format!("?`less`: {unknown}"), |less| less.to_string());
        assert_eq!(made(&format!("[less('{one}', '{other}')]")), less, "{one} {other}");
        let greater = expected.map_or(format!("?`greater`: {unknown}"), |less| (!less).to_string());
        assert_eq!(
            made(&format!("[greater('{one}', '{other}')]")),
            greater,
            "{one} {other}"
        );
    }
    let items = "[map(items(createObject('b', 1, 'a', 2)), lambda('x', lambdaVariables('x').key))]";
    assert_eq!(made(items), "[a,b]");
    let unknown = "?`items`: in which order Azure puts such names is not known";
    assert_eq!(made("[items(createObject('denyEvil', 1, 'Weball', 2))]"), unknown);
}

#[test]
fn what_azure_makes_of_a_base_without_a_path_is_not_known() {
    assert_eq!(
        made("[uri('http://contoso.org/a/b.json', 'c.sh')]"),
        "http://contoso.org/a/c.sh"
    );
    assert_eq!(made("[uri('http://contoso.org/a', '/c')]"), "http://contoso.org/c");
    for arguments in [
        "'http://contoso.com', 'c'",
        "'contoso.com/a', 'c'",
        "'http://contoso.com/a', '../c'",
        "'http://a.com/', '//b.com/c'",
    ] {
        assert!(made(&format!("[uri({arguments})]")).starts_with('?'), "{arguments}");
    }
}

/// Property `p`, with a parameter `x` of this definition in a template with definitions, set to a text.
fn behind(definition: &str, set: Option<&str>, expression: &str) -> String {
    let mut given = Given::default();
    if let Some(text) = set {
        given.set("x", text);
    }
    let member = "{\"namespace\": \"u\", \"members\": {\"is\": {\"parameters\": [{\"name\": \"a\", \
        \"$ref\": \"#/definitions/flag\"}], \"output\": {\"type\": \"bool\", \
        \"value\": \"[equals(parameters('a'), true())]\"}}}}";
    let definitions = "{\"flag\": {\"type\": \"bool\"}, \"num\": {\"type\": \"int\"}, \"names\": {\"type\": \"array\", \
        \"items\": {\"type\": \"string\"}, \"nullable\": true}, \"alias\": {\"$ref\": \"#/definitions/flag\"}, \
        \"thing\": {\"type\": \"object\", \"properties\": {\"on\": {\"$ref\": \"#/definitions/alias\"}}}, \
        \"mixed\": {\"allowedValues\": [1, \"a\"]}, \"round\": {\"$ref\": \"#/definitions/round\"}}";
    let rest =
        format!("\"parameters\": {{\"x\": {definition}}}, \"definitions\": {definitions}, \"functions\": [{member}]");
    let text = serde_json::Value::from(expression).to_string();
    let resources = deployed(&template(&rest, &text), &given).unwrap();
    shown(resources[0].body.written("p").unwrap())
}

#[test]
fn a_type_behind_a_reference_is_followed_or_not_known() {
    let reference = |to: &str| format!("{{\"$ref\": \"#/definitions/{to}\"}}");
    let lost = "?parameter `x` is of a type whose definition is not found";
    for (to, set, expression, expected) in [
        ("flag", Some("true"), "[equals(parameters('x'), true())]", "true"),
        ("alias", Some("true"), "[equals(parameters('x'), true())]", "true"),
        (
            "thing/properties/on",
            Some("true"),
            "[equals(parameters('x'), true())]",
            "true",
        ),
        (
            "num",
            Some("1"),
            "[contains(createArray(1, 2), parameters('x'))]",
            "true",
        ),
        ("names", Some("a,b"), "[length(parameters('x'))]", "2"),
        ("names/items", Some("1"), "[parameters('x')]", "1"),
        ("names", None, "[coalesce(parameters('x'), createArray('*'))]", "[*]"),
        ("flag", None, "[parameters('x')]", "?parameter `x` has no value"),
        ("mixed", Some("1"), "[parameters('x')]", lost),
        ("none", Some("1"), "[parameters('x')]", lost),
        ("round", Some("1"), "[parameters('x')]", lost),
    ] {
        assert_eq!(behind(&reference(to), set, expression), expected, "{to} {expression}");
    }
    let nearest = "{\"$ref\": \"#/definitions/names\", \"nullable\": false}";
    assert_eq!(
        behind(nearest, None, "[parameters('x')]"),
        "?parameter `x` has no value"
    );
    let argument = behind("{\"type\": \"string\"}", Some("true"), "[u.is(parameters('x'))]");
    assert_eq!(argument, "true");
}
