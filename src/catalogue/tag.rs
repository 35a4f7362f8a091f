//! [`FqdnTag`]: one tag as its files say, and why it cannot be narrowed as it was asked.

use super::{
    file::{Endpoint, Source},
    template::TemplateFault,
    tenants::Tenants,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

    /// What its entries leave open, each placeholder once.
    pub fn placeholders(&self) -> BTreeSet<&str> {
        self.endpoints.iter().flat_map(Endpoint::placeholders).collect()
    }

    /// The features that conditional and optional entries come with.
    pub fn features(&self) -> BTreeSet<&str> {
        self.endpoints
            .iter()
            .filter_map(|endpoint| endpoint.feature.as_deref())
            .collect()
    }
}
