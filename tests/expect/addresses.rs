//! Where a name leads, and what hangs on it.

use super::*;

#[test]
fn a_transparent_attempt_by_name_says_where_it_leads() {
    let attempt =
        "[[attempt]]\nname = \"a\"\nvia = \"transparent\"\ntarget = \"https://a.test\"\ndecision = \"Deny\"\n";
    let told = |text: &str| Suite::parse("t.toml", text).expect_err("a mistake")[0].one_line();
    assert!(
        told(attempt).starts_with("t.toml:4:10: packets lead to an address"),
        "{}",
        told(attempt)
    );
    let twice = attempt.replace("https://a.test", "tcp://10.0.0.1:1") + "destination = \"10.0.0.2\"\n";
    assert!(
        told(&twice).contains("the target is an address already"),
        "{}",
        told(&twice)
    );
}

/// Private addresses are open on 443, but for one host by its name.
const PRIVATE: &str = r#"
[[network_rule_collection]]
name = "n"
priority = 100
action = "Deny"
[[network_rule_collection.rule]]
name = "sql"
protocols = ["TCP"]
source_addresses = ["*"]
destination_fqdns = ["sql.contoso.test"]
destination_ports = ["443"]

[[network_rule_collection]]
name = "a"
priority = 200
action = "Allow"
[[network_rule_collection.rule]]
name = "private"
protocols = ["TCP", "UDP"]
source_addresses = ["*"]
destination_addresses = ["10.0.0.0/8"]
destination_ports = ["443"]
"#;

/// As `egret explain` takes them: what no proxy port carries must not be judged as if it came to one.
#[test]
fn packets_are_routed_unless_the_test_says_otherwise() {
    let policy = config::from_text("p.toml", PRIVATE).expect("it loads").policy;
    let tests = |via: &str, target: &str, decision: &str| {
        format!(
            "source = \"10.1.0.4\"\n[[attempt]]\nname = \"a\"\n{via}target = \"{target}\"\ndecision = \"{decision}\"\n"
        )
    };
    for (via, target, decision, passes) in [
        ("", "udp://10.9.9.9:443", "Allow", true),
        ("", "udp://10.9.9.9:443", "Deny", false),
        ("", "icmp://10.9.9.9", "Deny", true),
        ("via = \"explicit\"\n", "tcp://10.9.9.9:443", "Deny", true),
        ("", "10.9.9.9:443", "Deny", true),
    ] {
        let suite = Suite::parse("t.toml", &tests(via, target, decision)).expect("it loads");
        let (ran, _) = run(&policy, &suite);
        assert_eq!(
            ran.failed.is_empty(),
            passes,
            "{via}{target} {decision}: {:?}",
            ran.judged
        );
    }
    for target in ["udp://10.9.9.9:443", "icmp://10.9.9.9"] {
        let text = tests("via = \"explicit\"\n", target, "Deny");
        let told = Suite::parse("t.toml", &text).expect_err("a mistake")[0].one_line();
        assert!(
            told.starts_with("t.toml:4:7: the proxy port carries TCP alone"),
            "{told}"
        );
    }
}

/// Neither green nor silent: whether the rule matches is not known.
#[test]
fn a_test_that_hangs_on_a_name_that_nobody_resolved_fails() {
    let policy = config::from_text("p.toml", PRIVATE).expect("it loads").policy;
    let attempt = "[[attempt]]\nname = \"a\"\ntarget = \"tcp://10.9.9.9:443\"\ndecision = ";
    let resolved = |to: &str| format!("[resolved]\n\"sql.contoso.test\" = [{to}]\n{attempt}");
    for (text, passes) in [
        (format!("{attempt}\"Allow\""), false),
        (format!("{attempt}\"Deny\""), false),
        (resolved("\"10.9.9.9\"") + "\"Deny\"", true),
        (resolved("\"10.9.9.1\"") + "\"Allow\"", true),
    ] {
        let suite = Suite::parse("t.toml", &text).expect("it loads");
        let (ran, _) = run(&policy, &suite);
        assert_eq!(ran.failed.is_empty(), passes, "{text}: {:?}", ran.judged);
    }
}

/// Names under contoso.test but for what leads to some addresses, and nothing on 8443.
const BY_ADDRESS: &str = r#"
explicit_network_rules = true
[[network_rule_collection]]
name = "n"
priority = 100
action = "Deny"
[[network_rule_collection.rule]]
name = "some"
protocols = ["TCP"]
source_addresses = ["*"]
destination_addresses = ["203.0.113.0/24"]
destination_ports = ["443"]
[[network_rule_collection.rule]]
name = "all"
protocols = ["TCP"]
source_addresses = ["*"]
destination_addresses = ["0.0.0.0/0"]
destination_ports = ["8443"]

