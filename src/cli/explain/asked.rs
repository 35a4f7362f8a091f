//! What `explain` is asked, taken apart but not yet judged.

use crate::{
    cli::explain::{ExplainArgs, Road},
    expect::target::Target,
    policy::{FlowAttempt, Fqdn, Policy, Protocol, Resolved, Via},
};
use anyhow::bail;
use std::{collections::BTreeMap, net::IpAddr};

/// An attempt as it was written.
#[derive(Clone, Debug)]
pub struct Asked {
    pub written: String,
    pub source: IpAddr,
    pub via: Via,
    pub target: Target,
    /// The address that packets carry, or that is asked for at the proxy port. Where a name leads that is asked for there comes
    /// after the name is judged: [`Asked::led_to`] says it.
    pub destination: Option<IpAddr>,
}

impl Asked {
    /// What is routed must say where to; what is no TCP cannot come to the proxy port.
    pub fn new(args: &ExplainArgs) -> anyhow::Result<Self> {
        let written = args.target.clone().unwrap_or_default();
        let target = Target::read(&written);
        let via = match args.via {
            Some(Road::Explicit) => Via::Explicit,
            Some(Road::Transparent) => Via::Transparent,
            None => target.usual_way(),
        };
        if !target.can_come(via) {
            bail!("the proxy port carries TCP alone: leave `--via explicit` out, and the attempt is taken as routed");
        }
        if args.destination.is_some() && target.address().is_some() {
            bail!("the target is an address already: leave `--destination` out");
        }
        let carried = args.destination.filter(|_| via == Via::Transparent);
        let asked = Self {
            destination: target.address().or(carried.map(|ip| ip.to_canonical())),
            source: args.source.to_canonical(),
            written,
            via,
            target,
        };
        if via == Via::Transparent && asked.destination.is_none() && asked.target.host.is_ok() {
            bail!("what is routed carries an address, and network rules judge by it: say `--destination IP`");
        }
        Ok(asked)
    }

    /// What `--resolved` and `--destination` say of names. Fails where they say it twice, or of a name that nothing asks for.
    pub fn led_to(&self, args: &ExplainArgs, policy: &Policy) -> anyhow::Result<BTreeMap<Fqdn, Vec<IpAddr>>> {
        let asked = self.target.name();
        let mut led_to: BTreeMap<Fqdn, Vec<IpAddr>> = BTreeMap::new();
        for (name, addresses) in &args.resolved {
            let routed = self.via == Via::Transparent && policy.names_in_network_rules().any(|fqdn| fqdn == name);
            if self.target.host.is_ok() && asked != Some(name) && !routed {
                bail!("--resolved {name}: {}", self.unasked());
            }
            led_to.entry(name.clone()).or_default().extend(addresses);
        }
        let told = args.destination.filter(|_| self.via == Via::Explicit);
        if let (Some(name), Some(ip)) = (asked, told)
            && led_to.insert(name.clone(), vec![ip.to_canonical()]).is_some()
        {
            bail!("where `{name}` leads is said twice: leave `--destination` or `--resolved {name}=..` out");
        }
        Ok(led_to)
    }

    fn unasked(&self) -> &'static str {
        match self.via {
            Via::Explicit => "the attempt does not ask for this name, and at the proxy port nothing else is looked up",
            Via::Transparent => "neither the attempt nor a network rule has this name",
        }
    }

    /// The same with the address that its name leads to.
    pub fn leading_to(&self, ip: IpAddr) -> Self {
        Self {
            destination: Some(ip),
            ..self.clone()
        }
    }

    /// As the policy sees it.
    pub fn flow<'a>(&'a self, protocol: Option<Protocol>, resolved: &'a Resolved) -> FlowAttempt<'a> {
        FlowAttempt {
            source: self.source,
            via: self.via,
            transport: self.target.transport,
            destination: self.destination,
            port: self.target.port,
            name: self.target.name(),
            protocol,
            resolved,
        }
    }
}
