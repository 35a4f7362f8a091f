//! The shapes that a policy is kept in: templates, wherever in the file they stand; what `az` and PowerShell print; bare rule
//! collections. All become resources.

use super::fields::property;
use crate::import::{
    arm::{Budget, Exhausted, Given, Resource, deploy, evaluate},
    value::{Place, Value},
};
use std::collections::HashSet;

pub(super) const POLICY: &str = "microsoft.network/firewallpolicies";
pub(super) const GROUP: &str = "microsoft.network/firewallpolicies/rulecollectiongroups";
pub(super) const OLD_GROUP: &str = "microsoft.network/firewallpolicies/rulegroups";
pub(super) const FIREWALL: &str = "microsoft.network/azurefirewalls";
pub(super) const IP_GROUP: &str = "microsoft.network/ipgroups";

/// What files hold of an Azure Firewall.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub resources: Vec<Resource>,
    /// Rule collections without a group, and their paths.
    pub bare: Vec<(Value, String)>,
    /// Not deployed, since the condition is false: type, path, place.
    pub left_out: Vec<(String, String, Place)>,
    /// Deployments whose template is elsewhere.
    pub elsewhere: Vec<(String, Place)>,
    /// Names of all parameters, in lower case.
    pub parameters: HashSet<String>,
}

/// Adds what the documents of a file hold. The answer is whether that is anything.
pub(super) fn find(budget: &Budget, given: &Given, documents: &[Value], found: &mut Found) -> Result<bool, Exhausted> {
    let mut any = false;
    for (index, document) in documents.iter().enumerate() {
        let path = match documents.len() {
            1 => "$".to_owned(),
            _ => format!("$[{index}]"),
        };
        any |= Finder { budget, given, found }.document(document, &path)?;
    }
    Ok(any)
}

struct Finder<'a> {
    budget: &'a Budget,
    given: &'a Given,
    found: &'a mut Found,
}

impl Finder<'_> {
    fn document(&mut self, value: &Value, path: &str) -> Result<bool, Exhausted> {
        if let Some(items) = value.as_list() {
            let mut any = false;
            for (index, item) in items.iter().enumerate() {
                any |= self.document(item, &format!("{path}[{index}]"))?;
            }
            // An empty list is what `az` prints where there is nothing: an answer, not a mistake.
            return Ok(any || (items.is_empty() && path == "$"));
        }
        if value.as_object().is_none() {
            return Ok(false);
        }
        if is_template(value) {
            return self.template(value, path).map(|()| true);
        }
        if let Some(kind) = kind_of(value) {
            let body = evaluate(self.budget, value)?;
            let name = full_name(&body, kind);
            let (path, doubt) = (path.to_owned(), None);
            let kind = kind.to_owned();
            self.found.resources.push(Resource {
                kind,
                name,
                body,
                path,
                doubt,
            });
            return Ok(true);
        }
        if is_collection(value) {
            self.found.bare.push((evaluate(self.budget, value)?, path.to_owned()));
            return Ok(true);
        }
        self.inside(value, path)
    }

    /// REST pages and Windows PowerShell wrap lists in `value`; other tools keep whole templates in their own files.
    fn inside(&mut self, value: &Value, path: &str) -> Result<bool, Exhausted> {
        let mut any = false;
        for (name, inner) in value.as_object().map_or(&[][..], |object| &object.entries) {
            if inner.as_list().is_some() || inner.as_object().is_some() {
                let path = format!("{path}{}", crate::import::arm::member_path(name));
                any |= self.document(inner, &path)?;
            }
        }
        Ok(any)
    }

    fn template(&mut self, template: &Value, path: &str) -> Result<(), Exhausted> {
        let parameters = template.get("parameters").and_then(Value::as_object);
        let names = parameters.map_or(&[][..], |object| &object.entries);
        let names = names.iter().map(|(name, _)| name.to_ascii_lowercase());
        self.found.parameters.extend(names);
        let deployed = deploy(self.budget, template, self.given, path)?;
        self.found.resources.extend(deployed.resources);
        self.found.left_out.extend(deployed.left_out);
        self.found.elsewhere.extend(deployed.elsewhere);
        Ok(())
    }
}

fn is_template(value: &Value) -> bool {
    let resources = value.get("resources");
    let schema = value.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let says_so = schema.to_ascii_lowercase().contains("deploymenttemplate") || value.get("contentVersion").is_some();
    resources.is_some_and(|resources| resources.as_list().is_some() || resources.as_object().is_some()) && says_so
}

/// The type of what `az` or PowerShell printed: by its `type` or its id, else by what only it has.
fn kind_of(value: &Value) -> Option<&'static str> {
    let written = value.get("type").and_then(Value::as_str).map(str::to_ascii_lowercase);
    if let Some(kind) = &written
        && let Some(known) = [POLICY, GROUP, OLD_GROUP, FIREWALL, IP_GROUP]
            .iter()
            .find(|known| *known == kind)
    {
        return Some(known);
    }
    if written.is_some_and(|kind| kind.contains('/')) {
        return None;
    }
    let id = value
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let has = |key: &str| property(value, key).is_some();
    if id.contains("/rulecollectiongroups/") || has("ruleCollections") || has("ruleCollection") {
        return Some(GROUP);
    }
    let collections = [
        "applicationRuleCollections",
        "networkRuleCollections",
        "natRuleCollections",
    ];
    if id.contains("/azurefirewalls/") || collections.iter().any(|key| has(key)) {
        return Some(FIREWALL);
    }
    if id.contains("/ipgroups/") || (has("ipAddresses") && has("name")) {
        return Some(IP_GROUP);
    }
    if id.contains("/firewallpolicies/") || (has("ruleCollectionGroups") && has("threatIntelMode")) {
        return Some(POLICY);
    }
    None
}

fn is_collection(value: &Value) -> bool {
    let says = |key: &str| property(value, key).is_some();
    says("ruleCollectionType") || (says("rules") && says("action"))
}

/// `policy/group` of what was printed: from its id, since its name is the last part alone.
fn full_name(body: &Value, kind: &str) -> Value {
    let name = body.get("name").cloned();
    let plain = name
        .clone()
        .unwrap_or_else(|| Value::unknown("it has no name", body.at));
    let Some(id) = body.get("id").and_then(Value::as_str) else {
        return plain;
    };
    let parts: Vec<&str> = id.split('/').collect();
    let after = |word: &str| {
        let place = parts.iter().position(|part| part.eq_ignore_ascii_case(word))?;
        parts.get(place + 1).copied()
    };
    let full = match kind {
        GROUP => after("firewallPolicies")
            .zip(after("ruleCollectionGroups"))
            .map(|(policy, group)| format!("{policy}/{group}")),
        POLICY => after("firewallPolicies").map(str::to_owned),
        FIREWALL => after("azureFirewalls").map(str::to_owned),
        IP_GROUP => after("ipGroups").map(str::to_owned),
        _ => None,
    };
    full.map_or(plain, |full| Value::text(full, body.at))
}
