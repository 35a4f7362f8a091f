//! What hostile files are made of.

use super::*;

/// What hostile files are made of, from a size.
pub(super) const GENERATORS: [Generator; 37] = [
    ("names that start alike", |size| {
        let name = "x".repeat(80);
        let one = |index| rule(&format!("\"name\": \"{name}{index}\","), "[\"a.com\"]");
        template("", &rules(&many(size, one)))
    }),
    ("names of many parts", |size| {
        let name = format!("[concat('{}', parameters('x')[string(copyIndex())])]", "a/".repeat(240));
        let policies = format!(
            "{{\"type\": \"Microsoft.Network/firewallPolicies\", \"name\": \"{name}\", \"copy\": {{\"name\": \"l\", \"count\": {size}}}}}"
        );
        template(
            "}, \"parameters\": {\"x\": {\"type\": \"object\"}",
            &format!("{policies}, {}", names("[\"a.com\"]")),
        )
    }),
    ("long names around what is not known", |size| {
        let end = "a".repeat(230);
        let name = format!("[concat('{end}', parameters('x')[string(copyIndex())], '{end}')]");
        let policies = format!(
            "{{\"type\": \"Microsoft.Network/firewallPolicies\", \"name\": \"{name}\", \"copy\": {{\"name\": \"l\", \"count\": {size}}}}}"
        );
        template(
            "}, \"parameters\": {\"x\": {\"type\": \"object\"}",
            &format!("{policies}, {}", names("[\"a.com\"]")),
        )
    }),
    ("entries that are no names", |size| {
        template("", &names(&format!("[{}]", texts(size, "!"))))
    }),
    ("fields that are none", |size| {
        let fields = many(size, |index| format!("\"f{index}\": 1")) + ",";
        template("", &rules(&rule(&fields, "[\"a.com\"]")))
    }),
    ("protocols", |size| {
        let one = |index| format!("\"Https:{}\"", 1 + index % 65_535);
        let rule = format!(
            "\"name\": \"a\", \"targetFqdns\": [\"a.com\"], \"protocols\": [{}]",
            many(size, one)
        );
        template("", &rules(&format!("{{\"ruleType\": \"ApplicationRule\", {rule}}}")))
    }),
    ("an IP group twice", |size| {
        let list = texts(size, "a10.0.0.");
        let other = format!("{{{IP_GROUP}, \"properties\": {{\"ipAddresses\": [\"10.0.0.1\"]}}}}");
        format!("[{{{IP_GROUP}, \"properties\": {{\"ipAddresses\": [{list}]}}}}, {other}]")
    }),
    ("delimiters", |size| {
        let split = "[split(padLeft('', 900000, 'a'), variables('d'))]";
        template(
            &format!("\"d\": [{}]", texts(size, "x")),
            &names(&format!("\"{split}\"")),
        )
    }),
    ("references", |size| {
        let one = |index| {
            format!(
                "{{\"type\": \"Microsoft.Resources/deployments\", \"name\": \"d{index}\", \"properties\": {{\"template\": {{}}}}}}"
            )
        };
        let asked = many(size, |index| format!("\"[reference('d{index}')]\""));
        template("", &(many(size, one) + "," + &names(&format!("[{asked}]"))))
    }),
    ("references to a loop", |size| {
        let one = |index| format!("\"[reference(concat(uniqueString('a'), {index}))]\"");
        let name = "\"name\": \"[concat(uniqueString('a'), copyIndex())]\", \"properties\": {\"template\": {}}";
        let deployments = looped("Microsoft.Resources/deployments", name);
        template(
            "",
            &format!("{deployments}, {}", names(&format!("[{}]", many(size, one)))),
        )
    }),
    ("references to a symbol", |size| {
        let one = |index| {
            format!(
                "\"d{index}\": {{\"type\": \"Microsoft.Resources/deployments\", \"name\": \"d\", \"copy\": {{\"name\": \"l\", \"count\": 1}}, \"properties\": {{\"template\": {{}}}}}}"
            )
        };
        let asked = names(&format!(
            "[{}]",
            many(size, |index| format!("\"[reference('d{index}[0]')]\""))
        ));
        format!(
            "{{\"contentVersion\": \"1\", \"resources\": {{{}, \"g\": {asked}}}}}",
            many(size, one)
        )
    }),
    ("variable loops", |size| {
        let one = |index| format!("{{\"name\": \"v{index}\", \"count\": 1, \"input\": \"a{index}.com\"}}");
        let asked = many(size, |index| format!("\"[variables('v{index}')[0]]\""));
        template(
            &format!("\"copy\": [{}]", many(size, one)),
            &names(&format!("[{asked}]")),
        )
    }),
    ("variables", |size| {
        let one = |index| format!("\"v{index}\": \"a{index}.com\"");
        let asked = many(size, |index| format!("\"[variables('v{index}')]\""));
        template(&many(size, one), &names(&format!("[{asked}]")))
    }),
    ("members deep inside", |size| {
        nested(90, &format!("{{{}}}", many(size, |index| format!("\"a{index}\": 0"))))
    }),
    ("objects deep inside", |size| {
        nested(90, &format!("[{}]", many(size, |_| "{\"b\": 0}".into())))
    }),
    ("nothing deep inside", |size| {
        format!("{}{}{}", "[".repeat(90), many(size, |_| "null".into()), "]".repeat(90))
    }),
    ("what may be a rule beside what is read", |size| {
        nested(
            90,
            &format!(
                "[{}, {}]",
                template("", &names("[\"a.com\"]")),
                many(size, |_| "0".into())
            ),
        )
    }),
    ("a resource of another type in a loop", |size| {
        let members = many(size, |index| format!("\"m{index}\": 0"));
        let other = format!(
            "{{\"type\": \"a.b/c\", \"copy\": {{\"name\": \"l\", \"count\": 1000}}, \"resources\": [], {members}}}"
        );
        template("", &(other + "," + &names("[\"a.com\"]")))
    }),
    ("rules that share a list", |size| {
        let one = |index| rule(&format!("\"name\": \"r{index}\","), "\"[variables('n')]\"");
        template(&format!("\"n\": [{}]", texts(size, "a")), &rules(&many(size, one)))
    }),
    ("functions of one's own", |size| {
        let one = |index| {
            format!(
                "{{\"namespace\": \"n{index}\", \"members\": {{\"f\": {{\"parameters\": [], \"output\": {{\"value\": \"a{index}.com\"}}}}}}}}"
            )
        };
        let asked = many(size, |index| format!("\"[n{index}.f()]\""));
        let functions = format!("\"x\": 1}}, \"functions\": [{}], \"y\": {{", many(size, one));
        template(&functions, &names(&format!("[{asked}]")))
    }),
    ("policies that share what is excepted", |size| {
        let policy = looped(
            "Microsoft.Network/firewallPolicies",
            "\"name\": \"q\", \"properties\": {\"threatIntelWhitelist\": {\"fqdns\": \"[variables('w')]\"}}",
        );
        let list = format!("\"w\": [{}]", texts(size, "a"));
        template(&list, &(policy + "," + &names("[\"a.com\"]")))
    }),
    ("firewalls that use policies", |size| {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network";
        let one = |index| {
            format!(
                "{{\"id\": \"{id}/firewallPolicies/p{index}\", \"name\": \"p{index}\"}},
                {{\"id\": \"{id}/azureFirewalls/f{index}\", \"name\": \"f{index}\",
                \"firewallPolicy\": {{\"id\": \"{id}/firewallPolicies/p{index}\"}}}}"
            )
        };
        format!("[{}]", many(size, one))
    }),
    ("parameters of a function", |size| {
        let parameters = many(size, |index| format!("{{\"name\": \"p{index}\"}}"));
        let asked = many(size, |_| format!("\"[parameters('p{}')]\"", size - 1));
        let function = format!(
            "{{\"namespace\": \"n\", \"members\": {{\"f\": {{\"parameters\": [{parameters}], \"output\": {{\"value\": [{asked}]}}}}}}}}"
        );
        let functions = format!("\"x\": 1}}, \"functions\": [{function}], \"y\": {{");
        let call = format!("\"[n.f({})]\"", many(size, |_| "'a'".into()));
        template(&functions, &names(&call))
    }),
    ("groups that share what is compared", |size| {
        let members = many(size, |index| format!("\"m{index}\": false"));
        let list = format!(
            "\"o\": {{{members}}}, \"copy\": [{{\"name\": \"l\", \"count\": {size}, \"input\": \"[variables('o')]\"}}]"
        );
        let group = "{\"type\": \"Microsoft.Network/firewallPolicies/ruleCollectionGroups\", \"name\": \"p/g\", \
                     \"properties\": {\"priority\": 100, \"ruleCollections\": \"[variables('l')]\"}}";
        template(&list, &format!("{group}, {group}"))
    }),
    ("objects that are searched for", |size| {
        let members = |last: usize| {
            many(size, |index| {
                format!("\"m{}\": 0", index + usize::from(index + 1 == size) * last)
            })
        };
        let list = format!(
            "\"o\": {{{}}}, \"other\": {{{}}}, \"copy\": [{{\"name\": \"l\", \"count\": {size}, \"input\": \"[variables('o')]\"}}]",
            members(0),
            members(1)
        );
        template(
            &list,
            &names("\"[string(contains(variables('l'), variables('other')))]\""),
        )
    }),
    ("a delimiter that nearly matches everywhere", |size| {
        let half = 100 * size;
        let delimiter = format!("concat(padLeft('', {half}, 'a'), 'b')");
        let split = format!("[split(padLeft('', {}, 'a'), {delimiter})]", 2 * half);
        template("", &names(&format!("\"{split}\"")))
    }),
    ("an object in each round of a loop", |size| {
        let members = many(size, |index| format!("\"m{index}\": 0"));
        let list = format!("\"copy\": [{{\"name\": \"l\", \"count\": 20, \"input\": {{{members}}}}}]");
        template(&list, &names("\"[string(length(variables('l')))]\""))
    }),
    ("reasons of reasons", |size| {
        let one = |index: usize| format!("\"v{}\": {{\"[variables('v{index}')]\": 1}}", index + 1);
        let list = format!("\"v0\": \"[reference('x')]\", {}", many(size, one));
        let asked = many(size, |index| format!("\"[variables('v{index}')]\""));
        template(&list, &names(&format!("[{asked}]")))
    }),
    ("settings that share what is in them", |size| {
        let one = |index: usize| {
            let inner = format!("\"[variables('v{index}')]\"");
            format!("\"v{}\": {{\"a\": {inner}, \"b\": {inner}}}", index + 1)
        };
        let depth = (size / 50).min(80);
        let list = format!("\"v0\": {{\"a\": false}}, {}", many(depth, one));
        let policy = format!(
            "{{\"type\": \"Microsoft.Network/firewallPolicies\", \"name\": \"p\", \
             \"properties\": {{\"dnsSettings\": \"[variables('v{depth}')]\"}}}}"
        );
        template(&list, &(policy + "," + &names("[\"a.com\"]")))
    }),
    ("ranges", |size| {
        let one = |index| format!("\"2001:db8::{index:x}:1-fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\"");
        let rule = format!(
            r#"{{"ruleType": "NetworkRule", "name": "n", "ipProtocols": ["TCP"], "sourceAddresses": ["*"],
            "destinationPorts": ["443"], "destinationAddresses": [{}]}}"#,
            many(size, one)
        );
        template("", &rules(&rule))
    }),
    ("groups that share what is not read of them", |size| {
        let fields = many(size, |index| format!("\"f{index}\": [1]"));
        let list = format!("\"b\": {{\"ruleCollections\": [], {fields}}}");
        let fields = "\"name\": \"[format('p/g{0}', copyIndex())]\", \"properties\": \"[variables('b')]\"";
        let group = looped("Microsoft.Network/firewallPolicies/ruleCollectionGroups", fields);
        template(&list, &(group + "," + &names("[\"a.com\"]")))
    }),
    ("outputs that deployments share", |size| {
        let outputs = many(size, |index| {
            format!("\"o{index}\": {{\"condition\": false, \"type\": \"int\", \"value\": 1}}")
        });
        let asked = format!(
            "{{\"type\": \"Microsoft.Resources/deployments\", \"name\": \"e\", \"properties\": {{\"template\": {{\"outputs\": {{{outputs}}}}}}}}},
            {{{IP_GROUP}, \"p\": \"[reference('e').outputs]\"}}"
        );
        let fields = format!(
            "\"name\": \"d\", \"properties\": {{\"expressionEvaluationOptions\": {{\"scope\": \"inner\"}}, \"template\": {{\"resources\": [{asked}]}}}}"
        );
        template(
            "",
            &(looped("Microsoft.Resources/deployments", &fields) + "," + &names("[\"a.com\"]")),
        )
    }),
    ("references that share a long text", |size| {
        let list = "\"copy\": [{\"name\": \"l\", \"count\": 5000, \"input\": \"[variables('n')]\"}]";
        let long = format!("\"n\": \"[padLeft('/x', {}, 'a')]\", {list}", 300 * size);
        let group = format!("{{{IP_GROUP}, \"properties\": {{\"ipAddresses\": [\"10.0.0.1\"]}}}}");
        template(&long, &(group + "," + &names("\"[variables('l')]\"")))
    }),
    ("signatures that policies share", |size| {
        let signatures = many(size, |index| format!("\"{index}\": \"Alert\""));
        let fields =
            "\"name\": \"[format('p/s{0}', copyIndex())]\", \"properties\": {\"signatures\": \"[variables('s')]\"}";
        let overrides = looped("Microsoft.Network/firewallPolicies/signatureOverrides", fields);
        template(
            &format!("\"s\": {{{signatures}}}"),
            &(overrides + "," + &names("[\"a.com\"]")),
        )
    }),
    ("policies that share a list of groups", |size| {
        let listed = format!("\"l\": [{}]", many(size, |index| format!("{{\"id\": \"/x/{index}\"}}")));
        let fields = "\"name\": \"[format('p{0}', copyIndex())]\", \"properties\": {\"ruleCollectionGroups\": \"[variables('l')]\"}";
        let policies = looped("Microsoft.Network/firewallPolicies", fields);
        template(&listed, &(policies + "," + &names("[\"a.com\"]")))
    }),
    ("a loop with a long name", |size| {
        let name = "n".repeat(500 * size);
        let round =
            |input: &str| format!("{{\"copy\": [{{\"name\": \"{name}\", \"count\": 1000, \"input\": \"{input}\"}}]}}");
        let asked = format!(
            "\"n\": \"{name}\", \"a\": {}, \"b\": {}",
            round("[uniqueString('x')]"),
            round("[copyIndex(variables('n'))]")
        );
        template(
            &asked,
            &names("[\"[string(length(variables('a')))]\", \"[string(length(variables('b')))]\"]"),
        )
    }),
    ("deployments that share loops of variables", |size| {
        let one = |index| format!("{{\"name\": \"v{index}\", \"count\": 1, \"input\": 1}}");
        let inner = format!(
            "{{\"variables\": {{\"copy\": [{}]}}, \"resources\": [{{{IP_GROUP}, \"p\": \"[variables('v0')]\"}}]}}",
            many(size, one)
        );
        let fields = format!(
            "\"name\": \"d\", \"properties\": {{\"expressionEvaluationOptions\": {{\"scope\": \"inner\"}}, \"template\": {inner}}}"
        );
        template(
            "",
            &(looped("Microsoft.Resources/deployments", &fields) + "," + &names("[\"a.com\"]")),
        )
    }),
];

/// Files of as many resources that are kept though nothing is deployed, or nothing known.
pub(super) const KEPT: [Generator; 4] = [
    ("deployments without a template", |size| {
        template("", &format!("{}, {}", deployments(size, ""), names("[\"a.com\"]")))
    }),
    ("deployments that are not deployed", |size| {
        let resources = deployments(size, ", \"condition\": false");
        template("", &format!("{resources}, {}", names("[\"a.com\"]")))
    }),
    ("deployments in a loop", |size| {
        let count = format!(", \"copy\": {{\"name\": \"l\", \"count\": {size}}}");
        template("", &format!("{}, {}", deployments(1, &count), names("[\"a.com\"]")))
    }),
    ("IP groups with an object", |size| {
        let one = |index| format!("{{\"type\": \"microsoft.network/ipgroups\", \"name\": \"n{index}\", \"a\": {{}}}}");
        template("", &format!("{}, {}", many(size, one), names("[\"a.com\"]")))
    }),
];

fn deployments(size: usize, fields: &str) -> String {
    many(size, |_| {
        format!("{{\"type\": \"microsoft.resources/deployments\"{fields}}}")
    })
}

/// What a file of one long text for many things is made of, from the length.
pub(super) const LONG: [Generator; 5] = [
    ("a name", |length| {
        let long = format!("\"n\": \"[padLeft('', {length}, 'b')]\"");
        let fields = "\"name\": \"[variables('n')]\", \"properties\": {}";
        let group = looped("Microsoft.Network/ipGroups", fields);
        template(&long, &(group + "," + &names("[\"a.com\"]")))
    }),
    ("a name of many parts", |length| {
        let long = format!("\"n\": \"{}b\"", "a/".repeat(length / 2));
        let fields = "\"name\": \"[variables('n')]\", \"properties\": {\"ruleCollections\": []}";
        let group = looped("Microsoft.Network/firewallPolicies/ruleCollectionGroups", fields);
        template(&long, &(group + "," + &names("[\"a.com\"]")))
    }),
    ("an id", |length| {
        let id = |name: &str| {
            let group = "a".repeat(length);
            format!("/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Network/firewallPolicies/{name}")
        };
        let fields = "\"name\": \"[format('p{0}', copyIndex())]\", \"id\": \"[variables('i')]\", \
                      \"properties\": {\"basePolicy\": {\"id\": \"[variables('b')]\"}}";
        let variables = format!("\"i\": \"{}\", \"b\": \"{}\"", id("x"), id("b"));
        template(&variables, &looped("Microsoft.Network/firewallPolicies", fields))
    }),
    ("a type", |length| {
        let kind = format!("Microsoft.Network/ipGroups/{}", "a".repeat(length));
        template("", &(looped(&kind, "\"name\": \"a\"") + "," + &names("[\"a.com\"]")))
    }),
    ("the name of a member", |length| {
        let rules = rules(&many(100, |index| {
            rule(&format!("\"name\": \"r{index}\","), "[\"a.com\"]")
        }));
        format!("{{\"{}\": {rules}}}", "w".repeat(length.min(value::MAX_NAME_BYTES)))
    }),
];
