//! Fields of policies, firewalls, groups and collections that nobody here knows. None is passed over: it is known to do no harm, or
//! told of, or stops the import where it may hold rules, or a mode that denies.

use super::{
    Import,
    draft::{Draft, Effect},
    fields::{cut_off, entry, is_text_of, says_something},
    groups::{LISTS, content},
    settings::{MODES, NOT_CARRIED, is, is_harmless},
    shapes::says_rules,
};
use crate::import::{
    budget::Budget,
    json::shown,
    model::Origin,
    report::{Item, ItemKind},
    value::{Kind, Value},
};
use std::sync::Arc;

/// A field of a resource that says something and is not read.
pub(super) struct Unread<'v> {
    /// `properties` as it is written, if it stands there.
    inside: Option<&'v Arc<str>>,
    name: &'v Arc<str>,
    pub value: &'v Value,
}

impl Unread<'_> {
    /// Its place in a resource that stands `at`.
    pub fn below(&self, at: &Origin) -> Origin {
        let inside = self.inside.map(|inside| at.path.member(inside));
        let path = inside.as_ref().unwrap_or(&at.path).member(self.name);
        Origin {
            path,
            at: self.value.at,
        }
    }

    /// What it is called in its resource.
    pub fn name(&self) -> String {
        let inside = self.inside.map_or_else(String::new, |inside| format!("{inside}."));
        shown(&(inside + self.name))
    }

    /// Whether rules may be in it.
    pub fn may_hold(&self) -> bool {
        match &self.value.kind {
            Kind::List(_) | Kind::Object(_) => says_something(self.value),
            Kind::Text(text) => cut_off(&text.text),
            Kind::Unknown(_) => true,
            _ => false,
        }
    }
}

/// Fields of a resource that say something and are not read: those of another name, and those that stand under `properties` and
/// beside it, of which one place is read ([`property`]); but for those that every resource has. Each is to be told of, or stops
/// the import: it may be rules.
pub(super) fn unread<'v>(budget: &Budget, body: &'v Value, read: &[&str]) -> Vec<Unread<'v>> {
    const PLAIN: [&str; 29] = [
        "apiVersion",
        "comments",
        "etag",
        "existing",
        "extendedLocation",
        "id",
        "identity",
        "kind",
        "location",
        "managedBy",
        "metadata",
        "name",
        "plan",
        "priority",
        "properties",
        "provisioningState",
        "resourceGroup",
        "resourceGroupName",
        "resourceGuid",
        "scope",
        "size",
        "sku",
        "subscriptionId",
        "systemData",
        "tag",
        "tags",
        "tagsTable",
        "tenantId",
        "type",
    ];
    let is_in = |names: &[&str], name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let inner = entry(body, "properties").filter(|(_, inner)| inner.as_object().is_some());
    let mut found = Vec::new();
    for (inside, place) in [inner.map(|(name, inner)| (Some(name), inner)), Some((None, body))]
        .into_iter()
        .flatten()
    {
        let entries = place.as_object().map_or(&[][..], |object| &object.entries);
        if !budget.looks(entries.len(), body.at) {
            break;
        }
        for (name, value) in entries {
            let again = inside.is_none() && inner.is_some_and(|(_, inner)| inner.get(name).is_some());
            let is_read = is_in(&PLAIN, name) || (is_in(read, name) && !again);
            if !is_read && !is_text_of(name, value, read) && says_something(value) {
                found.push(Unread { inside, name, value });
            }
        }
    }
    found
}

/// What is read elsewhere of a policy, or says nothing of what passes.
const OF_POLICIES: [&str; 5] = ["basePolicy", "childPolicies", "firewalls", LISTS[0].0, LISTS[1].0];

/// The same of a firewall.
const OF_FIREWALLS: [&str; 12] = [
    "applicationRuleCollections",
    "autoscaleConfiguration",
    "dnsServer",
    "firewallPolicy",
    "hubIPAddresses",
    "ipConfigurations",
    "ipGroups",
    "managementIpConfiguration",
    "natRuleCollections",
    "networkRuleCollections",
    "virtualHub",
    "zones",
];

/// What a policy or a firewall says beside its settings and its rules, with what became of it.
pub(super) fn of_policy(
    import: &Import<'_>,
    body: &Value,
    is_firewall: bool,
    origin: &Origin,
    name: &str,
) -> Vec<Item> {
    if !content(body).is_ok_and(|content| import.affords(content)) {
        return Vec::new();
    }
    let own = if is_firewall { &OF_FIREWALLS[..] } else { &OF_POLICIES };
    let carried = NOT_CARRIED.iter().map(|(key, _)| *key).chain(MODES);
    let known: Vec<&str> = carried.chain(own.iter().copied()).collect();
    let item = |field: Unread<'_>| {
        let (kind, effect, why) = match is_inside(import.budget, field.name, field.value, may_deny) {
            true => {
                let why = "egret does not know it, and it may hold rules, or deny";
                (ItemKind::NotRead, Effect::Unknown, why)
            }
            false => (ItemKind::Setting, Effect::Allow, "egret does not know this setting"),
        };
        let mut draft = Draft::new(effect);
        draft.void(why);
        let name = format!("{name}: {}", shown(field.name));
        import.item(kind, name, &field.below(origin), draft.verdict())
    };
    unread(import.budget, body, &known)
        .into_iter()
        .filter_map(item)
        .collect()
}

/// Whether it is like a part of a rule, or like a mode that denies.
fn may_deny(name: &str, value: &Value) -> bool {
    let is_mode = || {
        let end = name.len().checked_sub("mode".len());
        end.and_then(|end| name.get(end..))
            .is_some_and(|end| end.eq_ignore_ascii_case("mode"))
    };
    match &value.kind {
        Kind::List(_) | Kind::Object(_) => says_rules(name) && says_something(value),
        Kind::Text(text) if text.stands_for.is_some() => true,
        Kind::Text(text) => cut_off(&text.text) || is(value, "deny") || (is_mode() && !is_harmless(value)),
        Kind::Unknown(_) => true,
        _ => false,
    }
}

/// Whether this holds of a value or of anything in it, each with its name if it has one. Values may share what is in them, so that a
/// small file holds a great many: each look is paid for, and without enough left the import fails.
pub(super) fn is_inside(budget: &Budget, name: &str, value: &Value, holds: impl Fn(&str, &Value) -> bool) -> bool {
    let mut open = vec![(name, value)];
    while let Some((name, value)) = open.pop() {
        let inside = match &value.kind {
            Kind::List(list) => list.items.len(),
            Kind::Object(object) => object.entries.len(),
            _ => 0,
        };
        if holds(name, value) || !budget.looks(1 + inside, value.at) {
            return true;
        }
        match &value.kind {
            Kind::List(list) => open.extend(list.items.iter().map(|item| ("", item))),
            Kind::Object(object) => open.extend(object.entries.iter().map(|(name, value)| (&**name, value))),
            _ => {}
        }
    }
    false
}
