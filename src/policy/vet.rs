//! `vet`: which addresses of an answer may be dialled (design: vetting, two tiers; private endpoints).

use super::{
    Answer, Fqdn, FqdnPattern, PrivateEndpoints, PrivateLinkZones, Reason,
    address::{Tier, embedded, tier},
    fqdn::is_below,
    private_link::{PRIVATE_LINK_LABEL, without_private_link},
};
use crate::proof::{self, Guard};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Everything that vetting reads besides the answer and the rule.
#[derive(Clone, Debug, Default)]
pub struct AddressPlan {
    /// Zones and records marked `private`: a zone holds all names below it and itself, a record its own name.
    pub private: Vec<PrivateScope>,
    /// `private_endpoints.networks`: where private endpoints live unless a zone or record says otherwise. Empty: RFC 1918,
    /// CGNAT and ULA as a whole.
    pub networks: Vec<IpNet>,
    /// `private_endpoints.mode`.
    pub private_endpoints: PrivateEndpoints,
    /// `private_endpoints.tags`: the first pattern that admits the asked name goes before the mode above.
    pub tagged: Vec<(FqdnPattern, PrivateEndpoints)>,
    /// Private-link zones and their public pairs.
    pub private_link: PrivateLinkZones,
    /// Every address of this machine and of egret's listeners.
    pub own: Arc<[IpAddr]>,
}

/// A zone or record whose private addresses are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateScope {
    /// Zone or record name.
    pub name: Fqdn,
    /// A zone covers the names below it; a record covers itself alone.
    pub zone: bool,
    /// Where its addresses must lie; empty: [`AddressPlan::networks`].
    pub networks: Vec<IpNet>,
}

/// What the deciding rule adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuleScope<'a> {
    /// `resolves_into` of the rule.
    pub resolves_into: &'a [IpNet],
    /// `private_endpoints` of the rule, if it has one.
    pub private_endpoints: Option<PrivateEndpoints>,
}

/// Addresses that may be dialled for one name and port. Only `vet` makes it; only `flow::connect` takes it.
#[derive(Clone, Debug)]
pub struct Vetted {
    addresses: Vec<Candidate>,
    refused: Vec<IpAddr>,
    port: u16,
    public_resolution: bool,
}

/// A vetted address with what is needed to vet it again after a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Canonical address.
    pub ip: IpAddr,
    /// Owner of the record. `None`: the address itself was asked for.
    pub owner: Option<Fqdn>,
    /// The configured zone that answered: its name, or `.`. `None` for a static record.
    pub zone: Option<Arc<str>>,
    /// The chain passed a private-link zone, or a public zone that has one.
    pub through_private_link: bool,
}

impl Vetted {
    /// These addresses but for those that `denied` names, which join the refused ones. Fails with all refused if none is
    /// left.
    pub fn without(mut self, denied: impl Fn(IpAddr) -> bool) -> Result<Self, Vec<IpAddr>> {
        let (taken, kept) = self.addresses.into_iter().partition(|candidate| denied(candidate.ip));
        self.addresses = kept;
        let taken: Vec<Candidate> = taken;
        self.refused.extend(taken.iter().map(|candidate| candidate.ip));
        self.refused.truncate(MAX_REFUSED_IN_ROW);
        if self.addresses.is_empty() {
            return Err(self.refused);
        }
        Ok(self)
    }

    /// In answer order, never empty.
    pub fn addresses(&self) -> &[Candidate] {
        &self.addresses
    }

    /// Addresses of the same answer that were refused, at most 8, for the row.
    pub fn refused(&self) -> &[IpAddr] {
        &self.refused
    }

    /// The port they may be dialled on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Socket addresses in answer order.
    pub fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|c| SocketAddr::new(c.ip, self.port))
    }

    /// `private_endpoints.mode = "log"` and a public address is used for a name that has a private-link zone.
    pub fn public_resolution(&self) -> bool {
        self.public_resolution
    }
}

/// Nothing may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `AddressDenied` or `PublicResolution`.
    pub reason: Reason,
    /// The refused addresses, at most 8, for the row.
    pub refused: Vec<IpAddr>,
}

/// Refused addresses that a row names.
const MAX_REFUSED_IN_ROW: usize = 8;

/// What the server of a static record is called in an [`Answer`].
const STATIC_RECORD: &str = "record";

