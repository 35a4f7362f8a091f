//! Parameter values from outside: a parameters file (`deploymentParameters.json`) and `--set name=value`.

use crate::import::{
    json,
    value::{Kind, Place, Value},
};
use std::collections::BTreeMap;

/// Values for the parameters of the templates, by name in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// From a file: as they stand, never read as expressions.
    file: BTreeMap<String, Value>,
    /// From the command line or the configuration: texts, read by the type of the parameter.
    set: BTreeMap<String, String>,
}

impl Given {
    /// Takes the values of a parameters file: `{ "parameters": { "name": { "value": .. } } }`, or bare `{ "name": .. }`.
    /// Fails with what is wrong and where.
    pub fn add_file(&mut self, document: &Value) -> Result<(), (Place, String)> {
        let Some(object) = document.as_object() else {
            return Err((document.at, "a parameters file is an object".into()));
        };
        let section = object.get("parameters");
        let entries = match section {
            None => &object.entries,
            Some(section) => match section.as_object() {
                Some(section) => &section.entries,
                None => return Err((section.at, "`parameters` is no object".into())),
            },
        };
        for (name, entry) in entries {
            let wrapped = entry.as_object().filter(|_| section.is_some());
            let value = match wrapped.map(|entry| (entry.get("value"), entry.get("reference"))) {
                None => entry.clone(),
                Some((Some(value), _)) => value.clone(),
                Some((None, Some(_))) => {
                    Value::unknown(format!("parameter `{name}` is a secret of a Key Vault"), entry.at)
                }
                Some((None, None)) => return Err((entry.at, format!("parameter `{name}` has no `value`"))),
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

    /// The value of a parameter with this definition.
    pub fn value(&self, name: &str, definition: &Value) -> Option<Value> {
        let name = name.to_ascii_lowercase();
        match self.set.get(&name) {
            Some(text) => Some(typed(&name, text, definition)),
            None => self.file.get(&name).cloned(),
        }
    }
}

/// A text read by the parameter's type. Of a type that is defined elsewhere, what reads as a list or an object is one.
fn typed(name: &str, text: &str, definition: &Value) -> Value {
    let at = definition.at;
    let kind = definition.get("type").and_then(Value::as_str).unwrap_or_default();
    let as_json = || {
        let mut documents = json::parse(text, at.file).ok()?;
        (documents.len() == 1).then(|| documents.remove(0))
    };
    let fits = |value: &Value| match kind.to_ascii_lowercase().as_str() {
        "int" => matches!(value.kind, Kind::Int(_)),
        "bool" => matches!(value.kind, Kind::Bool(_)),
        "array" => matches!(value.kind, Kind::List(_)),
        "object" | "secureobject" => matches!(value.kind, Kind::Object(_)),
        "string" | "securestring" => false,
        _ => matches!(value.kind, Kind::List(_) | Kind::Object(_)),
    };
    match as_json().filter(fits) {
        Some(value) => value,
        None if matches!(kind.to_ascii_lowercase().as_str(), "" | "string" | "securestring") => Value::text(text, at),
        // A list of one is often written bare.
        None if kind.eq_ignore_ascii_case("array") && !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(|item| Value::text(item.trim(), at));
            Value::list(items.collect(), at).unwrap_or_else(|_| Value::null(at))
        }
        None => Value::unknown(format!("parameter `{name}` is set to what is no {kind}"), at),
    }
}
