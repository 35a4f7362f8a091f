//! Policies, their parents and their groups, put together from the resources of all files. Everything that was found is in the
//! report, whatever became of it.

use super::{
    Import, ImportFault,
    base::Base,
    collections::Reader,
    draft::{Draft, Effect},
    fields::{name_of, property},
    groups::{alike, content, origin},
    identity::Identity,
    ip_groups::IpGroups,
    names::{NO_NAME, Names},
    register::Meant,
    settings,
    shapes::{Found, IP_GROUP, SIGNATURES},
    sources::{self, Body, Source, Sources},
    unread,
};
use crate::import::{
    arm::{DEPLOYMENT, Resource},
    ids::Same,
    model::{Model, Origin, Policy},
    report::{Item, ItemKind, Outcome},
    value::Value,
};
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
        let found = std::mem::take(&mut self.found);
        let ip_groups = IpGroups::read(self.import, &found, &mut self.items);
        let (left_out, deployed): (Vec<&Resource>, Vec<&Resource>) =
            found.resources.iter().partition(|one| one.left_out.is_some());
        for resource in &found.resources {
            self.others(resource);
            self.other_id(resource);
        }
        for (path, at, why) in &found.unclaimed {
            let path = path.clone();
            self.not_read("beside the others", &Origin { path, at: *at }, *why);
        }
        let existing: Vec<&Resource> = left_out.iter().copied().filter(|one| one.is_existing()).collect();
        let mut sources = Sources::of(self.import, &deployed, &existing, &found.bare);
        // Of what the files deploy nobody has to be told that a template refers to it.
        for resource in left_out
            .into_iter()
            .filter(|one| !one.only_refers() || !sources.hold(one))
        {
            self.left_out(resource, &ip_groups);
        }
        let chosen = self.choose(&sources)?;
        let chain = self.chain(&sources, chosen);
        sources.doubt_parents(&chain);
        let mut names = Names::default();
        let mut policies = Vec::new();
        // The policy first: it keeps its name if a parent is called alike.
        for link in chain.iter().rev() {
            policies.push(self.policy(&sources.all[*link], &ip_groups, &mut names));
        }
        policies.reverse();
        let others = sources
            .all
            .iter()
            .enumerate()
            .filter(|(index, _)| !chain.contains(index));
        let [also, perhaps] = self.also_in_force(&sources, &chain);
        for (index, source) in others {
            if let Some(link) = chain.iter().find(|link| may_be_one(&sources.all[**link], source)) {
                let name = &sources.all[*link].name;
                let why = format!(
                    "`{name}` is in force, and whether this is the same one is not known: its name or its resource group is not"
                );
                self.not_read(&source.name, &source.origin, why);
            }
            let before = self.items.len();
            let policy = self.policy(source, &ip_groups, &mut Names::default());
            let not_enforced = self.items[before..].iter().any(|item| item.not_enforced);
            let (of_parent, lacks_parent) = match parents::lacks_one(&sources, source) {
                true => (" (its parent, of which not all is in the files, may deny)", true),
                false => ("", false),
            };
            let denies = policy.denies() || not_enforced || lacks_parent;
            let chosen = &sources.all[chosen].name;
            let meant = "`--policy` names the one that is meant";
            if !also.contains(&index) {
                self.aside(before, &format!("of another policy than `{chosen}`: {meant}"));
                if denies && perhaps.contains(&index) {
                    let why = format!(
                        "a firewall of which the policy is not known may use it, another uses `{chosen}`, which is taken: {meant}{of_parent}"
                    );
                    self.not_read(&source.name, &source.origin, why);
                }
                continue;
            }
            self.aside(
                before,
                &format!("in force at another firewall than `{chosen}`, which is taken: {meant}"),
            );
            if denies {
                let why = format!(
                    "a firewall of the files uses it, another uses `{chosen}`, which is taken: {meant}{of_parent}"
                );
                self.not_read(&source.name, &source.origin, why);
            }
        }
        self.beside(&sources, &ip_groups);
        self.users(&sources, &sources.all[chosen].name);
        sources.pay(self.import.budget);
        ip_groups.pay(self.import.budget);
        let bodies = chain.iter().flat_map(|link| &sources.all[*link].bodies);
        let bodies: Vec<&Value> = bodies.map(|body| &body.value).collect();
        Ok(Model {
            policies,
            ip_groups: ip_groups.into_groups(),
            threat_intelligence: settings::threat_intelligence(self.import, &bodies),
            service_tags: self.import.options.service_tags.as_ref().map(|(file, _)| file.clone()),
            not_enforced: Vec::new(),
        })
    }

    fn put(&mut self, kind: ItemKind, name: &str, origin: &Origin, draft: Draft) {
        let item = self.import.item(kind, name.to_owned(), origin, draft.verdict());
        self.items.extend(item);
    }

    /// What may deny, and cannot be read.
    fn not_read(&mut self, name: &str, origin: &Origin, why: impl Into<String>) {
        let mut draft = Draft::new(Effect::Unknown);
        draft.void(why);
        self.put(ItemKind::NotRead, name, origin, draft);
    }

    /// What was read and is not in force.
    fn aside(&mut self, from: usize, why: &str) {
        for item in &mut self.items[from..] {
            item.outcome = Outcome::Absent;
            item.not_enforced = false;
            item.notes = vec![why.to_owned()];
        }
    }

    /// Resources that are neither policies nor groups of any kind.
    fn others(&mut self, resource: &Resource) {
        if sources::takes(resource) || resource.kind == IP_GROUP {
            return;
        }
        let before = self.items.len();
        let origin = Origin {
            path: resource.path.clone(),
            at: resource.body.at,
        };
        let name = name_of(Some(&resource.name), &resource.kind);
        let mut setting = Draft::new(Effect::Allow);
        match resource.kind.as_str() {
            "" => {
                let why = resource.body.doubt().map(|doubt| doubt.why.to_string());
                self.not_read(
                    "a resource",
                    &origin,
                    why.unwrap_or_else(|| "its type is not known".into()),
                );
            }
            DEPLOYMENT => {
                let why = match resource.body.doubt() {
                    Some(doubt) => format!("which names its template draws on is not known: {}", doubt.why),
                    None => "the template of this deployment is not in the file, and may hold rules".to_owned(),
                };
                self.not_read("deployment", &origin, why);
            }
            kind if kind.contains("/providers/") => {
                setting.void("set upon the resource from outside: no part of what it lets through");
                self.put(ItemKind::Setting, &name, &origin, setting);
            }
            kind if kind.contains("draft") => {
                setting.void("a draft is not in force");
                self.put(ItemKind::Setting, &name, &origin, setting);
            }
            SIGNATURES => {
                let setting = settings::signature_overrides(self.import, &resource.body);
                self.put(ItemKind::Setting, &name, &origin, setting);
            }
            kind => self.not_read(&name, &origin, format!("`{kind}` is not known to egret")),
        }
        if let Some(why) = resource.left_out {
            self.aside(before, &format!("not deployed: {why}"));
        }
    }

    /// An id in a template is of no effect, or Azure refuses it: what was pasted there may be meant for another policy.
    fn other_id(&mut self, resource: &Resource) {
        let other = Identity::contradicted(resource).filter(|_| resource.left_out.is_none());
        if let Some(other) = other {
            let name = name_of(Some(&resource.name), &resource.kind);
            let other = other.shown().unwrap_or(NO_NAME);
            let why = format!(
                "its `id` names `{other}`, and a template deploys by name and resource group, never by `id`: take it out"
            );
            self.not_read(&name, &origin(resource), why);
        }
    }

    /// A resource that is not deployed, with all that is in it.
    fn left_out(&mut self, resource: &Resource, ip_groups: &IpGroups) {
        let before = self.items.len();
        let sources = Sources::of(self.import, &[resource], &[], &[]);
        for source in &sources.all {
            match source.bodies.is_empty() {
                true => drop(self.reader(ip_groups).groups(&source.groups)),
                false => drop(self.policy(source, ip_groups, &mut Names::default())),
            }
        }
        self.beside(&sources, ip_groups);
        self.users(&sources, "none");
        // A loop of no round has nothing to read: the resource itself says so.
        let path = resource.path.to_string();
        let of_its_own = |item: &Item| item.kind == ItemKind::NotRead && item.path == path;
        let items = self.items.split_off(before);
        self.items.extend(items.into_iter().filter(|item| !of_its_own(item)));
        let why = resource.left_out.unwrap_or_default();
        self.aside(before, &format!("not deployed: {why}"));
    }

    /// What belongs to no policy, or is there already.
    fn beside(&mut self, sources: &Sources, ip_groups: &IpGroups) {
        self.reader(ip_groups).groups(&sources.strays);
        for (double, same) in &sources.doubles {
            let before = self.items.len();
            self.reader(ip_groups).groups(std::slice::from_ref(double));
            self.aside(before, &format!("the same as at {same}"));
        }
    }

    /// Firewalls without rules of their own, beside the policy that is `chosen`.
    fn users(&mut self, sources: &Sources, chosen: &str) {
        for user in &sources.users {
            let mut draft = Draft::new(Effect::Allow);
            draft.remark(match (&user.policy, meant(sources, &user.policy)) {
                (Base::None, _) => "a firewall without rules of its own".to_owned(),
                (Base::Unknown(why), _) => {
                    format!(
                        "a firewall: which policy it uses is not known, `{chosen}` is taken: {}",
                        why.why
                    )
                }
                (Base::Named(id), None) if !id.has_known_name() => {
                    format!("a firewall: which policy it uses is not known, `{chosen}` is taken")
                }
                (Base::Named(_), _) => "a firewall: its rules are those of its policy".to_owned(),
            });
            self.put(ItemKind::Setting, &user.name, &user.origin, draft);
            let unread = unread::of_policy(self.import, &user.body, true, &user.origin, &user.name);
            self.items.extend(unread);
        }
    }

    fn reader<'r>(&'r mut self, ip_groups: &'r IpGroups) -> Reader<'r> {
        Reader {
            import: self.import,
            options: self.import.options,
            ip_groups,
            items: &mut self.items,
        }
    }

    /// A policy with its groups.
    fn policy(&mut self, source: &Source, ip_groups: &IpGroups, names: &mut Names) -> Policy {
        let mut draft = Draft::new(Effect::Allow);
        let name = names.take(source.name.clone(), &mut draft);
        match source.bodies.as_slice() {
            [] => {
                draft.remark(
                    "the policy itself is in none of the files: its parent, its modes and its other groups are not known",
                );
                self.put(ItemKind::Policy, &name, &source.origin, draft);
            }
            [first, others @ ..] => {
                self.body(first, &name, draft);
                self.doubles(first, others, &name);
            }
        }
        for (group, origin, why) in &source.missing {
            self.not_read(&format!("{name}/{group}"), origin, why.clone());
        }
        let groups = self.reader(ip_groups).groups(&source.groups);
        Policy { name, groups }
    }

    fn body(&mut self, body: &Body, name: &str, mut draft: Draft) {
        if let Some(doubt) = &body.doubt {
            draft.remark(format!(
                "taken as deployed, which depends on what is not known: {}",
                doubt.why
            ));
        }
        self.put(ItemKind::Policy, name, &body.origin, draft);
        if let Err(why) = content(&body.value) {
            self.not_read(name, &body.origin, format!("its settings are not known: {}", why.why));
        }
        settings::read(self.import, &body.value, &body.origin, name, &mut self.items);
        let unread = unread::of_policy(self.import, &body.value, body.is_firewall, &body.origin, name);
        self.items.extend(unread);
    }

    /// The policy once more. Its modes count as the strictest do; what it excepts from them has to be the same.
    fn doubles(&mut self, first: &Body, others: &[Body], name: &str) {
        let excepted = |body: &Body| property(&body.value, "threatIntelWhitelist").cloned();
        for body in others {
            let mut draft = Draft::new(Effect::Allow);
            draft.remark("the files hold this policy more than once: the strictest modes count");
            self.body(body, name, draft);
            let same = match (excepted(first), excepted(body)) {
                (None, None) => true,
                (Some(one), Some(other)) => alike(self.import.budget, &one, &other),
                _ => self.import.options.threat_intelligence.is_empty(),
            };
            if !same {
                self.not_read(
                    name,
                    &body.origin,
                    "the files hold this policy with another `threatIntelWhitelist` too",
                );
            }
        }
    }
}