impl AddressPlan {
    /// Which addresses of `answer` may be dialled for the name that was asked. Refused ones are never dialled, not even as
    /// a fallback.
    pub fn vet(&self, answer: &Answer, port: u16, rule: RuleScope<'_>) -> Result<Vetted, Refusal> {
        let mut vetted = Vetted {
            addresses: Vec::new(),
            refused: Vec::new(),
            port,
            public_resolution: false,
        };
        let mut reason = Reason::AddressDenied;
        for candidate in self.candidates(answer) {
            match self.judge(&answer.name, &candidate, rule) {
                Ok(_) if vetted.addresses.iter().any(|kept| kept.ip == candidate.ip) => {}
                Ok(passed) => {
                    vetted.public_resolution |= passed == Passed::PublicForPrivate;
                    vetted.addresses.push(candidate);
                }
                Err(refused) => {
                    reason = if refused == Reason::PublicResolution {
                        refused
                    } else {
                        reason
                    };
                    vetted.refused.push(candidate.ip);
                }
            }
        }
        vetted.refused.truncate(MAX_REFUSED_IN_ROW);
        if vetted.addresses.is_empty() {
            return Err(Refusal {
                reason,
                refused: vetted.refused,
            });
        }
        Ok(vetted)
    }

    /// Whether an address that was asked for by itself may be dialled. No zone vouches for it: a private one needs a rule
    /// that allows it, what is never dialled needs no asking.
    pub fn vet_address(&self, ip: IpAddr, port: u16, allowed: bool) -> Result<Vetted, Refusal> {
        let ip = ip.to_canonical();
        self.judge_address(ip, allowed).map_err(|reason| Refusal {
            reason,
            refused: vec![ip],
        })?;
        let candidate = Candidate {
            ip,
            owner: None,
            zone: None,
            through_private_link: false,
        };
        Ok(Vetted {
            addresses: vec![candidate],
            refused: Vec::new(),
            port,
            public_resolution: false,
        })
    }

    /// [`Self::vet_address`] again after a reload.
    pub fn judge_address(&self, ip: IpAddr, allowed: bool) -> Result<(), Reason> {
        let passes = match tier(ip) {
            Tier::Never => false,
            Tier::Private => allowed,
            Tier::Public => true,
        };
        if passes && !self.is_own(ip) || proof::off(Guard::Vet) {
            return Ok(());
        }
        Err(Reason::AddressDenied)
    }

    /// The addresses of an answer with what judging needs of their chain.
    fn candidates<'a>(&'a self, answer: &'a Answer) -> impl Iterator<Item = Candidate> + 'a {
        let labelled = |name: &Fqdn| {
            let could = name.as_str().contains(PRIVATE_LINK_LABEL);
            could && name.labels().any(|label| label.starts_with(PRIVATE_LINK_LABEL))
        };
        // An alias of somebody's own for a name that has a private endpoint leads to the same resource.
        let passes = move |name: &Fqdn| labelled(name) || self.private_link.has_private_link(name);
        let chain = labelled(&answer.name) || answer.links.iter().any(|link| passes(&link.target));
        answer.addresses.iter().map(move |address| Candidate {
            ip: address.ip.to_canonical(),
            owner: Some(address.owner.clone()),
            zone: (&*address.server != STATIC_RECORD).then(|| Arc::clone(&address.zone)),
            through_private_link: chain || passes(&address.owner),
        })
    }

    /// Judge one address again after a reload, for the name that was asked.
    pub fn vet_again(&self, asked: &Fqdn, candidate: &Candidate, rule: RuleScope<'_>) -> Result<(), Reason> {
        self.judge(asked, candidate, rule).map(|_| ())
    }

    /// The two tiers, then private endpoints.
    fn judge(&self, asked: &Fqdn, candidate: &Candidate, rule: RuleScope<'_>) -> Result<Passed, Reason> {
        if proof::off(Guard::Vet) {
            return Ok(Passed::Plain);
        }
        if self.is_own(candidate.ip) {
            return Err(Reason::AddressDenied);
        }
        match tier(candidate.ip) {
            Tier::Private if self.trusts(asked, candidate, rule) => Ok(Passed::Plain),
            Tier::Never | Tier::Private => Err(Reason::AddressDenied),
            Tier::Public => match self.mode_for(asked, rule) {
                PrivateEndpoints::Off => Ok(Passed::Plain),
                _ if !self.wants_private(asked, candidate) => Ok(Passed::Plain),
                PrivateEndpoints::Log => Ok(Passed::PublicForPrivate),
                PrivateEndpoints::Require => Err(Reason::PublicResolution),
            },
        }
    }

