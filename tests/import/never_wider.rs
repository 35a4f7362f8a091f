//! What cannot be said alike is narrowed where it allows, and stops the import where it denies.

use super::*;

#[test]
fn a_list_that_is_written_and_null_names_nobody() {
    for source in [
        json!(null),
        json!("[null()]"),
        json!("[tryGet(createObject(), 'sources')]"),
    ] {
        let rule = rule(&json!({"sourceAddresses": source, "sourceIpGroups": source}));
        let template = json!({"resources": [{
            "type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g",
            "properties": {"priority": 100, "ruleCollections": [{
                "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 100,
                "action": {"type": "Allow"}, "rules": [rule]
            }]}
        }]});
        let imported = import(&[("p.json", &template.to_string())], &Options::default()).unwrap();
        assert!(imported.toml.contains("source_addresses = []"), "{}", imported.toml);
    }
}

/// IP groups by a name, an id, and ids of which a part is a parameter without a value.
#[test]
fn an_ip_group_is_meant_by_its_name_and_not_by_what_reads_like_it() {
    let id = |name: &str| format!("[resourceId('Microsoft.Network/ipGroups', {name})]");
    for (group, reference, meant) in [
        ("spokes", "spokes".into(), true),
        ("spokes", id("'spokes'"), true),
        (
            "spokes",
            "[concat(resourceGroup().id, '/providers/Microsoft.Network/ipGroups/', 'spokes')]".into(),
            true,
        ),
        ("[parameters('spokes')]", id("parameters('spokes')"), true),
        ("spokes", "[parameters('spokes')]".into(), false),
        ("spokes", id("parameters('spokes')"), false),
        ("spokes", id("concat(parameters('spokes'), '')"), false),
        ("[parameters('spokes')]", id("'spokes'"), false),
    ] {
        let rule = rule(&json!({"sourceAddresses": [], "sourceIpGroups": [reference]}));
        let template = json!({"parameters": {"spokes": {"type": "string"}}, "resources": [
            {"type": "Microsoft.Network/ipGroups", "name": group, "properties": {"ipAddresses": ["10.0.0.0/8"]}},
            {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g",
                "properties": {"priority": 100, "ruleCollections": [{
                    "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 100,
                    "action": {"type": "Allow"}, "rules": [rule]
                }]}}
        ]});
        let imported = import(&[("p.json", &template.to_string())], &Options::default()).unwrap();
        let named = imported.toml.contains("source_ip_groups");
        assert_eq!(named, meant, "{group} {reference}: {}", imported.toml);
    }
}

