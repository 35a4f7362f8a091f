//! The shapes that a policy is kept in: templates, wherever in the file they stand; what `az` and PowerShell print; bare rule
//! collections. All become resources, and what stands among them and is none of them is kept as well.

use super::{
    fields::{cut_off, property, says_something},
    groups::LISTS,
    identity::kind_of_id,
};
use crate::import::{
    arm::{self, Given, Resource, evaluate},
    budget::{Budget, Exhausted},
    path::Path,
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
    pub bare: Vec<(Value, Path)>,
    /// What belongs to the others and is not read: path, place, why.
    pub unclaimed: Vec<(Path, Place, &'static str)>,
    /// Names of all parameters, in lower case.
    pub parameters: HashSet<String>,
}

/// Adds what the documents of a file hold. The answer is whether that is anything.
pub(super) fn find(budget: &Budget, given: &Given, documents: &[Value], found: &mut Found) -> Result<bool, Exhausted> {
    let file = budget.deployment();
    let mut finder = Finder {
        budget,
        given,
        found,
        file,
    };
    let seen = match documents {
        [document] => finder.document(document, &Path::default())?,
        _ => finder.list(documents, &Path::default())?,
    };
    // An empty list is what `az` prints where there is nothing: an answer, not a mistake.
    let is_empty = documents.iter().all(|one| one.as_list().is_some_and(<[_]>::is_empty));
    Ok(seen.read || is_empty)
}

/// What the search has seen in a value. It looks at each value once and tells of it upwards, however deep it stands.
#[derive(Clone, Copy)]
struct Seen {
    /// It is, or holds, something that is read.
    read: bool,
    /// It is nothing, or a thing of another type.
    foreign: bool,
    /// It nowhere says a word that rules, collections and groups need (tags, dates, parameters).
    silent: bool,
}

impl Seen {
    const READ: Self = Self {
        read: true,
        foreign: false,
        silent: false,
    };

    /// A value without others in it.
    fn plain(value: &Value) -> Self {
        Self {
            read: false,
            foreign: matches!(value.kind, Kind::Null),
            silent: value.as_str().is_none_or(|text| !cut_off(text)),
        }
    }
}

struct Finder<'a> {
    budget: &'a Budget,
    given: &'a Given,
    found: &'a mut Found,
    /// Number of what stands outside any template.
    file: u32,
}

impl Finder<'_> {
    fn document(&mut self, value: &Value, path: &Path) -> Result<Seen, Exhausted> {
        if let Some(items) = value.as_list() {
            return self.list(items, path);
        }
        let Some(object) = value.as_object() else {
            return Ok(Seen::plain(value));
        };
        self.budget.steps(1 + object.entries.len() / 16, value.at)?;
        if is_template(value) {
            self.template(value, path)?;
            return Ok(Seen::READ);
        }
        let kind = kind_of(value);
        if kind.is_some() || may_hold_resources(value) {
            let met = arm::resource(self.budget, value, kind.as_deref(), is_printed(value), path, self.file)?;
            if !met.is_empty() {
                self.found.resources.extend(met);
                return Ok(Seen::READ);
            }
        }
        if is_collection(value) {
            self.found
                .bare
                .push((evaluate(self.budget, value, self.file)?, path.clone()));
            return Ok(Seen::READ);
        }
        self.inside(object, path)
    }

    /// What stands among things that are read belongs to them: a rule collection without its action may deny.
    fn list(&mut self, items: &[Value], path: &Path) -> Result<Seen, Exhausted> {
        let (mut read, mut foreign, mut silent) = (false, true, true);
        let mut unclaimed = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let seen = self.inner(item, || path.item(index))?;
            read |= seen.read;
            foreign &= seen.foreign;
            silent &= seen.silent;
            if !seen.read && !seen.foreign {
                unclaimed.push(index);
            }
        }
        for index in unclaimed.into_iter().filter(|_| read) {
            self.unclaimed(path.item(index), items[index].at, UNCLAIMED)?;
        }
        Ok(Seen { read, foreign, silent })
    }

    /// REST pages and Windows PowerShell wrap lists in `value`; other tools keep whole templates in their own files.
    fn inside(&mut self, object: &Object, path: &Path) -> Result<Seen, Exhausted> {
        let entries = &object.entries;
        let (mut read, mut silent) = (false, true);
        let mut unclaimed = Vec::new();
        for (index, (name, inner)) in entries.iter().enumerate() {
            let seen = self.inner(inner, || path.member(name))?;
            read |= seen.read;
            silent &= seen.silent && !says(name);
            if !seen.read && !seen.silent {
                unclaimed.push(index);
            }
        }
        for index in unclaimed.into_iter().filter(|_| read) {
            let (name, inner) = &entries[index];
            self.unclaimed(path.member(name), inner.at, UNCLAIMED)?;
        }
        let next = entries
            .iter()
            .filter(|(name, link)| read && is_next(name) && says_something(link));
        for (name, link) in next {
            let why = "there is another page, which may hold rules";
            self.unclaimed(path.member(name), link.at, why)?;
        }
        let foreign = is_foreign(object);
        let silent = silent || foreign;
        Ok(Seen { read, foreign, silent })
    }

    /// What stands inside another: most of it is a plain value, of which nobody needs the path.
    fn inner(&mut self, value: &Value, path: impl FnOnce() -> Path) -> Result<Seen, Exhausted> {
        match value.kind {
            Kind::List(_) | Kind::Object(_) => self.document(value, &path()),
            _ => Ok(Seen::plain(value)),
        }
    }

    fn unclaimed(&mut self, path: Path, at: Place, why: &'static str) -> Result<(), Exhausted> {
        self.budget.text(100, at)?;
        self.found.unclaimed.push((path, at, why));
        Ok(())
    }

    fn template(&mut self, template: &Value, path: &Path) -> Result<(), Exhausted> {
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
    let begins = |word: &str| {
        name.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    words.iter().any(|word| begins(word))
}

/// Whether the name is one of what rules are made of.
pub(super) fn says_rules(name: &str) -> bool {
    begins_with(name, &WORDS)
}

fn says(name: &str) -> bool {
    says_rules(name) || begins_with(name, &["name", "properties"])
}

/// Nothing, or a thing of another type. A `type` that is none of a resource may be an action, or what another tool calls a rule.
fn is_foreign(object: &Object) -> bool {
    let kind = object.get("type").and_then(Value::as_str);
    object.entries.is_empty() || kind.is_some_and(|kind| is_other(kind, object))
}

fn is_other(kind: &str, object: &Object) -> bool {
    let is_resource = kind.split_once('/').is_some_and(|(space, _)| space.contains('.'));
    let kind = kind.to_ascii_lowercase();
    let says_rule = kind.contains("firewall") || kind.contains("rule");
    let mut names = object.entries.iter().map(|(name, _)| name);
    is_resource || !(says_rule || names.any(|name| says_rules(name)))
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
    } else if LISTS.iter().any(|(key, _)| has(key)) && has("threatIntelMode") {
        POLICY
    } else {
        return None;
    };
    Some(kind.to_owned())
}

/// It has the id that Azure gives a resource, which no template writes. PowerShell has a group's in `Properties`.
fn is_printed(value: &Value) -> bool {
    let id = property(value, "id").and_then(Value::as_str);
    id.is_some_and(|id| !id.starts_with('[') && kind_of_id(id).is_some())
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
