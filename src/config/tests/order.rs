//! Which rule comes first: names and priorities, parents, and rules that others leave nothing.

use super::*;

#[test]
fn n_14_one_priority_is_for_one_collection_and_a_rule_in_the_shadow_is_named() {
    let of = |name: &str, priority: u16, action: &str, target: &str| {
        format!(
            "[[application_rule_collection]]\nname = \"{name}\"\npriority = {priority}\naction = \"{action}\"\n\
             [[application_rule_collection.rule]]\nname = \"{name}-r\"\ndestination_fqdns = [\"{target}\"]\n"
        )
    };
    let equal = of("allow", 100, "Allow", "*.openai.example.com") + &of("deny", 100, "Deny", "bad.openai.example.com");
    let problems = from_text("t.toml", &equal).expect_err("equal numbers");
    assert_eq!(problems[0].place(), "t.toml:10:12");
    assert!(problems[0].found.contains("priority 100 is taken"), "{}", problems[0]);
    let shadowed =
        of("allow", 100, "Allow", "*.openai.example.com") + &of("deny", 200, "Deny", "bad.openai.example.com");
    let warnings = load_text(&shadowed).warnings;
    assert_eq!(warnings[0].place(), "t.toml:13:8");
    assert!(
        warnings[0].found.contains("`default/deny/deny-r` never matches")
            && warnings[0].hint.contains("`default/allow/allow-r`"),
        "{}",
        warnings[0]
    );
    let right = of("deny", 100, "Deny", "bad.openai.example.com") + &of("allow", 200, "Allow", "*.openai.example.com");
    assert_eq!(
        told(&right),
        "",
        "a denial in front of a wider allowance is how it is done"
    );
}

#[test]
fn names_and_priorities_stand_once() {
    let collection = "[[application_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n";
    let network = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Allow\"\n";
    let group = "[[rule_collection_group]]\nname = \"g\"\npriority = 200\n";
    let bare = "[[application_rule_collection.rule]]\nname = \"r\"\ndestination_fqdns = [\"a.example\"]\n";
    check_all(&[
        (
            "collection twice",
            collection.repeat(2),
            &["6:8 error: rule collection `c` is there twice in group `default`"],
        ),
        (
            "priority twice",
            collection.repeat(2),
            &["7:12 error: priority 100 is taken"],
        ),
        (
            "group twice",
            group.repeat(2),
            &["5:8 error: rule collection group `g` is there twice"],
        ),
        (
            "group priority twice",
            group.repeat(2),
            &["6:12 error: priority 200 is taken by another group"],
        ),
        (
            "rule twice",
            format!("{collection}{bare}{bare}"),
            &["9:8 error: rule `r` is there twice in `default/c`"],
        ),
        (
            "the implicit group's priority",
            format!("{group}{collection}").replace("200", "1000"),
            &["error: priority 1000 is taken by another group"],
        ),
        (
            "the implicit group's name",
            format!("{group}{collection}").replace("\"g\"", "\"default\""),
            &["error: rule collection group `default` is there twice"],
        ),
    ]);
    let kinds = told(&format!("{collection}{network}"));
    assert!(!kinds.contains("taken"), "kinds have priorities of their own: {kinds}");
}

#[test]
fn rules_that_never_match_name_the_ones_before() {
    let collections = |first: &str, second: &str| {
        let one = |name: &str, priority: u16, action: &str, lines: &str| {
            format!(
                "[[application_rule_collection]]\nname = \"{name}\"\npriority = {priority}\naction = \"{action}\"\n\
                 [[application_rule_collection.rule]]\nname = \"r\"\n{lines}\n"
            )
        };
        one("late", 200, "Deny", second) + &one("early", 100, "Allow", first)
    };
    let cases = [
        (
            "the same name",
            "destination_fqdns = [\"a.example\"]",
            "destination_fqdns = [\"a.example\"]",
            true,
        ),
        (
            "under a star",
            "destination_fqdns = [\"*.b.example\"]",
            "destination_fqdns = [\"x.a.b.example\"]",
            true,
        ),
        (
            "a star under a star",
            "destination_fqdns = [\"*.b.example\"]",
            "destination_fqdns = [\"*.a.b.example\"]",
            true,
        ),
        (
            "a star that cuts a label",
            "destination_fqdns = [\"*b.example\"]",
            "destination_fqdns = [\"*.ab.example\"]",
            true,
        ),
        (
            "the name itself is not under its star",
            "destination_fqdns = [\"*.b.example\"]",
            "destination_fqdns = [\"b.example\"]",
            false,
        ),
        (
            "not on a label border",
            "destination_fqdns = [\"*.b.example\"]",
            "destination_fqdns = [\"ab.example\"]",
            false,
        ),
        (
            "two rules' names together",
            "destination_fqdns = [\"a.example\", \"b.example\"]",
            "destination_fqdns = [\"b.example\", \"a.example\"]",
            true,
        ),
        (
            "narrower sources",
            "destination_fqdns = [\"a.example\"]",
            "source_addresses = [\"10.0.0.1\"]\ndestination_fqdns = [\"a.example\"]",
            true,
        ),
        (
            "other sources",
            "source_addresses = [\"10.0.0.0/8\"]\ndestination_fqdns = [\"a.example\"]",
            "destination_fqdns = [\"a.example\"]",
            false,
        ),
        (
            "another port",
            "destination_fqdns = [\"a.example\"]",
            "protocols = [{ type = \"Https\", port = 8443 }]\ndestination_fqdns = [\"a.example\"]",
            false,
        ),
        (
            "only one of two",
            "destination_fqdns = [\"a.example\"]",
            "destination_fqdns = [\"a.example\", \"c.example\"]",
            false,
        ),
    ];
    for (why, first, second, expected) in cases {
        let told = told(&collections(first, second));
        let never = ["never matches", "denies what rule"].map(|how| format!("rule `default/late/r` {how}"));
        let never = never.iter().any(|how| told.contains(how)) && told.contains("`default/early/r`");
        assert_eq!(never, expected, "{why}: {told}");
    }
}

