//! `vet`: which addresses of an answer may be dialled (design: vetting, two tiers; private endpoints).

use super::{Answer, Fqdn, PrivateEndpoints, PrivateLinkZones, Reason};
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

/// Addresses that may be dialled for one name and port. Only [`vet`] makes it; only `flow::connect` takes it.
#[derive(Clone, Debug)]
pub struct Vetted {
    addresses: Vec<Candidate>,
    port: u16,
    public_resolution: bool,
}

/// A vetted address with what is needed to vet it again after a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Canonical address.
    pub ip: IpAddr,
    /// Owner of the record.
    pub owner: Fqdn,
    /// The chain passed a private-link zone.
    pub through_private_link: bool,
}

impl Vetted {
    /// In answer order, never empty.
    pub fn addresses(&self) -> &[Candidate] {
        &self.addresses
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

impl AddressPlan {
    /// Which addresses of `answer` may be dialled for `name`. Refused ones are never dialled, not even as a fallback.
    pub fn vet(&self, answer: &Answer, port: u16, rule: RuleScope<'_>) -> Result<Vetted, Refusal> {
        let _ = (answer, port, rule);
        todo!()
    }

    /// Judge one address again after a reload, for the name that was asked.
    pub fn vet_again(&self, asked: &Fqdn, candidate: &Candidate, rule: RuleScope<'_>) -> Result<(), Reason> {
        let _ = (asked, candidate, rule);
        todo!()
    }
}
