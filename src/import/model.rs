//! What an importer makes: policies in egret's terms, still as texts, each with its place. [`super::toml`] writes it down.

use super::{path::Path, value::Place};
use crate::policy::Action;

/// Where something came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub path: Path,
    pub at: Place,
}

/// A policy with its groups in the order of the files.
#[derive(Debug)]
pub(super) struct Policy {
    pub name: String,
    pub groups: Vec<Group>,
}

impl Policy {
    /// Whether any collection denies.
    pub fn denies(&self) -> bool {
        let collections = self.groups.iter().flat_map(|group| &group.collections);
        let denies = |rules: &Rules| {
            matches!(
                rules,
                Rules::Network(Action::Deny, _) | Rules::Application(Action::Deny, _)
            )
        };
        collections.into_iter().any(|collection| denies(&collection.rules))
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub name: String,
    pub priority: u16,
    pub collections: Vec<Collection>,
    pub origin: Origin,
}

#[derive(Debug)]
pub(super) struct Collection {
    pub name: String,
    pub priority: u16,
    pub rules: Rules,
    pub origin: Origin,
}

/// DNAT rules translate and let through: they have no action of their own.
#[derive(Debug)]
pub(super) enum Rules {
    Nat(Vec<NatRule>),
    Network(Action, Vec<NetworkRule>),
    Application(Action, Vec<ApplicationRule>),
}

/// `None`: not written. A written list that is empty matches nobody.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub addresses: Option<Vec<String>>,
    pub ip_groups: Option<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct ApplicationRule {
    pub name: String,
    pub description: Option<String>,
    pub sources: Sources,
    /// `Http` or `Https`, and the port.
    pub protocols: Vec<(&'static str, u16)>,
    pub fqdns: Option<Vec<String>>,
    pub fqdn_tags: Option<Vec<String>>,
    pub allow_wide: bool,
    pub origin: Origin,
}

#[derive(Debug)]
pub(super) struct NetworkRule {
    pub name: String,
    pub description: Option<String>,
    pub sources: Sources,
    pub protocols: Vec<&'static str>,
    pub addresses: Option<Vec<String>>,
    pub ip_groups: Option<Vec<String>>,
    pub fqdns: Option<Vec<String>>,
    pub ports: Vec<String>,
    pub origin: Origin,
}

#[derive(Debug)]
pub(super) struct NatRule {
    pub name: String,
    pub description: Option<String>,
    pub sources: Sources,
    pub protocols: Vec<&'static str>,
    pub addresses: Vec<String>,
    pub ports: Vec<String>,
    /// An address or a name.
    pub translated: String,
    pub translated_port: u16,
    pub origin: Origin,
}

#[derive(Debug)]
pub(super) struct IpGroup {
    pub name: String,
    pub members: Vec<String>,
    pub origin: Origin,
}

/// Threat intelligence as the policies together ask for it.
#[derive(Debug)]
pub(super) struct ThreatIntelligence {
    pub mode: &'static str,
    pub files: Vec<String>,
    pub allowed_addresses: Vec<String>,
    pub allowed_fqdns: Vec<String>,
}

/// Everything that goes into the TOML.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Root parent first; the last is the policy itself.
    pub policies: Vec<Policy>,
    pub ip_groups: Vec<IpGroup>,
    pub threat_intelligence: Option<ThreatIntelligence>,
    pub service_tags: Option<String>,
    /// Denials of Azure's that are not carried out here, as the report names them.
    pub not_enforced: Vec<String>,
}