[[application_rule_collection]]
name = "a"
priority = 100
action = "Allow"
[[application_rule_collection.rule]]
name = "web"
source_addresses = ["*"]
destination_fqdns = ["*.contoso.test"]
protocols = [{ type = "Https", port = 443 }, { type = "Https", port = 8443 }, { type = "Https", port = 444 }]
"#;

/// As the gateway does it: it denies a name by the addresses that it leads to.
#[test]
fn a_name_at_the_proxy_port_is_judged_by_the_addresses_that_the_test_says_it_leads_to() {
    let policy = config::from_text("p.toml", BY_ADDRESS).expect("it loads").policy;
    for (resolved, target, decision, passes) in [
        ("", "https://www.contoso.test:8443", "Allow", false),
        ("", "https://www.contoso.test:8443", "Deny", true),
        ("", "www.contoso.test:8443", "Deny", true),
        ("", "https://www.contoso.test", "Allow", false),
        ("", "https://www.contoso.test", "Deny", false),
        ("", "https://www.contoso.test:444", "Allow", true),
        ("", "https://www.fabrikam.test", "Deny", true),
        ("\"203.0.113.9\"", "https://www.contoso.test", "Allow", false),
        ("\"203.0.113.9\"", "https://www.contoso.test", "Deny", true),
        ("\"203.0.113.9\"", "www.contoso.test:443", "Deny", true),
        ("\"192.0.2.9\"", "https://www.contoso.test", "Allow", true),
        // One that is denied is not dialled; the other one is.
        (
            "\"203.0.113.9\", \"192.0.2.9\"",
            "https://www.contoso.test",
            "Allow",
            true,
        ),
    ] {
        let resolved = match resolved {
            "" => String::new(),
            addresses => format!("[resolved]\n\"www.contoso.test\" = [{addresses}]\n"),
        };
        let text = format!("{resolved}[[attempt]]\nname = \"a\"\ntarget = \"{target}\"\ndecision = \"{decision}\"\n");
        let suite = Suite::parse("t.toml", &text).expect("it loads");
        let (ran, _) = run(&policy, &suite);
        assert_eq!(ran.failed.is_empty(), passes, "{text}: {:?}", ran.judged);
    }
}

