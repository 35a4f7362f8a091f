//! Where groups and their rules stand in a file: anywhere, for groups; rules in their group, nested in it, or beside it.

use super::{MAX_DEPTH, NsgError, fields, get, name_of};
use crate::printable::printable;
use serde_json::Value;

/// Resource types, in lower case.
const GROUP: &str = "microsoft.network/networksecuritygroups";
const RULE: &str = "microsoft.network/networksecuritygroups/securityrules";

/// What deploys a template, in lower case.
const DEPLOYMENTS: [&str; 2] = [
    "microsoft.resources/deployments",
    "microsoft.resources/deploymentstacks",
];

/// What to do about what cannot be known from a template.
const EXPORT: &str = "export the deployed group instead";

/// What was met on the way.
#[derive(Default)]
pub(super) struct Found<'a> {
    groups: Vec<Group<'a>>,
    /// Rules as resources of their own, `group/rule`.
    children: Vec<&'a Value>,
    /// Deployments of which the template is in another file.
    linked: Vec<&'a Value>,
}

/// A group with its rules, those of its own lists and the child resources.
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) rules: Vec<&'a Value>,
}

impl<'a> Found<'a> {
    pub(super) fn new(file: &'a Value) -> Result<Self, NsgError> {
        let mut found = Self::default();
        found.walk(file, 0)?;
        Ok(found)
    }

    /// The groups, once every child has found its own.
    pub(super) fn with_children(mut self) -> Result<Vec<Group<'a>>, NsgError> {
        if let Some(linked) = self.linked.first().filter(|_| !self.groups.is_empty()) {
            return Err(NsgError::Linked(printable(name_of(linked))));
        }
        for child in self.children {
            let name = name_of(child);
            let mut owners = self.groups.iter_mut().filter(|group| is_child(name, group.name));
            match (owners.next(), owners.next()) {
                (Some(owner), None) => owner.rules.push(child),
                _ => {
                    let what = format!("is a resource of a group that the file does not tell: {EXPORT}");
                    let rule = printable(name);
                    return Err(NsgError::Rule { rule, what });
                }
            }
        }
        Ok(self.groups)
    }

    fn walk(&mut self, value: &'a Value, depth: usize) -> Result<(), NsgError> {
        if depth > MAX_DEPTH {
            return Err(NsgError::TooMuch);
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item, depth + 1)),
            Value::Object(items) => {
                let kind = kind(value);
                if kind == RULE {
                    self.children.extend(deployed(value)?.then_some(value));
                    return Ok(());
                }
                if kind == GROUP || get(fields(value), "securityRules").is_some() {
                    self.groups.extend(deployed(value)?.then(|| group(value)).transpose()?);
                    return Ok(());
                }
                let template = get(fields(value), "template").is_some_and(Value::is_object);
                if DEPLOYMENTS.contains(&&*kind) && !template {
                    self.linked.extend(deployed(value)?.then_some(value));
                    return Ok(());
                }
                let before = (self.groups.len(), self.children.len(), self.linked.len());
                items.values().try_for_each(|item| self.walk(item, depth + 1))?;
                // A deployment with groups in it.
                if before != (self.groups.len(), self.children.len(), self.linked.len()) && !deployed(value)? {
                    self.groups.truncate(before.0);
                    self.children.truncate(before.1);
                    self.linked.truncate(before.2);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn kind(value: &Value) -> String {
    let kind = get(value, "type").and_then(Value::as_str).unwrap_or_default();
    kind.to_ascii_lowercase()
}

/// Whether a resource comes to be, once, as it stands there.
fn deployed(value: &Value) -> Result<bool, NsgError> {
    let fault = |what: &str| {
        Err(NsgError::Group {
            group: printable(name_of(value)),
            what: format!("{what}: {EXPORT}"),
        })
    };
    if get(value, "copy").is_some() {
        return fault("is made by a copy loop");
    }
    if get(value, "existing").is_some_and(|existing| *existing != Value::Bool(false)) {
        return fault("is there already, and its rules are not in the file");
    }
    match get(value, "condition") {
        None => Ok(true),
        Some(Value::Bool(there)) => Ok(*there),
        Some(_) => fault("has a condition, which only the deployment decides"),
    }
}

fn group(value: &Value) -> Result<Group<'_>, NsgError> {
    let name = name_of(value);
    let fault = |what: String| NsgError::Group {
        group: printable(name),
        what: format!("{what}: {EXPORT}"),
    };
    if get(value, "properties").is_some_and(|properties| !properties.is_object()) {
        return Err(fault("`properties` is an expression".into()));
    }
    let loops = get(fields(value), "copy")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    if loops.count() > 0 {
        return Err(fault("its rules are made by a copy loop".into()));
    }
    let mut rules = Vec::new();
    for key in ["securityRules", "defaultSecurityRules"] {
        match get(fields(value), key) {
            None => {}
            Some(Value::Array(items)) if items.iter().all(Value::is_object) => rules.extend(items),
            Some(_) => return Err(fault(format!("`{key}` is an expression, or holds one"))),
        }
    }
    match get(value, "resources") {
        None => {}
        Some(Value::Array(items)) => {
            for item in items
                .iter()
                .filter(|item| ["securityrules", RULE].contains(&&*kind(item)))
            {
                rules.extend(deployed(item)?.then_some(item));
            }
        }
        Some(_) => return Err(fault("`resources` is no list".into())),
    }
    Ok(Group { name, rules })
}

/// Whether a child's name has this group in front: `group/rule`, or the same made by `concat` or `format` of the expression
/// that names the group, as exports and Bicep write it.
fn is_child(child: &str, group: &str) -> bool {
    let inner = |text: &'_ str| -> Option<String> {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        Some(inner.chars().filter(|c| !c.is_whitespace()).collect())
    };
    match (inner(child), inner(group)) {
        (None, None) => {
            let owner = child.rsplit_once('/').map(|(owner, _)| owner);
            owner.is_some_and(|owner| owner.eq_ignore_ascii_case(group))
        }
        (Some(child), Some(group)) => {
            let concat = child
                .strip_prefix("concat(")
                .and_then(|rest| rest.strip_prefix(&*group));
            let format = child.strip_prefix("format('{0}/{1}',");
            let format = format.and_then(|rest| rest.strip_prefix(&*group));
            concat.is_some_and(|rest| rest.starts_with(",'/")) || format.is_some_and(|rest| rest.starts_with(','))
        }
        // A group whose name is a text, and a child made by `format` of it.
        (Some(child), None) => [
            format!("format('{{0}}/{{1}}','{group}',"),
            format!("concat('{group}','/"),
            format!("concat('{group}/"),
        ]
        .iter()
        .any(|made| child.starts_with(made)),
        (None, Some(_)) => false,
    }
}
