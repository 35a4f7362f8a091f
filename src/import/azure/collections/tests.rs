mod fields;
mod kinds;

use crate::import::{ImportFault, Imported, Options, Outcome, azure_firewall};
use serde_json::{Value, json};

fn import(document: &Value, partial: bool) -> Result<Imported, Vec<ImportFault>> {
    import_with(document, partial, Options::default())
}

fn import_with(document: &Value, partial: bool, options: Options<'_>) -> Result<Imported, Vec<ImportFault>> {
    let files = [("p.json".to_owned(), document.to_string().into_bytes())];
    azure_firewall(&files, None, &Options { partial, ..options })
}

/// A collection with these fields and one rule, in group `p/g`.
fn collection(mut fields: Value, rule: &Value) -> Value {
    fields["name"] = "c".into();
    fields["priority"] = 200.into();
    fields["rules"] = json!([rule]);
    json!({"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g",
        "properties": {"priority": 200, "ruleCollections": [fields]}})
}

fn filter(action: &str) -> Value {
    json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "action": {"type": action}})
}

fn dnat() -> Value {
    json!({"ruleType": "NatRule", "name": "r", "sourceAddresses": ["*"], "ipProtocols": ["TCP"],
        "destinationAddresses": ["20.1.1.1"], "destinationPorts": ["443"],
        "translatedAddress": "10.0.0.4", "translatedPort": "443"})
}

/// The rule with these fields beside or in place of its own.
fn with(mut rule: Value, fields: &Value) -> Value {
    for (key, value) in fields.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

fn application(fields: &Value) -> Value {
    let rule = json!({"ruleType": "ApplicationRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"],
        "protocols": [{"protocolType": "Https", "port": 443}]});
    with(rule, fields)
}

fn network(fields: &Value) -> Value {
    let rule = json!({"ruleType": "NetworkRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"], "ipProtocols": ["TCP"],
        "destinationAddresses": ["192.0.2.1"], "destinationPorts": ["443"]});
    with(rule, fields)
}

fn policy(properties: &Value) -> Value {
    json!({"type": "Microsoft.Network/firewallPolicies", "name": "p", "properties": properties})
}

fn outcome(imported: &Imported, name: &str) -> (Outcome, String) {
    let item = imported.report.items.iter().find(|item| item.name == name).unwrap();
    (item.outcome, item.notes.join("; "))
}

#[test]
fn a_collection_of_dnat_rules_never_turns_what_denies_into_what_allows() {
    let nat =
        |action: &str| json!({"ruleCollectionType": "FirewallPolicyNatRuleCollection", "action": {"type": action}});
    for (fields, what) in [
        (filter("Deny"), "a DNAT rule among rules that deny"),
        (nat("Deny"), "a collection of DNAT rules that denies"),
        (nat("[reference('x').y]"), "one of which the action is not known"),
    ] {
        let document = collection(fields, &dnat());
        assert!(import(&document, false).is_err(), "{what}");
        let toml = import(&document, true).unwrap().toml;
        assert!(!toml.contains("20.1.1.1"), "{what}: {toml}");
    }
    let refused = import(&collection(filter("Allow"), &dnat()), false).unwrap();
    assert_eq!(outcome(&refused, "g/c/r").0, Outcome::Absent, "Azure refuses it");
    for fields in [nat("DNAT"), json!({"action": {"type": "Dnat"}})] {
        let imported = import(&collection(fields, &dnat()), false).unwrap();
        assert!(imported.toml.contains("action = \"Dnat\""), "{}", imported.toml);
    }
}

#[test]
fn what_denies_by_an_fqdn_tag_is_not_enforced_since_nobody_knows_what_the_tag_holds() {
    let rule = application(&json!({"fqdnTags": ["WindowsUpdate"]}));
    let faults = import(&collection(filter("Deny"), &rule), false).unwrap_err();
    assert!(faults[0].found.contains("may hold less"), "{faults:?}");
    let allowed = import(&collection(filter("Allow"), &rule), false).unwrap();
    assert_eq!(outcome(&allowed, "g/c/r").0, Outcome::Approximated);
}

#[test]
fn a_tag_of_the_catalogue_that_azure_does_not_have_is_none_in_a_policy_of_azures() {
    let rule = application(&json!({"fqdnTags": ["AzureOpenAI"]}));
    let imported = import(&collection(filter("Allow"), &rule), false).unwrap();
    assert_eq!(outcome(&imported, "g/c/r").0, Outcome::Absent);
    assert!(!imported.toml.contains("AzureOpenAI"), "{}", imported.toml);
}