/// What an allow rule comes to, whether the same rule stops the import if it denies, and a word of the note.
#[test]
fn an_allow_rule_is_narrowed_or_left_out_where_a_deny_rule_stops_the_import() {
    use Outcome::{Absent, Approximated, Carried};
    let unknown = "[reference('x').y]";
    for (rule, outcome, stops, word) in [
        (rule(&json!({})), Carried, false, ""),
        (rule(&json!({"terminateTLS": true})), Absent, true, "inspect TLS"),
        (rule(&json!({"terminateTLS": "False"})), Carried, false, ""),
        (
            rule(&json!({"targetUrls": ["a.example/x"]})),
            Approximated,
            true,
            "targetUrls",
        ),
        (
            rule(&json!({"targetFqdns": [], "targetUrls": ["a.example/x"]})),
            Absent,
            true,
            "targetUrls",
        ),
        (
            rule(&json!({"targetFqdns": [], "webCategories": ["gambling"]})),
            Absent,
            true,
            "webCategories",
        ),
        (
            rule(&json!({"targetFqdns": [], "fqdnTags": ["WindowsVirtualDesktop"]})),
            Absent,
            true,
            "FQDN tag",
        ),
        (
            rule(&json!({"targetFqdns": ["WindowsUpdate"]})),
            Absent,
            true,
            "is an FQDN tag",
        ),
        (
            rule(&json!({"fqdnTags": ["windowsupdate"]})),
            Approximated,
            true,
            "FQDN tag",
        ),
        (
            rule(&json!({"httpHeadersToInsert": [{"headerName": "a", "headerValue": "b"}]})),
            Absent,
            false,
            "httpHeadersToInsert",
        ),
        (
            rule(&json!({"destinationAddresses": ["192.0.2.1"]})),
            Absent,
            true,
            "destinationAddresses",
        ),
        (rule(&json!({"destinationAddresses": ["*"]})), Carried, false, ""),
        (
            rule(&json!({"protocols": [{"protocolType": "Mssql", "port": 1433}]})),
            Absent,
            true,
            "Mssql",
        ),
        (
            rule(&json!({"protocols": [{"protocolType": "HTTP"}, {"protocolType": "mssql"}]})),
            Approximated,
            true,
            "Mssql",
        ),
        (rule(&json!({"sourceAddresses": [unknown]})), Absent, true, "reference"),
        (
            rule(&json!({"sourceAddresses": ["10.0.0.1", unknown]})),
            Approximated,
            true,
            "reference",
        ),
        (rule(&json!({"sourceAddresses": unknown})), Absent, true, "reference"),
        (
            rule(&json!({"targetFqdns": ["a".repeat(2000)]})),
            Absent,
            true,
            "is longer than",
        ),
        (
            rule(&json!({"sourceAddresses": ["10.0.0.1", null]})),
            Approximated,
            true,
            "is null",
        ),
        (rule(&json!({"targetFqdns": [unknown]})), Absent, true, "reference"),
        (
            rule(&json!({"targetFqdns": ["[concat('a.', resourceGroup().location)]"]})),
            Absent,
            true,
            "known to Azure alone",
        ),
        (
            rule(&json!({"targetFqdns": ["www.contoso.*"]})),
            Absent,
            true,
            "www.contoso.*",
        ),
        (rule(&json!({"targetFqdns": ["*"]})), Carried, false, "allow_wide"),
        (
            rule(&json!({"sourceIpGroups": ["[resourceId('Microsoft.Network/ipGroups', 'x')]"]})),
            Approximated,
            true,
            "IP group `x`",
        ),
        // What allows nobody does no harm, what was to deny denies nobody.
        (rule(&json!({"sourceAddresses": []})), Carried, true, ""),
        (
            rule(&json!({"sourceAddresses": null, "sourceIpGroups": []})),
            Carried,
            true,
            "",
        ),
        (rule(&json!({"protocols": []})), Carried, true, ""),
        (rule(&json!({"targetFqdns": [], "fqdnTags": null})), Carried, true, ""),
        (network(&json!({"ipProtocols": []})), Carried, true, ""),
        (network(&json!({"destinationPorts": []})), Carried, true, ""),
        (network(&json!({"destinationAddresses": []})), Carried, true, ""),
        (rule(&json!({"timeWindow": "night"})), Absent, true, "timeWindow"),
        (
            rule(&json!({"sourceAddresses": "System.Collections.Generic.List`1[System.String]"})),
            Absent,
            true,
            "-Depth 100",
        ),
        (network(&json!({})), Carried, false, ""),
        (
            network(&json!({"destinationAddresses": ["Storage.WestEurope"]})),
            Approximated,
            true,
            "service tag",
        ),
        (
            network(&json!({"destinationAddresses": [], "destinationFqdns": ["*.a.example"]})),
            Absent,
            true,
            "exact names",
        ),
        (
            network(&json!({"ipProtocols": ["any"], "destinationPorts": ["*", 53, "8000-8100"]})),
            Carried,
            false,
            "",
        ),
        (network(&json!({"destinationPorts": ["http"]})), Absent, true, "no port"),
        (network(&json!({"ipProtocols": ["SCTP"]})), Absent, true, "SCTP"),
    ] {
        let allow = import(
            &[("a.json", &policy("Off", &collection("Allow", rule.clone())))],
            &Options::default(),
        );
        let allow = allow.unwrap_or_else(|faults| panic!("{rule}: {faults:?}"));
        let item = allow.report.items.iter().find(|item| item.name == "g/c/r").unwrap();
        assert_eq!(item.outcome, outcome, "{rule}: {:?}", item.notes);
        assert!(item.notes.join(" ").contains(word), "{rule}: {:?}", item.notes);
        loads(&allow);
        let deny = policy("Off", &collection("Deny", rule.clone()));
        match import(&[("a.json", &deny)], &Options::default()) {
            Ok(imported) => {
                assert!(!stops, "{rule}");
                loads(&imported);
            }
            Err(faults) => {
                assert!(stops, "{rule}: {faults:?}");
                assert_eq!(faults[0].path, "$.resources[1].properties.ruleCollections[0].rules[0]");
                let partly = import(&[("a.json", &deny)], &partial()).unwrap();
                assert_eq!(loads(&partly).policy.not_enforced.len(), 1, "{rule}");
            }
        }
    }
}

