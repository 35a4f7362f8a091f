//! `[policy] azure_firewall`: a policy in JSON goes on where the file ends.
//!
//! The JSON becomes TOML ([`crate::import`]), and that TOML is checked like any other: as if it stood behind the text of the
//! file. What is wrong in it is told with the place in the JSON that it was made of.

use super::{
    Checked, MAX_FILE_BYTES,
    at::At,
    checked, file,
    file::FileConfig,
    fingerprint, parse,
    problem::{Finding, Problem, Report, Severity},
    read, read_most,
};
use crate::{
    import::{self, ImportFault, ImportReport, MAX_IMPORT_BYTES, Origins, Outcome},
    policy::ServiceTags,
};
use std::path::{Path, PathBuf};

/// Most parts that are told of at start; the report of `egret import` holds all.
const MOST_NOTES: usize = 100;

impl From<&ImportFault> for Problem {
    fn from(fault: &ImportFault) -> Self {
        Self {
            line: fault.line,
            column: fault.column,
            key: fault.path.clone(),
            ..Self::unplaced(fault.file.clone(), fault.found.clone(), fault.hint.clone())
        }
    }
}

/// The files that a configuration draws its policy from, the parameters file last; none if it names none.
pub(super) fn sources(file: &FileConfig, base: &Path) -> Vec<PathBuf> {
    let written = file.policy.azure_firewall.iter().flat_map(|list| list.iter());
    let files = written.chain(&file.policy.parameters);
    files.map(|path| base.join(path.as_str())).collect()
}

/// Checks a file that names policies in JSON. `written`: the file, whose structure is in `file` and `report` already.
pub(super) fn with_policy(
    name: &str,
    written: &str,
    mut file: FileConfig,
    mut report: Report,
) -> Result<Checked, Vec<Problem>> {
    let text = written.strip_prefix('\u{feff}').unwrap_or(written);
    let base = Path::new(name).parent().unwrap_or(Path::new(""));
    let paths = sources(&file, base);
    let mut loaded = Vec::with_capacity(paths.len());
    let mut hashed = written.as_bytes().to_vec();
    let mut problems = Vec::new();
    let mut left = MAX_IMPORT_BYTES;
    for path in &paths {
        match read_policy(path, &mut left) {
            Ok(bytes) => {
                hashed.extend_from_slice(&bytes);
                loaded.push((path.display().to_string(), bytes));
            }
            Err(faults) => problems.extend(faults),
        }
    }
    let hash = fingerprint(&hashed);
    drop(hashed);
    let parameters = file.policy.parameters.as_ref().and_then(|_| loaded.pop());
    let mut options = options(&file, base);
    if let Some(written) = &file.service_tags.file {
        match service_tags(&base.join(written.as_str())) {
            Ok(tags) => options.service_tags = Some((written.value.clone(), tags)),
            Err(faults) => problems.extend(faults),
        }
    }
    let imported = match problems.is_empty() {
        true => import::azure_firewall(&loaded, parameters.as_ref(), &options)
            .map_err(|faults| faults.iter().map(Problem::from).collect::<Vec<_>>()),
        false => Err(problems),
    };
    // What is read is not needed any more, and what is made of it takes memory too.
    drop((loaded, parameters));
    let imported = match imported {
        Ok(imported) => imported,
        Err(problems) => {
            let mut all = report.problems(&name.into(), Some(text));
            all.extend(problems);
            return Err(all);
        }
    };
    // Spans of the rest are those it would have behind the text, so that one report serves both.
    let mut whole = " ".repeat(text.len()) + "\n" + &imported.toml;
    drop(imported.toml);
    if whole.len() as u64 > MAX_FILE_BYTES {
        let found = "the file and the policies that it names come to more than 64 MiB of rules";
        return Err(vec![Problem::unplaced(name, found, "")]);
    }
    if let Some(mut more) = parse::<FileConfig>(&whole, super::NO_POLICY, &mut report) {
        denied_by_name(&file, &mut more, &mut report);
        join(&mut file, more, &mut report);
    }
    whole.replace_range(..text.len(), text);
    let lines = u32::try_from(text.matches('\n').count())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let placed = |problems: Vec<Problem>| -> Vec<Problem> {
        let placed = problems
            .into_iter()
            .map(|problem| in_json(problem, lines, &imported.origins));
        placed.collect()
    };
    match checked(&name.into(), Some(&whole), Some(&file), hash, report) {
        Ok(mut checked) => {
            let own = std::mem::take(&mut checked.warnings);
            checked.warnings = notes(&imported.report);
            checked.warnings.extend(placed(own));
            checked.sources = paths;
            Ok(checked)
        }
        Err(problems) => Err(placed(problems)),
    }
}

