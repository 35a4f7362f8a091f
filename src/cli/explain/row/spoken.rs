//! What was spoken in the attempt of a row, as far as it tells it, and what may have been.

use crate::policy::{
    Action, CompiledPolicy, DecidedBy, Evaluation, FlowAttempt, Fqdn, FqdnPattern, NoTrace, Protocol, Transport,
};

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

/// What comes to the proxy port for a name. `requested`: a CONNECT has a port, and may carry either; a request without one is one.
pub fn in_a_request(requested: &str) -> Vec<Option<Protocol>> {
    let authority = requested
        .get(..7)
        .is_none_or(|scheme| !scheme.eq_ignore_ascii_case("http://"));
    let with_port = requested
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match !requested.is_empty() && !(authority && with_port) {
        true => vec![Some(Protocol::Http)],
        false => vec![Some(Protocol::Https), Some(Protocol::Http)],
    }
}

/// What an application rule allows of packets to an address that no network rule takes, if HTTP or TLS is spoken in them and names
/// what the rule names: each name and pattern of a rule is tried.
pub fn allowed_within(policy: &CompiledPolicy, flow: &FlowAttempt<'_>, evaluation: &Evaluation) -> Option<Evaluation> {
    let tells = flow.name.is_some()
        || flow.protocol.is_some()
        || flow.transport != Transport::Tcp
        || evaluation.by != DecidedBy::Default;
    let rules = policy
        .application_rules()
        .filter(|rule| !tells && policy.action(*rule) == Action::Allow);
    let mut targets = rules.flat_map(|rule| policy.application_rule(rule).into_iter().flat_map(|rule| &rule.targets));
    targets.find_map(|target| {
        let name = some_name(&target.pattern)?;
        [Protocol::Https, Protocol::Http].into_iter().find_map(|protocol| {
            let flow = FlowAttempt {
                name: Some(&name),
                protocol: Some(protocol),
                ..*flow
            };
            let found = policy.evaluate(&flow, &mut NoTrace);
            (found.decision.action == Action::Allow).then_some(found)
        })
    })
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

    #[test]
    fn a_request_without_a_port_is_plain_http_and_a_connect_may_be_either() {
        let either = [Some(Protocol::Https), Some(Protocol::Http)];
        for (requested, spoken) in [
            ("a.example", &either[1..]),
            ("http://a.example:8080/x", &either[1..]),
            ("a.example:443", &either[..]),
            ("", &either[..]),
        ] {
            assert_eq!(in_a_request(requested), spoken, "{requested}");
        }
    }
}
