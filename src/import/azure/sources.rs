//! The policies of the files with their groups, put together from resources. Whatever is handed in comes out: in a policy, as a
//! stray of which the policy cannot be told, as a double of what is there already, or as a firewall without rules of its own.

use super::{
    Import,
    base::{Base, base},
    collections::GroupSource,
    fields::{property, says_something},
    groups::{self, Collections, Entry, origin},
    identity::Identity,
    names::NO_NAME,
    places::Places,
    register::{Meant, Register, distinct},
    schema::Shape,
    shapes::{FIREWALL, GROUP, OLD_GROUP, POLICY},
};
use crate::import::{
    arm::Resource,
    budget::Budget,
    ids::Word,
    model::Origin,
    path::Path,
    value::{Unknown, Value},
};
use std::{collections::HashMap, sync::Arc};

/// Why two are not known to be one.
const NOT_KNOWN: &str = "its name or its resource group is not known";

/// Whether a resource is put together here.
pub(super) fn takes(resource: &Resource) -> bool {
    [POLICY, GROUP, OLD_GROUP, FIREWALL].contains(&resource.kind.as_str()) || loose::section(resource).is_some()
}

/// A policy, or a classic firewall, as the files hold it.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    pub id: Identity,
    /// Each resource that is this policy: none if only its groups are in the files, several if it is written more than once.
    pub bodies: Vec<Body>,
    pub groups: Vec<GroupSource>,
    /// Groups that it has in Azure and that the files do not hold: name, place, why.
    pub missing: Vec<(String, Origin, String)>,
    pub origin: Origin,
}

impl Source {
    /// Why it is not known whether it is deployed.
    pub fn doubt(&self) -> Option<&Arc<Unknown>> {
        let doubts: Option<Vec<_>> = self.bodies.iter().map(|body| body.doubt.as_ref()).collect();
        doubts?.first().copied()
    }
}

/// What one resource says of the policy.
#[derive(Debug)]
pub(super) struct Body {
    pub value: Value,
    pub is_firewall: bool,
    pub base: Base,
    pub origin: Origin,
    pub doubt: Option<Arc<Unknown>>,
    pub deployment: u32,
    pub template: u32,
    pub in_template: bool,
}

impl Body {
    fn of(resource: &Resource) -> Self {
        Self {
            value: resource.body.clone(),
            is_firewall: resource.kind == FIREWALL,
            base: property(&resource.body, "basePolicy").map_or(Base::None, base),
            origin: origin(resource),
            doubt: resource.doubt.clone(),
            deployment: resource.deployment,
            template: resource.target.template,
            in_template: resource.in_template,
        }
    }

    /// It lists firewalls that use it, as what Azure prints does; from a template Azure takes no such list.
    pub fn is_in_use(&self) -> bool {
        !self.in_template
            && property(&self.value, "firewalls").is_some_and(|list| list.as_list().is_some() && says_something(list))
    }
}

/// The policies of all files.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub all: Vec<Source>,
    policies: Register,
    firewalls: Register,
    /// Place of each group in its policy, by name, and whether there are others of it.
    places: HashMap<(usize, Word), (usize, bool)>,
    /// Each group that is attached: its policy, its place there, its name.
    attached: Vec<(usize, usize, Word)>,
    /// Groups of which it cannot be told whose they are.
    pub strays: Vec<GroupSource>,
    /// Groups with the very content of another that is there, and where that is.
    pub doubles: Vec<(GroupSource, String)>,
    /// Firewalls without rules of their own.
    pub users: Vec<User>,
}

/// A firewall, and the policy that it uses.
#[derive(Debug)]
pub(super) struct User {
    pub name: String,
    pub policy: Base,
    pub body: Value,
    pub origin: Origin,
    /// It is known that it is deployed.
    pub certain: bool,
}

impl Sources {
    /// Puts resources and bare collections (with their paths) together. What is `existing` says only where things are.
    pub fn of(import: &Import<'_>, resources: &[&Resource], existing: &[&Resource], bare: &[(Value, Path)]) -> Self {
        let of_kind = |kinds: &[&str]| -> Vec<&Resource> {
            let wanted = resources.iter().filter(|one| kinds.contains(&one.kind.as_str()));
            wanted.copied().collect()
        };
        let mut sources = Self::default();
        let places = Places::named(resources);
        let of_policies = places
            .clone()
            .mentioned(&mentions::all(resources))
            .referred(mentions::bases(resources))
            .existing(
                mentions::policies(existing),
                mentions::policies(resources).chain(mentions::bases(resources)),
            );
        sources.policies(import, &of_kind(&[POLICY]), of_policies);
        let alone = resources.iter().all(|one| one.kind == FIREWALL) && bare.is_empty();
        sources.firewalls(import, &of_kind(&[FIREWALL]), alone, places);
        sources.loose(import, resources);
        sources.groups(import, &of_kind(&[GROUP, OLD_GROUP]));
        sources.listed(import);
        sources.doubt_alike(import);
        sources.bare(bare);
        // Of equal priorities the file's order counts, however a group came to its policy.
        for source in &mut sources.all {
            source.groups.sort_by_key(|group| group.origin.at);
        }
        sources
    }

