//! The names that a rule admits: its own patterns, and those of its FQDN tags, bound or not.

use super::{
    at::{At, Span},
    file,
    nearest::nearest,
    problem::{Finding, Report},
};
use crate::policy::{FqdnPattern, TargetFqdn};
use std::collections::{BTreeMap, HashMap};

/// `[fqdn_tag.X]` sections and what each tag came to.
pub struct Tags<'a> {
    written: &'a BTreeMap<String, file::Binding>,
    resolved: HashMap<&'a str, Vec<TargetFqdn>>,
}

impl<'a> Tags<'a> {
    /// Takes the sections; each tag is resolved when a rule first names it.
    pub fn new(written: &'a BTreeMap<String, file::Binding>) -> Self {
        Self {
            written,
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
        let mut targets: Vec<TargetFqdn> = own.filter_map(|text| own_target(text, wide, report)).collect();
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
                    format!("rule `{name}` has an empty list of names: it never matches"),
                ));
            }
            _ => {}
        }
        targets
    }

    fn tag(&mut self, tag: &'a At<String>, report: &mut Report) -> &[TargetFqdn] {
        if !self.resolved.contains_key(tag.as_str()) {
            let near = nearest(tag, self.written.keys().map(String::as_str)).unwrap_or_default();
            report.add(Finding::warning(
                tag.span,
                format!("no catalogue yet for FQDN tag `{}`{near}", tag.value),
            ));
        }
        self.resolved.entry(tag).or_default()
    }
}

fn own_target(text: &At<String>, allow_wide: bool, report: &mut Report) -> Option<TargetFqdn> {
    let pattern = match FqdnPattern::parse(text) {
        Ok(pattern) => pattern,
        Err(fault) => {
            report.add(bad_pattern(text, &fault.to_string()));
            return None;
        }
    };
    if pattern.needs_allow_wide() && !allow_wide {
        let finding = Finding::error(
            text.span,
            format!("`{pattern}` admits everything below a top-level domain"),
        );
        report.add(finding.hint("name the domain that is meant, or say `allow_wide = true` in this rule"));
        return None;
    }
    Some(TargetFqdn {
        pattern,
        tag: None,
        ports: None,
        wide: false,
    })
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
