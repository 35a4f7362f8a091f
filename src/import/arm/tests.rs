mod allowed;
mod answers;
mod declared;
mod doubt;
mod loops;
mod nested;
mod random;

use super::*;
use crate::import::{
    json,
    path::Path,
    value::{Kind, Value},
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn one(text: &str) -> Value {
    json::parse(text, 0).unwrap().remove(0)
}

/// A template with this as property `p` of an IP group, and the rest of the template beside it.
fn template(rest: &str, property: &str) -> Value {
    let resource = format!("{{\"type\": \"Microsoft.Network/ipGroups\", \"name\": \"g\", \"p\": {property}}}");
    one(&format!(
        "{{{rest}{} \"resources\": [{resource}]}}",
        if rest.is_empty() { "" } else { "," }
    ))
}

fn deployed(template: &Value, given: &Given) -> Result<Vec<Resource>, Exhausted> {
    deploy(&Budget::default(), template, given, &Path::default())
}

fn property(rest: &str, expression: &str) -> Value {
    let text = serde_json::Value::from(expression).to_string();
    let resources = deployed(&template(rest, &text), &Given::default()).unwrap();
    resources[0].body.as_object().unwrap().get("p").unwrap().clone()
}

/// As JSON without blanks; unknown ones as `?why`, stand-ins as `~text`.
fn shown(value: &Value) -> String {
    match &value.kind {
        Kind::Null => "null".into(),
        Kind::Bool(yes) => yes.to_string(),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => number.to_string(),
        Kind::Text(text) if text.stands_for.is_some() => format!("~{}", text.text),
        Kind::Text(text) => text.text.to_string(),
        Kind::List(list) => format!("[{}]", list.items.iter().map(shown).collect::<Vec<_>>().join(",")),
        Kind::Object(object) => {
            let entries = object
                .entries
                .iter()
                .map(|(key, value)| format!("{key}:{}", shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Kind::Unknown(unknown) => format!("?{}", unknown.why),
    }
}

fn made(expression: &str) -> String {
    shown(&property("", expression))
}

#[test]
fn what_azure_alone_knows_spreads_with_its_reason_and_stays_out_of_what_needs_none_of_it() {
    let azure = "?`reference` asks Azure for a resource as it runs";
    for (expression, expected) in [
        ("[reference('x').p]", azure),
        ("[concat('a', reference('x').p)]", azure),
        ("[concat(createArray('a'), reference('x').p)]", azure),
        (
            "[listKeys('x', '2020').keys[0]]",
            "?`listkeys` asks Azure for keys as it runs",
        ),
        ("[if(false(), reference('x'), 'known')]", "known"),
        ("[if(reference('x').p, 'a', 'b')]", azure),
        ("[and(false(), reference('x').p)]", "false"),
        ("[or(true(), reference('x').p)]", "true"),
        ("[coalesce('a', reference('x').p)]", "a"),
        ("[length(createArray(reference('x').p))]", "1"),
        ("[contains(createArray('a', reference('x').p), 'a')]", "true"),
        ("[string(createArray(reference('x').p))]", azure),
    ] {
        assert_eq!(made(expression), expected, "{expression}");
    }
    assert_eq!(made("[createArray('a', reference('x').p)]"), format!("[a,{azure}]"));
    // An element that may not be there leaves the length unknown.
    let filtered = "filter(createArray('a', reference('x').p), lambda('i', equals(lambdaVariables('i'), 'a')))";
    assert!(made(&format!("[{filtered}]")).starts_with("[a,?"));
    assert!(made(&format!("[length({filtered})]")).starts_with('?'));
}

#[test]
fn a_stand_in_is_the_same_as_itself_alone_and_never_passes_for_the_real_text() {
    let rest = r#""variables": {"u": "[uniqueString('a')]"}"#;
    assert_eq!(
        shown(&property(rest, "[equals(variables('u'), variables('u'))]")),
        "true"
    );
    assert!(shown(&property(rest, "[equals(variables('u'), concat(variables('u'), ''))]")).starts_with('?'));
    assert!(made("[equals(uniqueString('a'), uniqueString('b'))]").starts_with('?'));
    assert!(made("[equals(resourceGroup().location, 'westeurope')]").starts_with('?'));
    assert_eq!(
        made("[concat('AzureCloud.', resourceGroup().location)]"),
        "~AzureCloud.location"
    );
    assert!(made("[format('st{0}', uniqueString('a'))]").starts_with("~st"));
    assert_eq!(
        made("[resourceId('Microsoft.Network/ipGroups', 'spokes')]"),
        "~/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/resource-group/providers/Microsoft.Network/ipGroups/spokes"
    );
    assert_eq!(made("[last(split(resourceId('A.B/c/d', 'e', 'f'), '/'))]"), "f");
    assert!(made("[empty(resourceGroup().name)]").starts_with('?'));
}

/// Each once passed for known. `x` and `l` have no value; the property must be unknown or a stand-in.
#[test]
fn whatever_is_made_of_what_is_not_known_is_not_known() {
    let rest = r#""parameters": {"x": {"type": "string"}, "location": {"type": "string"}, "l": {"type": "array"}},
        "variables": {"x": "of a variable", "members": {"[parameters('x')]": 1, "a": 2}, "filtered": "[filter(createArray('a', 'b'),
            lambda('i', contains(parameters('l'), lambdaVariables('i'))))]"}"#;
    for expression in [
        // Two stand-ins that read alike.
        "equals(parameters('location'), resourceGroup().location)",
        "equals(subscription().subscriptionId, tenant().tenantId)",
        "equals(concat(parameters('x'), 'b'), toLower(concat(parameters('x'), 'b')))",
        // How many parts there are, and what is in them.
        "length(split(parameters('x'), ','))",
        "empty(skip(split(parameters('x'), ','), 1))",
        "length(union(createArray(parameters('x')), createArray('x')))",
        "json(concat('[\"', parameters('x'), '\"]'))",
        "tryGet(split(parameters('x'), '/'), 8)",
        // Names of members, and of variables.
        "createObject(parameters('x'), 1).x",
        "tryGet(createObject(parameters('x'), 1), 'a')",
        "contains(createObject(parameters('x'), 1), 'a')",
        "length(createObject('x', 1, parameters('x'), 2))",
        "objectKeys(createObject(parameters('x'), 1))",
        "items(createObject(parameters('x'), 1))[0].key",
        "toObject(createArray('a'), lambda('i', parameters('x')))",
        "groupBy(createArray('a'), lambda('i', parameters('x')))",
        "variables('members')",
        "variables(parameters('x'))",
        "tryGet(resourceGroup(), 'tags')",
        "contains(subscription(), 'tags')",
        // Members that may be objects, and that may differ.
        "union(createObject('a', parameters('l')), createObject('a', createObject('b', 1))).a",
        "intersection(createObject('a', parameters('l')), createObject('a', parameters('l')))",
        // Elements that may not be there.
        "length(variables('filtered'))",
        "reduce(variables('filtered'), 0, lambda('a', 'b', 1))",
        "toObject(variables('filtered'), lambda('i', 'k'))",
        "groupBy(variables('filtered'), lambda('i', 'k'))",
        "first(variables('filtered'))",
        "filter(variables('filtered'), lambda('i', 'at', equals(lambdaVariables('at'), 1)))[0]",
    ] {
        let value = property(rest, &format!("[{expression}]"));
        assert!(value.doubt().is_some(), "{expression}: {}", shown(&value));
        assert!(
            !matches!(value.kind, Kind::Object(_)),
            "{expression}: {}",
            shown(&value)
        );
    }
}

#[test]
fn parameters_take_the_given_value_then_the_default_and_are_unknown_without_either() {
    let rest = r#""parameters": {
        "a": {"type": "string", "defaultValue": "[concat('x', parameters('b'))]"},
        "b": {"type": "int", "defaultValue": 3},
        "c": {"type": "array"},
        "d": {"type": "string"},
        "e": {"type": "object", "nullable": true}
    }"#;
    assert_eq!(shown(&property(rest, "[parameters('A')]")), "x3");
    assert_eq!(
        shown(&property(rest, "[parameters('c')]")),
        "?parameter `c` has no value"
    );
    assert_eq!(shown(&property(rest, "[parameters('d')]")), "~d");
    assert_eq!(shown(&property(rest, "[parameters('e')]")), "null");
    assert_eq!(
        shown(&property(rest, "[parameters('f')]")),
        "?the template has no parameter `f`"
    );

    let mut given = Given::default();
    given
        .add_file(&one(
            r#"{"parameters": {"c": {"value": ["[not(read)]"]}, "d": {"reference": {}}}}"#,
        ))
        .unwrap();
    given.set("b", "7");
    given.set("e", "{\"k\": true}");
    let list = "[createArray(parameters('a'), parameters('c'), parameters('d'), parameters('e'))]";
    let text = serde_json::Value::from(list).to_string();
    let resources = deployed(&template(rest, &text), &given).unwrap();
    assert_eq!(
        shown(resources[0].body.as_object().unwrap().get("p").unwrap()),
        "[x7,[[not(read)]],~d,{k:true}]"
    );
}

#[test]
fn loops_of_resources_properties_and_variables_are_unrolled() {
    let rest = r#""variables": {
        "copy": [{"name": "v", "count": 3, "input": "[copyIndex('v', 1)]"}],
        "o": {"copy": [{"name": "w", "count": 2, "input": {"i": "[copyIndex('w')]"}}]}
    }"#;
    assert_eq!(shown(&property(rest, "[variables('v')]")), "[1,2,3]");
    assert_eq!(shown(&property(rest, "[variables('o').w]")), "[{i:0},{i:1}]");

    let resources = deployed(
        &one(r#"{"resources": {"groups": {
            "copy": {"name": "groups", "count": "[length(createArray('a', 'b'))]"},
            "type": "Microsoft.Network/ipGroups", "name": "[format('g{0}', copyIndex())]",
            "properties": {"copy": [{"name": "ipAddresses", "count": 2, "input": "[concat(copyIndex(), copyIndex('ipAddresses'))]"}]}
        }}}"#),
        &Given::default(),
    )
    .unwrap();
    let texts: Vec<_> = resources
        .iter()
        .map(|one| {
            (
                shown(&one.name),
                shown(one.body.get("properties").unwrap()),
                one.path.to_string(),
            )
        })
        .collect();
    let expected = [
        ("g0".into(), "{ipAddresses:[00,01]}".into(), "$.resources.groups".into()),
        ("g1".into(), "{ipAddresses:[10,11]}".into(), "$.resources.groups".into()),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn functions_of_the_template_see_their_own_parameters_alone() {
    let rest = r#""variables": {"v": 1}, "parameters": {"x": {"type": "int", "defaultValue": 9}},
        "functions": [{"namespace": "my", "members": {"twice": {
            "parameters": [{"name": "x", "type": "int"}],
            "output": {"type": "int", "value": "[mul(parameters('x'), 2)]"}
        }}}]"#;
    assert_eq!(shown(&property(rest, "[my.twice(4)]")), "8");
    assert_eq!(shown(&property(rest, "[my.twice()]")), "?`my.twice`: takes 1 arguments");
    assert_eq!(
        shown(&property(rest, "[my.thrice(1)]")),
        "?`my.thrice`: no such function in the template"
    );
}

#[test]
fn a_false_condition_leaves_a_resource_out_and_an_unknown_one_leaves_it_in_doubt() {
    let text = r#"{"parameters": {"p": {"type": "bool"}}, "resources": [
        {"type": "Microsoft.Network/ipGroups", "name": "a", "condition": false},
        {"type": "Microsoft.Network/ipGroups", "name": "b", "condition": "[parameters('p')]"},
        {"type": "Microsoft.Network/ipGroups", "name": "c", "condition": "[not(false())]"}
    ]}"#;
    let deployed = deploy(&Budget::default(), &one(text), &Given::default(), &Path::default()).unwrap();
    let names: Vec<_> = deployed
        .iter()
        .map(|one| (shown(&one.name), one.doubt.is_some(), one.left_out.is_some()))
        .collect();
    let expected = [("a", false, true), ("b", true, false), ("c", false, false)];
    assert_eq!(names, expected.map(|(name, doubt, out)| (name.to_owned(), doubt, out)));
}

