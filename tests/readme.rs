//! What the README and the docs promise a reader who copies from them: configurations load, command lines parse, links lead
//! somewhere.

use clap::{Parser, error::ErrorKind};
use egret::{cli::Cli, config};
use std::{fs, path::PathBuf};

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
        // A block with a title is a scenario of the lab, which the lab's own tests play.
        let configs = blocks
            .iter()
            .filter(|(language, block)| *language == "toml" && !block.starts_with("title"));
        for (_, block) in configs {
            let checked = config::from_text("block", block);
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
