use super::*;
use crate::policy::{Action, FqdnPattern, Mode, PortRange, Rules, Sources};
use proptest::{prelude::*, sample::select};

fn load_text(text: &str) -> Checked {
    from_text("t.toml", text).unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}\n--- in ---\n{text}", told.join("\n"));
    })
}

/// `line:column severity: found; expected; hint`, one a line.
fn told(text: &str) -> String {
    let problems = match from_text("t.toml", text) {
        Ok(checked) => checked.warnings,
        Err(problems) => problems,
    };
    let line = |p: &Problem| {
        let severity = if p.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        format!(
            "{}:{} {severity}: {}; {}; {}\n",
            p.line, p.column, p.found, p.expected, p.hint
        )
    };
    problems.iter().map(line).collect()
}

/// A rule of the implicit group, on line 4 and after.
fn rule(lines: &str) -> String {
    format!(
        "[[application_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n[[application_rule_collection.rule]]\nname = \"r\"\n{lines}\n"
    )
}

/// Each case: why, the text, and what must be told: every part in one line.
fn check_all(cases: &[(&str, String, &[&str])]) {
    for (why, text, parts) in cases {
        let told = told(text);
        let found = told.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{why}: wanted {parts:?}, told:\n{told}\n--- in ---\n{text}");
    }
}

fn allows(policy: &crate::policy::CompiledPolicy, name: &crate::policy::Fqdn) -> bool {
    let attempt = crate::policy::Attempt {
        source: "10.0.0.1".parse().unwrap(),
        protocol: crate::policy::Protocol::Https,
        name,
        port: 443,
    };
    policy.decide(&attempt, &mut crate::policy::NoTrace).permits()
}

#[test]
fn the_whole_sample_loads() {
    let checked = load_text(include_str!("../../tests/data/config/whole.toml"));
    assert_eq!(checked.warnings, []);
    let group = &checked.policy.groups[0];
    assert_eq!((&*group.name, group.priority.value()), ("ai", 200));
    let Rules::Application(rules) = &group.collections[0].rules else {
        panic!("application rules")
    };
    assert_eq!(
        rules[0].sources,
        Sources::Nets(vec!["10.1.0.0/16".parse().unwrap(), "10.2.0.0/16".parse().unwrap()])
    );
    let names: Vec<String> = rules[0]
        .targets
        .iter()
        .map(|target| target.pattern.to_string())
        .collect();
    assert!(names.contains(&"contoso-ai.openai.azure.com".to_owned()), "{names:?}");
    assert!(!rules[0].targets.iter().any(|target| target.wide), "the tag is bound");
    assert_eq!(checked.dns.zones.len(), 3);
    assert_eq!(checked.addresses.private.len(), 2);
    assert_eq!(checked.overrides[0].port, Some(443));
    assert_eq!(checked.settings.log.file.as_ref().unwrap().max_bytes, 256 << 20);
}

#[test]
fn a_file_that_says_only_its_mode_runs_with_every_default() {
    let checked = load_text("mode = \"enforce\"\n[dns]\nforwarders = [\"127.0.0.1\"]");
    assert_eq!(checked.settings, Settings::default());
    assert_eq!(checked.dns.timing, DnsPlan::default().timing);
    assert_eq!(checked.dns.cache, DnsPlan::default().cache);
    assert_eq!(checked.policy.mode, Mode::Enforce);
    assert!(checked.policy.groups.is_empty());
}

#[test]
fn n_01_a_star_that_cuts_a_label_is_told_of() {
    let with = |pattern: &str| rule(&format!("destination_fqdns = [\"{pattern}\"]"));
    let told_of = told(&with("*openai.example.com"));
    assert!(
        told_of.starts_with("7:22 warning: `*openai.example.com` admits `evilopenai.example.com` too"),
        "{told_of}"
    );
    for quiet in ["*.openai.example.com", "*-a.example.com"] {
        assert_eq!(told(&with(quiet)), "", "{quiet} ends at a border");
    }
    let meant = with("*openai.example.com").replace("name = \"r\"", "name = \"r\"\nallow_wide = true");
    assert_eq!(told(&meant), "", "it is meant");
}

#[test]
fn c_20_letters_beyond_ascii_become_the_a_label_that_clients_send() {
    let patterns = |text: &str| -> Vec<String> {
        let policy = load_text(&rule(&format!("destination_fqdns = [\"{text}\"]"))).policy;
        let Rules::Application(rules) = &policy.groups[0].collections[0].rules else {
            panic!("application rules")
        };
        rules[0]
            .targets
            .iter()
            .map(|target| target.pattern.to_string())
            .collect()
    };
    for (written, converted) in [
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        // Non-transitional: ß stays itself and does not become ss (UTS 46 section 2.3).
        ("faß.example", "xn--fa-hia.example"),
    ] {
        assert_eq!(patterns(written), [converted], "{written}");
    }
    let refused = told(&rule("destination_fqdns = [\"\u{2488}com.example\"]"));
    assert!(
        refused.starts_with("7:22 error") && refused.contains("A-label"),
        "{refused}"
    );
}

#[test]
fn n_06_a_star_stands_at_the_far_left_only() {
    for pattern in [
        "api.*.example.com",
        "www.example.*",
        "a*b.example.com",
        "*.*",
        "**.example.com",
        ".",
        "",
    ] {
        let text = rule(&format!("destination_fqdns = [\"{pattern}\"]"));
        let told = told(&text);
        assert!(told.starts_with("7:22 error"), "{pattern}: {told}");
    }
}