/// The bytes of a file of a policy: all of them together are bounded, as what is made of them is.
pub(crate) fn read_policy(path: &Path, left: &mut u64) -> Result<Vec<u8>, Vec<Problem>> {
    let bytes = read_most(path, *left, import::TOO_LARGE)?;
    *left -= bytes.len() as u64;
    Ok(bytes)
}

/// The service tags of a file. Fails with what is wrong with it.
pub fn service_tags(path: &Path) -> Result<ServiceTags, Vec<Problem>> {
    let parsed = ServiceTags::parse(&read(path)?);
    parsed.map_err(|error| vec![Problem::unplaced(path.display().to_string(), error.to_string(), "")])
}

/// Why lists of threat intelligence do not stand for Microsoft's in mode `Deny`; `None`: they do, or there are none.
pub(crate) fn empty_lists(files: &[PathBuf]) -> Option<&'static str> {
    let empty = !files.is_empty() && !super::threats::say_something(files);
    empty.then_some("the lists that are given are empty")
}

fn options(file: &FileConfig, base: &Path) -> import::Options<'static> {
    let section = &file.policy;
    let text = |text: &super::at::At<String>| text.value.clone();
    let lists = &file.threat_intelligence;
    let named = || lists.files.iter().flat_map(|list| list.iter());
    let files: Vec<PathBuf> = named().map(|file| base.join(file.as_str())).collect();
    // Lists that are not meant to deny do not stand for a mode that does.
    let denying = lists.mode.is_none_or(|mode| mode == file::ThreatMode::Deny);
    let lists_deny_nothing = match denying || files.is_empty() {
        true => empty_lists(&files),
        false => Some("`mode` of `[threat_intelligence]` keeps those that are given from denying: leave it out"),
    };
    import::Options {
        set: section
            .set
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        partial: section.partial == Some(true),
        sni: section.uninspected == Some(file::Uninspected::Sni),
        policy: section.name.as_ref().map(text),
        threat_intelligence: match denying {
            true => named().map(text).collect(),
            false => Vec::new(),
        },
        lists_deny_nothing,
        ..import::Options::default()
    }
}

/// What network rules of the policy deny by name they deny by address in Azure: at the proxy port that cannot be carried out in full.
fn denied_by_name(file: &FileConfig, more: &mut FileConfig, report: &mut Report) {
    if file.explicit_network_rules.as_deref() != Some(&true) {
        return;
    }
    let parents = more
        .parent_policy
        .iter()
        .flat_map(|parent| &parent.rule_collection_group);
    let mut denied = Vec::new();
    for group in parents.chain(&more.rule_collection_group) {
        let deny = group.network_rule_collection.iter();
        for collection in deny.filter(|one| one.action == Some(file::Action::Deny)) {
            for rule in collection.rule.iter().filter(|rule| rule.names_tcp()) {
                if let Some(names) = rule.destination_fqdns.as_ref().filter(|names| !names.is_empty()) {
                    let name = |name: &Option<At<String>>| name.as_deref().cloned().unwrap_or_default();
                    let label = [&group.name, &collection.name, &rule.name].map(name).join("/");
                    denied.push(At {
                        value: label,
                        span: names.span,
                    });
                }
            }
        }
    }
    for label in &denied {
        let found = format!(
            "`{}` denies, or may deny, and cannot be enforced in full: at the proxy port names are denied, and not the addresses that they \
             lead to",
            label.value
        );
        if file.policy.partial != Some(true) {
            report.add(
                Finding::error(label.span, found)
                    .hint("leave `explicit_network_rules` out, or accept it with `policy.partial = true`"),
            );
        }
    }
    if let Some(first) = denied.first() {
        let span = first.span;
        let list = more.policy.not_enforced.get_or_insert(At {
            value: Vec::new(),
            span,
        });
        list.value.extend(denied);
    }
}

