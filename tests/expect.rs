//! Policy tests: the example in the docs holds, and what is said of coverage and mutation is what rewriting the policy shows.

use egret::{
    config,
    expect::{Expectation, Probe, Run, Suite},
    policy::{
        Action, CompiledPolicy, FqdnPattern, Policy, RuleId, Rules, ThreatIntelligence, ThreatMode, compile::Mutation,
    },
};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn at(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).expect(path)
}

fn run(policy: &Policy, suite: &Suite) -> (Run, CompiledPolicy) {
    let mut compiled = CompiledPolicy::new(policy.clone());
    (Run::new(&mut compiled, suite), compiled)
}

#[test]
fn the_example_is_the_readme_s_configuration_and_every_rule_and_change_is_covered() {
    let config = read("examples/policy/egret.toml");
    assert!(
        read("README.md").contains(&format!("```toml\n{config}```")),
        "the README shows another one"
    );
    let tests = read("examples/policy/egret-tests.toml");
    assert!(
        read("docs/policy-tests.md").contains(&format!("```toml\n{tests}```")),
        "the page shows other tests"
    );

    let checked = config::load(&at("examples/policy/egret.toml")).expect("it loads");
    let suite = Suite::load(&at("examples/policy/egret-tests.toml")).expect("it loads");
    let (run, _) = run(&checked.policy, &suite);
    assert_eq!((run.failed, run.unreached), (vec![], vec![]));
    assert_eq!(run.mutants.expect("all pass").survivors, []);
}

/// Many rules, a third of them in vain or doubled, so that changes survive too.
fn policy() -> Policy {
    let mut text = String::new();
    for (number, (name, action)) in [("deny", "Deny"), ("allow", "Allow"), ("again", "Allow")]
        .iter()
        .enumerate()
    {
        text += &format!(
            "[[application_rule_collection]]\nname = \"{name}\"\npriority = {}\naction = \"{action}\"\n",
            100 + number * 100
        );
        for rule in 0..12 {
            let (target, protocol) = match (number, rule % 4) {
                (0, _) => (format!("x.n{rule}.contoso.test"), "Https"),
                (1, 0) => (format!("*.n{rule}.contoso.test"), "Http"),
                (1, _) => (format!("*.n{rule}.contoso.test"), "Https"),
                (_, 1) => (format!("a.n{rule}.contoso.test"), "Https"),
                _ => (format!("b{rule}.contoso.test"), "Https"),
            };
            text += &format!(
                "[[application_rule_collection.rule]]\nname = \"r{rule}\"\n\
                 protocols = [{{ type = \"{protocol}\", port = 443 }}]\ndestination_fqdns = [\"{target}\"]\n"
            );
        }
    }
    config::from_text("t.toml", &text).expect("it loads").policy
}

/// What the policy says of each of these is expected of it.
fn suite(policy: &Policy) -> Suite {
    let compiled = CompiledPolicy::new(policy.clone());
    let mut expectations = Vec::new();
    for rule in 0..12 {
        for host in ["x.n", "a.n", "b", "other.n"] {
            for target in [
                format!("{host}{rule}.contoso.test"),
                format!("https://{host}{rule}.contoso.test"),
            ] {
                let probe = Probe::new([127, 0, 0, 1].into(), &target);
                let decision = probe.judge(&compiled).decision;
                expectations.push(Expectation {
                    name: target.clone(),
                    place: String::new(),
                    probe,
                    decision: decision.action,
                    rule: None,
                    reason: (rule % 3 == 0).then_some(decision.reason),
                });
            }
        }
    }
    Suite { expectations }
}

/// The rule changed in the model itself.
fn rewritten(policy: &Policy, number: usize, mutation: Mutation) -> Policy {
    let mut policy = policy.clone();
    let group = &mut policy.groups[0];
    let place = |collections: &[egret::policy::RuleCollection]| {
        let mut seen = 0;
        for (c, collection) in collections.iter().enumerate() {
            let Rules::Application(rules) = &collection.rules else {
                panic!("application rules")
            };
            if number < seen + rules.len() {
                return (c, number - seen);
            }
            seen += rules.len();
        }
        panic!("no such rule")
    };
    let (c, r) = place(&group.collections);
    let Rules::Application(rules) = &mut group.collections[c].rules else {
        panic!("application rules")
    };
    if mutation == Mutation::Deleted {
        rules.remove(r);
        return policy;
    }
    // One rule of a collection with the other action: the collection is cut in three.
    let (whole, priority) = (group.collections[c].clone(), u16::try_from(c).expect("few"));
    let Rules::Application(rules) = &whole.rules else {
        panic!("application rules")
    };
    let parts = [(0..r, false), (r..r + 1, true), (r + 1..rules.len(), false)];
    let cut = parts.into_iter().enumerate().map(|(part, (range, turned))| {
        let mut piece = whole.clone();
        piece.rules = Rules::Application(rules[range].to_vec());
        piece.priority = egret::policy::Priority::new(1000 + priority * 10 + part as u16).expect("in range");
        if turned {
            piece.action = if piece.action == Action::Allow {
                Action::Deny
            } else {
                Action::Allow
            };
        }
        piece
    });
    let cut: Vec<_> = cut.collect();
    for (number, collection) in group.collections.iter_mut().enumerate() {
        collection.priority = egret::policy::Priority::new(1000 + number as u16 * 10).expect("in range");
    }
    group.collections.splice(c..=c, cut);
    policy
}

