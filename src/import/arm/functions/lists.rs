//! Array and object functions, and those that take arrays, objects and texts alike.

use super::{
    Call, Fail, Made, bad,
    numbers::order,
    same,
    sets::{holds, known},
};
use crate::import::{
    arm::{
        eval::{Member, element, member},
        made::Members,
    },
    text::Joined,
    value::{Kind, Object, Value},
};
use std::{cmp::Ordering, sync::Arc};

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "createarray" => call.list(call.arguments.iter().cloned()),
        "array" => array(call),
        "createobject" => create_object(call),
        "concat" => concat(call),
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
            call.list(object.entries.iter().map(|(key, _)| Value::text(key.clone(), call.at)))
        }
        "tryget" => try_get(call),
        _ => from_end(call, name),
    }
}

pub(super) fn object<'a>(call: &Call<'a>, index: usize) -> Result<&'a Object, Fail> {
    let object = call.arguments.get(index).and_then(Value::as_object);
    object.map_or_else(|| bad("takes an object"), Ok)
}

fn array(call: &Call<'_>) -> Made {
    let [value] = call.exactly()?;
    match &value.kind {
        Kind::List(_) | Kind::Unknown(_) => Ok(value.clone()),
        _ => call.list([value.clone()]),
    }
}

fn create_object(call: &Call<'_>) -> Made {
    let mut members = Members::new();
    for pair in call.arguments.chunks(2) {
        let [key, value] = pair else {
            return bad("takes pairs of name and value");
        };
        match (&key.kind, key.doubt()) {
            (_, Some(doubt)) => return Ok(Value::in_doubt(doubt, call.at)),
            (Kind::Text(key), None) => members.put(call.budget, &key.text, value.clone(), call.at)?,
            _ => return bad("a name is no text"),
        }
    }
    call.object(members.entries)
}

/// Lists one behind the other, or texts.
fn concat(call: &Call<'_>) -> Made {
    let lists = call.arguments.iter().map(Value::as_list);
    if let Some(lists) = lists.collect::<Option<Vec<_>>>().filter(|lists| !lists.is_empty()) {
        return call.list_from(lists.into_iter().flatten().cloned(), call.arguments);
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

fn flatten(call: &Call<'_>) -> Made {
    let [list] = call.exactly()?;
    let lists = call.items(list)?;
    match lists.iter().map(Value::as_list).collect::<Option<Vec<_>>>() {
        Some(inner) => call.list_from(inner.into_iter().flatten().cloned(), lists),
        None => bad("takes a list of lists"),
    }
}

/// At most 10,000 numbers, as in Azure.
fn range(call: &Call<'_>) -> Made {
    let (start, count) = (call.int(0)?, call.int(1)?);
    if !(0..=10_000).contains(&count) || start.checked_add(count).is_none() {
        return bad("takes a start and a count of at most 10000");
    }
    let numbers = start..start + count;
    call.list(numbers.map(|number| Value::new(Kind::Int(number), call.at)))
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
        Kind::Text(text) => {
            let wanted = call.str(1)?;
            match text.known_pieces().any(|piece| piece.contains(wanted)) {
                true => call.yes(true),
                false => call.yes(call.str(0)?.contains(wanted)),
            }
        }
        _ => bad("takes a list, an object or a text"),
    }
}

fn empty(call: &Call<'_>) -> Made {
    let [value] = call.exactly()?;
    match &value.kind {
        Kind::List(_) => call.yes(call.items(value)?.is_empty()),
        Kind::Object(object) => call.yes(object.entries.is_empty()),
        Kind::Text(text) if text.is_something() => call.yes(false),
        Kind::Text(_) => call.yes(call.str(0)?.is_empty()),
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
            call.list(if take { front } else { back }.iter().cloned())
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
    let object = object(call, 0)?;
    // Sorting compares names byte by byte.
    let bytes: usize = object.entries.iter().map(|(key, _)| key.len()).sum();
    call.budget.steps(object.entries.len() + bytes / 16, call.at)?;
    let mut entries: Vec<_> = object.entries.iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let in_order = |(one, other): (&str, &str)| order(one, other) == Some(Ordering::Less);
    let pairs = entries.iter().zip(entries.iter().skip(1));
    if !pairs.map(|(one, other)| (&*one.0, &*other.0)).all(in_order) {
        return bad("in which order Azure puts such names is not known");
    }
    let pair = |(key, value): &(Arc<str>, Value)| {
        let key = Value::text(key.clone(), call.at);
        call.object([("key".into(), key), ("value".into(), value.clone())])
    };
    call.budget.list(entries.into_iter().map(pair), call.at)
}

/// A member of a member of.., or null.
fn try_get(call: &Call<'_>) -> Made {
    let Some((of, keys)) = call.arguments.split_first() else {
        return bad("takes an object or a list, and a key");
    };
    let mut value = of.clone();
    for key in keys {
        // Whether there is such a position is not known either.
        if let Some(doubt) = value.as_list().and(value.uncertain()) {
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
