//! Network rules with names of which nobody says where they lead.

use super::*;

/// Routed packets carry an address; whether it is a name's is not known before somebody has looked.
#[test]
fn a_denial_by_a_name_that_nobody_resolved_is_no_answer_unless_it_makes_no_difference() {
    let net = |name: &str, priority, action, addresses: &[&str], fqdns: &[&str]| {
        let rules = Rules::Network(vec![network(name, addresses, fqdns)]);
        collection(name, priority, action, rules)
    };
    let deny = || net("deny", 100, Action::Deny, &[], &["db.example.com", "x.example.com"]);
    let allow = || net("allow", 200, Action::Allow, &["192.0.2.0/24"], &[]);
    let (open, shut) = (policy(vec![deny(), allow()]), policy(vec![deny()]));
    let (db, api) = (fqdn("db.example.com"), fqdn("api.example.com"));
    let resolved = |addresses: &[&str]| {
        let mut resolved = Resolved::default();
        for name in ["db.example.com", "x.example.com"] {
            resolved.set(fqdn(name), addresses.iter().map(|text| ip(text)).collect());
        }
        resolved
    };
    let (none, there, elsewhere) = (Resolved::default(), resolved(&["192.0.2.1"]), resolved(&[]));
    for (model, name, resolved, expected, why) in [
        (&open, Some(&api), &none, ("deny", true), "it may lead there"),
        (&open, None, &none, ("deny", true), "nor is anything known of the name"),
        (&open, Some(&db), &none, ("deny", false), "the very name"),
        (&open, Some(&api), &there, ("deny", false), "it leads there"),
        (&open, Some(&api), &elsewhere, ("allow", false), "it does not"),
        (&shut, Some(&api), &none, ("", false), "denied either way"),
    ] {
        let compiled = CompiledPolicy::new(model.clone());
        let flow = FlowAttempt {
            resolved,
            ..routed("192.0.2.1", name)
        };
        let found = compiled.evaluate(&flow, &mut NoTrace);
        let rule = found.decision.rule.map_or("", |rule| &*compiled.rule_ref(rule).rule);
        assert_eq!((rule, found.unresolved.is_some()), expected, "{why}");
    }
}

/// Where the name leads an earlier rule allows it, and where it does not neither speaks of it.
#[test]
fn a_name_that_an_earlier_rule_allows_is_denied_by_no_later_one_and_who_allows_it_unresolved_is_no_answer() {
    let net = |name: &str, priority, action, addresses: &[&str], fqdns: &[&str]| {
        let rules = Rules::Network(vec![network(name, addresses, fqdns)]);
        collection(name, priority, action, rules)
    };
    let (db, x) = ("db.example.com", "x.example.com");
    let allow = |names: &[&str]| net("allow", 100, Action::Allow, &[], names);
    let deny = |names: &[&str]| net("deny", 200, Action::Deny, &[], names);
    let there = || net("there", 300, Action::Allow, &["0.0.0.0/0", "::/0"], &[]);
    let name = fqdn(db);
    let embeds = "64:ff9b::192.0.2.1";
    for (rules, to, decides, open, why) in [
        (vec![allow(&[db])], "192.0.2.1", "", "allow", "it may lead there"),
        (
            vec![allow(&[db]), deny(&[db])],
            "192.0.2.1",
            "",
            "allow",
            "the denial never decides",
        ),
        (
            vec![allow(&[db]), deny(&[db]), there()],
            "192.0.2.1",
            "there",
            "",
            "allowed either way",
        ),
        (
            vec![allow(&[db]), deny(&[db, x]), there()],
            "192.0.2.1",
            "deny",
            "deny",
            "the other name may",
        ),
        (
            vec![allow(&[db]), deny(&[db]), there()],
            embeds,
            "deny",
            "allow",
            "what embeds an address of the name is denied",
        ),
        (
            vec![deny(&[db]), net("late", 250, Action::Allow, &[], &[db])],
            "192.0.2.1",
            "deny",
            "",
            "the first one",
        ),
        (
            vec![allow(&[db]), there()],
            "192.0.2.1",
            "there",
            "",
            "allowed either way",
        ),
    ] {
        let compiled = CompiledPolicy::new(policy(rules));
        let called = |rule: Option<RuleId>| rule.map_or(String::new(), |rule| compiled.rule_ref(rule).rule.to_string());
        let found = compiled.evaluate(&routed(to, Some(&name)), &mut NoTrace);
        let found = (called(found.decision.rule), called(found.unresolved));
        assert_eq!(found, (decides.to_owned(), open.to_owned()), "{why}");
    }
}

/// Each name is looked up once, however many rules have names: pair by pair these would be two billion comparisons, minutes in
/// a debug build.
#[test]
fn many_names_that_nobody_resolved_are_not_compared_with_each_other() {
    let names: Vec<String> = (0..60_000).map(|at| format!("db{at}.example.com")).collect();
    let rule = |(at, names): (usize, &[String])| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        network(&format!("r{at}"), &[], &names)
    };
    let rules: Vec<NetworkRule> = names.chunks(100).enumerate().map(rule).collect();
    let compiled = CompiledPolicy::new(policy(vec![collection("n", 100, Action::Allow, Rules::Network(rules))]));
    for port in [443, 8443] {
        let flow = FlowAttempt {
            port,
            ..routed("192.0.2.1", None)
        };
        let started = std::time::Instant::now();
        let found = compiled.evaluate(&flow, &mut NoTrace);
        assert!(started.elapsed().as_secs() < 20, "port {port}: {:?}", started.elapsed());
        assert_eq!(found.unresolved.is_some(), port == 443);
    }
}