#[test]
fn n_06_a_star_over_everybody_needs_allow_wide() {
    for pattern in ["*", "*.com", "*.co.uk", "*com"] {
        let lines = format!("destination_fqdns = [\"{pattern}\"]");
        assert!(told(&rule(&lines)).contains("7:22 error: `*"), "{pattern}");
        let meant = load_text(&rule(&format!("{lines}\nallow_wide = true")));
        assert_eq!(meant.warnings, [], "{pattern} is meant");
    }
}

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
fn n_17_regular_expressions_are_not_offered() {
    for pattern in [
        r"(a+)+\.example\.com",
        r"^api\.example\.com$",
        "api.example.com$",
        "(api|www).example.com",
        "api[0-9].example.com",
        "api?.example.com",
        "/api.*/",
        ".*",
        ".+",
    ] {
        let text = rule(&format!("destination_fqdns = ['{pattern}']"));
        let problems = from_text("t.toml", &text).expect_err(pattern);
        assert_eq!(
            (problems.len(), problems[0].place().as_str()),
            (1, "t.toml:7:22"),
            "{pattern}: {}",
            problems[0]
        );
    }
    // Nor is a dot anything but a dot.
    let policy =
        crate::policy::CompiledPolicy::new(load_text(&rule("destination_fqdns = [\"api.example.com\"]")).policy);
    let near = crate::policy::Fqdn::parse("apixexample.com").unwrap();
    assert!(!allows(&policy, &near));
}

#[test]
fn n_18_bytes_that_editors_leave_behind_change_nothing() {
    let plain = rule("destination_fqdns = [\"api.example.com\"]");
    let wanted = load_text(&plain).policy;
    for (what, text) in [
        ("byte order mark", format!("\u{feff}{plain}")),
        ("CRLF", plain.replace('\n', "\r\n")),
        ("trailing blanks", plain.replace('\n', "  \t\n")),
        (
            "mixed case and a trailing dot",
            plain.replace("api.example.com", "API.eXample.com."),
        ),
    ] {
        assert_eq!(load_text(&text).policy, wanted, "{what}");
    }
}

#[test]
fn n_18_what_cannot_be_one_meaning_is_refused_with_its_line() {
    let plain = rule("destination_fqdns = [\"api.example.com\"]");
    for (what, text, place) in [
        ("NUL", plain.replace("api.", "api\0."), "7:"),
        ("a lone CR", plain.replace("name = \"c\"\n", "name = \"c\"\r"), "2:"),
        (
            "a key twice",
            plain.replace("priority = 100\n", "priority = 100\npriority = 200\n"),
            "4:",
        ),
        ("a table twice", format!("[log]\n{plain}[log]\n"), "9:"),
    ] {
        let told = told(&text);
        assert!(told.starts_with(place) && told.contains("error"), "{what}: {told}");
    }
    let problems = from_bytes("t.toml", b"mode = \"enforce\"\n# \xff\n".to_vec()).expect_err("not UTF-8");
    assert_eq!((problems[0].line, problems[0].column), (2, 3));
}

#[test]
fn n_18_a_line_of_two_mebibytes_is_quoted_in_part() {
    let names: Vec<String> = (0..100_000).map(|n| format!("\"n{n}.example.com\"")).collect();
    let text = rule(&format!("destination_fqdns = [{}, \"a b.example\"]", names.join(", ")));
    let problems = from_text("t.toml", &text).expect_err("a blank in a name");
    let quote = problems[0].quote.as_ref().unwrap();
    assert!(
        problems[0].column > 2_000_000 && quote.text.chars().count() <= 120,
        "{}",
        problems[0]
    );
    assert!(
        quote
            .text
            .chars()
            .skip(quote.indent)
            .collect::<String>()
            .starts_with("\"a b.example\"")
    );
}

#[test]
fn l_02_one_bad_rule_refuses_the_whole_file() {
    let good = rule("destination_fqdns = [\"api.example.com\"]");
    let bad = "[[application_rule_collection.rule]]\nname = \"bad\"\ndestination_fqdns = [\"a.*.example.com\"]\n";
    assert!(from_text("t.toml", &format!("{good}{bad}")).is_err());
}

#[test]
fn l_03_an_empty_file_is_refused_and_an_empty_list_denies() {
    for text in ["", "\n\n", "# nothing yet\n", "\u{feff}"] {
        assert!(told(text).contains("error: the file says nothing"), "{text:?}");
    }
    for lines in [
        "destination_fqdns = []",
        "source_addresses = []\ndestination_fqdns = [\"a.example\"]",
        "source_ip_groups = [\"none\"]\ndestination_fqdns = [\"a.example\"]\n[ip_groups]\nnone = []",
        "protocols = []\ndestination_fqdns = [\"a.example\"]",
    ] {
        let checked = load_text(&rule(lines));
        assert!(!checked.warnings.is_empty(), "{lines}");
        let policy = crate::policy::CompiledPolicy::new(checked.policy);
        let name = crate::policy::Fqdn::parse("a.example").unwrap();
        assert!(!allows(&policy, &name), "{lines}");
    }
}

#[test]
fn l_04_what_is_no_file_is_told() {
    let folder = std::env::temp_dir();
    let problems = load(&folder).expect_err("a directory");
    assert!(problems[0].found.contains("not a regular file"), "{}", problems[0]);
    let problems = load(Path::new("/dev/null")).expect_err("a device");
    assert!(problems[0].found.contains("not a regular file"), "{}", problems[0]);
    let problems = load(&folder.join("egret-is-not-there.toml")).expect_err("nothing");
    assert!(problems[0].found.contains("cannot be read"), "{}", problems[0]);
}

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let text = "listenerz = 1\n[proxy]\nech = \"Outer\"\n[limits]\ntunnels = 0\nidle_seconds = \"x\"\n".to_owned()
        + &rule(
            "source_ip_groups = [\"spoke\"]\ndestination_fqdns = [\"a.*.example\", \"*.com\"]\ndestination_urls = []",
        )
        + "[ip_groups]\nspokes = [\"10.1.0.0/33\"]\n";
    let wanted = [
        "1:1 error: unknown key `listenerz`; `listeners`",
        "3:7 error: `Outer` is not one of the values; `outer`",
        "5:11 error: 0 is out of range; a whole number from 1 to 1000000",
        "6:16 error: a string where a whole number from 1 to 86400 belongs",
        "13:21 error: no IP group `spoke`; `spokes`",
        "14:22 error: `a.*.example`: a star",
        "14:37 error: `*.com` admits names of everybody",
        "15:1 error: unknown key `destination_urls`; ; URL rules need TLS inspection",
        "17:11 error: `10.1.0.0/33`: not an address",
    ];
    let told = told(&text);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), wanted.len(), "{told}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{line}\nwanted {wanted}");
    }
}

