//! What public templates come to (`tests/data/azure-policies/`).

use super::*;

/// File; whether something in it denies that cannot be enforced; groups, collections, DNAT, network, application rules and parts
/// that need parameters, each as carried/approximated/absent.
const TEMPLATES: [(&str, bool, [&str; 6]); 15] = [
    (
        "aiml-landing-zone-azure-firewall.json",
        false,
        ["2/0/0", "0/0/2", "-", "0/0/2", "0/0/4", "0/0/7"],
    ),
    (
        "aks-regulated-hub-region-v1.json",
        true,
        ["1/0/0", "2/0/0", "-", "0/0/1", "0/0/9", "-"],
    ),
    (
        "aks-secure-baseline-hub-regionA.json",
        true,
        ["1/0/0", "4/0/0", "-", "1/0/4", "0/0/11", "-"],
    ),
    // Its groups are a loop over a list that is empty by default.
    (
        "avm-firewall-policy-module.json",
        true,
        ["0/0/1", "-", "-", "-", "-", "-"],
    ),
    (
        "bicep-vwan-azfwpolicy.json",
        false,
        ["1/0/0", "2/0/0", "-", "1/0/0", "0/2/0", "-"],
    ),
    ("eslz-azfw-basepolicy.json", false, ["-", "-", "-", "-", "-", "-"]),
    (
        "mspnp-hub-spoke-connected-group.json",
        false,
        ["2/0/0", "2/0/0", "-", "1/0/0", "-", "-"],
    ),
    (
        "netsec-demo-standard-rulegroups.json",
        true,
        ["3/0/0", "6/0/0", "0/0/4", "3/0/0", "1/0/0", "-"],
    ),
    (
        "netsec-dnsproxy-hubspoke.json",
        false,
        ["2/0/0", "3/0/0", "0/0/2", "5/0/0", "-", "-"],
    ),
    (
        "netsec-premium-github-targeturls.json",
        false,
        ["1/0/0", "1/0/0", "-", "-", "0/0/2", "-"],
    ),
    (
        "netsec-private-ip-dnat.json",
        false,
        ["1/0/1", "1/0/1", "4/0/3", "-", "-", "-"],
    ),
    (
        "netsec-rule-allow-all-web.json",
        true,
        ["1/0/0", "2/0/0", "-", "-", "0/0/2", "-"],
    ),
    (
        "netsec-rule-dns-over-https.json",
        false,
        ["1/0/0", "1/0/0", "-", "-", "0/0/1", "-"],
    ),
    (
        "netsec-workshop-lab.json",
        true,
        ["7/0/0", "10/0/0", "0/0/11", "4/0/0", "1/2/4", "-"],
    ),
    (
        "refarch-shared-services-stack.json",
        false,
        ["1/0/0", "2/0/0", "-", "4/0/0", "-", "-"],
    ),
];

#[test]
fn public_templates_come_to_these_counts_and_their_toml_loads() {
    let kinds = [
        ItemKind::RuleCollectionGroup,
        ItemKind::RuleCollection,
        ItemKind::NatRule,
        ItemKind::NetworkRule,
        ItemKind::ApplicationRule,
        ItemKind::NotRead,
    ];
    for (name, denies, expected) in TEMPLATES {
        assert_eq!(template(name, &Options::default()).is_err(), denies, "{name}");
        let imported = template(name, &partial()).unwrap();
        assert_eq!(kinds.map(|kind| count(&imported, kind)), expected, "{name}");
        let checked = loads(&imported);
        assert_eq!(!checked.policy.not_enforced.is_empty(), denies, "{name}");
    }
}