/// The rules of the policy behind those of the file. What the file says of names and lists counts.
fn join(file: &mut FileConfig, more: FileConfig, report: &mut Report) {
    file.parent_policy.extend(more.parent_policy);
    file.rule_collection_group.extend(more.rule_collection_group);
    for (name, members) in more.ip_groups {
        if file.ip_groups.contains_key(&name) {
            let found = format!("IP group `{name}` is in this file and in the imported policy");
            report.add(Finding::error(members.span, found).hint("give the one of this file another name"));
        }
        file.ip_groups.insert(name, members);
    }
    file.azure.policy = file.azure.policy.take().or(more.azure.policy);
    let section = &mut file.policy;
    section.equal_priorities = section.equal_priorities.or(more.policy.equal_priorities);
    // What the file says of denials adds to the import's account, and cannot hide it.
    section.not_enforced = match (section.not_enforced.take(), more.policy.not_enforced) {
        (Some(mut own), Some(imported)) => {
            own.value.extend(imported.value);
            Some(own)
        }
        (own, imported) => own.or(imported),
    };
    let lists = &mut file.threat_intelligence;
    lists.mode = lists.mode.or(more.threat_intelligence.mode);
    let (own, allowed) = (&mut lists.allowlist, more.threat_intelligence.allowlist);
    own.ip_addresses = own.ip_addresses.take().or(allowed.ip_addresses);
    own.fqdns = own.fqdns.take().or(allowed.fqdns);
}

/// A problem behind the end of the file is one of the JSON that the line was made of.
fn in_json(mut problem: Problem, lines: u32, origins: &Origins) -> Problem {
    for see in &mut problem.see {
        let behind = see.line.checked_sub(lines).filter(|line| *line > 0);
        if let Some((file, line, column, _)) = behind.and_then(|line| origins.of_line(line)) {
            (see.file, see.line, see.column) = (file, line, column);
        }
    }
    let behind = problem.line.checked_sub(lines).filter(|line| *line > 0);
    match behind.and_then(|line| origins.of_line(line)) {
        Some((file, line, column, path)) => Problem {
            file,
            line,
            column,
            key: path,
            quote: None,
            ..problem
        },
        None => problem,
    }
}

/// What was not carried as it was, as warnings.
fn notes(report: &ImportReport) -> Vec<Problem> {
    let worth = report.items.iter().filter(|item| !item.notes.is_empty());
    let count = worth.clone().count();
    let mut notes: Vec<Problem> = worth
        .take(MOST_NOTES)
        .map(|item| {
            let how = match item.outcome {
                Outcome::Carried => "carried",
                Outcome::Approximated => "approximated",
                Outcome::Absent => "absent",
            };
            let loud = if item.not_enforced { "NOT ENFORCED: " } else { "" };
            let found = format!("{loud}`{}` is {how}: {}", item.name, item.notes.join("; "));
            Problem {
                severity: Severity::Warning,
                line: item.line,
                column: item.column,
                key: item.path.clone(),
                ..Problem::unplaced(item.file.clone(), found, "")
            }
        })
        .collect();
    if count > MOST_NOTES {
        let found = format!("{} more parts are not as they were", count - MOST_NOTES);
        let hint = "`egret import azure-firewall --report` tells of all";
        notes.push(Problem {
            severity: Severity::Warning,
            ..Problem::unplaced(report.files.first().cloned().unwrap_or_default(), found, hint)
        });
    }
    notes
}
