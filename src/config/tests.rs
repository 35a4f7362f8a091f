mod names;
mod network;
mod order;
mod settings;
mod text;

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
        Sources::from(vec!["10.1.0.0/16".parse().unwrap(), "10.2.0.0/16".parse().unwrap()])
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
