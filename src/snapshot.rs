//! [`Snapshot`]: everything that decides, immutable, swapped whole by a reload.

use crate::config::{DialOverride, Settings};
use crate::dns::Resolver;
use crate::policy::vet::RuleScope;
use crate::policy::{AddressPlan, CompiledPolicy, Decision};
use std::net::SocketAddr;
use std::sync::Arc;

/// One generation of what decides. Taken at *decide*, never held by a tunnel.
#[derive(Debug)]
pub struct Snapshot {
    /// 1 for the one that egret started with, one more for each reload.
    pub generation: u64,
    /// Stands for the configuration's text in rows and health.
    pub hash: Arc<str>,
    /// Limits and proxy settings. Listeners, log sinks and workers in it are those of the start.
    pub settings: Arc<Settings>,
    /// The rules.
    pub policy: CompiledPolicy,
    /// What vetting reads.
    pub addresses: AddressPlan,
    /// Zones, records and their cache; kept over a reload that leaves DNS as it was.
    pub resolver: Arc<Resolver>,
    /// Lab only.
    pub overrides: Vec<DialOverride>,
}

impl Snapshot {
    /// What the rule that allows adds to vetting. What the audit mode of the whole policy lets through has none: only what all
    /// names get.
    pub fn rule_scope(&self, decision: Decision) -> RuleScope<'_> {
        match decision.allowing().and_then(|rule| self.policy.application_rule(rule)) {
            Some(rule) => RuleScope {
                resolves_into: &rule.resolves_into,
                private_endpoints: rule.private_endpoints,
            },
            None => RuleScope::default(),
        }
    }

    /// Where a vetted address is dialled: the last step before connect.
    pub fn dialled(&self, vetted: SocketAddr) -> SocketAddr {
        let mapped = |o: &&DialOverride| o.from.contains(&vetted.ip()) && o.port.is_none_or(|p| p == vetted.port());
        self.overrides.iter().find(mapped).map_or(vetted, |o| o.to)
    }
}