#[test]
fn what_may_deny_and_cannot_be_read_stops_the_import() {
    let unknown = "[reference('x').y]";
    let group = |collections: Value| policy("Off", &collections);
    let parent = |base: Value| {
        json!({"resources": [{"type": "Microsoft.Network/firewallPolicies", "name": "p", "properties": {"basePolicy": base}}],
            "contentVersion": "1"})
        .to_string()
    };
    let linked = json!({"contentVersion": "1", "resources": [
        {"type": "Microsoft.Resources/deployments", "name": "d", "properties": {"templateLink": {"uri": "x"}}},
        {"type": "Microsoft.Network/firewallPolicies", "name": "p"}]});
    for (text, word) in [
        (policy("Deny", &json!([])), "not published"),
        (policy(unknown, &json!([])), "mode is not known"),
        // A parameter without a value goes by its name among names, and may be called anything.
        (
            json!({"contentVersion": "1", "parameters": {"allow": {"type": "string"}}, "resources": [
                {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g", "properties": {
                    "priority": 200, "ruleCollections": collection("[parameters('allow')]", rule(&json!({})))}}]})
            .to_string(),
            "action of its collection is not known",
        ),
        (group(json!(unknown)), "rule collections are not known"),
        (group(json!([unknown])), "rule collection is not known"),
        (group(collection(unknown, rule(&json!({})))), "action"),
        (
            group(
                json!([{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
            "action": {"type": "Deny"}, "rules": unknown}]),
            ),
            "rules are not known",
        ),
        (
            group(
                json!([{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": unknown,
            "action": {"type": "Deny"}, "rules": [rule(&json!({}))]}]),
            ),
            "priority is not known",
        ),
        (
            parent(json!({"id": "/x/firewallPolicies/base"})),
            "`base` is in none of the files",
        ),
        (parent(json!({"id": unknown})), "parent policy is not known"),
        (linked.to_string(), "not in the file"),
    ] {
        let faults = import(&[("a.json", &text)], &Options::default()).expect_err(&text);
        assert!(
            faults.iter().any(|fault| fault.found.contains(word)),
            "{word}: {faults:?}"
        );
        assert!(
            faults.iter().all(|fault| fault.path.starts_with('$') && fault.line > 0),
            "{faults:?}"
        );
        import(&[("a.json", &text)], &partial()).unwrap();
    }
}

#[test]
fn without_inspection_sni_stands_for_names_if_that_is_asked_for() {
    let sni = Options {
        sni: true,
        ..Options::default()
    };
    let inspected = json!({"terminateTLS": true, "targetUrls": ["b.example/x"]});
    let allow = import(
        &[("a.json", &policy("Off", &collection("Allow", rule(&inspected))))],
        &sni,
    )
    .unwrap();
    let item = allow.report.items.iter().find(|item| item.name == "g/c/r").unwrap();
    assert_eq!(item.outcome, Outcome::Approximated);
    assert!(allow.toml.contains("destination_fqdns = [\"a.example\"]") && !allow.toml.contains("b.example"));
    let deny = policy("Off", &collection("Deny", rule(&json!({"terminateTLS": true}))));
    import(&[("a.json", &deny)], &sni).expect_err("a Host inside may differ");
}

/// Found by the fuzzer: a name among the addresses was taken for a service tag, and the TOML that said so did not load.
#[test]
fn a_host_name_among_addresses_is_left_out_and_a_service_tag_is_known_in_any_case() {
    let allows = |addresses: &[&str]| {
        let rule = network(&json!({"destinationAddresses": addresses}));
        let imported = import(&[("p.json", &policy("Off", &collection("Allow", rule)))], &partial()).unwrap();
        loads(&imported);
        imported.toml
    };
    let toml = allows(&["kms.core.windows.net", "192.0.2.1", "storage.westeurope"]);
    assert!(
        toml.contains(r#"destination_addresses = ["192.0.2.1", "Storage.westeurope"]"#),
        "{toml}"
    );
    assert!(
        !allows(&["kms.core.windows.net"]).contains("kms"),
        "a rule without any destination is left out"
    );
    for name in ["kms.core.windows.net", "storage.westeurope"] {
        let denies = network(&json!({"destinationAddresses": ["192.0.2.1", name]}));
        let policy = policy("Off", &collection("Deny", denies));
        assert!(
            import(&[("p.json", &policy)], &Options::default()).is_err(),
            "{name}: it would deny less"
        );
    }
}
