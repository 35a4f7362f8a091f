//! The policy model: what a checked configuration says, before it is compiled.
//!
//! Pure: no IO, no clock, no async, no tracing. The field names are those of Azure Firewall and of Terraform's `azurerm`
//! provider. [`compile`] turns a [`Policy`] into a [`CompiledPolicy`], which [`decide`] and [`vet`] read.

mod address;
pub mod analysis;
pub mod answer;
pub mod audit;
pub mod compile;
pub mod decide;
pub mod evaluate;
pub mod fqdn;
pub mod led;
mod names;
pub mod network;
pub mod nsg;
mod packet;
pub mod private_link;
pub mod reason;
pub mod service_tags;
mod sources;
pub mod threat;
pub mod vet;

pub use address::is_never_dialled;
pub use answer::{Answer, AnswerAddress, Link};
pub use audit::Audited;
pub use compile::CompiledPolicy;
pub use decide::{Attempt, Decision, Expected, NoTrace, RuleOutcome, Trace};
pub use evaluate::{DecidedBy, Evaluation, FlowAttempt, Resolved, Via};
pub use fqdn::{Fqdn, FqdnPattern, Host, HostError, NameFault, PatternError};
pub use led::Led;
pub use network::{Destinations, IpProtocol, NatRule, NetworkRule, PortRange, ServiceTag, Translated, Transport};
pub use packet::Misses;
pub use private_link::PrivateLinkZones;
pub use reason::Reason;
pub use service_tags::ServiceTags;
pub use threat::{Threat, ThreatIntelligence, ThreatMode};
pub use vet::{AddressPlan, Refusal, Vetted};

use ipnet::IpNet;
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

/// What a rule collection does with what its rules match (Azure: `action.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Let it through.
    Allow,
    /// Refuse it.
    Deny,
}

/// Whether denials are carried out or only recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Denials are carried out.
    #[default]
    Enforce,
    /// `NoRuleMatched` and matching Deny rules are let through and recorded as what they would have been.
    Audit,
}

/// Protocol of an application rule (Azure: `protocolType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain HTTP, matched by the request's host.
    Http,
    /// TLS, matched by SNI.
    Https,
}

/// A protocol with its port: `{ type = "Https", port = 443 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolPort {
    /// What is spoken.
    pub protocol: Protocol,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

/// Priority of a group or collection: 100 (first) to 65000 (last).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u16);

impl Priority {
    /// `None` outside 100..=65000 (Azure Firewall, rule collection group schema).
    pub fn new(value: u16) -> Option<Self> {
        (100..=65000).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub fn value(self) -> u16 {
        self.0
    }
}

/// Who a rule speaks of. A list that was written but came out empty matches nothing; only an absent list or `*` is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// `*` was written, or the rule names no source (allowed on loopback listeners only).
    Any {
        /// `*` was written, not left out.
        written: bool,
    },
    /// These prefixes, the rule's own and those of its IP groups. Rules that name the same groups share them.
    Nets(Arc<Vec<IpNet>>),
}

impl From<Vec<IpNet>> for Sources {
    fn from(nets: Vec<IpNet>) -> Self {
        Self::Nets(Arc::new(nets))
    }
}

/// Which names an application rule admits: a pattern of the rule, or of one of its FQDN tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFqdn {
    /// The pattern.
    pub pattern: FqdnPattern,
    /// The tag it comes from, if any.
    pub tag: Option<Arc<str>>,
    /// Ports of a tag entry: intersected with the rule's protocols. `None`: the rule's protocols alone.
    pub ports: Option<Vec<ProtocolPort>>,
    /// The pattern stands for an unbound placeholder: it admits every tenant's resource (`egret.wide`).
    pub wide: bool,
}

/// What `private_endpoints.mode` asks of a name that has a private-link zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PrivateEndpoints {
    /// It must end in trusted private addresses, or it is `PublicResolution`.
    Require,
    /// Public answers are used and recorded.
    Log,
    /// Nothing is asked.
    #[default]
    Off,
}

/// An application rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRule {
    /// Its name.
    pub name: Arc<str>,
    /// Who it speaks of.
    pub sources: Sources,
    /// What is spoken, on which ports.
    pub protocols: Vec<ProtocolPort>,
    /// The names, own and from tags. Empty matches nothing.
    pub targets: Vec<TargetFqdn>,
    /// Private prefixes that these names may resolve into, whatever zone answered.
    pub resolves_into: Vec<IpNet>,
    /// Overrides the global mode for names that this rule admits.
    pub private_endpoints: Option<PrivateEndpoints>,
}

