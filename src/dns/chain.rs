//! The chain: from a name through its aliases to its addresses, each link asked of the zone that holds it.
//!
//! A state machine without IO. [`Chain::start`] and [`Chain::answered`] say what to ask next, or how it ended; whoever drives it
//! carries questions to forwarders. One chain walks one address family; [`join`] makes one [`Answer`] of two.
//!
//! The rules (design section 5): only records whose owner is on the chain count. At an alias to `t`, asked of zone `z`:
//!
//! | zone that holds `t` | then |
//! |---|---|
//! | `z` itself | go on in the same answer |
//! | `.`, while `z` is a configured zone | go on in the same answer: the forwarder recursed |
//! | another configured zone, or a static record | drop the rest of the answer, ask there |
//!
//! An answer that ends at an alias is taken up by asking the zone that holds the alias' target, unless the answer says
//! that there is nothing: NXDOMAIN, or an SOA over the target. There is no second place to ask: what one zone denies is
//! never asked of another.

use super::{
    error::{ChainFault, ResolveError},
    message::{Data, Family, Record, Reply},
    plan::{Authority, DnsPlan, StaticData},
};
use crate::policy::{Answer, AnswerAddress, Fqdn, Link};
use std::{net::IpAddr, sync::Arc};

/// Aliases followed at most. Azure's own chains have up to 5 (name, private-link name, traffic manager, region, cluster).
pub const MAX_LINKS: usize = 8;

/// Addresses kept of one answer at most; the rest is never dialled, so it need not be judged.
pub const MAX_ADDRESSES: usize = 64;

/// What [`Link::server`] says of a static record.
const RECORD: &str = "record";

/// One walk of one family.
#[derive(Debug)]
pub struct Chain<'p> {
    plan: &'p DnsPlan,
    family: Family,
    links: Vec<Link>,
    /// The end of the chain so far: the next owner to look for.
    end: Fqdn,
    /// Index of the zone that is being asked.
    zone: usize,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the zone at this index of the plan for this name, and give [`Chain::answered`] what it says.
    Ask(usize, Fqdn),
    /// The chain ends in at least one address.
    Found(Found),
    /// It does not.
    Failed(Failure),
}

/// A chain that ends in addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Aliases in the order walked.
    pub links: Vec<Link>,
    /// Addresses of one family, in answer order.
    pub addresses: Vec<AnswerAddress>,
}

/// A chain that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub error: ResolveError,
    /// How long the zone says that this stands, in seconds. `None`: it does not say.
    pub ttl: Option<u32>,
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Self { error, ttl: None }
    }
}

/// What an answer holds for one owner.
enum Held {
    Nothing,
    Alias(Fqdn, u32),
    Addresses(Vec<(IpAddr, u32)>),
}

impl<'p> Chain<'p> {
    /// Begins at the name that was asked for.
    pub fn start(plan: &'p DnsPlan, name: &Fqdn, family: Family) -> (Self, Step) {
        let mut chain = Self {
            plan,
            family,
            links: Vec::new(),
            end: name.clone(),
            zone: 0,
        };
        let step = chain.next_question().unwrap_or_else(Step::Failed);
        (chain, step)
    }

    /// Goes on with what the zone last asked has said.
    pub fn answered(&mut self, reply: &Reply) -> Step {
        self.walk(reply).unwrap_or_else(Step::Failed)
    }

    /// Reads static records until a zone must be asked.
    fn next_question(&mut self) -> Result<Step, Failure> {
        let plan = self.plan;
        loop {
            let record = match plan.authority(&self.end) {
                Authority::Zone(zone) => {
                    self.zone = zone;
                    return Ok(Step::Ask(zone, self.end.clone()));
                }
                Authority::Record(record) => record,
                Authority::SpecialUse => return Err(self.nxdomain("special-use".into(), None)),
                Authority::Nobody => return Err(ResolveError::NoForwarder.into()),
            };
            let (zone, server): (Arc<str>, Arc<str>) = (self.end.as_str().into(), RECORD.into());
            match &record.data {
                StaticData::Alias(target) => self.follow(target.clone(), record.ttl, zone, server)?,
                StaticData::Addresses { a, aaaa } => {
                    let addresses: Vec<IpAddr> = match self.family {
                        Family::V4 => a.iter().map(|&ip| ip.into()).collect(),
                        Family::V6 => aaaa.iter().map(|&ip| ip.into()).collect(),
                    };
                    let held = addresses.into_iter().map(|ip| (ip, record.ttl)).collect();
                    return self.found(held, &zone, &server, Some(record.ttl));
                }
            }
        }
    }

    fn walk(&mut self, reply: &Reply) -> Result<Step, Failure> {
        let asked = self.end.clone();
        let zone = self.plan.zones[self.zone].name.clone();
        loop {
            match self.held(&reply.records, &zone)? {
                Held::Alias(target, ttl) => {
                    self.follow(target, ttl, zone.clone(), reply.server.clone())?;
                    if !self.recursed_to_end() {
                        return self.next_question();
                    }
                }
                Held::Addresses(held) if !reply.nxdomain => return self.found(held, &zone, &reply.server, None),
                // NXDOMAIN speaks of the end of the chain (RFC 6604 section 3), whatever else stands there
                Held::Nothing | Held::Addresses(_) => break,
            }
        }
        let negative_ttl = reply.soa.as_ref().map(|soa| soa.negative_ttl);
        if reply.nxdomain {
            return Err(self.nxdomain(zone, negative_ttl));
        }
        if self.end == asked || reply.soa.as_ref().is_some_and(|soa| soa.covers(&self.end)) {
            return self.found(Vec::new(), &zone, &reply.server, negative_ttl);
        }
        self.next_question()
    }

