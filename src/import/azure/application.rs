//! Application rules: FQDNs and FQDN tags are carried; URLs, web categories and what else needs TLS inspection are not.

use super::{
    collections::Reader,
    draft::Draft,
    fields::{list, says_something, unknown_fields},
};
use crate::{
    catalogue::AZURE_FQDN_TAGS,
    import::{
        model::{ApplicationRule, Origin},
        value::{Kind, Value},
    },
    policy::FqdnPattern,
};
use std::collections::HashSet;

const FIELDS: [&str; 17] = [
    "ruleType",
    "ruleConditionType",
    "name",
    "description",
    "protocols",
    "sourceAddresses",
    "sourceIpGroups",
    "sourceKubeSelectorGroups",
    "destinationAddresses",
    "targetFqdns",
    "targetUrls",
    "fqdnTags",
    "webCategories",
    "terminateTLS",
    "httpHeadersToInsert",
    "id",
    "etag",
];

impl Reader<'_> {
    /// A rule, as far as it can be carried; what cannot be is in the draft.
    pub(super) fn application_rule(
        &self,
        rule: &Value,
        name: String,
        origin: Origin,
        draft: &mut Draft,
    ) -> ApplicationRule {
        unknown_fields(rule, &FIELDS, draft);
        let sources = self.sources(rule, draft);
        let protocols = protocols(rule, draft);
        let before = draft.missing_parts();
        let fqdns = list(rule, "targetFqdns", draft, |text| self.pattern(text));
        let fqdn_tags = list(rule, "fqdnTags", draft, |tag| self.fqdn_tag(tag));
        not_carried(rule, draft);
        let carried = fqdns.iter().flatten().count() + fqdn_tags.iter().flatten().count();
        self.inspected(rule, carried > 0, draft);
        if carried == 0 {
            if draft.missing_parts() > before {
                draft.void("none of its destinations can be carried");
            } else if fqdns.is_none() && fqdn_tags.is_none() {
                draft.void("it names no destination");
            } else {
                draft.nothing("destinations");
            }
        }
        if fqdn_tags.iter().flatten().next().is_some() {
            let note = "Azure does not publish what an FQDN tag holds: egret's own list stands for it";
            match draft.denies() {
                true => draft.missing(format!("{note}, and may hold less")),
                false => draft.changed(note),
            }
        }
        let fqdns = fqdns.unwrap_or_default();
        let allow_wide = fqdns.iter().any(|(_, wide)| *wide);
        if allow_wide {
            let wide = fqdns.iter().find(|(_, wide)| *wide).map_or("*", |(text, _)| text);
            draft.remark(format!(
                "`{wide}` matches names of everybody, as in Azure: `allow_wide = true`"
            ));
        }
        let fqdns: Vec<String> = fqdns.into_iter().map(|(text, _)| text).collect();
        let fqdn_tags = fqdn_tags.filter(|tags| !tags.is_empty());
        ApplicationRule {
            name,
            description: self.description(rule),
            sources,
            protocols,
            fqdns: (!fqdns.is_empty() || fqdn_tags.is_none()).then_some(fqdns),
            fqdn_tags,
            allow_wide,
            origin,
        }
    }

    /// The pattern as it is written, and whether it needs `allow_wide`.
    fn pattern(&self, text: &str) -> Result<(String, bool), String> {
        let pattern = FqdnPattern::parse(text).map_err(|fault| fault.to_string())?;
        let mut tags = self.options.catalogue.tags();
        if tags.any(|tag| tag.name().eq_ignore_ascii_case(text)) {
            return Err("is an FQDN tag, not a name".into());
        }
        Ok((text.to_owned(), pattern.needs_allow_wide()))
    }

    /// The catalogue's name of a tag of Azure's. Other tags of the catalogue are egret's own, which Azure refuses.
    fn fqdn_tag(&self, tag: &str) -> Result<String, String> {
        let azures = AZURE_FQDN_TAGS.iter().find(|known| known.eq_ignore_ascii_case(tag));
        match azures.filter(|name| self.options.catalogue.tag(name).is_some()) {
            Some(name) => Ok((*name).to_owned()),
            None => Err("egret has no list for this FQDN tag; Azure does not publish what its tags hold".into()),
        }
    }

    /// `terminateTLS`: without inspection, only names can be matched, by SNI, and only if that is asked for.
    fn inspected(&self, rule: &Value, has_names: bool, draft: &mut Draft) {
        let Some(flag) = rule.get("terminateTLS") else {
            return;
        };
        if flag.as_bool() == Some(false) {
            return;
        }
        if !self.options.sni || !has_names {
            let hint = if has_names {
                " (`uninspected = \"sni\"` matches it by SNI)"
            } else {
                ""
            };
            draft.void(format!("`terminateTLS`: egret does not inspect TLS{hint}"));
        } else if draft.denies() {
            draft.missing("TLS is inspected in Azure, here it is matched by SNI alone: a Host inside may differ");
        } else {
            draft.changed("TLS is inspected in Azure, here it is matched by SNI alone");
        }
    }
}

