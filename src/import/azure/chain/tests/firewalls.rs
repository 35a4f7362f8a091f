//! Firewalls: with rules of their own, and with a policy.

use super::*;

#[test]
fn collections_that_were_printed_without_their_firewall_are_read() {
    let printed = |kind: &str| {
        let id = id("rg", &format!("azureFirewalls/fw/{kind}/c"));
        json!([{"id": id, "name": "c", "priority": 100, "action": {"type": "Deny"}, "rules": [rule()]}])
    };
    let told = told(&[printed("applicationRuleCollections")]).unwrap();
    assert_eq!(
        told,
        [
            "fw carried",
            "default carried",
            "default/c carried",
            "default/c/r carried"
        ]
    );
}

#[test]
fn collections_beside_another_list_of_their_firewall_are_told_as_that() {
    let collection = |name: &str, action: &str| json!({"name": name, "properties": {"priority": 200, "action": {"type": action}, "rules": [rule()]}});
    let fw = json!({"applicationRuleCollections": [collection("a", "Allow")]});
    let mut printed = collection("deny", "Deny");
    printed["id"] = json!(id("rg", "azureFirewalls/fw/applicationRuleCollections/deny"));
    let files = [
        template(json!([resource("azureFirewalls", "fw", fw)])),
        json!([printed]),
    ];
    let imported = imported(&files).unwrap();
    let allowed = imported
        .report
        .items
        .iter()
        .find(|item| item.name == "default/a/r")
        .unwrap();
    assert_eq!(allowed.outcome, Outcome::Absent);
    let told = allowed.notes.join("; ");
    assert!(
        told.contains("1.json:1 holds other collections of this firewall"),
        "{told}"
    );
}

#[test]
fn a_firewall_of_which_the_policy_is_not_known_does_not_choose_among_several() {
    let firewall =
        |name: &str, policy: &str| resource("azureFirewalls", name, json!({"firewallPolicy": {"id": policy}}));
    let file = |firewalls: &[Value]| {
        let mut resources = vec![
            policy("p", json!({})),
            group("p/g", "Allow"),
            policy("q", json!({})),
            group("q/g", "Deny"),
        ];
        resources.extend_from_slice(firewalls);
        named("id", json!(resources))
    };
    stops(
        &[file(&[firewall("f", "[parameters('id')]")])],
        "which of the policies it uses is not known",
    );
    // One that is certain comes first.
    let perhaps = with(firewall("e", "p"), "condition", json!("[parameters('deploy')]"));
    let told = rules(&[file(&[perhaps, firewall("f", "q")])]);
    assert_eq!(told, ["g/c/r absent", "g/c/r carried"]);
    let one = named(
        "id",
        json!([
            policy("p", json!({})),
            group("p/g", "Deny"),
            firewall("f", "[parameters('id')]")
        ]),
    );
    assert_eq!(rules(&[one]), ["g/c/r carried"]);
}

#[test]
fn the_policy_that_a_firewall_of_the_files_uses_is_the_one() {
    let firewall = |properties: Value| resource("azureFirewalls", "fw", properties);
    let uses = |name: &str| firewall(json!({"firewallPolicy": {"id": id("rg", &format!("firewallPolicies/{name}"))}}));
    let two = |firewall: Value| {
        [template(json!([
            firewall,
            policy("loose", json!({})),
            policy("strict", json!({})),
            group("loose/g", "Allow"),
            group("strict/h", "Deny")
        ]))]
    };
    assert_eq!(rules(&two(uses("strict"))), ["g/c/r absent", "h/c/r carried"]);
    assert_eq!(rules(&two(uses("loose"))), ["g/c/r carried", "h/c/r absent"]);
    stops(&two(uses("another")), "which is in none of the files");
    // One without rules of its own is no policy.
    for without in [
        json!({}),
        json!({"firewallPolicy": null}),
        json!({"networkRuleCollections": []}),
    ] {
        assert_eq!(rules(&two(firewall(without))), ["g/c/r carried", "h/c/r absent"]);
    }
    stops(
        &[json!([firewall(json!(null)), group("p/g", "Allow")])],
        "its rule collections are not known",
    );
}

#[test]
fn a_firewall_with_a_policy_has_no_rules_of_its_own_that_count() {
    let classic = json!({"name": "c", "properties": {"priority": 100, "action": {"type": "Allow"},
        "rules": [rule()]}});
    let firewall = |action: &str| {
        let mut collection = classic.clone();
        collection["properties"]["action"]["type"] = action.into();
        resource(
            "azureFirewalls",
            "fw",
            json!({"firewallPolicy": {"id": id("a", "firewallPolicies/p")},
            "applicationRuleCollections": [collection]}),
        )
    };
    let policy = policy("p", json!({}));
    let files = |action| [json!([firewall(action), policy, group("p/g", "Deny")])];
    assert_eq!(rules(&files("Allow")), ["default/c/r absent", "g/c/r carried"]);
    stops(&files("Deny"), "its firewall has a policy");
}

#[test]
fn what_another_firewall_s_policy_denies_is_not_lost() {
    let fw = |name: &str, policy: &str| {
        let id = format!("[resourceId('Microsoft.Network/firewallPolicies', '{policy}')]");
        resource("azureFirewalls", name, json!({"firewallPolicy": {"id": id}}))
    };
    let both = |action: &str| {
        let (p, q) = (policy("p", json!({})), policy("q", json!({})));
        let groups = [group("p/g", "Allow"), group("q/g", action)];
        template(json!([p, q, groups[0], groups[1], fw("a", "p"), fw("b", "q")]))
    };
    stops(&[both("Deny")], "a firewall of the files uses it, another uses `p`");
    assert_eq!(rules(&[both("Allow")]), ["g/c/r carried", "g/c/r absent"]);
    // What a parent denies that is not in the files, or of which only groups are.
    let child = |beside: Value| {
        let all = json!([
            policy("p", json!({})),
            group("p/g", "Allow"),
            policy("q", base("[resourceId('Microsoft.Network/firewallPolicies', 'base')]")),
            fw("a", "p"),
            fw("b", "q"),
            beside
        ]);
        template(all)
    };
    for beside in [json!({"type": "x/y", "name": "z"}), group("base/g", "Allow")] {
        stops(
            &[child(beside)],
            "its parent, of which not all is in the files, may deny",
        );
    }
    assert_eq!(rules(&[child(policy("base", json!({})))]), ["g/c/r carried"]);
    let file = [("0.json".to_owned(), both("Deny").to_string().into_bytes())];
    let named = Options {
        policy: Some("p".into()),
        ..Options::default()
    };
    assert!(azure_firewall(&file, None, &named).is_ok());
}