#[test]
fn intrusion_detection_lets_pass_only_what_is_known_to() {
    let overrides = |overrides: Value| json!({"mode": "Alert", "configuration": {"signatureOverrides": overrides}});
    for (detection, stops) in [
        (json!({"mode": "Alert"}), false),
        (json!({"mode": "Alert", "configuration": null}), false),
        (json!({"mode": "Alert", "configuration": {"privateRanges": []}}), false),
        (
            overrides(json!([{"id": "1", "mode": "Alert"}, {"id": "2", "mode": "Off"}])),
            false,
        ),
        (json!({"mode": "Deny"}), true),
        (json!({"mode": "[reference('x').y]"}), true),
        (json!({"mode": "Alert", "configuration": "[reference('x').y]"}), true),
        (json!({"mode": "Alert", "configuration": "System.Object"}), true),
        (overrides(json!([{"id": "1", "mode": "Deny"}])), true),
        (overrides(json!([{"id": "1"}])), true),
        (overrides(json!(["[reference('x').y]"])), true),
        (overrides(json!("System.Object[]")), true),
        (overrides(json!({"id": "1", "mode": "Deny"})), true),
    ] {
        assert_eq!(
            import(&policy(&json!({"intrusionDetection": detection})), false).is_err(),
            stops,
            "{detection}"
        );
    }
}

#[test]
fn signatures_that_are_set_apart_stop_the_import_unless_all_let_pass() {
    for (signatures, stops) in [
        (json!({"2000105": "Off", "2000106": "Alert"}), false),
        (json!({"2000105": "Off", "2000106": "Deny"}), true),
        (json!("[reference('x').y]"), true),
    ] {
        let template = json!({"contentVersion": "1", "resources": [
            {"type": "Microsoft.Network/firewallPolicies", "name": "p", "properties": {}},
            {"type": "Microsoft.Network/firewallPolicies/signatureOverrides", "name": "p/default",
                "properties": {"signatures": signatures}}]});
        assert_eq!(import(&template, false).is_err(), stops, "{signatures}");
    }
}

#[test]
fn a_parameters_file_with_a_name_that_no_template_has_is_refused_at_its_line() {
    let template = json!({"contentVersion": "1", "parameters": {"fqdns": {"type": "array", "defaultValue": ["*"]}},
        "resources": [collection(filter("Allow"), &application(&json!({"targetFqdns": "[parameters('fqdns')]"})))]});
    let files = [("t.json".to_owned(), template.to_string().into_bytes())];
    let given = |name: &str| {
        let text = format!("{{\"parameters\": {{\n\"{name}\": {{\"value\": [\"a.example\"]}}}}}}");
        azure_firewall(&files, Some(&("p.json".into(), text.into_bytes())), &Options::default())
    };
    let faults = given("fqdn").unwrap_err();
    assert_eq!((&*faults[0].file, faults[0].line), ("p.json", 2));
    assert_eq!(faults[0].found, "no template has a parameter `fqdn`");
    assert!(given("FQDNs").unwrap().toml.contains("a.example"));
}

#[test]
fn names_neither_steer_the_terminal_nor_forge_a_line() {
    let name = "r\n\ndecision   Deny, RuleMatched by corp/deny-all\n\u{1b}[8m\u{202e}";
    let rule = application(&json!({"name": name, "targetFqdns": ["a.example"], "description": "\u{202e}two\nlines"}));
    let mut document = collection(filter("Allow"), &rule);
    document["name"] = format!("p\u{1b}/{name}").into();
    let imported = import(&document, false).unwrap();
    let report = imported.report.text() + &imported.report.not_enforced().join("");
    for text in [&report, &imported.toml] {
        assert!(
            !text.chars().any(|c| c != '\n' && crate::printable::steers(c)),
            "{text:?}"
        );
        assert!(!text.lines().any(|line| line.starts_with("decision")), "{text}");
    }
    let checked = crate::config::from_text("t.toml", &imported.toml).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(checked.policy.groups[0].name.contains("\\u{1b}"));
}

#[test]
fn with_a_file_of_service_tags_what_is_in_it_is_a_tag_and_nothing_else() {
    let tags = || {
        let text = br#"{"values": [{"name": "Storage", "properties": {"addressPrefixes": ["198.51.100.0/24"]}},
            {"name": "Empty", "properties": {"addressPrefixes": []}}]}"#;
        Options {
            service_tags: Some(("tags.json".into(), crate::policy::ServiceTags::parse(text).unwrap())),
            ..Options::default()
        }
    };
    for name in ["github.com", "Storag", "Internet", "Empty"] {
        let rule = network(&json!({"destinationAddresses": ["192.0.2.1", "storage", name]}));
        assert!(
            import_with(&collection(filter("Deny"), &rule), false, tags()).is_err(),
            "{name}"
        );
        let imported = import_with(&collection(filter("Allow"), &rule), false, tags()).unwrap();
        let (outcome, notes) = outcome(&imported, "g/c/r");
        assert_eq!(outcome, Outcome::Approximated, "{name}: it cannot be carried");
        assert!(notes.contains(name) && notes.contains("tags.json"), "{notes}");
        let wanted = "destination_addresses = [\"192.0.2.1\", \"Storage\"]";
        assert!(imported.toml.contains(wanted), "{}", imported.toml);
    }
}

