use super::*;
use crate::{config, policy::Mode};
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ExplainArgs,
}

fn explain(policy: &str, line: &str) -> anyhow::Result<Explanation> {
    let checked = config::from_text("test.toml", policy).unwrap();
    let args = Line::parse_from(["explain"].into_iter().chain(line.split(' '))).args;
    Ok(Explanation::new(&checked, Asked::new(&args)?, Resolved::default()))
}

/// The first piece of advice, and whether it gets through now.
fn change(policy: &str, line: &str) -> (bool, String) {
    let found = explain(policy, line).unwrap();
    (found.permitted, found.change.first().cloned().unwrap_or_default())
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
            "no rule names it: add",
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
        ("169.254.169.254:22 --source 10.1.0.7", false, "add \"169.254.169.254\""),
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
    assert_eq!(found.judged.unwrap().evaluation.by, DecidedBy::Application);
    let found = explain(POLICY, "tcp://10.9.0.1:22 --source 10.1.0.7").unwrap();
    assert_eq!((found.asked.via, found.permitted), (Via::Transparent, true));
}

#[test]
fn an_address_that_is_never_dialled_is_not_permitted_whatever_a_network_rule_says() {
    let open = POLICY.replace("10.9.0.0/16", "169.254.0.0/16");
    let found = explain(&open, "169.254.169.254:22 --source 10.1.0.7").unwrap();
    assert!(found.never_dialled && !found.permitted);
    let decision = found.judged.unwrap().evaluation.decision;
    assert_eq!((decision.action, decision.mode), (Action::Allow, Mode::Enforce));
}
