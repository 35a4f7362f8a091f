//! Array and object functions, and those that take arrays, objects and texts alike.

use super::{Call, Fail, Made, bad, numbers::order, same};
use crate::import::{
    arm::eval::{Member, element, member},
    text::Joined,
    value::{Kind, Object, Value},
};
use std::{cmp::Ordering, sync::Arc};

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "createarray" => call.list(call.arguments.to_vec()),
        "array" => array(call),
        "createobject" => create_object(call),
        "concat" => concat(call),
        "union" | "shallowmerge" => union(call, name),
        "intersection" => intersection(call),
        "flatten" => flatten(call),
        "range" => range(call),
        "min" => extreme(call, Ordering::Less),
        "max" => extreme(call, Ordering::Greater),
        "contains" => contains(call),
        "empty" => empty(call),
        "length" => length(call),
        "first" | "last" => end(call, name == "first"),
        "skip" | "take" => part(call, name == "take"),
        "indexof" | "lastindexof" => index_of(call, name == "lastindexof"),
        "items" => items(call),
        "objectkeys" => {
            let object = object(call, 0)?;
            call.list(
                object
                    .entries
                    .iter()
                    .map(|(key, _)| Value::text(key.clone(), call.at))
                    .collect(),
            )
        }
        "tryget" => try_get(call),
        _ => from_end(call, name),
    }
}

fn object<'a>(call: &Call<'a>, index: usize) -> Result<&'a Object, Fail> {
    let object = call.arguments.get(index).and_then(Value::as_object);
    object.map_or_else(|| bad("takes an object"), Ok)
}

fn array(call: &Call<'_>) -> Made {
    let [value] = call.exactly()?;
    match &value.kind {
        Kind::List(_) | Kind::Unknown(_) => Ok(value.clone()),
        _ => call.list(vec![value.clone()]),
    }
}

fn create_object(call: &Call<'_>) -> Made {
    let mut entries: Vec<(Arc<str>, Value)> = Vec::with_capacity(call.arguments.len() / 2);
    for pair in call.arguments.chunks(2) {
        let [key, value] = pair else {
            return bad("takes pairs of name and value");
        };
        match (&key.kind, key.doubt()) {
            (_, Some(doubt)) => return Ok(Value::in_doubt(doubt, call.at)),
            (Kind::Text(key), None) => put(call, &mut entries, &key.text, value)?,
            _ => return bad("a name is no text"),
        }
    }
    call.object(entries)
}

/// Puts a member in place of one of the same name, or behind all.
fn put(call: &Call<'_>, entries: &mut Vec<(Arc<str>, Value)>, key: &Arc<str>, value: &Value) -> Result<(), Fail> {
    match call.budget.place_of(entries, key, call.at)? {
        Some(place) => entries[place].1 = value.clone(),
        None => entries.push((key.clone(), value.clone())),
    }
    Ok(())
}

