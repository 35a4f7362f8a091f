//! An [`Explanation`] as text for people and as JSON.

use super::{Explanation, Step, resolve::Resolution};
use crate::policy::{Action, Mode, Protocol, decide::RuleOutcome};
use serde_json::{Value, json};
use std::fmt::Write;

/// So many rules in a row that do not name the target are told of one by one; more are counted.
const LONGEST_RUN: usize = 3;

/// For people.
pub fn text(it: &Explanation) -> String {
    let mut text = String::new();
    let port = it.target.port.map_or_else(|| "?".to_owned(), |port| port.to_string());
    let way = match it.target.protocol {
        None => "CONNECT",
        Some(Protocol::Https) => "https",
        Some(Protocol::Http) => "http",
    };
    let _ = writeln!(text, "{way} {}:{port} from {}\n", escaped(&it.target.host), it.source);
    if let Ok(name) = &it.name {
        let written = if name.as_str() == it.target.host {
            ""
        } else {
            "  (normalised)"
        };
        let _ = writeln!(text, "name       {name}{written}");
        let _ = writeln!(text, "judged as  {:?}, port {port}", it.protocol);
    }
    let mode = if it.policy.mode() == Mode::Audit {
        "audit"
    } else {
        "enforce"
    };
    let _ = writeln!(text, "policy     {}, {mode}, hash {}", it.policy.model().name, it.hash);
    rules(it, &mut text);
    decision(it, &mut text);
    if let Some(resolution) = &it.resolution {
        resolved(resolution, &mut text);
    }
    for (number, advice) in it.advice.iter().enumerate() {
        let _ = writeln!(
            text,
            "{}{advice}",
            if number == 0 { "\nto change  " } else { "           " }
        );
    }
    text
}

fn rules(it: &Explanation, text: &mut String) {
    if it.steps.is_empty() {
        return;
    }
    text.push_str("\nrules, in the order in which they are judged\n");
    let runs: Vec<&[Step]> = it.steps.chunk_by(|one, next| !told(one) && !told(next)).collect();
    let shown = runs
        .iter()
        .filter(|run| run.len() <= LONGEST_RUN)
        .flat_map(|run| run.iter());
    let width = shown.map(|step| it.label(step.rule).len()).max().unwrap_or(0);
    for run in runs {
        if run.len() > LONGEST_RUN {
            let _ = writeln!(text, "  .. {} rules that do not name it", run.len());
            continue;
        }
        for step in run {
            let (label, action) = (it.label(step.rule), it.policy.action(step.rule));
            let _ = writeln!(
                text,
                "  {label:width$}  {:5}  {}",
                format!("{action:?}"),
                it.outcome(step)
            );
        }
    }
}

/// Whether the rule names the target.
fn told(step: &Step) -> bool {
    step.outcome != RuleOutcome::NameDiffers
}

fn decision(it: &Explanation, text: &mut String) {
    let by = it
        .rule
        .map_or_else(String::new, |rule| format!(" by {}", it.label(rule)));
    let _ = writeln!(text, "\ndecision   {:?}, {}{by}", it.action, it.reason);
    if it.action == Action::Deny {
        let _ = writeln!(text, "           {}", it.reason.row().meaning);
    }
    if it.action == Action::Deny && it.mode == Mode::Audit {
        text.push_str("           audit: it is let through all the same, and recorded as denied\n");
    }
    if it.wide {
        text.push_str("           wide: the rule admits every tenant's resource of this kind\n");
    }
}

fn resolved(resolution: &Resolution, text: &mut String) {
    match &resolution.answer {
        Err(error) => {
            let _ = writeln!(text, "\nresolved   no: {error}");
        }
        Ok(answer) => {
            text.push_str("\nresolved\n");
            for link in &answer.links {
                let _ = writeln!(
                    text,
                    "  {} -> {}  (zone {}, {})",
                    link.owner, link.target, link.zone, link.server
                );
            }
            for address in &answer.addresses {
                let _ = writeln!(
                    text,
                    "  {} = {}  (zone {}, {})",
                    address.owner, address.ip, address.zone, address.server
                );
            }
        }
    }
    let _ = match &resolution.vetted {
        Ok(addresses) => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            writeln!(text, "dialled    {}", list.join(", "))
        }
        Err(reason) => writeln!(text, "dialled    nothing: {reason}. {}", reason.row().remedy),
    };
    if resolution.public_resolution {
        text.push_str("           public: a private endpoint was expected for this name\n");
    }
}

/// A host that came from the command line may hold anything.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// For programs: one object, its keys as stable as the names of reasons.
pub fn json(it: &Explanation) -> String {
    let steps: Vec<Value> = it
        .steps
        .iter()
        .map(|step| {
            let action = format!("{:?}", it.policy.action(step.rule));
            json!({ "rule": it.label(step.rule), "action": action, "outcome": format!("{:?}", step.outcome) })
        })
        .collect();
    let value = json!({
        "host": it.target.host,
        "port": it.target.port,
        "source": it.source,
        "name": it.name.as_ref().ok().map(|name| name.as_str()),
        "protocol": format!("{:?}", it.protocol),
        "policy": it.policy.model().name,
        "hash": it.hash,
        "action": format!("{:?}", it.action),
        "reason": it.reason.name(),
        "rule": it.rule.map(|rule| it.label(rule)),
        "audit": it.mode == Mode::Audit,
        "wide": it.wide,
        "permitted": it.permitted,
        "rules": steps,
        "advice": it.advice,
        "resolution": it.resolution.as_ref().map(resolution_json),
    });
    format!("{value:#}\n")
}

fn resolution_json(resolution: &Resolution) -> Value {
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
    json!({
        "links": links.collect::<Vec<_>>(),
        "addresses": addresses.collect::<Vec<_>>(),
        "error": answer.err().map(ToString::to_string),
        "dialled": resolution.vetted.as_ref().ok(),
        "reason": resolution.vetted.as_ref().err().map(|reason| reason.name()),
        "refused": resolution.refused,
        "public_resolution": resolution.public_resolution,
    })
}
