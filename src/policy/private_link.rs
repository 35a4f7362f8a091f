//! Private-link zones and the public zones paired with them (`allowlists/private-link-zones.toml`).

use super::{
    Fqdn, FqdnPattern,
    fqdn::is_below,
    names::{Candidate, NameIndex, NameIndexBuilder},
};
use serde::Deserialize;
use std::sync::{Arc, LazyLock};

/// The label that Azure puts into the name of a zone for private endpoints (once `privatelink-global`).
pub const PRIVATE_LINK_LABEL: &str = "privatelink";

/// The table of pairs. Placeholders (`{regionName}`) stand for exactly one label.
#[derive(Clone, Debug)]
pub struct PrivateLinkZones(Arc<Table>);

#[derive(Debug)]
struct Table {
    private: ZoneSet,
    public: ZoneSet,
    /// For each private zone the public ones paired with it.
    pairs: Vec<Vec<usize>>,
}

/// The file: only what vetting needs of it.
#[derive(Deserialize)]
struct File {
    zone: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    private_zones: Vec<String>,
    public_zones: Vec<String>,
    /// Stands for `public_zones` where these hold names of other services, too.
    #[serde(default)]
    only: Vec<String>,
}

impl Default for PrivateLinkZones {
    fn default() -> Self {
        Self::embedded()
    }
}

impl PrivateLinkZones {
    /// The table that is built in, parsed once per process.
    pub fn embedded() -> Self {
        static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| {
            let text = include_str!("../../allowlists/private-link-zones.toml");
            let file: File = toml::from_str(text).expect("the built-in table is read by a test");
            Arc::new(Table::new(&file.zone))
        });
        Self(Arc::clone(&TABLE))
    }

    /// The private-link zone that holds this name (`x.privatelink.openai.azure.com` -> `privatelink.openai.azure.com`), if any.
    pub fn zone_of<'a>(&self, name: &'a Fqdn) -> Option<&'a str> {
        self.0
            .private
            .holding(name)
            .map(|held| held.zone)
            .max_by_key(|zone| zone.len())
    }

    /// Whether `asked` lies in the private-link zone of `owner`, or in a public zone paired with it.
    pub fn paired(&self, asked: &Fqdn, owner: &Fqdn) -> bool {
        self.0.private.holding(owner).any(|private| {
            let public = |&number: &usize| self.0.public.zones[number].hold(asked.as_str());
            asked.as_str() == private.zone
                || is_below(asked.as_str(), private.zone)
                || self.0.pairs[private.number]
                    .iter()
                    .filter_map(public)
                    .any(|held| held.agrees(&private))
        })
    }

    /// Whether `name` lies in a public zone that has a private-link zone.
    pub fn has_private_link(&self, name: &Fqdn) -> bool {
        self.0.public.holding(name).next().is_some()
    }

    /// The public zones as written, placeholders included: each holds resources of every tenant.
    pub fn public_zones(&self) -> impl Iterator<Item = &str> {
        self.0.public.zones.iter().map(|zone| &*zone.text)
    }

    /// The first public zone without placeholders that a private zone of this name answers for.
    pub fn public_of(&self, private: &str) -> Option<&str> {
        let number = self.0.private.zones.iter().position(|zone| &*zone.text == private)?;
        let mut texts = self.0.pairs[number]
            .iter()
            .map(|number| &*self.0.public.zones[*number].text);
        texts.find(|text| !text.contains('{'))
    }
}

impl Table {
    fn new(rows: &[Row]) -> Self {
        let (mut private, mut public) = (Vec::new(), Vec::new());
        let mut pairs: Vec<Vec<usize>> = Vec::new();
        for row in rows {
            let publics = if row.only.is_empty() {
                &row.public_zones
            } else {
                &row.only
            };
            for (private_zone, public_zone) in row_pairs(&row.private_zones, publics) {
                let pair = (number(&mut private, private_zone), number(&mut public, public_zone));
                pairs.resize_with(private.len(), Vec::new);
                if !pairs[pair.0].contains(&pair.1) {
                    pairs[pair.0].push(pair.1);
                }
            }
        }
        Self {
            private: ZoneSet::new(private),
            public: ZoneSet::new(public),
            pairs,
        }
    }
}

