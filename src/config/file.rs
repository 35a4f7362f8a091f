//! [`FileConfig`]: the TOML as written, field for field.
//!
//! The field names are those of Terraform's `azurerm` provider where it has one. The doc comments and ranges here become the
//! JSON Schema (`egret schema`), and [`super::structure`] holds every file against that schema; so what is said here of a
//! key is what users are told of it. Lists tell absent from empty: an absent list of sources is any, an empty one nobody.

mod dns;
mod rules;

use super::{
    at::At,
    settings::{DenyDetail, DenyResponse, EchPolicy, Level, LogFormat, OnFull, SniMismatch},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

pub use dns::*;
pub use rules::*;

/// A list of texts, each with its place.
pub type Texts = Option<At<Vec<At<String>>>>;

/// A `[fqdn_tag.X]` section: placeholder to values, and the two keys `keep` and `features`.
pub type Binding = At<BTreeMap<String, At<Vec<At<String>>>>>;

/// Configuration of egret, an egress firewall.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "egret.toml")]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// `audit`: denials by policy are let through and recorded. Default `enforce`.
    pub mode: Option<At<Mode>>,
    /// Network rules judge the proxy port too, before application rules: addresses, and exact `destination_fqdns`. Default false, as in Azure.
    pub explicit_network_rules: Option<At<bool>>,
    /// Where egret listens.
    #[serde(default)]
    pub listeners: Listeners,
    /// How the proxy port judges and answers.
    #[serde(default)]
    pub proxy: Proxy,
    /// Forwarders, zones and static records.
    #[serde(default)]
    pub dns: Dns,
    /// Names with a private-link zone.
    #[serde(default)]
    pub private_endpoints: PrivateEndpointsSection,
    /// Named lists of addresses, prefixes and ranges, for `source_ip_groups`.
    #[serde(default)]
    pub ip_groups: BTreeMap<String, At<Vec<At<String>>>>,
    /// A policy of Azure Firewall in JSON, beside the rules of this file.
    #[serde(default)]
    pub policy: PolicySection,
    /// Narrowing of FQDN tags: per tag, placeholder to values, and `keep`, `features`.
    #[serde(default)]
    pub fqdn_tag: BTreeMap<String, Binding>,
    /// Where FQDN tags come from.
    #[serde(default)]
    pub catalogue: Catalogue,
    /// Service tags for `destination_addresses` of network rules.
    #[serde(default)]
    pub service_tags: ServiceTags,
    /// Lists of known-bad addresses and names, judged before every rule.
    #[serde(default)]
    pub threat_intelligence: ThreatIntelligence,
    /// Parent policies, the root first.
    #[serde(default)]
    pub parent_policy: Vec<ParentPolicy>,
    /// Rule collection groups.
    #[serde(default)]
    pub rule_collection_group: Vec<Group>,
    /// Application rule collections of the implicit group `default`, priority 1000.
    #[serde(default)]
    pub application_rule_collection: Vec<Collection<ApplicationRule>>,
    /// Network rule collections of the implicit group `default`, priority 1000.
    #[serde(default)]
    pub network_rule_collection: Vec<Collection<NetworkRule>>,
    /// DNAT rule collections of the implicit group `default`, priority 1000.
    #[serde(default)]
    pub nat_rule_collection: Vec<NatCollection>,
    /// Names that Azure's built-in infrastructure collection admits.
    #[serde(default)]
    pub infrastructure: Infrastructure,
    /// Decision rows and diagnostics.
    #[serde(default)]
    pub log: Log,
    /// What Azure's columns say of the firewall itself.
    #[serde(default)]
    pub azure: Azure,
    /// Bounds on sizes, times and counts.
    #[serde(default)]
    pub limits: Limits,
    /// Lab only.
    #[serde(default)]
    pub dial: Dial,
}

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Denials are carried out.
    #[default]
    Enforce,
    /// Denials by policy are let through and recorded as what they would have been.
    Audit,
}

/// `[listeners]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// HTTP proxy port, `address:port`. Default `127.0.0.1:3128` and `[::1]:3128`.
    pub proxy: Texts,
    /// `/healthz` and `/readyz` only; may be any address. Default `127.0.0.1:9181`.
    pub health: Texts,
    /// Metrics, policy, flows; loopback only. Default `127.0.0.1:9180`.
    pub admin: Texts,
}

