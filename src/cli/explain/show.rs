//! An [`Explanation`] as text for people; [`json`] for programs.

pub mod json;

use super::{
    Explanation,
    judged::{Judged, Step},
    resolve::Resolution,
};
use crate::{
    expect::target::Speaks,
    policy::{Action, DecidedBy, Evaluation, Fqdn, Mode, Protocol, Transport, Via, threat::Listed},
    printable::printable,
};
use std::fmt::Write;

/// So many rules in a row that do not come near are told of one by one; more are counted.
const LONGEST_RUN: usize = 3;

/// For people.
pub fn text(it: &Explanation) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} from {}{}\n", asked(it), it.asked.source, routed(it));
    head(it, &mut text);
    if !it.groups.is_empty() {
        groups(it, &mut text);
    }
    if let Some(judged) = it.judged() {
        stages(it, judged, &mut text);
    }
    decision(it, &mut text);
    not_enforced(it, &mut text);
    if let Some(resolution) = it.resolution() {
        resolved(it, resolution, &mut text);
    }
    for (number, change) in it.change.iter().enumerate() {
        let _ = writeln!(
            text,
            "{}{change}",
            if number == 0 { "\nto change  " } else { "           " }
        );
    }
    text
}

/// Most denials that are told of one by one; the report of the import has all.
const MOST_DENIALS: usize = 5;

