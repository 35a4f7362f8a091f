//! Names and patterns of rules: what they mean, and what is refused.

use super::*;

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