/// `[proxy]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// A ClientHello that names another host than the CONNECT. Default `deny`.
    pub sni_mismatch: Option<SniMismatch>,
    /// A ClientHello with Encrypted Client Hello. Default `outer`.
    pub ech: Option<EchPolicy>,
    /// Wording of a denial. Default `egret`.
    pub deny_response: Option<DenyResponse>,
    /// How much a denial tells the client. Default `full`.
    pub deny_detail: Option<DenyDetail>,
}

/// `[catalogue]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Folder of tag files of your own, beside those that are built in; relative to this file. Read at start and at reload.
    #[schemars(length(min = 1))]
    pub folder: Option<At<String>>,
}

/// `[policy]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySection {
    /// Files that hold an Azure Firewall policy together (ARM templates, what `az` prints), relative to this file. Watched like it.
    pub azure_firewall: Texts,
    /// Values for the parameters of the templates: a deploymentParameters file.
    #[schemars(length(min = 1))]
    pub parameters: Option<At<String>>,
    /// Values for single parameters, before those of the file.
    #[serde(default)]
    pub set: BTreeMap<String, At<String>>,
    /// The policy that is meant, if the files hold several that are nobody's parent. Default: the first.
    #[schemars(length(min = 1))]
    pub name: Option<At<String>>,
    /// Load although something that denies in Azure cannot be enforced here: health, a metric and the start name it. Default false.
    pub partial: Option<bool>,
    /// What rules that need TLS inspection do. Default `deny`.
    pub uninspected: Option<Uninspected>,
    /// Two groups, or two collections of a kind in a group, of one priority. Default `error`.
    pub equal_priorities: Option<EqualPriorities>,
    /// Denials of the imported policy that are not carried out, written by `egret import azure-firewall FILE --partial`.
    pub not_enforced: Texts,
}

/// `policy.uninspected`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Uninspected {
    /// They do not match.
    #[default]
    Deny,
    /// Their FQDNs are matched by SNI; their URLs are not.
    Sni,
}

/// `policy.equal_priorities`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EqualPriorities {
    /// Refused.
    #[default]
    Error,
    /// The order of the file counts.
    FileOrder,
}

/// `[service_tags]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceTags {
    /// The file that Microsoft publishes (`ServiceTags_Public_*.json`), relative to this file. Read at start and at reload.
    #[schemars(length(min = 1))]
    pub file: Option<At<String>>,
}

/// `[threat_intelligence]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreatIntelligence {
    /// What a hit means. Default `Alert`, as Azure's.
    pub mode: Option<ThreatMode>,
    /// Lists, relative to this file: one address, prefix or name a line, `#` starts a comment. Read at start and at reload.
    pub files: Texts,
    /// What is never looked at.
    #[serde(default)]
    pub allowlist: ThreatAllowlist,
}

/// `mode` of `[threat_intelligence]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ThreatMode {
    /// The lists are not looked at.
    Off,
    /// A hit is recorded, and the rules decide.
    #[default]
    Alert,
    /// A hit is denied.
    Deny,
}

/// `[threat_intelligence.allowlist]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreatAllowlist {
    /// Addresses, prefixes and ranges.
    pub ip_addresses: Texts,
    /// Names, with a star at the far left only.
    pub fqdns: Texts,
}

/// `[infrastructure]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Infrastructure {
    /// Names that are allowed on HTTPS 443 after the last application rule. Default none: Azure does not publish its own.
    pub fqdns: Texts,
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Form of a decision row. Default `azure`.
    pub format: Option<LogFormat>,
    /// Rows on standard output: a full pipe drops and counts. Default true.
    pub stdout: Option<bool>,
    /// Diagnostics on standard error. Default `info`.
    pub level: Option<Level>,
    /// Rows in a rotating file. Default none.
    pub file: Option<LogFile>,
}

