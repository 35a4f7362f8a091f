//! The written document against the schema: unknown keys, wrong types, values out of range, missing keys, all of them.
//!
//! serde stops at the first thing it does not like. So this pass looks at everything first, reports it, and goes on with
//! what was meant where that is plain (a misspelt key, a text that should be a list of one); what is left of the wrong is
//! taken out of the document. The rest then deserialises, and the passes after this one report theirs in the same run, and
//! nothing that only follows from what is reported here.

mod words;

use super::{
    at::Span,
    nearest::nearest,
    problem::{Finding, Report},
};
use crate::printable::steers;
use serde_json::Value;
use std::borrow::Cow;
use toml::{
    Spanned,
    de::{DeArray, DeInteger, DeTable, DeValue},
};
use words::{choices, describe, homes, is_choice, list, quoted, wrong_type};

/// Keys that Azure Firewall has and egret does not yet: said so, where a bare "unknown key" would send people looking for a typo.
const LATER: [(&str, &str); 8] = [
    (
        "destination_urls",
        "URL rules need TLS inspection, which egret does not have yet",
    ),
    ("terminate_tls", "TLS inspection is not offered yet"),
    ("http_headers", "header insertion is not offered yet"),
    ("web_categories", "web categories are not offered"),
    ("threat_intelligence_mode", "write `[threat_intelligence]` with `mode`"),
    ("intrusion_detection", "intrusion detection is not offered"),
    ("tls_certificate", "TLS inspection is not offered yet"),
    ("base_policy_id", "write the parent's groups under `[[parent_policy]]`"),
];

/// What other Azure Firewall tools call a key of ours, in lower case without `_`: ARM and Terraform's classic firewall rules.
const SYNONYMS: [(&str, &str); 2] = [
    ("targetfqdns", "destination_fqdns"),
    ("fqdntags", "destination_fqdn_tags"),
];

/// Most tables that a key is said to belong to: more of them help nobody.
const MOST_HOMES: usize = 5;

/// Holds `document` against `schema`; what is wrong goes to `report` and out of the document.
pub fn check(document: &mut Spanned<DeTable<'_>>, schema: &Value, report: &mut Report) {
    let span = document.span().into();
    Pass { whole: schema, report }.table(document.get_mut(), span, schema);
}

/// Whether a value stays in the document.
#[derive(PartialEq)]
enum Fate {
    Kept,
    TakenOut,
}

struct Pass<'a> {
    /// The schema of the whole file, for keys that stand in the wrong table.
    whole: &'a Value,
    report: &'a mut Report,
}

