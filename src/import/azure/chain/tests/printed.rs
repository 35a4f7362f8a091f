//! What Azure prints has no expressions.

use super::*;
use crate::import::ImportReport;

/// A group with an allow rule that is called `name`, as `az` prints it.
fn printed(name: &str) -> Value {
    let mut rule = rule();
    rule["name"] = name.into();
    rule["description"] = "[CHG0012345]".into();
    let mut collection = collection("Allow");
    collection["rules"] = json!([rule]);
    json!({"id": id("g", "firewallPolicies/p/ruleCollectionGroups/web"), "name": "web", "resourceGroup": "g",
        "priority": 200, "ruleCollections": [collection], "etag": "x"})
}

fn noted(report: &ImportReport, name: &str) -> Vec<String> {
    let item = report.items.iter().find(|item| item.name == name);
    item.unwrap_or_else(|| panic!("{name}: {report:?}")).notes.clone()
}

#[test]
fn names_and_descriptions_in_brackets_are_kept_as_azure_prints_them() {
    for name in ["[prod]", "[[x] y", "[[x]", "[concat('a', 'b')]"] {
        let list = json!([printed(name)]);
        let one = imported(std::slice::from_ref(&list)).unwrap();
        assert_eq!(noted(&one.report, &format!("web/c/{name}")), [""; 0]);
        assert!(one.toml.contains("description = \"[CHG0012345]\""), "{}", one.toml);
        let both = imported(&[list, printed(name)]).unwrap();
        let outcomes = outcomes(&both);
        assert!(outcomes.contains(&format!("web/c/{name} carried")), "{outcomes:?}");
        assert!(
            both.report
                .items
                .iter()
                .any(|item| item.notes == ["the same as at 0.json:1"])
        );
    }
}

#[test]
fn a_collection_alone_keeps_names_in_brackets_and_works_out_its_expressions() {
    let mut collection = collection("Allow");
    collection["name"] = "[prod]".into();
    collection["rules"][0]["name"] = "[concat('a', 'b')]".into();
    assert_eq!(rules(&[collection]), ["default/[prod]/ab carried"]);
}

#[test]
fn a_name_in_a_template_that_is_no_expression_is_told_of() {
    let mut group = group("p/g", "Allow");
    group["properties"]["ruleCollections"][0]["rules"][0]["name"] = "[prod]".into();
    let imported = imported(&[template(json!([group]))]).unwrap();
    let notes = noted(&imported.report, "g/c/without a name");
    assert!(notes[0].starts_with("its name is not known"), "{notes:?}");
}

#[test]
fn what_only_azure_writes_in_a_policy_says_nothing_in_a_template() {
    let listed = |action: &str| {
        let list = json!([{"name": "g", "properties": content(action)}]);
        json!([policy("p", json!({"ruleCollectionGroups": list})), group("p/h", "Deny")])
    };
    assert_eq!(rules(&[listed("Allow")]), ["g/c/r carried", "h/c/r carried"]);
    assert_eq!(rules(&[template(listed("Allow"))]), ["g/c/r absent", "h/c/r carried"]);
    assert_eq!(
        rules(&[template(listed("Deny"))]),
        ["g/c/r approximated", "h/c/r carried"]
    );
    // The first policy is taken, not the one that lists a firewall.
    let used = policy("q", json!({"firewalls": [{"id": id("rg", "azureFirewalls/f")}]}));
    let two = json!([
        policy("p", json!({})),
        group("p/g", "Allow"),
        used,
        group("q/h", "Allow")
    ]);
    assert_eq!(rules(std::slice::from_ref(&two)), ["g/c/r absent", "h/c/r carried"]);
    assert_eq!(rules(&[template(two)]), ["g/c/r carried", "h/c/r absent"]);
}
