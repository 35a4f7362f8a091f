//! What the schema asks for and what stands there instead, in words; and what to write.

use super::{Finding, Span, keys};
use serde_json::Value;
use toml::de::DeValue;

/// A value of another type than belongs there.
pub(super) fn wrong_type(value: &DeValue<'_>, span: Span, schema: &Value) -> Finding {
    let found = format!("{} where {} belongs", article(value.type_str()), describe(schema));
    Finding::error(span, found).hint(remedy(value, schema))
}

/// `type`s of TOML with their article.
fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'i']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// How the value would be written; empty if that is not plain.
fn remedy(value: &DeValue<'_>, schema: &Value) -> String {
    let tables = schema["items"]["type"] == "object";
    match (value, schema["type"].as_str()) {
        (DeValue::String(text), Some("integer")) => match text.parse::<i64>() {
            Ok(number) => format!("without quotes: `{number}`"),
            Err(_) => "a number alone: its unit is in the name of the key".into(),
        },
        (DeValue::Table(_), Some("array")) if tables => {
            "a list of tables is written `[[name]]` with two brackets, or `[{ .. }]` on one line".into()
        }
        (DeValue::String(text), Some("array")) if !tables => format!("in brackets: `[\"{text}\"]`"),
        (DeValue::Integer(number), Some("array")) if !tables => format!("in brackets and quotes: `[\"{number}\"]`"),
        (DeValue::Integer(number), Some("string")) if !is_choice(schema) => format!("in quotes: `\"{number}\"`"),
        (DeValue::String(text), Some("boolean")) if matches!(&**text, "true" | "false") => {
            format!("without quotes: `{text}`")
        }
        (_, Some("object")) => table_form(schema),
        (_, Some("integer")) => "a number alone, without quotes and without a fraction".into(),
        (_, Some("boolean")) => "`true` or `false`, without quotes".into(),
        _ if is_choice(schema) => format!("one of them, in quotes: `\"{}\"`", choices(schema)[0]),
        _ => String::new(),
    }
}

/// An example of a table: the keys that must be there, or the first one.
fn table_form(schema: &Value) -> String {
    let required: Vec<&str> = list(schema, "required").collect();
    let shown = if required.is_empty() {
        keys(schema).take(1).collect()
    } else {
        required
    };
    match shown.is_empty() {
        true => "a table is written `name = { key = [\"value\"] }`, or as a section of its own".into(),
        false => format!("a table is written `{{ {} = .. }}`", shown.join(" = .., ")),
    }
}

/// What the schema asks for, in words.
pub(super) fn describe(schema: &Value) -> String {
    if is_choice(schema) {
        return format!("one of {}", quoted(&choices(schema)));
    }
    match schema["type"].as_str() {
        Some("integer") => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            _ => "a whole number".into(),
        },
        Some("string") => match schema["maxLength"].as_u64() {
            Some(most) => format!("a text of 1 to {most} characters"),
            None => "a text".into(),
        },
        Some("boolean") => "true or false".into(),
        Some("array") => match schema["items"]["type"].as_str() {
            Some("string") => "a list of texts".into(),
            Some("object") => "a list of tables".into(),
            _ => "a list".into(),
        },
        _ => "a table".into(),
    }
}

pub(super) fn is_choice(schema: &Value) -> bool {
    schema.get("enum").is_some() || schema.get("oneOf").is_some()
}

/// Values of a closed set: `enum` where none of them is described, `oneOf` where they are.
pub(super) fn choices(schema: &Value) -> Vec<&str> {
    let described = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|form| form["const"].as_str());
    list(schema, "enum").chain(described).collect()
}

pub(super) fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    schema[key].as_array().into_iter().flatten().filter_map(Value::as_str)
}

pub(super) fn quoted(values: &[&str]) -> String {
    values
        .iter()
        .map(|value| format!("`{value}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The tables of the whole file that have a key of this name, as they are written.
pub(super) fn homes(whole: &Value, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    visit(whole, "", false, name, &mut found);
    found
}

fn visit(schema: &Value, path: &str, in_list: bool, name: &str, found: &mut Vec<String>) {
    if keys(schema).any(|key| key == name) {
        found.push(match (path, in_list) {
            ("", _) => "the top level (before the first `[section]`)".into(),
            (path, true) => format!("`[[{path}]]`"),
            (path, false) => format!("`[{path}]`"),
        });
    }
    // A group holds the same collections as the top level: once is enough.
    if path == "rule_collection_group" || path == "parent_policy" {
        return;
    }
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        let list = value["type"] == "array";
        let inner = if list { &value["items"] } else { value };
        visit(inner, &format!("{path}{dot}{key}"), list, name, found);
    }
}
