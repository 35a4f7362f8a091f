//! [`Tenants`]: suffixes below which every tenant has names, so that a star over one is a way out for data.

use super::file::Endpoint;
use crate::policy::{FqdnPattern, PrivateLinkZones};

/// Suffixes where anybody can get a name: CDN front ends, public address labels, traffic managers, compute. With the number
/// of labels that a tenant's name has below them.
const FOR_ANYBODY: [(&str, usize); 31] = [
    ("azureedge.net", 1),
    ("azurefd.net", 2),
    // The name may carry its region: `<app>-<hash>.<region>-01.azurewebsites.net`.
    ("azurewebsites.net", 2),
    ("azurestaticapps.net", 2),
    ("azurecontainer.io", 2),
    ("azurecontainerapps.io", 3),
    ("models.ai.azure.com", 2),
    ("logic.azure.com", 3),
    // `<account>.z6.web.core.windows.net`: the zone of a static web site, or of a storage account's partition.
    ("web.core.windows.net", 2),
    ("blob.storage.azure.net", 2),
    ("sharepoint.com", 1),
    ("cloudapp.azure.com", 2),
    ("cloudapp.net", 1),
    ("trafficmanager.net", 1),
    ("instances.azureml.net", 2),
    ("msecnd.net", 2),
    ("cloudfront.net", 1),
    ("amazonaws.com", 3),
    ("googleapis.com", 1),
    ("akamaized.net", 1),
    ("edgesuite.net", 1),
    ("fastly.net", 3),
    ("workers.dev", 2),
    ("pages.dev", 1),
    ("github.io", 1),
    ("vercel.app", 1),
    ("netlify.app", 1),
    ("run.app", 2),
    ("hf.space", 1),
    ("ngrok.io", 1),
    ("ngrok.app", 1),
];

/// Multi-tenant suffixes.
#[derive(Debug, Default)]
pub(super) struct Tenants(Vec<Suffix>);

#[derive(Debug)]
struct Suffix {
    zone: String,
    /// Labels between the suffix and the end of a tenant's name: a star over fewer admits other tenants.
    levels: usize,
}

impl Tenants {
    pub(super) fn new<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Self {
        let templates = endpoints.filter_map(Endpoint::template);
        let placed = templates.filter(|template| template.placeholders().next().is_some());
        let mut suffixes: Vec<Suffix> = placed
            .filter_map(|template| Some((template.ending().split_once('.')?.1, template.levels())))
            .map(|(zone, levels)| Suffix {
                zone: zone.to_owned(),
                levels,
            })
            .collect();
        suffixes.extend(FOR_ANYBODY.map(|(zone, levels)| Suffix {
            zone: zone.to_owned(),
            levels,
        }));
        let zones = PrivateLinkZones::embedded();
        suffixes.extend(zones.public_zones().map(private_link_suffix));
        Self(suffixes)
    }

    /// The suffix whose tenants a star pattern admits beyond one of them.
    pub(super) fn of(&self, pattern: &FqdnPattern) -> Option<&str> {
        let admits = |suffix: &&Suffix| match pattern {
            FqdnPattern::Exact(_) => false,
            FqdnPattern::Below(zone) => suffix.admitted_by(zone.as_str(), true),
            FqdnPattern::EndsWith(ending) => suffix.admitted_by(ending, false),
            FqdnPattern::Any => true,
        };
        self.0.iter().find(admits).map(|suffix| suffix.zone.as_str())
    }
}

impl Suffix {
    /// Whether a star before `text` (after a dot, or inside a label) admits names of more than one tenant.
    fn admitted_by(&self, text: &str, at_border: bool) -> bool {
        let zone = self.zone.as_str();
        if zone == text
            || zone
                .strip_suffix(text)
                .is_some_and(|left| !at_border || left.ends_with('.'))
        {
            return true;
        }
        let below = text.strip_suffix(zone).and_then(|left| left.strip_suffix('.'));
        // `privatelink` stands for nobody: below it are the same tenants' names.
        let labels = |left: &str| left.split('.').filter(|label| *label != "privatelink").count();
        below.is_some_and(|left| labels(left) < self.levels + usize::from(!at_border))
    }
}

/// `{regionName}.kusto.windows.net` has its tenants two labels below `kusto.windows.net`.
fn private_link_suffix(zone: &str) -> Suffix {
    let (placed, plain) = match zone.rsplit_once('}') {
        Some((placed, rest)) => (
            placed.split('.').count(),
            rest.split_once('.').map_or(rest, |(_, zone)| zone),
        ),
        None => (0, zone),
    };
    Suffix {
        zone: plain.to_owned(),
        levels: placed + 1,
    }
}
