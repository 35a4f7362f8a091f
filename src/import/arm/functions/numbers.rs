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
        (Kind::Text(one), Kind::Text(other)) => match order(&one.text, &other.text) {
            Some(order) => order,
            None => return bad("in which order Azure puts two such texts is not known"),
        },
        _ => return bad("takes two numbers or two texts"),
    };
    call.yes(fits(order))
}

/// The order of two texts, where every way of comparing that Azure may have gives the same: by bytes, without regard to case, by
/// the rules of a language. The last puts `a` before `A` (the example of `less` in Azure's documentation), and passes over
/// hyphens or not, by the system that it runs on; another letter or digit decides before whatever follows it. `None` if they may
/// differ.
pub(super) fn order(one: &str, other: &str) -> Option<Ordering> {
    let pairs = one.chars().zip(other.chars());
    let common: usize = pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (ours, theirs) = (&one[common..], &other[common..]);
    let by_bytes = ours.cmp(theirs);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let by_letters = |ours: &str, theirs: &str| ours.to_ascii_lowercase().cmp(&theirs.to_ascii_lowercase());
    let is_sure = match (ours.get(..1), theirs.get(..1)) {
        _ if ours.is_empty() || theirs.is_empty() => printable(ours) && printable(theirs),
        // What is no ASCII may be part of the letter before it.
        (Some(a), Some(b)) if plain(a) && plain(b) && !a.eq_ignore_ascii_case(b) => {
            one.is_ascii() && other.is_ascii() && by_bytes == by_letters(a, b)
        }
        _ => plain(ours) && plain(theirs) && by_bytes == by_letters(ours, theirs),
    };
    is_sure.then_some(by_bytes)
}

/// What a comparison of the length of a text with a number comes to, if the text has this many characters or more. `None` if that
/// depends on how many.
pub(in crate::import::arm) fn at_least(name: &str, least: i64, number: i64) -> Option<bool> {
    match name {
        "equals" | "lessorequals" if least > number => Some(false),
        "less" if least >= number => Some(false),
        "greater" if least > number => Some(true),
        "greaterorequals" if least >= number => Some(true),
        _ => None,
    }
}
