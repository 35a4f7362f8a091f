//! What a few bytes of a file have read over and over is paid for by its bytes, each time.

use super::*;
use crate::import::value::MAX_NAME_BYTES;
use generators::KEPT;

/// Steps that a file takes; all of them if it ends at a bound.
fn steps(file: String) -> u64 {
    let ([steps, ..], faults) = taken(file);
    match faults.iter().any(|fault| fault.found.contains(" more than ")) {
        true => u64::MAX,
        false => steps,
    }
}

/// A loop of nested templates that each get the text of variable `n` for a parameter with these fields.
fn given(rounds: usize, variables: &str, fields: &str) -> String {
    let inner = format!(
        "{{\"parameters\": {{\"x\": {{\"type\": \"string\", {fields}}}}}, \"resources\": [{{{IP_GROUP}, \"p\": \"[parameters('x')]\"}}]}}"
    );
    let deployment = format!(
        "{{\"type\": \"Microsoft.Resources/deployments\", \"name\": \"d\", \"copy\": {{\"name\": \"l\", \"count\": {rounds}}},
        \"properties\": {{\"expressionEvaluationOptions\": {{\"scope\": \"inner\"}},
        \"parameters\": {{\"x\": {{\"value\": \"[variables('n')]\"}}}}, \"template\": {inner}}}}}"
    );
    template(variables, &(deployment + "," + &names("[\"a.com\"]")))
}

#[test]
fn a_long_delimiter_is_paid_for_each_time_it_is_looked_for() {
    let split = "[split(padLeft('', 20000, 'a'), createArray('a', padLeft('', 5000, 'a')))]";
    assert!(steps(template("", &names(&format!("\"{split}\"")))) > 500_000);
}

#[test]
fn a_name_of_a_member_has_a_longest_length_and_is_paid_for() {
    let named = |length: usize| format!("{{\"{}\": {}}}", "w".repeat(length), names("[\"a.com\"]"));
    assert!(taken(named(MAX_NAME_BYTES)).1.is_empty());
    let (_, faults) = taken(named(MAX_NAME_BYTES + 1));
    assert!(faults[0].found.contains("more than 2048 bytes"), "{faults:?}");
    let object = |length: usize| {
        let object = format!("\"o\": {{\"[padLeft('', {length}, 'w')]\": 1}}");
        template(&object, &names("\"[string(variables('o'))]\""))
    };
    assert!(taken(object(MAX_NAME_BYTES)).1.is_empty());
    let made = |call: &str| template("", &names(&format!("\"[string({call})]\"")));
    for file in [
        object(MAX_NAME_BYTES + 1),
        made("createObject(padLeft('', 3000, 'w'), 1)"),
        made("toObject(createArray(padLeft('', 3000, 'w')), lambda('i', lambdaVariables('i')))"),
    ] {
        let (_, faults) = taken(file);
        assert!(faults[0].found.contains("more than 2048 bytes"), "{faults:?}");
    }
    let members = many(17, |index| format!("\"{}{index}\": 1", "w".repeat(2_000)));
    let list = format!("\"copy\": [{{\"name\": \"l\", \"count\": 1000, \"input\": {{{members}}}}}]");
    assert!(steps(template(&list, &names("\"[string(length(variables('l')))]\""))) > 17_000 * 2_000 / 64);
}

#[test]
fn a_text_that_may_name_an_ip_group_is_paid_for_however_often_it_is_shared() {
    let file = |text: &str| {
        let list = format!(
            "\"n\": \"[padLeft('{text}', 500, 'a')]\", \"copy\": [{{\"name\": \"l\", \"count\": 10000, \"input\": \"[variables('n')]\"}}]"
        );
        let group = format!("{{{IP_GROUP}, \"properties\": {{\"ipAddresses\": [\"10.0.0.1\"]}}}}");
        let body = "\"type\": \"Microsoft.Network/firewallPolicies/ruleCollectionGroups\", \"name\": \"p/g\", \
                    \"properties\": {\"ruleCollections\": \"[variables('l')]\"}";
        template(&list, &format!("{group}, {{{body}}}"))
    };
    assert!(taken(file("/")).0[0] > 10_000 * (500 / 64));
}

