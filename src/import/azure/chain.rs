//! Policies, their parents and their groups, put together from the resources of all files.

use super::{
    Import, ImportFault, carried,
    collections::{GroupSource, LONGEST_NAME, Reader, Section, Shape},
    draft::{Draft, Effect},
    fields::{name_of, property},
    ip_groups::IpGroups,
    settings,
    shapes::{FIREWALL, Found, GROUP, IP_GROUP, OLD_GROUP, POLICY},
};
use crate::import::{
    arm::Resource,
    model::{Model, Origin, Policy},
    report::{Item, ItemKind, Outcome},
    value::{Kind, Place, Unknown, Value},
};
use std::sync::Arc;

/// Most parents above a policy; Azure has one.
const MOST_PARENTS: usize = 8;

/// Name and priority of the group that bare and classic collections belong to.
const NO_GROUP: (&str, i64) = ("default", 1000);

/// A policy as the files hold it.
#[derive(Debug)]
struct Source {
    name: String,
    base: Base,
    /// Of the policy itself, or of the classic firewall; `None` if only its groups are in the files.
    body: Option<Value>,
    groups: Vec<GroupSource>,
    origin: Origin,
}

#[derive(Debug)]
enum Base {
    None,
    Named(String),
    Unknown(Arc<Unknown>),
}

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
        let sources = self.sources(found);
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
            service_tags: self.import.options.service_tags.clone(),
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
            let draft = resource.kind.contains("draft");
            let why = if draft {
                "a draft is not in force"
            } else {
                "egret has no intrusion detection"
            };
            let effect = if draft { Effect::Allow } else { Effect::Deny };
            let name = name_of(Some(&resource.name), &resource.kind);
            put(ItemKind::Setting, &name, &resource.path, resource.body.at, effect, why);
        }
    }

    fn sources(&self, found: Found) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for resource in &found.resources {
            match resource.kind.as_str() {
                POLICY => policy(&mut sources, resource),
                GROUP | OLD_GROUP => group(&mut sources, resource),
                FIREWALL => sources.extend(classic(resource)),
                _ => {}
            }
        }
        if !found.bare.is_empty() {
            let (first, path) = &found.bare[0];
            let origin = Origin {
                path: path.clone(),
                at: first.at,
            };
            let collections = found.bare.iter().map(|(value, path)| {
                let origin = Origin {
                    path: path.clone(),
                    at: value.at,
                };
                (value.clone(), Shape::Now, origin)
            });
            let group = no_group(collections.collect(), &origin, None);
            match sources.as_mut_slice() {
                [only] => only.groups.push(group),
                _ => sources.push(Source {
                    name: "imported".into(),
                    base: Base::None,
                    body: None,
                    groups: vec![group],
                    origin,
                }),
            }
        }
        adopt_orphans(&mut sources);
        sources
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

fn policy(sources: &mut Vec<Source>, resource: &Resource) {
    let name = name_of(Some(&resource.name), "without a name");
    let base = match property(&resource.body, "basePolicy") {
        None => Base::None,
        Some(value) => base(value),
    };
    let origin = origin(resource);
    let source = find(sources, name, &origin);
    source.base = base;
    source.body = Some(resource.body.clone());
    source.origin = origin;
}

/// `{ id }`, or the id alone.
fn base(value: &Value) -> Base {
    let id = value.get("id").unwrap_or(value);
    match (&id.kind, id.as_str()) {
        (Kind::Unknown(unknown), _) => Base::Unknown(unknown.clone()),
        (_, Some("")) => Base::None,
        (_, Some(id)) => Base::Named(id.rsplit('/').next().unwrap_or(id).to_owned()),
        _ => Base::None,
    }
}

