//! Private-link zones and the public zones paired with them (`allowlists/private-link-zones.toml`).

use super::Fqdn;
use std::sync::Arc;

/// The table of pairs. Placeholders (`{regionName}`) stand for exactly one label.
#[derive(Clone, Debug, Default)]
pub struct PrivateLinkZones {
    _private: Arc<()>,
}

impl PrivateLinkZones {
    /// The table that is built in, parsed once per process.
    pub fn embedded() -> Self {
        todo!()
    }

    /// The private-link zone that holds this name (`x.privatelink.openai.azure.com` -> `privatelink.openai.azure.com`), if any.
    pub fn zone_of<'a>(&self, name: &'a Fqdn) -> Option<&'a str> {
        let _ = name;
        todo!()
    }

    /// Whether `asked` lies in the private-link zone of `owner`, or in a public zone paired with it.
    pub fn paired(&self, asked: &Fqdn, owner: &Fqdn) -> bool {
        let _ = (asked, owner);
        todo!()
    }

    /// Whether `name` lies in a public zone that has a private-link zone.
    pub fn has_private_link(&self, name: &Fqdn) -> bool {
        let _ = name;
        todo!()
    }
}
