//! Rules that decide no attempt and without which one would be decided otherwise, or could not be told.

use super::{rules::network_rules, *};

/// Network rules in this order, each of a collection of its own, before an application rule for `*.contoso.test`.
fn policy(rules: &[(&str, &str, &str)]) -> Policy {
    config::from_text("p.toml", &network_rules(rules))
        .expect("it loads")
        .policy
}

const BY_NAME: &str = "destination_fqdns = [\"sql.contoso.test\"]";
const NET: &str = "destination_addresses = [\"203.0.113.0/24\"]";
const ANY: &str = "destination_addresses = [\"*\"]";

const PACKETS: &str = "via = \"transparent\"\ntarget = \"tcp://203.0.113.9:443\"";
const NAME: &str = "target = \"https://www.contoso.test\"";

/// Collections of the rules that were not reached, and the changes that nobody noticed.
fn left(rules: &[(&str, &str, &str)], attempt: &str) -> (Vec<String>, Vec<(String, Mutation)>) {
    let text = format!("[[attempt]]\nname = \"a\"\n{attempt}\n");
    let (ran, compiled) = run(&policy(rules), &Suite::parse("t.toml", &text).expect("it loads"));
    assert_eq!(ran.failed, [] as [usize; 0], "{rules:?}: {:?}", ran.judged);
    let collection = |rule: RuleId| compiled.rule_ref(rule).collection.to_string();
    let mutants = ran.mutants.expect("all pass");
    let survivors = mutants.survivors.iter();
    (
        ran.unreached.iter().map(|rule| collection(*rule)).collect(),
        survivors.map(|one| (collection(one.rule), one.mutation)).collect(),
    )
}

#[test]
fn a_rule_that_speaks_for_a_name_is_reached_where_a_later_one_would_speak_otherwise() {
    for (first, other) in [("Allow", "Deny"), ("Deny", "Allow")] {
        let attempt = format!("{PACKETS}\ndecision = \"{first}\"\nrule = \"default/net/r\"");
        let rules = [
            ("speaks", first, BY_NAME),
            ("spoken-for", other, BY_NAME),
            ("net", first, NET),
        ];
        let (unreached, survivors) = left(&rules, &attempt);
        assert_eq!(unreached, ["spoken-for", "web"], "{first}");
        // Turned, one that denies allows by a name that nobody resolved, and it could not be told.
        assert_eq!(survivors, [], "{first}");

        // Nobody speaks otherwise: it is the same without it.
        let (unreached, survivors) = left(&[("speaks", first, BY_NAME), ("net", first, NET)], &attempt);
        assert_eq!(
            (unreached, survivors),
            (vec!["speaks".into(), "web".into()], vec![]),
            "{first}"
        );
    }
}

/// At the proxy port what allows every address takes them all out of a denial behind it.
#[test]
fn a_rule_that_leaves_a_name_alone_is_reached_where_a_later_one_would_deny_it() {
    let attempt = format!("{NAME}\ndecision = \"Allow\"\nrule = \"default/web/r\"");
    let (unreached, survivors) = left(&[("any", "Allow", ANY), ("deny", "Deny", ANY)], &attempt);
    assert_eq!((unreached, survivors), (vec!["deny".into()], vec![]));
    let (unreached, _) = left(&[("any", "Allow", ANY)], &attempt);
    assert_eq!(unreached, ["any"], "there is nothing to leave it alone by");
    // The rule that is denied wherever it leads is why anybody asks where that is.
    let denied = format!("{NAME}\ndecision = \"Deny\"\nrule = \"default/deny/r\"");
    let (unreached, survivors) = left(&[("deny", "Deny", ANY)], &denied);
    assert_eq!((unreached, survivors), (vec![], vec![]));
}

/// The gateway dials such an address for nobody, whatever the rules say.
#[test]
fn what_leads_to_an_address_that_is_never_dialled_is_not_allowed() {
    let resolved = |to: &str| format!("[resolved]\n\"www.contoso.test\" = [{to}]\n");
    let attempt = |target: &str, more: &str| format!("[[attempt]]\nname = \"a\"\ntarget = \"{target}\"\n{more}\n");
    let (allow, web) = ("decision = \"Allow\"", "https://www.contoso.test");
    let denied = "decision = \"Deny\"\nreason = \"AddressDenied\"";
    for (head, target, more, passes) in [
        (resolved("\"127.0.0.1\""), web, allow, false),
        (resolved("\"127.0.0.1\""), web, denied, true),
        (
            resolved("\"169.254.169.254\", \"168.63.129.16\", \"::1\""),
            web,
            allow,
            false,
        ),
        (
            resolved("\"::ffff:169.254.169.254\""),
            "www.contoso.test:443",
            allow,
            false,
        ),
        // One of them is.
        (resolved("\"169.254.169.254\", \"192.0.2.9\""), web, allow, true),
        // What the rules deny is denied by them, at what is left of the addresses.
        (
            resolved("\"127.0.0.1\", \"203.0.113.9\""),
            web,
            "decision = \"Deny\"\nrule = \"default/deny/r\"",
            true,
        ),
        (
            resolved("\"127.0.0.1\""),
            "https://www.fabrikam.test",
            "decision = \"Deny\"\nreason = \"NoRuleMatched\"",
            true,
        ),
        (
            String::new(),
            web,
            &format!("destination = \"127.0.0.1\"\n{allow}"),
            false,
        ),
        (
            String::new(),
            web,
            &format!("destination = \"127.0.0.1\"\n{denied}"),
            true,
        ),
        // By address, which a network rule allows.
        (String::new(), "169.254.169.254:443", allow, false),
        (String::new(), "169.254.169.254:443", denied, true),
        (String::new(), "192.0.2.9:443", allow, true),
    ] {
        let text = head + &attempt(target, more);
        let rules = [("deny", "Deny", NET), ("any", "Allow", ANY)];
        let (ran, _) = run(&policy(&rules), &Suite::parse("t.toml", &text).expect("it loads"));
        assert_eq!(ran.failed.is_empty(), passes, "{text}: {:?}", ran.judged);
    }
}

/// In audit mode the rules tell what they would deny, and what is dialled for nobody is not let through for all that.
#[test]
fn what_is_never_dialled_is_told_in_audit_mode_too() {
    let mut policy = policy(&[]);
    policy.mode = egret::policy::Mode::Audit;
    let (led, asked) = (
        "[resolved]\n\"evil.test\" = [\"169.254.169.254\"]\n",
        "https://evil.test",
    );
    let both = "[resolved]\n\"evil.test\" = [\"169.254.169.254\", \"203.0.113.9\"]\n";
    for (head, target, never) in [
        (led, asked, true),
        (both, asked, false),
        ("", asked, false),
        ("", "169.254.169.254:443", true),
        ("", "203.0.113.9:443", false),
    ] {
        let text = format!("{head}[[attempt]]\nname = \"a\"\ntarget = \"{target}\"\ndecision = \"Deny\"\n");
        let (ran, _) = run(&policy, &Suite::parse("t.toml", &text).expect("it loads"));
        let judged = &ran.judged[0];
        assert_eq!(judged.decision.reason, egret::policy::Reason::NoRuleMatched, "{text}");
        assert_eq!((ran.failed.len(), judged.never_dialled), (0, never), "{text}");
    }
}