/// Which public zone of a row belongs to which private one: see the head of the file.
fn row_pairs<'a>(private: &'a [String], public: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let named_alike = |p: &str, q: &str| without_private_link(p).eq(q.split('.').rev());
    let mut pairs = Vec::new();
    for (i, q) in public.iter().enumerate() {
        let alike = private.iter().any(|p| named_alike(p, q));
        for (j, p) in private.iter().enumerate() {
            if if alike {
                named_alike(p, q)
            } else {
                private.len() != public.len() || i == j
            } {
                pairs.push((p.as_str(), q.as_str()));
            }
        }
    }
    for p in private {
        if !pairs.iter().any(|(paired, _)| paired == p) {
            pairs.extend(public.iter().map(|q| (p.as_str(), q.as_str())));
        }
    }
    pairs
}

/// The labels of a name from the right, without `privatelink`.
pub(super) fn without_private_link(name: &str) -> impl Iterator<Item = &str> + Clone {
    name.rsplit('.').filter(|label| *label != PRIVATE_LINK_LABEL)
}

fn number<'a>(texts: &mut Vec<&'a str>, text: &'a str) -> usize {
    texts.iter().position(|known| *known == text).unwrap_or_else(|| {
        texts.push(text);
        texts.len() - 1
    })
}

/// Zones, found by the labels right of their placeholders.
#[derive(Debug)]
struct ZoneSet {
    zones: Vec<Zone>,
    index: NameIndex,
}

impl ZoneSet {
    fn new(texts: Vec<&str>) -> Self {
        let mut index = NameIndexBuilder::default();
        let zones: Vec<Zone> = texts.into_iter().map(Zone::new).collect();
        for (number, zone) in zones.iter().enumerate() {
            let plain = zone.text.rsplit_once('}').map_or(&*zone.text, |(_, rest)| rest);
            let plain = plain
                .split_once('.')
                .filter(|_| plain.len() < zone.text.len())
                .map_or(plain, |(_, rest)| rest);
            let plain = Fqdn::parse(plain).expect("the built-in table is read by a test");
            let candidate = Candidate::new(number as u32, false, 0);
            index.add(&FqdnPattern::Exact(plain.clone()), candidate);
            index.add(&FqdnPattern::Below(plain), candidate);
        }
        Self {
            zones,
            index: index.build(),
        }
    }

    /// The zones that hold the name.
    fn holding<'t, 'n>(&'t self, name: &'n Fqdn) -> impl Iterator<Item = Held<'t, 'n>> {
        let candidates = self
            .index
            .lists(name.as_str())
            .flat_map(|found| found.candidates)
            .map(|candidate| candidate.rule() as usize);
        candidates.filter_map(|number| {
            Some(Held {
                number,
                ..self.zones[number].hold(name.as_str())?
            })
        })
    }
}

/// A zone, its labels from the right.
#[derive(Debug)]
struct Zone {
    text: Box<str>,
    labels: Vec<Label>,
}

#[derive(Debug)]
enum Label {
    Literal(Box<str>),
    /// Any label, or any that ends so: `{workspaceName}-ondemand`.
    Placeholder {
        name: Box<str>,
        ending: Box<str>,
    },
}

/// Placeholders of one zone in the table, at most.
const MAX_PLACEHOLDERS: usize = 2;

/// A name in a zone.
struct Held<'t, 'n> {
    number: usize,
    /// The zone as it is in this name.
    zone: &'n str,
    /// The placeholders and what they stand for.
    bound: [Option<(&'t str, &'n str)>; MAX_PLACEHOLDERS],
}

impl Zone {
    fn new(text: &str) -> Self {
        let label = |label: &str| match label.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, ending)) => Label::Placeholder {
                name: name.into(),
                ending: ending.into(),
            },
            None => Label::Literal(label.into()),
        };
        Self {
            text: text.into(),
            labels: text.rsplit('.').map(label).collect(),
        }
    }

    fn hold<'t, 'n>(&'t self, name: &'n str) -> Option<Held<'t, 'n>> {
        let mut bound = [None; MAX_PLACEHOLDERS];
        let mut free = bound.iter_mut();
        let mut theirs = name.rsplit('.');
        let mut length = 0;
        for label in &self.labels {
            let found = theirs.next()?;
            match label {
                Label::Literal(text) if **text == *found => {}
                Label::Placeholder { name, ending } if found.ends_with(&**ending) => {
                    *free.next()? = Some((&**name, &found[..found.len() - ending.len()]));
                }
                _ => return None,
            }
            length += found.len() + 1;
        }
        Some(Held {
            number: 0,
            zone: &name[name.len() + 1 - length..],
            bound,
        })
    }
}