/// The rules of a collection: one kind only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// `nat_rule_collection`
    Nat(Vec<NatRule>),
    /// `network_rule_collection`
    Network(Vec<NetworkRule>),
    /// `application_rule_collection`
    Application(Vec<ApplicationRule>),
}

impl Rules {
    /// Of which kind they are.
    pub fn kind(&self) -> DecidedBy {
        match self {
            Self::Nat(_) => DecidedBy::Nat,
            Self::Network(_) => DecidedBy::Network,
            Self::Application(_) => DecidedBy::Application,
        }
    }
}

/// A rule collection: rules of one kind with one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCollection {
    /// Its name.
    pub name: Arc<str>,
    /// Place inside the group and kind, low first.
    pub priority: Priority,
    /// What a match means.
    pub action: Action,
    /// Audit for this collection alone.
    pub mode: Mode,
    /// The rules, judged top down.
    pub rules: Rules,
}

/// A rule collection group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCollectionGroup {
    /// Its name.
    pub name: Arc<str>,
    /// Place among the groups of its policy, low first.
    pub priority: Priority,
    /// Collections in written order; equal priorities keep it.
    pub collections: Vec<RuleCollection>,
}

/// A parent policy: its groups are judged before the child's inside each kind, whatever the priorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentPolicy {
    /// Name in rows.
    pub name: Arc<str>,
    /// Its groups. One may have the name of a group of the child.
    pub groups: Vec<RuleCollectionGroup>,
}

/// A whole policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Name in rows.
    pub name: Arc<str>,
    /// Global audit.
    pub mode: Mode,
    /// Judged before every rule.
    pub threat_intelligence: ThreatIntelligence,
    /// Parent policies, the root first.
    pub parents: Vec<ParentPolicy>,
    /// Our own groups.
    pub groups: Vec<RuleCollectionGroup>,
    /// The built-in infrastructure collection as data: judged after the last application rule, before default deny.
    pub infrastructure: Vec<FqdnPattern>,
    /// Network rules judge explicit flows too, before application rules. Azure's do not.
    pub explicit_network_rules: bool,
    /// What denies in the policy that this one was imported from, and is not carried out here.
    pub not_enforced: Vec<Arc<str>>,
    /// IP groups by name, for rows and `explain`; rules hold their members already.
    pub ip_groups: BTreeMap<Arc<str>, Vec<IpNet>>,
    /// What rules say beside what they match: an export says it again.
    pub wording: BTreeMap<(DecidedBy, RuleRef), Wording>,
}

/// What a rule says beside what it matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wording {
    /// For people.
    pub description: Option<Arc<str>>,
    /// The IP groups that it names; it holds their members.
    pub source_ip_groups: Vec<Arc<str>>,
    /// Those among the destinations of a network rule.
    pub destination_ip_groups: Vec<Arc<str>>,
}

impl Policy {
    /// The policies in the order in which they are judged inside each kind, with their groups as written: parents from the
    /// root down, then our own.
    pub fn chain(&self) -> impl Iterator<Item = (&Arc<str>, &[RuleCollectionGroup])> {
        let parents = self.parents.iter().map(|parent| (&parent.name, &parent.groups[..]));
        parents.chain([(&self.name, &self.groups[..])])
    }

    /// The destination FQDNs of network rules.
    pub fn names_in_network_rules(&self) -> impl Iterator<Item = &Fqdn> {
        let rules = self.collections().flat_map(|collection| match &collection.rules {
            Rules::Network(rules) => rules.as_slice(),
            Rules::Application(_) | Rules::Nat(_) => &[],
        });
        rules.flat_map(|rule| &rule.destinations.fqdns)
    }

    /// The collections of all policies of the chain, as written.
    pub fn collections(&self) -> impl Iterator<Item = &RuleCollection> + Clone {
        let parents = self.parents.iter().flat_map(|parent| &parent.groups);
        parents.chain(&self.groups).flat_map(|group| &group.collections)
    }
}

/// The names that a row says of the rule that decided: the four columns of Azure's tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleRef {
    /// `Policy`
    pub policy: Arc<str>,
    /// `RuleCollectionGroup`
    pub group: Arc<str>,
    /// `RuleCollection`
    pub collection: Arc<str>,
    /// `Rule`
    pub rule: Arc<str>,
}

/// Index of a rule in its [`CompiledPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(NonZeroU32);

impl RuleId {
    /// The rule of this rank, from 0. Rules are counted in 31 bits.
    pub const fn new(index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    /// Its rank, from 0.
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}