/// Lists one behind the other, or texts.
fn concat(call: &Call<'_>) -> Made {
    let lists = call.arguments.iter().map(Value::as_list);
    if let Some(lists) = lists.collect::<Option<Vec<_>>>().filter(|lists| !lists.is_empty()) {
        let size: usize = lists.iter().map(|list| list.len()).sum();
        call.budget.steps(size, call.at)?;
        return call.list_from(lists.concat(), call.arguments);
    }
    let mut out = Joined::default();
    for argument in call.arguments {
        match &argument.kind {
            Kind::Text(text) => {
                call.budget.text(text.cost(), call.at)?;
                out.push(text);
            }
            Kind::Int(number) => out.push_str(&number.to_string()),
            Kind::Bool(yes) => out.push_str(if *yes { "True" } else { "False" }),
            _ => return bad(format!("{} among what is joined", argument.type_name())),
        }
    }
    call.joined(out)
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
    let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
    for (key, value) in objects.iter().flat_map(|object| &object.entries) {
        let old = call.budget.place_of(&entries, key, call.at)?;
        let old = old.map(|place| &entries[place].1.kind);
        let merged = match (old, &value.kind) {
            (Some(Kind::Object(old)), Kind::Object(new)) if deep => merge(call, &[old, new], deep)?,
            (Some(Kind::Unknown(old)), Kind::Object(_)) if deep => Value::in_doubt(old, call.at),
            _ => value.clone(),
        };
        put(call, &mut entries, key, &merged)?;
    }
    call.object(entries)
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
fn known(found: Option<bool>) -> Result<bool, Fail> {
    found.map_or_else(|| bad("a value that is not known is compared"), Ok)
}

/// Whether a list holds a value; `None` if Azure alone knows.
fn holds(call: &Call<'_>, items: &[Value], value: &Value) -> Result<Option<bool>, Fail> {
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

fn flatten(call: &Call<'_>) -> Made {
    let [list] = call.exactly()?;
    let lists = call.items(list)?;
    let mut items = Vec::new();
    for list in lists {
        let Some(inner) = list.as_list() else {
            return bad("takes a list of lists");
        };
        call.budget.steps(inner.len(), call.at)?;
        items.extend_from_slice(inner);
    }
    call.list_from(items, lists)
}

/// At most 10,000 numbers, as in Azure.
fn range(call: &Call<'_>) -> Made {
    let (start, count) = (call.int(0)?, call.int(1)?);
    if !(0..=10_000).contains(&count) || start.checked_add(count).is_none() {
        return bad("takes a start and a count of at most 10000");
    }
    let numbers = start..start + count;
    call.list(numbers.map(|number| Value::new(Kind::Int(number), call.at)).collect())
}

fn extreme(call: &Call<'_>, wanted: Ordering) -> Made {
    let numbers = match call.arguments {
        [one] => one.as_list().unwrap_or(call.arguments),
        many => many,
    };
    let mut best: Option<i64> = None;
    for value in numbers {
        match value.kind {
            Kind::Int(number) if best.is_none_or(|best| number.cmp(&best) == wanted) => best = Some(number),
            Kind::Int(_) => {}
            _ => return bad("takes whole numbers"),
        }
    }
    best.map_or_else(|| bad("takes whole numbers"), |best| call.number(best))
}

fn contains(call: &Call<'_>) -> Made {
    let [container, item] = call.exactly()?;
    match &container.kind {
        // One that is certainly there is there however many there are.
        Kind::List(list) => match holds(call, &list.items, item)? {
            Some(false) => call.items(container).and_then(|_| call.yes(false)),
            found => call.yes(known(found)?),
        },
        Kind::Object(object) => {
            let there = call.budget.member(object, call.str(1)?, call.at)?.is_some();
            call.yes(there)
        }
        Kind::Text(text) => call.yes(text.text.contains(call.str(1)?)),
        _ => bad("takes a list, an object or a text"),
    }
}

fn empty(call: &Call<'_>) -> Made {
    let [value] = call.exactly()?;
    match &value.kind {
        Kind::List(_) => call.yes(call.items(value)?.is_empty()),
        Kind::Object(object) => call.yes(object.entries.is_empty()),
        Kind::Text(text) => call.yes(text.text.is_empty()),
        Kind::Null => call.yes(true),
        _ => bad("takes a list, an object or a text"),
    }
}

fn length(call: &Call<'_>) -> Made {
    let [value] = call.exactly()?;
    let length = match &value.kind {
        Kind::List(_) => call.items(value)?.len(),
        Kind::Object(object) => object.entries.len(),
        Kind::Text(text) => text.text.chars().count(),
        _ => return bad("takes a list, an object or a text"),
    };
    call.number(i64::try_from(length).unwrap_or(i64::MAX))
}

fn end(call: &Call<'_>, first: bool) -> Made {
    let [value] = call.exactly()?;
    match &value.kind {
        Kind::List(list) => {
            let index = if first {
                Some(0)
            } else {
                list.items.len().checked_sub(1)
            };
            Ok(match element(call.budget, list, index, call.at)? {
                Member::Is(item) => item,
                Member::None => Value::null(call.at),
                Member::Unknown(doubt) => Value::in_doubt(&doubt, call.at),
            })
        }
        Kind::Text(text) => {
            let mut chars = text.text.chars();
            let one = if first { chars.next() } else { chars.next_back() };
            call.text(one.map_or_else(String::new, String::from))
        }
        _ => bad("takes a list or a text"),
    }
}

fn part(call: &Call<'_>, take: bool) -> Made {
    let count = call.size(1)?;
    match call.arguments.first().map(|value| &value.kind) {
        Some(Kind::List(_)) => {
            let items = call.items(&call.arguments[0])?;
            let (front, back) = items.split_at(count.min(items.len()));
            call.list(if take { front } else { back }.to_vec())
        }
        Some(Kind::Text(text)) => {
            let chars = text.text.chars();
            call.text(if take {
                chars.take(count).collect()
            } else {
                chars.skip(count).collect()
            })
        }
        _ => bad("takes a list or a text, and a number"),
    }
}

/// Of a text without regard to case, in characters; -1 if it is not there.
fn index_of(call: &Call<'_>, last: bool) -> Made {
    let [container, item] = call.exactly()?;
    let found = match &container.kind {
        Kind::List(list) => {
            let mut found = None;
            for (index, one) in list.items.iter().enumerate() {
                match same(call.budget, one, item, call.at)? {
                    Some(true) if last || found.is_none() => found = Some(index),
                    Some(_) => {}
                    None => return Ok(Value::unknown("a list with what is not known is searched", call.at)),
                }
            }
            found
        }
        Kind::Text(text) => {
            let (text, wanted) = (text.text.to_lowercase(), call.str(1)?.to_lowercase());
            let byte = if last { text.rfind(&wanted) } else { text.find(&wanted) };
            byte.map(|byte| text[..byte].chars().count())
        }
        _ => return bad("takes a list or a text"),
    };
    call.number(found.map_or(-1, |index| i64::try_from(index).unwrap_or(i64::MAX)))
}

/// Members as a list of `{ key, value }`, in the order of the keys: unknown where Azure's may be another.
fn items(call: &Call<'_>) -> Made {
    let mut entries: Vec<_> = object(call, 0)?.entries.iter().collect();
    // Sorting compares names byte by byte.
    let bytes: usize = entries.iter().map(|(key, _)| key.len()).sum();
    call.budget.steps(bytes / 16, call.at)?;
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let in_order = |(one, other): (&str, &str)| order(one, other) == Some(Ordering::Less);
    let pairs = entries.iter().zip(entries.iter().skip(1));
    if !pairs.map(|(one, other)| (&*one.0, &*other.0)).all(in_order) {
        return bad("in which order Azure puts such names is not known");
    }
    let mut items = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let key = Value::text(key.clone(), call.at);
        items.push(call.object(vec![("key".into(), key), ("value".into(), value.clone())])?);
    }
    call.list(items)
}

/// A member of a member of.., or null.
fn try_get(call: &Call<'_>) -> Made {
    let Some((of, keys)) = call.arguments.split_first() else {
        return bad("takes an object or a list, and a key");
    };
    let mut value = of.clone();
    for key in keys {
        // Whether there is such a position is not known either.
        if let Some(doubt) = value.uncertain() {
            return Ok(Value::in_doubt(doubt, call.at));
        }
        value = match (member(call.budget, &value, key, call.at)?, &value.kind) {
            (Member::Is(value), _) => value,
            (Member::None, Kind::Object(_) | Kind::List(_) | Kind::Null) => return Ok(Value::null(call.at)),
            (Member::None, _) => return bad("takes an object or a list"),
            (Member::Unknown(unknown), _) => return Ok(Value::in_doubt(&unknown, call.at)),
        };
    }
    Ok(value)
}

/// `indexFromEnd(list, 1)` is the last.
fn from_end(call: &Call<'_>, name: &str) -> Made {
    let Some(list) = call.arguments.first() else {
        return bad("takes a list");
    };
    let list = call.items(list)?;
    let item = list.len().checked_sub(call.size(1)?).and_then(|index| list.get(index));
    match item {
        Some(item) => Ok(item.clone()),
        None if name == "tryindexfromend" => Ok(Value::null(call.at)),
        None => bad("beyond the start of the list"),
    }
}
