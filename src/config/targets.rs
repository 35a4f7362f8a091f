//! The names that a rule admits: its own patterns, and those of its FQDN tags, bound or not.

use super::{
    at::{At, Span},
    file::{self, Binding, FileConfig},
    nearest::nearest,
    problem::{Finding, Report},
};
use crate::{
    catalogue::{self, Catalogue, FqdnTag, Narrowed, TagError},
    policy::{FqdnPattern, TargetFqdn},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// The keys of a `[fqdn_tag.X]` section that are no placeholders.
const KEEP: &str = "keep";
const FEATURES: &str = "features";

/// The catalogue, what the file binds of it, and what each tag came to.
pub struct Tags<'a> {
    catalogue: Cow<'static, Catalogue>,
    bindings: &'a BTreeMap<String, Binding>,
    resolved: HashMap<&'a str, Vec<TargetFqdn>>,
}

impl<'a> Tags<'a> {
    /// Each tag is resolved when a rule first names it. `base`: what a relative `catalogue.folder` starts from.
    pub fn new(file: &'a FileConfig, base: &Path, report: &mut Report) -> Self {
        Self {
            catalogue: catalogue(&file.catalogue, base, report),
            bindings: &file.fqdn_tag,
            resolved: HashMap::new(),
        }
    }

    /// The names that a rule admits, its own first.
    pub fn targets(&mut self, rule: &'a file::ApplicationRule, report: &mut Report) -> Vec<TargetFqdn> {
        let name = rule.name.as_ref().map_or("", |name| name.as_str());
        let span = rule.name.as_ref().map_or(Span::default(), |name| name.span);
        let errors = report.errors();
        let wide = rule.allow_wide.unwrap_or(false);
        let own = rule.destination_fqdns.iter().flat_map(|list| list.iter());
        let mut targets: Vec<TargetFqdn> = own.filter_map(|text| self.own(text, wide, report)).collect();
        for tag in rule.destination_fqdn_tags.iter().flat_map(|list| list.iter()) {
            targets.extend_from_slice(self.tag(tag, report));
        }
        match (&rule.destination_fqdns, &rule.destination_fqdn_tags) {
            (None, None) => {
                let finding = Finding::error(span, format!("rule `{name}` names no destination"));
                report.add(finding.expected("`destination_fqdns` or `destination_fqdn_tags`"));
            }
            (names, tags) if targets.is_empty() && report.errors() == errors => {
                let list = names.as_ref().or(tags.as_ref()).map_or(span, |list| list.span);
                report.add(Finding::warning(
                    list,
                    format!("rule `{name}` has no name left: it never matches"),
                ));
            }
            _ => {}
        }
        targets
    }

