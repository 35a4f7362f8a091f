//! The second half of an attempt: who answers for the name, and which of the addresses may be dialled.

use super::{asked::Asked, judged::Judged};
use crate::{
    config::Checked,
    dns::{ResolveError, Resolver},
    policy::{
        Action, AddressPlan, Answer, AnswerAddress, ApplicationRule, DecidedBy, Evaluation, Fqdn, Reason, Resolved,
        Via, vet::RuleScope,
    },
};
use anyhow::bail;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// Most destination FQDNs that are looked up: Azure's advice is not to have over 1,000 in all network rules of a firewall.
const MOST_FQDNS: usize = 1_000;

/// What to do about an address that is in nobody's hands.
pub const NEVER: &str = "No zone, record or rule has such an address dialled: what is asked for must lead elsewhere.";

/// What came of resolving and vetting.
pub struct Resolution {
    /// The chain and its addresses, or why there are none.
    pub answer: Looked,
    /// The addresses that would be dialled, or the reason of the denial.
    pub vetted: Result<Vec<IpAddr>, Reason>,
    /// Addresses that would not.
    pub refused: Vec<IpAddr>,
    /// No zone, record or rule would have any of those dialled.
    pub never: bool,
    /// Of the vetted ones: what threat intelligence or a network rule denies.
    pub denied: Vec<(IpAddr, Judged)>,
    /// A public address is used for a name that has a private-link zone (`private_endpoints.mode = "log"`).
    pub public_resolution: bool,
}

/// What the forwarders say of a name.
pub type Looked = Result<Arc<Answer>, ResolveError>;

/// Asks the configured forwarders.
pub fn look_up(checked: &Checked, name: &Fqdn) -> anyhow::Result<Looked> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolver = Resolver::new(Arc::new(checked.dns.clone()), runtime.handle().clone());
    Ok(runtime.block_on(resolver.resolve(name)))
}

/// What `--resolved` or `--destination` says of it, as if the servers of its zone had.
pub fn told(checked: &Checked, name: &Fqdn, addresses: &[IpAddr]) -> Looked {
    let zone = checked.dns.zone_of(name);
    let zone = zone.map_or_else(|| ".".into(), |zone| zone.name.clone());
    if addresses.is_empty() {
        let name = name.clone();
        return Err(ResolveError::NoData { name, zone });
    }
    let address = |ip: &IpAddr| AnswerAddress {
        ip: *ip,
        owner: name.clone(),
        zone: zone.clone(),
        server: "as said".into(),
        ttl: 0,
    };
    Ok(Arc::new(Answer {
        name: name.clone(),
        links: Vec::new(),
        addresses: addresses.iter().map(address).collect(),
    }))
}

impl Resolution {
    /// What vetting says of an answer, for the rule that allows the name.
    pub fn vetted(answer: &Looked, addresses: &AddressPlan, port: u16, rule: Option<&ApplicationRule>) -> Self {
        let scope = rule.map_or(RuleScope::default(), |rule| RuleScope {
            resolves_into: &rule.resolves_into,
            private_endpoints: rule.private_endpoints,
        });
        let mut resolution = Self {
            vetted: Ok(Vec::new()),
            refused: Vec::new(),
            never: false,
            denied: Vec::new(),
            public_resolution: false,
            answer: answer.clone(),
        };
        match answer.as_ref().map(|answer| addresses.vet(answer, port, scope)) {
            Ok(Ok(vetted)) => {
                resolution.vetted = Ok(vetted.addresses().iter().map(|candidate| candidate.ip).collect());
                resolution.public_resolution = vetted.public_resolution();
            }
            Ok(Err(refusal)) => {
                let never = |ip: &IpAddr| addresses.vet_address(*ip, port, true).is_err();
                resolution.never = refusal.refused.iter().all(never);
                resolution.vetted = Err(refusal.reason);
                resolution.refused = refusal.refused;
            }
            Err(error) => resolution.vetted = Err(error.reason()),
        }
        resolution
    }

    /// What to do where nothing is dialled.
    pub fn remedy(&self, reason: Reason) -> &'static str {
        match reason {
            Reason::AddressDenied if self.never => NEVER,
            _ => reason.row().remedy,
        }
    }

    /// Whether that is where the name leads, or that it leads nowhere: a lookup that failed says neither.
    pub fn is_known(&self) -> bool {
        Self::knows(&self.answer)
    }

    /// See [`Resolution::is_known`].
    pub fn knows(answer: &Looked) -> bool {
        use ResolveError::{NoData, Nxdomain};
        matches!(answer, Ok(_) | Err(Nxdomain { .. } | NoData { .. }))
    }

    /// Has each vetted address judged by itself. One that a list holds spoils the answer. Where none is left, or where network
    /// rules deny each that is, in audit mode alone, it is told as what the first one is, or would have been.
    pub fn judge(&mut self, judge: impl Fn(IpAddr) -> Judged) -> Option<Evaluation> {
        let Ok(addresses) = &mut self.vetted else { return None };
        let judged = addresses.iter().map(|ip| (*ip, judge(*ip)));
        let (kept, denied): (Vec<_>, Vec<_>) = judged.partition(|(_, judged)| judged.evaluation.decision.permits());
        self.denied = denied;
        *addresses = kept.iter().map(|(ip, _)| *ip).collect();
        let listed = |(_, judged): &&(IpAddr, Judged)| judged.evaluation.by == DecidedBy::ThreatIntelligence;
        let spoilt = self.denied.iter().find(listed);
        if addresses.is_empty() || spoilt.is_some() {
            let first = spoilt.or(self.denied.first());
            self.vetted = Err(first.map_or(Reason::AddressDenied, |(_, judged)| judged.evaluation.decision.reason));
            return first.map(|(_, judged)| judged.evaluation);
        }
        let recorded = |judged: &Judged| {
            judged.evaluation.by == DecidedBy::Network && judged.evaluation.decision.action == Action::Deny
        };
        let all = kept.iter().all(|(_, judged)| recorded(judged));
        kept.first().map(|(_, judged)| judged.evaluation).filter(|_| all)
    }
}

/// What the destination FQDNs of network rules stand for, where routed traffic is judged by them. A name that does not exist
/// stands for nothing; one that could not be looked up is left out.
pub fn destination_fqdns(checked: &Checked, asked: &Asked) -> anyhow::Result<Resolved> {
    let mut resolved = Resolved::default();
    if asked.via == Via::Explicit {
        return Ok(resolved);
    }
    let names: BTreeSet<&Fqdn> = checked.policy.names_in_network_rules().collect();
    if names.len() > MOST_FQDNS {
        bail!("the network rules name {} hosts: too many to look up", names.len());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let resolver = Resolver::new(Arc::new(checked.dns.clone()), runtime.handle().clone());
    for name in names {
        match runtime.block_on(resolver.resolve(name)) {
            Ok(answer) => {
                let addresses = answer.addresses.iter().map(|address| address.ip.to_canonical());
                resolved.set(name.clone(), addresses.collect());
            }
            // What does not exist leads nowhere; what nobody could say may lead anywhere.
            Err(ResolveError::Nxdomain { .. } | ResolveError::NoData { .. }) => resolved.set(name.clone(), Vec::new()),
            Err(_) => {}
        }
    }
    Ok(resolved)
}
