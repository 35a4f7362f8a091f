//! What an FQDN tag comes to as a `[fqdn_tag.X]` section binds it, and what is odd about that.

use crate::{
    catalogue::{self, FqdnTag, Narrowed, TagError, TemplateFault, WhyLeftOut},
    config::{
        at::{At, Span},
        file::Binding,
        nearest::nearest,
        problem::{Finding, Report},
    },
    policy::TargetFqdn,
};

/// The keys of a `[fqdn_tag.X]` section that are no placeholders.
const KEEP: &str = "keep";
const FEATURES: &str = "features";

/// What a tag comes to as it is bound; `used` is where a rule names it.
pub(super) fn entries(tag: &FqdnTag, used: Span, section: Option<&Binding>, report: &mut Report) -> Vec<TargetFqdn> {
    let binding = section.map(binding).unwrap_or_default();
    match tag.narrow(&binding) {
        Ok(narrowed) => {
            warn_of_nothing(tag, used, &narrowed, report);
            if let Some(section) = section {
                warn_of_empty(tag, section, report);
                warn_of_idle(tag, section, &narrowed, report);
            }
            narrowed.targets
        }
        Err(error) => {
            let place = section.and_then(|section| place_of(&error, section));
            let finding = Finding::error(place.unwrap_or(used), error.to_string());
            report.add(match (instead(&error), &error) {
                (Some(text), _) => finding.expected(format!("`{text}`")),
                (None, TagError::UnknownKeep { .. }) => {
                    finding.hint("a name of your own belongs in `destination_fqdns`")
                }
                (None, _) => finding,
            });
            Vec::new()
        }
    }
}

pub(super) fn binding(section: &Binding) -> catalogue::Binding {
    let texts = |list: &At<Vec<At<String>>>| list.iter().map(|text| text.value.clone()).collect();
    let list = |key: &str| section.get(key).map(texts).unwrap_or_default();
    catalogue::Binding {
        values: placeholders(section)
            .map(|(key, list)| (key.clone(), texts(list)))
            .collect(),
        keep: list(KEEP),
        features: list(FEATURES),
    }
}

fn placeholders(section: &Binding) -> impl Iterator<Item = (&String, &At<Vec<At<String>>>)> {
    let keys = section.value.iter();
    keys.filter(|(key, _)| *key != KEEP && *key != FEATURES)
}

/// A tag of TCP entries, or of hosts that nobody has named.
fn warn_of_nothing(tag: &FqdnTag, used: Span, narrowed: &Narrowed, report: &mut Report) {
    let (true, Some(left)) = (narrowed.targets.is_empty(), narrowed.left_out.first()) else {
        return;
    };
    let found = format!("tag `{}` admits nothing: `{}` {}", tag.name(), left.pattern, left.why);
    let finding = Finding::warning(used, found);
    report.add(match to_bind(tag, &[]) {
        Some(hint) if left.why == WhyLeftOut::HostNotBound => finding.hint(hint),
        _ => finding,
    });
}

fn warn_of_empty(tag: &FqdnTag, section: &Binding, report: &mut Report) {
    for (key, values) in placeholders(section) {
        if report.says_nothing(values) {
            let found = format!("`{key}` of tag {} is empty: its names match nothing", tag.name());
            let finding = Finding::warning(values.span, found);
            report.add(finding.hint("write the names of your resources, or leave the tag out of the rule"));
        }
    }
}

/// What is bound or asked for and does nothing: a region without the feature that needs it, a feature whose entries are all
/// left out.
fn warn_of_idle(tag: &FqdnTag, section: &Binding, narrowed: &Narrowed, report: &mut Report) {
    let name = tag.name();
    let place = |key: &str| section.get(key).map_or(section.span, |list| list.span);
    for unused in &narrowed.unused {
        let placeholder = &unused.placeholder;
        let found = format!("tag `{name}` holds no entry with `{placeholder}`, which is bound");
        let hint = format!("its entries come with `features`: {}", unused.features.join(", "));
        report.add(Finding::warning(place(placeholder), found).hint(hint));
    }
    for feature in &narrowed.idle {
        let found = format!("feature `{feature}` adds nothing to tag `{name}` as it is bound");
        let hint = format!("`egret catalogue {name} --feature {feature}` shows its entries");
        report.add(Finding::warning(place(FEATURES), found).hint(hint));
    }
}

/// What was probably meant by a bad binding.
fn instead(error: &TagError) -> Option<&str> {
    let (written, known) = match error {
        TagError::UnknownPlaceholder { placeholder, known, .. } => (placeholder, known),
        TagError::UnknownKeep { keep, known, .. } => (keep, known),
        TagError::UnknownFeature { feature, known, .. } => (feature, known),
        // The whole name of a resource where its first label belongs.
        TagError::BadValue {
            value,
            fault: TemplateFault::Label,
            ..
        } => {
            let (_, rest) = value.split_once("://").unwrap_or(("", value));
            let label = rest.split('.').next();
            return label.filter(|label| !label.is_empty() && *label != value);
        }
        _ => return None,
    };
    nearest(written, known.iter().map(String::as_str))
}

/// The section that would bind what a tag with these features leaves open.
pub(super) fn to_bind(tag: &FqdnTag, features: &[String]) -> Option<String> {
    let main = tag.placeholder()?;
    let open = tag.open(features);
    let others: Vec<String> = open
        .iter()
        .filter(|name| **name != main)
        .map(|name| format!("`{name}`"))
        .collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(" and values for {}", others.join(", "))
    };
    let name = tag.name();
    Some(format!(
        "write `[fqdn_tag.{name}]` with `resource = [\"your-resource\"]`{others}"
    ))
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
        TagError::UnknownPlaceholder { placeholder, .. } => binding.get(placeholder).map(|list| list.span),
        TagError::UnknownKeep { keep, .. } => text(KEEP, keep),
        TagError::UnknownFeature { feature, .. } => text(FEATURES, feature),
        _ => None,
    };
    Some(found.unwrap_or(binding.span))
}
