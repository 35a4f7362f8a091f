//! What is told in the end: of the name, of its addresses, and of the lists.

use super::{super::*, explain};
use crate::{
    config,
    policy::{Fqdn, FqdnPattern, ThreatIntelligence, ThreatMode},
};
use clap::Parser;

/// A network rule that denies the name in audit mode, and the rest.
fn recorded(rest: &str) -> String {
    format!(
        "explicit_network_rules = true\n[[network_rule_collection]]\nname = \"rec\"\npriority = 100\naction = \"Deny\"\n\
         mode = \"audit\"\n[[network_rule_collection.rule]]\nname = \"byname\"\nprotocols = [\"TCP\"]\ndestination_ports = [\"443\"]\n\
         destination_fqdns = [\"n3.x.example\"]\n{rest}\n[[application_rule_collection]]\nname = \"a1\"\npriority = 150\n\
         action = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r0\"\ndestination_fqdns = [\"n3.x.example\"]\n"
    )
}

const DENIED: &str = "[[network_rule_collection]]\nname = \"deny\"\npriority = 120\naction = \"Deny\"\n\
                      [[network_rule_collection.rule]]\nname = \"addr\"\nprotocols = [\"TCP\"]\ndestination_ports = [\"443\"]\n\
                      destination_addresses = [\"203.0.113.3\"]\n";

#[test]
fn what_audit_mode_records_of_a_name_is_not_told_of_one_whose_addresses_are_denied() {
    for (policy, to, rule, behind, reason, permitted) in [
        (
            recorded(DENIED),
            "203.0.113.3",
            "default/deny/addr",
            None,
            "RuleMatched",
            false,
        ),
        (
            recorded(""),
            "203.0.113.3",
            "default/rec/byname",
            Some("default/a1/r0"),
            "RuleMatched",
            true,
        ),
        // Nobody vouches for a private address.
        (
            recorded(""),
            "10.1.1.1",
            "default/rec/byname",
            None,
            "RuleMatched",
            false,
        ),
        // As a plain name whose addresses are denied.
        (
            recorded(DENIED)
                .replace("mode = \"audit\"\n", "")
                .replace("\"n3.x.example\"]\n[[network", "\"n4.x.example\"]\n[[network"),
            "203.0.113.3",
            "default/deny/addr",
            None,
            "RuleMatched",
            false,
        ),
    ] {
        let found = explain(&policy, &format!("https://n3.x.example --resolved n3.x.example={to}")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&show::json::json(&found)).unwrap();
        let told = (json["rule"].as_str(), json["behind"].as_str(), json["reason"].as_str());
        assert_eq!(told, (Some(rule), behind, Some(reason)), "{policy} {to}");
        assert_eq!(
            (&json["action"], &json["permitted"]),
            (&"Deny".into(), &permitted.into()),
            "{to}"
        );
        assert_eq!(json["audit"], permitted, "{to}");
        let text = show::text(&found);
        assert_eq!(text.contains("let through all the same"), permitted, "{text}");
        assert!(text.contains(&format!("by {rule}")), "{text}");
    }
}

#[test]
fn what_is_allowed_in_audit_mode_is_no_audit() {
    let policy = "mode = \"audit\"\n[[application_rule_collection]]\nname = \"a\"\npriority = 100\naction = \"Allow\"\n\
                  [[application_rule_collection.rule]]\nname = \"r\"\ndestination_fqdns = [\"a.example\"]\n";
    for (name, audit) in [("a.example", false), ("b.example", true)] {
        let found = explain(policy, &format!("https://{name}")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&show::json::json(&found)).unwrap();
        assert_eq!(
            (&json["permitted"], &json["audit"]),
            (&true.into(), &audit.into()),
            "{name}"
        );
    }
}

/// There are rules of the kind; they know names.
#[test]
fn rules_that_were_not_asked_are_not_told_as_none() {
    let policy = recorded("") + "[infrastructure]\nfqdns = [\"infra.x.example\"]\n";
    let text = show::text(&explain(&policy, "tcp://10.9.0.1:53").unwrap());
    assert!(
        text.contains("application rules    not asked: they know names"),
        "{text}"
    );
    assert!(
        text.contains("infrastructure       not asked: it knows names"),
        "{text}"
    );
    let text = show::text(&explain(&recorded(""), "tcp://10.9.0.1:53").unwrap());
    assert!(text.contains("infrastructure       empty"), "{text}");
    // The address of a name is denied in audit mode: the application rules were asked for the name.
    let audited = recorded(DENIED).replacen("mode = \"audit\"\n", "", 1);
    let policy =
        format!("mode = \"audit\"\n{audited}").replace("\"n3.x.example\"]\n[[network", "\"n4.x.example\"]\n[[network");
    let found = explain(&policy, "n3.x.example:443 --resolved n3.x.example=203.0.113.3").unwrap();
    let text = show::text(&found);
    assert!(
        text.contains("decision   Deny, RuleMatched by default/deny/addr"),
        "{text}"
    );
    assert!(!text.contains("application rules    none"), "{text}");
}