    /// Pays for what was looked up.
    pub fn pay(&self, budget: &Budget) {
        self.policies.pay(budget);
        self.firewalls.pay(budget);
    }

    /// The policy or the classic firewall that an id, or a name, means.
    pub fn meant(&self, id: &Identity) -> Meant {
        match self.policies.meant(id) {
            Meant::None => self.firewalls.meant(id),
            meant => meant,
        }
    }

    /// Whether the policy or the firewall that this resource refers to is there.
    pub fn hold(&self, resource: &Resource) -> bool {
        match (resource.kind.as_str(), self.meant(&Identity::of(resource))) {
            (POLICY | FIREWALL, Meant::One(place)) => !self.all[place].bodies.is_empty(),
            _ => false,
        }
    }

    /// Why no policy is the one that is meant.
    pub fn why_none(&self, id: &Identity) -> String {
        let none = "is in none of the files";
        let what = match self.policies.meant(id) {
            _ if id.is_nameless() => format!("{none}, or which one it is is not known"),
            Meant::Perhaps(_, open) => {
                let why = open.unwrap_or(NOT_KNOWN);
                return format!("may be that of the files or another: {why}");
            }
            Meant::Several => return "may be each of several of the files".into(),
            Meant::One(_) | Meant::None if self.policies.has_name(id) => {
                format!("{none}, which have one of this name in another resource group or subscription")
            }
            Meant::One(_) | Meant::None => none.into(),
        };
        format!("{what}: give that one too")
    }