#[test]
fn a_value_is_compared_with_those_allowed_and_measured_by_its_bytes() {
    let text = |last: &str| format!("'{}{last}'", "a".repeat(2_000));
    let allowed = many(100, |index| text(&format!("{index:03}")).replace('\'', "\""));
    let value = format!("[map(range(0, 1000), lambda('i', {}))]", text("099"));
    let parameter = format!(
        "\"x\": 1}}, \"parameters\": {{\"p\": {{\"type\": \"array\", \"allowedValues\": [{allowed}], \"defaultValue\": \"{value}\"}}}}, \"y\": {{"
    );
    assert!(steps(template(&parameter, &names("\"[parameters('p')]\""))) > 1_000_000);
    let long = "\"n\": \"[padLeft('', 100000, 'a')]\"";
    let [measured, not] =
        ["\"maxLength\": 200000", "\"metadata\": {}"].map(|fields| taken(given(20, long, fields)).0[0]);
    assert!(measured >= not + 20 * (100_000 / 64), "{measured}, {not}");
}

#[test]
fn a_type_is_paid_for_by_the_references_that_lead_to_it() {
    let reference = |name: usize| format!("\"$ref\": \"#/definitions/d{name}\"");
    let definitions = many(15, |index| format!("\"d{index}\": {{{}}}", reference(index + 1)));
    let parameters = many(50, |index| format!("{{\"name\": \"p{index}\", {}}}", reference(0)));
    let function = format!(
        "\"copy\": [{{\"name\": \"l\", \"count\": 200, \"input\": \"[n.f({})]\"}}]}}, \"definitions\": {{{definitions}, \"d15\": {{\"type\": \"int\"}}}}, \"functions\": [{{\"namespace\": \"n\", \
         \"members\": {{\"f\": {{\"parameters\": [{parameters}], \"output\": {{\"value\": 1}}}}}}}}], \"y\": {{",
        many(50, |_| "1".into())
    );
    assert!(steps(template(&function, &names("\"[string(length(variables('l')))]\""))) > 200 * 50 * 15);
}

#[test]
fn each_resource_that_is_met_is_paid_for() {
    for (what, file) in KEPT {
        let ([_, text, _], _) = taken(file(2_000));
        assert!(text >= 2_000 * 400, "{what}: {text}");
    }
}

#[test]
fn objects_within_objects_are_dearer_than_other_values() {
    let object = (json::MOST_VALUES / 6) + 1;
    let one = |index| format!("{{\"type\": \"microsoft.network/ipgroups\", \"name\": \"n{index}\", \"a\": {{}}}}");
    let (_, faults) = taken(template("", &many(object, one)));
    assert!(faults[0].found.contains("more than 900000 values"), "{faults:?}");
}

#[test]
fn what_may_be_meant_is_paid_for_each_time_that_it_is_looked_for() {
    let looped = |kind: &str, count: usize, fields: &str| {
        let copy = format!("\"copy\": {{\"name\": \"l\", \"count\": {count}}}");
        format!("{{\"type\": \"Microsoft.Network/{kind}\", {copy}, {fields}}}")
    };
    let rest = "'-',parameters('p'),".repeat(20);
    let id = format!("resourceId('Microsoft.Network/firewallPolicies', concat('px-',{rest}'x'))");
    let variables = format!("\"id\": \"[{id}]\", \"group\": \"[concat('px-',{rest}'x/g')]\"");
    let policies = format!("\"name\": \"[concat('p',copyIndex(),{rest}'x')]\"");
    let policies = looped("firewallPolicies", 99, &policies);
    let with = |kind: &str, fields: &str, count: usize| {
        let parameters = "\"parameters\": {\"p\": {\"type\": \"string\"}}";
        let resources = format!("{policies},{}", looped(kind, count, fields));
        format!(
            "{{\"contentVersion\": \"1\", {parameters}, \"variables\": {{{variables}}}, \"resources\": [{resources}]}}"
        )
    };
    let user = "\"name\": \"f\", \"properties\": {\"firewallPolicy\": {\"id\": \"[variables('id')]\"}}";
    let group = "\"name\": \"[variables('group')]\", \"properties\": {\"priority\": 200}";
    for (kind, fields) in [
        ("azureFirewalls", user),
        ("firewallPolicies/ruleCollectionGroups", group),
    ] {
        let [few, many] = [10, 40].map(|count| steps(with(kind, fields, count)));
        assert!(many - few >= 30 * 99 * 5, "{kind}: {few}, {many}");
        assert_eq!(steps(with(kind, fields, 9_999)), u64::MAX, "{kind}");
    }
}
