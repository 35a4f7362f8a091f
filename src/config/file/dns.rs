//! Forwarders, zones, records, and what private endpoints are taken for, as written.

use super::super::at::At;
use super::Texts;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `[dns]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Servers of every name without a zone of its own, `address` or `address:port`. Default: those of `/etc/resolv.conf`.
    pub forwarders: Texts,
    /// A server silent for this long is asked again and the next one of its zone beside it, in milliseconds. Default 500.
    #[schemars(range(min = 50, max = 60_000))]
    pub try_ms: Option<At<i64>>,
    /// Time for a whole resolution, in milliseconds. Default 5000.
    #[schemars(range(min = 100, max = 60_000))]
    pub total_ms: Option<At<i64>>,
    /// Bounds on what is remembered.
    #[serde(default)]
    pub cache: DnsCache,
    /// Conditional forwarders: the longest suffix wins.
    #[serde(default)]
    pub zone: Vec<DnsZone>,
    /// Static records: answered before any zone.
    #[serde(default)]
    pub record: Vec<DnsRecord>,
}

/// `[dns.cache]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsCache {
    /// Answers with a shorter TTL are kept this long, in seconds. Default 0.
    #[schemars(range(min = 0, max = 3_600))]
    pub min_ttl_seconds: Option<At<i64>>,
    /// Answers with a longer TTL are kept this long, in seconds. Default 3600, as Azure Firewall's.
    #[schemars(range(min = 0, max = 86_400))]
    pub max_ttl_seconds: Option<At<i64>>,
    /// Longest time that "no such name" is kept, in seconds. Default 30; Azure Firewall: 1800.
    #[schemars(range(min = 0, max = 3_600))]
    pub negative_ttl_seconds: Option<At<i64>>,
    /// How long a failure of all servers is kept, in seconds. Default 2 (RFC 9520 asks for 1 to 300).
    #[schemars(range(min = 1, max = 300))]
    pub failure_seconds: Option<At<i64>>,
}

/// `[[dns.zone]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsZone {
    /// Suffix of the names that it answers, itself included. Forward the public zone, not `privatelink.`.
    #[schemars(required, length(min = 1))]
    pub name: Option<At<String>>,
    /// Its servers in order, `address` or `address:port`.
    #[schemars(required)]
    pub forwarders: Texts,
    /// Private addresses that its servers answer are trusted for names of this zone. Default false.
    pub private: Option<bool>,
    /// Where they must lie. Default `private_endpoints.networks`.
    pub networks: Texts,
}

/// `[[dns.record]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsRecord {
    /// The name.
    #[schemars(required, length(min = 1))]
    pub name: Option<At<String>>,
    /// IPv4 addresses.
    pub a: Texts,
    /// IPv6 addresses.
    pub aaaa: Texts,
    /// The name that this one stands for; then no addresses.
    pub cname: Option<At<String>>,
    /// Seconds. Default 300.
    #[schemars(range(min = 0, max = 604_800))]
    pub ttl: Option<At<i64>>,
    /// Its private addresses are trusted for this name. Default false.
    pub private: Option<bool>,
    /// Where they must lie. Default `private_endpoints.networks`.
    pub networks: Texts,
}

/// `[private_endpoints]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivateEndpointsSection {
    /// What is asked of a name that has a private-link zone. Default `off`.
    pub mode: Option<PrivateEndpoints>,
    /// Where private endpoints live. Default: every private range.
    pub networks: Texts,
    /// `mode` for the names of one FQDN tag: `AzureOpenAI = "require"`. A rule's own `private_endpoints` goes before it.
    pub tags: Option<BTreeMap<String, At<PrivateEndpoints>>>,
}

/// `private_endpoints`, for all names or those of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrivateEndpoints {
    /// It must end in trusted private addresses, or it is denied with `PublicResolution`.
    Require,
    /// Public answers are used and recorded.
    Log,
    /// Nothing is asked.
    Off,
}