#[test]
fn the_changes_that_nobody_notices_are_those_that_no_test_of_a_rewritten_policy_fails_for() {
    let policy = policy();
    let suite = suite(&policy);
    let (run, compiled) = run(&policy, &suite);
    assert_eq!(run.failed, [] as [usize; 0]);
    let told = run.mutants.expect("all pass");
    let mut wanted = BTreeSet::new();
    for rule in &run.reached {
        for mutation in [Mutation::Deleted, Mutation::Turned] {
            let changed = CompiledPolicy::new(rewritten(&policy, rule.index(), mutation));
            let holds = |expected: &Expectation| {
                let judged = expected.probe.judge(&changed);
                judged.decision.action == expected.decision
                    && expected.reason.is_none_or(|r| r == judged.decision.reason)
            };
            if suite.expectations.iter().all(holds) {
                wanted.insert((*rule, mutation));
            }
        }
    }
    let found: BTreeSet<(RuleId, Mutation)> = told.survivors.iter().map(|one| (one.rule, one.mutation)).collect();
    assert_eq!(found, wanted);
    assert!(
        !found.is_empty() && found.len() < told.tried,
        "{} of {}",
        found.len(),
        told.tried
    );
    assert!(!run.unreached.is_empty(), "some rules are in vain");
    assert!(compiled.application_rules().count() == run.reached.len() + run.unreached.len());
}

#[test]
fn a_policy_is_as_it_was_after_its_mutants() {
    let policy = policy();
    let suite = suite(&policy);
    let (_, after) = run(&policy, &suite);
    let fresh = CompiledPolicy::new(policy);
    for expected in &suite.expectations {
        assert_eq!(
            expected.probe.judge(&after).decision,
            expected.probe.judge(&fresh).decision,
            "{}",
            expected.name
        );
    }
}

/// Every kind of rule, in the order in which they are judged.
const WHOLE: &str = r#"
[[parent_policy]]
name = "base"
[[parent_policy.rule_collection_group]]
name = "net"
priority = 60000
[[parent_policy.rule_collection_group.network_rule_collection]]
name = "never"
priority = 100
action = "Deny"
[[parent_policy.rule_collection_group.network_rule_collection.rule]]
name = "smtp"
protocols = ["TCP"]
source_addresses = ["*"]
destination_addresses = ["*"]
destination_ports = ["25"]

[[nat_rule_collection]]
name = "in"
priority = 100
action = "Dnat"
[[nat_rule_collection.rule]]
name = "ssh"
protocols = ["TCP"]
source_addresses = ["*"]
destination_address = "203.0.113.7"
destination_ports = ["22"]
translated_address = "10.1.0.4"
translated_port = 22

[[network_rule_collection]]
name = "endpoints"
priority = 100
action = "Allow"
[[network_rule_collection.rule]]
name = "subnet"
protocols = ["TCP"]
source_addresses = ["10.0.0.0/8"]
destination_addresses = ["10.2.0.0/16"]
destination_ports = ["443"]
[[network_rule_collection.rule]]
name = "sql"
protocols = ["TCP"]
source_addresses = ["10.0.0.0/8"]
destination_fqdns = ["sql.contoso.test"]
destination_ports = ["1433"]

[[network_rule_collection]]
name = "private"
priority = 200
action = "Deny"
[[network_rule_collection.rule]]
name = "all"
protocols = ["Any"]
source_addresses = ["10.0.0.0/8"]
destination_addresses = ["10.0.0.0/8"]
destination_ports = ["*"]

[[application_rule_collection]]
name = "web"
priority = 100
action = "Allow"
[[application_rule_collection.rule]]
name = "contoso"
source_addresses = ["10.0.0.0/8"]
destination_fqdns = ["*.contoso.test"]
"#;

const WHOLE_TESTS: &str = r#"
source = "10.1.0.4"

[resolved]
"sql.contoso.test" = ["192.0.2.9"]

[[attempt]]
name = "a listed name ends before every rule"
target = "https://bad.contoso.test"
decision = "Deny"
reason = "ThreatIntelligence"

