//! The names that a rule admits: its own patterns, and those of its FQDN tags, bound or not.

mod bound;
mod mistakes;
mod unknown;

use super::{
    at::{At, Span},
    file::{self, Binding, FileConfig},
    nearest::nearest,
    problem::{Finding, Report},
};
use crate::{
    catalogue::{Catalogue, FqdnTag},
    policy::{Action, FqdnPattern, TargetFqdn},
};
use bound::{binding, entries, to_bind};
use mistakes::{bad_pattern, odd_letter};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};
pub use unknown::no_tag_hint;
use unknown::service_tag;

/// The catalogue, what the file binds of it, and what each tag came to.
pub struct Tags<'a> {
    catalogue: Cow<'static, Catalogue>,
    bindings: &'a BTreeMap<String, Binding>,
    resolved: HashMap<&'a str, Vec<TargetFqdn>>,
    /// Those of which it was said that they admit every tenant's resources, if they do.
    warned: HashSet<&'a str>,
}

impl<'a> Tags<'a> {
    /// Each tag is resolved when a rule first names it. `base`: what a relative `catalogue.folder` starts from.
    pub fn new(file: &'a FileConfig, base: &Path, report: &mut Report) -> Self {
        Self {
            catalogue: catalogue(&file.catalogue, base, report),
            bindings: &file.fqdn_tag,
            resolved: HashMap::new(),
            warned: HashSet::new(),
        }
    }

    /// The names that a rule speaks of, its own first. In a rule that denies none is wide, however many it denies.
    pub fn targets(&mut self, rule: &'a file::ApplicationRule, action: Action, report: &mut Report) -> Vec<TargetFqdn> {
        let name = rule.name.as_ref().map_or("", |name| name.as_str());
        let span = rule.name.as_ref().map_or(Span::default(), |name| name.span);
        let told = report.told();
        let wide = rule.allow_wide.unwrap_or(false) || action == Action::Deny;
        let own = rule.destination_fqdns.iter().flat_map(|list| list.iter());
        let mut targets: Vec<TargetFqdn> = own.filter_map(|text| self.own(text, wide, report)).collect();
        for tag in rule.destination_fqdn_tags.iter().flat_map(|list| list.iter()) {
            targets.extend_from_slice(self.tag(tag, report));
            if action == Action::Allow && self.warned.insert(tag) {
                self.warn_of_wide(tag, report);
            }
        }
        if action == Action::Deny {
            targets.iter_mut().for_each(|target| target.wide = false);
        }
        match (&rule.destination_fqdns, &rule.destination_fqdn_tags) {
            (None, None) => {
                let finding = Finding::error(span, format!("rule `{name}` names no destination"));
                report.add(finding.expected("`destination_fqdns` or `destination_fqdn_tags`"));
            }
            (names, tags) if targets.is_empty() && report.told() == told => {
                let mut lists = names.iter().chain(tags);
                if let Some(list) = lists.find(|list| !list.is_empty() || report.says_nothing(list)) {
                    let found = format!("rule `{name}` has no name left: it never matches");
                    let finding = Finding::warning(list.span, found);
                    report.add(finding.hint("name what it is for, or leave the rule out"));
                }
            }
            _ => {}
        }
        targets
    }

    fn own(&self, text: &At<String>, allow_wide: bool, report: &mut Report) -> Option<TargetFqdn> {
        let pattern = pattern(text, report)?;
        if let FqdnPattern::Exact(name) = &pattern
            && let Some(tag) = self.tag_called(name.as_str())
        {
            let finding = Finding::error(text.span, format!("`{}` is an FQDN tag, not a name", text.value));
            report.add(finding.hint(format!("write `destination_fqdn_tags = [\"{tag}\"]`")));
            return None;
        }
        if let Some(odd) = odd_letter(text) {
            let code = u32::from(odd);
            let found = format!("`{}` is read as `{pattern}`: it holds U+{code:04X}", text.value);
            let finding = Finding::warning(text.span, found);
            report.add(finding.hint("a letter of another alphabet or one that nobody sees: write the name anew"));
        }
        if pattern.needs_allow_wide() && !allow_wide {
            let finding = Finding::error(text.span, format!("`{pattern}` admits names of everybody"));
            report.add(finding.hint("name the domain that is meant, or say `allow_wide = true` in this rule"));
            return None;
        }
        if let FqdnPattern::EndsWith(ending) = &pattern
            && !allow_wide
            && !ending.starts_with('-')
        {
            let found = format!("`{pattern}` admits `evil{ending}` too, as Azure Firewall's star does");
            let hint = format!("write `*.{ending}` and `{ending}`, or say `allow_wide = true`");
            report.add(Finding::warning(text.span, found).hint(hint));
        }
        let exact = matches!(pattern, FqdnPattern::Exact(_));
        let shared = if exact {
            None
        } else {
            self.catalogue.multi_tenant(&pattern)
        };
        if let Some(suffix) = shared.filter(|_| !allow_wide) {
            let found = format!("`{pattern}` admits every tenant's resources under `{suffix}`: an exfiltration path");
            let finding = Finding::warning(text.span, found);
            report
                .add(finding.hint("name the resources that are meant, bind the FQDN tag, or say `allow_wide = true`"));
        }
        Some(TargetFqdn {
            pattern,
            tag: None,
            ports: None,
            wide: shared.is_some(),
        })
    }