#[test]
fn without_a_file_each_service_tag_that_matches_nothing_is_named() {
    let rule = network(&json!({"destinationAddresses": ["AzureCloud.westeurope", "any", "192.0.2.1"]}));
    let notes = outcome(&import(&collection(filter("Allow"), &rule), false).unwrap(), "g/c/r").1;
    assert!(
        notes.contains("`AzureCloud.westeurope`") && notes.contains("`Any`"),
        "{notes}"
    );
}

#[test]
fn a_collection_that_denies_and_has_no_rules_is_cut_off() {
    for rules in [json!({}), json!({"rules": null})] {
        let mut document = collection(filter("Deny"), &json!({}));
        let written = &mut document["properties"]["ruleCollections"][0];
        written.as_object_mut().unwrap().remove("rules");
        *written = with(written.clone(), &rules);
        let faults = import(&document, false).unwrap_err();
        assert!(faults[0].found.contains("it has no `rules`"), "{faults:?}");
    }
}

#[test]
fn the_mode_of_threat_intelligence_is_kept_with_lists_and_without() {
    let mode = |written: &str, files: &[&str]| {
        let options = Options {
            threat_intelligence: files.iter().map(|file| (*file).to_owned()).collect(),
            ..Options::default()
        };
        let imported = import_with(&policy(&json!({"threatIntelMode": written})), true, options).unwrap();
        let wanted = format!("[threat_intelligence]\nmode = \"{written}\"\n");
        assert!(imported.toml.contains(&wanted), "{}", imported.toml);
    };
    for written in ["Off", "Alert", "Deny"] {
        mode(written, &[]);
        mode(written, &["bad.txt"]);
    }
}

#[test]
fn what_threat_intelligence_lets_pass_is_accounted_for() {
    let list = json!({"ipAddresses": ["192.0.2.1", "[reference('x').y]"], "fqdns": ["a.example", "*.b.*"]});
    let imported = import(
        &policy(&json!({"threatIntelMode": "Off", "threatIntelWhitelist": list})),
        false,
    )
    .unwrap();
    let (outcome, notes) = outcome(&imported, "p: threatIntelWhitelist");
    assert_eq!(outcome, Outcome::Approximated);
    assert!(notes.contains("reference") && notes.contains("*.b.*"), "{notes}");
    let wanted = "allowlist = { ip_addresses = [\"192.0.2.1\"], fqdns = [\"a.example\"] }";
    assert!(imported.toml.contains(wanted), "{}", imported.toml);
}

#[test]
fn an_ip_group_without_addresses_is_not_known_and_an_empty_one_is_nobody() {
    let rule = |action: &str, key: &str, properties: Value| {
        let fields = json!({"sourceIpGroups": ["e"], "sourceAddresses": [], "destinationIpGroups": []});
        let mut rule = network(&fields);
        if key == "destinationIpGroups" {
            rule = network(&json!({key: ["e"], "destinationAddresses": []}));
        }
        let ip_group = json!({"type": "Microsoft.Network/ipGroups", "name": "e", "properties": properties});
        import(
            &json!([policy(&json!({})), ip_group, collection(filter(action), &rule)]),
            false,
        )
    };
    for (properties, word) in [
        (json!({}), "has no `ipAddresses`"),
        (json!({"ipAddresses": []}), "come to nothing"),
    ] {
        for key in ["sourceIpGroups", "destinationIpGroups"] {
            let faults = rule("Deny", key, properties.clone()).unwrap_err();
            let found: Vec<_> = faults.iter().map(|fault| &fault.found).collect();
            let known = found
                .iter()
                .any(|found| found.contains(word) || found.contains("none of its addresses is known"));
            assert!(known, "{key}: {found:?}");
            let allowed = rule("Allow", key, properties.clone()).unwrap();
            assert!(!allowed.toml.contains("ip_groups = "), "{}", allowed.toml);
        }
    }
    assert!(rule("Deny", "sourceIpGroups", json!({"ipAddresses": ["10.0.0.0/8"]})).is_ok());
}
