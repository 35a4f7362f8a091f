//! What a collection says of itself, beside its rules.

use crate::import::{
    azure::{
        draft::Effect,
        fields::property,
        schema::{Section, Shape},
    },
    json::shown,
    value::Value,
};

/// Priorities of groups and collections (API reference, `priority`).
const PRIORITIES: std::ops::RangeInclusive<i64> = 100..=65_000;

/// What is read of a collection.
pub(super) fn fields_of(shape: Shape) -> &'static [&'static str] {
    const NOW: [&str; 3] = ["action", "ruleCollectionType", "rules"];
    const OLD: [&str; 6] = [
        "action",
        "ruleCondition",
        "ruleConditions",
        "ruleType",
        "translatedAddress",
        "translatedPort",
    ];
    match shape {
        Shape::Old => &OLD,
        Shape::Now | Shape::Classic(_) => &NOW,
    }
}

fn action_of(value: &Value) -> Option<&Value> {
    property(value, "action").map(|action| action.get("type").unwrap_or(action))
}

/// Whether a collection translates: its place or its type says so or, where neither is written, its action.
pub(super) fn is_nat(value: &Value, shape: Shape) -> bool {
    let kind = property(value, "ruleCollectionType").or(property(value, "ruleType"));
    match (shape, kind) {
        (Shape::Classic(section), _) => section == Section::Nat,
        (_, Some(kind)) => kind
            .known_str()
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("firewallpolicynat")),
        (_, None) => {
            let action = action_of(value).and_then(Value::known_str);
            action.is_some_and(|action| ["dnat", "snat"].iter().any(|nat| action.eq_ignore_ascii_case(nat)))
        }
    }
}

/// What a collection does with what its rules match; with a reason, if they cannot be carried.
pub(super) fn effect(value: &Value, is_nat: bool) -> Result<Effect, (Effect, String)> {
    let action = action_of(value);
    let known = action.and_then(Value::known_str).map(str::to_ascii_lowercase);
    match (known.as_deref(), is_nat) {
        (Some("allow"), false) | (Some("allow" | "dnat"), true) => Ok(Effect::Allow),
        (None, true) if action.is_none() => Ok(Effect::Allow),
        (Some("snat"), true) => Err((Effect::Allow, "SNAT is no part of egret".into())),
        (Some("deny"), false) => Ok(Effect::Deny),
        (Some("deny"), true) => Err((
            Effect::Deny,
            "a collection of DNAT rules cannot deny: Azure refuses it".into(),
        )),
        _ => {
            let why = action
                .and_then(Value::doubt)
                .map_or(String::new(), |doubt| format!(": {}", doubt.why));
            Err((
                Effect::Unknown,
                format!("the action of its collection is not known{why}"),
            ))
        }
    }
}

/// A number from 100 to 65000, or what is wrong with it.
pub(super) fn priority(value: Option<&Value>) -> Result<u16, String> {
    let Some(value) = value else {
        return Err("priority is not written".into());
    };
    match value.as_int() {
        Some(number) if PRIORITIES.contains(&number) => Ok(u16::try_from(number).expect("it is in range")),
        Some(number) => Err(format!("priority {number} is not from 100 to 65000")),
        None => {
            let why = value.doubt().map_or("it is no number", |doubt| &doubt.why);
            Err(format!("priority is not known: {}", shown(why)))
        }
    }
}
