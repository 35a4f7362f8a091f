//! String functions.

use super::{Call, Knows, Made, bad};
use crate::import::{
    budget::Exhausted,
    json::shown,
    text::{Case, Joined, Text},
    value::{Kind, Value},
};

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "tolower" => in_case(call, call.str(0)?.to_lowercase(), Case::Lower),
        "toupper" => in_case(call, call.str(0)?.to_uppercase(), Case::Upper),
        "trim" => call.text(call.str(0)?.trim().to_owned()),
        // Both compare without regard to case.
        "startswith" => call.yes(call.str(0)?.to_lowercase().starts_with(&call.str(1)?.to_lowercase())),
        "endswith" => call.yes(call.str(0)?.to_lowercase().ends_with(&call.str(1)?.to_lowercase())),
        "format" => format(call),
        "join" => join(call),
        "padleft" => pad_left(call),
        "replace" => replace(call),
        "split" => split(call),
        "substring" => substring(call),
        "uri" => uri(call),
        "uricomponent" => component(call),
        _ => component_to_string(call),
    }
}

/// For a name it is the same in any case.
fn in_case(call: &Call<'_>, made: String, case: Case) -> Made {
    call.budget.text(made.len(), call.at)?;
    let same = match call.arguments.first().map(|value| &value.kind) {
        Some(Kind::Text(text)) => text.in_case(made.clone(), case),
        _ => None,
    };
    let text = same.unwrap_or_else(|| Text::known(made));
    Ok(Value::new(Kind::Text(text), call.at))
}

/// `format('{0}-{1}', a, b)`; `{{` and `}}` stand for braces. A format after a colon (`{0:N0}`) is beyond this.
fn format(call: &Call<'_>) -> Made {
    let mut rest = call.str(0)?;
    let is_known = call.arguments[0].doubt().is_none();
    let mut out = Joined::default();
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if rest.starts_with(brace) {
            out.push_str(brace);
            rest = &rest[1..];
            continue;
        }
        let Some((index, after)) = rest.split_once('}').filter(|_| brace == "{") else {
            return bad("a brace that has no partner");
        };
        let argument = index
            .parse::<usize>()
            .ok()
            .and_then(|index| call.arguments.get(index + 1));
        let Some(argument) = argument else {
            return bad(format!("no argument for `{{{}}}`", shown(index)));
        };
        match &argument.kind {
            Kind::Text(text) => {
                call.budget.text(text.cost(), call.at)?;
                out.push(text);
            }
            _ => {
                let text = plain(call, argument)?;
                call.budget.text(text.len(), call.at)?;
                // A list or an object with something in doubt is written out as a whole that is.
                match argument.doubt() {
                    Some(doubt) => out.push_unknown(&text, doubt.of_another()),
                    None => out.push_str(&text),
                }
            }
        }
        rest = after;
    }
    out.push_str(rest);
    match is_known {
        true => call.joined(out),
        false => call.text(out.finish().text.to_string()),
    }
}

/// A value inside a text: `True`, as .NET writes it, not `true`.
fn plain(call: &Call<'_>, value: &Value) -> Result<String, super::Fail> {
    match &value.kind {
        Kind::Text(text) => Ok(text.text.to_string()),
        Kind::Int(number) => Ok(number.to_string()),
        Kind::Float(number) => Ok(number.to_string()),
        Kind::Bool(true) => Ok("True".into()),
        Kind::Bool(false) => Ok("False".into()),
        Kind::Null => Ok(String::new()),
        _ => super::convert::written(call, value),
    }
}

fn join(call: &Call<'_>) -> Made {
    let [list, delimiter] = call.exactly()?;
    let (Some(items), Some(delimiter)) = (list.as_list(), delimiter.as_str()) else {
        return bad("takes a list and a delimiter");
    };
    call.budget.steps(items.len(), call.at)?;
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let text = plain(call, item)?;
        call.budget.text(text.len() + delimiter.len(), call.at)?;
        if index > 0 {
            out.push_str(delimiter);
        }
        out.push_str(&text);
    }
    call.text(out)
}

fn pad_left(call: &Call<'_>) -> Made {
    let text = match &call.arguments.first().map(|value| &value.kind) {
        Some(Kind::Int(number)) => number.to_string(),
        _ => call.str(0)?.to_owned(),
    };
    let width = call.size(1)?;
    let fill = match call.arguments.get(2) {
        None => ' ',
        Some(_) => match call.str(2)?.chars().next() {
            Some(fill) => fill,
            None => return bad("a character to fill with belongs there"),
        },
    };
    let missing = width.saturating_sub(text.chars().count());
    call.budget.text(missing.saturating_mul(fill.len_utf8()), call.at)?;
    let mut out: String = std::iter::repeat_n(fill, missing).collect();
    out.push_str(&text);
    call.text(out)
}