#[test]
fn parent_policies_keep_their_groups_apart() {
    let group = |section: &str| {
        format!("[[{section}rule_collection_group]]\nname = \"g\"\npriority = 200\n")
            + &rule("destination_fqdns = [\"a.example\"]").replace(
                "[[application",
                &format!("[[{section}rule_collection_group.application"),
            )
    };
    let parents = format!(
        "[[parent_policy]]\nname = \"root\"\n{}[[parent_policy]]\nname = \"base\"\n{}",
        group("parent_policy."),
        group("parent_policy.")
    );
    let policy = load_text(&format!("{parents}{}", group(""))).policy;
    let chain: Vec<(&str, usize)> = policy.chain().map(|(name, groups)| (&**name, groups.len())).collect();
    assert_eq!(chain, [("root", 1), ("base", 1), ("egret", 1)]);
    check_all(&[
        (
            "two parents of one name",
            parents.replace("\"base\"", "\"root\""),
            &["error: policy `root` is there twice"],
        ),
        (
            "a parent called as we are",
            parents.replace("\"base\"", "\"egret\""),
            &["error: policy `egret` is there twice"],
        ),
    ]);
}

#[test]
fn network_rules_are_told_of_among_themselves_and_before_application_rules() {
    let network = |name: &str, priority: u16, action: &str, destination: &str| {
        format!(
            "[[network_rule_collection]]\nname = \"{name}\"\npriority = {priority}\naction = \"{action}\"\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"10.0.0.0/8\"]\n\
             destination_addresses = [\"{destination}\"]\ndestination_ports = [\"443\"]\n"
        )
    };
    let names = rule("source_addresses = [\"10.1.0.0/16\"]\ndestination_fqdns = [\"a.example\"]");
    let both = network("first", 100, "Allow", "10.2.0.0/16") + &network("second", 200, "Deny", "10.2.7.0/24");
    let copy = network("first", 100, "Allow", "10.2.0.0/16") + &network("second", 200, "Allow", "10.2.0.0/16");
    let against = network("first", 100, "Deny", "10.2.0.0/16") + &network("second", 200, "Allow", "10.2.0.0/16");
    let denied = network("first", 100, "Allow", "10.2.0.0/16") + &network("second", 200, "Deny", "10.2.0.0/16");
    let ipv6 = network("first", 100, "Allow", "10.2.0.0/16")
        + &network("between", 150, "Allow", "::/0")
        + &network("second", 200, "Deny", "10.2.7.0/24");
    let halves = network("first", 100, "Allow", "10.2.0.0/16")
        + &network("low", 150, "Allow", "::/1")
        + &network("high", 160, "Allow", "8000::/1")
        + &network("second", 200, "Deny", "10.2.7.0/24");
    let twice = network("first", 100, "Deny", "10.2.0.0/16") + &network("second", 200, "Deny", "10.2.7.0/24");
    check_all(&[
        (
            "taken by a wider one",
            both,
            &[
                "16:8 warning",
                // What denies an address denies it in every form that embeds it, and the first rule allows none of these.
                "`default/second/r` matches only IPv6 addresses that embed those it denies",
                "the rest of it is taken before by `default/first/r`, so what it denies is allowed: give it a lower priority number",
            ],
        ),
        (
            "in every form that embeds it too",
            ipv6,
            &[
                "26:8 warning",
                "`default/second/r` never matches",
                "`default/first/r`, `default/between/r`, so what it denies is allowed",
            ],
        ),
        (
            "in every form, by rules that hold the whole of IPv6 between them",
            halves,
            &[
                "36:8 warning",
                "`default/second/r` never matches",
                "`default/first/r`, `default/low/r`, `default/high/r`, so what it denies is allowed",
            ],
        ),
        (
            "by one that denies too",
            twice,
            &["16:8 warning", "`default/second/r` never matches"],
        ),
        (
            "denied, but for what embeds it",
            denied,
            &[
                "16:8 warning",
                "`default/second/r` denies what rule `default/first/r` allows",
                "decides, but for IPv6 addresses that embed these",
            ],
        ),
        (
            "said twice",
            copy,
            &[
                "16:8 warning",
                "says again what rule `default/first/r` says",
                "the same destinations",
            ],
        ),
        (
            "and against it",
            against,
            &[
                "16:8 warning",
                "`default/second/r` allows what rule `default/first/r` denies",
            ],
        ),
        (
            "everywhere",
            network("web", 100, "Allow", "*"),
            &["6:8 warning", "`default/web/r` allows every address"],
        ),
        (
            "whatever the name",
            network("web", 100, "Allow", "*") + &names,
            &[
                "16:8 warning",
                "`default/c/r` is never asked for routed flows",
                "`default/web/r` takes all of it",
            ],
        ),
        (
            "of one family",
            network("web", 100, "Allow", "0.0.0.0/0") + &names,
            &["16:8 warning", "is never asked for routed IPv4 flows"],
        ),
    ]);
    let beside = network("private", 100, "Allow", "10.2.0.0/16") + &names;
    assert!(!told(&beside).contains("never"), "{}", told(&beside));
}
