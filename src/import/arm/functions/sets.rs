//! Arrays and objects put together: what is in any of them, what is in all.

use super::{Call, Fail, Made, bad, lists::object, same};
use crate::import::{
    arm::made::Members,
    value::{Kind, Object, Value},
};

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "intersection" => intersection(call),
        _ => union(call, name),
    }
}

/// Lists without what is there already; objects member by member, `union` into the depth, the later one first.
fn union(call: &Call<'_>, name: &str) -> Made {
    let deep = name == "union";
    let arguments = match (deep, call.arguments) {
        (false, [list]) => call.items(list)?,
        (_, arguments) => arguments,
    };
    if deep && arguments.iter().all(|value| value.as_list().is_some()) {
        return union_of_lists(call);
    }
    let objects: Option<Vec<&Object>> = arguments.iter().map(Value::as_object).collect();
    let Some(objects) = objects else {
        return bad("takes lists alone or objects alone");
    };
    if let Some(doubt) = objects.iter().find_map(|object| object.others()) {
        return Ok(Value::in_doubt(doubt, call.at));
    }
    merge(call, &objects, deep)
}

/// What may be there already makes the length uncertain: it is one element or two.
fn union_of_lists(call: &Call<'_>) -> Made {
    let mut items: Vec<Value> = Vec::new();
    let mut unsure = false;
    for item in call.arguments.iter().filter_map(Value::as_list).flatten() {
        match holds(call, &items, item)? {
            Some(true) => continue,
            Some(false) => {}
            None => unsure = true,
        }
        items.push(item.clone());
    }
    match call.doubt().filter(|_| unsure) {
        Some(doubt) => call.uncertain_list(items, doubt),
        None => call.list_from(items, call.arguments),
    }
}

/// Two members of one name: objects become one, of others the later counts. What may be an object may add members.
fn merge(call: &Call<'_>, objects: &[&Object], deep: bool) -> Made {
    let mut members = Members::new();
    for (key, value) in objects.iter().flat_map(|object| &object.entries) {
        let old: Option<&mut (_, Value)> = members.get(call.budget, key, call.at)?;
        let old = old.map(|(_, old)| &old.kind);
        let merged = match (old, &value.kind) {
            (Some(Kind::Object(old)), Kind::Object(new)) if deep => match old.others().or(new.others()) {
                Some(doubt) => Value::in_doubt(doubt, call.at),
                None => merge(call, &[old, new], deep)?,
            },
            (Some(Kind::Unknown(old)), Kind::Object(_)) if deep => Value::in_doubt(old, call.at),
            _ => value.clone(),
        };
        members.put(call.budget, key, merged, call.at)?;
    }
    call.object(members.entries)
}

fn intersection(call: &Call<'_>) -> Made {
    let Some((first, others)) = call.arguments.split_first() else {
        return bad("takes lists or objects");
    };
    if first.as_list().is_some() {
        let mut items = Vec::new();
        for item in call.items(first)? {
            let mut everywhere = true;
            for other in others {
                everywhere &= known(holds(call, call.items(other)?, item)?)?;
            }
            if everywhere {
                items.push(item.clone());
            }
        }
        return call.list(items);
    }
    let object = object(call, 0)?;
    let mut entries = Vec::new();
    for (key, value) in &object.entries {
        let mut everywhere = true;
        for other in others {
            let Some(other) = other.as_object() else {
                return bad("takes lists alone or objects alone");
            };
            everywhere &= match call.budget.member(other, key, call.at)? {
                Some(there) => known(same(call.budget, value, there, call.at)?)?,
                None => false,
            };
        }
        if everywhere {
            entries.push((key.clone(), value.clone()));
        }
    }
    call.object(entries)
}

/// What has to be known for there to be an outcome at all.
pub(super) fn known(found: Option<bool>) -> Result<bool, Fail> {
    found.map_or_else(|| bad("a value that is not known is compared"), Ok)
}

/// Whether a list holds a value; `None` if Azure alone knows.
pub(super) fn holds(call: &Call<'_>, items: &[Value], value: &Value) -> Result<Option<bool>, Fail> {
    let mut known = Some(false);
    for item in items {
        match same(call.budget, item, value, call.at)? {
            Some(true) => return Ok(Some(true)),
            Some(false) => {}
            None => known = None,
        }
    }
    Ok(known)
}
