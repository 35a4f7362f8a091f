//! What the functions of templates answer.

use super::*;

/// Each row from the examples of Azure's documentation of the function, or from what it says of it in words.
#[test]
fn functions_answer_as_documented() {
    for (expression, expected) in [
        ("[concat('a', 'b', 1)]", "ab1"),
        ("[concat(createArray(1), createArray(2, 3))]", "[1,2,3]"),
        (
            "[format('{0}, {1}. {{x}} {2}', 'Hello', 'User', true())]",
            "Hello, User. {x} True",
        ),
        ("[replace('123-123-1234', '-', '')]", "1231231234"),
        ("[split('one,two', ',')]", "[one,two]"),
        ("[split('one;two,three', createArray(',', ';'))]", "[one,two,three]"),
        ("[padLeft(123, 10, '0')]", "0000000123"),
        ("[substring('one two three', 4, 3)]", "two"),
        ("[substring('abc', 2, 3)]", "?`substring`: beyond the end of the text"),
        ("[toUpper('One')]", "ONE"),
        ("[trim(' a ')]", "a"),
        ("[startsWith('abcdef', 'AB')]", "true"),
        ("[endsWith('abcdef', 'e')]", "false"),
        ("[indexOf('test', 'T')]", "0"),
        ("[lastIndexOf('test', 't')]", "3"),
        ("[indexOf('abcdef', 'z')]", "-1"),
        ("[join(createArray('a', 'b'), ';')]", "a;b"),
        ("[base64ToString(base64('one, two'))]", "one, two"),
        ("[json('{\"a\": [1, null]}')]", "{a:[1,null]}"),
        ("[json('null')]", "null"),
        ("[string(true())]", "True"),
        ("[string(createObject('a', createArray(1, 'b')))]", "{\"a\":[1,\"b\"]}"),
        (
            "[uri('http://contoso.org/firstpath/', 'myscript.sh')]",
            "http://contoso.org/firstpath/myscript.sh",
        ),
        (
            "[uriComponent('http://contoso.com/a b')]",
            "http%3A%2F%2Fcontoso.com%2Fa%20b",
        ),
        ("[uriComponentToString('a%20b')]", "a b"),
        ("[first('One Two')]", "O"),
        ("[first(createArray())]", "null"),
        ("[last(createArray(1, 2))]", "2"),
        ("[skip(createArray('one', 'two', 'three'), 2)]", "[three]"),
        ("[take('one two', 3)]", "one"),
        ("[take(createArray(1), 9)]", "[1]"),
        ("[length('13 characters')]", "13"),
        ("[contains('OneTwoThree', 'e')]", "true"),
        ("[contains(createArray('one', 'two'), 'three')]", "false"),
        ("[contains(createObject('One', 'a'), 'one')]", "true"),
        ("[empty('')]", "true"),
        ("[empty(null())]", "true"),
        ("[range(5, 3)]", "[5,6,7]"),
        ("[min(createArray(0, 3, 2))]", "0"),
        ("[max(0, 3, 2)]", "3"),
        ("[union(createArray('a', 'b'), createArray('b', 'c'))]", "[a,b,c]"),
        (
            "[union(createObject('a', createObject('b', 1)), createObject('A', createObject('c', 2)))]",
            "{a:{b:1,c:2}}",
        ),
        ("[intersection(createArray('a', 'b'), createArray('b'))]", "[b]"),
        ("[flatten(createArray(createArray(1), createArray(2)))]", "[1,2]"),
        ("[array('a')]", "[a]"),
        (
            "[items(createObject('b', 1, 'a', 2))]",
            "[{key:a,value:2},{key:b,value:1}]",
        ),
        ("[objectKeys(createObject('a', 1))]", "[a]"),
        ("[tryGet(createObject('a', createObject('b', 1)), 'a', 'b')]", "1"),
        ("[tryGet(createArray(1), 3)]", "null"),
        ("[tryGet(null(), 'a')]", "null"),
        ("[indexFromEnd(createArray(1, 2, 3), 1)]", "3"),
        ("[coalesce(null(), 'default')]", "default"),
        (
            "[equals(createObject('a', 1, 'b', 2), createObject('b', 2, 'a', 1))]",
            "true",
        ),
        ("[equals('a', 'A')]", "false"),
        ("[greaterOrEquals(5, 3)]", "true"),
        ("[less('a', 'b')]", "true"),
        ("[and(bool('true'), not(false()))]", "true"),
        ("[or(false(), bool(1))]", "true"),
        ("[if(equals('a', 'a'), 'yes', div(1, 0))]", "yes"),
        ("[add(5, 3)]", "8"),
        ("[div(8, 3)]", "2"),
        ("[mod(7, 3)]", "1"),
        ("[div(1, 0)]", "?`div`: is out of range"),
        ("[int('4')]", "4"),
        (
            "[filter(createArray('Evie', 'Casper', 'Indy'), lambda('name', contains(lambdaVariables('name'), 'e')))]",
            "[Evie,Casper]",
        ),
        (
            "[map(range(0, 3), lambda('i', 'at', add(lambdaVariables('i'), lambdaVariables('at'))))]",
            "[0,2,4]",
        ),
        (
            "[reduce(createArray(5, 3, 2), 0, lambda('cur', 'next', add(lambdaVariables('cur'), lambdaVariables('next'))))]",
            "10",
        ),
        (
            "[sort(createArray(2, 3, 1), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))]",
            "[1,2,3]",
        ),
        (
            "[toObject(createArray('a'), lambda('x', lambdaVariables('x')), lambda('x', 1))]",
            "{a:1}",
        ),
        (
            "[groupBy(createArray('a', 'b', 'a'), lambda('x', lambdaVariables('x')))]",
            "{a:[a,a],b:[b]}",
        ),
        (
            "[mapValues(createObject('a', 1), lambda('v', add(lambdaVariables('v'), 1)))]",
            "{a:2}",
        ),
        ("[cidrSubnet('10.144.0.0/20', 24, 1)]", "10.144.1.0/24"),
        ("[cidrHost('10.144.3.0/24', 0)]", "10.144.3.1"),
        ("[parseCidr('10.144.0.0/20').lastUsable]", "10.144.15.254"),
        ("[environment().suffixes.keyvaultDns]", ".vault.azure.net"),
        ("[createArray('a')[0]]", "a"),
        ("[createObject('a-b', createArray(1))['a-b'][0]]", "1"),
        ("[createArray('a')[1]]", "?a list has no that position"),
        ("[[not an expression]", "[not an expression]"),
        ("[nope('a')]", "?`nope`: no such function"),
        ("[CONCAT('a', 'b')]", "ab"),
    ] {
        assert_eq!(made(expression), expected, "{expression}");
    }
}

