//! What the README and the docs promise a reader who copies from them: configurations load, command lines parse, links lead
//! somewhere.

use clap::{Parser, error::ErrorKind};
use egret::{
    catalogue::{Catalogue, EndpointProtocol},
    cli::Cli,
    config,
    policy::{Fqdn, FqdnPattern},
};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// README.md first, then docs/*.md: path and text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).expect("docs/");
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.expect("an entry of docs/").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    paths.insert(0, root.join("README.md"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a page is UTF-8");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The fenced blocks of a page, each with the language it names, and the text around them.
fn blocks(page: &str) -> (Vec<(&str, String)>, String) {
    let (mut found, mut around) = (Vec::new(), String::new());
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        open = match (open, fence) {
            (None, Some(language)) => Some((language, String::new())),
            (None, None) => {
                around += line;
                around += "\n";
                None
            }
            (Some(block), Some(_)) => {
                found.push(block);
                None
            }
            (Some((language, block)), None) => Some((language, block + line + "\n")),
        };
    }
    assert!(open.is_none(), "a block is not closed");
    (found, around)
}

#[test]
fn every_configuration_loads() {
    for (path, text) in pages() {
        let blocks = blocks(&text).0;
        // A block with a title is a scenario of the lab, which the lab's own tests play; one with a tag is tried below;
        // policy tests are held against their configuration in `tests/expect.rs`.
        let configs = blocks.iter().filter(|(language, block)| {
            let other = ["title", "tag", "# Policy tests"];
            *language == "toml" && !other.iter().any(|start| block.starts_with(start))
        });
        for (_, block) in configs {
            // As if it stood beside the files that it names.
            let checked = config::from_text("tests/data/docs/block", block);
            let said = |problems: &[config::Problem]| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                format!("{}:\n{}", path.display(), lines.join("\n"))
            };
            let checked = checked.unwrap_or_else(|problems| panic!("{}", said(&problems)));
            let readme = path.ends_with("README.md");
            assert!(!readme || checked.warnings.is_empty(), "{}", said(&checked.warnings));
        }
    }
}

#[test]
fn every_tag_file_loads() {
    let mut seen = 0;
    for (path, text) in pages() {
        let blocks = blocks(&text).0;
        for (_, block) in blocks
            .iter()
            .filter(|(language, block)| *language == "toml" && block.starts_with("tag"))
        {
            let folder = std::env::temp_dir().join(format!("egret-docs-{}-{seen}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("own.toml"), block).unwrap();
            let loaded = Catalogue::load(&folder);
            fs::remove_dir_all(&folder).unwrap();
            loaded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            seen += 1;
        }
    }
    assert!(seen > 0, "no tag file found");
}

/// The tables of docs/wildcards.md: the first word of the heading row, and the cells of each row, without their quotes.
fn tables() -> Vec<(String, Vec<Vec<String>>)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/wildcards.md")).unwrap();
    let mut tables: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let Some(row) = line.strip_prefix("| ") else {
            inside &= line.starts_with('|');
            continue;
        };
        let cells: Vec<String> = row
            .trim_end_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().replace('`', ""))
            .collect();
        if inside {
            tables.last_mut().expect("a heading came first").1.push(cells);
        } else {
            tables.push((cells.join(" "), Vec::new()));
            inside = true;
        }
    }
    tables
}

/// The rows under this heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let found = tables().into_iter().find(|(head, _)| head == heading);
    found
        .unwrap_or_else(|| panic!("docs/wildcards.md has a table `{heading}`"))
        .1
}

#[test]
fn wildcards_admit_what_the_page_says() {
    let rows = table("pattern name admitted");
    assert!(rows.len() > 10);
    for row in rows {
        let (pattern, name) = (FqdnPattern::parse(&row[0]).unwrap(), Fqdn::parse(&row[1]).unwrap());
        assert_eq!(if pattern.matches(&name) { "yes" } else { "no" }, row[2], "{row:?}");
    }
    let rows = table("pattern shared suffix");
    assert!(rows.len() > 10);
    for row in rows {
        let pattern = FqdnPattern::parse(&row[0]).unwrap();
        assert_eq!(
            Catalogue::embedded().multi_tenant(&pattern).unwrap_or("none"),
            row[1],
            "{row:?}"
        );
    }
}

