//! [`FqdnTag`]: what one tag admits, bound, unbound, by feature.

use super::{
    file::{Endpoint, Source},
    template::{Template, TemplateFault, label_value},
    tenants::Tenants,
};
use crate::policy::{Fqdn, FqdnPattern, TargetFqdn};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Most names that one entry of a tag may come to once its placeholders are bound.
pub(super) const MAX_NAMES_PER_ENTRY: usize = 10_000;

/// The placeholder that `--allow TAG=a,b` binds, whatever the tag calls it.
const RESOURCE: &str = "resource";

/// One FQDN tag.
#[derive(Clone, Debug)]
pub struct FqdnTag {
    pub(super) name: Arc<str>,
    pub(super) title: String,
    pub(super) placeholder: Option<String>,
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) tenants: Arc<Tenants>,
}

/// Why a tag cannot be narrowed as it was asked. Caused by whoever wrote the binding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The tag has no such placeholder.
    #[error("tag {tag} has no placeholder `{placeholder}`{}", told(.known))]
    UnknownPlaceholder {
        /// The tag.
        tag: Arc<str>,
        /// What was bound.
        placeholder: String,
        /// What could be.
        known: Vec<String>,
    },
    /// A value that cannot stand for its placeholder.
    #[error("tag {tag}: `{value}` for `{placeholder}`: {fault}")]
    BadValue {
        /// The tag.
        tag: Arc<str>,
        /// The placeholder.
        placeholder: String,
        /// What was written.
        value: String,
        /// What is wrong with it.
        fault: TemplateFault,
    },
    /// Part of the tag is bound and an entry that it holds is not.
    #[error("tag {tag}: `{pattern}` needs `{placeholder}`, which is not bound; unbound it would admit every tenant")]
    Unbound {
        /// The tag.
        tag: Arc<str>,
        /// The entry.
        pattern: String,
        /// What is missing.
        placeholder: String,
    },
    /// `keep` names a wildcard that the tag does not hold.
    #[error("tag {tag} holds no wildcard `{keep}` to keep{}", told(.known))]
    UnknownKeep {
        /// The tag.
        tag: Arc<str>,
        /// What was to be kept.
        keep: String,
        /// What could be.
        known: Vec<String>,
    },
    /// The tag has no such feature.
    #[error("tag {tag} has no feature `{feature}`{}", told(.known))]
    UnknownFeature {
        /// The tag.
        tag: Arc<str>,
        /// What was asked for.
        feature: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The values of an entry's placeholders multiply to more than 10,000 names.
    #[error("tag {tag}: `{pattern}` comes to more than 10000 names")]
    TooManyNames {
        /// The tag.
        tag: Arc<str>,
        /// The entry.
        pattern: String,
    },
}

fn told(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("; it has `{}`", names.join("`, `"))
    }
}

impl FqdnTag {
    /// Its name, as rules write it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in a line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The placeholder that stands for the tenant's own resource; `resource` in a binding means this one, too.
    pub fn placeholder(&self) -> Option<&str> {
        self.placeholder.as_deref()
    }

    /// Its entries, as documented.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Where the entries come from.
    pub fn sources(&self) -> &BTreeMap<String, Source> {
        &self.sources
    }

