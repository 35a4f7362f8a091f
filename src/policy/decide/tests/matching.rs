//! What of an attempt a rule is held against: name, source, port and protocol.

use super::*;

#[test]
fn n01_n02_n03_n11_n20_n21_c21_names_that_no_pattern_admits_match_no_rule() {
    let policy = compiled(vec![collection(
        100,
        Action::Allow,
        vec![rule(&["api.example.com", "*.openai.example.com"])],
    )]);
    for name in [
        "evilopenai.example.com",
        "openai.example.com.evil.test",
        "openai.example.com",
        "xn--penai-7ve.example.com",
        "xn--a.example.com",
        "localhost",
        "foo.localhost",
        "ip6-localhost",
        "host.docker.internal",
        "intranet",
        "wpad",
        "1.0.0.127.in-addr.arpa",
        "x.local",
        "x.onion",
        "x.invalid",
        "x.home.arpa",
        "x.alt",
    ] {
        assert_eq!(ask(&policy, name).reason, Reason::NoRuleMatched, "{name}");
    }
}

/// The catalogue's million rules, scaled down: what is counted does not grow with their number.
#[test]
fn n_16_a_near_miss_looks_at_no_rule_however_many_there_are() {
    let tail = (0..20).map(|n| format!("l{n}.")).collect::<String>() + "example.com";
    let host = |n: usize| format!("h{n}.{tail}");
    let shared = format!("*.only.{tail}");
    for count in [10, 20_000] {
        let mut rules: Vec<_> = (0..count).map(|n| rule(&[&host(n)])).collect();
        rules.push(rule(&[&shared]));
        let policy = compiled(vec![collection(100, Action::Allow, rules)]);
        for n in 0..100 {
            let near = Fqdn::parse(&format!("h{n}x.{tail}")).unwrap();
            let looked_at: usize = policy
                .names
                .lists(near.as_str())
                .map(|found| found.candidates.len())
                .sum();
            assert_eq!(looked_at, 0, "{near} among {count}");
            assert_eq!(ask(&policy, near.as_str()).reason, Reason::NoRuleMatched, "{near}");
        }
        let last = ask(&policy, &host(count - 1));
        assert_eq!(
            last.rule,
            Some(RuleId::new(u32::try_from(count - 1).unwrap())),
            "the hit among them"
        );
    }
}

#[test]
fn n15_a_denied_name_is_denied_in_every_spelling() {
    let policy = compiled(vec![
        collection(100, Action::Deny, vec![rule(&["bad.example.com"])]),
        collection(200, Action::Allow, vec![rule(&["*"])]),
    ]);
    for name in [
        "bad.example.com",
        "BAD.example.com",
        "bad.example.com.",
        "Bad.Example.Com.",
    ] {
        let decision = ask(&policy, name);
        assert_eq!(
            (decision.action, decision.rule),
            (Action::Deny, Some(RuleId::new(0))),
            "{name}"
        );
    }
}

#[test]
fn n19_sources_decide_per_group_and_mapped_ipv4_is_ipv4() {
    let of = |nets: &[&str], pattern: &str| ApplicationRule {
        sources: nets.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>().into(),
        ..rule(&[pattern])
    };
    let policy = compiled(vec![collection(
        100,
        Action::Allow,
        vec![
            of(&["10.1.0.0/16"], "a.test"),
            of(&["10.2.0.0/16", "10.1.1.0/24"], "b.test"),
            of(&[], "c.test"),
        ],
    )]);
    for (source, name, action) in [
        ("10.1.2.3", "a.test", Action::Allow),
        ("10.2.2.3", "a.test", Action::Deny),
        ("10.1.1.3", "a.test", Action::Allow),
        ("10.1.1.3", "b.test", Action::Allow),
        ("::ffff:10.1.1.3", "b.test", Action::Allow),
        ("10.1.1.3", "c.test", Action::Deny),
        ("::1", "a.test", Action::Deny),
    ] {
        assert_eq!(ask_from(&policy, source, name, HTTPS).action, action, "{source} {name}");
    }
}

#[test]
fn c47_ports_and_protocols_are_part_of_the_rule() {
    let tagged = TargetFqdn {
        ports: Some(vec![HTTP, HTTPS]),
        ..target("tag.test")
    };
    let alien = TargetFqdn {
        ports: Some(vec![ProtocolPort { port: 8443, ..HTTPS }]),
        ..target("alien.test")
    };
    let both = ApplicationRule {
        protocols: vec![HTTPS, HTTP],
        targets: vec![target("a.test"), tagged.clone()],
        ..rule(&["both"])
    };
    let one = ApplicationRule {
        targets: vec![tagged, alien],
        ..rule(&["one"])
    };
    let policy = compiled(vec![collection(100, Action::Allow, vec![both])]);
    let narrow = compiled(vec![collection(100, Action::Allow, vec![one])]);
    for (policy, name, port, action) in [
        (&policy, "a.test", HTTPS, Action::Allow),
        (&policy, "a.test", HTTP, Action::Allow),
        (&policy, "a.test", ProtocolPort { port: 22, ..HTTPS }, Action::Deny),
        (&policy, "a.test", ProtocolPort { port: 443, ..HTTP }, Action::Deny),
        (&policy, "tag.test", HTTP, Action::Allow),
        (&narrow, "tag.test", HTTPS, Action::Allow),
        (&narrow, "tag.test", HTTP, Action::Deny),
        (&narrow, "alien.test", HTTPS, Action::Deny),
    ] {
        assert_eq!(
            ask_from(policy, "10.0.0.1", name, port).action,
            action,
            "{name} {port:?}"
        );
    }
}

#[test]
fn a_wildcard_does_not_allow_an_ech_providers_public_name() {
    let decide = |patterns: &[&str]| {
        let policy = compiled(vec![collection(100, Action::Allow, vec![rule(patterns)])]);
        ask(&policy, "cloudflare-ech.com").action
    };
    assert_eq!(decide(&["*"]), Action::Deny);
    assert_eq!(decide(&["*cloudflare-ech.com"]), Action::Deny);
    assert_eq!(decide(&["cloudflare-ech.com"]), Action::Allow);
    assert_eq!(decide(&["*", "cloudflare-ech.com"]), Action::Allow);
}
