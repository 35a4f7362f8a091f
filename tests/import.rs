//! `egret import azure-firewall` and configurations that draw on a policy in JSON: what public templates come to
//! (`tests/data/azure-policies/`), and that nothing is ever wider than in Azure.

use egret::{
    config::{self, Checked, Problem},
    import::{ImportFault, Imported, ItemKind, Options, Outcome, azure_firewall},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const POLICIES: &str = "tests/data/azure-policies";

fn import(files: &[(&str, &str)], options: &Options<'_>) -> Result<Imported, Vec<ImportFault>> {
    let files: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        .collect();
    azure_firewall(&files, None, options)
}

fn template(name: &str, options: &Options<'_>) -> Result<Imported, Vec<ImportFault>> {
    let text = fs::read_to_string(Path::new(POLICIES).join(name)).unwrap();
    import(&[(name, &text)], options)
}

fn partial() -> Options<'static> {
    Options {
        partial: true,
        ..Options::default()
    }
}

fn loads(imported: &Imported) -> Checked {
    config::from_text("imported.toml", &imported.toml)
        .unwrap_or_else(|problems| panic!("{}\n{}", shown(&problems), imported.toml))
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.one_line() + "\n").collect()
}

/// `carried/approximated/absent` of a kind; `-` where the file holds none.
fn count(imported: &Imported, kind: ItemKind) -> String {
    imported.report.counts.get(&kind).map_or_else(
        || "-".into(),
        |count| {
            assert_eq!(count.held, count.carried + count.approximated + count.absent);
            format!("{}/{}/{}", count.carried, count.approximated, count.absent)
        },
    )
}

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
        ["1/0/0", "3/1/0", "-", "1/0/4", "0/0/11", "-"],
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

fn policy(threat: &str, rules: &Value) -> String {
    json!({"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "resources": [
        {"type": "Microsoft.Network/firewallPolicies", "name": "p", "properties": {"threatIntelMode": threat}},
        {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g", "properties": {
            "priority": 200, "ruleCollections": rules}}
    ]})
    .to_string()
}

fn collection(action: &str, rule: Value) -> Value {
    json!([{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
        "action": {"type": action}, "rules": [rule]}])
}