impl Held<'_, '_> {
    /// Whether placeholders of the same name stand for the same label.
    fn agrees(&self, other: &Held<'_, '_>) -> bool {
        let theirs = |name| other.bound.iter().flatten().find(|(other, _)| *other == name);
        self.bound
            .iter()
            .flatten()
            .all(|(name, label)| theirs(*name).is_none_or(|(_, other)| other == label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).unwrap()
    }

    #[test]
    fn every_row_of_the_reference_is_in_the_table() {
        let file: File = toml::from_str(include_str!("../../allowlists/private-link-zones.toml")).unwrap();
        assert_eq!(file.zone.len(), 153);
        let table = Table::new(&file.zone);
        assert_eq!((table.private.zones.len(), table.public.zones.len()), (165, 175));
        assert!(table.pairs.iter().all(|publics| !publics.is_empty()));
        for zone in table.private.zones.iter().chain(&table.public.zones) {
            let placeholders = zone
                .labels
                .iter()
                .filter(|label| matches!(label, Label::Placeholder { .. }))
                .count();
            assert!(placeholders <= MAX_PLACEHOLDERS, "{}", zone.text);
            assert!(zone.labels.len() >= 2, "{}", zone.text);
        }
        for zone in &table.private.zones {
            assert!(
                zone.text.split('.').any(|label| label.starts_with(PRIVATE_LINK_LABEL)),
                "{}",
                zone.text
            );
        }
    }

    #[test]
    fn names_are_found_in_their_private_link_zone() {
        let zones = PrivateLinkZones::embedded();
        for (text, zone) in [
            ("x.privatelink.openai.azure.com", Some("privatelink.openai.azure.com")),
            ("privatelink.openai.azure.com", Some("privatelink.openai.azure.com")),
            ("x.openai.azure.com", None),
            (
                "x.eastus.privatelink.batch.azure.com",
                Some("eastus.privatelink.batch.azure.com"),
            ),
            ("x.privatelink.batch.azure.com", Some("x.privatelink.batch.azure.com")),
            ("privatelink.batch.azure.com", None),
            (
                "x.a.privatelink.eastus.azmk8s.io",
                Some("a.privatelink.eastus.azmk8s.io"),
            ),
            ("xprivatelink.openai.azure.com", None),
            ("privatelink.openai.azure.com.evil.test", None),
        ] {
            assert_eq!(zones.zone_of(&name(text)), zone, "{text}");
        }
    }

    #[test]
    fn d10_an_asked_name_is_paired_with_the_owner_in_its_zone_only() {
        let zones = PrivateLinkZones::embedded();
        for (asked, owner, paired) in [
            ("x.openai.azure.com", "x.privatelink.openai.azure.com", true),
            ("x.privatelink.openai.azure.com", "x.privatelink.openai.azure.com", true),
            ("x.openai.azure.com", "y.privatelink.openai.azure.com", true),
            ("x.cognitiveservices.azure.com", "x.privatelink.openai.azure.com", false),
            ("evil.contoso.com", "x.privatelink.openai.azure.com", false),
            ("x.vault.azure.net", "x.privatelink.vaultcore.azure.net", true),
            ("x.vaultcore.azure.net", "x.privatelink.vaultcore.azure.net", true),
            ("nb.instances.azureml.ms", "nb.privatelink.api.azureml.ms", true),
            ("a.eastus.batch.azure.com", "a.eastus.privatelink.batch.azure.com", true),
            (
                "a.eastus.batch.azure.com",
                "a.westeurope.privatelink.batch.azure.com",
                false,
            ),
            (
                "ws-ondemand.sql.azuresynapse.net",
                "ws-ondemand.privatelink.sql.azuresynapse.net",
                true,
            ),
            (
                "mi.abc.database.windows.net",
                "mi.privatelink.abc.database.windows.net",
                true,
            ),
            ("k.eastus.azmk8s.io", "k.sub.privatelink.eastus.azmk8s.io", true),
            ("management.azure.com", "management.privatelink.azure.com", true),
            ("portal.azure.com", "portal.privatelink.azure.com", false),
            ("x.openai.azure.com", "x.openai.azure.com", false),
        ] {
            assert_eq!(zones.paired(&name(asked), &name(owner)), paired, "{asked} {owner}");
        }
    }

    #[test]
    fn public_zones_have_private_link_and_their_parents_do_not() {
        let zones = PrivateLinkZones::embedded();
        for (text, has) in [
            ("x.openai.azure.com", true),
            ("x.blob.core.windows.net", true),
            ("x.documents.azure.com", true),
            ("management.azure.com", true),
            ("portal.azure.com", false),
            ("azure.com", false),
            ("login.microsoftonline.com", false),
            ("openai.azure.com.evil.test", false),
        ] {
            assert_eq!(zones.has_private_link(&name(text)), has, "{text}");
        }
    }
}
