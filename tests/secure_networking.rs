//! `docs/secure-networking.md` names attempts of the lab as `scenario / attempt`: each of them exists, each shipped scenario
//! is named, and every recommendation says what shows it.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `scenario / attempt` of a text, in code spans that may be broken over two lines.
fn shown_by(text: &str) -> Vec<(String, String)> {
    let text = text.replace('\n', " ");
    let spans = text.split('`').skip(1).step_by(2);
    let named = spans.filter_map(|span| span.split_once(" / "));
    named
        .map(|(scenario, attempt)| (scenario.to_owned(), attempt.to_owned()))
        .filter(|(scenario, _)| scenario != "scenario")
        .collect()
}

/// Names of the attempts of a scenario that the binary ships.
fn attempts(scenario: &str) -> BTreeSet<String> {
    let text = read(&format!("src/lab/scenarios/{scenario}.toml"));
    let table: toml::Table = text.parse().expect("a scenario is TOML");
    let attempts = table["attempt"].as_array().expect("a scenario has attempts");
    let names = attempts
        .iter()
        .map(|attempt| attempt["name"].as_str().expect("a name").to_owned());
    names.collect()
}

/// Names of the scenarios that the binary ships.
fn shipped() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lab/scenarios");
    let files = fs::read_dir(folder)
        .expect("the scenarios")
        .map(|entry| entry.expect("a file").path());
    files
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_attempt_that_is_named_exists() {
    let page = read("docs/secure-networking.md");
    let named = shown_by(&page);
    assert!(named.len() > 20, "{} attempts named", named.len());
    let scenarios: BTreeSet<&str> = named.iter().map(|(scenario, _)| scenario.as_str()).collect();
    assert_eq!(
        scenarios,
        shipped().iter().map(String::as_str).collect(),
        "each scenario shows something"
    );
    for (scenario, attempt) in &named {
        assert!(
            attempts(scenario).contains(attempt),
            "no attempt `{scenario} / {attempt}`"
        );
    }
}

#[test]
fn every_recommendation_says_its_source_what_shows_it_and_where_it_ends() {
    let page = read("docs/secure-networking.md");
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 10, "the recommendations of the page");
    for section in sections {
        let title = section.lines().next().expect("a title");
        for part in ["**Guidance.**", "`/azure/", "**Here.**", "**Shown by**", "**Limit.**"] {
            assert!(section.contains(part), "{title}: no {part}");
        }
        let (_, rest) = section.split_once("**Shown by**").expect("asserted");
        let (shown, _) = rest.split_once("**Limit.**").expect("in this order");
        let honest = shown.trim() == "nothing.";
        assert_ne!(honest, !shown_by(shown).is_empty(), "{title}: {shown}");
        // The table at the head leads here.
        let number = title.split('.').next().expect("a number");
        assert!(page.contains(&format!("| [{number}. ")), "{title} is not in the table");
    }
}
