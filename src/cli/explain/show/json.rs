//! An [`Explanation`] for programs: one object, its keys as stable as the names of reasons.

use crate::{
    cli::explain::{Explanation, end::End, judged::Fared, nsg::Said, resolve::Resolution},
    policy::{Action, DecidedBy, Mode, Via, threat::Listed},
};
use serde_json::{Value, json};

/// The whole of it.
pub fn json(it: &Explanation) -> String {
    let judged = it.judged();
    let decision = it.told().map(|told| told.decision);
    // What the rules would let through behind audit mode, and what comes after them does not, is no audit.
    let audit = decision.filter(|decision| {
        decision.action == Action::Deny && decision.mode == Mode::Audit && it.end.as_ref().is_some_and(End::permitted)
    });
    let (target, told) = (&it.asked.target, it.doubt.is_none());
    let led_to = target.name().filter(|_| it.asked.via == Via::Explicit);
    let led_to = led_to.and_then(|name| it.resolved.of(name)).unwrap_or_default();
    let host = target.host.as_ref().ok().map(ToString::to_string);
    let value = json!({
        "target": it.asked.written,
        "host": host,
        "port": target.port,
        "source": it.asked.source,
        "via": match it.asked.via { Via::Explicit => "explicit", Via::Transparent => "transparent" },
        "destination": it.asked.destination.or(led_to.first().copied()),
        "name": target.name().map(|name| name.as_str()),
        "protocol": judged.and_then(|judged| judged.protocol).map(|protocol| format!("{protocol:?}")),
        "policy": it.policy.model().name,
        "hash": it.hash,
        "threat": it.told().and_then(|told| told.threat).map(|threat| json!({
            "mode": format!("{:?}", threat.mode),
            "listed": listed(threat.listed),
        })),
        "by": it.told().map(|told| format!("{:?}", told.by)),
        "action": told.then(|| format!("{:?}", decision.map_or(Action::Deny, |decision| decision.action))),
        "reason": told.then(|| it.reason().name()),
        "rule": decision.and_then(|decision| decision.rule).map(|rule| it.label(rule)),
        "behind": audit.and_then(|decision| decision.behind).map(|rule| it.label(rule)),
        "ties": super::ties(it),
        "audit": audit.is_some(),
        "wide": decision.is_some_and(|decision| decision.wide),
        "never_dialled": it.never_dialled(),
        "permitted": told.then(|| it.permitted()),
        "doubt": it.doubt,
        "not_enforced": it.policy.model().not_enforced,
        "rules": steps(it),
        "advice": it.change,
        "resolution": it.resolution().map(|resolution| resolved(it, resolution)),
        "network_security_groups": it.groups.iter().map(group).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn listed(listed: Listed) -> String {
    match listed {
        Listed::Name => "name".into(),
        Listed::Destination(ip) | Listed::Source(ip) => ip.to_string(),
    }
}

fn steps(it: &Explanation) -> Vec<Value> {
    let steps = it.judged().into_iter().flat_map(|judged| &judged.steps);
    let shown = steps.map(|step| {
        let kind = it.policy.kind(step.rule).unwrap_or(DecidedBy::Default);
        let outcome = match step.fared {
            Fared::Application(outcome) => format!("{outcome:?}"),
            Fared::Packet(misses) if misses.count() == 0 => "Matched".into(),
            Fared::Packet(misses) => {
                let words = [
                    (misses.source, "Source"),
                    (misses.protocol, "Protocol"),
                    (misses.destination, "Destination"),
                    (misses.port, "Port"),
                ];
                let missed = words.iter().filter(|(missed, _)| *missed).map(|(_, word)| *word);
                missed.collect::<Vec<_>>().join("And") + "Differs"
            }
        };
        json!({
            "kind": format!("{kind:?}"),
            "rule": it.label(step.rule),
            "action": format!("{:?}", it.policy.action(step.rule)),
            "outcome": outcome,
        })
    });
    shown.collect()
}

fn group(said: &Said) -> Value {
    json!({
        "group": said.group,
        "rule": said.rule,
        "priority": said.priority,
        "action": if said.allows { "Allow" } else { "Deny" },
        "destination": said.packet.destination,
        "port": said.packet.port,
    })
}

fn resolved(it: &Explanation, resolution: &Resolution) -> Value {
    let answer = resolution.answer.as_ref();
    let links = answer.iter().flat_map(|answer| &answer.links).map(|link| {
        json!({
            "owner": link.owner.as_str(), "target": link.target.as_str(), "zone": link.zone, "server": link.server,
            "ttl": link.ttl,
        })
    });
    let addresses = answer.iter().flat_map(|answer| &answer.addresses).map(|address| {
        json!({
            "owner": address.owner.as_str(), "address": address.ip, "zone": address.zone, "server": address.server,
            "ttl": address.ttl,
        })
    });
    let denied = resolution.denied.iter().map(|(ip, judged)| {
        let decision = judged.evaluation.decision;
        json!({ "address": ip, "reason": decision.reason.name(), "rule": decision.rule.map(|rule| it.label(rule)) })
    });
    json!({
        "links": links.collect::<Vec<_>>(),
        "addresses": addresses.collect::<Vec<_>>(),
        "error": answer.err().map(ToString::to_string),
        "dialled": resolution.vetted.as_ref().ok(),
        "reason": resolution.vetted.as_ref().err().map(|reason| reason.name()),
        "refused": resolution.refused,
        "denied": denied.collect::<Vec<_>>(),
        "public_resolution": resolution.public_resolution,
    })
}
