//! What a policy says beside its rules. A mode that denies and is not carried out stops the import.

use super::{
    Import, Options,
    draft::{Draft, Effect},
    fields::{property, says_something},
};
use crate::import::{
    model::{Origin, ThreatIntelligence},
    report::{Item, ItemKind},
    value::Value,
};

/// Settings that neither allow nor deny, and why they are not carried.
const NOT_CARRIED: [(&str, &str); 7] = [
    ("dnsSettings", "egret's forwarders and zones are those of `[dns]`"),
    ("explicitProxy", "egret's listeners are those of `[listeners]`"),
    ("transportSecurity", "egret does not inspect TLS"),
    ("snat", "egret connects from addresses of its machine"),
    ("sql", "egret does not speak SQL"),
    ("insights", "egret's rows are those of `[log]`"),
    ("additionalProperties", "settings of Azure's own service"),
];

/// Settings that every policy has and that say nothing of what passes.
pub(super) fn read(import: &Import<'_>, body: &Value, origin: &Origin, policy: &str, items: &mut Vec<Item>) {
    let mut put = |key: &str, value: &Value, draft: Draft| {
        let path = format!("{}.properties.{key}", origin.path);
        items.push(import.item(
            ItemKind::Setting,
            format!("{policy}: {key}"),
            &path,
            value.at,
            draft.verdict(),
        ));
    };
    if let Some(value) = property(body, "threatIntelMode") {
        put("threatIntelMode", value, threat_mode(value, import.options));
    }
    if let Some(value) = property(body, "intrusionDetection").filter(|value| says_something(value)) {
        put("intrusionDetection", value, intrusion_detection(value));
    }
    for (key, why) in NOT_CARRIED {
        if let Some(value) = property(body, key).filter(|value| says(value)) {
            let mut draft = Draft::new(Effect::Allow);
            draft.void(why);
            put(key, value, draft);
        }
    }
}

/// Whether anything inside says something.
fn says(value: &Value) -> bool {
    match value.as_object() {
        Some(object) => object.entries.iter().any(|(_, inner)| says(inner)),
        None => says_something(value),
    }
}

fn threat_mode(value: &Value, options: &Options<'_>) -> Draft {
    let mode = value
        .as_str()
        .filter(|_| value.doubt().is_none())
        .map(str::to_ascii_lowercase);
    let lists = !options.threat_intelligence.is_empty();
    let mut draft = Draft::new(match mode.as_deref() {
        Some("alert" | "off") => Effect::Allow,
        Some("deny") => Effect::Deny,
        _ => Effect::Unknown,
    });
    match mode.as_deref() {
        Some("off") => {}
        Some("alert" | "deny") if lists => draft.changed("with the lists that are given, not Microsoft's"),
        Some("alert") => {
            draft.void("Microsoft's lists are not published: nothing is alerted without lists of one's own")
        }
        Some("deny") => {
            draft.void("Microsoft's lists are not published: give lists of your own (`threat_intelligence.files`)")
        }
        _ => draft.void("the mode is not known"),
    }
    draft
}

fn intrusion_detection(value: &Value) -> Draft {
    let mode = value.get("mode").unwrap_or(value);
    let overrides = value
        .get("configuration")
        .and_then(|configuration| configuration.get("signatureOverrides"));
    let denying = overrides.and_then(Value::as_list).is_some_and(|overrides| {
        overrides.iter().any(|one| {
            one.get("mode")
                .is_none_or(|mode| !is(mode, "alert") && !is(mode, "off"))
        })
    });
    let unknown = value.as_unknown().or(overrides.and_then(Value::as_unknown));
    let harmless = (is(mode, "alert") || is(mode, "off")) && !denying && unknown.is_none();
    let mut draft = Draft::new(if harmless { Effect::Allow } else { Effect::Deny });
    if is(mode, "off") && harmless {
        draft.remark("off in Azure as well");
    } else {
        draft.void("egret has no intrusion detection");
    }
    draft
}

fn is(mode: &Value, word: &str) -> bool {
    mode.doubt().is_none() && mode.as_str().is_some_and(|mode| mode.eq_ignore_ascii_case(word))
}

/// The strictest mode of a policy and its parents, with the lists that are given; `None` without lists, or if all are off.
pub(super) fn threat_intelligence(bodies: &[&Value], options: &Options<'_>) -> Option<ThreatIntelligence> {
    if options.threat_intelligence.is_empty() {
        return None;
    }
    let modes = || bodies.iter().filter_map(|body| property(body, "threatIntelMode"));
    let mode = if modes().any(|mode| !is(mode, "alert") && !is(mode, "off")) {
        "Deny"
    } else if modes().any(|mode| is(mode, "alert")) {
        "Alert"
    } else {
        return None;
    };
    let allowed = |key: &str| {
        let lists = bodies
            .iter()
            .filter_map(|body| property(body, "threatIntelWhitelist")?.get(key)?.as_list());
        let known = lists.flatten().filter(|entry| entry.doubt().is_none());
        known.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Some(ThreatIntelligence {
        mode,
        files: options.threat_intelligence.clone(),
        allowed_addresses: allowed("ipAddresses"),
        allowed_fqdns: allowed("fqdns"),
    })
}
