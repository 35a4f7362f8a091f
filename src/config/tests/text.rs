//! A file as a text: what editors leave behind, what cannot be read, and how a problem is shown.

use super::*;

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
