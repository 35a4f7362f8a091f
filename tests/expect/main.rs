//! Policy tests: the example in the docs holds, and what is said of coverage and mutation is what rewriting the policy shows.

mod addresses;
mod mutants;
#[path = "../support/rules.rs"]
mod rules;
mod sways;

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
fn a_file_of_tests_is_told_what_it_lacks_and_every_name_that_is_there_twice() {
    let told = |text: &str| {
        let problems = Suite::parse("t.toml", text).expect_err("it does not load");
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for text in ["", "source = \"10.0.0.1\"\n"] {
        assert!(told(text).contains("write `[[attempt]]` with"), "{}", told(text));
        assert!(!told(text).contains("enforce"), "{}", told(text));
    }
    let twice = "[[attempt]]\nname = \"x\"\ntarget = \"https://a.test\"\ndecision = \"allow\"\n".repeat(2);
    let told = told(&twice);
    assert!(told.contains("`x` is there twice") && told.contains("allow"), "{told}");
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

/// A test pins one rule: what two rules may be called stands for neither.
#[test]
fn a_name_that_several_rules_have_is_that_of_none() {
    let group = |group: &str, priority: u16, collection: &str, name: &str| {
        format!(
            "[[rule_collection_group]]\nname = \"{group}\"\npriority = {priority}\n\
             [[rule_collection_group.application_rule_collection]]\nname = \"{collection}\"\npriority = 100\naction = \"Allow\"\n\
             [[rule_collection_group.application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
             destination_fqdns = [\"{name}\"]\n"
        )
    };
    let parent = group("g", 100, "c", "base.example.com")
        .replace("rule_collection_group", "parent_policy.rule_collection_group");
    let text = format!("[[parent_policy]]\nname = \"base\"\n{parent}")
        + &group("g", 100, "c", "own.example.com")
        + &group("a/b", 200, "c", "one.example.com")
        + &group("a", 300, "b/c", "two.example.com");
    let policy = config::from_text("p.toml", &text).expect("it loads").policy;
    for (target, rule, passes) in [
        ("two.example.com", "a/b/c/r", false),
        ("one.example.com", "a/b/c/r", false),
        ("own.example.com", "g/c/r", true),
        ("base.example.com", "g/c/r", false),
        ("base.example.com", "base/g/c/r", true),
        ("own.example.com", "egret/g/c/r", true),
    ] {
        let tests = format!(
            "[[attempt]]\nname = \"a\"\ntarget = \"https://{target}\"\ndecision = \"Allow\"\nrule = \"{rule}\"\n"
        );
        let (ran, _) = run(&policy, &Suite::parse("t.toml", &tests).expect("it loads"));
        assert_eq!(ran.failed.is_empty(), passes, "{target} by {rule}");
    }
}
