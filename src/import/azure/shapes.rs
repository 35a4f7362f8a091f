//! The shapes that a policy is kept in: templates, wherever in the file they stand; what `az` and PowerShell print; bare rule
//! collections. All become resources, and what stands among them and is none of them is kept as well.

use super::{
    fields::{cut_off, property, says_something},
    identity::kind_of_id,
};
use crate::import::{
    arm::{self, Budget, Exhausted, Given, Resource, evaluate},
    value::{Kind, Object, Place, Value},
};
use std::collections::HashSet;

pub(super) const POLICY: &str = "microsoft.network/firewallpolicies";
pub(super) const GROUP: &str = "microsoft.network/firewallpolicies/rulecollectiongroups";
pub(super) const OLD_GROUP: &str = "microsoft.network/firewallpolicies/rulegroups";
pub(super) const SIGNATURES: &str = "microsoft.network/firewallpolicies/signatureoverrides";
pub(super) const FIREWALL: &str = "microsoft.network/azurefirewalls";
pub(super) const IP_GROUP: &str = "microsoft.network/ipgroups";

/// What files hold of an Azure Firewall.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Deployed or not.
    pub resources: Vec<Resource>,
    /// Rule collections without a group, and their paths.
    pub bare: Vec<(Value, String)>,
    /// What belongs to the others and is not read: path, place, why.
    pub unclaimed: Vec<(String, Place, &'static str)>,
    /// Names of all parameters, in lower case.
    pub parameters: HashSet<String>,
}

/// Adds what the documents of a file hold. The answer is whether that is anything.
pub(super) fn find(budget: &Budget, given: &Given, documents: &[Value], found: &mut Found) -> Result<bool, Exhausted> {
    let mut finder = Finder { budget, given, found };
    match documents {
        [document] => finder.document(document, "$"),
        _ => finder.list(documents, "$"),
    }
}

struct Finder<'a> {
    budget: &'a Budget,
    given: &'a Given,
    found: &'a mut Found,
}

impl Finder<'_> {
    /// Whether the value is, or holds, something that is read.
    fn document(&mut self, value: &Value, path: &str) -> Result<bool, Exhausted> {
        if let Some(items) = value.as_list() {
            // An empty list is what `az` prints where there is nothing: an answer, not a mistake.
            return Ok(self.list(items, path)? || (items.is_empty() && path == "$"));
        }
        if value.as_object().is_none() {
            return Ok(false);
        }
        if is_template(value) {
            return self.template(value, path).map(|()| true);
        }
        let kind = kind_of(value);
        if kind.is_some() || may_hold_resources(value) {
            let met = arm::resource(self.budget, value, kind.as_deref(), path)?;
            if !met.is_empty() {
                self.found.resources.extend(met);
                return Ok(true);
            }
        }
        if is_collection(value) {
            self.found.bare.push((evaluate(self.budget, value)?, path.to_owned()));
            return Ok(true);
        }
        self.inside(value, path)
    }

    /// What stands among things that are read belongs to them: a rule collection without its action may deny.
    fn list(&mut self, items: &[Value], path: &str) -> Result<bool, Exhausted> {
        let mut unclaimed = Vec::new();
        let mut any = false;
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match self.document(item, &path)? {
                true => any = true,
                false if is_foreign(item) => {}
                false => unclaimed.push((path, item.at, UNCLAIMED)),
            }
        }
        if any {
            self.found.unclaimed.extend(unclaimed);
        }
        Ok(any)
    }

    /// REST pages and Windows PowerShell wrap lists in `value`; other tools keep whole templates in their own files.
    fn inside(&mut self, value: &Value, path: &str) -> Result<bool, Exhausted> {
        let mut unclaimed = Vec::new();
        let mut any = false;
        for (name, inner) in value.as_object().map_or(&[][..], |object| &object.entries) {
            let path = format!("{path}{}", arm::member_path(name));
            match self.document(inner, &path)? {
                true => any = true,
                false if says_no_rule(inner) => {}
                false => unclaimed.push((path, inner.at, UNCLAIMED)),
            }
        }
        if any {
            self.found.unclaimed.extend(unclaimed);
        }
        let entries = value.as_object().map_or(&[][..], |object| &object.entries);
        let next = entries
            .iter()
            .filter(|(name, link)| any && is_next(name) && says_something(link));
        let next = next.map(|(name, link)| {
            (
                format!("{path}{}", arm::member_path(name)),
                link.at,
                "there is another page, which may hold rules",
            )
        });
        self.found.unclaimed.extend(next);
        Ok(any)
    }

    fn template(&mut self, template: &Value, path: &str) -> Result<(), Exhausted> {
        let parameters = template.get("parameters").and_then(Value::as_object);
        let names = parameters.map_or(&[][..], |object| &object.entries);
        let names = names.iter().map(|(name, _)| name.to_ascii_lowercase());
        self.found.parameters.extend(names);
        let met = arm::deploy(self.budget, template, self.given, path)?;
        self.found.resources.extend(met);
        Ok(())
    }
}

