//! The policy model: what a checked configuration says, before it is compiled.
//!
//! Pure: no IO, no clock, no async, no tracing. The field names are those of Azure Firewall and of Terraform's `azurerm`
//! provider. [`compile`] turns a [`Policy`] into a [`CompiledPolicy`], which [`decide`] and [`vet`] read.

mod address;
pub mod analysis;
pub mod answer;
pub mod compile;
pub mod decide;
pub mod fqdn;
mod names;
pub mod private_link;
pub mod reason;
mod sources;
pub mod vet;

pub use answer::{Answer, AnswerAddress, Link};
pub use compile::CompiledPolicy;
pub use decide::{Attempt, Decision, Expected, NoTrace, RuleOutcome, Trace};
pub use fqdn::{Fqdn, FqdnPattern, Host, HostError, NameFault, PatternError};
pub use private_link::PrivateLinkZones;
pub use reason::Reason;
pub use vet::{AddressPlan, Refusal, Vetted};

use ipnet::IpNet;
use std::{collections::BTreeMap, sync::Arc};

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
    /// These prefixes, the rule's own and those of its IP groups.
    Nets(Vec<IpNet>),
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

/// A network rule: its type and place in the order exist; its matching comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    /// Its name.
    pub name: Arc<str>,
    /// Who it speaks of.
    pub sources: Sources,
    /// `TCP`, `UDP`, `ICMP`, `Any`.
    pub ip_protocols: Vec<Arc<str>>,
    /// Destination prefixes.
    pub destination_addresses: Vec<IpNet>,
    /// Exact names, compared by resolved address.
    pub destination_fqdns: Vec<Fqdn>,
    /// Inclusive port ranges.
    pub destination_ports: Vec<(u16, u16)>,
}

/// A DNAT rule: its type and place in the order exist; its matching comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatRule {
    /// Its name.
    pub name: Arc<str>,
    /// Who it speaks of.
    pub sources: Sources,
    /// Destination prefixes.
    pub destination_addresses: Vec<IpNet>,
    /// Inclusive port ranges.
    pub destination_ports: Vec<(u16, u16)>,
    /// Where it is sent.
    pub translated_address: Arc<str>,
    /// To which port.
    pub translated_port: u16,
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

/// A whole policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Name in rows.
    pub name: Arc<str>,
    /// Global audit.
    pub mode: Mode,
    /// Groups of the parent policy: judged before our own inside each kind, whatever the priorities.
    pub parent_groups: Vec<RuleCollectionGroup>,
    /// Our own groups.
    pub groups: Vec<RuleCollectionGroup>,
    /// IP groups by name, for rows and `explain`; rules hold their members already.
    pub ip_groups: BTreeMap<Arc<str>, Vec<IpNet>>,
}

/// The names that a row says of the rule that decided: the four columns of Azure's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub struct RuleId(pub u32);