/// What egret cannot match: each entry is one that an allow rule does without.
fn not_carried(rule: &Value, draft: &mut Draft) {
    for (key, why) in [
        ("targetUrls", "paths inside TLS need inspection"),
        ("webCategories", "Azure does not publish which names a category holds"),
    ] {
        if let Some(value) = rule.get(key).filter(|value| says_something(value)) {
            let entries: Vec<&str> = value
                .as_list()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            draft.missing(format!(
                "`{key}` {}: {why}",
                crate::import::json::shown(&entries.join(", "))
            ));
        }
    }
    if rule
        .get("destinationAddresses")
        .is_some_and(|value| says_something(value) && !is_any(value))
    {
        draft.void("`destinationAddresses` of an application rule: egret connects to its own resolution of the name");
    }
    if rule.get("httpHeadersToInsert").is_some_and(says_something) {
        match draft.denies() {
            true => draft.remark("`httpHeadersToInsert` of what is denied has no effect"),
            false => draft.void("`httpHeadersToInsert`: without the header, more would be let through than in Azure"),
        }
    }
}

fn is_any(value: &Value) -> bool {
    value
        .as_list()
        .is_some_and(|items| items.iter().any(|item| item.as_str() == Some("*")))
}

fn protocols(rule: &Value, draft: &mut Draft) -> Vec<(&'static str, u16)> {
    let before = draft.missing_parts();
    let items = match rule.get("protocols").map(|value| (&value.kind, value)) {
        None if draft.denies() => {
            draft.void("it names no protocol");
            return Vec::new();
        }
        None => {
            draft.changed("it names no protocol: Https 443");
            return vec![("Https", 443)];
        }
        Some((Kind::List(list), _)) => list.items.as_slice(),
        Some((Kind::Object(_) | Kind::Text(_), value)) => std::slice::from_ref(value),
        Some((_, value)) => {
            let why = value.as_unknown().map_or("it is no list", |unknown| &unknown.why);
            draft.missing(format!("`protocols` is not known: {why}"));
            &[]
        }
    };
    let (mut protocols, mut seen) = (Vec::new(), HashSet::new());
    for item in items {
        match protocol(item) {
            Ok(read) => protocols.extend(seen.insert(read).then_some(read)),
            Err(fault) => draft.missing(fault),
        }
    }
    match draft.missing_parts() > before {
        _ if !protocols.is_empty() => {}
        true => draft.void("none of its protocols can be carried"),
        false => draft.nothing("protocols"),
    }
    protocols
}

/// `{ protocolType, port }`, or `Https:443` as the command line of `az` has it.
fn protocol(item: &Value) -> Result<(&'static str, u16), String> {
    if let Some(doubt) = item.doubt() {
        return Err(format!("a protocol is not known: {}", doubt.why));
    }
    let (kind, port) = match item.as_str() {
        Some(text) => {
            let (kind, port) = text.split_once([':', '=']).unwrap_or((text, ""));
            (
                kind.trim().to_owned(),
                (!port.is_empty()).then(|| port.trim().parse().ok()),
            )
        }
        None => {
            let kind = item.get("protocolType").ok_or("a protocol without `protocolType`")?;
            if let Some(doubt) = kind.doubt() {
                return Err(format!("a protocol is not known: {}", doubt.why));
            }
            let kind = kind.as_str().unwrap_or_default().to_owned();
            (kind, item.get("port").map(Value::as_int))
        }
    };
    let (kind, usual) = match kind.to_ascii_lowercase().as_str() {
        "http" => ("Http", 80),
        "https" => ("Https", 443),
        "mssql" => return Err("`Mssql` is not spoken by egret".into()),
        _ => {
            return Err(format!(
                "`{}` is no protocol of application rules",
                crate::import::json::shown(&kind)
            ));
        }
    };
    let port = match port {
        None => usual,
        Some(port) => {
            let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            port.ok_or_else(|| format!("the port of `{kind}` is not known or no port"))?
        }
    };
    Ok((kind, port))
}