/// `log.file`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// Its path; rotated files get a suffix.
    #[schemars(required, length(min = 1))]
    pub path: Option<At<String>>,
    /// Rotated at this size, in MiB. Default 256.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_mib: Option<At<i64>>,
    /// Rotated files kept. Default 8.
    #[schemars(range(min = 0, max = 10_000))]
    pub keep: Option<At<i64>>,
    /// Rotated at this age, in hours. Default: by size alone.
    #[schemars(range(min = 1, max = 8_784))]
    pub max_age_hours: Option<At<i64>>,
    /// What happens when it cannot be written. Default `deny`: it is the audit file.
    pub on_full: Option<OnFull>,
}

/// `[azure]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// `resourceId` of every row. Default: a firewall called egret in the zero subscription.
    #[schemars(length(min = 1, max = 1024))]
    pub resource_id: Option<At<String>>,
    /// `Policy` of rows whose rule is in this file. Default `egret`.
    #[schemars(length(min = 1, max = 80))]
    pub policy: Option<At<String>>,
    /// `ActionReason` of a denial without a rule. Default `No rule matched. Proceeding with default action.`
    #[schemars(length(min = 1, max = 256))]
    pub action_reason: Option<At<String>>,
}

/// `[limits]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Worker threads. Default: one per core.
    #[schemars(range(min = 1, max = 1_024))]
    pub workers: Option<At<i64>>,
    /// Longest request head, in bytes. Default 16384.
    #[schemars(range(min = 1_024, max = 1_048_576))]
    pub head_bytes: Option<At<i64>>,
    /// Most header fields in a request. Default 100.
    #[schemars(range(min = 8, max = 256))]
    pub head_fields: Option<At<i64>>,
    /// Time for a whole request head, in seconds. Default 10.
    #[schemars(range(min = 1, max = 300))]
    pub head_seconds: Option<At<i64>>,
    /// Longest ClientHello, in bytes. Default 65536.
    #[schemars(range(min = 4_096, max = 1_048_576))]
    pub client_hello_bytes: Option<At<i64>>,
    /// Time for the first byte after the 200, and again for the rest of a ClientHello, in seconds. Default 5.
    #[schemars(range(min = 1, max = 300))]
    pub client_hello_seconds: Option<At<i64>>,
    /// Open tunnels and client connections in all; a tunnel takes two file descriptors. Default 50000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tunnels: Option<At<i64>>,
    /// Open tunnels and client connections of one source address. Default 5000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tunnels_per_source: Option<At<i64>>,
    /// Attempts of one source address per second, sustained. Default 500.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempts_per_second_per_source: Option<At<i64>>,
    /// Attempts that one source may make at once before the rate counts. Default 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempts_burst_per_source: Option<At<i64>>,
    /// Bytes that wait to be judged (heads and ClientHellos) in all, beyond 4 KiB of each client, in MiB; of one source a quarter of it. Default 16.
    #[schemars(range(min = 1, max = 65_536))]
    pub held_mib: Option<At<i64>>,
    /// Upstream connections being opened at once. Default 4096.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub dials: Option<At<i64>>,
    /// Tunnel without a byte either way, in seconds. Default 240, as Azure Firewall's.
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_seconds: Option<At<i64>>,
    /// Resolve and connect together, in seconds. Default 9.
    #[schemars(range(min = 1, max = 300))]
    pub connect_seconds: Option<At<i64>>,
    /// How long open tunnels may live after SIGTERM, in seconds. Default 30.
    #[schemars(range(min = 0, max = 86_400))]
    pub drain_seconds: Option<At<i64>>,
    /// Answers remembered; a worker keeps copies of up to 512 that it uses besides. Default 100000.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub dns_cache_entries: Option<At<i64>>,
    /// DNS questions in flight. Default 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub dns_queries: Option<At<i64>>,
    /// Rows waiting for one log sink, in MiB. Default 64.
    #[schemars(range(min = 1, max = 65_536))]
    pub log_queue_mib: Option<At<i64>>,
}

/// `[dial]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dial {
    /// Maps a vetted address to another just before it is dialled. `run` refuses it without `--lab`.
    #[serde(default, rename = "override")]
    pub overrides: Vec<Override>,
}

/// `[[dial.override]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Address or prefix, with a port or `*`: `10.1.0.0/16:443`, `[fd00::]/8:*`.
    #[schemars(required)]
    pub from: Option<At<String>>,
    /// `address:port` that is dialled instead.
    #[schemars(required)]
    pub to: Option<At<String>>,
}
