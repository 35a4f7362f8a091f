//! Changes of rules, and the tests that notice them.

use super::*;

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