/// Whether two policies may be one. Azure refuses a template with two resources of one name: in one deployment, names that are
/// not known are of two, and so is one where the template is deployed beside one elsewhere.
fn may_be_one(one: &Source, other: &Source) -> bool {
    let names = one.id.same_name(&other.id);
    let deployments = || one.bodies.iter().chain(&other.bodies).map(|body| body.deployment);
    let of_one =
        one.bodies.is_empty() || other.bodies.is_empty() || deployments().is_sorted_by(|one, next| one == next);
    let template = |source: &Source| source.bodies.first().map(|body| (body.origin.at.file, body.template));
    let apart = one.origin.at.file != other.origin.at.file || template(one) != template(other);
    let elsewhere = apart || (!of_one && one.id.may_be_again(&other.id));
    match one.id.same(&other.id) {
        Same::No => false,
        Same::InDoubt => elsewhere || names == Same::Yes,
        Same::Yes => elsewhere,
    }
}

/// The policy of the files that a reference means.
fn meant(sources: &Sources, base: &Base) -> Option<usize> {
    match base {
        Base::Named(id) => match sources.meant(id) {
            Meant::One(place) => Some(place),
            Meant::None | Meant::Perhaps(..) | Meant::Several => None,
        },
        Base::None | Base::Unknown(_) => None,
    }
}

mod choose;
mod parents;

#[cfg(test)]
mod tests;
