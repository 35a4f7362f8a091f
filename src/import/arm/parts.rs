//! What the elements and members of a parameter are declared to be (`items`, `prefixItems`, `properties`, `additionalProperties`): a
//! text that is declared a number becomes one there as it does for the whole value.

use super::{
    Budget, Exhausted,
    parameters::{Declared, as_declared, followed, reference_steps},
    parse::Expression,
};
use crate::import::{
    json::shown,
    value::{Kind, List, Object, Place, Value},
};

/// The value with its elements and members as their types have them; `None` if they all are.
pub(super) fn converted(
    budget: &Budget,
    value: &Value,
    definition: &Value,
    definitions: Option<&Value>,
) -> Result<Option<Value>, Exhausted> {
    let mut made: Option<Value> = None;
    for definition in followed(definition, definitions) {
        budget.steps(1 + reference_steps(definition), value.at)?;
        let value = made.as_ref().unwrap_or(value);
        let new = match &value.kind {
            Kind::List(list) => of_list(budget, value, list, definition, definitions)?,
            Kind::Object(object) => of_object(budget, value, object, definition, definitions)?,
            _ => None,
        };
        made = new.or(made);
    }
    Ok(made)
}

fn of_list(
    budget: &Budget,
    value: &Value,
    list: &List,
    definition: &Value,
    definitions: Option<&Value>,
) -> Result<Option<Value>, Exhausted> {
    let mut items: Option<Vec<Value>> = None;
    for (index, item, definition) in elements(list, definition) {
        if let Some(new) = part(budget, item, definition, definitions, || "an element".into())? {
            items.get_or_insert_with(|| list.items.clone())[index] = new;
        }
    }
    let items = items.map(|items| items.into_iter().map(Ok));
    let made = items.map(|items| match &list.uncertain {
        Some(doubt) => budget.uncertain_list(items, doubt, value.at),
        None => budget.list(items, value.at),
    });
    made.transpose()
}

fn of_object(
    budget: &Budget,
    value: &Value,
    object: &Object,
    definition: &Value,
    definitions: Option<&Value>,
) -> Result<Option<Value>, Exhausted> {
    let named = definition.get("properties").and_then(Value::as_object);
    let rest = definition.get("additionalProperties");
    if named.is_none() && rest.is_none() {
        return Ok(None);
    }
    let mut entries = None;
    for (index, (name, member)) in object.entries.iter().enumerate() {
        let Some(definition) = member_of(budget, named, rest, name, member)? else {
            continue;
        };
        if let Some(new) = part(budget, member, definition, definitions, || {
            format!("member `{}`", shown(name))
        })? {
            entries.get_or_insert_with(|| object.entries.clone())[index].1 = new;
        }
    }
    if let (Some(doubt), Some(_)) = (value.uncertain(), &entries) {
        return Ok(Some(Value::in_doubt(doubt, value.at)));
    }
    let made = entries.map(|entries| budget.object(entries.into_iter().map(Ok), value.at));
    made.transpose()
}

/// An element or a member as its type has it, with all inside; `None` if it is so.
fn part(
    budget: &Budget,
    value: &Value,
    definition: &Value,
    definitions: Option<&Value>,
    what: impl FnOnce() -> String,
) -> Result<Option<Value>, Exhausted> {
    let declared = match value.kind {
        Kind::List(_) | Kind::Object(_) => return converted(budget, value, definition, definitions),
        Kind::Text(_) | Kind::Int(_) | Kind::Float(_) => Declared::of(definition, definitions),
        Kind::Null | Kind::Bool(_) | Kind::Unknown(_) => return Ok(None),
    };
    let followed = followed(definition, definitions).map(|one| 1 + 2 * reference_steps(one));
    budget.steps(followed.sum(), value.at)?;
    let is_other = matches!(
        (declared.kind.as_deref(), &value.kind),
        (Some("int"), Kind::Text(_) | Kind::Float(_)) | (Some("bool"), Kind::Text(_)) | (Some("string"), Kind::Int(_))
    );
    let made = is_other.then(|| as_declared(value, &declared, what, value.at));
    Ok(made.map(|made| made.unwrap_or_else(|unknown| Value::in_doubt(&unknown, value.at))))
}

