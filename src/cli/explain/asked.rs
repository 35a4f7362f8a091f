//! What `explain` is asked, taken apart but not yet judged.

use crate::{
    cli::explain::{ExplainArgs, Road},
    expect::target::Target,
    policy::{FlowAttempt, Protocol, Resolved, Via},
};
use anyhow::bail;
use std::net::IpAddr;

/// An attempt as it was written.
#[derive(Clone, Debug)]
pub struct Asked {
    pub written: String,
    pub source: IpAddr,
    pub via: Via,
    pub target: Target,
    /// The address that packets carry, or that a name leads to, where it is known.
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
        let asked = Self {
            destination: target.address().or(args.destination.map(|ip| ip.to_canonical())),
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
