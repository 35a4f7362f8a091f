//! JSON Schema of the configuration, made from [`FileConfig`]: what `egret schema` prints and files are held against.

use super::file::FileConfig;
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::Value;

/// JSON Schema (2020-12) of the configuration file.
pub fn schema() -> Value {
    schema_of::<FileConfig>()
}

/// JSON Schema of a file that is written in TOML.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>();
    without_null(&mut schema);
    schema.to_value()
}

/// TOML has no null: an optional key is left out, never null.
fn without_null(schema: &mut Schema) {
    transform_subschemas(&mut without_null, schema);
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".into(), one);
        }
    }
    // Rust's width of a number, which says nothing to whoever writes one.
    schema.remove("format");
    let Some(Value::Array(mut forms)) = schema.remove("anyOf") else {
        return;
    };
    forms.retain(|form| form["type"] != "null");
    match (forms.len(), forms.pop()) {
        (1, Some(Value::Object(only))) => {
            for (key, value) in only {
                if schema.get(&key).is_none() {
                    schema.insert(key, value);
                }
            }
        }
        (_, Some(last)) => {
            forms.push(last);
            schema.insert("anyOf".into(), forms.into());
        }
        (_, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
        see(path, schema);
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            visit(inner, &format!("{path}.{key}"), see);
        }
        if schema["items"].is_object() {
            visit(&schema["items"], path, see);
        }
    }

    #[test]
    fn every_key_says_what_it_is_and_none_may_be_null() {
        visit(&schema(), "", &mut |path, part| {
            assert!(!part.to_string().contains("\"null\""), "{path}");
            assert!(
                part["description"].is_string() || part["type"] == "string",
                "{path} has no description"
            );
            assert!(part.get("$ref").is_none(), "{path} is not inlined");
        });
    }
}
