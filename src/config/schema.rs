//! JSON Schema of the configuration, made from [`FileConfig`]: what `egret schema` prints and files are held against.

use super::file::FileConfig;
use schemars::{Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::Value;

/// JSON Schema (2020-12) of the configuration file.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<FileConfig>();
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
    #[test]
    fn print() {
        println!("{}", serde_json::to_string_pretty(&super::schema()).unwrap());
    }
}