/// A definition, with those of its template that it may refer to.
pub(super) type Definition<'v> = (&'v Value, Option<&'v Value>);

/// What is defined of a member, or of an element, of what has these definitions.
pub(super) fn of_part<'v>(
    budget: &Budget,
    definitions: &[Definition<'v>],
    key: &Expression,
    at: Place,
) -> Result<Vec<Definition<'v>>, Exhausted> {
    let mut found = Vec::new();
    for (definition, all) in definitions {
        // Of what type it is, is not known, nor of what type its parts are.
        if Declared::of(definition, *all).lost {
            found.push((*definition, *all));
        }
        for one in followed(definition, *all) {
            budget.steps(1 + reference_steps(one), at)?;
            let of = match key {
                Expression::Text(name) => {
                    let named = one.get("properties").and_then(Value::as_object);
                    let named = named.map(|named| budget.member(named, name, at)).transpose()?;
                    named.flatten().or(one.get("additionalProperties"))
                }
                Expression::Int(index) => {
                    let first = one.get("prefixItems").and_then(Value::as_list);
                    let first = first.zip(usize::try_from(*index).ok());
                    first.and_then(|(first, index)| first.get(index)).or(one.get("items"))
                }
                _ => None,
            };
            found.extend(of.map(|of| (of, *all)));
            // Which of several it is, is not looked for: it may be any.
            if one.get("discriminator").is_some() && found.last().is_none_or(|(last, _)| !std::ptr::eq(*last, one)) {
                found.push((one, *all));
            }
        }
    }
    Ok(found)
}

/// Whether a value of this definition, or anything in it, is declared to be of one of these types: it may be another text than the one
/// that is given (`"007"` for a number). So may all that is behind so many definitions.
pub(super) fn declares(
    budget: &Budget,
    definition: &Value,
    definitions: Option<&Value>,
    types: &[&str],
    left: &mut u32,
    at: Place,
) -> Result<bool, Exhausted> {
    let declared = Declared::of(definition, definitions);
    *left = left.saturating_sub(1);
    if *left == 0 || declared.lost || declared.kind.as_deref().is_some_and(|kind| types.contains(&kind)) {
        return Ok(true);
    }
    for one in followed(definition, definitions) {
        budget.steps(1 + 2 * reference_steps(one), at)?;
        if one.get("discriminator").is_some() {
            return Ok(true);
        }
        let members = one.get("properties").and_then(Value::as_object);
        let members = members
            .into_iter()
            .flat_map(|members| members.entries.iter().map(|(_, one)| one));
        let elements = one.get("prefixItems").and_then(Value::as_list).unwrap_or_default();
        let rest = ["items", "additionalProperties"]
            .into_iter()
            .filter_map(|key| one.get(key));
        for part in members.chain(elements).chain(rest) {
            if declares(budget, part, definitions, types, left, at)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The elements of which something is defined, each with its place and that.
pub(super) fn elements<'v>(
    list: &'v List,
    definition: &'v Value,
) -> impl Iterator<Item = (usize, &'v Value, &'v Value)> {
    let (first, rest) = (definition.get("prefixItems"), definition.get("items"));
    // Where an element may not be there, the places of the others are not known.
    let first = first.and_then(Value::as_list).filter(|_| list.uncertain.is_none());
    let first = first.unwrap_or_default();
    let defined = if rest.is_some() { usize::MAX } else { first.len() };
    let items = list.items.iter().enumerate().take(defined);
    items.filter_map(move |(index, item)| Some((index, item, first.get(index).or(rest)?)))
}

/// What is defined of a member.
pub(super) fn member_of<'v>(
    budget: &Budget,
    named: Option<&'v Object>,
    rest: Option<&'v Value>,
    name: &str,
    member: &Value,
) -> Result<Option<&'v Value>, Exhausted> {
    let named = named.map(|named| budget.member(named, name, member.at)).transpose()?;
    Ok(named.flatten().or(rest))
}