    /// What a rule that names this tag admits.
    ///
    /// - Nothing bound: each placeholder is a wildcard, marked wide; one that stands for a whole host admits nothing.
    /// - Something bound: exactly the bound names; wildcards over a multi-tenant suffix are dropped unless `keep` names
    ///   them. An entry whose placeholder is left unbound is an error.
    /// - `features` adds conditional and optional entries to the required ones. The names of clouds (`public`, `usgov`,
    ///   `china`) are features, too; without one it is `public`.
    ///
    /// A value list that is empty admits nothing. Entries that no application rule can match (TCP, UDP) are left out.
    pub fn entries(
        &self,
        binding: &BTreeMap<String, Vec<String>>,
        keep: &[String],
        features: &[String],
    ) -> Result<Vec<TargetFqdn>, TagError> {
        let values = self.values(binding)?;
        self.check_features(features)?;
        let mut targets = Vec::new();
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.selected_by(features)) {
            if let Some(ports) = endpoint.application_ports() {
                let patterns = self.expand(&endpoint.template, &values)?;
                targets.extend(patterns.into_iter().map(|(pattern, wide)| TargetFqdn {
                    wide: wide || self.tenants.of(&pattern).is_some(),
                    pattern,
                    tag: Some(Arc::clone(&self.name)),
                    ports: Some(ports.clone()),
                }));
            }
        }
        let kept = self.kept(keep, &targets)?;
        if !binding.is_empty() {
            targets.retain(|target| !target.wide || kept.contains(&target.pattern));
        }
        Ok(targets)
    }

    /// The wildcards to keep, each of them one that the tag holds.
    fn kept(&self, keep: &[String], targets: &[TargetFqdn]) -> Result<Vec<FqdnPattern>, TagError> {
        let wildcards = || {
            targets
                .iter()
                .filter(|target| target.wide)
                .map(|target| &target.pattern)
        };
        let one = |text: &String| {
            let pattern = FqdnPattern::parse(text).ok();
            let held = pattern.filter(|pattern| wildcards().any(|held| held == pattern));
            held.ok_or_else(|| TagError::UnknownKeep {
                tag: self.name.clone(),
                keep: text.clone(),
                known: wildcards().map(FqdnPattern::to_string).collect(),
            })
        };
        keep.iter().map(one).collect()
    }

    /// The patterns of an entry, each with whether it stands for an unbound placeholder.
    fn expand(&self, template: &Template, values: &Values<'_>) -> Result<Vec<(FqdnPattern, bool)>, TagError> {
        match template.placeholders().find(|name| !values.contains_key(name)) {
            None => self.bound(template, values),
            Some(missing) if template.is_host(missing) => Ok(Vec::new()),
            Some(_) if values.is_empty() => Ok(vec![(template.widened(), true)]),
            Some(missing) => Err(TagError::Unbound {
                tag: self.name.clone(),
                pattern: template.to_string(),
                placeholder: missing.to_owned(),
            }),
        }
    }

    fn bound(&self, template: &Template, values: &Values<'_>) -> Result<Vec<(FqdnPattern, bool)>, TagError> {
        let lengths = template.placeholders().map(|name| values[name].len());
        if lengths.fold(1, usize::saturating_mul) > MAX_NAMES_PER_ENTRY {
            return Err(TagError::TooManyNames {
                tag: self.name.clone(),
                pattern: template.to_string(),
            });
        }
        let fault = |(placeholder, value, fault)| TagError::BadValue {
            tag: self.name.clone(),
            placeholder,
            value,
            fault,
        };
        let patterns = template.bind(values).into_iter();
        patterns
            .map(|bound| bound.map(|pattern| (pattern, false)).map_err(fault))
            .collect()
    }

    /// The binding under the names of the tag's own placeholders, its values checked and in normal form.
    fn values<'a>(&'a self, binding: &'a BTreeMap<String, Vec<String>>) -> Result<Values<'a>, TagError> {
        let placeholders: BTreeSet<&str> = self.endpoints.iter().flat_map(|e| e.template.placeholders()).collect();
        let mut values = Values::new();
        for (written, texts) in binding {
            let own = placeholders.get(written.as_str()).copied();
            let main = self.placeholder.as_deref().filter(|_| written == RESOURCE);
            let Some(name) = own.or(main) else {
                let known = placeholders.iter().map(|name| (*name).to_owned()).collect();
                let placeholder = written.clone();
                return Err(TagError::UnknownPlaceholder {
                    tag: self.name.clone(),
                    placeholder,
                    known,
                });
            };
            let host = self.endpoints.iter().any(|endpoint| endpoint.template.is_host(name));
            let value = |text: &String| {
                let checked = if host { host_value(text) } else { label_value(text) };
                checked.map_err(|fault| TagError::BadValue {
                    tag: self.name.clone(),
                    placeholder: name.to_owned(),
                    value: text.clone(),
                    fault,
                })
            };
            let texts: Vec<String> = texts.iter().map(value).collect::<Result<_, _>>()?;
            values.entry(name).or_default().extend(texts);
        }
        Ok(values)
    }

    fn check_features(&self, features: &[String]) -> Result<(), TagError> {
        let mut known: BTreeSet<&str> = self.endpoints.iter().filter_map(|e| e.feature.as_deref()).collect();
        known.extend(self.endpoints.iter().map(|endpoint| endpoint.cloud.name()));
        match features.iter().find(|feature| !known.contains(feature.as_str())) {
            None => Ok(()),
            Some(feature) => Err(TagError::UnknownFeature {
                tag: self.name.clone(),
                feature: feature.clone(),
                known: known.into_iter().map(str::to_owned).collect(),
            }),
        }
    }
}

/// What placeholders stand for.
type Values<'a> = BTreeMap<&'a str, Vec<String>>;

fn host_value(text: &str) -> Result<String, TemplateFault> {
    Fqdn::from_config(text)
        .map(|name| name.to_string())
        .map_err(TemplateFault::Name)
}
