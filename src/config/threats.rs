//! `[threat_intelligence]`: its lists are read here, one address, prefix or name a line.

use super::{
    at::{At, Span},
    file,
    problem::{Finding, Report},
    read,
    sources::networks,
    targets,
};
use crate::nets;
use crate::policy::{FqdnPattern, ThreatIntelligence, ThreatMode};
use ipnet::IpNet;
use std::path::{Path, PathBuf};

/// Most entries of all lists together: about 100 MB of memory.
const MOST_ENTRIES: usize = 1_000_000;

/// Bad lines of one list that are told of; a file that is no list at all has thousands.
const MOST_TOLD: usize = 5;

/// The lists, or every line that is none of an address, a prefix and a name.
pub(super) fn lists(written: &file::ThreatIntelligence, base: &Path, report: &mut Report) -> ThreatIntelligence {
    let mode = match written.mode.unwrap_or_default() {
        file::ThreatMode::Off => ThreatMode::Off,
        file::ThreatMode::Alert => ThreatMode::Alert,
        file::ThreatMode::Deny => ThreatMode::Deny,
    };
    let mut lists = ThreatIntelligence {
        mode,
        allowed_addresses: networks(&written.allowlist.ip_addresses, report),
        ..ThreatIntelligence::default()
    };
    let names = written.allowlist.fqdns.iter().flat_map(|list| list.iter());
    lists.allowed_fqdns = names.filter_map(|text| targets::pattern(text, report)).collect();
    // What is off is not read: a list that is broken can be switched off.
    if mode == ThreatMode::Off {
        return lists;
    }
    let errors = report.errors();
    for file in written.files.iter().flat_map(|list| list.iter()) {
        add(&mut lists, file, base, report);
    }
    let on = written.mode.is_some() || written.files.is_some();
    if on && lists.addresses.is_empty() && lists.fqdns.is_empty() && report.errors() == errors {
        let span = written.files.as_ref().map_or(Span::default(), |files| files.span);
        let found = format!("threat intelligence is on (`{mode:?}`), and its lists are empty: nothing is ever hit");
        report.add(
            Finding::warning(span, found).hint("`files` names the lists; `mode = \"Off\"` says that none are meant"),
        );
    }
    lists
}

/// Whether lists hold anything but blanks and comments. One that cannot be read may: it is an error where it is used.
pub(super) fn say_something(files: &[PathBuf]) -> bool {
    let entry = |line: &str| !line.split('#').next().unwrap_or_default().trim().is_empty();
    let says = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').lines().any(entry),
        Err(_) => true,
    };
    files.iter().any(|path| read(path).map_or(true, says))
}

fn add(lists: &mut ThreatIntelligence, file: &At<String>, base: &Path, report: &mut Report) {
    let path = base.join(file.as_str());
    let text = match read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            report.add(Finding::error(file.span, format!("{} is not UTF-8", path.display())));
            return;
        }
        Err(problems) => {
            let faults = problems.into_iter().map(|problem| problem.one_line());
            let finding = Finding::error(file.span, faults.collect::<String>());
            report.add(finding.hint("a relative file is looked for beside this one"));
            return;
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut bad = 0;
    for (number, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match parse(entry) {
            Some(Entry::Nets(nets)) => lists.addresses.extend(nets),
            Some(Entry::Name(pattern)) => lists.fqdns.push(pattern),
            None => {
                bad += 1;
                if bad <= MOST_TOLD {
                    report.add(bad_line(file, &path, number + 1, entry));
                }
            }
        }
        if lists.addresses.len() + lists.fqdns.len() > MOST_ENTRIES {
            let found = format!("the lists hold more than {MOST_ENTRIES} entries");
            report.add(Finding::error(file.span, found).hint("prefixes take the place of many addresses"));
            return;
        }
    }
    if bad > MOST_TOLD {
        let found = format!("{}: {} more bad lines", path.display(), bad - MOST_TOLD);
        report.add(Finding::error(file.span, found));
    }
}

fn bad_line(file: &At<String>, path: &Path, number: usize, entry: &str) -> Finding {
    let shown: String = entry.chars().take(60).collect();
    let found = format!("{}:{number}: `{shown}` is no address, prefix or name", path.display());
    Finding::error(file.span, found).expected("`203.0.113.5`, `203.0.113.0/24`, `bad.example` or `*.bad.example`")
}

/// One line of a list.
enum Entry {
    Nets(Vec<IpNet>),
    Name(FqdnPattern),
}

/// A star alone would list every name: no list means that.
fn parse(entry: &str) -> Option<Entry> {
    if let Ok(found) = nets::nets(entry) {
        return Some(Entry::Nets(found.nets));
    }
    let pattern = FqdnPattern::parse(entry).ok()?;
    (pattern != FqdnPattern::Any).then_some(Entry::Name(pattern))
}
