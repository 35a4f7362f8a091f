//! Numeric, comparison and logical functions.

use super::{Call, Made, bad, same};
use crate::import::value::{Kind, Value};
use std::cmp::Ordering;

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    match name {
        "true" => call.yes(true),
        "false" => call.yes(false),
        "null" => Ok(Value::null(call.at)),
        "not" => match call.exactly::<1>()?[0].as_bool() {
            Some(yes) => call.yes(!yes),
            None => bad("takes a boolean"),
        },
        "equals" => {
            let [one, other] = call.exactly()?;
            match same(call.budget, one, other, call.at)? {
                Some(yes) => call.yes(yes),
                None => Ok(Value::unknown(
                    "two values of which one is not known are compared",
                    call.at,
                )),
            }
        }
        "less" => compare(call, Ordering::is_lt),
        "lessorequals" => compare(call, Ordering::is_le),
        "greater" => compare(call, Ordering::is_gt),
        "greaterorequals" => compare(call, Ordering::is_ge),
        _ => {
            let (one, other) = (call.int(0)?, call.int(1)?);
            let sum = match name {
                "add" => one.checked_add(other),
                "sub" => one.checked_sub(other),
                "mul" => one.checked_mul(other),
                "div" => one.checked_div(other),
                _ => one.checked_rem(other),
            };
            sum.map_or_else(|| bad("is out of range"), |sum| call.number(sum))
        }
    }
}

fn compare(call: &Call<'_>, fits: fn(Ordering) -> bool) -> Made {
    let [one, other] = call.exactly()?;
    let order = match (&one.kind, &other.kind) {
        (Kind::Int(one), Kind::Int(other)) => one.cmp(other),
        (Kind::Text(one), Kind::Text(other)) => one.text.cmp(&other.text),
        _ => return bad("takes two numbers or two texts"),
    };
    call.yes(fits(order))
}
