//! Reading the fields of a rule: lists of texts that may hold what is not known, numbers as texts, names of any case.

use super::draft::Draft;
use crate::{
    import::{
        ids::MAX_ID_BYTES,
        json::shown,
        model::Origin,
        value::{Kind, Value},
    },
    printable::printable,
};
use std::sync::Arc;

/// Longest entry of a list of names, addresses or ports, in bytes: a name has at most 253, and of a few long texts a template
/// makes a great many entries.
const MAX_ENTRY_BYTES: usize = 1024;

/// A member of a resource, under `properties` or, in flattened output, beside its name.
pub(super) fn property<'v>(body: &'v Value, key: &str) -> Option<&'v Value> {
    body.get("properties")
        .and_then(|properties| properties.get(key))
        .or_else(|| body.get(key))
}

/// A member as [`property`] finds it, with its place in a resource that stands `at`, in the letters of the file: names in paths are
/// compared as they are written (RFC 9535, section 2.3.1).
pub(super) fn located<'v>(body: &'v Value, key: &str, at: &Origin) -> Option<(Origin, &'v Value)> {
    let inner = entry(body, "properties");
    let inside = inner.and_then(|(name, inner)| Some((at.path.member(name), entry(inner, key)?)));
    let (path, (name, value)) = match inside {
        Some(inside) => inside,
        None => (at.path.clone(), entry(body, key)?),
    };
    let (path, at) = (path.member(name), value.at);
    Some((Origin { path, at }, value))
}

/// A member that is not null, with its name as it is written.
pub(super) fn entry<'v>(value: &'v Value, key: &str) -> Option<(&'v Arc<str>, &'v Value)> {
    let (name, value) = value.as_object()?.entry(key)?;
    (!matches!(value.kind, Kind::Null)).then_some((name, value))
}

/// The text of a value, stand-ins included: for names, which Azure makes of letters, digits and `_.-`. None may steer a
/// terminal or forge a line.
pub(super) fn name_of(value: Option<&Value>, otherwise: &str) -> String {
    let text = value.and_then(Value::as_str).map(str::trim);
    match text.filter(|text| !text.is_empty()) {
        Some(text) if text.len() > MAX_ID_BYTES => printable(&shown(text)),
        text => printable(text.unwrap_or(otherwise)),
    }
}

/// Texts of a list that are known; the rest is noted as missing. `None`: the list is absent. One that is written and null has
/// no texts, as `[]` has none: what names nobody is not what names everybody.
pub(super) fn texts<'v>(rule: &'v Value, key: &str, draft: &mut Draft) -> Option<Vec<&'v Value>> {
    let value = rule.written(key)?;
    let items = match &value.kind {
        Kind::Null => return Some(Vec::new()),
        Kind::List(list) => list.items.iter().collect(),
        // ConvertTo-Json and hand-written files have a list of one as a bare text.
        Kind::Text(text) if text.stands_for.is_none() && !cut_off(&text.text) => vec![value],
        Kind::Unknown(unknown) => {
            draft.missing(format!("`{key}` is not known: {}", unknown.why));
            return Some(Vec::new());
        }
        Kind::Text(text) if cut_off(&text.text) => {
            draft.missing(format!("`{key}` was cut off by ConvertTo-Json: give it `-Depth 100`"));
            return Some(Vec::new());
        }
        _ => {
            let doubt = value.doubt().map_or("it is no list", |doubt| &doubt.why);
            draft.missing(format!("`{key}` cannot be read: {doubt}"));
            return Some(Vec::new());
        }
    };
    let known = items.into_iter().filter(|item| known(item, key, draft));
    Some(known.collect())
}

fn known(item: &Value, key: &str, draft: &mut Draft) -> bool {
    if let Some(doubt) = item.doubt() {
        draft.missing(format!("an entry of `{key}` is not known: {}", doubt.why));
        return false;
    }
    match &item.kind {
        Kind::Text(text) if text.text.trim().is_empty() => {
            draft.missing(format!("an entry of `{key}` is empty"));
            false
        }
        Kind::Null => {
            draft.missing(format!("an entry of `{key}` is null"));
            false
        }
        _ => true,
    }
}

/// Entries of a list that `read` understands; the others are noted.
pub(super) fn list<T>(
    rule: &Value,
    key: &str,
    draft: &mut Draft,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let items = texts(rule, key, draft)?;
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let number;
        let text = match &item.kind {
            Kind::Text(text) if text.text.len() > MAX_ENTRY_BYTES => {
                draft.missing(format!("an entry of `{key}` is longer than {MAX_ENTRY_BYTES} bytes"));
                continue;
            }
            Kind::Text(text) => text.text.trim(),
            Kind::Int(written) => {
                number = written.to_string();
                &number
            }
            _ => {
                draft.missing(format!("an entry of `{key}` is {}", item.type_name()));
                continue;
            }
        };
        match read(text) {
            Ok(value) => found.push(value),
            Err(fault) => draft.missing(format!("`{}` in `{key}`: {fault}", shown(text))),
        }
    }
    Some(found)
}

/// Whether a field says something: not null, not empty, not false.
pub(super) fn says_something(value: &Value) -> bool {
    match &value.kind {
        Kind::Null | Kind::Bool(false) => false,
        Kind::Text(text) => !text.text.is_empty(),
        Kind::List(list) => !list.items.is_empty(),
        Kind::Object(object) => !object.entries.is_empty(),
        _ => true,
    }
}

/// Fields of a rule that nobody here knows and that say something: they may narrow what the rule matches.
pub(super) fn unknown_fields(rule: &Value, known: &[&str], draft: &mut Draft) {
    for (name, value) in rule.as_object().map_or(&[][..], |object| &object.entries) {
        let is_known = known.iter().any(|one| name.eq_ignore_ascii_case(one));
        if !is_known && !is_text_of(name, value, known) && says_something(value) {
            draft.void(format!("`{}` is no field that egret knows of such a rule", shown(name)));
        }
    }
}

/// Windows PowerShell prints what these fields hold once more as text, under the field's name and `Text`. A text in brackets was
/// read as an expression, whatever came of it.
pub(super) fn is_text_of(name: &str, value: &Value, fields: &[&str]) -> bool {
    let field = name
        .len()
        .checked_sub("text".len())
        .and_then(|end| name.split_at_checked(end));
    let field = field.filter(|(_, end)| end.eq_ignore_ascii_case("text"));
    let is_one = field.is_some_and(|(field, _)| fields.iter().any(|one| field.eq_ignore_ascii_case(one)));
    is_one && !matches!(value.kind, Kind::List(_) | Kind::Object(_))
}

/// What ConvertTo-Json prints in place of what is nested too deep.
pub(super) fn cut_off(text: &str) -> bool {
    text.starts_with("System.Collections") || text.starts_with("@{") || text.starts_with("Microsoft.Azure.Commands")
}
