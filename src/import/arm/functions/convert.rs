//! Conversions between texts, numbers, booleans, JSON and base64.

use super::{Call, Fail, Made, bad};
use crate::import::{
    json,
    value::{Kind, Value},
};
use data_encoding::BASE64;

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "string" => string(call),
        "json" => parsed(call, call.str(0)?),
        "base64" => call.text(BASE64.encode(call.str(0)?.as_bytes())),
        "base64tostring" => call.text(decoded(call.str(0)?)?),
        "base64tojson" => parsed(call, &decoded(call.str(0)?)?),
        "datauri" => {
            let text = BASE64.encode(call.str(0)?.as_bytes());
            call.text(format!("data:text/plain;charset=utf8;base64,{text}"))
        }
        "datauritostring" => match call.str(0)?.split_once(";base64,") {
            Some((_, data)) => call.text(decoded(data)?),
            None => bad("takes a data URI in base64"),
        },
        "bool" => match &call.exactly::<1>()?[0] {
            Value {
                kind: Kind::Int(number),
                ..
            } => call.yes(*number != 0),
            value => value
                .as_bool()
                .map_or_else(|| bad("takes a boolean"), |yes| call.yes(yes)),
        },
        "int" => match call.exactly::<1>()?[0].as_int() {
            Some(number) => call.number(number),
            None => bad("takes a whole number"),
        },
        _ => {
            let value = &call.exactly::<1>()?[0];
            let number = match &value.kind {
                Kind::Int(number) => Some(*number as f64),
                Kind::Float(number) => Some(*number),
                _ => value.as_str().and_then(|text| text.parse().ok()),
            };
            let number = number.filter(|number: &f64| number.is_finite());
            number.map_or_else(
                || bad("takes a number"),
                |number| Ok(Value::new(Kind::Float(number), call.at)),
            )
        }
    }
}

fn decoded(text: &str) -> Result<String, Fail> {
    let bytes = BASE64.decode(text.as_bytes()).or_else(|_| bad("is no base64"))?;
    String::from_utf8(bytes).or_else(|_| bad("is not UTF-8"))
}

fn parsed(call: &Call<'_>, text: &str) -> Made {
    call.budget.steps(text.len() / 2, call.at)?;
    match json::parse(text, call.at.file) {
        Ok(mut documents) if documents.len() == 1 => Ok(placed(&documents.remove(0), call)),
        Ok(_) => bad("takes one JSON document"),
        Err(error) => bad(format!("is no JSON: {}", error.found)),
    }
}

/// What was read from a text stands where the text does.
fn placed(value: &Value, call: &Call<'_>) -> Value {
    let place = |value: &Value| placed(value, call);
    let made = match &value.kind {
        Kind::List(list) => Value::list(list.items.iter().map(place).collect(), call.at),
        Kind::Object(object) => {
            let entries = object.entries.iter().map(|(key, value)| (key.clone(), place(value)));
            Value::object(entries.collect(), call.at)
        }
        kind => Ok(Value::new(kind.clone(), call.at)),
    };
    made.unwrap_or_else(|_| Value::null(call.at))
}

fn string(call: &Call<'_>) -> Made {
    let [value] = call.exactly()?;
    match &value.kind {
        Kind::Text(text) => call.text(text.text.to_string()),
        // In capitals, though not inside a list or an object (found by experiment: Azure/PSRule.Rules.Azure, issue 793).
        Kind::Bool(yes) => call.text(if *yes { "True" } else { "False" }.into()),
        _ => call.text(written(call, value)?),
    }
}

/// A value as JSON without blanks.
pub(super) fn written(call: &Call<'_>, value: &Value) -> Result<String, Fail> {
    let mut out = String::new();
    write(call, value, &mut out)?;
    Ok(out)
}

fn write(call: &Call<'_>, value: &Value, out: &mut String) -> Result<(), Fail> {
    call.budget.steps(1, call.at)?;
    match &value.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Kind::Int(number) => out.push_str(&number.to_string()),
        Kind::Float(number) => out.push_str(&number.to_string()),
        Kind::Text(text) => {
            quote(call, &text.text, out)?;
        }
        Kind::List(list) => {
            out.push('[');
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(call, item, out)?;
            }
            out.push(']');
        }
        Kind::Object(object) => {
            out.push('{');
            for (index, (key, item)) in object.entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quote(call, key, out)?;
                out.push(':');
                write(call, item, out)?;
            }
            out.push('}');
        }
        Kind::Unknown(_) => return bad("a part of it is not known"),
    }
    Ok(())
}

/// A text in quotes. An escape takes up to six bytes for one.
fn quote(call: &Call<'_>, text: &str, out: &mut String) -> Result<(), Fail> {
    call.budget.steps(text.len() / 64, call.at)?;
    let escaped = text.bytes().filter(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'));
    call.budget.text(text.len() + 5 * escaped.count(), call.at)?;
    out.push_str(&serde_json::Value::from(text).to_string());
    Ok(())
}