#[test]
fn the_page_lists_every_wildcard_that_a_bound_tag_drops() {
    let mut told = BTreeSet::new();
    for row in table("tag documented star name instead") {
        told.extend(row[1].split(", ").map(|star| (row[0].clone(), star.to_owned())));
    }
    let catalogue = Catalogue::embedded();
    let mut dropped = BTreeSet::new();
    for tag in catalogue.tags().filter(|tag| tag.placeholder().is_some()) {
        for endpoint in tag
            .endpoints()
            .iter()
            .filter(|endpoint| endpoint.placeholders().next().is_none())
        {
            let http = matches!(endpoint.protocol, EndpointProtocol::Https | EndpointProtocol::Http);
            let shared = FqdnPattern::parse(&endpoint.pattern()).is_ok_and(|p| catalogue.multi_tenant(&p).is_some());
            if http && shared {
                dropped.insert((tag.name().to_owned(), endpoint.pattern()));
            }
        }
    }
    assert_eq!(told, dropped);
}

#[test]
fn every_command_line_parses() {
    let mut seen = 0;
    for (path, text) in pages() {
        let (blocks, around) = blocks(&text);
        let shown = blocks
            .iter()
            .filter(|(language, _)| matches!(*language, "console" | "sh"))
            .flat_map(|(_, block)| block.lines())
            .filter_map(|line| line.trim_start_matches("$ ").split('#').next())
            .map(|line| {
                line.trim_end()
                    .trim_end_matches('&')
                    .replace("cargo run --release -- ", "egret ")
            });
        let inline = around.split('`').skip(1).step_by(2).map(str::to_owned);
        let lines = shown
            .chain(inline)
            .filter(|line| line.starts_with("egret "))
            .filter_map(|line| line.split(['>', '|']).next().map(str::to_owned));
        // `egret check FILE...` and the like name what is to be put in.
        for line in lines.filter(|line| !line.contains("...")) {
            seen += 1;
            if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
                // `--help`, or a command that is spoken of by its name alone.
                let fine = !error.use_stderr()
                    || (error.kind() == ErrorKind::MissingRequiredArgument && line.split_whitespace().count() == 2);
                assert!(fine, "{}: {line}\n{error}", path.display());
            }
        }
    }
    assert!(seen > 5, "{seen} command lines found");
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in pages() {
        let around = blocks(&text).1;
        let targets = around.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or(target);
            let folder = path.parent().expect("a page is in a folder");
            assert!(folder.join(file).exists(), "{}: {target}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_to_fill_in() {
    let readme = &pages()[0].1;
    for left in ["LAB-TABLE", "CONFIG\n", "TODO"] {
        assert!(!readme.contains(left), "{left}");
    }
    let corpus = env!("CARGO_MANIFEST_DIR").to_owned() + "/tests/data/clienthellos";
    let count = |folder: &str| {
        let files = fs::read_dir(format!("{corpus}/{folder}")).expect("the corpus");
        let names = files.map(|file| file.expect("a file of the corpus").path());
        names
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .count()
    };
    let (real, all) = (count("real"), count("real") + count("derived"));
    let said = format!("{all} ClientHellos, {real} of them captured");
    assert!(readme.contains(&said), "README.md does not say `{said}`");
}

/// Every row of the tables names tests in its last column, and each of them is a function of this repository.
#[test]
fn each_point_of_azure_firewall_md_is_held_by_tests_that_exist() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                code += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let page = fs::read_to_string(root.join("docs/azure-firewall.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let points = rows.filter(|line| !line.starts_with("| subject ")).collect::<Vec<_>>();
    assert!(points.len() > 30, "{} points", points.len());
    for point in points {
        let last = point.trim_end_matches(" |").rsplit("| ").next().unwrap();
        let tests: Vec<_> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test holds: {point}");
        for test in tests {
            assert!(
                code.contains(&format!("fn {test}(")),
                "there is no test {test}: {point}"
            );
        }
    }
}