    fn own(&self, text: &At<String>, allow_wide: bool, report: &mut Report) -> Option<TargetFqdn> {
        let pattern = match FqdnPattern::parse(text) {
            Ok(pattern) => pattern,
            Err(fault) => {
                report.add(bad_pattern(text, &fault.to_string()));
                return None;
            }
        };
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

    fn no_such_tag(&self, name: &str, span: Span) -> Finding {
        let finding = Finding::error(span, format!("no FQDN tag `{name}`"));
        match nearest(name, self.catalogue.tags().map(FqdnTag::name)) {
            Some(near) => finding.expected(format!("`{near}`")),
            None => {
                let known: Vec<&str> = self.catalogue.tags().map(FqdnTag::name).collect();
                finding.hint(format!("there are {}", known.join(", ")))
            }
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
                Some(_) => Finding::warning(binding.span, format!("tag `{name}` is bound, and no rule names it")),
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
            report.add(Finding::error(span, error.to_string()));
            Cow::Borrowed(Catalogue::embedded())
        }
        None => Cow::Borrowed(Catalogue::embedded()),
    }
}

/// What a tag comes to as it is bound; `used` is where a rule names it.
fn entries(tag: &FqdnTag, used: Span, section: Option<&Binding>, report: &mut Report) -> Vec<TargetFqdn> {
    let binding = section.map(binding).unwrap_or_default();
    match tag.narrow(&binding) {
        Ok(narrowed) => {
            warn_of_wide(tag, used, &narrowed.targets, !binding.values.is_empty(), report);
            if let Some(section) = section {
                warn_of_unused(tag, section, &narrowed, report);
            }
            narrowed.targets
        }
        Err(error) => {
            let place = section.and_then(|section| place_of(&error, section));
            report.add(Finding::error(place.unwrap_or(used), error.to_string()));
            Vec::new()
        }
    }
}

fn binding(section: &Binding) -> catalogue::Binding {
    let texts = |list: &Vec<At<String>>| list.iter().map(|text| text.value.clone()).collect();
    let list = |key: &str| section.get(key).map(texts).unwrap_or_default();
    let placeholders = section.value.iter().filter(|(key, _)| *key != KEEP && *key != FEATURES);
    catalogue::Binding {
        values: placeholders.map(|(key, list)| (key.clone(), texts(list))).collect(),
        keep: list(KEEP),
        features: list(FEATURES),
    }
}

/// A region bound for a data endpoint that the tag does not hold is a feature forgotten.
fn warn_of_unused(tag: &FqdnTag, section: &Binding, narrowed: &Narrowed, report: &mut Report) {
    let name = tag.name();
    for unused in &narrowed.unused {
        let found = format!(
            "tag `{name}` holds no entry with `{}`, which is bound",
            unused.placeholder
        );
        let hint = format!("its entries come with `features`: {}", unused.features.join(", "));
        report.add(Finding::warning(section.span, found).hint(hint));
    }
}

/// Bound, only what `keep` names is wide; unbound, every placeholder.
fn warn_of_wide(tag: &FqdnTag, used: Span, targets: &[TargetFqdn], bound: bool, report: &mut Report) {
    let mut wide = targets
        .iter()
        .filter(|target| target.wide)
        .map(|target| format!("`{}`", target.pattern));
    let Some(first) = wide.next() else { return };
    let more = match wide.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let name = tag.name();
    let state = if bound { "keeps wildcards" } else { "is not bound" };
    let found = format!("tag `{name}` {state}: {first}{more} admits every tenant's resource, an exfiltration path");
    let finding = Finding::warning(used, found);
    report.add(match tag.placeholder() {
        Some(_) if !bound => finding.hint(format!(
            "write `[fqdn_tag.{name}]` with `resource = [\"your-resource\"]`"
        )),
        _ => finding,
    });
}

/// The text of the section that an error speaks of.
fn place_of(error: &TagError, binding: &Binding) -> Option<Span> {
    let text = |key: &str, value: &str| {
        binding
            .get(key)?
            .iter()
            .find(|text| text.value == value)
            .map(|text| text.span)
    };
    let found = match error {
        TagError::BadValue { value, .. } => binding.value.keys().find_map(|key| text(key, value)),
        TagError::UnknownKeep { keep, .. } => text(KEEP, keep),
        TagError::UnknownFeature { feature, .. } => text(FEATURES, feature),
        _ => None,
    };
    Some(found.unwrap_or(binding.span))
}

/// URLs, ports and addresses are what people write here by mistake.
fn bad_pattern(text: &At<String>, fault: &str) -> Finding {
    let finding = Finding::error(text.span, format!("`{}`: {fault}", text.value));
    if text.contains("://") || text.contains('/') {
        return finding
            .expected("a host name")
            .hint("a name has no scheme and no path: URL rules need TLS inspection");
    }
    if text.contains(':') {
        return finding
            .expected("a host name")
            .hint("ports belong in `protocols = [{ type = \"Https\", port = 443 }]`");
    }
    finding.expected("`api.contoso.com`, `*.contoso.com` or `*`")
}
