//! The one change that would flip a decision: each is tried on the policy before it is told.

use super::{
    Explanation,
    judged::{self, Fared, Step},
};
use crate::{
    catalogue::Catalogue,
    policy::{
        Action, CompiledPolicy, DecidedBy, Fqdn, FqdnPattern, IpProtocol, Misses, PortRange, ProtocolPort, Reason,
        RuleId, RuleOutcome, Rules, Sources, TargetFqdn, Transport, Via, compile::Mutation, threat::Listed,
    },
};
use std::net::IpAddr;

/// Rules that are tried: each is a policy compiled anew.
const MOST_TRIED: usize = 8;

/// What would have to change. Of a denial the first line is one change that was tried and lets it through, if there is one.
pub fn changes(it: &Explanation) -> Vec<String> {
    let Some(judged) = &it.judged else { return Vec::new() };
    let decision = judged.evaluation.decision;
    match (decision.action, decision.rule) {
        (Action::Allow, Some(rule)) => vec![allowed(it, rule)],
        (Action::Allow, None) => Vec::new(),
        (Action::Deny, Some(rule)) => vec![denied(it, rule)],
        (Action::Deny, None) if judged.evaluation.by == DecidedBy::ThreatIntelligence => vec![listed(it)],
        (Action::Deny, None) => not_matched(it),
    }
}

/// Whether the attempt is allowed under another policy.
fn allows(it: &Explanation, policy: &CompiledPolicy) -> bool {
    let found = judged::judge(policy, &it.asked, &it.resolved);
    found.evaluation.decision.action == Action::Allow
}

/// What decides without a rule: in words.
fn without(it: &Explanation, rule: RuleId) -> (Action, String) {
    let mut policy = CompiledPolicy::new(it.policy.model().clone());
    let found = policy.mutated(rule, Mutation::Deleted, |policy| {
        judged::judge(policy, &it.asked, &it.resolved).evaluation.decision
    });
    let by = match found.rule {
        Some(other) => format!("rule {}", it.label(other)),
        None => format!("the default ({})", found.reason),
    };
    (found.action, by)
}

fn allowed(it: &Explanation, rule: RuleId) -> String {
    let label = it.label(rule);
    match without(it, rule) {
        (Action::Deny, by) => format!("leave out rule {label}, or take this out of it: then {by} denies it"),
        (Action::Allow, by) => format!("nothing alone: without rule {label}, {by} allows it too"),
    }
}

fn denied(it: &Explanation, rule: RuleId) -> String {
    let label = it.label(rule);
    match without(it, rule) {
        (Action::Allow, by) => format!("leave out rule {label}, or take this out of it: then {by} allows it"),
        (Action::Deny, by) => format!(
            "let a rule that allows it come before rule {label} (a lower priority number): without that rule {by} denies it"
        ),
    }
}

/// On a list, in mode `Deny`.
fn listed(it: &Explanation) -> String {
    let threat = it.judged.as_ref().and_then(|judged| judged.evaluation.threat);
    let (key, what) = match (threat.map(|threat| threat.listed), it.asked.target.name()) {
        (Some(Listed::Destination(ip) | Listed::Source(ip)), _) => ("ip_addresses", ip.to_string()),
        (_, Some(name)) => ("fqdns", name.to_string()),
        _ => return Reason::ThreatIntelligence.row().remedy.to_owned(),
    };
    let mut model = it.policy.model().clone();
    model.threat_intelligence.mode = Default::default();
    let then = if allows(it, &CompiledPolicy::new(model)) {
        "the rules allow it"
    } else {
        "the rules deny it all the same"
    };
    format!("put \"{what}\" on `threat_intelligence.allowlist.{key}`, if the list is wrong: {then}")
}

/// No rule matched: the rules that came near, mended.
fn not_matched(it: &Explanation) -> Vec<String> {
    let steps = it.judged.iter().flat_map(|judged| &judged.steps);
    let allowing = steps.filter(|step| it.policy.action(step.rule) == Action::Allow);
    // Rules that lack one thing go before rules that do not name the target at all.
    let (near, far): (Vec<&Step>, Vec<&Step>) = allowing.partition(|step| step.fared.near());
    let mended = near
        .into_iter()
        .chain(
            far.into_iter()
                .filter(|step| matches!(step.fared, Fared::Application(_))),
        )
        .filter_map(|step| mended(it, step.rule, step.fared))
        .take(MOST_TRIED)
        .find(|(_, policy)| allows(it, policy));
    if let Some((words, _)) = mended {
        return [words].into_iter().chain(tag(it)).collect();
    }
    if let Some(words) = network_rules(it) {
        return vec![words];
    }
    match (it.asked.target.name(), it.reason) {
        (Some(name), _) => {
            let words = format!(
                "no rule names it: add \"{name}\" to `destination_fqdns` of a rule that allows {}",
                it.asked.source
            );
            [words].into_iter().chain(tag(it)).collect()
        }
        (None, Reason::NoRuleMatched) => {
            vec!["no rule comes near: add a network rule for this address and port".into()]
        }
        (None, reason) => vec![reason.row().remedy.to_owned()],
    }
}

