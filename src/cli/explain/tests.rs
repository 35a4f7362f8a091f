mod audit;
mod leads;
mod told;

use super::*;
use crate::{
    config,
    policy::{Action, DecidedBy, Mode, Via},
};
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ExplainArgs,
}

fn explain(policy: &str, line: &str) -> anyhow::Result<Explanation> {
    let checked = config::from_text("test.toml", policy).unwrap();
    let args = Line::parse_from(["explain"].into_iter().chain(line.split(' '))).args;
    Explanation::of(&checked, &args)
}

/// The first piece of advice, and whether it gets through now.
fn change(policy: &str, line: &str) -> (bool, String) {
    let found = explain(policy, line).unwrap();
    (found.permitted(), found.change.first().cloned().unwrap_or_default())
}

const POLICY: &str = r#"
explicit_network_rules = true
[[network_rule_collection]]
name = "net"
priority = 100
action = "Allow"
  [[network_rule_collection.rule]]
  name = "ssh"
  protocols = ["TCP"]
  source_addresses = ["10.1.0.0/16"]
  destination_addresses = ["10.9.0.0/16"]
  destination_ports = ["22"]
[[application_rule_collection]]
name = "never"
priority = 100
action = "Deny"
  [[application_rule_collection.rule]]
  name = "old"
  source_addresses = ["*"]
  destination_fqdns = ["old.example.com", "gone.example.org"]
[[application_rule_collection]]
name = "apps"
priority = 200
action = "Allow"
  [[application_rule_collection.rule]]
  name = "example"
  source_addresses = ["10.1.0.0/16"]
  destination_fqdns = ["*.example.com"]
  [[application_rule_collection.rule]]
  name = "both"
  source_addresses = ["10.1.0.7"]
  destination_fqdns = ["api.example.com"]
"#;

#[test]
fn the_one_change_was_tried() {
    for (line, permitted, wanted) in [
        (
            "10.9.0.1:22 --source 10.1.0.7",
            true,
            "leave out rule default/net/ssh, or take this out of it: then the default (NoRuleMatched) denies it",
        ),
        (
            "10.9.0.1:23 --source 10.1.0.7",
            false,
            "add \"23\" to its `destination_ports`",
        ),
        (
            "10.9.0.1:22 --source 10.2.0.7",
            false,
            "add \"10.2.0.7\" to its `source_addresses`",
        ),
        (
            "10.8.0.1:22 --source 10.1.0.7",
            false,
            "add \"10.8.0.1\" to its `destination_addresses`",
        ),
        (
            "udp://10.9.0.1:22 --source 10.1.0.7",
            false,
            "add \"UDP\" to its `protocols`",
        ),
        // Two things are missing: there is no one change of a rule.
        ("udp://10.9.0.1:53 --source 10.1.0.7", false, "no rule comes near"),
        (
            "https://old.example.com --source 10.1.0.7",
            false,
            "leave out rule default/never/old, or take this out of it: then rule default/apps/example allows it",
        ),
        (
            "https://gone.example.org --source 10.1.0.7",
            false,
            "without that rule the default (NoRuleMatched) denies it",
        ),
        (
            "https://api.example.com --source 10.2.0.7",
            false,
            "rule default/apps/example allows it to others: add \"10.2.0.7\"",
        ),
        (
            "https://api.example.com:8443 --source 10.1.0.7",
            false,
            "add { type = \"Https\", port = 8443 }",
        ),
        // Another source and another port: that rule alone would not do, and no other would.
        (
            "https://api.example.com:8443 --source 10.2.0.7",
            false,
            "no rule is one change away: it takes one with \"10.2.0.7\"",
        ),
        (
            "https://www.fabrikam.com --source 10.1.0.7",
            false,
            "no rule names it: add \"www.fabrikam.com\" to `destination_fqdns` of rule default/apps/example",
        ),
        (
            "https://api.example.com --source 10.1.0.7",
            true,
            "nothing alone: without rule default/apps/example, rule default/apps/both allows it too",
        ),
        // No rule would have it dialled.
        ("169.254.169.254:22 --source 10.1.0.7", false, resolve::NEVER),
    ] {
        let found = change(POLICY, line);
        assert_eq!(found.0, permitted, "{line}: {}", found.1);
        assert!(
            found.1.contains(wanted),
            "{line}\n  found  {}\n  wanted {wanted}",
            found.1
        );
    }
    let off = POLICY.replace("explicit_network_rules = true\n", "");
    let found = change(&off, "10.9.0.1:22 --source 10.1.0.7");
    assert!(found.1.contains("set `explicit_network_rules = true`"), "{}", found.1);
}

#[test]
fn what_is_routed_says_where_to_and_what_is_no_tcp_cannot_come_to_the_proxy_port() {
    for (line, fault) in [
        ("https://a.example --via transparent", "say `--destination IP`"),
        ("udp://10.0.0.1:53 --via explicit", "the proxy port carries TCP alone"),
        (
            "tcp://10.0.0.1:53 --destination 10.0.0.2",
            "the target is an address already",
        ),
    ] {
        let error = explain(POLICY, line)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(fault), "{line}: {error}");
    }
    let found = explain(
        POLICY,
        "https://api.example.com --source 10.1.0.7 --via transparent --destination 10.9.0.1",
    )
    .unwrap();
    assert_eq!(found.told().unwrap().by, DecidedBy::Application);
    let found = explain(POLICY, "tcp://10.9.0.1:22 --source 10.1.0.7").unwrap();
    assert_eq!((found.asked.via, found.permitted()), (Via::Transparent, true));
}

