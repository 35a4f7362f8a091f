//! What audit mode lets through, and what of it `explain` tells.

use super::{super::*, change, explain};

/// A collection of one rule for one name.
fn one(kind: &str, name: &str, priority: u16, action: &str, rest: &str) -> String {
    let (collection, mode) = name
        .split_once('!')
        .map_or((name, ""), |(name, _)| (name, "mode = \"audit\"\n"));
    format!(
        "[[{kind}_rule_collection]]\nname = \"{collection}\"\npriority = {priority}\naction = \"{action}\"\n{mode}\
         [[{kind}_rule_collection.rule]]\nname = \"r\"\n{rest}\n"
    )
}

/// `group!`: a collection in audit mode.
fn app(name: &str, priority: u16, action: &str, source: &str) -> String {
    let rest = format!("source_addresses = [\"{source}\"]\ndestination_fqdns = [\"x.contoso.com\"]");
    one("application", name, priority, action, &rest)
}

#[test]
fn an_address_that_is_denied_in_audit_mode_is_told_as_what_it_would_have_been() {
    let rest = "source_addresses = [\"*\"]\nprotocols = [\"TCP\"]\ndestination_addresses = [\"203.0.113.0/24\"]\n\
                destination_ports = [\"443\"]";
    let setting = "explicit_network_rules = true\n";
    let audited = one("network", "n!", 100, "Deny", rest);
    let all = one("network", "n", 100, "Deny", rest);
    let allowed = app("apps", 200, "Allow", "*");
    for policy in [
        format!("{setting}{audited}{allowed}"),
        format!("{setting}mode = \"audit\"\n{all}{allowed}"),
    ] {
        for (said, action) in [
            ("203.0.113.7", "Deny"),
            ("203.0.113.7,1.1.1.1", "Allow"),
            ("1.1.1.1", "Allow"),
        ] {
            let found = explain(
                &policy,
                &format!("https://x.contoso.com --resolved x.contoso.com={said}"),
            )
            .unwrap();
            let json: serde_json::Value = serde_json::from_str(&show::json::json(&found)).unwrap();
            assert_eq!(
                (&json["action"], &json["permitted"]),
                (&action.into(), &true.into()),
                "{said}"
            );
            let (rule, behind) = match action {
                "Deny" => ("default/n/r", Some("default/apps/r")),
                _ => ("default/apps/r", None),
            };
            assert_eq!(
                (json["rule"].as_str(), json["behind"].as_str()),
                (Some(rule), behind),
                "{said}"
            );
        }
    }
}

#[test]
fn a_change_is_one_if_the_attempt_gets_through_in_audit_mode_too() {
    let retiring = app("retiring!", 100, "Deny", "*");
    let ask = "https://x.contoso.com --source 10.2.0.1";
    let policy = retiring.clone() + &app("a", 300, "Allow", "10.1.0.0/16");
    assert_eq!(
        change(&policy, ask).1,
        "rule default/a/r allows it to others: add \"10.2.0.1\" to its `source_addresses`, or to one of its IP groups, and it is \
         recorded as denied by rule default/retiring/r"
    );
    let policy = retiring + &app("hard", 200, "Deny", "*") + &app("a", 300, "Allow", "*");
    assert_eq!(
        change(&policy, ask).1,
        "leave out rule default/hard/r, or take this out of it: then rule default/a/r allows it, and it is recorded as denied by \
         rule default/retiring/r"
    );
    let policy = app("a", 100, "Allow", "*") + &app("again!", 200, "Deny", "*") + &app("z", 300, "Allow", "*");
    assert_eq!(
        change(&policy, ask).1,
        "nothing alone: without rule default/a/r, rule default/z/r allows it too, and it is recorded as denied by rule default/again/r"
    );
    // What denies is the address: nobody vouches for it.
    let policy = app("retiring!", 100, "Deny", "*") + &app("a", 300, "Allow", "*");
    let (permitted, words) = change(&policy, &format!("{ask} --resolved x.contoso.com=10.8.0.1"));
    assert!(!permitted && !words.contains("come before"), "{words}");
}