/// What the imported policy denies in Azure, and nothing denies here: it may deny what is allowed above.
fn not_enforced(it: &Explanation, text: &mut String) {
    let denials = &it.policy.model().not_enforced;
    if !it.permitted() || denials.is_empty() {
        return;
    }
    text.push_str("\nNOT ENFORCED: in Azure this may be denied by what is not carried out here:\n");
    for denial in denials.iter().take(MOST_DENIALS) {
        let _ = writeln!(text, "  {}", printable(denial));
    }
    if let Some(more) = denials.len().checked_sub(MOST_DENIALS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
}

/// What was asked, as a client would send it.
fn asked(it: &Explanation) -> String {
    let target = &it.asked.target;
    let way = match (target.speaks, it.asked.via, target.transport) {
        (Speaks::Known(Protocol::Https), ..) => "https",
        (Speaks::Known(Protocol::Http), ..) => "http",
        (Speaks::Neither, _, Transport::Udp) => "udp",
        (Speaks::Neither, _, Transport::Icmp) => "icmp",
        (Speaks::Neither, Via::Transparent, _) => "tcp",
        (Speaks::Open, Via::Transparent, _) => "tcp",
        _ => "CONNECT",
    };
    let (_, written) = it.asked.written.split_once("://").unwrap_or(("", &it.asked.written));
    let host = match &target.host {
        Ok(_) if target.speaks == Speaks::Open => written.rsplit_once(':').map_or(written, |(host, _)| host),
        Ok(host) => return format!("{way} {}", with_port(&host.to_string(), target.port, target.transport)),
        Err(_) => return format!("{way} {}", printable(written)),
    };
    format!("{way} {}", with_port(&printable(host), target.port, target.transport))
}

fn with_port(host: &str, port: u16, transport: Transport) -> String {
    match transport.has_ports() {
        true => format!("{host}:{port}"),
        false => host.to_owned(),
    }
}

fn routed(it: &Explanation) -> String {
    match (it.asked.via, it.asked.destination, it.asked.target.name()) {
        (Via::Transparent, Some(ip), Some(_)) => format!(", routed to {ip}"),
        (Via::Transparent, _, None) => ", routed".into(),
        (Via::Explicit, _, Some(name)) => leading_to(it, name),
        _ => String::new(),
    }
}

/// Where the name leads as was said.
fn leading_to(it: &Explanation, name: &Fqdn) -> String {
    let addresses: Vec<String> = match it.resolved.of(name) {
        None => return String::new(),
        Some([]) => return ", leading nowhere".into(),
        Some(addresses) => addresses.iter().map(ToString::to_string).collect(),
    };
    format!(", leading to {}", addresses.join(", "))
}

fn head(it: &Explanation, text: &mut String) {
    let target = &it.asked.target;
    if let Some(name) = target.name() {
        let same = it.asked.written.contains(name.as_str());
        let _ = writeln!(text, "name       {name}{}", if same { "" } else { "  (normalised)" });
    }
    if let Some(judged) = it.judged() {
        let what = match (judged.protocol, target.transport) {
            (Some(protocol), _) => format!("{protocol:?}, port {}", target.port),
            (None, Transport::Tcp) => format!("TCP, port {}", target.port),
            (None, Transport::Udp) => format!("UDP, port {}", target.port),
            (None, Transport::Icmp) => "ICMP".into(),
            (None, Transport::Other(number)) => format!("IP protocol {number}"),
        };
        let _ = writeln!(text, "judged as  {what}");
    }
    let mode = match it.policy.mode() {
        Mode::Audit => "audit",
        Mode::Enforce => "enforce",
    };
    let _ = writeln!(text, "policy     {}, {mode}, hash {}", it.policy.model().name, it.hash);
}

fn groups(it: &Explanation, text: &mut String) {
    let packet = it.groups[0].packet;
    let port = with_port(&packet.destination.to_string(), packet.port, packet.transport);
    let _ = writeln!(
        text,
        "\nnetwork security groups, before the firewall, on the way to {port}"
    );
    for said in &it.groups {
        let action = if said.allows { "Allow" } else { "Deny " };
        let stop = if said.allows {
            ""
        } else {
            ": it never comes to the firewall"
        };
        let _ = writeln!(
            text,
            "  {}/{} ({})  {action}{stop}",
            said.group, said.rule, said.priority
        );
    }
}

/// What stands at the same priority as the rule that decided.
fn ties(it: &Explanation) -> Vec<String> {
    let Some(rule) = it.told().and_then(|told| told.decision.rule) else {
        return Vec::new();
    };
    let ties = it.policy.ties(rule);
    let collections = ties.collections.iter().map(|name| format!("collection `{name}`"));
    let groups = ties.groups.iter().map(|name| format!("group `{name}`"));
    collections.chain(groups).collect()
}

/// Every kind in its turn: what was asked of it, and what it said.
fn stages(it: &Explanation, judged: &Judged, text: &mut String) {
    text.push_str("\nin the order in which it is judged\n");
    let _ = writeln!(text, "threat intelligence  {}", threat(it, judged));
    let of = |kind: DecidedBy| {
        let steps = judged
            .steps
            .iter()
            .filter(|step| it.policy.kind(step.rule) == Some(kind));
        steps.copied().collect::<Vec<Step>>()
    };
    let model = it.policy.model();
    let explicit = it.asked.via == Via::Explicit;
    let nameless = judged.protocol.is_none() || it.asked.target.name().is_none();
    let mut of_names = it.policy.application_rules();
    let application = of_names.any(|rule| it.policy.kind(rule) == Some(DecidedBy::Application));
    let Evaluation { by, decision, .. } = judged.evaluation;
    let by = decision.behind.and_then(|rule| it.policy.kind(rule)).unwrap_or(by);
    stage(it, "DNAT rules", &of(DecidedBy::Nat), text, || match () {
        () if by < DecidedBy::Nat => "not asked",
        () if explicit => "not asked: what comes to the proxy port has no address to translate",
        () if it.policy.nat_rules().next().is_some() => "not asked",
        () => "none",
    });
    stage(it, "network rules", &of(DecidedBy::Network), text, || match () {
        () if by < DecidedBy::Network => "not asked",
        () if explicit && !model.explicit_network_rules => "not asked at the proxy port, as in Azure",
        () if it.policy.network_rules().next().is_some() => "not asked",
        () => "none",
    });
    stage(it, "application rules", &of(DecidedBy::Application), text, || {
        match () {
            () if by < DecidedBy::Application => "not asked",
            () if nameless => "not asked: they know names, over HTTP and TLS",
            () if application => "not asked",
            () => "none",
        }
    });
    stage(it, "infrastructure", &of(DecidedBy::Infrastructure), text, || {
        match () {
            () if by < DecidedBy::Infrastructure => "not asked",
            () if model.infrastructure.is_empty() => "empty",
            () if nameless => "not asked: it knows names, over HTTP and TLS",
            () => "not asked",
        }
    });
    let end = if by == DecidedBy::Default {
        "the evaluation ends here"
    } else {
        "not reached"
    };
    let _ = writeln!(text, "default              {end}");
}

fn threat(it: &Explanation, judged: &Judged) -> String {
    let lists = &it.policy.model().threat_intelligence;
    match judged.evaluation.threat {
        Some(threat) => {
            let what = match threat.listed {
                Listed::Name => "the name is listed".into(),
                Listed::Destination(ip) => format!("{ip} is listed"),
                Listed::Source(ip) => format!("the source {ip} is listed"),
            };
            let end = match judged.evaluation.by {
                DecidedBy::ThreatIntelligence => "the evaluation ends here",
                _ => "recorded (Alert), and judged on",
            };
            format!("{what}: {end}")
        }
        None if lists.addresses.is_empty() && lists.fqdns.is_empty() => "no lists".into(),
        None if lists.mode == crate::policy::ThreatMode::Off => "off".into(),
        None => "not listed".into(),
    }
}

fn stage(it: &Explanation, title: &str, steps: &[Step], text: &mut String, empty: impl Fn() -> &'static str) {
    if steps.is_empty() {
        let _ = writeln!(text, "{title:19}  {}", empty());
        return;
    }
    let _ = writeln!(text, "{title}");
    let runs: Vec<&[Step]> = steps
        .chunk_by(|one, next| !one.fared.near() && !next.fared.near())
        .collect();
    let shown = runs
        .iter()
        .filter(|run| run.len() <= LONGEST_RUN)
        .flat_map(|run| run.iter());
    let width = shown.map(|step| it.label(step.rule).len()).max().unwrap_or(0);
    for run in runs {
        if run.len() > LONGEST_RUN {
            let _ = writeln!(text, "  .. {} rules that do not come near", run.len());
            continue;
        }
        for step in run {
            let (label, action) = (it.label(step.rule), format!("{:?}", it.policy.action(step.rule)));
            let _ = writeln!(text, "  {label:width$}  {action:5}  {}", it.outcome(step));
        }
    }
}

fn decision(it: &Explanation, text: &mut String) {
    let judged = it.told().map(|told| told.decision);
    let action = judged.map_or(Action::Deny, |decision| decision.action);
    let by = judged.and_then(|decision| decision.rule);
    let by = by.map_or_else(String::new, |rule| format!(" by {}", it.label(rule)));
    if let Some(doubt) = &it.doubt {
        let _ = writeln!(text, "\ndecision   could not be told: {doubt}");
        return;
    }
    let _ = writeln!(text, "\ndecision   {action:?}, {}{by}", it.reason());
    for tie in ties(it) {
        let _ = writeln!(
            text,
            "           tie: {tie} has the same priority: the order of the file decides"
        );
    }
    if action == Action::Deny {
        let _ = writeln!(text, "           {}", it.reason().row().meaning);
    }
    if action == Action::Deny && judged.is_some_and(|decision| decision.mode == Mode::Audit) {
        let behind = judged.and_then(|decision| decision.behind);
        let by = behind.map_or_else(String::new, |rule| format!(" by {}", it.label(rule)));
        let _ = match it.permitted() {
            true => writeln!(
                text,
                "           audit: it is let through all the same{by}, and recorded as denied"
            ),
            false => writeln!(
                text,
                "           audit: the rules alone would let it through{by}, and what comes beside them does not"
            ),
        };
    }
    if judged.is_some_and(|decision| decision.wide) {
        text.push_str("           wide: the rule admits every tenant's resource of this kind\n");
    }
    if it.never_dialled() {
        text.push_str("           denied all the same: this address is never dialled, or no rule vouches for it (AddressDenied)\n");
    }
    let allowing = judged.and_then(|decision| decision.allowing());
    let ungated =
        it.asked.via == Via::Explicit && allowing.and_then(|rule| it.policy.kind(rule)) == Some(DecidedBy::Network);
    if ungated {
        text.push_str("           not gated: whatever is spoken in the tunnel passes\n");
    }
}

fn resolved(it: &Explanation, resolution: &Resolution, text: &mut String) {
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
    for (ip, judged) in &resolution.denied {
        let decision = judged.evaluation.decision;
        let by = match decision.rule {
            Some(rule) => format!("network rule {}", it.label(rule)),
            None => "threat intelligence".into(),
        };
        let _ = writeln!(text, "  {ip} is denied by {by}");
    }
    let _ = match &resolution.vetted {
        Ok(addresses) => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            writeln!(text, "dialled    {}", list.join(", "))
        }
        Err(reason) => writeln!(text, "dialled    nothing: {reason}. {}", resolution.remedy(*reason)),
    };
    if resolution.public_resolution {
        text.push_str("           public: a private endpoint was expected for this name\n");
    }
}