/// Where the next page is: `nextLink`, `@odata.nextLink`; `skip_token`, `$skipToken` of Azure Resource Graph.
fn is_next(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    let letters: String = letters.collect::<String>().to_ascii_lowercase();
    letters.ends_with("nextlink") || letters.ends_with("skiptoken")
}

const UNCLAIMED: &str = "it is nothing that is read, and may be a rule or a collection";

/// Words that the names of what rules, collections and groups need begin with.
const WORDS: [&str; 5] = ["action", "priority", "protocol", "rule", "target"];

fn begins_with(name: &str, words: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    words.iter().any(|word| name.starts_with(word))
}

/// What stands beside what is read under another name (tags, dates, parameters) and nowhere says a word that rules, collections
/// and groups need.
fn says_no_rule(value: &Value) -> bool {
    let says = |name: &str| begins_with(name, &WORDS) || begins_with(name, &["name", "properties"]);
    match &value.kind {
        Kind::Text(text) => !cut_off(&text.text),
        Kind::List(list) => list.items.iter().all(says_no_rule),
        Kind::Object(object) => {
            let mut entries = object.entries.iter();
            is_foreign(value) || entries.all(|(name, inner)| !says(name) && says_no_rule(inner))
        }
        _ => true,
    }
}

/// Nothing, or a thing of another type. A `type` that is none of a resource may be an action, or what another tool calls a rule.
fn is_foreign(value: &Value) -> bool {
    match &value.kind {
        Kind::Null => true,
        Kind::List(list) => list.items.iter().all(is_foreign),
        Kind::Object(object) => {
            let kind = value.get("type").and_then(Value::as_str);
            object.entries.is_empty() || kind.is_some_and(|kind| is_other(kind, object))
        }
        _ => false,
    }
}

fn is_other(kind: &str, object: &Object) -> bool {
    let is_resource = kind.split_once('/').is_some_and(|(space, _)| space.contains('.'));
    let kind = kind.to_ascii_lowercase();
    let says_rule = kind.contains("firewall") || kind.contains("rule");
    let mut names = object.entries.iter().map(|(name, _)| name);
    is_resource || !(says_rule || names.any(|name| begins_with(name, &WORDS)))
}

/// A deployment, or a resource with others inside, that was cut out of its template.
fn may_hold_resources(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    arm::deploys(&kind.to_ascii_lowercase()) || (kind.contains('/') && value.get("resources").is_some())
}

fn is_template(value: &Value) -> bool {
    let list = |value: &Value| value.as_list().is_some() || value.as_object().is_some();
    let schema = value.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let says_so = schema.to_ascii_lowercase().contains("deploymenttemplate")
        || ["contentVersion", "parameters", "variables"]
            .iter()
            .any(|key| value.get(key).is_some());
    value.get("resources").is_some_and(list) && value.get("type").is_none() && says_so
}

/// The type of what `az` or PowerShell printed: by its `type` or its id, else by what only it has.
fn kind_of(value: &Value) -> Option<String> {
    let written = value.get("type").and_then(Value::as_str).map(str::to_ascii_lowercase);
    if let Some(kind) = written.filter(|kind| kind.contains('/')) {
        return Some(kind).filter(|kind| arm::wanted(kind));
    }
    let id = value.get("id").and_then(Value::as_str).and_then(kind_of_id);
    if let Some(kind) = id {
        return Some(kind).filter(|kind| arm::wanted(kind) && !is_reference(value));
    }
    let has = |key: &str| property(value, key).is_some();
    let collections = [
        "applicationRuleCollections",
        "networkRuleCollections",
        "natRuleCollections",
    ];
    let kind = if has("ruleCollections") || has("ruleCollection") {
        GROUP
    } else if collections.iter().any(|key| has(key)) {
        FIREWALL
    } else if has("ipAddresses") && has("name") {
        IP_GROUP
    } else if has("ruleCollectionGroups") && has("threatIntelMode") {
        POLICY
    } else {
        return None;
    };
    Some(kind.to_owned())
}

/// Only says which resource is meant: `{ "id": ".." }`.
fn is_reference(value: &Value) -> bool {
    let entries = value.as_object().map_or(&[][..], |object| &object.entries);
    entries.iter().all(|(key, _)| {
        ["id", "resourceGroup"]
            .iter()
            .any(|word| key.eq_ignore_ascii_case(word))
    })
}

fn is_collection(value: &Value) -> bool {
    let says = |key: &str| property(value, key).is_some();
    says("ruleCollectionType") || (says("rules") && says("action"))
}
