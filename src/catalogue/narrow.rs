//! Narrowing: what a rule that names a tag admits, once its placeholders are bound and its features chosen.

use super::{
    FqdnTag, TagError,
    file::{Cloud, Endpoint},
    template::{Template, TemplateFault, label_value},
};
use crate::policy::{Fqdn, FqdnPattern, TargetFqdn};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// Most names that one entry of a tag may come to once its placeholders are bound.
pub(super) const MAX_NAMES_PER_ENTRY: usize = 10_000;

/// The placeholder that `--allow TAG=a,b` binds, whatever the tag calls it.
const RESOURCE: &str = "resource";

/// How a tag is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// Placeholder to values; `resource` means the tag's main placeholder. A list that is empty admits nothing.
    pub values: BTreeMap<String, Vec<String>>,
    /// Wildcards over a multi-tenant suffix that a bound tag keeps all the same.
    pub keep: Vec<String>,
    /// Conditional and optional entries to add, and clouds (`public`, `usgov`, `china`); no cloud is `public`.
    pub features: Vec<String>,
}

/// What a tag comes to.
#[derive(Clone, Debug, Default)]
pub struct Narrowed {
    /// What an application rule that names the tag admits.
    pub targets: Vec<TargetFqdn>,
    /// What was chosen and is not among them.
    pub left_out: Vec<LeftOut>,
    /// Placeholders that were bound and stand in no entry that was chosen.
    pub unused: Vec<Unused>,
    /// Features that were asked for and add nothing: all their entries are left out, or of another cloud.
    pub idle: Vec<String>,
}

/// An entry that was chosen and admits nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The entry as documented.
    pub pattern: String,
    /// Why.
    pub why: WhyLeftOut,
}

/// Why an entry admits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyLeftOut {
    /// The tag is bound, and the entry is a wildcard that admits every tenant's names.
    EveryTenant,
    /// TCP or UDP, which no application rule matches.
    NotHttp,
    /// Its star stands where neither egret nor Azure Firewall can have one.
    InnerStar,
    /// It stands for a whole host, which is not bound.
    HostNotBound,
}

impl fmt::Display for WhyLeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EveryTenant => "admits every tenant's names; `keep` would keep it",
            Self::NotHttp => "is TCP or UDP, for network rules",
            Self::InnerStar => "has its star where no rule can have one",
            Self::HostNotBound => "stands for a host of yours, which is not bound",
        })
    }
}

/// A placeholder that was bound for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// As it was written.
    pub placeholder: String,
    /// The features, and clouds, whose entries have it.
    pub features: Vec<String>,
}

impl FqdnTag {
    /// What a rule that names this tag admits.
    ///
    /// - Nothing bound: each placeholder is a wildcard, marked wide; one that stands for a whole host admits nothing.
    /// - Something bound: exactly the bound names; wildcards over a multi-tenant suffix are dropped unless `keep` names
    ///   them. An entry whose placeholder is left unbound is an error.
    ///
    /// Entries that no application rule can match (TCP, UDP, a star inside a label) are left out.
    pub fn narrow(&self, binding: &Binding) -> Result<Narrowed, TagError> {
        let values = self.values(&binding.values)?;
        self.check_features(&binding.features)?;
        let mut held: Vec<(&Endpoint, TargetFqdn)> = Vec::new();
        let mut left_out = Vec::new();
        for endpoint in self.selected(&binding.features) {
            match self.targets(endpoint, &values)? {
                Ok(targets) => held.extend(targets.into_iter().map(|target| (endpoint, target))),
                Err(why) => left_out.push(left(endpoint, why)),
            }
        }
        let kept = self.kept(&binding.keep, &held)?;
        if !binding.values.is_empty() {
            held.retain(|(endpoint, target)| {
                let holds = !target.wide || kept.contains(&target.pattern);
                if !holds {
                    left_out.push(left(endpoint, WhyLeftOut::EveryTenant));
                }
                holds
            });
        }
        let feature = |(endpoint, _): &(&Endpoint, _)| endpoint.feature.clone();
        let adding: BTreeSet<String> = held.iter().filter_map(feature).collect();
        let idle = binding
            .features
            .iter()
            .filter(|name| !adding.contains(*name) && !Cloud::named(name));
        Ok(Narrowed {
            idle: idle.cloned().collect(),
            targets: held.into_iter().map(|(_, target)| target).collect(),
            left_out,
            unused: self.unused(binding),
        })
    }

    /// The placeholders that a binding with these features has to fill.
    pub fn open(&self, features: &[String]) -> BTreeSet<&str> {
        self.selected(features).flat_map(Endpoint::placeholders).collect()
    }