/// Rules as they are written, counted by another reader (`serde_json`) that knows the words of the schemas and nothing else.
#[test]
fn the_report_accounts_for_every_rule_that_a_template_writes() {
    fn written(value: &Value, rules: &mut usize) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| written(item, rules)),
            Value::Object(object) => {
                let word = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
                let is_rule = ["ApplicationRule", "NetworkRule", "NatRule"].contains(&word("ruleType"))
                    || object.contains_key("ruleConditionType");
                // A rule of a classic firewall has sources and neither of these words.
                let is_classic = object.contains_key("sourceAddresses") || object.contains_key("sourceIpGroups");
                *rules += usize::from(is_rule || is_classic);
                object.values().for_each(|inner| written(inner, rules));
            }
            _ => {}
        }
    }
    for (name, _, _) in TEMPLATES {
        let text = fs::read_to_string(Path::new(POLICIES).join(name)).unwrap();
        // Rules that expressions make, and relaxed JSON, are beyond that reader.
        if name.starts_with("aiml") || name.starts_with("avm") || name.starts_with("aks-regulated") {
            continue;
        }
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| serde_json::from_str(&format!("[{text}]")).unwrap());
        let mut rules = 0;
        written(&value, &mut rules);
        let imported = template(name, &partial()).unwrap();
        let items = imported.report.items.iter();
        let held = items.filter(|item| {
            matches!(
                item.kind,
                ItemKind::NatRule | ItemKind::NetworkRule | ItemKind::ApplicationRule
            )
        });
        assert_eq!(held.count(), rules, "{name}");
    }
}

#[test]
fn a_part_of_the_report_names_the_line_where_it_is_written() {
    let imported = template("netsec-premium-github-targeturls.json", &Options::default()).unwrap();
    let text = fs::read_to_string(Path::new(POLICIES).join("netsec-premium-github-targeturls.json")).unwrap();
    let rule = imported
        .report
        .items
        .iter()
        .find(|item| item.name.ends_with("AllowGitHubRepo"))
        .unwrap();
    assert_eq!(rule.path, "$.resources[2].properties.ruleCollections[0].rules[1]");
    let line = text.lines().nth(rule.line as usize).unwrap();
    assert!(line.contains("\"ruleType\": \"ApplicationRule\""), "{line}");
    assert!(
        text.lines()
            .nth(rule.line as usize + 1)
            .unwrap()
            .contains("AllowGitHubRepo")
    );
}

#[test]
fn with_values_for_its_parameters_the_landing_zone_for_ai_allows_what_it_should() {
    let bools = [
        "deployAzureFirewall",
        "networkIsolation",
        "enableAcsMediaEgress",
        "deploySpeechService",
    ];
    let mut set: Vec<(String, String)> = bools.iter().map(|name| ((*name).into(), "true".into())).collect();
    for name in ["deployAcrTaskAgentPool", "extendFirewallForAcrTaskBuilds"] {
        set.push((name.into(), "false".into()));
    }
    set.push(("extendFirewallForJumpboxBootstrap".into(), "true".into()));
    set.push(("jumpboxSubnetPrefix".into(), "10.0.1.0/27".into()));
    for name in [
        "devopsBuildAgentsSubnetPrefix",
        "acaEnvironmentSubnetPrefix",
        "agentSubnetPrefix",
    ] {
        set.push((name.into(), "10.0.2.0/24".into()));
    }
    // One import without any of them says which they are, those in branches that may not be taken among them.
    let without = template("aiml-landing-zone-azure-firewall.json", &Options::default()).unwrap();
    let unset: Vec<&str> = without.report.unset.iter().map(|one| one.name.as_str()).collect();
    assert!(set.iter().all(|(name, _)| unset.contains(&name.as_str())), "{unset:?}");
    assert!(!unset.contains(&"location") && !unset.contains(&"tags"), "{unset:?}");
    let told = without.report.text();
    assert!(
        told.trim_end()
            .lines()
            .last()
            .unwrap()
            .contains("extendFirewallForJumpboxBootstrap"),
        "{told}"
    );

    let options = Options {
        set,
        ..Options::default()
    };
    let imported = template("aiml-landing-zone-azure-firewall.json", &options).unwrap();
    assert_eq!(
        count(&imported, ItemKind::ApplicationRule),
        "8/0/0",
        "{}",
        imported.report.text()
    );
    assert_eq!(count(&imported, ItemKind::NotRead), "-");
    assert!(imported.toml.contains("\"*.stt.speech.microsoft.com\""));
    assert!(imported.toml.contains("destination_addresses = [\"AzureCloud\"]"));
    loads(&imported);
}

