//! Which policy is in force: what firewalls use, and what policies say of the firewalls that use them.

use super::*;

fn in_use(name: &str, firewalls: &[&str]) -> Value {
    let firewalls: Vec<Value> = firewalls
        .iter()
        .map(|name| json!({"id": id("rg", &format!("azureFirewalls/{name}"))}))
        .collect();
    with(policy(name, json!({})), "firewalls", json!(firewalls))
}

#[test]
fn the_policy_that_lists_a_firewall_is_in_force_and_not_the_first() {
    let two = |dev: &[&str], prod: &[&str], action: &str| {
        json!([
            in_use("dev", dev),
            in_use("prod", prod),
            group("dev/g", "Allow"),
            group("prod/h", action)
        ])
    };
    assert_eq!(rules(&[two(&[], &["fw"], "Deny")]), ["g/c/r absent", "h/c/r carried"]);
    assert_eq!(rules(&[two(&["fw"], &[], "Deny")]), ["g/c/r carried", "h/c/r absent"]);
    let both = |action: &str| two(&["fw1"], &["fw2"], action);
    assert_eq!(rules(&[both("Allow")]), ["g/c/r carried", "h/c/r absent"]);
    stops(&[both("Deny")], "a firewall of the files uses it, another uses `dev`");
}

#[test]
fn a_firewall_of_which_the_policy_is_not_known_may_use_one_that_denies() {
    let two = |other: &str, action: &str| {
        let uses = |name: &str, id: &str| resource("azureFirewalls", name, json!({"firewallPolicy": {"id": id}}));
        json!({"contentVersion": "1", "parameters": {"x": {"type": "string"}}, "resources": [
            policy("a", json!({})), group("a/g", "Allow"), policy("b", json!({})), group("b/h", action),
            uses("f1", "[resourceId('Microsoft.Network/firewallPolicies', 'a')]"), uses("f2", other)]})
    };
    for unknown in ["[parameters('x')]", "[reference('x').y]"] {
        assert_eq!(
            rules(&[two(unknown, "Allow")]),
            ["g/c/r carried", "h/c/r absent"],
            "{unknown}"
        );
        stops(
            &[two(unknown, "Deny")],
            "a firewall of which the policy is not known may use it",
        );
        let file = two(unknown, "Deny").to_string().into_bytes();
        let options = Options {
            policy: Some("a".into()),
            ..Options::default()
        };
        assert!(
            azure_firewall(&[("0.json".into(), file)], None, &options).is_ok(),
            "{unknown}"
        );
    }
}

#[test]
fn a_group_of_powershell_is_of_the_policy_that_its_id_says() {
    let group = |policy: &str, name: &str, action: &str| {
        let id = id("rg", &format!("firewallPolicies/{policy}/ruleCollectionGroups/{name}"));
        json!({"Name": name, "Properties": {"Priority": 200, "RuleCollection": [collection(action)], "Name": name, "Id": id}})
    };
    let policy = |name: &str, base: Value, group: &str| {
        let id = id("rg", &format!("firewallPolicies/{name}"));
        let group = json!({"Id": format!("{id}/ruleCollectionGroups/{group}")});
        json!({"Type": "Microsoft.Network/FirewallPolicies", "Name": name, "Id": id, "BasePolicy": base,
            "RuleCollectionGroups": [group]})
    };
    let base = json!({"Id": id("rg", "firewallPolicies/base")});
    let family = [
        json!([group("p", "g", "Allow"), group("base", "g", "Deny")]),
        policy("p", base, "g"),
        policy("base", Value::Null, "g"),
    ];
    assert_eq!(rules(&family), ["g/c/r carried", "g/c/r carried"]);
    let of_another = [
        policy("p", Value::Null, "g"),
        group("p", "g", "Deny"),
        group("q", "h", "Allow"),
    ];
    assert_eq!(rules(&of_another), ["g/c/r carried", "h/c/r absent"]);
}

fn printed(kind: &str, rest: &str, members: Value) -> Value {
    let mut printed =
        json!({"id": id("rg", rest), "name": rest.rsplit('/').next(), "type": format!("Microsoft.Network/{kind}")});
    let members = members.as_object().unwrap().clone();
    printed.as_object_mut().unwrap().extend(members);
    printed
}

fn printed_group(policy: &str, action: &str) -> Value {
    let rest = format!("firewallPolicies/{policy}/ruleCollectionGroups/g");
    printed("FirewallPolicies/RuleCollectionGroups", &rest, content(action))
}

/// What else it has may deny, and comes before the child.
#[test]
fn a_parent_of_which_only_groups_are_there_is_missing() {
    let parent = base(&id("rg", "firewallPolicies/hub"));
    let child = printed("FirewallPolicies", "firewallPolicies/p", parent.clone());
    let hub = printed(
        "FirewallPolicies",
        "firewallPolicies/hub",
        json!({"threatIntelMode": "Off"}),
    );
    let groups = || [printed_group("p", "Allow"), printed_group("hub", "Deny")];
    let without = [child.clone(), json!(groups())];
    stops(
        &without,
        "its parent policy `hub` is in none of the files, which hold only groups of it",
    );
    assert_eq!(
        rules(&[child, json!(groups()), hub]),
        ["g/c/r carried", "g/c/r carried"]
    );
    // So it is in a template, and where that only refers to it.
    let referred = with(policy("hub", json!({})), "existing", json!(true));
    for beside in [json!({"type": "Microsoft.Network/virtualNetworks"}), referred] {
        let base = base("[resourceId('Microsoft.Network/firewallPolicies', 'hub')]");
        let own = [
            policy("p", base),
            group("p/g", "Allow"),
            group("hub/g", "Allow"),
            beside,
        ];
        stops(&[template(json!(own))], "which hold only groups of it");
    }
    let file = [(
        "0.json".to_owned(),
        json!([without[0], groups()[0], groups()[1]]).to_string().into_bytes(),
    )];
    let partial = Options {
        partial: true,
        ..Options::default()
    };
    let imported = azure_firewall(&file, None, &partial).unwrap();
    assert_eq!(imported.report.not_enforced().len(), 1);
    assert!(outcomes(&imported).contains(&"g/c/r carried".to_owned()));
    // Groups alone are what is wanted.
    assert_eq!(rules(&[json!(groups()[..1])]), ["g/c/r carried"]);
}

#[test]
fn a_firewall_s_policy_of_which_only_groups_are_there_is_missing() {
    let uses = json!({"firewallPolicy": {"id": id("rg", "firewallPolicies/p")}});
    let firewall = printed("azureFirewalls", "azureFirewalls/fw", uses);
    let files = [firewall.clone(), printed_group("p", "Allow")];
    stops(
        &files,
        "it uses the policy `p`, which is in none of the files, which hold only groups of it",
    );
    let whole = [
        &files[..],
        &[printed(
            "FirewallPolicies",
            "firewallPolicies/p",
            json!({"threatIntelMode": "Off"}),
        )],
    ]
    .concat();
    assert_eq!(rules(&whole), ["g/c/r carried"]);
    let file = [("0.json".to_owned(), json!(files).to_string().into_bytes())];
    let named = Options {
        policy: Some("p".into()),
        ..Options::default()
    };
    assert!(azure_firewall(&file, None, &named).is_ok());
}