/// A rule with the one thing that it lacks, in words and in fact.
fn mended(it: &Explanation, rule: RuleId, fared: Fared) -> Option<(String, CompiledPolicy)> {
    let (label, source) = (it.label(rule), it.asked.source);
    let (words, edit): Mended = match fared {
        Fared::Application(RuleOutcome::SourceDiffers) | Fared::Packet(Misses { source: true, .. }) => (
            format!(
                "rule {label} allows it to others: add \"{source}\" to its `source_addresses`, or to one of its IP groups"
            ),
            Box::new(move |rules, at| add_source(rules, at, source)),
        ),
        Fared::Application(RuleOutcome::PortDiffers) => {
            let port = ProtocolPort {
                protocol: it.judged.as_ref()?.protocol?,
                port: it.asked.target.port,
            };
            (
                format!(
                    "rule {label} allows the name on another port or protocol: add {{ type = \"{:?}\", port = {} }} to its \
                     `protocols`",
                    port.protocol, port.port
                ),
                Box::new(move |rules, at| add_port(rules, at, port)),
            )
        }
        Fared::Application(_) => {
            let name = it.asked.target.name()?.clone();
            (
                format!("no rule names it: add \"{name}\" to `destination_fqdns` of rule {label}"),
                Box::new(move |rules, at| add_name(rules, at, name)),
            )
        }
        Fared::Packet(misses) => packet(it, &label, misses)?,
    };
    Some((words, it.policy.edited(rule, edit)?))
}

/// What to write, and the same done to the rule.
type Mended = (String, Box<dyn FnOnce(&mut Rules, usize)>);

fn packet(it: &Explanation, label: &str, misses: Misses) -> Option<Mended> {
    let (port, transport) = (it.asked.target.port, it.asked.target.transport);
    if misses.port {
        let words = format!("rule {label} allows it on other ports: add \"{port}\" to its `destination_ports`");
        return Some((words, Box::new(move |rules, at| add_port_range(rules, at, port))));
    }
    if misses.protocol {
        let protocol = match transport {
            Transport::Tcp => IpProtocol::Tcp,
            Transport::Udp => IpProtocol::Udp,
            Transport::Icmp => IpProtocol::Icmp,
            Transport::Other(_) => IpProtocol::Any,
        };
        let words = format!(
            "rule {label} allows other protocols: add \"{}\" to its `protocols`",
            protocol.name()
        );
        return Some((words, Box::new(move |rules, at| add_protocol(rules, at, protocol))));
    }
    match (it.asked.via, it.asked.target.name(), it.asked.destination) {
        (Via::Explicit, Some(name), _) => {
            let (words, name) = (
                format!("rule {label} allows other destinations: add \"{name}\" to its `destination_fqdns`"),
                name.clone(),
            );
            Some((words, Box::new(move |rules, at| add_fqdn(rules, at, name))))
        }
        (_, _, Some(ip)) => {
            let words = format!("rule {label} allows other destinations: add \"{ip}\" to its `destination_addresses`");
            Some((words, Box::new(move |rules, at| add_address(rules, at, ip))))
        }
        _ => None,
    }
}

/// The setting that would have the network rules asked.
fn network_rules(it: &Explanation) -> Option<String> {
    if it.asked.via != Via::Explicit || it.policy.model().explicit_network_rules {
        return None;
    }
    let mut model = it.policy.model().clone();
    model.explicit_network_rules = true;
    let policy = CompiledPolicy::new(model);
    let found = judged::judge(&policy, &it.asked, &it.resolved).evaluation.decision;
    let rule = found.rule.filter(|_| found.action == Action::Allow)?;
    Some(format!(
        "set `explicit_network_rules = true`: then network rule {} allows it, without a gate",
        it.label(rule)
    ))
}

/// The tag that would hold the name, bound.
fn tag(it: &Explanation) -> Option<String> {
    let named = |fared: Fared| matches!(fared, Fared::Application(outcome) if outcome != RuleOutcome::NameDiffers);
    if it
        .judged
        .iter()
        .flat_map(|judged| &judged.steps)
        .any(|step| named(step.fared))
    {
        return None;
    }
    let holders = Catalogue::embedded().holders(it.asked.target.name()?);
    let holder = holders.first()?;
    let tag = holder.tag.name();
    Some(format!(
        "if that is a resource of yours, tag {tag} can name it: `--allow {holder}`, or `[fqdn_tag.{tag}]`"
    ))
}

fn add_source(rules: &mut Rules, at: usize, source: IpAddr) {
    let sources = match rules {
        Rules::Application(rules) => &mut rules[at].sources,
        Rules::Network(rules) => &mut rules[at].sources,
        Rules::Nat(rules) => &mut rules[at].sources,
    };
    if let Sources::Nets(nets) = sources {
        nets.push(source.into());
    }
}

fn add_port(rules: &mut Rules, at: usize, port: ProtocolPort) {
    if let Rules::Application(rules) = rules {
        rules[at].protocols.push(port);
    }
}

fn add_name(rules: &mut Rules, at: usize, name: Fqdn) {
    if let Rules::Application(rules) = rules {
        rules[at].targets.push(TargetFqdn {
            pattern: FqdnPattern::Exact(name),
            tag: None,
            ports: None,
            wide: false,
        });
    }
}

fn add_port_range(rules: &mut Rules, at: usize, port: u16) {
    match rules {
        Rules::Network(rules) => rules[at].destination_ports.push(PortRange::one(port)),
        Rules::Nat(rules) => rules[at].destination_ports.push(PortRange::one(port)),
        Rules::Application(_) => {}
    }
}

fn add_protocol(rules: &mut Rules, at: usize, protocol: IpProtocol) {
    match rules {
        Rules::Network(rules) => rules[at].ip_protocols.push(protocol),
        Rules::Nat(rules) => rules[at].ip_protocols.push(protocol),
        Rules::Application(_) => {}
    }
}

fn add_fqdn(rules: &mut Rules, at: usize, name: Fqdn) {
    if let Rules::Network(rules) = rules {
        rules[at].destinations.fqdns.push(name);
    }
}

fn add_address(rules: &mut Rules, at: usize, ip: IpAddr) {
    match rules {
        Rules::Network(rules) => rules[at].destinations.addresses.push(ip.into()),
        Rules::Nat(rules) => rules[at].destination_addresses.push(ip.into()),
        Rules::Application(_) => {}
    }
}