impl Pass<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, span: Span, schema: &Value) {
        self.unknown_keys(table, schema);
        let missing = list(schema, "required").filter(|key| !table.contains_key(*key));
        for key in missing.collect::<Vec<_>>() {
            let finding = Finding::error(span, format!("key `{key}` is missing"));
            self.report.add(finding.expected(describe(&schema["properties"][key])));
        }
        let mut taken_out = Vec::new();
        for (key, entry) in table.iter_mut() {
            let name = key.get_ref().as_ref();
            if schema["properties"].get(name).is_none() {
                self.plain(name, key.span().into());
            }
            let Some(entry_schema) = schema_of_key(schema, name) else {
                continue;
            };
            if self.value(entry, entry_schema) == Fate::TakenOut {
                taken_out.push(name.to_owned());
            }
        }
        for name in taken_out {
            table.remove(name.as_str());
        }
    }

    /// Reports the keys that the schema does not know. A value whose key is plain goes on under it; others are taken out.
    fn unknown_keys(&mut self, table: &mut DeTable<'_>, schema: &Value) {
        let unknown = table
            .keys()
            .filter(|key| schema_of_key(schema, key.get_ref()).is_none())
            .map(|key| (key.get_ref().to_string(), key.span()));
        for (name, span) in unknown.collect::<Vec<_>>() {
            let meant = meant_key(&name, schema);
            self.report
                .add(self.unknown_key(&name, span.clone().into(), meant, schema));
            let value = table.remove(name.as_str());
            let (Some(key), Some(value)) = (meant, value) else {
                continue;
            };
            if !table.contains_key(key) && same_shape(value.get_ref(), &schema["properties"][key]) {
                table.insert(Spanned::new(span, Cow::Owned(key.to_owned())), value);
            }
        }
    }

    fn unknown_key(&self, name: &str, span: Span, meant: Option<&str>, schema: &Value) -> Finding {
        let finding = Finding::error(span, format!("unknown key `{name}`"));
        if let Some((_, why)) = LATER.iter().find(|(key, _)| *key == name) {
            return finding.hint(*why);
        }
        if let Some(key) = meant {
            return finding.expected(format!("`{key}`"));
        }
        let known: Vec<&str> = keys(schema).collect();
        let finding = finding.expected(format!("one of {}", quoted(&known)));
        let homes = homes(self.whole, name);
        match homes.len() {
            1..=MOST_HOMES => finding.hint(format!("`{name}` is a key of {}", homes.join(", "))),
            _ => finding,
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Value) -> Fate {
        let range = value.span();
        let span: Span = range.clone().into();
        match (value.get_mut(), schema["type"].as_str()) {
            (DeValue::Table(inner), Some("object")) => {
                self.table(inner, span, schema);
                Fate::Kept
            }
            (DeValue::Array(inner), Some("array")) => {
                self.array(inner, span, &schema["items"]);
                Fate::Kept
            }
            (other, Some("array")) => {
                self.report.add(wrong_type(other, span, schema));
                let written = std::mem::replace(other, DeValue::Array(DeArray::new()));
                let DeValue::Array(list) = other else {
                    unreachable!("an array was put there")
                };
                match written {
                    DeValue::String(_) if schema["items"]["type"] == "string" => {
                        list.push(Spanned::new(range, written));
                        self.array(list, span, &schema["items"]);
                    }
                    // An empty list in its place keeps "no such group" from being said of a group that is only badly written.
                    _ => self.report.lost(span),
                }
                Fate::Kept
            }
            (DeValue::Boolean(_), Some("boolean")) => Fate::Kept,
            (DeValue::Integer(integer), Some("integer")) => self.whole_number(integer, span, schema),
            (DeValue::String(text), _) if is_choice(schema) => self.choice(text, span, schema),
            (DeValue::String(text), Some("string")) => {
                self.text(text, span, schema);
                Fate::Kept
            }
            (other, _) => {
                self.report.add(wrong_type(other, span, schema));
                Fate::TakenOut
            }
        }
    }

    fn array(&mut self, array: &mut DeArray<'_>, span: Span, items: &Value) {
        let fates: Vec<Fate> = array.iter_mut().map(|item| self.value(item, items)).collect();
        if fates.contains(&Fate::TakenOut) {
            self.report.lost(span);
            let whole = std::mem::replace(array, DeArray::new());
            *array = whole
                .into_iter()
                .zip(fates)
                .filter(|(_, fate)| *fate == Fate::Kept)
                .map(|(item, _)| item)
                .collect();
        }
    }

    fn whole_number(&mut self, integer: &DeInteger<'_>, span: Span, schema: &Value) -> Fate {
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let above = |key: &str, number: i64| schema[key].as_i64().is_none_or(|least| number >= least);
        let below = |key: &str, number: i64| schema[key].as_i64().is_none_or(|most| number <= most);
        match number {
            Some(number) if above("minimum", number) && below("maximum", number) => Fate::Kept,
            _ => {
                let finding = Finding::error(span, format!("{integer} is out of range"));
                self.report.add(finding.expected(describe(schema)));
                Fate::TakenOut
            }
        }
    }

    /// A text of its own, such as a name: what steers a terminal has no place in it. Lists of texts are read by parsers.
    fn text(&mut self, text: &str, span: Span, schema: &Value) {
        if schema.get("minLength").is_some() {
            self.plain(text, span);
        }
        self.length(text, span, schema);
    }

    fn plain(&mut self, text: &str, span: Span) {
        if let Some(c) = text.chars().find(|c| steers(*c)) {
            let found = format!("U+{:04X} in a text: it steers the terminal or hides", u32::from(c));
            let finding = Finding::error(span, found).expected("letters, digits, `_`, `.` and `-`, as in Azure");
            self.report.add(finding.hint("leave it out"));
        }
    }

    fn length(&mut self, text: &str, span: Span, schema: &Value) {
        let characters = text.chars().count() as u64;
        let least = schema["minLength"].as_u64().unwrap_or(0);
        let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        let found = match characters {
            _ if characters < least => "empty text".to_owned(),
            _ if characters > most => format!("{characters} characters"),
            _ => return,
        };
        self.report.add(Finding::error(span, found).expected(describe(schema)));
    }

    /// A text out of a closed set.
    fn choice(&mut self, text: &str, span: Span, schema: &Value) -> Fate {
        let values = choices(schema);
        if values.contains(&text) {
            return Fate::Kept;
        }
        let finding = Finding::error(span, format!("`{text}` is not one of the values"));
        self.report.add(match nearest(text, values.iter().copied()) {
            Some(near) => finding.expected(format!("`{near}`")),
            None => finding.expected(format!("one of {}", quoted(&values))),
        });
        Fate::TakenOut
    }
}

fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema["properties"].as_object();
    properties.into_iter().flatten().map(|(key, _)| key.as_str())
}

/// What belongs under a key; `None` if the table has no such key.
fn schema_of_key<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let any = schema.get("additionalProperties").filter(|any| any.is_object());
    schema["properties"].get(name).or(any)
}

/// The key that an unknown one stands for, if that is plain.
fn meant_key<'a>(name: &str, schema: &'a Value) -> Option<&'a str> {
    if LATER.iter().any(|(key, _)| *key == name) {
        return None;
    }
    let bare = name.replace('_', "").to_ascii_lowercase();
    let synonym = SYNONYMS.iter().find(|(word, _)| *word == bare).map(|(_, key)| *key);
    keys(schema)
        .find(|key| Some(*key) == synonym)
        .or_else(|| nearest(name, keys(schema)))
}

/// Whether a value could stand under a key as far as its type goes.
fn same_shape(value: &DeValue<'_>, schema: &Value) -> bool {
    matches!(
        (value, schema["type"].as_str()),
        (DeValue::Table(_), Some("object"))
            | (DeValue::Array(_), Some("array"))
            | (DeValue::String(_), Some("string" | "array"))
            | (DeValue::Integer(_), Some("integer"))
            | (DeValue::Boolean(_), Some("boolean"))
    )
}
