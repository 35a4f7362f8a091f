//! What a policy, or a firewall, says beside its rules. A mode that denies and is not carried out stops the import, and so does
//! what may be one, or a rule.

use super::{
    Import, Options,
    draft::{Draft, Effect},
    fields::{list, located, property, says_something},
    ip_groups::address,
    unread::is_inside,
};
use crate::{
    import::{
        model::{Origin, ThreatIntelligence},
        report::{Item, ItemKind},
        value::{Kind, Value},
    },
    policy::FqdnPattern,
};

/// Settings that neither allow nor deny, and why they are not carried.
pub(super) const NOT_CARRIED: [(&str, &str); 9] = [
    ("dnsSettings", "egret's forwarders and zones are those of `[dns]`"),
    ("explicitProxy", "egret's listeners are those of `[listeners]`"),
    ("transportSecurity", "egret does not inspect TLS"),
    ("snat", "egret connects from addresses of its machine"),
    ("privateRange", "egret connects from addresses of its machine"),
    ("sql", "egret does not speak SQL"),
    ("sqlSetting", "egret does not speak SQL"),
    ("insights", "egret's rows are those of `[log]`"),
    ("additionalProperties", "settings of Azure's own service"),
];

/// Modes, and what is excepted from them.
pub(super) const MODES: [&str; 4] = [
    "intrusionDetection",
    "intrusionSystemMode",
    "threatIntelMode",
    "threatIntelWhitelist",
];

/// The settings of a policy, or of a firewall with rules of its own.
pub(super) fn read(import: &Import<'_>, body: &Value, origin: &Origin, policy: &str, items: &mut Vec<Item>) {
    let mut put = |key: &str, place: &Origin, draft: Draft| {
        let name = format!("{policy}: {key}");
        items.extend(import.item(ItemKind::Setting, name, place, draft.verdict()));
    };
    if let Some((place, value)) = located(body, "threatIntelMode", origin) {
        put("threatIntelMode", &place, threat_mode(value, import.options));
    }
    if let Some((place, value)) = located(body, "threatIntelWhitelist", origin).filter(|(_, value)| says(import, value))
    {
        put("threatIntelWhitelist", &place, threat_allowlist(import, value));
    }
    // The second until API version 2020-04-01.
    for key in ["intrusionDetection", "intrusionSystemMode"] {
        if let Some((place, value)) = located(body, key, origin).filter(|(_, value)| says_something(value)) {
            put(key, &place, intrusion_detection(import, value));
        }
    }
    for (key, why) in NOT_CARRIED {
        if let Some((place, _)) = located(body, key, origin).filter(|(_, value)| says(import, value)) {
            let mut draft = Draft::new(Effect::Allow);
            draft.void(why);
            put(key, &place, draft);
        }
    }
}

/// Whether anything inside says something.
fn says(import: &Import<'_>, value: &Value) -> bool {
    is_inside(import.budget, "", value, |_, value| {
        value.as_object().is_none() && says_something(value)
    })
}

fn threat_mode(value: &Value, options: &Options<'_>) -> Draft {
    let mode = value
        .as_str()
        .filter(|_| value.doubt().is_none())
        .map(str::to_ascii_lowercase);
    let nothing = options.lists_deny_nothing;
    let lists = !options.threat_intelligence.is_empty() && nothing.is_none();
    let mut draft = Draft::new(match mode.as_deref() {
        Some("alert" | "off") => Effect::Allow,
        Some("deny") => Effect::Deny,
        _ => Effect::Unknown,
    });
    match mode.as_deref() {
        Some("off") if lists => draft.remark("off: the lists that are given are not asked"),
        Some("off") => {}
        Some("alert" | "deny") if lists => draft.changed("with the lists that are given, not Microsoft's"),
        Some("alert") => {
            draft.void("Microsoft's lists are not published: nothing is alerted without lists of one's own")
        }
        Some("deny") => draft.void(format!(
            "Microsoft's lists are not published: {}",
            nothing.unwrap_or("give lists of your own (`threat_intelligence.files`)")
        )),
        _ => draft.void("the mode is not known"),
    }
    draft
}

