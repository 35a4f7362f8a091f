//! Parameter values from outside: a parameters file (`deploymentParameters.json`) and `--set name=value`.

use crate::import::{
    json::{self, shown},
    value::{Kind, Place, Unknown, Value},
};
use std::{collections::BTreeMap, sync::Arc};

/// Values for the parameters of the templates, by name in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// From a file: as they stand, never read as expressions.
    file: BTreeMap<String, Value>,
    /// From the command line or the configuration: texts, read by the type of the parameter.
    set: BTreeMap<String, String>,
}

impl Given {
    /// Takes the values of a parameters file: `{ "parameters": { "name": { "value": .. } } }`, the same without `parameters` around
    /// it, or bare `{ "name": .. }`. Fails with what is wrong and where, as for a template in its place.
    pub fn add_file(&mut self, document: &Value) -> Result<(), (Place, String)> {
        let Some(object) = document.as_object() else {
            return Err((document.at, "a parameters file is an object".into()));
        };
        if object.get("resources").is_some() {
            return Err((document.at, "a template where a parameters file belongs".into()));
        }
        let section = object.get("parameters");
        let entries = match section {
            None => &object.entries,
            Some(section) => match section.as_object() {
                Some(section) => &section.entries,
                None => return Err((section.at, "`parameters` is no object".into())),
            },
        };
        let wrapped = section.is_some() || entries.iter().any(|(_, entry)| is_wrapped(entry));
        // What stands beside `parameters` where that is left out.
        let is_head =
            |name: &str| section.is_none() && (name.starts_with('$') || name.eq_ignore_ascii_case("contentVersion"));
        for (name, entry) in entries.iter().filter(|(name, _)| !is_head(name)) {
            let value = match (wrapped, entry.written("value"), entry.get("reference")) {
                (false, ..) => entry.clone(),
                (true, Some(value), _) => value.clone(),
                (true, None, Some(_)) => {
                    Value::unknown(format!("parameter `{name}` is a secret of a Key Vault"), entry.at)
                }
                (true, None, None) => {
                    let why = format!(
                        "parameter `{}` has neither `value` nor `reference`: {{ \"value\": .. }}",
                        shown(name)
                    );
                    return Err((entry.at, why));
                }
            };
            self.file.insert(name.to_ascii_lowercase(), value);
        }
        Ok(())
    }

    /// Sets one parameter; it goes before the file's.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set.insert(name.to_ascii_lowercase(), value.to_owned());
    }

    /// The names that have a value, and where a file gives it.
    pub fn names(&self) -> impl Iterator<Item = (&str, Option<Place>)> {
        let file = self.file.iter().map(|(name, value)| (name.as_str(), Some(value.at)));
        file.chain(self.set.keys().map(|name| (name.as_str(), None)))
    }

    /// The value of a parameter with this definition, in a template with these `definitions`.
    pub fn value(&self, name: &str, definition: &Value, definitions: Option<&Value>) -> Option<Value> {
        let name = name.to_ascii_lowercase();
        match self.set.get(&name) {
            Some(text) => {
                let declared = Declared::of(definition, definitions);
                Some(typed(&name, text, &declared, definition.at))
            }
            None => self.file.get(&name).cloned(),
        }
    }
}

/// A text read by the parameter's type. Of no type, what reads as a list or an object is one.
fn typed(name: &str, text: &str, declared: &Declared, at: Place) -> Value {
    let kind = declared.kind.as_deref().unwrap_or_default();
    let as_json = || {
        let mut documents = json::parse(text, at.file).ok()?;
        (documents.len() == 1).then(|| documents.remove(0))
    };
    let fits = |value: &Value| match kind {
        "string" => false,
        "" => matches!(value.kind, Kind::List(_) | Kind::Object(_)),
        kind => kind == kind_of_value(value),
    };
    match as_json().filter(fits) {
        Some(value) => value,
        None if matches!(kind, "" | "string") => Value::text(text, at),
        // A list of one is often written bare.
        None if kind == "array" && !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(|item| Value::text(item.trim(), at));
            Value::list(items.collect(), at).unwrap_or_else(|_| Value::null(at))
        }
        None => Value::unknown(format!("parameter `{name}` is set to what is no {kind}"), at),
    }
}

/// What a parameters file has for a parameter, and nothing else has: `{ "value": .. }`, and what tools print beside it.
fn is_wrapped(entry: &Value) -> bool {
    const KEYS: [&str; 4] = ["value", "reference", "type", "metadata"];
    let entries = entry.as_object().map_or(&[][..], |object| &object.entries);
    let known = entries
        .iter()
        .all(|(key, _)| KEYS.iter().any(|known| key.eq_ignore_ascii_case(known)));
    known && (entry.written("value").is_some() || entry.written("reference").is_some())
}

/// Most references from one definition to the next, and most names in one.
const MOST_REFERENCES: usize = 16;
/// Longest reference to a definition, in bytes.
const MAX_REFERENCE_BYTES: usize = 1024;

