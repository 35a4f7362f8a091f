//! What a resolution said, as the policy sees it: who answered each link, and where each address comes from.

use super::Fqdn;
use std::{net::IpAddr, sync::Arc};

/// The end of a resolution: the chain that was walked and every address found on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name that was asked.
    pub name: Fqdn,
    /// CNAME links in the order walked, at most 8.
    pub links: Vec<Link>,
    /// All addresses of both families, in answer order, IPv6 and IPv4 as they came. At most 64.
    pub addresses: Vec<AnswerAddress>,
}

impl Answer {
    /// The same, sharing nothing with it: counts of references included.
    pub(crate) fn copied(&self) -> Self {
        let name = |name: &Fqdn| name.copied();
        let text = |text: &Arc<str>| Arc::from(&**text);
        Self {
            name: name(&self.name),
            links: (self.links.iter().map(|link| Link {
                owner: name(&link.owner),
                target: name(&link.target),
                zone: text(&link.zone),
                server: text(&link.server),
                ttl: link.ttl,
            }))
            .collect(),
            addresses: (self.addresses.iter().map(|address| AnswerAddress {
                ip: address.ip,
                owner: name(&address.owner),
                zone: text(&address.zone),
                server: text(&address.server),
                ttl: address.ttl,
            }))
            .collect(),
        }
    }
}

/// One CNAME link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The alias.
    pub owner: Fqdn,
    /// What it stands for.
    pub target: Fqdn,
    /// The configured zone whose server said so: its name, or `.`.
    pub zone: Arc<str>,
    /// The server that answered (`address:port`), or `record` for a static record.
    pub server: Arc<str>,
    /// Seconds.
    pub ttl: u32,
}

/// One address record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerAddress {
    /// The address, as it came (not yet canonical).
    pub ip: IpAddr,
    /// The name that owns the record: the end of the chain.
    pub owner: Fqdn,
    /// The configured zone whose server said so: its name, or `.`.
    pub zone: Arc<str>,
    /// The server that answered (`address:port`), or `record` for a static record.
    pub server: Arc<str>,
    /// Seconds.
    pub ttl: u32,
}