    fn tag(&mut self, tag: &'a At<String>, report: &mut Report) -> &[TargetFqdn] {
        if !self.resolved.contains_key(tag.as_str()) {
            let targets = match self.catalogue.tag(tag) {
                Some(known) => entries(known, tag.span, self.bindings.get(tag.as_str()), report),
                None => {
                    report.add(self.no_such_tag(tag, tag.span));
                    Vec::new()
                }
            };
            self.resolved.insert(tag, targets);
        }
        &self.resolved[tag.as_str()]
    }

    /// Bound, only what `keep` names is wide; unbound, every placeholder.
    fn warn_of_wide(&self, used: &At<String>, report: &mut Report) {
        let (Some(tag), Some(targets)) = (self.catalogue.tag(used), self.resolved.get(used.as_str())) else {
            return;
        };
        let mut wide = targets
            .iter()
            .filter(|target| target.wide)
            .map(|target| format!("`{}`", target.pattern));
        let Some(first) = wide.next() else { return };
        let more = match wide.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let binding = self.bindings.get(used.as_str()).map(binding).unwrap_or_default();
        let (name, bound) = (tag.name(), !binding.values.is_empty());
        let state = match tag.placeholder() {
            _ if bound => "keeps wildcards",
            Some(_) => "is not bound",
            None => "has a wildcard that no binding narrows",
        };
        let found = format!("tag `{name}` {state}: {first}{more} admits every tenant's resource, an exfiltration path");
        let finding = Finding::warning(used.span, found);
        report.add(match to_bind(tag, &binding.features) {
            Some(hint) if !bound => finding.hint(hint),
            _ => finding,
        });
    }

    /// The tag of this name, in any case: someone wrote it among the host names.
    fn tag_called(&self, name: &str) -> Option<&str> {
        let mut names = self.catalogue.tags().map(FqdnTag::name);
        names.find(|tag| tag.eq_ignore_ascii_case(name))
    }

    fn no_such_tag(&self, name: &str, span: Span) -> Finding {
        let finding = Finding::error(span, format!("no FQDN tag `{name}`"));
        if service_tag(name).is_some() && self.tag_called(name).is_none() {
            return finding.hint(no_tag_hint(name));
        }
        match nearest(name, self.catalogue.tags().map(FqdnTag::name)) {
            Some(near) => finding.expected(format!("`{near}`")),
            None => finding.hint(no_tag_hint(name)),
        }
    }

    /// What can be said only once all rules are read.
    pub fn finish(&self, report: &mut Report) {
        let unnamed = self
            .bindings
            .iter()
            .filter(|(name, _)| !self.resolved.contains_key(name.as_str()));
        for (name, binding) in unnamed {
            report.add(match self.catalogue.tag(name) {
                Some(_) => Finding::warning(binding.span, format!("tag `{name}` is bound, and no rule names it"))
                    .hint("name it in `destination_fqdn_tags` of a rule, or leave the section out"),
                None => self.no_such_tag(name, binding.span),
            });
        }
    }
}

fn catalogue(section: &file::Catalogue, base: &Path, report: &mut Report) -> Cow<'static, Catalogue> {
    let loaded = section
        .folder
        .as_ref()
        .map(|folder| (folder.span, Catalogue::load(&base.join(folder.as_str()))));
    match loaded {
        Some((_, Ok(catalogue))) => Cow::Owned(catalogue),
        Some((span, Err(error))) => {
            let finding = Finding::error(span, error.to_string());
            report.add(finding.hint("a relative folder is looked for beside this file"));
            Cow::Borrowed(Catalogue::embedded())
        }
        None => Cow::Borrowed(Catalogue::embedded()),
    }
}

/// A name with or without a star; what is none is reported.
pub(super) fn pattern(text: &At<String>, report: &mut Report) -> Option<FqdnPattern> {
    FqdnPattern::parse(text)
        .map_err(|fault| report.add(bad_pattern(text, &fault.to_string())))
        .ok()
}