fn intrusion_detection(import: &Import<'_>, value: &Value) -> Draft {
    let mode = value.get("mode").unwrap_or(value);
    let affords = value.get("configuration").is_none_or(|lists| import.affords(lists));
    let is_off = is(mode, "off") || is(mode, "disabled");
    let lets_pass = affords && (is_off || is_harmless(mode)) && configuration_is_harmless(value.get("configuration"));
    let mut draft = Draft::new(if lets_pass { Effect::Allow } else { Effect::Unknown });
    if is_off && lets_pass {
        draft.remark("off in Azure as well");
    } else {
        draft.void("egret has no intrusion detection");
    }
    draft
}

/// A mode that is known, and lets pass what it sees.
pub(super) fn is_harmless(mode: &Value) -> bool {
    is(mode, "alert") || is(mode, "off")
}

/// Whether each signature that is set apart is known to let pass. What cannot be read may deny.
fn configuration_is_harmless(configuration: Option<&Value>) -> bool {
    let Some(configuration) = configuration else {
        return true;
    };
    let overrides = match configuration.as_object() {
        Some(object) => object.get("signatureOverrides"),
        None => return matches!(configuration.kind, Kind::Null),
    };
    match overrides.map(|overrides| &overrides.kind) {
        None | Some(Kind::Null) => true,
        Some(Kind::List(list)) => list.items.iter().all(|one| one.get("mode").is_some_and(is_harmless)),
        Some(_) => false,
    }
}

/// A `signatureOverrides` child of a policy: its signatures by number, each with its mode.
pub(super) fn signature_overrides(import: &Import<'_>, body: &Value) -> Draft {
    let signatures = property(body, "signatures").and_then(Value::as_object);
    let signatures = signatures.filter(|object| import.budget.looks(object.entries.len(), body.at));
    let lets_pass = signatures.is_some_and(|object| object.entries.iter().all(|(_, mode)| is_harmless(mode)));
    let mut draft = Draft::new(if lets_pass { Effect::Allow } else { Effect::Unknown });
    draft.void("egret has no intrusion detection");
    draft
}

pub(super) fn is(mode: &Value, word: &str) -> bool {
    mode.doubt().is_none() && mode.as_str().is_some_and(|mode| mode.eq_ignore_ascii_case(word))
}

/// What is not judged by threat intelligence: it allows, so that an entry that is not known is left out.
fn threat_allowlist(import: &Import<'_>, value: &Value) -> Draft {
    let mut draft = Draft::new(Effect::Allow);
    if !import.affords(value) {
        return draft;
    }
    if value.as_object().is_none() {
        draft.void("it is not known");
    }
    for key in ALLOWLIST {
        allowed(value, key, &mut draft);
    }
    draft
}

/// Its lists in a policy: addresses, and names.
const ALLOWLIST: [&str; 2] = ["ipAddresses", "fqdns"];

fn allowed(allowlist: &Value, key: &str, draft: &mut Draft) -> Vec<String> {
    let read = list(allowlist, key, draft, |text| match key == ALLOWLIST[0] {
        true => address(text),
        false => match FqdnPattern::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(fault) => Err(fault.to_string()),
        },
    });
    read.unwrap_or_default()
}

/// The strictest mode of a policy and its parents, with the lists that are given; `None` if no policy says one. A mode that is
/// not known may be Deny.
pub(super) fn threat_intelligence(import: &Import<'_>, bodies: &[&Value]) -> Option<ThreatIntelligence> {
    let options = import.options;
    let modes = || bodies.iter().filter_map(|body| property(body, "threatIntelMode"));
    modes().next()?;
    let mode = if !modes().all(is_harmless) {
        "Deny"
    } else if modes().any(|mode| is(mode, "alert")) {
        "Alert"
    } else {
        "Off"
    };
    let allowed = |key: &str| {
        let lists = bodies.iter().filter_map(|body| property(body, "threatIntelWhitelist"));
        lists
            .filter(|list| import.affords(list))
            .flat_map(|value| allowed(value, key, &mut Draft::new(Effect::Allow)))
            .collect()
    };
    Some(ThreatIntelligence {
        mode,
        files: options.threat_intelligence.clone(),
        allowed_addresses: allowed(ALLOWLIST[0]),
        allowed_fqdns: allowed(ALLOWLIST[1]),
    })
}