#[test]
fn a_module_with_rules_in_a_parameters_file_is_imported() {
    let module = fs::read(Path::new(POLICIES).join("avm-firewall-policy-module.json")).unwrap();
    let rule = json!({"ruleType": "ApplicationRule", "name": "r", "protocols": [{"protocolType": "https", "port": "443"}],
        "targetFqdns": ["a.example"], "sourceAddresses": ["10.0.0.0/8"]});
    let collection = json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": "200",
        "action": {"type": "ALLOW"}, "rules": [rule]});
    let groups = json!([{"name": "g", "priority": 300, "ruleCollections": [collection]}]);
    let parameters = json!({"parameters": {"name": {"value": "hub"}, "threatIntelMode": {"value": "Off"},
        "ruleCollectionGroups": {"value": groups}}});
    let files = [("main.json".to_owned(), module)];
    let given = ("p.json".to_owned(), parameters.to_string().into_bytes());
    let imported = azure_firewall(&files, Some(&given), &Options::default()).unwrap();
    let policy = loads(&imported).policy;
    assert_eq!(&*policy.name, "hub");
    assert_eq!(&*policy.groups[0].collections[0].name, "c");
    assert_eq!(count(&imported, ItemKind::ApplicationRule), "1/0/0");
}

#[test]
fn what_stops_by_the_default_of_a_parameter_names_it() {
    let name = "avm-firewall-policy-module.json";
    let stops = |set: &[(&str, &str)]| {
        let set = set.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let options = Options {
            set: set.collect(),
            ..Options::default()
        };
        let faults = template(name, &options).expect_err("threatIntelMode is Deny");
        let told = faults.iter().map(|fault| format!("{}. {}", fault.found, fault.hint));
        told.collect::<Vec<String>>().join("\n")
    };
    let told = stops(&[]);
    assert!(told.contains("the default of parameter `threatIntelMode`"), "{told}");
    assert!(
        told.contains("parameters without a value") && told.ends_with(": name"),
        "{told}"
    );
    let told = stops(&[("threatIntelMode", "Deny"), ("name", "p")]);
    assert!(!told.contains("parameter"), "{told}");
}

#[test]
fn parameters_that_something_asks_for_are_listed_and_no_others() {
    let rule = json!({"ruleType": "ApplicationRule", "name": "r", "sourceAddresses": ["*"],
        "protocols": "[if(parameters('either'), parameters('one'), parameters('other'))]",
        "targetFqdns": ["[parameters('given')]", "[parameters('withDefault')]"]});
    let collection = json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
        "action": {"type": "Allow"}, "rules": [rule]});
    let inner = json!({"parameters": {"inner": {"type": "string"}}, "resources": [
        {"type": "Microsoft.Network/ipGroups", "name": "[parameters('inner')]", "properties": {"ipAddresses": []}}]});
    let text = json!({"type": "string"});
    let file = json!({"contentVersion": "1", "parameters": {
            "either": {"type": "bool"}, "one": {"type": "array"}, "other": {"type": "array"}, "given": text,
            "withDefault": {"type": "string", "defaultValue": "a.example"}, "null": {"type": "string", "nullable": true},
            "outer": text, "unused": text, "location": text},
        "resources": [
            {"type": "Microsoft.Network/firewallPolicies", "name": "p", "location": "[parameters('location')]",
                "properties": {"threatIntelMode": "[coalesce(parameters('null'), 'Off')]"}},
            {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g",
                "properties": {"priority": 200, "ruleCollections": [collection]}},
            {"type": "Microsoft.Resources/deployments", "name": "d", "properties": {
                "expressionEvaluationOptions": {"scope": "inner"}, "template": inner,
                "parameters": {"inner": {"value": "[parameters('outer')]"}}}}]});
    let options = Options {
        set: vec![("given".into(), "b.example".into())],
        ..Options::default()
    };
    let files = [("main.json".to_owned(), file.to_string().into_bytes())];
    let imported = azure_firewall(&files, None, &options).unwrap();
    let mut unset: Vec<&str> = imported.report.unset.iter().map(|one| one.name.as_str()).collect();
    unset.sort_unstable();
    assert_eq!(unset, ["either", "one", "other", "outer"]);
}