#[test]
fn an_address_that_is_never_dialled_is_not_permitted_whatever_a_network_rule_says() {
    let open = POLICY.replace("10.9.0.0/16", "169.254.0.0/16");
    let found = explain(&open, "169.254.169.254:22 --source 10.1.0.7").unwrap();
    assert!(found.never_dialled() && !found.permitted());
    let decision = found.told().unwrap().decision;
    assert_eq!((decision.action, decision.mode), (Action::Allow, Mode::Enforce));
}

/// An earlier rule that misses in one thing flips a denial that leaving the deciding rule out does not.
#[test]
fn a_denial_by_a_rule_is_flipped_by_an_earlier_rule_that_comes_near() {
    let policy = r#"
explicit_network_rules = true
[[network_rule_collection]]
name = "net"
priority = 100
action = "Allow"
  [[network_rule_collection.rule]]
  name = "by-name"
  protocols = ["TCP"]
  source_addresses = ["*"]
  destination_fqdns = ["api.example.com"]
  destination_ports = ["8443"]
[[application_rule_collection]]
name = "never"
priority = 100
action = "Deny"
  [[application_rule_collection.rule]]
  name = "all"
  source_addresses = ["*"]
  destination_fqdns = ["*.example.com"]
"#;
    let found = change(policy, "https://api.example.com --source 10.1.0.7");
    assert_eq!(
        found,
        (
            false,
            "rule default/net/by-name allows it on other ports: add \"443\" to its `destination_ports`: it is asked before \
             rule default/never/all"
                .to_owned()
        )
    );
}

#[test]
fn what_stops_it_after_the_rules_is_what_must_change() {
    let open = POLICY.replace("10.9.0.0/16", "169.254.0.0/16");
    let found = change(&open, "169.254.169.254:22 --source 10.1.0.7");
    assert_eq!(found, (false, resolve::NEVER.to_owned()));

    // The name is allowed, and the address that it leads to is denied by a network rule.
    let denied = POLICY.replace(
        "action = \"Allow\"\n  [[network_rule",
        "action = \"Deny\"\n  [[network_rule",
    );
    let denied = format!("{denied}{RECORD}").replace("\"22\"", "\"443\"");
    let mut found = explain(&denied, "https://api.example.com --source 10.1.0.7 --resolve").unwrap();
    assert!(!found.permitted());
    assert_eq!(
        found.change,
        ["leave out rule default/net/ssh, or take this out of it: then rule default/apps/example allows it"]
    );

    // A group before the firewall stops it: nothing here helps.
    found.groups.push(nsg::Said {
        group: "nsg-ai".into(),
        rule: "deny-out".into(),
        priority: 100,
        allows: false,
        packet: crate::policy::nsg::Packet {
            source: found.asked.source,
            destination: found.asked.source,
            transport: crate::policy::Transport::Tcp,
            port: 443,
        },
    });
    let changes = change::changes(&found);
    assert!(
        changes[0].starts_with("in network security group nsg-ai let a rule"),
        "{changes:?}"
    );
    assert!(
        changes[1].starts_with("and then, since it is denied here too: leave out rule default/net/ssh"),
        "{changes:?}"
    );
}

const RECORD: &str = r#"
[private_endpoints]
networks = ["10.9.0.0/16"]
[[dns.zone]]
name = "example.com"
forwarders = ["127.0.0.1:9"]
private = true
networks = ["10.9.0.0/16"]
[[dns.record]]
name = "api.example.com"
a = ["10.9.0.1"]
private = true
"#;

#[test]
fn what_lacks_more_than_one_thing_is_told_all_of_it() {
    for line in [
        // Nobody names it, on a port that no rule has.
        "https://nowhere.example:8443 --source 10.1.0.7",
        // A rule names it, for another source and on another port.
        "https://api.example.com:8443 --source 10.2.0.7",
    ] {
        let (permitted, words) = change(POLICY, line);
        assert!(!permitted);
        assert!(!words.contains("no rule names it"), "{words}");
        assert!(
            words.contains("{ type = \"Https\", port = 8443 } in `protocols`"),
            "{words}"
        );
    }
}

#[test]
fn a_program_is_told_the_rule_behind_an_audited_denial() {
    let policy = POLICY.replace("name = \"never\"", "name = \"never\"\nmode = \"audit\"");
    for (name, behind) in [
        ("old.example.com", Some("default/apps/example")),
        ("gone.example.org", None),
    ] {
        let found = explain(&policy, &format!("https://{name} --source 10.1.0.7")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&show::json::json(&found)).unwrap();
        assert_eq!(json["action"], "Deny", "{name}");
        assert_eq!(json["behind"].as_str(), behind, "{name}");
        assert_eq!(json["permitted"], behind.is_some(), "{name}");
    }
}