#[test]
fn several_syntax_errors_are_told_at_once() {
    let told = told("a = \n[b\nc = 1\n");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn a_problem_is_shown_with_its_line_and_key() {
    let text = rule("destination_fqdns = [\"api.example.com\", \"a.*.b\"]");
    let problems = from_text("egret.toml", &text).expect_err("an inner star");
    let shown = problems[0].to_string();
    let wanted = "error: `a.*.b`: a star may stand at the far left only, once: `*.name`, `*name` or `*`\n \
                  --> egret.toml:7:41\n  |\n7 | destination_fqdns = [\"api.example.com\", \"a.*.b\"]\n  \
                  |                                         ^^^^^^^\n  \
                  = key: application_rule_collection[c].rule[r].destination_fqdns[1]\n";
    assert!(shown.starts_with(wanted), "{shown}\nwanted\n{wanted}");
}

#[test]
fn g_10_a_file_cannot_steer_the_terminal() {
    let problems = from_text("t.toml", "\"a\\u001b[2J\\u202eb\" = 1").expect_err("unknown key");
    let shown = problems[0].to_string() + &problems[0].one_line();
    assert!(
        shown.contains("\\u{1b}") && !shown.contains(['\u{1b}', '\u{202e}']),
        "{shown}"
    );
}

#[test]
fn g_10_a_name_that_steers_the_terminal_is_refused() {
    let forged = "r\\n\\ndecision   Deny\\u202e";
    let text = rule("destination_fqdns = [\"a.example\"]\nsource_addresses = [\"*\"]")
        .replace("\"r\"", &format!("\"{forged}\""));
    check_all(&[
        ("rule", text, &["6:8 error: U+000A in a text", "letters, digits"]),
        (
            "IP group",
            "[ip_groups]\n\"a\\u001b[2J\" = [\"10.0.0.1\"]".into(),
            &["2:1 error: U+001B in a text"],
        ),
        ("policy", "[azure]\npolicy = \"p\\u200b\"".into(), &["U+200B in a text"]),
    ]);
    let told = told(&rule(
        "destination_fqdns = [\"a.example\"]\nsource_addresses = [\"*\"]\ndescription = \"two\\nlines\"",
    ));
    assert!(!told.contains("U+"), "{told}");
}

#[test]
fn structure() {
    check_all(&[
        (
            "missing keys",
            "[[rule_collection_group]]\n".into(),
            &["1:1 error: key `name` is missing"],
        ),
        (
            "missing keys",
            "[[rule_collection_group]]\n".into(),
            &["key `priority` is missing", "from 100 to 65000"],
        ),
        (
            "a priority out of range",
            "[[rule_collection_group]]\nname = \"g\"\npriority = 70".into(),
            &["3:12 error: 70 is out of range"],
        ),
        (
            "an integer beyond 64 bits",
            "[limits]\ntunnels = 99999999999999999999".into(),
            &["2:11 error", "out of range"],
        ),
        (
            "an empty name",
            "[[rule_collection_group]]\nname = \"\"\npriority = 100".into(),
            &["2:8 error: empty text"],
        ),
        (
            "a text where a list belongs",
            "[ip_groups]\na = \"10.0.0.0/8\"".into(),
            &["2:5 error: a string where a list of texts belongs"],
        ),
        (
            "a number in a list of texts",
            "[ip_groups]\na = [10]".into(),
            &["2:6 error: an integer where a text belongs"],
        ),
        (
            "Azure's own key",
            "threat_intelligence_mode = \"Deny\"".into(),
            &["1:1 error: unknown key", "write `[threat_intelligence]`"],
        ),
        (
            "MSSQL",
            rule("protocols = [{ type = \"Mssql\", port = 1433 }]\ndestination_fqdns = [\"a.example\"]"),
            &["7:23 error: `Mssql` is not one", "`Http`, `Https`"],
        ),
        (
            "lower-case action",
            rule("").replace("Allow", "allow"),
            &["4:10 error: `allow` is not one", "`Allow`"],
        ),
    ]);
}

#[test]
fn listeners() {
    check_all(&[
        (
            "no port",
            "[listeners]\nproxy = [\"127.0.0.1\"]".into(),
            &["2:10 error: `127.0.0.1` is no address with a port"],
        ),
        (
            "a name",
            "[listeners]\nproxy = [\"localhost:3128\"]".into(),
            &["2:10 error", "127.0.0.1:3128"],
        ),
        (
            "the same twice",
            "[listeners]\nproxy = [\"127.0.0.1:1\", \"127.0.0.1:1\"]".into(),
            &["2:25 error", "taken"],
        ),
        (
            "all and one",
            "[listeners]\nproxy = [\"0.0.0.0:1\"]\nhealth = [\"127.0.0.1:1\"]".into(),
            &["3:11 error", "taken"],
        ),
        (
            "none",
            "[listeners]\nproxy = []".into(),
            &["2:9 error: no proxy listener"],
        ),
        (
            "admin for others",
            "[listeners]\nadmin = [\"10.0.0.4:9180\"]".into(),
            &["2:10 error: admin listener", "listeners.health"],
        ),
        (
            "an open listener and a rule for anyone",
            rule("destination_fqdns = [\"a.example\"]") + "[listeners]\nproxy = [\"0.0.0.0:3128\"]",
            &["6:8 error: rule `r` names no source, and `0.0.0.0:3128` is open to others"],
        ),
    ]);
    load_text("[listeners]\nproxy = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nhealth = []");
    load_text(
        &(rule("source_addresses = [\"*\"]\ndestination_fqdns = [\"a.example\"]")
            + "[listeners]\nproxy = [\"0.0.0.0:3128\"]"),
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
fn names() {
    let names = |list: &str| rule(&format!("destination_fqdns = [{list}]"));
    check_all(&[
        (
            "a URL",
            names("\"https://api.example.com/v1\""),
            &["7:22 error", "no scheme and no path"],
        ),
        (
            "a port",
            names("\"api.example.com:8443\""),
            &["7:22 error", "protocols ="],
        ),
        ("an address", names("\"10.1.2.3\""), &["7:22 error", "address"]),
        (
            "a shared suffix",
            names("\"*.blob.core.windows.net\""),
            &["7:22 warning", "every tenant's"],
        ),
        (
            "twice in a rule",
            names("\"a.example\", \"A.example.\""),
            &["7:35 warning: `a.example` is already taken by this rule itself"],
        ),
        (
            "under a star of the rule",
            names("\"*.example\", \"a.example\"").replace("r\"\n", "r\"\nallow_wide = true\n"),
            &["8:35 warning", "with `*.example`"],
        ),
        (
            "no destination",
            rule(""),
            &["6:8 error: rule `r` names no destination"],
        ),
        (
            "no such tag",
            rule("destination_fqdn_tags = [\"AzureOpenIA\"]"),
            &["7:26 error: no FQDN tag `AzureOpenIA`; `AzureOpenAI`"],
        ),
        (
            "a tag for all tenants",
            rule("destination_fqdn_tags = [\"AzureOpenAI\"]"),
            &[
                "7:26 warning: tag `AzureOpenAI` is not bound",
                "exfiltration",
                "resource =",
            ],
        ),
        (
            "a binding of nothing",
            "[fqdn_tag.AzureOpenIA]\nresource = [\"a\"]".into(),
            &["1:1 error: no FQDN tag", "`AzureOpenAI`"],
        ),
        (
            "a binding nobody uses",
            "[fqdn_tag.AzureOpenAI]\nresource = [\"a\"]".into(),
            &["1:1 warning", "no rule names it"],
        ),
        (
            "a value that is no label",
            rule("destination_fqdn_tags = [\"AzureOpenAI\"]") + "[fqdn_tag.AzureOpenAI]\nresource = [\"a\", \"b.c\"]",
            &["9:18 error", "one label"],
        ),
        (
            "a tag with more than one placeholder",
            rule("destination_fqdn_tags = [\"AzureKubernetesService\"]"),
            &["7:26 warning", "is not bound", "and values for `region`"],
        ),
        (
            "a tag that no proxy serves",
            rule("destination_fqdn_tags = [\"AzureRedis\"]"),
            &["7:26 warning: tag `AzureRedis` admits nothing", "network rules"],
        ),
        (
            "a tag of hosts that nobody has named",
            rule("destination_fqdn_tags = [\"NpmPackages\"]"),
            &[
                "7:26 warning: tag `NpmPackages` admits nothing",
                "is not bound",
                "resource =",
            ],
        ),
        (
            "a region without the feature that needs it",
            rule("destination_fqdn_tags = [\"AzureContainerRegistry\"]")
                + "[fqdn_tag.AzureContainerRegistry]\nresource = [\"a\"]\nregion = [\"westeurope\"]",
            &["10:10 warning", "no entry with `region`", "data-endpoint"],
        ),
        (
            "a feature without its region",
            rule("destination_fqdn_tags = [\"AzureContainerRegistry\"]")
                + "[fqdn_tag.AzureContainerRegistry]\nresource = [\"a\"]\nfeatures = [\"data-endpoint\"]",
            &["8:1 error", "needs `region`, which is not bound", "every tenant"],
        ),
        (
            "a feature that is every tenant's",
            rule("destination_fqdn_tags = [\"AzureContainerRegistry\"]")
                + "[fqdn_tag.AzureContainerRegistry]\nresource = [\"a\"]\nfeatures = [\"blob-layers\"]",
            &["10:12 warning", "`blob-layers` adds nothing"],
        ),
        (
            "a wildcard that is kept",
            rule("destination_fqdn_tags = [\"AzureContainerRegistry\"]")
                + "[fqdn_tag.AzureContainerRegistry]\nresource = [\"a\"]\nfeatures = [\"blob-layers\"]\n\
                   keep = [\"*.blob.core.windows.net\"]",
            &[
                "7:26 warning",
                "keeps wildcards",
                "`*.blob.core.windows.net`",
                "exfiltration",
            ],
        ),
        (
            "a tag that Azure does not publish",
            rule("destination_fqdn_tags = [\"WindowsDiagnostics\"]"),
            &["7:26 error: no FQDN tag `WindowsDiagnostics`", "does not publish"],
        ),
        (
            "a placeholder that is none",
            rule("destination_fqdn_tags = [\"AzureOpenAI\"]") + "[fqdn_tag.AzureOpenAI]\nresources = [\"a\"]",
            &["9:13 error", "placeholder `resources`", "`resource`"],
        ),
    ]);
}

#[test]
fn a_u_label_is_converted_as_dns_does_it() {
    let checked = load_text(&rule("destination_fqdns = [\"bücher.example\", \"*.straße.example\"]"));
    let Rules::Application(rules) = &checked.policy.groups[0].collections[0].rules else {
        panic!("application rules")
    };
    let names: Vec<String> = rules[0]
        .targets
        .iter()
        .map(|target| target.pattern.to_string())
        .collect();
    assert_eq!(names, ["xn--bcher-kva.example", "*.xn--strae-oqa.example"]);
}

#[test]
fn a_tag_folder_adds_to_the_catalogue() {
    let folder = std::env::temp_dir().join(format!("egret-tags-{}", std::process::id()));
    fs::create_dir_all(folder.join("tags")).unwrap();
    fs::write(
        folder.join("tags/own.toml"),
        "tag = \"Own\"\n[[endpoint]]\npattern = \"own.example\"\n",
    )
    .unwrap();
    let text = rule("destination_fqdn_tags = [\"Own\"]") + "[catalogue]\nfolder = \"tags\"\n";
    let file = folder.join("egret.toml");
    fs::write(&file, text).unwrap();
    let checked = load(&file);
    fs::remove_dir_all(&folder).unwrap();
    let policy = checked.expect("relative to the file").policy;
    let Rules::Application(rules) = &policy.groups[0].collections[0].rules else {
        panic!("application rules")
    };
    assert!(matches!(&rules[0].targets[0].pattern, FqdnPattern::Exact(name) if name.as_str() == "own.example"));
    let gone = told("mode = \"enforce\"\n[catalogue]\nfolder = \"/nowhere/egret\"");
    assert!(gone.contains("3:10 error"), "{gone}");
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
fn dns() {
    let zone = |lines: &str| format!("[[dns.zone]]\nname = \"corp.example\"\n{lines}");
    check_all(&[
        (
            "a forwarder by name",
            "[dns]\nforwarders = [\"dns.example\"]".into(),
            &["2:15 error", "a forwarder has no name"],
        ),
        // Threat D-27 in the part that can be seen here.
        (
            "egret itself",
            "[dns]\nforwarders = [\"127.0.0.1:3128\"]".into(),
            &["2:15 error", "a listener of egret itself"],
        ),
        (
            "nobody",
            "[dns]\nforwarders = [\"0.0.0.0\"]".into(),
            &["2:15 error", "cannot be asked"],
        ),
        (
            "a zone without servers",
            zone("forwarders = []"),
            &["3:14 error", "never asked instead"],
        ),
        (
            "a zone without the key",
            zone(""),
            &["1:1 error: key `forwarders` is missing"],
        ),
        (
            "the default zone",
            zone("forwarders = [\"10.0.0.4\"]").replace("corp.example", "."),
            &["2:8 error", "`[dns]`"],
        ),
        (
            "a zone with a star",
            zone("forwarders = [\"10.0.0.4\"]").replace("corp", "*.corp"),
            &["2:8 error", "`corp.example`"],
        ),
        (
            "a zone twice",
            zone("forwarders = [\"10.0.0.4\"]\n").repeat(2),
            &["5:8 error", "there twice"],
        ),
        (
            "networks that do nothing",
            zone("forwarders = [\"10.0.0.4\"]\nnetworks = [\"10.0.0.0/8\"]"),
            &["4:12 warning", "no effect"],
        ),
        (
            "an alias with addresses",
            "[[dns.record]]\nname = \"a.example\"\na = [\"10.0.0.1\"]\ncname = \"b.example\"".into(),
            &["4:9 error", "not both"],
        ),
        (
            "a record that says nothing",
            "[[dns.record]]\nname = \"a.example\"".into(),
            &["2:8 error", "says nothing"],
        ),
        (
            "a record twice",
            "[[dns.record]]\nname = \"a.example\"\na = [\"10.0.0.1\"]\n".repeat(2),
            &["5:8 error", "twice"],
        ),
        (
            "not IPv4",
            "[[dns.record]]\nname = \"a.example\"\na = [\"fd00::1\"]".into(),
            &["3:6 error", "IPv4"],
        ),
        (
            "a try longer than all",
            "[dns]\ntry_ms = 6000".into(),
            &["2:10 error", "longer than the whole"],
        ),
        (
            "no time to connect",
            "[dns]\ntotal_ms = 9000".into(),
            &["2:12 warning", "no time to connect"],
        ),
        (
            "TTLs crossed",
            "[dns.cache]\nmin_ttl_seconds = 60\nmax_ttl_seconds = 30".into(),
            &["2:19 error", "shortest TTL"],
        ),
        (
            "the private zone forwarded alone",
            "[[dns.zone]]\nname = \"privatelink.openai.azure.com\"\nforwarders = [\"10.0.0.4\"]".into(),
            &["2:8 warning: `privatelink.openai.azure.com` is forwarded, `openai.azure.com` is not"],
        ),
    ]);
    let both = "[[dns.zone]]\nname = \"privatelink.openai.azure.com\"\nforwarders = [\"10.0.0.4\"]\n\
                [[dns.zone]]\nname = \"openai.azure.com\"\nforwarders = [\"10.0.0.4\"]";
    assert_eq!(told(both), "", "both are forwarded");
}

#[test]
fn network_and_dnat_rules_that_no_proxy_flow_is_judged_by_are_warned_of() {
    let text = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                destination_addresses = [\"*\", \"10.0.0.1-10.0.0.2\"]\ndestination_ports = [\"443\", \"8000-8100\"]\n\
                [[nat_rule_collection]]\nname = \"d\"\npriority = 100\naction = \"Dnat\"\n\
                [[nat_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\ndestination_address = \"10.0.0.1\"\n\
                destination_ports = [\"443\"]\ntranslated_address = \"10.0.0.2\"\ntranslated_port = 443\n";
    let checked = load_text(text);
    assert_eq!(checked.warnings.len(), 2);
    let collections = &checked.policy.groups[0].collections;
    let Rules::Nat(nat) = &collections[0].rules else {
        panic!("DNAT first")
    };
    let Rules::Network(network) = &collections[1].rules else {
        panic!("network next")
    };
    assert_eq!(nat[0].translated_port, 443);
    assert!(network[0].destinations.any);
    assert_eq!(network[0].destinations.addresses.len(), 2);
    let high = PortRange {
        first: 8000,
        last: 8100,
    };
    assert_eq!(network[0].destination_ports, [PortRange::one(443), high]);
    assert_eq!(collections[1].action, Action::Deny);
    check_all(&[
        (
            "a star in a network rule's name",
            text.replace(
                "destination_addresses = [\"*\"",
                "destination_fqdns = [\"*.a.example\"]\ndestination_addresses = [\"*\"",
            ),
            &["error", "`*.a.example`"],
        ),
        (
            "a port out of range",
            text.replace("8100", "81000"),
            &["error: `8000-81000` is no port"],
        ),
        (
            "no destination",
            text.replace("destination_addresses = [\"*\", \"10.0.0.1-10.0.0.2\"]\n", ""),
            &["6:8 error: rule `r` names no destination"],
        ),
        (
            "a service tag that no list holds, where the rule denies",
            text.replace("10.0.0.1-10.0.0.2", "Storage.WestEurope"),
            &[
                "error: no list holds a prefix of service tag `Storage.WestEurope`",
                "deny less",
            ],
        ),
        (
            "a name among addresses to translate to",
            text.replace(
                "translated_address = \"10.0.0.2\"",
                "translated_address = \"web.example\"",
            ),
            &["error: `web.example` is no address", "translated_fqdn"],
        ),
        (
            "translated to nothing",
            text.replace("translated_address = \"10.0.0.2\"\n", ""),
            &["error: rule `r` is translated to nothing"],
        ),
        (
            "a rule that allows and names no source on an open listener",
            format!(
                "explicit_network_rules = true\n[listeners]\nproxy = [\"0.0.0.0:3128\"]\n{}",
                text.replace("source_addresses = [\"*\"]\n", "")
                    .replace("\"Deny\"", "\"Allow\"")
            ),
            &["error: rule `r` names no source"],
        ),
    ]);
    let explicit = load_text(&format!("explicit_network_rules = true\n{text}"));
    assert!(explicit.policy.explicit_network_rules);
    assert_eq!(explicit.warnings.len(), 1, "DNAT alone is warned of");
    let udp = format!(
        "explicit_network_rules = true\n{}",
        text.replacen("\"TCP\"", "\"UDP\"", 1)
    );
    assert!(told(&udp).contains("no rule of this collection is for TCP"));
    let allowed = text
        .replace("\"Deny\"", "\"Allow\"")
        .replace("10.0.0.1-10.0.0.2", "Storage.WestEurope");
    assert!(
        told(&allowed)
            .contains("warning: no list holds a prefix of service tag `Storage.WestEurope`: it matches nothing")
    );
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
fn lists_and_service_tags_are_read_from_files_beside_the_configuration() {
    let folder = std::env::temp_dir().join(format!("egret-lists-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tags = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/service-tags.json");
    std::fs::copy(tags, folder.join("tags.json")).unwrap();
    std::fs::write(
        folder.join("bad.txt"),
        "203.0.113.9 # one\n\n*.bad.example\nbad.example\n",
    )
    .unwrap();
    let empty = r#"{"values":[{"name":"Storage.WestEurope","properties":{"addressPrefixes":[]}}]}"#;
    std::fs::write(folder.join("empty-tags.json"), empty).unwrap();
    std::fs::write(folder.join("windows.txt"), "\u{feff}198.51.100.1\r\nbad.example\r\n").unwrap();
    std::fs::write(folder.join("comments.txt"), "# nothing yet\n").unwrap();
    std::fs::write(folder.join("broken.txt"), "203.0.113.9\n203.0.113.0/33\n*\n").unwrap();
    let network = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                   [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                   destination_addresses = [\"storage.westeurope\"]\ndestination_ports = [\"443\"]\n";
    let load = |text: &str| {
        let path = folder.join("egret.toml");
        std::fs::write(&path, text).unwrap();
        super::load(&path)
    };
    let policy = load(&format!(
        "[service_tags]\nfile = \"tags.json\"\n[threat_intelligence]\nmode = \"Deny\"\nfiles = [\"bad.txt\"]\n{network}"
    ))
    .unwrap()
    .policy;
    let lists = &policy.threat_intelligence;
    assert_eq!((lists.addresses.len(), lists.fqdns.len()), (1, 2));
    let Rules::Network(rules) = &policy.groups[0].collections[0].rules else {
        panic!("a network collection")
    };
    let [tag] = &rules[0].destinations.service_tags[..] else {
        panic!("{:?}", rules[0])
    };
    assert_eq!((&*tag.name, tag.prefixes.len()), ("Storage.WestEurope", 1));
    for (text, wanted) in [
        (
            "[threat_intelligence]\nfiles = [\"broken.txt\"]\n",
            "broken.txt:2: `203.0.113.0/33` is no address, prefix or name",
        ),
        (
            "[threat_intelligence]\nfiles = [\"broken.txt\"]\n",
            "broken.txt:3: `*` is no address, prefix or name",
        ),
        ("[threat_intelligence]\nfiles = [\"gone.txt\"]\n", "cannot be read"),
        ("[service_tags]\nfile = \"bad.txt\"\n", "is not a list of service tags"),
        (
            &format!("[service_tags]\nfile = \"empty-tags.json\"\n{network}"),
            "no list holds a prefix of service tag `storage.westeurope`: this rule would deny less than it says",
        ),
    ] {
        let problems = load(text).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted}: {told:?}");
    }
    let windows = load("[threat_intelligence]\nfiles = [\"windows.txt\"]\n").unwrap();
    let lists = windows.policy.threat_intelligence;
    assert_eq!((lists.addresses.len(), lists.fqdns.len()), (1, 1), "a BOM and CRLF");
    for text in ["files = [\"comments.txt\"]", "mode = \"Deny\""] {
        let empty = load(&format!("[threat_intelligence]\n{text}\n")).unwrap().warnings;
        assert!(
            empty
                .iter()
                .any(|warning| warning.found.contains("nothing is ever hit")),
            "{text}"
        );
    }
    let off = load("[threat_intelligence]\nmode = \"Off\"\nfiles = [\"broken.txt\"]\n").unwrap();
    assert_eq!(off.warnings.len(), 0, "what is off is not read");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Azure's rules know IPv4 alone, so that `0.0.0.0/0` is all there is.
#[test]
fn what_denies_all_of_ipv4_denies_ipv6_and_what_allows_it_does_not() {
    let text = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\n\
                source_addresses = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\ndestination_addresses = [\"0.0.0.0/0\"]\n\
                destination_ports = [\"443\"]\n";
    let everywhere = |text: &str| {
        let policy = load_text(text).policy;
        let Rules::Network(rules) = &policy.groups[0].collections[0].rules else {
            panic!("a network collection")
        };
        (
            rules[0].destinations.any,
            rules[0].sources == Sources::Any { written: true },
        )
    };
    assert_eq!(everywhere(text), (true, true));
    assert_eq!(everywhere(&text.replace("Deny", "Allow")), (false, false));
    assert_eq!(
        everywhere(&text.replace("\"0.0.0.0/0\"", "\"0.0.0.0/1\"")),
        (false, true)
    );
    check_all(&[(
        "said once for sources, once for destinations",
        text.into(),
        &[
            "6:8 warning: rule `r` denies all of IPv4: IPv6 is denied with it",
            "`*` says the same",
        ],
    )]);
    assert!(
        !told(
            &text
                .replace("0.0.0.0/0\"", "0.0.0.0/0\", \"::/0\"")
                .replace("\"0.0.0.0/1\", \"128.0.0.0/1\"", "\"*\"")
        )
        .contains("IPv6")
    );
    let applications =
        rule("source_addresses = [\"0.0.0.0/0\"]\ndestination_fqdns = [\"a.example\"]").replace("Allow", "Deny");
    let Rules::Application(rules) = &load_text(&applications).policy.groups[0].collections[0].rules else {
        panic!("an application collection")
    };
    assert_eq!(rules[0].sources, Sources::Any { written: true });
}

#[test]
fn a_network_rule_without_a_port_or_protocol_is_told_of() {
    let text = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                destination_addresses = [\"10.0.0.0/8\"]\ndestination_ports = [\"443\"]\n";
    check_all(&[
        (
            "no port",
            text.replace("[\"443\"]", "[]"),
            &["10:21 warning: rule `r` has no port: it never matches"],
        ),
        (
            "no protocol",
            text.replace("[\"TCP\"]", "[]"),
            &["6:8 warning: rule `r` has no protocol: it never matches"],
        ),
    ]);
}

/// The wider a denial, the safer.
#[test]
fn a_star_in_a_rule_that_denies_is_not_wide() {
    let lines = "source_addresses = [\"*\"]\ndestination_fqdns = [\"*openai.azure.com\", \"*.openai.azure.com\", \"*\"]\n\
                 destination_fqdn_tags = [\"AzureOpenAI\"]";
    let denies = rule(lines).replace("action = \"Allow\"", "action = \"Deny\"");
    assert!(!told(&denies).contains("tenant"), "{}", told(&denies));
    let Rules::Application(rules) = &load_text(&denies).policy.groups[0].collections[0].rules else {
        panic!("an application collection")
    };
    assert!(rules[0].targets.iter().all(|target| !target.wide));
    let both = denies
        + &rule("source_addresses = [\"*\"]\ndestination_fqdn_tags = [\"AzureOpenAI\"]")
            .replace("name = \"c\"\npriority = 100", "name = \"d\"\npriority = 200");
    assert!(
        told(&both).contains("tag `AzureOpenAI` is not bound"),
        "{}",
        told(&both)
    );
}

#[test]
fn audit_is_global_or_a_collection_s() {
    let text = rule("destination_fqdns = [\"a.example\"]");
    assert_eq!(load_text(&format!("mode = \"audit\"\n{text}")).policy.mode, Mode::Audit);
    let one = load_text(&text.replace("priority = 100", "priority = 100\nmode = \"audit\"")).policy;
    assert_eq!(
        (one.mode, one.groups[0].collections[0].mode),
        (Mode::Enforce, Mode::Audit)
    );
    let both = format!(
        "mode = \"audit\"\n{}",
        text.replace("priority = 100", "priority = 100\nmode = \"enforce\"")
    );
    assert!(told(&both).contains("5:8 warning: `enforce` has no effect"));
    let trial = text
        .replace("priority = 100", "priority = 100\nmode = \"audit\"")
        .replace("Allow", "Deny");
    assert_eq!(load_text(&trial).policy.groups[0].collections[0].mode, Mode::Audit);
}

#[test]
fn overrides() {
    let entry = |from: &str, to: &str| format!("[[dial.override]]\nfrom = \"{from}\"\nto = \"{to}\"");
    for (from, net, port) in [
        ("10.1.0.0/16:443", "10.1.0.0/16", Some(443)),
        ("203.0.113.5:*", "203.0.113.5/32", None),
        ("[fd00::]/8:443", "fd00::/8", Some(443)),
        ("[::1]:*", "::1/128", None),
    ] {
        let checked = load_text(&entry(from, "127.0.0.1:18443"));
        let wanted = DialOverride {
            from: net.parse().unwrap(),
            port,
            to: "127.0.0.1:18443".parse().unwrap(),
        };
        assert_eq!(checked.overrides, [wanted], "{from}");
    }
    check_all(&[
        (
            "no port",
            entry("10.1.0.0/16", "127.0.0.1:1"),
            &["2:8 error", "no prefix with a port"],
        ),
        ("a range", entry("10.1.0.0-10.1.0.9:443", "127.0.0.1:1"), &["2:8 error"]),
        ("no target port", entry("10.1.0.0/16:443", "127.0.0.1"), &["3:6 error"]),
    ]);
}

#[test]
fn private_endpoints_may_be_asked_of_one_tag() {
    let text = rule("destination_fqdns = [\"a.example.com\"]\ndestination_fqdn_tags = [\"AzureOpenAI\"]");
    let bound = "[fqdn_tag.AzureOpenAI]\nresource = [\"contoso-ai\"]\n[private_endpoints.tags]\n";
    let checked = load_text(&format!("{bound}AzureOpenAI = \"require\"\n{text}"));
    let tagged: Vec<_> = checked
        .addresses
        .tagged
        .iter()
        .map(|(p, mode)| (p.to_string(), *mode))
        .collect();
    assert_eq!(
        tagged,
        [(
            "contoso-ai.openai.azure.com".to_string(),
            crate::policy::PrivateEndpoints::Require
        )]
    );
    let checked = load_text(&format!("{bound}EntraID = \"require\"\n{text}"));
    assert_eq!(checked.addresses.tagged, []);
    assert!(
        checked.warnings[0]
            .found
            .contains("no rule names the FQDN tag `EntraID`"),
        "{:?}",
        checked.warnings
    );
}

#[test]
fn the_hash_is_that_of_sha256sum() {
    // printf 'mode = "enforce"\n' | sha256sum
    assert_eq!(&*load_text("mode = \"enforce\"\n").hash, "1d946079cd9eaafc");
}

#[test]
fn f_12_a_file_over_64_mib_is_refused_before_it_is_read_whole() {
    let path = std::env::temp_dir().join(format!("egret-large-{}.toml", std::process::id()));
    fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let problems = load(&path).expect_err("too large");
    fs::remove_file(&path).unwrap();
    assert!(problems[0].found.contains("larger than 64 MiB"));
}

#[test]
fn f_12_a_hundred_thousand_names_load() {
    let names: Vec<String> = (0..100_000)
        .map(|n| format!("\"n{n}.d{}.example.com\",\n", n % 100))
        .collect();
    let text = rule(&format!("destination_fqdns = [\n{}]", names.concat()));
    let warnings = load_text(&text).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].found.contains("fit egret, and not Azure Firewall"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is cut out of a file or doubled in it: every problem has its place, and nothing panics.
    #[test]
    fn a_mangled_file_is_told_of_or_loads(
        name in select(vec!["whole.toml", "dubious.toml", "problems.toml", "explain.toml"]),
        from in 0_usize..3000,
        length in 0_usize..400,
        doubled: bool,
    ) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(name);
        let bytes = fs::read(path).unwrap();
        let from = from.min(bytes.len());
        let to = (from + length).min(bytes.len());
        let part = if doubled { &bytes[from..to] } else { &[] };
        let mangled = [&bytes[..from], part, part, &bytes[to..]].concat();
        let lines = mangled.split(|byte| *byte == b'\n').count();
        if let Err(problems) = from_bytes("t.toml", mangled) {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            // How many more there are than are shown is of no one place.
            let placed = problems.iter().filter(|problem| !problem.found.ends_with("not shown"));
            for problem in placed {
                prop_assert!((1..=lines).contains(&(problem.line as usize)), "{}", problem);
            }
        }
    }
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
    check_all(&[
        (
            "taken by a wider one",
            both,
            &[
                "16:8 warning",
                "`default/second/r` never matches",
                "`default/first/r`, so what it denies is allowed",
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

#[test]
fn answers_kept_longer_than_by_azure_firewall_are_told_of() {
    assert_eq!(
        told("[dns.cache]\nmax_ttl_seconds = 3600\nnegative_ttl_seconds = 1800")
            .matches("longer than by Azure")
            .count(),
        0
    );
    let over = told("[dns.cache]\nmax_ttl_seconds = 3601\nnegative_ttl_seconds = 1801");
    assert_eq!(over.matches("longer than by Azure").count(), 2, "{over}");
}

#[test]
fn what_fits_egret_and_not_azure_firewall_is_told_of_at_the_limit_and_not_below() {
    let warned = |text: &str| told(text).matches("fit egret, and not Azure Firewall").count();
    let groups = |number: u32| -> String {
        let group = |i| format!("[[rule_collection_group]]\nname = \"g{i}\"\npriority = {}\n", 100 + i);
        (0..number).map(group).collect()
    };
    let ip_group = |entries: u32| {
        let entry = |i: u32| format!("\"10.{}.{}.0/24\"", i / 256, i % 256);
        format!(
            "[ip_groups]\nmany = [{}]\n",
            (0..entries).map(entry).collect::<Vec<_>>().join(", ")
        )
    };
    let ip_groups = |number: u32| {
        let group = |i| format!("g{i} = [\"10.0.0.0/8\"]\n");
        format!("[ip_groups]\n{}", (0..number).map(group).collect::<String>())
    };
    let network = |sources: u32, destinations: u32, fqdns: u32| {
        let list = |number: u32, net: u32| {
            let entries = (0..number).map(|i| format!("\"10.{net}.{}.{}\"", i / 256, i % 256));
            entries.collect::<Vec<_>>().join(", ")
        };
        let names = (0..fqdns)
            .map(|i| format!("\"n{i}.example\""))
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "[[network_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n[[network_rule_collection.rule]]\n\
             name = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [{}]\ndestination_addresses = [{}]\n\
             destination_fqdns = [{names}]\ndestination_ports = [\"443\"]\n",
            list(sources, 1),
            list(destinations, 2)
        )
    };
    let group_of = |bytes: usize| {
        let name = |i: usize| format!("\"{}{i:07}.example\"", "n".repeat(45));
        let names = (0..bytes / 60).map(name).collect::<Vec<_>>().join(",\n");
        format!(
            "[[rule_collection_group]]\nname = \"g\"\npriority = 100\n[[rule_collection_group.application_rule_collection]]\n\
             name = \"c\"\npriority = 100\naction = \"Allow\"\n[[rule_collection_group.application_rule_collection.rule]]\n\
             name = \"r\"\ndestination_fqdns = [{names}]\n"
        )
    };
    let implicit = |bytes| {
        let text = group_of(bytes).replace("rule_collection_group.", "");
        text.replace("[[rule_collection_group]]\nname = \"g\"\npriority = 100\n", "")
    };
    // One address, and so many ports of it.
    let dnat = |ports: u32| {
        let ports: Vec<String> = (1..=ports).map(|port| format!("\"{port}\"")).collect();
        format!(
            "[[nat_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Dnat\"\n[[nat_rule_collection.rule]]\n\
             name = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\ndestination_address = \"20.1.1.1\"\n\
             destination_ports = [{}]\ntranslated_address = \"10.0.0.4\"\ntranslated_port = 443\n",
            ports.join(", ")
        )
    };
    for (why, fits, does_not) in [
        ("groups of a policy", groups(60), groups(61)),
        ("entries of an IP group", ip_group(5_000), ip_group(5_001)),
        ("IP groups", ip_groups(200), ip_groups(201)),
        ("pairs of ends", network(100, 200, 0), network(101, 200, 0)),
        ("FQDNs of network rules", network(1, 1, 1_000), network(1, 1, 1_001)),
        ("bytes of a group", group_of(2_090_000), group_of(2_110_000)),
        (
            "groups and the implicit one",
            groups(59) + &network(1, 1, 1),
            groups(60) + &network(1, 1, 1),
        ),
        ("bytes of the implicit group", implicit(2_090_000), implicit(2_110_000)),
        ("destinations of DNAT rules", dnat(249), dnat(250)),
    ] {
        assert_eq!((warned(&fits), warned(&does_not)), (0, 1), "{why}");
    }
}