fn group(sources: &mut Vec<Source>, resource: &Resource) {
    let full = name_of(Some(&resource.name), "/without a name");
    let (policy, name) = full.rsplit_once('/').unwrap_or(("", &full));
    let policy = policy.rsplit('/').next().unwrap_or_default();
    let origin = origin(resource);
    let old = resource.kind == OLD_GROUP;
    let key = ["ruleCollections", "ruleCollection"]
        .into_iter()
        .find(|key| property(&resource.body, key).is_some());
    let key = if old { "rules" } else { key.unwrap_or("ruleCollections") };
    let shape = if old { Shape::Old } else { Shape::Now };
    let collections = match resource.body.get("properties").and_then(Value::as_unknown) {
        Some(unknown) => Err(unknown.clone()),
        None => collections(&resource.body, key, shape, &origin),
    };
    let group = GroupSource {
        name: name.to_owned(),
        priority: property(&resource.body, "priority").cloned(),
        collections,
        origin: origin.clone(),
        doubt: resource.doubt.clone(),
    };
    find(sources, policy.to_owned(), &origin).groups.push(group);
}

/// A firewall with rules of its own. One with a policy has none that count.
fn classic(resource: &Resource) -> Option<Source> {
    let origin = origin(resource);
    let mut all = Vec::new();
    let mut unknown = None;
    for (key, section) in [
        ("natRuleCollections", Section::Nat),
        ("networkRuleCollections", Section::Network),
        ("applicationRuleCollections", Section::Application),
    ] {
        match collections(&resource.body, key, Shape::Classic(section), &origin) {
            Ok(found) => all.extend(found),
            Err(why) => unknown = Some(why),
        }
    }
    if all.is_empty() && unknown.is_none() && property(&resource.body, "firewallPolicy").is_some() {
        return None;
    }
    let mut groups = Vec::new();
    if !all.is_empty() {
        groups.push(no_group(all, &origin, resource.doubt.clone()));
    }
    if let Some(unknown) = unknown {
        let group = no_group(Vec::new(), &origin, None);
        groups.push(GroupSource {
            collections: Err(unknown),
            ..group
        });
    }
    Some(Source {
        name: name_of(Some(&resource.name), "without a name"),
        base: Base::None,
        body: Some(resource.body.clone()),
        groups,
        origin,
    })
}

fn collections(
    body: &Value,
    key: &str,
    shape: Shape,
    origin: &Origin,
) -> Result<Vec<(Value, Shape, Origin)>, Arc<Unknown>> {
    let Some(value) = property(body, key) else {
        return Ok(Vec::new());
    };
    let Some(items) = value.as_list() else {
        return Err(value.doubt().cloned().unwrap_or_else(|| {
            let why = format!("`{key}` is {}: `ConvertTo-Json` needs `-Depth 100`", value.type_name());
            let (at, perhaps) = (value.at, false);
            Arc::new(Unknown { why, at, perhaps })
        }));
    };
    let prefix = if body.get("properties").is_some() {
        ".properties"
    } else {
        ""
    };
    let placed = items.iter().enumerate().map(|(index, item)| {
        let path = format!("{}{prefix}.{key}[{index}]", origin.path);
        (item.clone(), shape, Origin { path, at: item.at })
    });
    Ok(placed.collect())
}

fn no_group(collections: Vec<(Value, Shape, Origin)>, origin: &Origin, doubt: Option<Arc<Unknown>>) -> GroupSource {
    let (name, priority) = NO_GROUP;
    GroupSource {
        name: name.into(),
        priority: Some(Value::new(Kind::Int(priority), origin.at)),
        collections: Ok(collections),
        origin: origin.clone(),
        doubt,
    }
}

/// The policy of this name, made if it is new.
fn find<'s>(sources: &'s mut Vec<Source>, name: String, origin: &Origin) -> &'s mut Source {
    let known = sources
        .iter()
        .position(|source| source.name.eq_ignore_ascii_case(&name));
    let index = known.unwrap_or(sources.len());
    if known.is_none() {
        sources.push(Source {
            name,
            base: Base::None,
            body: None,
            groups: Vec::new(),
            origin: origin.clone(),
        });
    }
    &mut sources[index]
}

/// Groups of which the policy is not named belong to the only policy there is.
fn adopt_orphans(sources: &mut Vec<Source>) {
    let Some(orphan) = sources.iter().position(|source| source.name.is_empty()) else {
        return;
    };
    if sources.len() == 2 {
        let orphans = sources.remove(orphan);
        sources[0].groups.extend(orphans.groups);
    } else {
        sources[orphan].name = "imported".into();
    }
}

fn origin(resource: &Resource) -> Origin {
    Origin {
        path: resource.path.clone(),
        at: resource.body.at,
    }
}
