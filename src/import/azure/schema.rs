//! The three schemas of rule collections: today's, the old `ruleGroups`, the classic firewall's.

use super::fields::{located, property, says_something};
use crate::import::{budget::Budget, model::Origin, value::Value};

/// Which schema a collection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `ruleCollections` of a group.
    Now,
    /// `rules` of a `ruleGroups` resource: each is a collection of conditions.
    Old,
    /// A section of an `azureFirewalls` resource.
    Classic(Section),
}

impl Shape {
    pub fn section(self) -> Option<Section> {
        match self {
            Self::Classic(section) => Some(section),
            Self::Now | Self::Old => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Section {
    Nat,
    Network,
    Application,
}

/// The rules of a collection with their places, or why they are not known.
pub(super) fn rules_of(
    budget: &Budget,
    value: &Value,
    shape: Shape,
    origin: &Origin,
) -> Result<Vec<(Value, Origin)>, String> {
    if shape == Shape::Old {
        if let Some((path, condition)) = located(value, "ruleCondition", origin) {
            if property(value, "ruleConditions").is_some_and(says_something) {
                return Err("it has `ruleCondition` and `ruleConditions`: which of them counts is not known".into());
            }
            return Ok(vec![(old_nat_rule(budget, value, condition), path)]);
        }
        return listed(value, "ruleConditions", origin);
    }
    listed(value, "rules", origin)
}

fn listed(value: &Value, key: &str, origin: &Origin) -> Result<Vec<(Value, Origin)>, String> {
    let Some((place, list)) = located(value, key, origin) else {
        return Err(format!("it has no `{key}`"));
    };
    let Some(items) = list.as_list() else {
        return Err(match list.doubt() {
            Some(doubt) => doubt.why.to_string(),
            None => format!("`{key}` is {}; `ConvertTo-Json` needs `-Depth 100`", list.type_name()),
        });
    };
    let placed = items.iter().enumerate().map(|(index, item)| {
        let (path, at) = (place.path.item(index), item.at);
        (item.clone(), Origin { path, at })
    });
    Ok(placed.collect())
}

/// A DNAT rule of the old schema says what it translates to beside its condition.
fn old_nat_rule(budget: &Budget, value: &Value, condition: &Value) -> Value {
    let object = condition.as_object();
    let object = object.filter(|object| budget.keeps(object.entries.len(), condition.at));
    let mut entries = object.map_or_else(Vec::new, |object| object.entries.clone());
    entries.retain(|(key, _)| !key.eq_ignore_ascii_case("name"));
    for key in ["name", "translatedAddress", "translatedPort"] {
        if let Some(own) = property(value, key) {
            entries.push((key.into(), own.clone()));
        }
    }
    Value::object(entries, condition.at).unwrap_or_else(|_| Value::unknown("it nests too deep", condition.at))
}

pub(super) fn section_of(rule: &Value, shape: Shape) -> Option<Section> {
    if let Shape::Classic(section) = shape {
        return Some(section);
    }
    let kind = rule
        .get("ruleType")
        .or(rule.get("ruleConditionType"))
        .and_then(Value::known_str);
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("applicationrule" | "applicationrulecondition") => return Some(Section::Application),
        Some("networkrule" | "networkrulecondition") => return Some(Section::Network),
        Some("natrule" | "natrulecondition") => return Some(Section::Nat),
        Some(_) => return None,
        None => {}
    }
    let has = |key: &str| rule.get(key).is_some();
    if has("translatedPort") {
        Some(Section::Nat)
    } else if has("targetFqdns") || has("fqdnTags") || has("targetUrls") || has("webCategories") {
        Some(Section::Application)
    } else if has("destinationPorts") {
        Some(Section::Network)
    } else {
        None
    }
}