    /// What is asked of private endpoints for this name: the rule says it, or its tag, or the global mode.
    fn mode_for(&self, asked: &Fqdn, rule: RuleScope<'_>) -> PrivateEndpoints {
        let by_tag = || {
            self.tagged
                .iter()
                .find(|(pattern, _)| pattern.matches(asked))
                .map(|(_, mode)| *mode)
        };
        rule.private_endpoints.or_else(by_tag).unwrap_or(self.private_endpoints)
    }

    /// Whether the address is one of this machine, also as a NAT64 would reach it.
    fn is_own(&self, ip: IpAddr) -> bool {
        let embedded = embedded(ip);
        self.own
            .iter()
            .map(IpAddr::to_canonical)
            .any(|own| own == ip || Some(own) == embedded)
    }

    /// Whether a private address is vouched for: by the rule; or by the zone or record that holds its owner, for names
    /// that lie there or in the public zone paired with it, inside its networks.
    fn trusts(&self, asked: &Fqdn, candidate: &Candidate, rule: RuleScope<'_>) -> bool {
        let inside = |networks: &[IpNet]| networks.iter().any(|net| net.contains(&candidate.ip));
        if inside(rule.resolves_into) {
            return true;
        }
        let scope = self
            .scopes_of(candidate)
            .max_by_key(|scope| (scope.name.as_str().len(), !scope.zone));
        let in_table = |owner: &Fqdn| self.private_link.zone_of(owner).is_some();
        if scope.is_none() && !candidate.owner.as_ref().is_some_and(in_table) {
            return false;
        }
        let networks = scope
            .map(|scope| &scope.networks)
            .filter(|own| !own.is_empty())
            .unwrap_or(&self.networks);
        let paired = proof::off(Guard::Pairing) || self.paired(asked, candidate);
        paired && (networks.is_empty() || inside(networks))
    }

    /// Whether the asked name lies where the owner's private zone speaks for it.
    fn paired(&self, asked: &Fqdn, candidate: &Candidate) -> bool {
        let of_table = |owner: &Fqdn| self.private_link.paired(asked, owner);
        candidate.owner.as_ref().is_some_and(of_table)
            || self
                .scopes_of(candidate)
                .any(|scope| scope.covers(asked) || self.speaks_for(scope, asked))
    }

    /// The zones and records marked `private` that hold the owner.
    fn scopes_of<'a>(&'a self, candidate: &'a Candidate) -> impl Iterator<Item = &'a PrivateScope> {
        self.private.iter().filter(|scope| {
            candidate.owner.as_ref().is_some_and(|owner| scope.covers(owner)) && scope.answered(candidate)
        })
    }

    /// Whether the name has a private endpoint zone, or its chain passed one: then a public address is the wrong answer.
    fn wants_private(&self, asked: &Fqdn, candidate: &Candidate) -> bool {
        candidate.through_private_link
            || self.private_link.has_private_link(asked)
            || self.private.iter().any(|scope| self.speaks_for(scope, asked))
    }

    /// Whether a `privatelink` zone or record of the configuration is paired with the name. Zones of the table have the
    /// pairs of the table; any other is paired with its own name without that label.
    fn speaks_for(&self, scope: &PrivateScope, asked: &Fqdn) -> bool {
        let zone = scope.name.as_str();
        let mut labels = asked.as_str().rsplit('.');
        zone.split('.').any(|label| label == PRIVATE_LINK_LABEL)
            && self.private_link.zone_of(&scope.name).is_none()
            && without_private_link(zone).all(|label| labels.next() == Some(label))
            && (scope.zone || labels.next().is_none())
    }
}

/// How an address passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Plain,
    /// A public address for a name that should have a private one, in mode `log`.
    PublicForPrivate,
}

impl PrivateScope {
    /// Whether the name lies here.
    fn covers(&self, name: &Fqdn) -> bool {
        *name == self.name || self.zone && name.is_below_or_same(&self.name)
    }

    /// Not if a configured zone below this one answered: that one is not marked, or it would be a scope of its own.
    fn answered(&self, candidate: &Candidate) -> bool {
        !candidate
            .zone
            .as_ref()
            .is_some_and(|zone| is_below(zone, self.name.as_str()))
    }
}

#[cfg(test)]
mod tests;
