//! Rule collection groups out of resources: those of policies, and the one that the collections of a classic firewall make.

use super::{
    collections::GroupSource,
    draft::MOST_NOTES,
    fields::{located, name_of, property, says_something},
    identity::Identity,
    names::NO_NAME,
    schema::{Section, Shape},
    shapes::{GROUP, OLD_GROUP},
    unread::{Unread, unread},
};
use crate::import::{
    arm::Resource,
    budget::Budget,
    ids::Word,
    model::Origin,
    value::{Kind, Place, Unknown, Value},
};
use std::sync::Arc;

/// Name and priority of the group that bare and classic collections belong to.
pub(super) const NO_GROUP: (&str, i64) = ("default", 1000);

/// Where a classic firewall has its collections.
const SECTIONS: [(&str, Section); 3] = [
    ("natRuleCollections", Section::Nat),
    ("networkRuleCollections", Section::Network),
    ("applicationRuleCollections", Section::Application),
];

/// Collections with their shapes and places; unknown if they cannot be read.
pub(super) type Collections = Result<Placed, Arc<Unknown>>;

type Placed = Vec<(Value, Shape, Origin)>;

pub(super) fn origin(resource: &Resource) -> Origin {
    Origin {
        path: resource.path.clone(),
        at: resource.body.at,
    }
}

/// What is not known, in words.
pub(super) fn unknown(why: String, at: Place) -> Arc<Unknown> {
    Unknown::new(why, at)
}

/// Where a resource says what it is: its `properties`, or, in flattened output, itself. What tools print in place of properties
/// that they cut off is not that.
pub(super) fn content(body: &Value) -> Result<&Value, Arc<Unknown>> {
    let properties = body.as_object().and_then(|object| object.get("properties"));
    let content = properties.unwrap_or(body);
    match (&content.kind, content.doubt()) {
        (Kind::Object(_), _) => Ok(content),
        (_, Some(doubt)) => Err(doubt.clone()),
        _ => {
            let what = content.type_name();
            let why =
                format!("`properties` is {what}: print the resource itself (`ConvertTo-Json` needs `-Depth 100`)");
            Err(unknown(why, content.at))
        }
    }
}

/// A group of a policy, as it stands at `origin`.
pub(super) fn group(
    budget: &Budget,
    body: &Value,
    kind: &str,
    name: &str,
    origin: Origin,
    doubt: Option<Arc<Unknown>>,
) -> GroupSource {
    let old = kind == OLD_GROUP;
    let now = ["ruleCollections", "ruleCollection"];
    let written = now.into_iter().find(|key| property(body, key).is_some());
    let key = if old { "rules" } else { written.unwrap_or(now[0]) };
    let shape = if old { Shape::Old } else { Shape::Now };
    let collections = collections(budget, body, key, shape, &origin).and_then(|found| {
        found.ok_or_else(|| unknown(format!("it has no `{key}`: what it holds may stand elsewhere"), body.at))
    });
    let (parts, plain): (Vec<_>, Vec<_>) = unread(budget, body, &[key]).into_iter().partition(Unread::may_hold);
    let collections = collections.map(|found| {
        found
            .into_iter()
            .chain(not_read(budget, &parts, key, shape, &origin))
            .collect()
    });
    GroupSource {
        name: name.to_owned(),
        priority: property(body, "priority").cloned(),
        unread: plain.iter().take(MOST_NOTES).map(Unread::name).collect(),
        collections,
        origin,
        doubt,
        void: None,
        deployment: 0,
    }
}

