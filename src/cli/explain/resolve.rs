//! The second half of an attempt: who answers for the name, and which of the addresses may be dialled.

use super::{asked::Asked, judged::Judged};
use crate::{
    config::Checked,
    dns::{ResolveError, Resolver},
    policy::{Answer, ApplicationRule, Fqdn, Reason, Resolved, Rules, Via, vet::RuleScope},
};
use anyhow::bail;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// Most destination FQDNs that are looked up: Azure's advice is not to have over 1,000 in all network rules of a firewall.
const MOST_FQDNS: usize = 1_000;

/// What came of resolving and vetting.
pub struct Resolution {
    /// The chain and its addresses, or why there are none.
    pub answer: Result<Arc<Answer>, ResolveError>,
    /// The addresses that would be dialled, or the reason of the denial.
    pub vetted: Result<Vec<IpAddr>, Reason>,
    /// Addresses that would not.
    pub refused: Vec<IpAddr>,
    /// Of the vetted ones: what threat intelligence or a network rule denies.
    pub denied: Vec<(IpAddr, Judged)>,
    /// A public address is used for a name that has a private-link zone (`private_endpoints.mode = "log"`).
    pub public_resolution: bool,
}

/// Asks the configured forwarders and judges what they say.
pub fn resolve(
    checked: &Checked,
    name: &Fqdn,
    port: u16,
    rule: Option<&ApplicationRule>,
) -> anyhow::Result<Resolution> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolver = Resolver::new(Arc::new(checked.dns.clone()), runtime.handle().clone());
    let answer = runtime.block_on(resolver.resolve(name));
    let mut addresses = checked.addresses.clone();
    addresses.own = crate::gateway::own_addresses()?.into();
    let scope = rule.map_or(RuleScope::default(), |rule| RuleScope {
        resolves_into: &rule.resolves_into,
        private_endpoints: rule.private_endpoints,
    });
    let mut resolution = Resolution {
        vetted: Ok(Vec::new()),
        refused: Vec::new(),
        denied: Vec::new(),
        public_resolution: false,
        answer: answer.clone(),
    };
    match answer.map(|answer| addresses.vet(&answer, port, scope)) {
        Ok(Ok(vetted)) => {
            resolution.vetted = Ok(vetted.addresses().iter().map(|candidate| candidate.ip).collect());
            resolution.public_resolution = vetted.public_resolution();
        }
        Ok(Err(refusal)) => {
            resolution.vetted = Err(refusal.reason);
            resolution.refused = refusal.refused;
        }
        Err(error) => resolution.vetted = Err(error.reason()),
    }
    Ok(resolution)
}

/// What the destination FQDNs of network rules stand for, where routed traffic is judged by them. A name without an answer
/// stands for nothing.
pub fn destination_fqdns(checked: &Checked, asked: &Asked) -> anyhow::Result<Resolved> {
    let mut resolved = Resolved::default();
    if asked.via == Via::Explicit {
        return Ok(resolved);
    }
    let rules = checked
        .policy
        .collections()
        .flat_map(|collection| match &collection.rules {
            Rules::Network(rules) => rules.as_slice(),
            Rules::Application(_) | Rules::Nat(_) => &[],
        });
    let names: BTreeSet<&Fqdn> = rules.flat_map(|rule| &rule.destinations.fqdns).collect();
    if names.len() > MOST_FQDNS {
        bail!("the network rules name {} hosts: too many to look up", names.len());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolver = Resolver::new(Arc::new(checked.dns.clone()), runtime.handle().clone());
    for name in names {
        if let Ok(answer) = runtime.block_on(resolver.resolve(name)) {
            let addresses = answer.addresses.iter().map(|address| address.ip.to_canonical());
            resolved.set(name.clone(), addresses.collect());
        }
    }
    Ok(resolved)
}