/// An application rule with these fields beside or in place of the usual ones.
fn rule(fields: &Value) -> Value {
    let mut rule = json!({"ruleType": "ApplicationRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"],
        "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["a.example"]});
    for (key, value) in fields.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

fn network(fields: &Value) -> Value {
    let mut rule = json!({"ruleType": "NetworkRule", "name": "r", "sourceAddresses": ["10.0.0.0/8"],
        "ipProtocols": ["TCP"], "destinationAddresses": ["192.0.2.1"], "destinationPorts": ["443"]});
    for (key, value) in fields.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}

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

#[test]
fn parents_stay_apart_from_their_child_and_two_groups_of_one_name_survive() {
    let text = |name: &str, base: Value, fqdn: &str| {
        let rules = collection("Allow", rule(&json!({"targetFqdns": [fqdn]})));
        json!({"contentVersion": "1", "resources": [
            {"type": "Microsoft.Network/firewallPolicies", "name": name, "properties": {"basePolicy": base}},
            {"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("{name}/g"),
                "properties": {"priority": 200, "ruleCollections": rules}}]})
        .to_string()
    };
    let base = text("base", Value::Null, "base.example");
    let child = text(
        "child",
        json!({"id": "/subscriptions/s/providers/Microsoft.Network/firewallPolicies/BASE"}),
        "child.example",
    );
    for files in [
        [("a.json", &*child), ("b.json", &*base)],
        [("b.json", &*base), ("a.json", &*child)],
    ] {
        let policy = loads(&import(&files, &Options::default()).unwrap()).policy;
        assert_eq!((&*policy.name, &*policy.parents[0].name), ("child", "base"));
        assert_eq!(
            (&*policy.groups[0].name, &*policy.parents[0].groups[0].name),
            ("g", "g")
        );
    }
}

/// The same policy as ARM, as `az` prints it, as PowerShell does and by REST, in one file or several.
#[test]
fn what_tools_print_is_read_like_a_template() {
    let id = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network";
    let app = rule(
        &json!({"sourceAddresses": [], "sourceIpGroups": [format!("{id}/ipGroups/spokes")], "targetUrls": [], "etag": "x"}),
    );
    let az_group = json!({"etag": "x", "id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g"), "name": "g", "priority": 200,
        "provisioningState": "Succeeded", "resourceGroup": "r", "ruleCollections": collection("Allow", app.clone()),
        "type": "Microsoft.Network/FirewallPolicies/RuleCollectionGroups"});
    let ip_group = json!({"id": format!("{id}/ipGroups/spokes"), "name": "spokes", "ipAddresses": ["10.1.0.0/16"],
        "type": "Microsoft.Network/IpGroups"});
    let az_policy = json!({"id": format!("{id}/firewallPolicies/p"), "name": "p", "threatIntelMode": "Alert", "basePolicy": null,
        "ruleCollectionGroups": [{"id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g")}], "type": "Microsoft.Network/FirewallPolicies"});
    let rest = json!({"value": [{"id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g"), "name": "g",
        "properties": {"priority": 200, "ruleCollections": collection("Allow", app)}}]});
    let shell = json!({"Properties": {"Priority": 200, "RuleCollection": [{"RuleCollectionType": "FirewallPolicyFilterRuleCollection",
        "Name": "c", "Priority": 200, "Action": {"Type": "Allow"}, "Rules": [{"RuleType": "ApplicationRule", "Name": "r",
        "SourceAddresses": [], "SourceIpGroups": [format!("{id}/ipGroups/spokes")], "Protocols": [{"ProtocolType": "Https", "Port": 443}],
        "TargetFqdns": ["a.example"], "FqdnTags": null, "TerminateTLS": false}]}]},
        "Name": "g", "Id": format!("{id}/firewallPolicies/p/ruleCollectionGroups/g")});
    let groups = json!([ip_group]).to_string();
    let expected = loads(
        &import(
            &[("a.json", &json!([az_group]).to_string()), ("i.json", &groups)],
            &Options::default(),
        )
        .unwrap(),
    );
    assert_eq!(&*expected.policy.groups[0].collections[0].name, "c");
    assert_eq!(&*expected.policy.name, "p");
    for printed in [
        vec![json!([az_group]).to_string(), az_policy.to_string()],
        vec![json!({"value": [az_group], "Count": 1}).to_string()],
        vec![rest.to_string()],
        vec![shell.to_string()],
        vec![json!([shell]).to_string()],
    ] {
        let mut files: Vec<(&str, &str)> = printed.iter().map(|text| ("p.json", text.as_str())).collect();
        files.push(("i.json", &groups));
        let imported = import(&files, &Options::default()).unwrap_or_else(|faults| panic!("{printed:?} {faults:?}"));
        assert_eq!(loads(&imported).policy, expected.policy, "{printed:?}");
    }
}

