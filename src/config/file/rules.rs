//! Rule collection groups, collections and rules, as written.

use super::super::at::At;
use super::{Mode, PrivateEndpoints, Texts};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[parent_policy]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParentPolicy {
    /// `Policy` of its rows.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// Its groups: inside each kind of rules they are judged before ours.
    #[serde(default)]
    pub rule_collection_group: Vec<Group>,
}

/// `[[rule_collection_group]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// Place among the groups, low first.
    #[schemars(required, range(min = 100, max = 65_000))]
    pub priority: Option<At<i64>>,
    /// Application rule collections.
    #[serde(default)]
    pub application_rule_collection: Vec<Collection<ApplicationRule>>,
    /// Network rule collections.
    #[serde(default)]
    pub network_rule_collection: Vec<Collection<NetworkRule>>,
    /// DNAT rule collections.
    #[serde(default)]
    pub nat_rule_collection: Vec<NatCollection>,
}

/// A rule collection: rules of one kind with one action.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "R: Deserialize<'de>")]
pub struct Collection<R> {
    /// Its name.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// Place among the collections of its kind in the group, low first.
    #[schemars(required, range(min = 100, max = 65_000))]
    pub priority: Option<At<i64>>,
    /// What a match means.
    #[schemars(required)]
    pub action: Option<Action>,
    /// `audit` for this collection alone: what it denies is recorded, and judged on. Default: the global mode.
    pub mode: Option<At<Mode>>,
    /// Its rules, judged top down.
    #[serde(default)]
    pub rule: Vec<R>,
}

/// `action` of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Action {
    /// Let it through.
    Allow,
    /// Refuse it.
    Deny,
}

/// A rule of an `application_rule_collection`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationRule {
    /// Its name.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// For people.
    pub description: Option<String>,
    /// What is spoken on which ports. Default `Https` 443.
    pub protocols: Option<At<Vec<Protocol>>>,
    /// Addresses, prefixes, ranges, or `*`. With no sources at all: anyone (loopback listeners only).
    pub source_addresses: Texts,
    /// Names of `ip_groups`.
    pub source_ip_groups: Texts,
    /// Names, with a star at the far left only.
    pub destination_fqdns: Texts,
    /// FQDN tags of the catalogue.
    pub destination_fqdn_tags: Texts,
    /// A star over a whole top-level domain or a suffix that tenants share, or `*`, is meant. Default false.
    pub allow_wide: Option<bool>,
    /// Private prefixes that these names may resolve into, whatever server answered.
    pub resolves_into: Texts,
    /// Overrides `private_endpoints.mode` for names that this rule admits.
    pub private_endpoints: Option<PrivateEndpoints>,
}

/// A protocol with its port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// What is spoken.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub kind: Option<ProtocolType>,
    /// TCP port. Default 443 for `Https`, 80 for `Http`.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<At<i64>>,
}

/// `type` of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ProtocolType {
    /// Plain HTTP, matched by the request's host.
    Http,
    /// TLS, matched by SNI.
    Https,
}

/// A rule of a `network_rule_collection`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkRule {
    /// Its name.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// For people.
    pub description: Option<String>,
    /// IP protocols.
    #[schemars(required)]
    pub protocols: Option<Vec<IpProtocol>>,
    /// Addresses, prefixes, ranges, or `*`.
    pub source_addresses: Texts,
    /// Names of `ip_groups`.
    pub source_ip_groups: Texts,
    /// Addresses, prefixes, ranges, service tags, or `*`.
    pub destination_addresses: Texts,
    /// Names of `ip_groups`.
    pub destination_ip_groups: Texts,
    /// Exact names, compared by resolved address.
    pub destination_fqdns: Texts,
    /// Ports and ranges (`443`, `8000-8100`), or `*`.
    #[schemars(required)]
    pub destination_ports: Texts,
}

impl NetworkRule {
    /// It is for TCP, be it among others.
    pub fn names_tcp(&self) -> bool {
        let mut protocols = self.protocols.iter().flatten();
        protocols.any(|protocol| matches!(protocol, IpProtocol::TCP | IpProtocol::Any))
    }
}

/// `protocols` of a network or DNAT rule. `Any` is every IP protocol; with an explicit port TCP and UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum IpProtocol {
    TCP,
    UDP,
    ICMP,
    Any,
}

/// `[[nat_rule_collection]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatCollection {
    /// Its name.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// Place among the DNAT collections of the group, low first.
    #[schemars(required, range(min = 100, max = 65_000))]
    pub priority: Option<At<i64>>,
    /// Always `Dnat`.
    #[schemars(required)]
    pub action: Option<NatAction>,
    /// Its rules, judged top down.
    #[serde(default)]
    pub rule: Vec<NatRule>,
}

/// `action` of a DNAT collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum NatAction {
    /// The destination is translated.
    Dnat,
}

/// A rule of a `nat_rule_collection`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatRule {
    /// Its name.
    #[schemars(required, length(min = 1, max = 80))]
    pub name: Option<At<String>>,
    /// For people.
    pub description: Option<String>,
    /// IP protocols.
    #[schemars(required)]
    pub protocols: Option<Vec<IpProtocol>>,
    /// Addresses, prefixes, ranges, or `*`.
    pub source_addresses: Texts,
    /// Names of `ip_groups`.
    pub source_ip_groups: Texts,
    /// Address that is translated.
    pub destination_address: Option<At<String>>,
    /// Addresses that are translated, where there are several.
    pub destination_addresses: Texts,
    /// Ports and ranges that are translated.
    #[schemars(required)]
    pub destination_ports: Texts,
    /// Address it is sent to.
    pub translated_address: Option<At<String>>,
    /// Name it is sent to, instead of an address.
    pub translated_fqdn: Option<At<String>>,
    /// Port it is sent to.
    #[schemars(required, range(min = 1, max = 65_535))]
    pub translated_port: Option<At<i64>>,
}
