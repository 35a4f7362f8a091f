//! The second half of an attempt: who answers for the name, and which of the addresses may be dialled.

use crate::{
    config::Checked,
    dns::{ResolveError, Resolver},
    policy::{Answer, ApplicationRule, Fqdn, Reason, vet::RuleScope},
};
use std::{net::IpAddr, sync::Arc};

/// What came of resolving and vetting.
pub struct Resolution {
    /// The chain and its addresses, or why there are none.
    pub answer: Result<Arc<Answer>, ResolveError>,
    /// The addresses that would be dialled, or the reason of the denial.
    pub vetted: Result<Vec<IpAddr>, Reason>,
    /// Addresses that would not.
    pub refused: Vec<IpAddr>,
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
