//! From a name back to the tags that would admit it, bound to the resource that it speaks of.

use super::{
    Catalogue, FqdnTag,
    file::{Cloud, Endpoint, Need},
};
use crate::policy::Fqdn;
use std::{collections::BTreeMap, fmt};

/// A tag that has an entry for a name.
#[derive(Clone, Debug)]
pub struct Holder<'a> {
    /// The tag.
    pub tag: &'a FqdnTag,
    endpoint: &'a Endpoint,
    values: BTreeMap<&'a str, &'a str>,
}

impl Catalogue {
    /// The tags whose main placeholder names a resource in this name, the likeliest first: those that hold it without a
    /// feature, and among them the one with the fewest entries.
    pub fn holders<'a>(&'a self, name: &'a Fqdn) -> Vec<Holder<'a>> {
        let mut holders: Vec<Holder<'_>> = self.tags().filter_map(|tag| holder(tag, name)).collect();
        holders.sort_by_key(|holder| (holder.endpoint.need != Need::Required, holder.tag.endpoints().len()));
        holders
    }
}

fn holder<'a>(tag: &'a FqdnTag, name: &'a Fqdn) -> Option<Holder<'a>> {
    let main = tag.placeholder()?;
    let held = tag.endpoints().iter().filter_map(|endpoint| {
        endpoint.application_ports()?;
        let values = endpoint.template()?.read(name.as_str())?;
        values.contains_key(main).then_some(Holder { tag, endpoint, values })
    });
    held.min_by_key(|holder| holder.endpoint.need != Need::Required)
}

/// `AzureOpenAI=contoso-ai`, as `--allow` takes it.
impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let main = self.tag.placeholder().unwrap_or_default();
        write!(f, "{}={}", self.tag.name(), self.values[main])?;
        for (placeholder, value) in self.values.iter().filter(|(placeholder, _)| **placeholder != main) {
            write!(f, ",{placeholder}={value}")?;
        }
        let cloud = self.endpoint.cloud;
        let cloud = (cloud != Cloud::Public).then(|| cloud.name());
        let feature = self.endpoint.feature.as_deref();
        for (number, feature) in feature.into_iter().chain(cloud).enumerate() {
            write!(f, ",{}{feature}", if number == 0 { "features=" } else { "" })?;
        }
        Ok(())
    }
}