/// What a parameter, an argument or an output is declared to be. Bicep compiles a type that has a name to a reference into the
/// template's `definitions`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// The type in lower case; `None` if none is written. What is secure is of the same type.
    pub kind: Option<String>,
    pub nullable: bool,
    /// It is declared by reference, and what that leads to has no type.
    pub lost: bool,
}

impl Declared {
    /// Follows references into `definitions`, those of the template in which `definition` stands.
    pub fn of(definition: &Value, definitions: Option<&Value>) -> Self {
        let mut nullable = None;
        let mut here = definition;
        for followed in 0..=MOST_REFERENCES {
            // What is said nearest counts.
            nullable = nullable.or_else(|| here.get("nullable").map(|one| one.as_bool() == Some(true)));
            let kind = kind_of(here);
            let next = here.get("$ref").filter(|_| kind.is_none());
            match next.map(|reference| referred(reference, definitions)) {
                Some(Some(next)) => here = next,
                Some(None) => break,
                None => {
                    return Self {
                        lost: kind.is_none() && followed > 0,
                        kind,
                        nullable: nullable == Some(true),
                    };
                }
            }
        }
        Self {
            lost: true,
            ..Self::default()
        }
    }
}

/// What it takes to follow the reference of a definition, if it has one: each of its names is looked up.
pub(super) fn reference_steps(definition: &Value) -> usize {
    let reference = definition.get("$ref").and_then(Value::as_str);
    reference.map_or(0, |path| 1 + path.len().min(MAX_REFERENCE_BYTES) / 8)
}

/// A definition, and those that it refers to.
pub(super) fn followed<'v>(definition: &'v Value, definitions: Option<&'v Value>) -> impl Iterator<Item = &'v Value> {
    let next = move |here: &&'v Value| referred(here.get("$ref")?, definitions);
    std::iter::successors(Some(definition), next).take(MOST_REFERENCES)
}

/// The definition that `#/definitions/name`, or a longer path of names, leads to.
fn referred<'v>(reference: &Value, definitions: Option<&'v Value>) -> Option<&'v Value> {
    let path = reference
        .known_str()
        .filter(|path| path.len() <= MAX_REFERENCE_BYTES && !path.contains(['~', '%']))?;
    let names = path.strip_prefix("#/definitions/")?.split('/');
    let mut here = definitions?;
    for (depth, name) in names.enumerate() {
        here = match here.as_list() {
            _ if depth == MOST_REFERENCES => return None,
            Some(items) => items.get(name.parse::<usize>().ok()?)?,
            None => here.get(name)?,
        };
    }
    Some(here)
}

fn kind_of(definition: &Value) -> Option<String> {
    // A long one is none: it is read anew for each argument of such a parameter.
    let kind = shown(definition.get("type").and_then(Value::as_str)?)
        .trim()
        .to_ascii_lowercase();
    Some(kind.strip_prefix("secure").map_or(kind.clone(), str::to_owned))
}

fn kind_of_value(value: &Value) -> &'static str {
    match &value.kind {
        Kind::Null | Kind::Unknown(_) => "",
        Kind::Bool(_) => "bool",
        Kind::Int(_) => "int",
        Kind::Float(_) => "float",
        Kind::Text(_) => "string",
        Kind::List(_) => "array",
        Kind::Object(_) => "object",
    }
}

/// A value as the parameter's type has it. Azure converts what reads as another type or refuses it; it never goes on with a value
/// of another type. Fails with why the value is not known, of `what` and found at `here`.
pub(super) fn as_declared(
    value: &Value,
    declared: &Declared,
    what: impl FnOnce() -> String,
    here: Place,
) -> Result<Value, Arc<Unknown>> {
    let kind = &declared.kind;
    let at = value.at;
    let not_known = |why: &str| Unknown::new(format!("{} {why}", what()), here);
    let made = match (kind.as_deref(), &value.kind) {
        (_, Kind::Null) if declared.nullable => return Ok(value.clone()),
        (_, Kind::Null) => return Err(not_known("has no value")),
        (_, Kind::Unknown(_)) => return Ok(value.clone()),
        (None, _) if declared.lost => return Err(not_known("is of a type whose definition is not found")),
        (None, _) => return Ok(value.clone()),
        (Some(kind), _) if kind == kind_of_value(value) => return Ok(value.clone()),
        (Some("bool"), Kind::Text(_)) => value.as_bool().map(Kind::Bool),
        (Some("int"), Kind::Text(_) | Kind::Float(_)) => value.as_int().map(Kind::Int),
        (Some("string"), Kind::Int(number)) => return Ok(Value::text(number.to_string(), at)),
        _ => None,
    };
    match (made, value.doubt()) {
        (Some(kind), _) => Ok(Value::new(kind, at)),
        (None, Some(doubt)) => Err(doubt.clone()),
        (None, None) => {
            let (kind, found) = (kind.as_deref().unwrap_or_default(), value.type_name());
            Err(not_known(&format!("has a value that is no {kind}: it is {found}")))
        }
    }
}