#[test]
fn what_is_known_of_a_text_says_that_it_is_not_empty() {
    let rest = r#""parameters": {"s": {"type": "string"}}"#;
    let id = "resourceId('Microsoft.Network/firewallPolicies', 'p')";
    for (expression, expected) in [
        ("empty(ID)", "false"),
        ("empty(concat('a', parameters('s')))", "false"),
        ("not(empty(format('{0}-', parameters('s'))))", "true"),
        ("equals(ID, '')", "false"),
        ("equals('', ID)", "false"),
        ("contains(ID, '/providers/')", "true"),
        ("greater(length(ID), 0)", "true"),
        ("less(0, length(ID))", "true"),
        ("equals(length(ID), 0)", "false"),
        ("greaterOrEquals(length(concat('ab', parameters('s'))), 2)", "true"),
        ("less(length(concat('ab', parameters('s'))), 2)", "false"),
        ("lessOrEquals(length(concat('ab', parameters('s'))), 1)", "false"),
        ("greater(length('ab'), 1)", "true"),
        ("greater(length(createArray(1)), 1)", "false"),
    ] {
        let expression = format!("[{}]", expression.replace("ID", id));
        assert_eq!(shown(&property(rest, &expression)), expected, "{expression}");
    }
    for unknown in [
        "empty(parameters('s'))",
        "empty(concat(parameters('s'), parameters('s')))",
        "equals(parameters('s'), '')",
        "equals(concat('a', parameters('s')), 'b')",
        "contains(concat('a', parameters('s')), 'b')",
        "contains(concat('a', parameters('s')), 'as')",
        "contains('abc', parameters('s'))",
        "greater(length(concat('ab', parameters('s'))), 2)",
        "less(length(concat('ab', parameters('s'))), 3)",
        "equals(length(concat('ab', parameters('s'))), 2)",
        "greaterOrEquals(length(parameters('s')), 1)",
        // Of `a,b` this is `b`, of `a,` it is empty.
        "empty(concat(split(parameters('s'), ','), createArray(concat('a', parameters('s'))))[1])",
    ] {
        let made = shown(&property(rest, &format!("[{unknown}]")));
        assert!(made.starts_with('?'), "{unknown}: {made}");
    }
}

