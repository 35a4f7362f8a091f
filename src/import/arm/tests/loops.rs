//! Outputs of deployments in loops, as Bicep compiles `mods[0].outputs.id` and loops over `mods`.

use super::*;

/// `expression` beside a loop of deployments with this `copy`, `name` and other members: round `i` has output `o`, which is `out-i`.
fn beside_loop(symbolic: bool, copy: &str, members: &str, expression: &str) -> String {
    let rest = r#""contentVersion": "1", "parameters": {"n": {"type": "int"}, "b": {"type": "bool"}, "s": {"type": "string"}},
        "variables": {"names": ["web", "db", "app"]}"#;
    let deployment = format!(
        r#"{{"type": "Microsoft.Resources/deployments", "copy": {copy}, {members} "properties": {{
            "expressionEvaluationOptions": {{"scope": "inner"}},
            "parameters": {{"p": {{"value": "[format('out-{{0}}', copyIndex())]"}}}},
            "template": {{"resources": [], "parameters": {{"p": {{"type": "string"}}}},
                "outputs": {{"o": {{"type": "string", "value": "[parameters('p')]"}}}}}}}}}}"#
    );
    let group = format!(r#"{{"type": "Microsoft.Network/ipGroups", "name": "g", "p": {expression}}}"#);
    let resources = match symbolic {
        true => format!(r#"{{"mods": {deployment}, "g": {group}}}"#),
        false => format!("[{deployment}, {group}]"),
    };
    let template = one(&format!(r#"{{{rest}, "resources": {resources}}}"#));
    let resources = deployed(&template, &Given::default()).unwrap();
    shown(resources[0].body.written("p").unwrap())
}

const THREE: &str = r#"{"name": "mods", "count": "[length(variables('names'))]"}"#;
const NAMED: &str = r#""name": "[format('m-{0}', variables('names')[copyIndex()])]","#;

fn by_name(name: &str) -> String {
    format!("reference(resourceId('Microsoft.Resources/deployments', {name}), '2022-09-01').outputs.o.value")
}

#[test]
fn a_deployment_of_a_loop_is_found_by_the_name_of_its_round() {
    let made = |members: &str, name: &str| beside_loop(false, THREE, members, &format!("\"[{}]\"", by_name(name)));
    assert_eq!(made(NAMED, "'m-web'"), "out-0");
    assert_eq!(made(NAMED, "format('M-{0}', variables('names')[2])"), "out-2");
    assert!(made(NAMED, "'m-3'").starts_with('?'));
    // Of which a part is not known, it is the same as what is made of the same.
    let unique = r#""name": "[format('{0}-m-{1}', uniqueString(deployment().name), copyIndex())]","#;
    assert_eq!(
        made(unique, "format('{0}-m-{1}', uniqueString(deployment().name), 1)"),
        "out-1"
    );
    assert!(made(unique, "'m-1'").starts_with('?'));
    let alike = r#""name": "m","#;
    assert!(made(alike, "'m'").starts_with('?'), "three of one name");
    let others = r#""name": "m", "resourceGroup": "[variables('names')[copyIndex()]]","#;
    let elsewhere = "reference(resourceId('db', 'Microsoft.Resources/deployments', 'm')).outputs.o.value";
    assert_eq!(
        beside_loop(false, THREE, others, &format!("\"[{elsewhere}]\"")),
        "out-1"
    );
    let all = format!(
        r#"{{"copy": [{{"name": "l", "count": 3, "input": "[{}]"}}]}}"#,
        by_name("concat('m-', variables('names')[copyIndex('l')])")
    );
    assert_eq!(beside_loop(false, THREE, NAMED, &all), "{l:[out-0,out-1,out-2]}");
}

#[test]
fn a_deployment_of_a_loop_is_found_by_its_symbol_and_round() {
    let made = |expression: &str| beside_loop(true, THREE, NAMED, &format!("\"[{expression}]\""));
    for (expression, expected) in [
        ("reference('mods[1]').outputs.o.value", "out-1"),
        ("reference(format('MODS[{0}]', 2)).outputs.o.value", "out-2"),
        (
            "reference('mods[1]', '2022-09-01', 'Full').properties.outputs.o.value",
            "out-1",
        ),
        (
            "map(references('mods'), lambda('m', lambdaVariables('m').outputs.o.value))",
            "[out-0,out-1,out-2]",
        ),
        ("references('mods', 'full')[2].properties.outputs.o.value", "out-2"),
        ("length(references('mods'))", "3"),
        (
            "reference('mods[3]').outputs.o.value",
            "?the loop `mods` has only 3 rounds",
        ),
        (
            "reference('mods').outputs.o.value",
            "?`mods` is a loop: which of its deployments is meant is not said",
        ),
    ] {
        assert_eq!(made(expression), expected, "{expression}");
    }
    for unknown in [
        "reference('mods[01]').outputs.o.value",
        "reference('mods[+1]').outputs.o.value",
        "reference('mods[-1]').outputs.o.value",
        "reference('mods[1').outputs.o.value",
        "reference(format('mods[{0}]', parameters('n'))).outputs.o.value",
        "reference(parameters('s')).outputs.o.value",
        "reference('mods[1]', '2022-09-01', parameters('s')).outputs.o.value",
        "references('g')",
        "references(parameters('s'))",
        "reference('g')",
    ] {
        assert!(made(unknown).starts_with('?'), "{unknown}: {}", made(unknown));
    }
}

/// "If worker-0 and worker-2 are deployed while worker-1 is not, the output of references omits it" ("Resource functions").
#[test]
fn what_is_not_deployed_of_a_loop_has_no_outputs_and_is_not_among_all() {
    let made = |condition: &str, expression: &str| {
        let members = format!("{NAMED} \"condition\": \"[{condition}]\",");
        beside_loop(true, THREE, &members, &format!("\"[{expression}]\""))
    };
    let all = "map(references('mods'), lambda('m', lambdaVariables('m').outputs.o.value))";
    let not_one = "not(equals(copyIndex(), 1))";
    assert_eq!(made(not_one, all), "[out-0,out-2]");
    assert_eq!(made(not_one, "reference('mods[2]').outputs.o.value"), "out-2");
    assert!(
        made(not_one, "reference('mods[1]').outputs.o.value")
            .starts_with("?outputs of a deployment that is not deployed")
    );
    let unknown = "or(parameters('b'), equals(copyIndex(), 1))";
    assert!(made(unknown, all).starts_with('?'));
    assert_eq!(made(unknown, "reference('mods[1]').outputs.o.value"), "out-1");
    assert!(
        made(unknown, "reference('mods[2]').outputs.o.value")
            .starts_with("?whether the deployment is deployed is not known")
    );
}

#[test]
fn of_a_loop_whose_rounds_are_not_known_it_is_said_which_it_is() {
    let count = r#"{"name": "mods", "count": "[parameters('n')]"}"#;
    let why = "?how many deployments the loop `mods` has is not known: parameter `n` has no value";
    let made = |symbolic, expression: &str| beside_loop(symbolic, count, NAMED, &format!("\"[{expression}]\""));
    assert_eq!(made(false, &by_name("'m-web'")), why);
    for expression in [
        "reference('mods[0]').outputs.o.value",
        "references('mods')",
        "length(references('mods'))",
    ] {
        assert_eq!(made(true, expression), why, "{expression}");
    }
    assert!(made(true, "reference('other')").starts_with("?`reference` asks Azure"));
    let no_object = beside_loop(
        true,
        "\"[parameters('s')]\"",
        NAMED,
        "\"[reference('mods[0]').outputs.o.value]\"",
    );
    assert_eq!(no_object, "?the loop of a deployment is no object");
}

#[test]
fn a_loop_may_draw_on_its_other_rounds_and_on_another_loop_but_not_on_itself() {
    let text = |input: &str| {
        format!(
            r#"{{"resources": {{
                "a": {{"type": "Microsoft.Resources/deployments", "name": "[format('a-{{0}}', copyIndex())]", "copy": {{"name": "a", "count": 3}},
                    "properties": {{"template": {{"resources": [], "outputs": {{"o": {{"type": "string", "value": "{input}"}}}}}}}}}},
                "g": {{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "[reference('a[2]').outputs.o.value]"}}}}}}"#
        )
    };
    let before = "[if(equals(copyIndex(), 0), 'x', concat(reference(format('a[{0}]', if(equals(copyIndex(), 0), 0, sub(copyIndex(), 1)))).outputs.o.value, copyIndex()))]";
    let resources = deployed(&one(&text(before)), &Given::default()).unwrap();
    assert_eq!(shown(resources[0].body.written("p").unwrap()), "x12");
    let itself = text("[reference(format('a[{0}]', copyIndex())).outputs.o.value]");
    assert!(deployed(&one(&itself), &Given::default()).is_err());
}
