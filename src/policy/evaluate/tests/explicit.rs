//! What comes to the proxy port: whether network rules are asked, and what they say of names and of where these lead.

use super::*;

#[test]
fn explicit_attempts_are_judged_by_network_rules_only_if_that_is_on() {
    let rules = Rules::Network(vec![network("net", &["192.0.2.0/24"], &["a.example.com"])]);
    let mut model = policy(vec![collection("n", 100, Action::Allow, rules)]);
    let name = fqdn("a.example.com");
    let address = asked(None, Some("192.0.2.7"));
    assert_eq!(verdict(&model, &address).0, DecidedBy::Network);
    assert_eq!(verdict(&model, &asked(Some(&name), None)).0, DecidedBy::Network);
    model.explicit_network_rules = false;
    let compiled = CompiledPolicy::new(model);
    let found = compiled.evaluate(&address, &mut NoTrace).decision;
    assert_eq!((found.action, found.reason), (Action::Deny, Reason::IpLiteral));
    assert_eq!(
        compiled
            .evaluate(&asked(Some(&name), None), &mut NoTrace)
            .decision
            .reason,
        Reason::NoRuleMatched
    );
}

#[test]
fn an_explicit_name_is_allowed_by_exact_name_and_denied_by_address_too() {
    let net = |name: &str, priority, action, addresses: &[&str], fqdns: &[&str]| {
        collection(
            name,
            priority,
            action,
            Rules::Network(vec![network(name, addresses, fqdns)]),
        )
    };
    let app = || {
        let rules = Rules::Application(vec![application("app", &["*.example.com"])]);
        collection("a", 100, Action::Allow, rules)
    };
    let (db, api) = (fqdn("db.example.com"), fqdn("api.example.com"));
    let by_name = |action| policy(vec![net("name", 100, action, &[], &["db.example.com"]), app()]);
    for (model, name, to, expected, why) in [
        (
            by_name(Action::Allow),
            &db,
            None,
            (DecidedBy::Network, Action::Allow),
            "allowed by name",
        ),
        (
            by_name(Action::Deny),
            &db,
            None,
            (DecidedBy::Network, Action::Deny),
            "denied by name",
        ),
        (
            by_name(Action::Deny),
            &api,
            None,
            (DecidedBy::Application, Action::Allow),
            "another name",
        ),
        (
            policy(vec![net("net", 100, Action::Allow, &["*"], &[]), app()]),
            &api,
            Some("192.0.2.7"),
            (DecidedBy::Application, Action::Allow),
            "a rule that allows addresses opens no name",
        ),
        (
            policy(vec![net("net", 100, Action::Deny, &["192.0.2.0/24"], &[]), app()]),
            &api,
            Some("192.0.2.7"),
            (DecidedBy::Network, Action::Deny),
            "denied by the address that the name leads to",
        ),
        (
            policy(vec![net("net", 100, Action::Deny, &["*"], &[]), app()]),
            &api,
            None,
            (DecidedBy::Network, Action::Deny),
            "wherever it leads",
        ),
        (
            policy(vec![
                net("exception", 100, Action::Allow, &["192.0.2.7/32"], &[]),
                net("net", 200, Action::Deny, &["192.0.2.0/24"], &[]),
                app(),
            ]),
            &api,
            Some("192.0.2.7"),
            (DecidedBy::Application, Action::Allow),
            "an earlier rule allows the address",
        ),
        (
            policy(vec![
                net("net", 100, Action::Deny, &["192.0.2.0/24"], &[]),
                net("name", 200, Action::Allow, &[], &["db.example.com"]),
            ]),
            &db,
            Some("192.0.2.7"),
            (DecidedBy::Network, Action::Deny),
            "the address is denied before the name is allowed",
        ),
    ] {
        let (by, action, _) = verdict(&model, &asked(Some(name), to));
        assert_eq!((by, action), expected, "{why}");
    }
}

/// The gateway judges the addresses once the name is looked up: before that nobody may say that it goes through.
#[test]
fn a_name_that_nobody_looked_up_is_denied_where_every_address_is_and_open_where_some_are() {
    let name = fqdn("api.example.com");
    let rules = |action, rules| collection("net", 100, action, Rules::Network(rules));
    let web = || {
        let web = vec![application("web", &["*.example.com"])];
        collection("app", 100, Action::Allow, Rules::Application(web))
    };
    let some = || network("some", &["203.0.113.0/24"], &[]);
    let mut elsewhere = network("elsewhere", &["*"], &[]);
    elsewhere.destination_ports = vec![PortRange::one(25)];
    let mut others = network("others", &["*"], &[]);
    others.sources = Sources::from(vec!["10.2.0.0/16".parse().unwrap()]);
    let all = || network("all", &["*"], &[]);
    let deny = |list| rules(Action::Deny, list);
    let later = |list| collection("later", 200, Action::Deny, Rules::Network(list));
    for (net, decided, open) in [
        (vec![deny(vec![all()])], "all", ""),
        (vec![deny(vec![some()])], "web", "some"),
        (vec![deny(vec![some(), all()])], "all", ""),
        // For another port, for other sources, by names alone: an ordinary attempt.
        (vec![deny(vec![elsewhere, others])], "web", ""),
        (vec![deny(vec![network("names", &[], &["db.example.com"])])], "web", ""),
        // What an earlier rule allows is let alone.
        (
            vec![rules(Action::Allow, vec![some()]), later(vec![all()])],
            "web",
            "all",
        ),
        (vec![rules(Action::Allow, vec![all()]), later(vec![some()])], "web", ""),
        (
            vec![
                rules(Action::Allow, vec![network("own", &[], &["api.example.com"])]),
                later(vec![all()]),
            ],
            "own",
            "",
        ),
        (Vec::new(), "web", ""),
    ] {
        let model = policy(net.into_iter().chain([web()]).collect());
        let compiled = CompiledPolicy::new(model.clone());
        let called = |rule: Option<RuleId>| rule.map_or(String::new(), |rule| compiled.rule_ref(rule).rule.to_string());
        let found = compiled.evaluate(&asked(Some(&name), None), &mut NoTrace);
        assert_eq!(
            (&*called(found.decision.rule), &*called(found.by_address)),
            (decided, open)
        );
        let off = Policy {
            explicit_network_rules: false,
            ..model
        };
        let found = CompiledPolicy::new(off).evaluate(&asked(Some(&name), None), &mut NoTrace);
        assert_eq!((found.by, found.by_address), (DecidedBy::Application, None));
    }
}
