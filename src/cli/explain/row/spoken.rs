//! What was spoken in the attempt of a row, as far as it tells it, and what may have been.

use crate::policy::{
    Action, CompiledPolicy, DecidedBy, Evaluation, FlowAttempt, Fqdn, FqdnPattern, NoTrace, Protocol, Resolved,
    Transport,
};
use serde_json::Value;

/// A label that no rule has, for a name that a star admits.
const SOME_LABEL: &str = "q7z5x2";

/// What column `Protocol` names. MSSQL is neither: egret has no application rules for it.
pub fn named(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Some(Protocol::Https),
        "http" => Some(Protocol::Http),
        _ => None,
    }
}

/// What came to the proxy port for a name, by the `egret` of its row. A CONNECT does not say it; a ClientHello and a request do. Older
/// rows of network rules do not tell where their name comes from: what has no port is no CONNECT.
pub fn in_a_request(ours: &Value) -> Vec<Option<Protocol>> {
    let requested = ours["requested"].as_str().unwrap_or_default();
    let port = requested
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    match (ours["name_source"].as_str(), port) {
        (Some("sni"), _) => vec![Some(Protocol::Https)],
        (Some("host"), _) => vec![Some(Protocol::Http)],
        (None, None) if !requested.is_empty() => vec![Some(Protocol::Http)],
        (_, _) => vec![Some(Protocol::Https), Some(Protocol::Http)],
    }
}

/// What an application rule allows of packets to an address that no network rule takes, if HTTP or TLS is spoken in them and names
/// what the rule names: each name and pattern of a rule is tried. Where the names of network rules lead is not known: it may be
/// elsewhere, so that none of these rules matches before.
pub fn allowed_within(policy: &CompiledPolicy, flow: &FlowAttempt<'_>, evaluation: &Evaluation) -> Option<Evaluation> {
    let tells = flow.name.is_some()
        || flow.protocol.is_some()
        || flow.transport != Transport::Tcp
        || evaluation.by != DecidedBy::Default;
    let rules = policy
        .application_rules()
        .filter(|rule| !tells && policy.action(*rule) == Action::Allow && policy.is_for(*rule, flow.source));
    let rules = rules.filter_map(|rule| policy.application_rule(rule));
    let elsewhere = match tells {
        true => Resolved::default(),
        false => all_elsewhere(policy),
    };
    // A rule may have thousands of names: what is on no port of it is none of theirs.
    let mut targets = rules.flat_map(|rule| {
        let spoken = rule.protocols.iter().filter(|spoken| spoken.port == flow.port);
        let spoken = spoken.map(|spoken| spoken.protocol);
        spoken.flat_map(|protocol| rule.targets.iter().map(move |target| (target, protocol)))
    });
    targets.find_map(|(target, protocol)| {
        let name = some_name(&target.pattern)?;
        let flow = FlowAttempt {
            name: Some(&name),
            protocol: Some(protocol),
            resolved: &elsewhere,
            ..*flow
        };
        let found = policy.evaluate(&flow, &mut NoTrace);
        (found.decision.action == Action::Allow).then_some(found)
    })
}

/// No name of a network rule leads to an address that anybody asks for.
fn all_elsewhere(policy: &CompiledPolicy) -> Resolved {
    let mut elsewhere = Resolved::default();
    let rules = policy.network_rules().filter_map(|rule| policy.network_rule(rule));
    for name in rules.flat_map(|rule| &rule.destinations.fqdns) {
        elsewhere.set(name.clone(), Vec::new());
    }
    elsewhere
}

/// A name that the pattern admits, and no other one by chance.
fn some_name(pattern: &FqdnPattern) -> Option<Fqdn> {
    match pattern {
        FqdnPattern::Exact(name) => Some(name.clone()),
        FqdnPattern::Below(zone) => Fqdn::parse(&format!("{SOME_LABEL}.{zone}")).ok(),
        FqdnPattern::EndsWith(ending) => Fqdn::parse(&format!("{SOME_LABEL}{ending}")).ok(),
        FqdnPattern::Any => Fqdn::parse(&format!("{SOME_LABEL}.{SOME_LABEL}")).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_without_a_port_is_plain_http_and_a_connect_may_be_either() {
        let either = [Some(Protocol::Https), Some(Protocol::Http)];
        for (ours, spoken) in [
            (json!({ "requested": "a.example" }), &either[1..]),
            (json!({ "requested": "a.example:443" }), &either[..]),
            (
                json!({ "requested": "a.example:443", "name_source": "connect" }),
                &either[..],
            ),
            (
                json!({ "requested": "a.example:443", "name_source": "host" }),
                &either[1..],
            ),
            (
                json!({ "requested": "b.example:443", "name_source": "sni" }),
                &either[..1],
            ),
            (json!({}), &either[..]),
        ] {
            assert_eq!(in_a_request(&ours), spoken, "{ours}");
        }
    }
}
