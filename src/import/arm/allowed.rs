//! What a parameter may be: `allowedValues`, `minValue`, `maxValue`, `minLength`, `maxLength` ("Parameters in ARM templates"), and what
//! its elements and members may be: `items`, `prefixItems`, `properties`, `additionalProperties` ("Definitions in ARM templates").
//! Azure refuses a deployment with another value before it deploys anything.

use super::{
    Budget, Exhausted,
    parameters::{followed, reference_steps},
    parts::{elements, member_of},
};
use crate::import::{
    json::shown,
    value::{Kind, Value},
};

/// Why Azure refuses a value for a parameter of this definition, in a template with these `definitions`, as far as it is known.
pub(super) fn refused(
    budget: &Budget,
    value: &Value,
    definition: &Value,
    definitions: Option<&Value>,
) -> Result<Option<String>, Exhausted> {
    for definition in followed(definition, definitions) {
        budget.steps(1 + reference_steps(definition), value.at)?;
        let itself = match value.doubt().is_some() || matches!(value.kind, Kind::Null) {
            true => None,
            false => not_allowed(budget, value, definition)?,
        };
        let why = match itself {
            Some(why) => Some(why),
            None => refused_inside(budget, value, definition, definitions)?,
        };
        if why.is_some() {
            return Ok(why);
        }
    }
    Ok(None)
}

/// Why Azure refuses an element or a member of the value. A definition may be of a type that holds itself: the value ends.
fn refused_inside(
    budget: &Budget,
    value: &Value,
    definition: &Value,
    definitions: Option<&Value>,
) -> Result<Option<String>, Exhausted> {
    match &value.kind {
        Kind::List(list) => {
            for (_, item, definition) in elements(list, definition) {
                if let Some(why) = refused(budget, item, definition, definitions)? {
                    return Ok(Some(format!("an element with {}", shown(&why))));
                }
            }
        }
        Kind::Object(object) => {
            let named = definition.get("properties").and_then(Value::as_object);
            let rest = definition.get("additionalProperties");
            if named.is_none() && rest.is_none() {
                return Ok(None);
            }
            for (name, member) in &object.entries {
                let Some(definition) = member_of(budget, named, rest, name, member)? else {
                    continue;
                };
                if let Some(why) = refused(budget, member, definition, definitions)? {
                    return Ok(Some(format!("a member `{}` with {}", shown(name), shown(&why))));
                }
            }
        }
        _ => {}
    }
    Ok(None)
}

/// Why Azure refuses a known value by what its definition says of it as a whole.
fn not_allowed(budget: &Budget, value: &Value, definition: &Value) -> Result<Option<String>, Exhausted> {
    let allowed = definition.get("allowedValues").and_then(Value::as_list);
    let parts = value.as_list().map_or(1, <[_]>::len);
    budget.steps(parts * allowed.map_or(0, <[_]>::len) / 8, value.at)?;
    if allowed.is_some_and(|allowed| !is_among(budget, value, allowed)) {
        let value = value
            .as_str()
            .map_or_else(String::new, |text| format!(" `{}`", shown(text)));
        return Ok(Some(format!("a value{value} that is none of its `allowedValues`")));
    }
    let limit = |key: &str| definition.get(key).and_then(Value::as_int);
    for (size, least, most) in [
        (number as Size, "minValue", "maxValue"),
        (length, "minLength", "maxLength"),
    ] {
        if limit(least).or(limit(most)).is_none() {
            continue;
        }
        let Some(size) = size(budget, value)? else { continue };
        if limit(least).is_some_and(|least| size < least) {
            return Ok(Some(format!("a value below its `{least}`")));
        }
        if limit(most).is_some_and(|most| size > most) {
            return Ok(Some(format!("a value beyond its `{most}`")));
        }
    }
    Ok(None)
}

type Size = fn(&Budget, &Value) -> Result<Option<i64>, Exhausted>;

fn number(_: &Budget, value: &Value) -> Result<Option<i64>, Exhausted> {
    Ok(match value.kind {
        Kind::Int(number) => Some(number),
        _ => None,
    })
}

/// Elements, or units of 16 bits as .NET counts them.
fn length(budget: &Budget, value: &Value) -> Result<Option<i64>, Exhausted> {
    let length = match &value.kind {
        Kind::List(list) => list.items.len(),
        Kind::Text(text) => {
            budget.steps(text.text.len() / 64, value.at)?;
            text.text.encode_utf16().count()
        }
        _ => return Ok(None),
    };
    Ok(i64::try_from(length).ok())
}

/// Of a list each element, or the whole. What is compared otherwise than as a text, a number or a boolean is let pass.
fn is_among(budget: &Budget, value: &Value, allowed: &[Value]) -> bool {
    let is_one = |value: &Value| allowed.iter().any(|one| may_be(budget, value, one));
    match value.as_list() {
        Some(items) => allowed.iter().any(|one| one.as_list().is_some()) || items.iter().all(is_one),
        None => is_one(value),
    }
}

/// Texts of one length are read: without enough left for that the import fails.
fn may_be(budget: &Budget, value: &Value, allowed: &Value) -> bool {
    match (&value.kind, &allowed.kind) {
        (Kind::Text(one), Kind::Text(other)) => {
            let (one, other) = (&one.text, &other.text);
            one.len() == other.len() && budget.looks(one.len() / 64, value.at) && one.eq_ignore_ascii_case(other)
        }
        (Kind::Bool(one), Kind::Bool(other)) => one == other,
        (Kind::Int(one), Kind::Int(other)) => one == other,
        (Kind::Text(_) | Kind::Bool(_) | Kind::Int(_), Kind::Text(_) | Kind::Bool(_) | Kind::Int(_)) => false,
        _ => true,
    }
}
