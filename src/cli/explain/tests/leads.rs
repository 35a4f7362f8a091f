//! Where names lead: what hangs on it, and what is said of it.

use super::*;

/// Without the rule that allows it, a denial by a name is next, and nobody says where that name leads.
#[test]
fn a_denial_that_hangs_on_a_name_is_told_as_such() {
    let rule = |name: &str, priority: u16, action: &str, to: &str| {
        format!(
            "[[network_rule_collection]]\nname = \"{name}\"\npriority = {priority}\naction = \"{action}\"\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
             destination_ports = [\"22\"]\n{to}\n"
        )
    };
    let policy = rule("first", 100, "Allow", "destination_addresses = [\"10.9.0.0/16\"]")
        + &rule("by-name", 200, "Deny", "destination_fqdns = [\"git.example.com\"]")
        + &rule("last", 300, "Allow", "destination_addresses = [\"10.0.0.0/8\"]");
    let (permitted, words) = change(&policy, "tcp://10.9.0.1:22 --source 10.1.0.7");
    assert!(permitted);
    let by = "then rule default/by-name/r, if a name of it leads there, denies it";
    assert!(words.contains(by), "{words}");
    let policy = rule("first", 100, "Allow", "destination_addresses = [\"10.9.0.0/16\"]")
        + &rule("by-name", 200, "Allow", "destination_fqdns = [\"git.example.com\"]");
    let (permitted, words) = change(&policy, "tcp://10.9.0.1:22 --source 10.1.0.7");
    assert!(permitted);
    let unless = "denies it, unless a name of rule default/by-name/r, which allows it, leads there";
    assert!(words.contains(unless), "{words}");
}

/// Names under contoso.com, but not at some addresses.
const BY_ADDRESS: &str = r#"
explicit_network_rules = true
[[network_rule_collection]]
name = "d"
priority = 100
action = "Deny"
[[network_rule_collection.rule]]
name = "r"
protocols = ["TCP"]
source_addresses = ["*"]
destination_addresses = ["203.0.113.0/24"]
destination_ports = ["443"]
[[application_rule_collection]]
name = "a"
priority = 100
action = "Allow"
[[application_rule_collection.rule]]
name = "w"
source_addresses = ["*"]
destination_fqdns = ["*.contoso.com"]
protocols = [{ type = "Https", port = 443 }, { type = "Https", port = 444 }]
"#;

#[test]
fn a_name_is_judged_by_the_addresses_it_is_said_to_lead_to_and_is_open_without() {
    for (line, permitted, open) in [
        ("https://www.contoso.com", false, true),
        ("https://www.contoso.com:444", true, false),
        ("https://www.fabrikam.com", false, false),
        ("https://www.contoso.com --destination 203.0.113.9", false, false),
        ("https://www.contoso.com --destination 192.0.2.9", true, false),
        (
            "https://www.contoso.com --resolved www.contoso.com=203.0.113.9",
            false,
            false,
        ),
        (
            "https://www.contoso.com --resolved www.contoso.com=192.0.2.9",
            true,
            false,
        ),
        (
            "https://www.contoso.com --resolved www.contoso.com=203.0.113.9,192.0.2.9",
            true,
            false,
        ),
        (
            "https://www.contoso.com --resolved www.contoso.com=127.0.0.1",
            false,
            false,
        ),
        // Vetted like what the forwarders say, whichever way it is said; what is said of one name adds up.
        ("https://www.contoso.com --destination 127.0.0.1", false, false),
        (
            "https://www.contoso.com:444 --destination 169.254.169.254",
            false,
            false,
        ),
        ("https://www.contoso.com:444 --destination 10.9.9.9", false, false),
        (
            "https://www.contoso.com --resolved www.contoso.com=203.0.113.9 --resolved www.contoso.com=192.0.2.9",
            true,
            false,
        ),
    ] {
        let found = explain(BY_ADDRESS, line).unwrap();
        let told = (found.permitted(), found.by_address().is_some());
        assert_eq!(told, (permitted, open), "{line}");
        assert_eq!(found.doubt.is_some(), open, "{line}");
    }
    for (line, fault) in [
        (
            "https://www.contoso.com --resolved other.contoso.com=192.0.2.9",
            "--resolved other.contoso.com: the attempt does not ask for this name",
        ),
        (
            "https://www.contoso.com --resolved www.contoso.com=1.1.1.1 --destination 2.2.2.2",
            "where `www.contoso.com` leads is said twice",
        ),
        (
            "https://www.contoso.com --via transparent --destination 1.1.1.1 --resolved sql.contoso.com=2.2.2.2",
            "neither the attempt nor a network rule has this name",
        ),
    ] {
        let error = explain(BY_ADDRESS, line).err().map(|error| error.to_string());
        assert!(
            error.as_ref().is_some_and(|error| error.contains(fault)),
            "{line}: {error:?}"
        );
    }
}

/// An address that a rule denies on one port, and some that are not dialled, behind a name that a rule allows to others.
#[test]
fn a_change_is_tried_up_to_where_the_name_was_said_to_lead() {
    let add = "rule default/a/w allows it to others: add \"10.2.0.5\" to its `source_addresses`";
    let policy = BY_ADDRESS.replace("[\"*\"]\ndestination_fqdns", "[\"10.1.0.0/16\"]\ndestination_fqdns");
    for (said, port, flips) in [
        ("1.1.1.1", 443, true),
        ("203.0.113.9,1.1.1.1", 443, true),
        ("203.0.113.9", 443, false),
        ("203.0.113.9", 444, true),
        ("169.254.169.254", 444, false),
        ("10.9.9.9", 444, false),
    ] {
        let line = format!("https://www.contoso.com:{port} --source 10.2.0.5 --resolved www.contoso.com={said}");
        let (permitted, words) = change(&policy, &line);
        assert!(!permitted, "{line}");
        assert_eq!(words.starts_with(add), flips, "{line}: {words}");
        assert!(!words.contains("unless"), "{line}: {words}");
    }
    // Nobody says where it leads: what is left open is said.
    let (_, words) = change(&policy, "https://www.contoso.com --source 10.2.0.5");
    assert_eq!(
        words.strip_prefix(add),
        Some(", or to one of its IP groups, unless the name leads where rule default/d/r denies")
    );
    // No zone makes it right.
    let line = "https://www.contoso.com --source 10.1.0.5 --resolved www.contoso.com=168.63.129.16";
    assert_eq!(change(&policy, line), (false, resolve::NEVER.to_owned()));
    assert_eq!(change(&policy, "https://[::1]").1, resolve::NEVER);
}

/// The usual last rule denies every address; one before it denies some of them.
#[test]
fn what_denies_an_address_before_the_rule_for_all_of_them_is_told() {
    let (first, web) = BY_ADDRESS.split_once("[[application").expect("network rules go first");
    let last = "[[network_rule_collection]]\nname = \"last\"\npriority = 4000\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"all\"\nprotocols = [\"Any\"]\nsource_addresses = [\"*\"]\n\
                destination_addresses = [\"*\"]\ndestination_ports = [\"*\"]\n";
    let policy = format!("{first}{last}[[application{web}");
    for (said, rule) in [
        (" --destination 203.0.113.9", "default/d/r"),
        (" --resolved www.contoso.com=203.0.113.9,192.0.2.9", "default/d/r"),
        (" --resolved www.contoso.com=192.0.2.9,203.0.113.9", "default/last/all"),
        // Nobody says it.
        ("", "default/last/all"),
    ] {
        for target in ["https://www.contoso.com", "www.contoso.com:443"] {
            let found = explain(&policy, &format!("{target}{said}")).unwrap();
            let told = found.told().and_then(|told| told.decision.rule);
            assert_eq!(told.map(|rule| found.label(rule)).as_deref(), Some(rule), "{said}");
            assert!(!found.permitted() && found.doubt.is_none(), "{said}");
        }
    }
    // It leads nowhere: no rule denies that, and nothing is dialled.
    let found = explain(&policy, "https://www.contoso.com --resolved www.contoso.com=").unwrap();
    assert!(!found.permitted());
    assert_eq!(
        found.resolution().map(|found| found.vetted.clone()),
        Some(Err(Reason::DnsNoData))
    );
}