/// A rule that allows an address is reached if it takes the address out of a denial, and not because it holds the address.
#[test]
fn a_network_rule_that_allows_is_covered_only_where_it_makes_a_difference() {
    let rule = |name: &str, priority: u16, action: &str, to: &str| {
        format!(
            "[[network_rule_collection]]\nname = \"{name}\"\npriority = {priority}\naction = \"{action}\"\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
             destination_addresses = [\"{to}\"]\ndestination_ports = [\"443\"]\n"
        )
    };
    let web = "[[application_rule_collection]]\nname = \"web\"\npriority = 100\naction = \"Allow\"\n\
               [[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
               destination_fqdns = [\"*.contoso.test\"]\nprotocols = [{ type = \"Https\", port = 443 }]\n";
    let any = rule("any", 200, "Allow", "*");
    for (rules, unreached, decision) in [
        (any.clone(), &["any"][..], "Allow"),
        // The first one that allows takes it out of the denial; the second one does nothing.
        (
            rule("first", 100, "Allow", "192.0.2.0/24") + &any + &rule("deny", 300, "Deny", "*"),
            &["any", "deny"],
            "Allow",
        ),
        (
            rule("elsewhere", 100, "Allow", "198.51.100.0/24") + &any + &rule("deny", 300, "Deny", "203.0.113.0/24"),
            &["any", "deny", "elsewhere"],
            "Allow",
        ),
        // The name was let in before its address was denied.
        (rule("deny", 100, "Deny", "*") + &any, &["any"], "Deny"),
    ] {
        let text = format!("explicit_network_rules = true\n{rules}{web}");
        let policy = config::from_text("p.toml", &text).expect("it loads").policy;
        let tests = format!(
            "[[attempt]]\nname = \"a\"\ntarget = \"https://www.contoso.test\"\ndestination = \"192.0.2.9\"\n\
             decision = \"{decision}\"\n"
        );
        let (ran, compiled) = run(&policy, &Suite::parse("t.toml", &tests).expect("it loads"));
        assert_eq!(ran.failed, [] as [usize; 0], "{text}");
        let named = ran.unreached.iter().map(|rule| {
            let names = compiled.rule_ref(*rule);
            if &*names.collection == "web" {
                "r"
            } else {
                &*names.collection
            }
        });
        let mut named: Vec<&str> = named.collect();
        named.sort_unstable();
        assert_eq!(named, unreached, "{text}");
    }
}

/// As `[resolved]` has it: the name is judged first, and where it leads nowhere no rule denies.
#[test]
fn what_a_test_says_of_where_a_name_leads_comes_after_the_name_however_it_says_it() {
    let policy = config::from_text("p.toml", BY_ADDRESS).expect("it loads").policy;
    let resolved = |name: &str, to: &str| format!("[resolved]\n\"{name}\" = [{to}]\n");
    for (head, target, more, passes) in [
        // No rule admits the name: nobody looks up where it leads.
        (
            "",
            "https://www.fabrikam.test",
            "destination = \"203.0.113.9\"\nrule = \"default/n/some\"",
            false,
        ),
        (
            "",
            "https://www.fabrikam.test",
            "destination = \"203.0.113.9\"\nreason = \"NoRuleMatched\"",
            true,
        ),
        (
            "",
            "https://www.contoso.test",
            "destination = \"203.0.113.9\"\nrule = \"default/n/some\"",
            true,
        ),
        (
            &resolved("www.fabrikam.test", "\"203.0.113.9\""),
            "https://www.fabrikam.test",
            "rule = \"default/n/some\"",
            false,
        ),
        (&resolved("www.contoso.test", ""), "https://www.contoso.test", "", false),
    ] {
        let text = format!("{head}[[attempt]]\nname = \"a\"\ntarget = \"{target}\"\ndecision = \"Deny\"\n{more}\n");
        let suite = Suite::parse("t.toml", &text).expect("it loads");
        let (ran, _) = run(&policy, &suite);
        assert_eq!(ran.failed.is_empty(), passes, "{text}: {:?}", ran.judged);
    }
    let nowhere = resolved("www.contoso.test", "");
    let text =
        format!("{nowhere}[[attempt]]\nname = \"a\"\ntarget = \"https://www.contoso.test\"\ndecision = \"Allow\"\n");
    let (ran, _) = run(&policy, &Suite::parse("t.toml", &text).expect("it loads"));
    assert!(ran.failed.is_empty(), "{:?}", ran.judged);
}

/// It may lead there: then the first rule allows it, and the second never decides.
#[test]
fn a_routed_name_that_a_rule_allows_is_no_answer_until_the_test_says_where_it_leads() {
    let deny = PRIVATE
        .split("[[network_rule_collection]]")
        .nth(1)
        .expect("the first collection");
    let allow = deny.replace("\"n\"", "\"y\"").replace("Deny", "Allow");
    let deny = deny.replace("= 100", "= 150");
    let text = format!("[[network_rule_collection]]{allow}[[network_rule_collection]]{deny}");
    let policy = config::from_text("p.toml", &text).expect("it loads").policy;
    let attempt = "[[attempt]]\nname = \"a\"\nvia = \"transparent\"\ntarget = \"https://sql.contoso.test\"\n\
                   destination = \"203.0.113.9\"\n";
    let resolved = |to: &str| format!("[resolved]\n\"sql.contoso.test\" = [\"{to}\"]\n{attempt}");
    for (text, passes) in [
        (format!("{attempt}decision = \"Deny\"\nrule = \"default/n/sql\""), false),
        (format!("{attempt}decision = \"Deny\""), false),
        (format!("{attempt}decision = \"Allow\""), false),
        (resolved("203.0.113.9") + "decision = \"Allow\"", true),
        (
            resolved("203.0.113.8") + "decision = \"Deny\"\nreason = \"NoRuleMatched\"",
            true,
        ),
    ] {
        let (ran, _) = run(&policy, &Suite::parse("t.toml", &text).expect("it loads"));
        assert_eq!(ran.failed.is_empty(), passes, "{text}: {:?}", ran.judged);
    }
}

/// A CONNECT does not say what will be spoken. The name settles it, before anybody looks up where it leads; then the addresses are
/// judged for that one protocol.
#[test]
fn the_protocol_of_a_connect_is_settled_by_the_name_and_not_by_where_it_leads() {
    let text = r#"
explicit_network_rules = true
[[network_rule_collection]]
name = "deny"
priority = 120
action = "Deny"
[[network_rule_collection.rule]]
name = "addr"
protocols = ["TCP"]
source_addresses = ["*"]
destination_ports = ["443"]
destination_addresses = ["203.0.113.3"]
[[application_rule_collection]]
name = "a0"
priority = 140
action = "Deny"
[[application_rule_collection.rule]]
name = "notls"
source_addresses = ["*"]
protocols = [{ type = "Https", port = 443 }]
destination_fqdns = ["www.contoso.test"]
[[application_rule_collection]]
name = "a1"
priority = 150
action = "Allow"
[[application_rule_collection.rule]]
name = "http"
source_addresses = ["*"]
protocols = [{ type = "Http", port = 443 }]
destination_fqdns = ["www.contoso.test"]
"#;
    let policy = config::from_text("p.toml", text).expect("it loads").policy;
    let attempt = |rule: &str, more: &str| {
        format!(
            "[[attempt]]\nname = \"a\"\ntarget = \"www.contoso.test:443\"\ndecision = \"Deny\"\n\
             rule = \"default/{rule}\"\n{more}"
        )
    };
    let resolved = "[resolved]\n\"www.contoso.test\" = [\"203.0.113.3\"]\n";
    for (rule, passes) in [("deny/addr", true), ("a0/notls", false)] {
        for text in [
            attempt(rule, "destination = \"203.0.113.3\"\n"),
            resolved.to_owned() + &attempt(rule, ""),
        ] {
            let (ran, _) = run(&policy, &Suite::parse("t.toml", &text).expect("it loads"));
            assert_eq!(ran.failed.is_empty(), passes, "{text}: {:?}", ran.judged);
        }
    }
}

/// The usual last rule denies every address. Where it is known where a name leads, what the gateway tells of it is told: lists go
/// first, then the first rule that holds the address.
#[test]
fn what_denies_an_address_before_the_rule_for_all_of_them_is_told() {
    let rule = |name: &str, priority: u16, to: &str| {
        format!(
            "[[network_rule_collection]]\nname = \"{name}\"\npriority = {priority}\naction = \"Deny\"\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"Any\"]\nsource_addresses = [\"*\"]\n\
             destination_addresses = [\"{to}\"]\ndestination_ports = [\"*\"]\n"
        )
    };
    let web = "[[application_rule_collection]]\nname = \"web\"\npriority = 100\naction = \"Allow\"\n\
               [[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
               destination_fqdns = [\"*.contoso.test\"]\nprotocols = [{ type = \"Http\", port = 8080 }]\n";
    let rules = rule("bad", 100, "198.51.100.0/24") + &rule("all", 4000, "*");
    let text = format!("explicit_network_rules = true\n{rules}{web}");
    let mut policy = config::from_text("p.toml", &text).expect("it loads").policy;
    policy.threat_intelligence.mode = egret::policy::ThreatMode::Deny;
    policy.threat_intelligence.addresses = vec!["203.0.113.9/32".parse().expect("a prefix")];
    for (leads_to, decided) in [
        ("\"198.51.100.66\"", "rule = \"default/bad/r\""),
        ("\"203.0.113.9\"", "reason = \"ThreatIntelligence\""),
        ("\"198.51.100.66\", \"203.0.113.9\"", "reason = \"ThreatIntelligence\""),
        ("\"192.0.2.1\", \"198.51.100.66\"", "rule = \"default/all/r\""),
        ("\"169.254.169.254\"", "reason = \"AddressDenied\""),
    ] {
        // A CONNECT too: the name settles for which protocol it is.
        for target in ["http://www.contoso.test:8080", "www.contoso.test:8080"] {
            let text = format!(
                "[resolved]\n\"www.contoso.test\" = [{leads_to}]\n[[attempt]]\nname = \"a\"\ntarget = \"{target}\"\n\
                 decision = \"Deny\"\n{decided}\n"
            );
            let (ran, _) = run(&policy, &Suite::parse("t.toml", &text).expect("it loads"));
            assert!(ran.failed.is_empty(), "{text}: {:?}", ran.judged);
        }
    }
    // Nobody says it: it is denied wherever it leads.
    let text = "[[attempt]]\nname = \"a\"\ntarget = \"http://www.contoso.test:8080\"\ndecision = \"Deny\"\n\
                rule = \"default/all/r\"\n";
    let (ran, _) = run(&policy, &Suite::parse("t.toml", text).expect("it loads"));
    assert!(ran.failed.is_empty(), "{:?}", ran.judged);
}