fn replace(call: &Call<'_>) -> Made {
    let (text, old, new) = (call.str(0)?, call.str(1)?, call.str(2)?);
    if old.is_empty() {
        return bad("nothing to replace");
    }
    call.budget.steps(text.len() / 64, call.at)?;
    let hits = text.matches(old).count();
    call.budget.text(hits.saturating_mul(new.len()), call.at)?;
    call.text(text.replace(old, new))
}

/// Whether all parts that `split` makes of these are where they are whatever is not known: those of an id, by its slashes.
pub(super) fn has_known_parts(arguments: &[Value]) -> bool {
    let [text, delimiter] = arguments else { return false };
    match &text.kind {
        Kind::Text(text) => delimiter.known_str() == Some("/") && text.is_slashless(),
        _ => false,
    }
}

/// By one delimiter or a list of them.
fn split(call: &Call<'_>) -> Made {
    if let Some(Kind::Text(text)) = call.arguments.first().map(|value| &value.kind)
        && call.knows == Knows::Parts
    {
        call.budget.text(text.cost(), call.at)?;
        call.budget.steps(text.text.matches('/').count(), call.at)?;
        let parts = text.between_slashes().into_iter();
        return call.list(parts.map(|part| Value::new(Kind::Text(part), call.at)));
    }
    let text = call.str(0)?;
    let delimiters: Vec<&str> = match call.arguments.get(1).map(|value| &value.kind) {
        Some(Kind::Text(delimiter)) => vec![&delimiter.text],
        Some(Kind::List(list)) => list.items.iter().filter_map(Value::as_str).collect(),
        _ => return bad("takes a text and a delimiter"),
    };
    call.budget.text(text.len(), call.at)?;
    // A look reads the delimiter, and the text as far as it is found.
    let next = |one: &&str, from: usize| -> Result<Option<usize>, Exhausted> {
        if one.is_empty() {
            return Ok(None);
        }
        let found = text[from..].find(*one);
        let read = one.len() + found.unwrap_or(text.len() - from);
        call.budget.steps(1 + read / 64, call.at)?;
        Ok(found.map(|found| from + found))
    };
    call.budget.steps(delimiters.len(), call.at)?;
    let mut found = delimiters
        .iter()
        .map(|one| next(one, 0))
        .collect::<Result<Vec<Option<usize>>, Exhausted>>()?;
    let (mut items, mut start) = (Vec::new(), 0);
    // Of those that begin at one place the first of the list counts.
    while let Some((at, first)) = found
        .iter()
        .zip(0..)
        .filter_map(|(at, index)| Some(((*at)?, index)))
        .min()
    {
        call.budget.steps(1 + delimiters.len() / 8, call.at)?;
        items.push(Value::text(&text[start..at], call.at));
        start = at + delimiters[first].len();
        for (at, one) in found.iter_mut().zip(&delimiters) {
            if at.is_some_and(|at| at < start) {
                *at = next(one, start)?;
            }
        }
    }
    items.push(Value::text(&text[start..], call.at));
    call.list(items)
}

fn substring(call: &Call<'_>) -> Made {
    let (text, start) = (call.str(0)?, call.int(1)?);
    let count = text.chars().count();
    let length = match call.arguments.get(2) {
        None => None,
        Some(_) => Some(call.int(2)?),
    };
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let length = length.map_or(count.saturating_sub(start), |length| {
        usize::try_from(length).unwrap_or(usize::MAX)
    });
    if start.saturating_add(length) > count {
        return bad("beyond the end of the text");
    }
    call.text(text.chars().skip(start).take(length).collect())
}

/// `uri(base, relative)`: the base up to its last slash, then the other, with one slash between. Of a base without a path the
/// documentation says that nothing comes between, and .NET puts a slash there; what begins or is written otherwise than as a
/// plain path .NET works out as a URI.
fn uri(call: &Call<'_>) -> Made {
    let (base, relative) = (call.str(0)?, call.str(1)?);
    let path = base.find("://").map_or(0, |scheme| scheme + 3);
    let plain = |text: &str| {
        let parts = text.split('/').all(|part| !matches!(part, "." | ".."));
        parts && !text.contains(['?', '#', '\\', ' ']) && !text.starts_with("//")
    };
    let Some(slash) = base[path..].rfind('/') else {
        return bad("what Azure makes of a base without a path is not known");
    };
    if path == 0 || !plain(&base[path..]) || !plain(relative) || relative.contains(':') {
        return bad("what Azure makes of these is not known");
    }
    let kept = &base[..=path + slash];
    call.text(format!("{kept}{}", relative.strip_prefix('/').unwrap_or(relative)))
}

/// RFC 3986 section 2.3: unreserved characters stay.
fn component(call: &Call<'_>) -> Made {
    let text = call.str(0)?;
    call.budget.text(text.len().saturating_mul(3), call.at)?;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    call.text(out)
}

fn hex(half: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(half)])
}

fn component_to_string(call: &Call<'_>) -> Made {
    let text = call.str(0)?.as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let hex = text.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte.filter(|_| text[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => call.text(text),
        Err(_) => bad("is not UTF-8"),
    }
}