    /// The entries that a binding with these features holds.
    pub(super) fn selected<'a>(&'a self, features: &[String]) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.selected_by(features))
    }

    /// What one entry admits, or why it admits nothing.
    fn targets(
        &self,
        endpoint: &Endpoint,
        values: &Values<'_>,
    ) -> Result<Result<Vec<TargetFqdn>, WhyLeftOut>, TagError> {
        let Some(ports) = endpoint.application_ports() else {
            return Ok(Err(WhyLeftOut::NotHttp));
        };
        let Some(template) = endpoint.template() else {
            return Ok(Err(WhyLeftOut::InnerStar));
        };
        let target = |(pattern, open): (FqdnPattern, bool)| TargetFqdn {
            wide: open || self.tenants.of(&pattern).is_some(),
            pattern,
            tag: Some(Arc::clone(&self.name)),
            ports: Some(ports.clone()),
        };
        let patterns = self.expand(template, values)?;
        Ok(patterns.map(|patterns| patterns.into_iter().map(target).collect()))
    }

    /// The patterns of an entry, each with whether it stands for an unbound placeholder.
    fn expand(&self, template: &Template, values: &Values<'_>) -> Result<Result<Expanded, WhyLeftOut>, TagError> {
        match template.placeholders().find(|name| !values.contains_key(name)) {
            None => self.bound(template, values).map(Ok),
            Some(missing) if template.is_host(missing) => Ok(Err(WhyLeftOut::HostNotBound)),
            Some(_) if values.is_empty() => Ok(Ok(vec![(template.widened(), true)])),
            Some(missing) => Err(TagError::Unbound {
                tag: self.name.clone(),
                pattern: template.to_string(),
                placeholder: missing.to_owned(),
            }),
        }
    }

    fn bound(&self, template: &Template, values: &Values<'_>) -> Result<Expanded, TagError> {
        let mut placeholders: Vec<&str> = template.placeholders().collect();
        placeholders.sort_unstable();
        placeholders.dedup();
        let lengths = placeholders.iter().map(|name| values[name].len());
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

    /// The wildcards to keep, each of them one that the tag holds.
    fn kept(&self, keep: &[String], held: &[(&Endpoint, TargetFqdn)]) -> Result<Vec<FqdnPattern>, TagError> {
        let wildcards = || {
            let wide = held.iter().filter(|(_, target)| target.wide);
            wide.map(|(_, target)| &target.pattern)
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

    /// The binding under the names of the tag's own placeholders, its values checked and in normal form.
    fn values<'a>(&'a self, written: &'a BTreeMap<String, Vec<String>>) -> Result<Values<'a>, TagError> {
        let mut values = Values::new();
        for (name, texts) in written {
            let own = self.own_name(name).ok_or_else(|| TagError::UnknownPlaceholder {
                tag: self.name.clone(),
                placeholder: name.clone(),
                known: self.placeholders().into_iter().map(str::to_owned).collect(),
            })?;
            let host = self
                .endpoints
                .iter()
                .filter_map(Endpoint::template)
                .any(|t| t.is_host(own));
            let value = |text: &String| {
                let checked = if host { host_value(text) } else { label_value(text) };
                checked.map_err(|fault| TagError::BadValue {
                    tag: self.name.clone(),
                    placeholder: own.to_owned(),
                    value: text.clone(),
                    fault,
                })
            };
            let texts: Vec<String> = texts.iter().map(value).collect::<Result<_, _>>()?;
            values.entry(own).or_default().extend(texts);
        }
        Ok(values)
    }

    /// The tag's own name of a placeholder as it is written in a binding.
    fn own_name(&self, written: &str) -> Option<&str> {
        let main = self.placeholder.as_deref().filter(|_| written == RESOURCE);
        self.placeholders().get(written).copied().or(main)
    }

    fn unused(&self, binding: &Binding) -> Vec<Unused> {
        let has = |endpoint: &Endpoint, name: &str| endpoint.placeholders().any(|own| own == name);
        let unused = |written: &String| {
            let own = self.own_name(written)?;
            if self.selected(&binding.features).any(|endpoint| has(endpoint, own)) {
                return None;
            }
            let holding = self.endpoints.iter().filter(|endpoint| has(endpoint, own));
            let features: BTreeSet<&str> = holding
                .map(|endpoint| endpoint.feature.as_deref().unwrap_or(endpoint.cloud.name()))
                .collect();
            Some(Unused {
                placeholder: written.clone(),
                features: features.into_iter().map(str::to_owned).collect(),
            })
        };
        binding.values.keys().filter_map(unused).collect()
    }

    fn check_features(&self, features: &[String]) -> Result<(), TagError> {
        let mut known = self.features();
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

/// Patterns, each with whether it stands for an unbound placeholder.
type Expanded = Vec<(FqdnPattern, bool)>;

fn left(endpoint: &Endpoint, why: WhyLeftOut) -> LeftOut {
    LeftOut {
        pattern: endpoint.pattern(),
        why,
    }
}

fn host_value(text: &str) -> Result<String, TemplateFault> {
    Fqdn::from_config(text)
        .map(|name| name.to_string())
        .map_err(TemplateFault::Name)
}
