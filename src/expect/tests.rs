//! Which rules are tried without: those that may sway an attempt, and not every rule of the policy.

use super::*;
use crate::{config, rules::network_rules};

/// Network rules, each of a collection of its own, before an application rule for `*.contoso.test`.
fn compiled(rules: &[(&str, &str, &str)]) -> CompiledPolicy {
    CompiledPolicy::new(
        config::from_text("p.toml", &network_rules(rules))
            .expect("it loads")
            .policy,
    )
}

/// Collections of the rules that may sway the only attempt.
fn may_sway(policy: &CompiledPolicy, attempt: &str) -> Vec<String> {
    let text = format!("{attempt}\ndecision = \"Deny\"\n");
    let suite = Suite::parse("t.toml", &text).expect("it loads");
    let rules = suite.expectations[0].probe.may_sway(policy);
    rules
        .iter()
        .map(|rule| policy.rule_ref(*rule).collection.to_string())
        .collect()
}

const WEB: &str = "[[attempt]]\nname = \"a\"\ntarget = \"https://www.contoso.test\"";

#[test]
fn a_rule_for_other_addresses_sways_no_name_of_which_the_tests_say_where_it_leads() {
    let nets: Vec<(usize, String)> = (0..50)
        .map(|net| (net, format!("destination_addresses = [\"203.0.{net}.0/24\"]")))
        .collect();
    let names: Vec<String> = (0..50).map(|net| format!("n{net}")).collect();
    let rule = |action: &'static str| {
        let names = &names;
        nets.iter()
            .map(move |(net, to)| (names[*net].as_str(), action, to.as_str()))
    };
    let led = format!("[resolved]\n\"www.contoso.test\" = [\"203.0.7.1\", \"203.0.9.1\"]\n{WEB}");
    for action in ["Deny", "Allow"] {
        let policy = compiled(&rule(action).collect::<Vec<_>>());
        assert_eq!(may_sway(&policy, &led), ["n7", "n9", "web"], "{action}");
        let said = format!("{WEB}\ndestination = \"203.0.8.1\"");
        assert_eq!(may_sway(&policy, &said), ["n8", "web"], "{action}");
        // An address that is embedded is one too.
        let embedded = format!("{WEB}\ndestination = \"64:ff9b::203.0.8.1\"");
        assert_eq!(may_sway(&policy, &embedded), ["n8", "web"], "{action}");
        assert_eq!(may_sway(&policy, WEB).len(), 51, "nobody says it: {action}");
    }
    // Behind them a rule that denies it wherever it leads: what excepts an address that it leads to has a say.
    let mut rules: Vec<_> = rule("Allow").collect();
    rules.push(("any", "Deny", "destination_addresses = [\"*\"]"));
    let policy = compiled(&rules);
    assert_eq!(may_sway(&policy, &led), ["n7", "n9", "any", "web"]);
    assert_eq!(may_sway(&policy, WEB).len(), 52, "nobody says it");
}

#[test]
fn a_rule_whose_names_all_lead_elsewhere_sways_no_packets() {
    let by = |names: &str| format!("destination_fqdns = [{names}]");
    let rules = [by("\"a.test\""), by("\"b.test\""), by("\"b.test\", \"c.test\"")];
    let rules: Vec<_> = ["a", "b", "b-c"]
        .into_iter()
        .zip(&rules)
        .map(|(name, to)| (name, "Deny", to.as_str()))
        .collect();
    let policy = compiled(&rules);
    let packets = "[[attempt]]\nname = \"a\"\nvia = \"transparent\"\ntarget = \"tcp://203.0.113.9:443\"";
    let leads = |names: &[(&str, &str)]| {
        let lines = names.iter().map(|(name, to)| format!("\"{name}\" = [\"{to}\"]\n"));
        format!("[resolved]\n{}{packets}", lines.collect::<String>())
    };
    let (here, elsewhere) = ("203.0.113.9", "192.0.2.1");
    for (resolved, swayed) in [
        (
            vec![("a.test", elsewhere), ("b.test", elsewhere), ("c.test", elsewhere)],
            vec![],
        ),
        (
            vec![("a.test", elsewhere), ("b.test", elsewhere), ("c.test", here)],
            vec!["b-c"],
        ),
        (vec![("a.test", elsewhere), ("b.test", elsewhere)], vec!["b-c"]),
        (vec![("a.test", elsewhere)], vec!["b", "b-c"]),
    ] {
        assert_eq!(may_sway(&policy, &leads(&resolved)), swayed, "{resolved:?}");
    }
}