#[test]
fn the_parts_of_an_id_are_where_they_are_though_nobody_knows_where_it_is_deployed() {
    let rest = r#""parameters": {"s": {"type": "string"}, "n": {"type": "string"}}"#;
    let id = "resourceId('Microsoft.Network/firewallPolicies/ruleCollectionGroups', 'p', 'g')";
    let unique = "resourceId('a', 'Microsoft.Network/ipGroups', concat('x', uniqueString(resourceGroup().id)))";
    for (expression, expected) in [
        ("last(split(ID, '/'))", "g"),
        ("split(ID, '/')[8]", "p"),
        ("split(ID, '/')[4]", "~resource-group"),
        ("first(split(ID, '/'))", ""),
        ("length(split(ID, '/'))", "11"),
        ("join(skip(split(ID, '/'), 8), '-')", "p-ruleCollectionGroups-g"),
        ("split(UNIQUE, '/')[4]", "a"),
        ("split(subscription().id, '/')[1]", "subscriptions"),
        ("split(subscriptionResourceId('A.B/c', 'd'), '/')[6]", "d"),
        // Azure refuses an id of a name with a slash.
        ("split(resourceId('A.B/c', parameters('s')), '/')[8]", "~s"),
        (
            "last(split(resourceId('A.B/c', format('{0}-x', parameters('s'))), '/'))",
            "~s-x",
        ),
        ("last(split(resourceId(parameters('n'), 'A.B/c', 'd'), '/'))", "d"),
        (
            "last(split(resourceId(parameters('s'), parameters('n'), 'A.B/c', 'd'), '/'))",
            "d",
        ),
        (
            "equals(last(split(UNIQUE, '/')), concat('x', uniqueString(resourceGroup().id)))",
            "?",
        ),
    ] {
        let expression = format!("[{}]", expression.replace("ID", id).replace("UNIQUE", unique));
        let made = shown(&property(rest, &expression));
        match expected {
            "?" => assert!(made.starts_with('?'), "{expression}: {made}"),
            _ => assert_eq!(made, expected, "{expression}"),
        }
    }
    for unknown in [
        // A parameter may hold a slash, and so may what is made of a part.
        "last(split(extensionResourceId(parameters('s'), 'A.B/c', 'd'), '/'))",
        "last(split(concat(parameters('s'), '/d'), '/'))",
        "split(concat('a/', parameters('s')), '/')[0]",
        "last(split(concat(base64(resourceGroup().name), '/d'), '/'))",
        "last(split(concat(format('{0}', createArray(resourceGroup().name)), '/d'), '/'))",
        "last(split(concat(utcNow('yyyy/MM'), '/d'), '/'))",
        "last(split(concat(subscription().displayName, '/d'), '/'))",
        // Beside a slash may stand more of the delimiter.
        "last(split(ID, '/r'))",
        "last(split(ID, parameters('s')))",
        "last(split(ID, createArray('/', 'r')))",
    ] {
        let made = shown(&property(rest, &format!("[{}]", unknown.replace("ID", id))));
        assert!(made.starts_with(['?', '~']), "{unknown}: {made}");
    }
    // What is deployed to a subscription has ids without a group.
    for (level, known) in [
        ("", true),
        ("subscription", false),
        ("managementGroup", false),
        ("tenant", false),
    ] {
        let schema = format!("https://schema.management.azure.com/schemas/2018-05-01/{level}deploymentTemplate.json#");
        let made = shown(&property(
            &format!("\"$schema\": \"{schema}\""),
            &format!("[split({id}, '/')[8]]"),
        ));
        assert_eq!(made == "p", known, "{level}: {made}");
    }
    // Nor is it there what it is in the template around it.
    let nested = format!(
        r#"{{"resources": [{{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "[split({id}, '/')[8]]"}},
            {{"type": "Microsoft.Resources/deployments", "name": "d", "subscriptionId": "s", "location": "l", "properties": {{
                "expressionEvaluationOptions": {{"scope": "inner"}}, "template": {{"resources": [
                    {{"type": "Microsoft.Network/ipGroups", "name": "g", "p": "[split({id}, '/')[8]]"}}]}}}}}}]}}"#
    );
    let resources = deployed(&one(&nested), &Given::default()).unwrap();
    let [around, inside] = [0, 1].map(|index: usize| shown(resources[index].body.written("p").unwrap()));
    assert!(around == "p" && inside.starts_with(['?', '~']), "{around} {inside}");
}