    /// What the answer holds for the end of the chain. Two aliases, or an alias beside an address, is no answer.
    fn held(&self, records: &[Record], zone: &Arc<str>) -> Result<Held, Failure> {
        let broken = |fault| {
            Failure::from(ResolveError::BrokenChain {
                zone: zone.clone(),
                fault,
            })
        };
        let mut held = Held::Nothing;
        for record in records.iter().filter(|record| record.owner == self.end) {
            held = match (held, &record.data) {
                (_, Data::Alias(None)) => return Err(broken(ChainFault::BadTarget)),
                (Held::Nothing, Data::Alias(Some(target))) => Held::Alias(target.clone(), record.ttl),
                (Held::Nothing, Data::Address(ip)) => Held::Addresses(vec![(*ip, record.ttl)]),
                // the same record twice
                (Held::Alias(first, ttl), Data::Alias(Some(target))) if first == *target => Held::Alias(first, ttl),
                (Held::Addresses(mut all), Data::Address(ip)) => {
                    all.push((*ip, record.ttl));
                    Held::Addresses(all)
                }
                _ => return Err(broken(ChainFault::Ambiguous)),
            };
        }
        Ok(held)
    }

    /// Takes one link.
    fn follow(&mut self, target: Fqdn, ttl: u32, zone: Arc<str>, server: Arc<str>) -> Result<(), Failure> {
        let broken = |fault| {
            Failure::from(ResolveError::BrokenChain {
                zone: zone.clone(),
                fault,
            })
        };
        if target == self.end || self.links.iter().any(|link| link.owner == target) {
            return Err(broken(ChainFault::Loop));
        }
        if self.links.len() == MAX_LINKS {
            return Err(broken(ChainFault::TooLong));
        }
        let owner = std::mem::replace(&mut self.end, target.clone());
        self.links.push(Link {
            owner,
            target,
            zone,
            server,
            ttl,
        });
        Ok(())
    }

    /// Whether the forwarder that is answering may speak for the end of the chain.
    fn recursed_to_end(&self) -> bool {
        match self.plan.authority(&self.end) {
            Authority::Zone(holder) => holder == self.zone || self.plan.zones[holder].is_default(),
            Authority::Record(_) => false,
            // no zone of ours holds it: only the forwarder that recursed can know it
            Authority::SpecialUse | Authority::Nobody => true,
        }
    }

    fn found(
        &mut self,
        held: Vec<(IpAddr, u32)>,
        zone: &Arc<str>,
        server: &Arc<str>,
        negative_ttl: Option<u32>,
    ) -> Result<Step, Failure> {
        if held.is_empty() {
            let error = ResolveError::NoData {
                name: self.end.clone(),
                zone: zone.clone(),
            };
            return Err(Failure {
                error,
                ttl: negative_ttl,
            });
        }
        let address = |(ip, ttl)| AnswerAddress {
            ip,
            owner: self.end.clone(),
            zone: zone.clone(),
            server: server.clone(),
            ttl,
        };
        let addresses = held.into_iter().take(MAX_ADDRESSES).map(address).collect();
        Ok(Step::Found(Found {
            links: std::mem::take(&mut self.links),
            addresses,
        }))
    }

    fn nxdomain(&self, zone: Arc<str>, ttl: Option<u32>) -> Failure {
        let private_zone_hint = self.end.labels().any(|label| label == "privatelink");
        Failure {
            error: ResolveError::Nxdomain {
                name: self.end.clone(),
                zone,
                private_zone_hint,
            },
            ttl,
        }
    }
}

/// One answer of both families: addresses if either has some, else the error that says most.
pub fn join(name: &Fqdn, v6: Result<Found, Failure>, v4: Result<Found, Failure>) -> Result<Answer, Failure> {
    let (v6, v4) = match (v6, v4) {
        (Err(one), Err(other)) => {
            return Err(if other.error.rank() <= one.error.rank() {
                other
            } else {
                one
            });
        }
        (v6, v4) => (v6.unwrap_or_default(), v4.unwrap_or_default()),
    };
    let mut links = v6.links;
    for link in v4.links {
        // two answers of one server that spreads load may differ: every link that led to an address is kept
        if !links
            .iter()
            .any(|known| known.owner == link.owner && known.target == link.target)
        {
            links.push(link);
        }
    }
    let v6_kept = v6
        .addresses
        .len()
        .min(MAX_ADDRESSES - v4.addresses.len().min(MAX_ADDRESSES / 2));
    let v4_kept = MAX_ADDRESSES - v6_kept;
    let addresses = v6
        .addresses
        .into_iter()
        .take(v6_kept)
        .chain(v4.addresses.into_iter().take(v4_kept))
        .collect();
    Ok(Answer {
        name: name.clone(),
        links,
        addresses,
    })
}

/// The least TTL of an answer, in seconds.
pub fn least_ttl(answer: &Answer) -> u32 {
    let links = answer.links.iter().map(|link| link.ttl);
    links
        .chain(answer.addresses.iter().map(|address| address.ttl))
        .min()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