#[test]
fn equal_priorities_keep_the_order_of_the_file_and_say_so() {
    let one = |name: &str, action: &str| {
        json!({"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": name, "priority": 200,
            "action": {"type": action}, "rules": [rule(&json!({}))]})
    };
    let text = policy("Off", &json!([one("first", "Deny"), one("second", "Allow")]));
    let imported = import(&[("a.json", &text)], &Options::default()).unwrap();
    let second = imported
        .report
        .items
        .iter()
        .find(|item| item.name == "g/second")
        .unwrap();
    assert!(
        second.notes[0].contains("priority 200 is that of `first` as well"),
        "{:?}",
        second.notes
    );
    let checked = loads(&imported);
    assert!(shown(&checked.warnings).contains("the order of the file counts"));
    let names: Vec<_> = checked.policy.groups[0]
        .collections
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn a_value_for_a_parameter_that_no_template_has_is_refused() {
    let options = Options {
        set: vec![("lcation".into(), "x".into())],
        ..Options::default()
    };
    let faults = template("bicep-vwan-azfwpolicy.json", &options).unwrap_err();
    assert_eq!(faults[0].found, "no template has a parameter `lcation`");
}

#[test]
fn a_file_of_something_else_is_refused() {
    for text in ["{\"a\": 1}", "3", "{\"resources\": {}, \"x\": []}"] {
        let faults = import(&[("a.json", text)], &Options::default()).unwrap_err();
        assert_eq!(faults[0].found, "holds nothing of an Azure Firewall", "{text}");
    }
}

/// A list may be shared by many rules, so that a small file holds many entries.
#[test]
fn a_small_file_that_comes_to_a_great_many_entries_is_refused() {
    let names: Vec<String> = (0..9_000).map(|index| format!("h{index}.example")).collect();
    let rules: Vec<Value> = (0..100)
        .map(|index| rule(&json!({"name": format!("r{index}"), "targetFqdns": "[variables('n')]"})))
        .collect();
    let groups: Vec<Value> = (0..60)
        .map(|index| {
            json!({"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("p/g{index}"), "properties": {
                "priority": 100 + index, "ruleCollections": [{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c",
                    "priority": 200, "action": {"type": "Allow"}, "rules": "[variables('r')]"}]}})
        })
        .collect();
    let template = json!({"contentVersion": "1", "variables": {"n": names, "r": rules}, "resources": groups});
    let faults = import(&[("a.json", &template.to_string())], &Options::default()).unwrap_err();
    assert_eq!(faults[0].found, "the rules come to more than 1000000 entries of lists");
}

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("egret-import-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn egret(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
        command.current_dir(&self.0).args(line.split(' ')).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command_writes_toml_and_a_report_and_refuses_with_2() {
    let folder = Folder::new("command");
    folder.write("p.json", &policy("Alert", &collection("Allow", rule(&json!({})))));
    let out = folder.egret("import azure-firewall p.json -o p.toml --report report.json");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(
        text(&out.stderr).contains("1 application rules: 1 carried"),
        "{}",
        text(&out.stderr)
    );
    let report: Value = serde_json::from_slice(&fs::read(folder.0.join("report.json")).unwrap()).unwrap();
    assert_eq!(
        report["counts"]["application_rule"],
        json!({"held": 1, "carried": 1, "approximated": 0, "absent": 0})
    );
    assert_eq!(folder.egret("check p.toml").status.code(), Some(0));
    let allowed = folder.egret("explain https://a.example --source 10.1.1.1 --config p.toml");
    assert_eq!(allowed.status.code(), Some(0));

    // The TOML looks for its files beside itself, wherever it is written to.
    fs::create_dir(folder.0.join("sub")).unwrap();
    let tags = "{\"values\": [{\"name\": \"Sql\", \"properties\": {\"addressPrefixes\": [\"198.51.100.0/24\"]}}]}";
    folder.write("tags.json", tags).write("bad.txt", "bad.example\n");
    let lists = "--service-tags tags.json --threat-intelligence bad.txt";
    for out in ["sub/p.toml", "q.toml"] {
        let made = folder.egret(&format!("import azure-firewall p.json -o {out} {lists}"));
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let checked = folder.egret(&format!("check {out}"));
        assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    }

    folder.write("d.json", &policy("Deny", &json!([])));
    let out = folder.egret("import azure-firewall d.json -o d.toml");
    assert_eq!(out.status.code(), Some(2));
    let told = text(&out.stderr);
    assert!(
        told.contains("d.json:1:") && told.contains("$.resources[0].properties.threatIntelMode"),
        "{told}"
    );
    assert!(!folder.0.join("d.toml").exists());
}

#[test]
fn a_configuration_may_name_a_policy_in_json_and_problems_keep_their_place_there() {
    let folder = Folder::new("config");
    folder.write(
        "p.json",
        &policy(
            "Off",
            &collection("Allow", rule(&json!({"targetFqdns": ["*.openai.azure.com"]}))),
        ),
    );
    folder.write(
        "egret.toml",
        "[policy]\nazure_firewall = [\"p.json\"]\n\n[listeners]\nproxy = [\"127.0.0.1:0\"]\n",
    );
    let out = folder.egret("check egret.toml");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    let told = text(&out.stdout);
    assert!(
        told.contains("exfiltration path") && told.contains("--> p.json:1:"),
        "{told}"
    );
    assert!(
        told.contains("$.resources[1].properties.ruleCollections[0].rules[0]"),
        "{told}"
    );
    let allowed = folder.egret("explain https://a.openai.azure.com --source 10.1.1.1 --azure-policy p.json");
    assert_eq!(allowed.status.code(), Some(0), "{}", text(&allowed.stdout));
    let denied = folder.egret("explain https://b.example --source 10.1.1.1 --config egret.toml");
    assert_eq!(denied.status.code(), Some(1));

    folder.write("p.json", &policy("Deny", &json!([])));
    let out = folder.egret("check egret.toml");
    assert_eq!(out.status.code(), Some(1));
    assert!(
        text(&out.stdout).contains("cannot be enforced in full"),
        "{}",
        text(&out.stdout)
    );
    folder.write(
        "egret.toml",
        "[policy]\nazure_firewall = [\"p.json\"]\npartial = true\n",
    );
    assert_eq!(folder.egret("check egret.toml").status.code(), Some(0));
}

/// 700 KB as Bicep compiles it: 40 modules of a group each, whose rules are made by loops over lists in variables.
#[test]
fn a_large_compiled_template_is_imported_within_two_seconds() {
    let module = |index: usize| {
        let names: Vec<String> = (0..400)
            .map(|name| format!("long-host-name-{name}.group-{index}.contoso.example"))
            .collect();
        json!({"type": "Microsoft.Resources/deployments", "name": format!("m{index}"), "properties": {
        "expressionEvaluationOptions": {"scope": "inner"},
        "parameters": {"priority": {"value": 100 + index}},
        "template": {
            "parameters": {"priority": {"type": "int"}},
            "variables": {"names": names, "copy": [{"name": "rules", "count": "[div(length(variables('names')), 10)]", "input": {
                "ruleType": "ApplicationRule", "name": "[format('rule-{0}', copyIndex('rules'))]", "sourceAddresses": ["10.0.0.0/8"],
                "protocols": [{"protocolType": "Https", "port": 443}],
                "targetFqdns": "[take(skip(variables('names'), mul(copyIndex('rules'), 10)), 10)]"}}]},
            "resources": [{"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": format!("p/g{index}"),
                "properties": {"priority": "[parameters('priority')]", "ruleCollections": [{
                    "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 200,
                    "action": {"type": "Allow"}, "rules": "[variables('rules')]"}]}}]
        }}})
    };
    let modules: Vec<Value> = (0..40).map(module).collect();
    let template = json!({"contentVersion": "1", "resources": modules}).to_string();
    assert!(template.len() > 700_000, "{}", template.len());
    let started = std::time::Instant::now();
    let imported = import(&[("large.json", &template)], &Options::default()).unwrap();
    assert_eq!(count(&imported, ItemKind::ApplicationRule), "1600/0/0");
    // A debug build on a busy machine; a release build takes a tenth of it.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert_eq!(loads(&imported).policy.groups.len(), 40);
}

/// `GET` over a connection of its own.
fn get(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn what_is_not_enforced_is_named_in_health_and_in_a_metric() {
    let folder = Folder::new("partial");
    folder.write(
        "p.json",
        &policy("Deny", &collection("Deny", rule(&json!({"terminateTLS": true})))),
    );
    let ports = "[listeners]\nproxy = [\"127.0.0.1:0\"]\nhealth = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n";
    folder.write(
        "egret.toml",
        // What the file says of denials itself cannot hide those of the import.
        &format!("[policy]\nazure_firewall = [\"p.json\"]\npartial = true\nnot_enforced = []\n\n{ports}"),
    );
    let checked = config::load(&folder.0.join("egret.toml")).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert_eq!(checked.sources, [folder.0.join("p.json")]);
    assert_eq!(checked.policy.not_enforced.len(), 2);
    let explained = folder.egret("explain https://a.example --source 10.1.1.1 --config egret.toml --json");
    let told: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!(told["not_enforced"].as_array().unwrap().len(), 2);
    let gateway = egret::gateway::Gateway::start(checked, egret::gateway::GatewayOptions::default()).unwrap();
    let (health, admin) = (gateway.health_addrs()[0], gateway.admin_addrs()[0]);
    let ready = get(health, "/readyz");
    assert!(
        ready.contains("\"partial\": true") && !ready.contains("g/c/r"),
        "{ready}"
    );
    assert!(get(admin, "/metrics").contains("egret_policy_not_enforced 2"));
    assert!(get(admin, "/status").contains("g/c/r"));
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

#[test]
fn explain_and_check_name_what_a_partial_import_does_not_deny() {
    let folder = Folder::new("partly");
    let denies = collection("Deny", rule(&json!({"targetFqdns": [], "webCategories": ["gambling"]})));
    let mut rules = denies.as_array().unwrap().clone();
    let mut allows = collection("Allow", rule(&json!({"targetFqdns": ["*"]})))[0].take();
    allows["name"] = "allow".into();
    allows["priority"] = 300.into();
    rules.push(allows);
    folder.write("p.json", &policy("Off", &json!(rules)));
    let explained = folder.egret("explain https://bets.example --source 10.1.1.1 --azure-policy p.json --partial");
    let told = text(&explained.stdout);
    assert!(told.contains("NOT ENFORCED") && told.contains("g/c/r: "), "{told}");
    let checked = folder.egret("check --azure-policy p.json --partial");
    let told = text(&checked.stderr) + &text(&checked.stdout);
    assert!(told.contains("NOT ENFORCED: `g/c/r` is absent"), "{told}");
    let denied = folder.egret("explain https://bets.example --source 192.0.2.1 --azure-policy p.json --partial");
    assert!(
        !text(&denied.stdout).contains("NOT ENFORCED"),
        "what is denied anyway is denied"
    );
}