/// A lookup that failed is no answer where a rule denies some addresses; a name that does not exist is one.
#[test]
fn a_name_that_could_not_be_looked_up_is_told_as_such() {
    let policy = recorded(DENIED).replace("\"n3.x.example\"]\n[[network", "\"n4.x.example\"]\n[[network");
    let checked = config::from_text("test.toml", &policy).unwrap();
    let line = super::Line::parse_from(["explain", "https://n3.x.example"]);
    let mut found = Explanation::of(&checked, &line.args).unwrap();
    let (name, zone) = (Fqdn::parse("n3.x.example").unwrap(), std::sync::Arc::from("."));
    for (error, told) in [
        (
            crate::dns::ResolveError::Timeout {
                zone: std::sync::Arc::clone(&zone),
            },
            false,
        ),
        (crate::dns::ResolveError::NoData { name, zone }, true),
    ] {
        found.answer = Some(Err(error));
        found.end = found.end_under(&found.policy);
        let doubt = judged::doubt(&found);
        assert_eq!(doubt.is_none(), told, "{doubt:?}");
        assert!(doubt.is_none_or(|doubt| doubt.contains("could not be looked up (")));
        assert!(!found.permitted());
    }
}

/// Metadata, the wire server, multicast: no rule has them dialled.
#[test]
fn packets_to_what_is_never_dialled_do_not_get_through_either() {
    let policy = "[[network_rule_collection]]\nname = \"al\"\npriority = 100\naction = \"Allow\"\n\
                  [[network_rule_collection.rule]]\nname = \"any\"\nprotocols = [\"TCP\", \"UDP\"]\nsource_addresses = [\"*\"]\n\
                  destination_addresses = [\"*\"]\ndestination_ports = [\"*\"]\n";
    for (line, permitted) in [
        ("tcp://169.254.169.254:80", false),
        ("tcp://168.63.129.16:80", false),
        ("udp://224.0.0.1:53", false),
        (
            "https://a.example --via transparent --destination 169.254.169.254",
            false,
        ),
        ("tcp://10.1.2.3:80", true),
        ("tcp://203.0.113.5:80", true),
    ] {
        let found = explain(policy, &format!("{line} --source 10.1.0.7")).unwrap();
        assert_eq!(found.permitted(), permitted, "{line}");
        assert_eq!(
            found.change[0] == resolve::NEVER,
            !permitted,
            "{line}: {:?}",
            found.change
        );
        assert_eq!(show::text(&found).contains("denied all the same"), !permitted, "{line}");
    }
}

/// Whoever comes from 10.9.9.9, and what leads to 203.0.113.66.
fn listed(line: &str) -> Explanation {
    let policy = "explicit_network_rules = true\n[[network_rule_collection]]\nname = \"net\"\npriority = 100\naction = \"Allow\"\n\
                  [[network_rule_collection.rule]]\nname = \"ssh\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                  destination_addresses = [\"*\"]\ndestination_ports = [\"22\"]\n[[application_rule_collection]]\nname = \"c\"\n\
                  priority = 100\naction = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
                  destination_fqdns = [\"*.contoso.com\"]\n";
    let mut checked = config::from_text("test.toml", policy).unwrap();
    checked.policy.threat_intelligence = ThreatIntelligence {
        mode: ThreatMode::Deny,
        addresses: vec![
            "203.0.113.66/32".parse().unwrap(),
            "203.0.113.67/32".parse().unwrap(),
            "10.9.9.9/32".parse().unwrap(),
        ],
        fqdns: vec![FqdnPattern::parse("bad.contoso.com").unwrap()],
        ..ThreatIntelligence::default()
    };
    let args = super::Line::parse_from(["explain"].into_iter().chain(line.split(' '))).args;
    Explanation::of(&checked, &args).unwrap()
}

#[test]
fn an_entry_of_the_allowlist_is_told_if_it_was_tried_and_does() {
    let allowlist = |key: &str, what: &str| {
        format!(
            "put \"{what}\" on `threat_intelligence.allowlist.{key}`, if the list is wrong: then the rules allow it"
        )
    };
    let address = |ip: &str| allowlist("ip_addresses", ip);
    for (line, wanted) in [
        (
            "tcp://[64:ff9b::203.0.113.66]:22 --source 10.1.0.1",
            address("64:ff9b::cb00:7142"),
        ),
        ("tcp://203.0.113.66:22 --source 10.1.0.1", address("203.0.113.66")),
        // Its source is listed too, and one there takes the whole attempt out.
        ("tcp://203.0.113.66:22 --source 10.9.9.9", address("10.9.9.9")),
        (
            "https://v6.contoso.com --resolved v6.contoso.com=64:ff9b::203.0.113.66",
            address("64:ff9b::cb00:7142"),
        ),
        (
            "https://v.contoso.com --resolved v.contoso.com=203.0.113.66,203.0.113.67",
            allowlist("fqdns", "v.contoso.com"),
        ),
        ("https://bad.contoso.com", allowlist("fqdns", "bad.contoso.com")),
    ] {
        let found = listed(line);
        assert!(!found.permitted());
        assert_eq!(found.reason(), Reason::ThreatIntelligence, "{line}");
        assert_eq!(found.change.first(), Some(&wanted), "{line}");
    }
    let found = listed("tcp://203.0.113.66:23 --source 10.1.0.1");
    let end = "on `threat_intelligence.allowlist.ip_addresses`, if the list is wrong: the rules deny it all the same";
    assert!(found.change[0].ends_with(end), "{:?}", found.change);
}