[[attempt]]
name = "the parent's rule comes before ours, whatever its priority"
via = "transparent"
target = "tcp://10.2.0.4:25"
decision = "Deny"
rule = "base/net/never/smtp"

[[attempt]]
name = "what is translated is allowed"
via = "transparent"
target = "tcp://203.0.113.7:22"
decision = "Allow"
rule = "default/in/ssh"

[[attempt]]
name = "a target by its address is for network rules"
target = "10.2.0.4:443"
decision = "Allow"
rule = "default/endpoints/subnet"

[[attempt]]
name = "the database by what its name stands for"
via = "transparent"
target = "tcp://192.0.2.9:1433"
decision = "Allow"
rule = "default/endpoints/sql"

[[attempt]]
name = "the database by name"
target = "sql.contoso.test:1433"
decision = "Allow"
rule = "default/endpoints/sql"

[[attempt]]
name = "no packet goes elsewhere in private space"
via = "transparent"
target = "icmp://10.3.0.4"
decision = "Deny"
rule = "default/private/all"

[[attempt]]
name = "a name that leads to the endpoints is left to application rules"
target = "https://web.contoso.test"
destination = "10.2.0.4"
decision = "Allow"
rule = "default/web/contoso"

[[attempt]]
name = "a name that leads elsewhere in private space is not"
target = "https://web.contoso.test"
destination = "10.3.0.4"
decision = "Deny"
rule = "default/private/all"
"#;

#[test]
fn every_kind_of_rule_is_judged_reached_and_missed_when_it_is_gone() {
    let mut policy = config::from_text("whole.toml", WHOLE).expect("it loads").policy;
    policy.explicit_network_rules = true;
    policy.threat_intelligence = ThreatIntelligence {
        mode: ThreatMode::Deny,
        fqdns: vec![FqdnPattern::parse("bad.contoso.test").expect("a name")],
        ..ThreatIntelligence::default()
    };
    let suite = Suite::parse("whole-tests.toml", WHOLE_TESTS).expect("it loads");
    let (ran, _) = run(&policy, &suite);
    let failed: Vec<&str> = ran
        .failed
        .iter()
        .map(|number| suite.expectations[*number].name.as_str())
        .collect();
    assert_eq!(failed, [] as [&str; 0], "{:#?}", ran.judged);
    assert_eq!(ran.unreached, []);
    let mutants = ran.mutants.expect("all pass");
    assert_eq!(
        (mutants.tried, mutants.survivors),
        (11, vec![]),
        "a DNAT rule cannot be turned round"
    );

    // Without the attempt at the address itself, the endpoints' rule decides nothing; yet it is missed when it is gone.
    let named = suite
        .expectations
        .iter()
        .filter(|expected| !expected.name.contains("by its address"));
    let suite = Suite {
        expectations: named.cloned().collect(),
    };
    let (ran, compiled) = run(&policy, &suite);
    assert_eq!(ran.unreached, []);
    let survivors: Vec<(String, Mutation)> = (ran.mutants.expect("all pass").survivors.iter())
        .map(|survivor| (egret::expect::label(&compiled, survivor.rule), survivor.mutation))
        .collect();
    assert_eq!(survivors, []);
}

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

#[test]
fn what_is_said_of_an_exported_policy_leads_to_its_json() {
    let policy = r#"{ "ruleCollections": [ {
  "ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 100, "action": { "type": "Allow" },
  "rules": [
    { "ruleType": "ApplicationRule", "name": "one", "sourceAddresses": ["10.0.0.0/8"],
      "protocols": [ { "protocolType": "Https", "port": 443 } ], "targetFqdns": ["a.example"] },
    { "ruleType": "ApplicationRule", "name": "two", "sourceAddresses": ["10.0.0.0/8"],
      "protocols": [ { "protocolType": "Https", "port": 443 } ], "targetFqdns": ["a.example"] }
  ] } ], "priority": 200, "name": "g" }"#;
    let file = std::env::temp_dir().join(format!("egret-twice-{}.json", std::process::id()));
    fs::write(&file, policy).expect("it can be written");
    let toml = format!("[policy]\nazure_firewall = [{:?}]\n", file.display().to_string());
    let checked = config::from_text("t.toml", &toml);
    fs::remove_file(&file).expect("it is there");
    let warnings = checked.unwrap_or_else(|problems| panic!("{problems:?}")).warnings;
    let twice = warnings
        .iter()
        .find(|problem| problem.found.contains("says again"))
        .expect("two rules say the same");
    assert_eq!((&*twice.file, twice.line), (&*file.display().to_string(), 6));
    assert_eq!(
        (&*twice.see[0].file, twice.see[0].line),
        (&*file.display().to_string(), 4)
    );
}
