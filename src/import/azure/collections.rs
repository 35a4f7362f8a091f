//! Groups and collections: order, action, kind; then each rule in its turn.

use super::{
    Import, Options, carried,
    draft::{Draft, Effect, Verdict},
    fields::{name_of, property},
    ip_groups::IpGroups,
    names::{NO_NAME, Names, tie},
    schema::{Section, Shape, rules_of, section_of},
    unread::{Unread, unread},
};
use crate::{
    import::{
        model::{Collection, Group, Origin, Rules},
        report::{Item, ItemKind},
        value::{Unknown, Value},
    },
    policy::Action,
};
use head::{effect, fields_of, is_nat, priority};
use std::{collections::HashMap, sync::Arc};

/// Where what has no priority stands, which denies: before all others.
const FIRST: u16 = 100;

/// What reading a rule draws on.
pub(super) struct Reader<'a> {
    pub import: &'a Import<'a>,
    pub options: &'a Options<'a>,
    pub ip_groups: &'a IpGroups,
    pub items: &'a mut Vec<Item>,
}

/// A group as the files hold it.
#[derive(Debug)]
pub(super) struct GroupSource {
    pub name: String,
    pub priority: Option<Value>,
    /// Its collections and their paths; unknown if they are.
    pub collections: Result<Vec<(Value, Shape, Origin)>, Arc<Unknown>>,
    /// Its fields that egret does not know and that hold no rules.
    pub unread: Vec<String>,
    pub origin: Origin,
    pub doubt: Option<Arc<Unknown>>,
    /// Why nothing of it can be carried.
    pub void: Option<String>,
    /// Number of the deployment that makes it; 0 if another resource lists it.
    pub deployment: u32,
}

/// What all rules of a collection share.
struct Shared {
    effect: Effect,
    doubt: Option<Arc<Unknown>>,
    /// Why none of them can be carried.
    void: Option<String>,
}

impl Shared {
    fn draft(&self) -> Draft {
        let mut draft = Draft::new(self.effect);
        if let Some(void) = &self.void {
            draft.void(void.clone());
        }
        if let Some(doubt) = &self.doubt {
            draft.doubted(doubt);
        }
        draft
    }
}

/// What the collections of a group have taken: names by section, of which only a firewall without a policy has several, and
/// priorities by kind.
#[derive(Default)]
struct Inside {
    names: HashMap<Option<Section>, Names>,
    taken: HashMap<Section, HashMap<u16, String>>,
}

/// A collection without its rules.
struct Head<'a> {
    name: String,
    priority: u16,
    action: Action,
    /// What the file says that its rules are, if it does.
    section: Option<Section>,
    origin: &'a Origin,
}

/// The rules of a collection by kind, in their order.
#[derive(Default)]
struct ByKind {
    nat: Vec<crate::import::model::NatRule>,
    network: Vec<crate::import::model::NetworkRule>,
    application: Vec<crate::import::model::ApplicationRule>,
}

impl ByKind {
    /// A collection of one kind each; Azure does not mix kinds, files may. None if the draft does not stay.
    fn into_collections(self, head: Head<'_>, inside: &mut Inside, draft: &mut Draft) -> Vec<Collection> {
        let mut kinds = Vec::new();
        if head.section == Some(Section::Nat) {
            kinds.push((Section::Nat, Rules::Nat(self.nat)));
        }
        if !self.network.is_empty() || head.section == Some(Section::Network) {
            kinds.push((Section::Network, Rules::Network(head.action, self.network)));
        }
        if !self.application.is_empty() || kinds.is_empty() {
            kinds.push((Section::Application, Rules::Application(head.action, self.application)));
        }
        if kinds.len() > 1 {
            draft.changed("it mixes kinds of rules: a collection of each kind here");
        }
        if !draft.stays() {
            return Vec::new();
        }
        let mut made = Vec::new();
        for (kind, rules) in kinds {
            tie(inside.taken.entry(kind).or_default(), head.priority, &head.name, draft);
            made.push(Collection {
                name: head.name.clone(),
                priority: head.priority,
                rules,
                origin: head.origin.clone(),
            });
        }
        made
    }
}