/// Fields of a group beside the one that is read, each as a collection that is not known.
fn not_read(budget: &Budget, fields: &[Unread<'_>], key: &str, shape: Shape, origin: &Origin) -> Placed {
    if !budget.keeps(fields.len(), origin.at) {
        return Vec::new();
    }
    let why = format!("it stands beside what is read of its group (`{key}`), and may hold rules too");
    let why = unknown(why, origin.at);
    let not_known = |field: &Unread<'_>| (Value::in_doubt(&why, field.value.at), shape, field.below(origin));
    fields.iter().map(not_known).collect()
}

/// The group that the collections of a classic firewall make; `None` if it has none.
pub(super) fn classic(budget: &Budget, resource: &Resource) -> Option<GroupSource> {
    let origin = origin(resource);
    let mut all = Ok(Vec::new());
    for (key, section) in SECTIONS {
        match collections(budget, &resource.body, key, Shape::Classic(section), &origin) {
            Ok(found) => all = all.map(|all: Vec<_>| all.into_iter().chain(found.into_iter().flatten()).collect()),
            Err(why) => all = Err(why),
        }
    }
    let has_some = all.as_ref().map_or(true, |all| !all.is_empty());
    has_some.then(|| no_group(all, &origin, resource.doubt.clone()))
}

/// A group for collections that are in none.
pub(super) fn no_group(collections: Collections, origin: &Origin, doubt: Option<Arc<Unknown>>) -> GroupSource {
    let (name, priority) = NO_GROUP;
    GroupSource {
        name: name.into(),
        priority: Some(Value::new(Kind::Int(priority), origin.at)),
        unread: Vec::new(),
        collections,
        origin: origin.clone(),
        doubt,
        void: None,
        deployment: 0,
    }
}

/// The collections under a key; `None` if it is not written.
fn collections(
    budget: &Budget,
    body: &Value,
    key: &'static str,
    shape: Shape,
    origin: &Origin,
) -> Result<Option<Placed>, Arc<Unknown>> {
    content(body)?;
    let Some((list, value)) = located(body, key, origin) else {
        return Ok(None);
    };
    let Some(items) = value.as_list() else {
        return Err(value.doubt().cloned().unwrap_or_else(|| {
            let what = value.type_name();
            unknown(
                format!("`{key}` is {what}: `ConvertTo-Json` needs `-Depth 100`"),
                value.at,
            )
        }));
    };
    if !budget.keeps(items.len(), value.at) {
        return Ok(Some(Vec::new()));
    }
    let placed = items.iter().enumerate().map(|(index, item)| {
        let (path, at) = (list.path.item(index), item.at);
        (item.clone(), shape, Origin { path, at })
    });
    Ok(Some(placed.collect()))
}

/// An entry of a policy's own list of groups.
pub(super) enum Entry {
    /// It is written out there.
    Group(GroupSource, Word),
    /// It is only named.
    Named(String, Word),
    Unknown(Arc<Unknown>),
}

/// Where a policy lists its groups, and of what type they are: the second until API version 2020-04-01.
pub(super) const LISTS: [(&str, &str); 2] = [("ruleCollectionGroups", GROUP), ("ruleGroups", OLD_GROUP)];

/// The groups that a policy lists with their places: exports name them, some write them out.
pub(super) fn listed(
    budget: &Budget,
    policy: &Value,
    at: &Origin,
    doubt: Option<&Arc<Unknown>>,
) -> Vec<(Entry, Origin)> {
    let lists = LISTS
        .iter()
        .filter_map(|(key, kind)| Some((kind, located(policy, key, at)?)));
    lists
        .flat_map(|(kind, (at, list))| entries(budget, list, kind, at, doubt))
        .collect()
}

fn entries(
    budget: &Budget,
    list: &Value,
    kind: &str,
    at: Origin,
    doubt: Option<&Arc<Unknown>>,
) -> Vec<(Entry, Origin)> {
    let Some(items) = list.as_list() else {
        let why = list
            .doubt()
            .cloned()
            .unwrap_or_else(|| unknown("it is no list".into(), list.at));
        return vec![(Entry::Unknown(why), at)];
    };
    if !budget.keeps(2 * items.len(), list.at) {
        return Vec::new();
    }
    let entries = items.iter().enumerate().map(|(index, item)| {
        let (path, at) = (at.path.item(index), item.at);
        let origin = Origin { path, at };
        (entry(budget, item, kind, &origin, doubt), origin)
    });
    entries.collect()
}

fn entry(budget: &Budget, item: &Value, kind: &str, origin: &Origin, doubt: Option<&Arc<Unknown>>) -> Entry {
    let id = item.get("id").or(item.get("name")).unwrap_or(item);
    let text = id
        .as_str()
        .map(|text| text.trim_end_matches('/').rsplit('/').next().unwrap_or(text));
    let word = match &id.kind {
        Kind::Text(id) => Identity::meant_by(id).word(),
        _ => Word::InDoubt,
    };
    let has_rules = ["ruleCollections", "ruleCollection", "rules", "properties"]
        .iter()
        .any(|key| item.get(key).is_some());
    match text.filter(|text| !text.is_empty()) {
        _ if has_rules => {
            let name = text.map_or_else(|| name_of(item.get("name"), NO_NAME), str::to_owned);
            Entry::Group(group(budget, item, kind, &name, origin.clone(), doubt.cloned()), word)
        }
        Some(name) => Entry::Named(name.to_owned(), word),
        None => Entry::Unknown(
            id.doubt()
                .cloned()
                .unwrap_or_else(|| unknown("it has no id".into(), item.at)),
        ),
    }
}

/// Whether two groups are known to have the same content.
pub(super) fn same_group(budget: &Budget, one: &GroupSource, other: &GroupSource) -> bool {
    let (Ok(ours), Ok(theirs)) = (&one.collections, &other.collections) else {
        return false;
    };
    let priorities = match (&one.priority, &other.priority) {
        (None, None) => true,
        (Some(one), Some(other)) => alike(budget, one, other),
        _ => false,
    };
    let mut pairs = ours.iter().zip(theirs);
    priorities
        && ours.len() == theirs.len()
        && pairs.all(|((one, shape, _), (other, other_shape, _))| shape == other_shape && alike(budget, one, other))
}

/// Whether two values are known to be the same; members in any order, null like a missing one. Values may share what is in them,
/// so that a small file holds a great many.
pub(super) fn alike(budget: &Budget, one: &Value, other: &Value) -> bool {
    if one.doubt().is_some() || other.doubt().is_some() {
        return false;
    }
    let look = match (&one.kind, &other.kind) {
        (Kind::Text(one), Kind::Text(other)) => one.text.len().min(other.text.len()) / 64,
        // Their members are put in order.
        (Kind::Object(ours), Kind::Object(theirs)) => 2 * (ours.entries.len() + theirs.entries.len()),
        _ => 0,
    };
    if !budget.looks(1 + look, one.at) {
        return false;
    }
    match (&one.kind, &other.kind) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(one), Kind::Bool(other)) => one == other,
        (Kind::Text(one), Kind::Text(other)) => one.text == other.text,
        (Kind::List(ours), Kind::List(theirs)) => {
            let mut pairs = ours.items.iter().zip(&theirs.items);
            ours.items.len() == theirs.items.len() && pairs.all(|(one, other)| alike(budget, one, other))
        }
        (Kind::Object(ours), Kind::Object(theirs)) => {
            let entries = ours.entries.iter().chain(&theirs.entries);
            if !budget.looks(entries.map(|(name, _)| name.len() / 64).sum(), one.at) {
                return false;
            }
            let (ours, theirs) = (members(&ours.entries), members(&theirs.entries));
            let mut pairs = ours.iter().zip(&theirs);
            ours.len() == theirs.len() && pairs.all(|(one, other)| one.0 == other.0 && alike(budget, one.1, other.1))
        }
        _ => one.as_int().is_some() && one.as_int() == other.as_int(),
    }
}

/// Members that say something, in the order of their names: `az` prints empty lists and `false` for what is not written. Where an
/// empty list is nobody and a missing one anybody, it says something.
fn members(entries: &[(Arc<str>, Value)]) -> Vec<(String, &Value)> {
    let is_source = |name: &str| {
        ["sourceAddresses", "sourceIpGroups"]
            .iter()
            .any(|key| name.eq_ignore_ascii_case(key))
    };
    let is_needed = |name: &str| {
        ["protocols", "ipProtocols", "rules"]
            .iter()
            .any(|key| name.eq_ignore_ascii_case(key))
    };
    let named = entries
        .iter()
        .any(|(name, value)| is_source(name) && says_something(value));
    let written = entries.iter().filter(|(name, value)| {
        says_something(value) || value.doubt().is_some() || is_needed(name) || (is_source(name) && !named)
    });
    let mut members: Vec<_> = written
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    members.sort_by(|one, other| one.0.cmp(&other.0));
    members
}
