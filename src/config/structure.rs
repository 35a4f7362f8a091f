//! The written document against the schema: unknown keys, wrong types, values out of range, missing keys, all of them.
//!
//! serde stops at the first thing it does not like. So this pass looks at everything first, reports it, and takes what was
//! wrong out of the document; the rest then deserialises, and the passes after this one can report theirs in the same run.

use super::{
    at::Span,
    nearest::nearest,
    problem::{Finding, Report},
};
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeArray, DeInteger, DeTable, DeValue},
};

/// Keys that Azure Firewall has and egret does not yet: said so, where a bare "unknown key" would send people looking for a typo.
const LATER: [(&str, &str); 9] = [
    (
        "destination_urls",
        "URL rules need TLS inspection, which egret does not have yet",
    ),
    ("terminate_tls", "TLS inspection is not offered yet"),
    ("http_headers", "header insertion is not offered yet"),
    ("web_categories", "web categories are not offered"),
    ("translated_fqdn", "write `translated_address`: it takes a name as well"),
    ("threat_intelligence_mode", "threat intelligence is not offered yet"),
    ("intrusion_detection", "intrusion detection is not offered"),
    ("tls_certificate", "TLS inspection is not offered yet"),
    (
        "base_policy_id",
        "parent policies come with the import of Azure policies",
    ),
];

/// Holds `document` against `schema`; what is wrong goes to `report` and out of the document.
pub fn check(document: &mut Spanned<DeTable<'_>>, schema: &Value, report: &mut Report) {
    let span = document.span().into();
    table(document.get_mut(), span, schema, report);
}

/// Whether a value stays in the document.
#[derive(PartialEq)]
enum Fate {
    Kept,
    TakenOut,
}

fn table(table: &mut DeTable<'_>, span: Span, schema: &Value, report: &mut Report) {
    let missing = list(schema, "required")
        .filter(|key| !table.contains_key(*key))
        .collect::<Vec<_>>();
    for key in missing {
        report.add(
            Finding::error(span, format!("key `{key}` is missing")).expected(describe(&schema["properties"][key])),
        );
    }
    let mut taken_out = Vec::new();
    for (key, entry) in table.iter_mut() {
        let name = key.get_ref().as_ref();
        let any = schema.get("additionalProperties").filter(|any| any.is_object());
        let known = schema["properties"].get(name).or(any);
        let fate = match known {
            Some(entry_schema) => value(entry, entry_schema, report),
            None => {
                report.add(unknown_key(name, key.span().into(), schema));
                Fate::TakenOut
            }
        };
        if fate == Fate::TakenOut {
            taken_out.push(name.to_owned());
        }
    }
    for name in taken_out {
        table.remove(name.as_str());
    }
}

fn unknown_key(name: &str, span: Span, schema: &Value) -> Finding {
    let finding = Finding::error(span, format!("unknown key `{name}`"));
    if let Some((_, why)) = LATER.iter().find(|(key, _)| *key == name) {
        return finding.hint(*why);
    }
    let known: Vec<&str> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => finding.expected(format!("`{near}`")),
        None => finding.expected(format!("one of {}", quoted(&known))),
    }
}

fn value(value: &mut Spanned<DeValue<'_>>, schema: &Value, report: &mut Report) -> Fate {
    let span: Span = value.span().into();
    match (value.get_mut(), schema["type"].as_str()) {
        (DeValue::Table(inner), Some("object")) => {
            table(inner, span, schema, report);
            Fate::Kept
        }
        (DeValue::Array(inner), Some("array")) => {
            array(inner, &schema["items"], report);
            Fate::Kept
        }
        // An empty list in its place keeps "no such group" from being said of a group that is only badly written.
        (other, Some("array")) => {
            report.add(wrong_type(other, span, schema));
            *other = DeValue::Array(DeArray::new());
            Fate::Kept
        }
        (DeValue::Boolean(_), Some("boolean")) => Fate::Kept,
        (DeValue::Integer(integer), Some("integer")) => whole_number(integer, span, schema, report),
        (DeValue::String(text), _) if is_choice(schema) => choice(text, span, schema, report),
        (DeValue::String(text), Some("string")) => {
            length(text, span, schema, report);
            Fate::Kept
        }
        (other, _) => {
            report.add(wrong_type(other, span, schema));
            Fate::TakenOut
        }
    }
}

fn array(array: &mut DeArray<'_>, items: &Value, report: &mut Report) {
    let fates: Vec<Fate> = array.iter_mut().map(|item| value(item, items, report)).collect();
    if fates.contains(&Fate::TakenOut) {
        let whole = std::mem::replace(array, DeArray::new());
        *array = whole
            .into_iter()
            .zip(fates)
            .filter(|(_, fate)| *fate == Fate::Kept)
            .map(|(item, _)| item)
            .collect();
    }
}

fn whole_number(integer: &DeInteger<'_>, span: Span, schema: &Value, report: &mut Report) -> Fate {
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
    let above = |key: &str, number: i64| schema[key].as_i64().is_none_or(|least| number >= least);
    let below = |key: &str, number: i64| schema[key].as_i64().is_none_or(|most| number <= most);
    match number {
        Some(number) if above("minimum", number) && below("maximum", number) => Fate::Kept,
        _ => {
            report.add(Finding::error(span, format!("{integer} is out of range")).expected(describe(schema)));
            Fate::TakenOut
        }
    }
}

fn length(text: &str, span: Span, schema: &Value, report: &mut Report) {
    let characters = text.chars().count() as u64;
    let least = schema["minLength"].as_u64().unwrap_or(0);
    let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    if characters < least {
        report.add(Finding::error(span, "empty text").expected(describe(schema)));
    } else if characters > most {
        report.add(Finding::error(span, format!("{characters} characters")).expected(describe(schema)));
    }
}

/// A text out of a closed set.
fn choice(text: &str, span: Span, schema: &Value, report: &mut Report) -> Fate {
    let values = choices(schema);
    if values.contains(&text) {
        return Fate::Kept;
    }
    let finding = Finding::error(span, format!("`{text}` is not one of the values"));
    report.add(match nearest(text, values.iter().copied()) {
        Some(near) => finding.expected(format!("`{near}`")),
        None => finding.expected(format!("one of {}", quoted(&values))),
    });
    Fate::TakenOut
}

fn wrong_type(value: &DeValue<'_>, span: Span, schema: &Value) -> Finding {
    Finding::error(
        span,
        format!("{} where {} belongs", article(value.type_str()), describe(schema)),
    )
}

/// `type`s of TOML with their article.
fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'i']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// What the schema asks for, in words.
fn describe(schema: &Value) -> String {
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

fn is_choice(schema: &Value) -> bool {
    schema.get("enum").is_some() || schema.get("oneOf").is_some()
}

/// Values of a closed set: `enum` where none of them is described, `oneOf` where they are.
fn choices(schema: &Value) -> Vec<&str> {
    let described = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|form| form["const"].as_str());
    list(schema, "enum").chain(described).collect()
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    schema[key].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn quoted(values: &[&str]) -> String {
    values
        .iter()
        .map(|value| format!("`{value}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
