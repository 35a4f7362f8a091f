//! Policies, their parents and their groups, put together from the resources of all files.

use super::{
    Import, ImportFault, carried,
    collections::Reader,
    draft::{Draft, Effect},
    fields::name_of,
    ip_groups::IpGroups,
    names::LONGEST_NAME,
    settings,
    shapes::{FIREWALL, Found, GROUP, IP_GROUP, OLD_GROUP, POLICY},
    sources::{self, Base, Source},
};
use crate::import::{
    model::{Model, Policy},
    report::{Item, ItemKind, Outcome},
    value::{Place, Value},
};

/// Most parents above a policy; Azure has one.
const MOST_PARENTS: usize = 8;

/// Reads what was found.
pub(super) struct Gather<'a> {
    import: &'a Import<'a>,
    found: Found,
    items: Vec<Item>,
}

impl<'a> Gather<'a> {
    pub fn new(import: &'a Import<'a>, found: Found) -> Self {
        let items = Vec::new();
        Self { import, found, items }
    }

    pub fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// The policy that is meant, its parents before it. Fails if it is not there.
    pub fn model(&mut self) -> Result<Model, Box<ImportFault>> {
        self.left_out();
        let found = std::mem::take(&mut self.found);
        let ip_groups = IpGroups::read(self.import, &found.resources, &mut self.items);
        let sources = sources::of(found);
        let chosen = self.choose(&sources)?;
        let chain = self.chain(&sources, chosen);
        let mut policies = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let place = chain.iter().position(|link| *link == index);
            let before = self.items.len();
            let policy = self.policy(source, &ip_groups);
            match place {
                Some(place) => policies.push((place, policy)),
                None => self.not_meant(before, &sources[chosen].name),
            }
        }
        policies.sort_by_key(|(place, _)| *place);
        let bodies: Vec<&Value> = chain.iter().filter_map(|link| sources[*link].body.as_ref()).collect();
        Ok(Model {
            policies: policies.into_iter().map(|(_, policy)| policy).collect(),
            ip_groups: ip_groups.into_groups(),
            threat_intelligence: settings::threat_intelligence(&bodies, self.import.options),
            service_tags: self.import.options.service_tags.as_ref().map(|(file, _)| file.clone()),
            not_enforced: Vec::new(),
        })
    }

    /// What the templates do not deploy, or deploy from elsewhere.
    fn left_out(&mut self) {
        let mut put = |kind, name: &str, path: &str, at: Place, effect, why: &str| {
            let mut draft = Draft::new(effect);
            draft.void(why);
            let item = self.import.item(kind, name.to_owned(), path, at, draft.verdict());
            self.items.push(item);
        };
        for (kind, path, at) in &self.found.left_out {
            let item = match kind.as_str() {
                POLICY | FIREWALL => ItemKind::Policy,
                GROUP | OLD_GROUP => ItemKind::RuleCollectionGroup,
                IP_GROUP => ItemKind::IpGroup,
                _ => continue,
            };
            put(
                item,
                kind,
                path,
                *at,
                Effect::Allow,
                "not deployed: its condition is false",
            );
        }
        for (path, at) in &self.found.elsewhere {
            let why = "the template of this deployment is not in the file, and may hold rules";
            put(ItemKind::NotRead, "deployment", path, *at, Effect::Unknown, why);
        }
        let children = self.found.resources.iter().filter(|resource| {
            resource.kind.starts_with(POLICY) && ![POLICY, GROUP, OLD_GROUP].contains(&resource.kind.as_str())
        });
        for resource in children {
            let mut draft = Draft::new(Effect::Allow);
            match resource.kind.contains("draft") {
                true => draft.void("a draft is not in force"),
                false => draft = settings::signature_overrides(&resource.body),
            }
            let name = name_of(Some(&resource.name), &resource.kind);
            let (path, at) = (&resource.path, resource.body.at);
            let item = self.import.item(ItemKind::Setting, name, path, at, draft.verdict());
            self.items.push(item);
        }
    }

    /// The policy that is meant: by name, or the first that is nobody's parent.
    fn choose(&self, sources: &[Source]) -> Result<usize, Box<ImportFault>> {
        let fault = |found: String, hint: &str| {
            Box::new(ImportFault {
                hint: hint.to_owned(),
                ..self.import.fault(Place::default(), "$", found)
            })
        };
        if let Some(wanted) = &self.import.options.policy {
            let found = sources
                .iter()
                .position(|source| source.name.eq_ignore_ascii_case(wanted));
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            return found.ok_or_else(|| {
                let hint = format!("the files hold: {}", names.join(", "));
                fault(format!("no policy `{wanted}`"), &hint)
            });
        }
        let is_parent = |name: &str| {
            sources
                .iter()
                .any(|other| matches!(&other.base, Base::Named(base) if base.eq_ignore_ascii_case(name)))
        };
        let leaf = sources.iter().position(|source| !is_parent(&source.name));
        leaf.ok_or_else(|| match sources.is_empty() {
            true => fault(
                "no policy and no rule in these files".into(),
                "an IP group alone makes no policy",
            ),
            false => fault(
                "each policy is the parent of another".into(),
                "name the one that is meant: `--policy`",
            ),
        })
    }

    /// The policy and its parents, root first. A parent that is in none of the files may deny.
    fn chain(&mut self, sources: &[Source], chosen: usize) -> Vec<usize> {
        let mut chain = vec![chosen];
        loop {
            let link = &sources[*chain.last().expect("the policy itself is in it")];
            let why = match &link.base {
                Base::None => break,
                Base::Unknown(unknown) => format!("its parent policy is not known: {}", unknown.why),
                Base::Named(base) => {
                    let parent = sources.iter().position(|source| source.name.eq_ignore_ascii_case(base));
                    match parent {
                        Some(parent) if chain.len() <= MOST_PARENTS && !chain.contains(&parent) => {
                            chain.push(parent);
                            continue;
                        }
                        Some(_) => format!("its parent policy `{base}` has it as a parent in turn"),
                        None => format!("its parent policy `{base}` is in none of the files: give that one too"),
                    }
                }
            };
            let mut draft = Draft::new(Effect::Unknown);
            draft.void(why);
            let item = self.import.item(
                ItemKind::NotRead,
                link.name.clone(),
                &format!("{}.properties.basePolicy", link.origin.path),
                link.origin.at,
                draft.verdict(),
            );
            self.items.push(item);
            break;
        }
        chain.reverse();
        chain
    }

    fn policy(&mut self, source: &Source, ip_groups: &IpGroups) -> Policy {
        let item = self.import.item(
            ItemKind::Policy,
            source.name.clone(),
            &source.origin.path,
            source.origin.at,
            carried(),
        );
        self.items.push(item);
        if let Some(body) = &source.body {
            settings::read(self.import, body, &source.origin, &source.name, &mut self.items);
        }
        let mut reader = Reader {
            import: self.import,
            options: self.import.options,
            ip_groups,
            items: &mut self.items,
        };
        let groups = reader.groups(&source.groups);
        let name = source.name.chars().take(LONGEST_NAME).collect();
        Policy { name, groups }
    }

    /// What belongs to a policy that is not the one imported.
    fn not_meant(&mut self, from: usize, chosen: &str) {
        for item in &mut self.items[from..] {
            item.outcome = Outcome::Absent;
            item.not_enforced = false;
            item.notes = vec![format!(
                "of another policy than `{chosen}`: `--policy` names the one that is meant"
            )];
        }
    }
}