#[test]
fn children_carry_the_type_and_name_of_their_parent() {
    let text = r#"{"resources": [{"type": "Microsoft.Network/firewallPolicies", "name": "p", "resources": [
        {"type": "ruleCollectionGroups", "name": "g"}
    ]}]}"#;
    let resources = deployed(&one(text), &Given::default()).unwrap();
    assert_eq!(
        resources[1].kind,
        "microsoft.network/firewallpolicies/rulecollectiongroups"
    );
    assert_eq!(
        (shown(&resources[1].name), resources[1].path.to_string()),
        ("p/g".into(), "$.resources[0].resources[0]".into())
    );
}

/// Each ends in an error that says which bound, within the second that a hostile template may cost. A debug build takes ten
/// times as long, and on a busy machine more.
#[test]
fn hostile_templates_end_at_a_bound() {
    let doubled = |what: &str, rounds: usize| {
        let first = format!("\"v0\": \"{}\"", "x".repeat(1000));
        let rest = (1..rounds).map(|i| {
            let before = format!("variables('v{}')", i - 1);
            format!("\"v{i}\": \"[{}]\"", what.replace('@', &before))
        });
        let all: Vec<String> = std::iter::once(first).chain(rest).collect();
        (
            format!("\"variables\": {{{}}}", all.join(",")),
            format!("[variables('v{}')]", rounds - 1),
        )
    };
    let text = |rest: String, property: String| (rest, serde_json::Value::from(property).to_string());
    let nested_calls = format!("[{}1{}]", "add(1,".repeat(90), ")".repeat(90));
    let cases = [
        ("self-reference", text(r#""variables": {"a": "[variables('b')]", "b": "[variables('a')]"}"#.into(), "[variables('a')]".into())),
        ("copy count", ("\"variables\": {\"copy\": [{\"name\": \"v\", \"count\": 2000000000, \"input\": 1}]}".into(), "\"[variables('v')]\"".into())),
        ("copy in copy", (String::new(), r#"{"copy": [{"name": "a", "count": 9999, "input": {"copy": [{"name": "b", "count": 9999, "input": "[copyIndex('b')]"}]}}]}"#.into())),
        ("text growth", { let (a, b) = doubled("concat(@, @)", 30); text(a, b) }),
        ("replace", { let (a, b) = doubled("replace(@, 'x', @)", 4); text(a, b) }),
        ("padding", text(String::new(), "[padLeft('a', 2000000000)]".into())),
        ("list growth", { let (a, b) = doubled("concat(array(@), array(@))", 30); text(a.replace("array(variables('v0'))", "range(0,10000)"), b) }),
        ("shared lists", { let (a, b) = doubled("createArray(@, @)", 60); text(a, format!("[string({})]", &b[1..b.len() - 1])) }),
        ("reduce", text(String::new(), "[reduce(range(0,10000), createArray(), lambda('a','b', createArray(lambdaVariables('a'))))]".into())),
        ("deep calls", text((0..90).map(|i| format!("\"v{i}\": \"[add(1, variables('v{}'))]\"", i + 1)).collect::<Vec<_>>().join(",").replace("\"v0\"", "\"variables\": {\"v0\"") + ", \"v90\": 1}", nested_calls.replace('1', "variables('v0')"))),
        ("lambdas in lambdas", text(String::new(), "[map(range(0,9999), lambda('a', map(range(0,9999), lambda('b', 1))))]".into())),
        ("looks at a text", text(
            r#""variables": {"t": "[padLeft('', 16000000, 'a')]", "copy": [{"name": "v", "count": 10000, "input": "[indexOf(variables('t'), 'ab')]"}]}"#.into(),
            "[variables('v')]".into(),
        )),
        ("looks at a list", text(
            r#""variables": {"l": "[range(0, 10000)]", "copy": [{"name": "v", "count": 9999, "input": "[max(variables('l'))]"}]}"#.into(),
            "[variables('v')]".into(),
        )),
        ("looks for a name", text(
            format!(
                r#""variables": {{"o": {{{}}}, "copy": [{{"name": "v", "count": 9999, "input": "[tryGet(variables('o'), '{}')]"}}]}}"#,
                (0..9000).map(|i| format!("\"{}{i:05}\": 1", "k".repeat(100))).collect::<Vec<_>>().join(","),
                "k".repeat(105)
            ),
            "[variables('v')]".into(),
        )),
        ("a long text again and again", (
            String::new(),
            format!(
                r#"{{"copy": [{{"name": "a", "count": 9999, "input": "[concat('{}')]"}}]}}"#,
                "x".repeat(500_000)
            ),
        )),
        ("a long list again and again", (
            String::new(),
            format!(r#"{{"copy": [{{"name": "a", "count": 9999, "input": [{}1]}}]}}"#, "1,".repeat(100_000)),
        )),
        ("sort", text(String::new(), "[sort(range(0,10000), lambda('a', 'b', true()))]".into())),
    ];
    for (name, (rest, property)) in cases {
        let most = Duration::from_secs(if cfg!(debug_assertions) { 40 } else { 1 });
        let started = Instant::now();
        let outcome = deployed(&template(&rest, &property), &Given::default());
        assert!(started.elapsed() < most, "{name} took {:?}", started.elapsed());
        assert!(outcome.is_err(), "{name}: {}", shown(&outcome.unwrap()[0].body));
    }
}
