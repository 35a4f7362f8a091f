//! The policies of the files with their groups, put together from resources.

use super::{
    collections::GroupSource,
    fields::{name_of, property},
    schema::{Section, Shape},
    shapes::{FIREWALL, Found, GROUP, OLD_GROUP, POLICY},
};
use crate::import::{
    arm::Resource,
    model::Origin,
    value::{Kind, Unknown, Value},
};
use std::sync::Arc;

/// Name and priority of the group that bare and classic collections belong to.
const NO_GROUP: (&str, i64) = ("default", 1000);

/// A policy as the files hold it.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    pub base: Base,
    /// Of the policy itself, or of the classic firewall; `None` if only its groups are in the files.
    pub body: Option<Value>,
    pub groups: Vec<GroupSource>,
    pub origin: Origin,
}

/// Its parent.
#[derive(Debug)]
pub(super) enum Base {
    None,
    Named(String),
    Unknown(Arc<Unknown>),
}

/// The policies of all files, in their order.
pub(super) fn of(found: Found) -> Vec<Source> {
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