impl Reader<'_> {
    fn put(&mut self, kind: ItemKind, name: &str, origin: &Origin, verdict: Verdict) {
        let item = self.import.item(kind, name.to_owned(), origin, verdict);
        self.items.extend(item);
    }

    /// A part that may hold rules and cannot be read.
    fn not_read(&mut self, name: &str, origin: &Origin, effect: Effect, why: String) {
        let mut draft = Draft::new(effect);
        draft.void(why);
        self.put(ItemKind::NotRead, name, origin, draft.verdict());
    }

    /// All groups of a policy.
    pub fn groups(&mut self, sources: &[GroupSource]) -> Vec<Group> {
        let mut names = Names::default();
        let mut taken: HashMap<u16, String> = HashMap::new();
        let groups = sources.iter().map(|source| {
            let mut draft = Draft::new(Effect::Allow);
            let name = names.take(source.name.clone(), &mut draft);
            let priority = priority(source.priority.as_ref());
            if let Ok(number) = priority {
                tie(&mut taken, number, &name, &mut draft);
            }
            self.group(source, name, priority, draft)
        });
        groups.collect()
    }

    fn group(&mut self, source: &GroupSource, name: String, priority: Result<u16, String>, mut draft: Draft) -> Group {
        if let Err(why) = &priority {
            draft.changed(format!("its {why}"));
        }
        if let Some(why) = &source.void {
            draft.void(why.clone());
        }
        draft.unread(source.unread.iter().cloned());
        let no_priority = || priority.as_ref().err().map(|why| format!("the group's {why}"));
        let void = source.void.clone().or_else(no_priority);
        self.put(ItemKind::RuleCollectionGroup, &name, &source.origin, draft.verdict());
        let mut collections = Vec::new();
        match &source.collections {
            Err(unknown) => {
                let why = format!("its rule collections are not known: {}", unknown.why);
                self.not_read(&name, &source.origin, Effect::Unknown, why);
            }
            Ok(written) => {
                let mut inside = Inside::default();
                for (value, shape, origin) in written {
                    let shared = Shared {
                        effect: Effect::Unknown,
                        doubt: source.doubt.clone(),
                        void: void.clone(),
                    };
                    let made = self.collection(value, *shape, origin, &name, shared, &mut inside);
                    collections.extend(made);
                }
            }
        }
        Group {
            name,
            priority: priority.unwrap_or(FIRST),
            collections,
            origin: source.origin.clone(),
        }
    }

    fn collection(
        &mut self,
        value: &Value,
        shape: Shape,
        origin: &Origin,
        group: &str,
        mut shared: Shared,
        inside: &mut Inside,
    ) -> Vec<Collection> {
        if value.as_object().is_none() {
            let why = value.as_unknown().map_or("it is no object", |unknown| &unknown.why);
            self.not_read(
                group,
                origin,
                Effect::Unknown,
                format!("a rule collection is not known: {why}"),
            );
            return Vec::new();
        }
        let is_nat = is_nat(value, shape);
        match effect(value, is_nat) {
            Ok(effect) => shared.effect = effect,
            Err((effect, why)) => {
                shared.effect = effect;
                shared.void.get_or_insert(why);
            }
        }
        if !self.import.affords(value) {
            return Vec::new();
        }
        let unread = unread(self.import.budget, value, fields_of(shape));
        if let Some(part) = unread.iter().find(|field| field.may_hold()) {
            let why = format!("`{}` of its collection is not read, and may hold rules", part.name());
            // They may be of a collection that denies, whatever this one does.
            self.not_read(
                &format!("{group}/{}", part.name()),
                &part.below(origin),
                Effect::Unknown,
                why.clone(),
            );
            shared.void.get_or_insert(why);
        }
        let mut draft = shared.draft();
        let plain = unread.iter().filter(|field| !field.may_hold());
        draft.unread(plain.map(Unread::name));
        let names = inside.names.entry(shape.section()).or_default();
        draft.words(value);
        let name = names.take(name_of(value.get("name"), NO_NAME), &mut draft);
        let number = priority(property(value, "priority"));
        if let Err(why) = &number {
            shared.void.get_or_insert(format!("the collection's {why}"));
            draft.void(format!("its {why}"));
        }
        let full = format!("{group}/{name}");
        let rules = rules_of(self.import.budget, value, shape, origin);
        let item = self.items.len();
        self.put(ItemKind::RuleCollection, &full, origin, carried());
        let by_kind = match rules {
            Ok(rules) => self.rules(&rules, shape, is_nat, &full, &shared),
            Err(why) => {
                draft.void(format!("its rules are not known: {why}"));
                ByKind::default()
            }
        };
        let head = Head {
            name,
            priority: number.unwrap_or(FIRST),
            action: match shared.effect {
                Effect::Allow => Action::Allow,
                Effect::Deny | Effect::Unknown => Action::Deny,
            },
            section: if is_nat { Some(Section::Nat) } else { shape.section() },
            origin,
        };
        let made = by_kind.into_collections(head, inside, &mut draft);
        let verdict = draft.verdict();
        // Nothing is there, or to be told, once there is no room left for it.
        let told = self.import.item(ItemKind::RuleCollection, full, origin, verdict);
        if let (Some(place), Some(told)) = (self.items.get_mut(item), told) {
            *place = told;
        }
        made
    }

    fn rules(&mut self, rules: &[(Value, Origin)], shape: Shape, is_nat: bool, full: &str, shared: &Shared) -> ByKind {
        let mut names = Names::default();
        let mut by_kind = ByKind::default();
        for (rule, origin) in rules {
            if rule.as_object().is_none() {
                let why = rule.as_unknown().map_or("it is no object", |unknown| &unknown.why);
                self.not_read(full, origin, shared.effect, format!("a rule is not known: {why}"));
                continue;
            }
            if !self.import.affords(rule) {
                break;
            }
            let mut draft = shared.draft();
            draft.words(rule);
            let name = names.take(name_of(rule.get("name"), NO_NAME), &mut draft);
            let section = if is_nat {
                Some(Section::Nat)
            } else {
                section_of(rule, shape)
            };
            let full = format!("{full}/{name}");
            let kind = match section {
                Some(Section::Nat) if !is_nat => {
                    draft.void("a DNAT rule in a collection of other rules: Azure refuses it");
                    ItemKind::NatRule
                }
                Some(Section::Nat) => {
                    let rule = self.nat_rule(rule, shape, name, origin.clone(), &mut draft);
                    by_kind.nat.extend(draft.stays().then_some(rule));
                    ItemKind::NatRule
                }
                Some(Section::Network) => {
                    let rule = self.network_rule(rule, shape, name, origin.clone(), &mut draft);
                    by_kind.network.extend(draft.stays().then_some(rule));
                    ItemKind::NetworkRule
                }
                Some(Section::Application) => {
                    let rule = self.application_rule(rule, name, origin.clone(), &mut draft);
                    by_kind.application.extend(draft.stays().then_some(rule));
                    ItemKind::ApplicationRule
                }
                None => {
                    draft.void("of what kind it is cannot be told");
                    ItemKind::NotRead
                }
            };
            self.put(kind, &full, origin, draft.verdict());
        }
        by_kind
    }
}

mod head;

#[cfg(test)]
mod tests;
