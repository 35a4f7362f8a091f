//! Fields that belong to another kind of rule.

use super::*;

/// A firewall without a policy that has this network rule.
fn classic(action: &str, rule: &Value) -> Value {
    let rule = with(
        json!({"name": "r", "sourceAddresses": ["*"], "destinationAddresses": ["203.0.113.9"],
        "destinationPorts": ["*"]}),
        rule,
    );
    let collection = json!({"priority": 100, "action": {"type": action}, "rules": [rule]});
    json!({"type": "Microsoft.Network/azureFirewalls", "name": "f",
        "properties": {"networkRuleCollections": [{"name": "c", "properties": collection}]}})
}

#[test]
fn protocols_are_those_of_the_schema_that_the_rule_is_of() {
    let both = json!({"protocols": ["Any"], "ipProtocols": ["TCP"]});
    let one = |key: &str| json!({key: ["UDP"]});
    assert!(import(&classic("Deny", &both), false).is_err());
    assert!(import(&classic("Deny", &one("ipProtocols")), false).is_err());
    let imported = import(&classic("Deny", &one("protocols")), false).unwrap();
    assert!(imported.toml.contains("protocols = [\"UDP\"]"), "{}", imported.toml);
    let now = |action: &str, fields: &Value| collection(filter(action), &network(fields));
    assert!(import(&now("Deny", &both), false).is_err());
    let allowed = import(&now("Allow", &both), false).unwrap();
    assert_eq!(outcome(&allowed, "g/c/r").0, Outcome::Absent);
    // PowerShell's name.
    let powershell = with(one("protocols"), &json!({"ipProtocols": null}));
    assert_eq!(
        outcome(&import(&now("Deny", &powershell), false).unwrap(), "g/c/r").0,
        Outcome::Carried
    );
}

#[test]
fn a_dnat_rule_with_what_none_has_is_left_out() {
    let nat = || json!({"ruleCollectionType": "FirewallPolicyNatRuleCollection", "action": {"type": "DNAT"}});
    for (fields, what) in [
        (json!({"destinationFqdns": ["z.example"]}), "no field"),
        (json!({"destinationIpGroups": ["/x/y"]}), "no field"),
        (json!({"translatedFqdn": "b.example"}), "which of them counts"),
    ] {
        let imported = import(&collection(nat(), &with(dnat(), &fields)), false).unwrap();
        let (told, why) = outcome(&imported, "g/c/r");
        assert!(told == Outcome::Absent && why.contains(what), "{fields}: {why}");
    }
    let none = json!({"destinationFqdns": [], "destinationIpGroups": [], "translatedFqdn": null});
    let imported = import(&collection(nat(), &with(dnat(), &none)), false).unwrap();
    assert_eq!(outcome(&imported, "g/c/r").0, Outcome::Carried);
}
