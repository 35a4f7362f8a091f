//! Every row of the catalogue of threats is a test or says why it waits.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// `fn c_35_bytes_behind_the_head...` -> `C-35`; `fn c_13_c_15_...` names two.
fn ids_in(name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut parts = name.split('_');
    while let (Some(group), Some(number)) = (parts.next(), parts.next()) {
        if group.len() != 1 || number.len() != 2 || !number.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        ids.push(format!("{}-{number}", group.to_ascii_uppercase()));
    }
    ids
}

fn tested() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    sources(&root.join("src"), &mut texts);
    sources(&root.join("tests"), &mut texts);
    let names = texts
        .iter()
        .flat_map(|text| text.split("fn ").skip(1))
        .map(|rest| rest.split('(').next().unwrap());
    names.flat_map(ids_in).collect()
}

fn waiting() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threats.md")).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter(|row| row.as_bytes()[1] == b'-');
    rows.map(|row| {
        let (id, why) = row.split_once(" | ").unwrap();
        assert!(why.trim_end_matches(" |").len() > 10, "{id} waits without a reason");
        id.to_string()
    })
    .collect()
}

#[test]
fn every_threat_is_a_test_or_says_why_it_waits() {
    let all: BTreeSet<String> = include_str!("data/threat-ids.txt").lines().map(String::from).collect();
    assert_eq!(all.len(), 243);
    let (tested, waiting) = (tested(), waiting());
    let open: Vec<_> = all
        .iter()
        .filter(|id| !tested.contains(*id) && !waiting.contains(*id))
        .collect();
    assert!(open.is_empty(), "neither tested nor waiting: {open:?}");
    let both: Vec<_> = tested.intersection(&waiting).collect();
    assert!(both.is_empty(), "tested, and said to wait: {both:?}");
    let unknown: Vec<_> = waiting.difference(&all).collect();
    assert!(unknown.is_empty(), "no such row: {unknown:?}");
}

#[test]
fn the_name_of_a_test_may_carry_several_ids() {
    assert_eq!(ids_in("c_13_brackets_do_not_hide_a_name"), ["C-13"]);
    assert_eq!(ids_in("c_13_n_15_both"), ["C-13", "N-15"]);
    assert!(ids_in("a_name_without_any").is_empty());
}