    /// Why a policy that another or a firewall needs is missing although something of it is there: its parent, its modes and its other
    /// groups may deny.
    pub fn why_not_whole(&self, place: usize) -> Option<&'static str> {
        let is_whole = !self.all[place].bodies.is_empty();
        (!is_whole).then_some("is in none of the files, which hold only groups of it: give that one too")
    }

    /// What the parents of a policy allow is in doubt if it is itself. The chain is in the order of evaluation.
    pub fn doubt_parents(&mut self, chain: &[usize]) {
        let mut doubt: Option<Arc<Unknown>> = None;
        for link in chain.iter().rev() {
            let source = &mut self.all[*link];
            for group in &mut source.groups {
                group.doubt = group.doubt.take().or(doubt.clone());
            }
            doubt = doubt.or(source.doubt().cloned());
        }
    }

    fn push(&mut self, id: &Identity, name: &str, origin: Origin) -> usize {
        let place = self.all.len();
        self.all.push(Source {
            name: id.last().unwrap_or(name).to_owned(),
            id: id.clone(),
            bodies: Vec::new(),
            groups: Vec::new(),
            missing: Vec::new(),
            origin,
        });
        place
    }

    fn push_policy(&mut self, id: &Identity, name: &str, origin: Origin) -> usize {
        let place = self.push(id, name, origin);
        self.policies.add(id, place);
        place
    }

    fn push_firewall(&mut self, id: &Identity, origin: Origin) -> usize {
        let place = self.push(id, NO_NAME, origin);
        self.firewalls.add(id, place);
        place
    }

    /// Policies; those of one identity become one.
    fn policies(&mut self, import: &Import<'_>, resources: &[&Resource], places: Places) {
        let distinct = distinct(import.budget, resources, &places);
        self.policies = Register::at(places);
        for (id, members) in distinct {
            let place = self.push_policy(&id, NO_NAME, origin(members[0]));
            self.all[place].bodies = members.into_iter().map(Body::of).collect();
        }
    }

    /// Firewalls with rules of their own. One with a policy has none that count; one without either counts if it is `alone`.
    fn firewalls(&mut self, import: &Import<'_>, resources: &[&Resource], alone: bool, places: Places) {
        let distinct = distinct(import.budget, resources, &places);
        self.firewalls = Register::at(places);
        for (id, members) in distinct {
            let groups: Vec<GroupSource> = members
                .iter()
                .filter_map(|member| groups::classic(import.budget, member))
                .collect();
            let base_of = |member: &Resource| property(&member.body, "firewallPolicy").map_or(Base::None, base);
            let has_policy = members.iter().any(|one| !matches!(base_of(one), Base::None));
            if has_policy || (groups.is_empty() && !alone) {
                // Azure takes its policy's rules or refuses the two together, but never lets its own through.
                self.strays.extend(groups.into_iter().map(|group| GroupSource {
                    void: Some("its firewall has a policy, whose rules count alone".to_owned()),
                    ..group
                }));
                self.users.extend(members.into_iter().map(|member| User {
                    name: id.last().unwrap_or(NO_NAME).to_owned(),
                    policy: base_of(member),
                    body: member.body.clone(),
                    origin: origin(member),
                    certain: member.doubt.is_none(),
                }));
                continue;
            }
            let place = self.push_firewall(&id, origin(members[0]));
            self.all[place].bodies = members.into_iter().map(Body::of).collect();
            let word = || Word::Known(groups::NO_GROUP.0.into());
            let attach = |group| self.attach(import, place, group, word());
            groups.into_iter().for_each(attach);
        }
    }

    /// Groups: first those of which the policy is known, so that the order of the files does not matter.
    fn groups(&mut self, import: &Import<'_>, resources: &[&Resource]) {
        let mut orphans = Vec::new();
        for resource in resources {
            let id = Identity::of(resource);
            let name = id.last().unwrap_or(NO_NAME);
            let mut group = groups::group(
                import.budget,
                &resource.body,
                &resource.kind,
                name,
                origin(resource),
                resource.doubt.clone(),
            );
            group.deployment = resource.deployment;
            let policy = id.parent();
            match self.policies.meant(&policy) {
                Meant::One(place) => self.attach(import, place, group, id.word()),
                Meant::None if policy.has_known_name() => {
                    let place = self.push_policy(&policy, NO_NAME, origin(resource));
                    self.attach(import, place, group, id.word());
                }
                Meant::None | Meant::Perhaps(..) | Meant::Several => orphans.push((id, group, *resource)),
            }
        }
        for (id, group, resource) in orphans {
            self.adopt(import, &id, group, resource);
        }
    }

    /// Rule collections that are in no group.
    fn bare(&mut self, bare: &[(Value, Path)]) {
        let Some((first, path)) = bare.first() else { return };
        let place = |value: &Value, path: &Path| Origin {
            path: path.clone(),
            at: value.at,
        };
        let placed = bare
            .iter()
            .map(|(value, path)| (value.clone(), Shape::Now, place(value, path)));
        let mut group = no_group(placed.collect());
        // Where a group stands among others is not said by its collections.
        let beside = self
            .all
            .iter()
            .any(|source| !source.groups.is_empty() || !source.missing.is_empty());
        if beside || bare.iter().any(|(value, _)| value.at.file != first.at.file) {
            let why = "the files hold other groups, and not the one that these collections are of: give that one too";
            group.priority = Some(Value::unknown(why, first.at));
        }
        match self.all.as_mut_slice() {
            [] => {
                let nameless = Identity::referred("");
                let at = self.push_policy(&nameless, "imported", place(first, path));
                self.all[at].groups.push(group);
            }
            [only] => only.groups.push(group),
            _ => self.strays.push(stray(group)),
        }
    }

    /// The groups that policies list: those written out there, and those that have to be in the files.
    fn listed(&mut self, import: &Import<'_>) {
        let mut named = Vec::new();
        for place in 0..self.all.len() {
            let bodies = self.all[place].bodies.iter();
            let listed = bodies.flat_map(|body| {
                // Azure's list is for reading: of what a template writes there, nobody says that it is made.
                let why = "Azure makes no group of what a template lists in its policy";
                let written = body
                    .in_template
                    .then(|| groups::unknown(why.to_owned(), body.origin.at));
                groups::listed(
                    import.budget,
                    &body.value,
                    &body.origin,
                    body.doubt.as_ref().or(written.as_ref()),
                )
            });
            for (entry, origin) in listed.collect::<Vec<_>>() {
                match entry {
                    Entry::Group(group, word) => self.attach(import, place, group, word),
                    Entry::Named(name, word) => named.push((place, name, word, origin)),
                    Entry::Unknown(why) => {
                        let missing = ("ruleCollectionGroups".to_owned(), origin, why.why.to_string());
                        self.all[place].missing.push(missing);
                    }
                }
            }
        }
        for (place, name, word, origin) in named {
            if !self.places.contains_key(&(place, word)) {
                let why = "the policy has it, and none of the files does: give that one too".to_owned();
                self.all[place].missing.push((name, origin, why));
            }
        }
    }
}

fn stray(group: GroupSource) -> GroupSource {
    let void = Some("which policy it is of is not known".to_owned());
    GroupSource { void, ..group }
}

fn no_group(collections: Vec<(Value, Shape, Origin)>) -> GroupSource {
    let origin = collections
        .first()
        .map_or_else(Origin::default, |(_, _, origin)| origin.clone());
    let collections: Collections = Ok(collections);
    groups::no_group(collections, &origin, None)
}

mod attach;
mod loose;
mod mentions;
