//! How a rule fared, in words.

use super::{
    Explanation,
    judged::{Fared, Step},
};
use crate::policy::{
    Action, Destinations, Misses, NetworkRule, PortRange, RuleId, RuleOutcome, Sources, Translated, Via,
    decide::is_ech_public_name,
};
use std::fmt::Display;

/// Entries of a list that are shown.
const SHOWN: usize = 3;

/// Of a rule that denies in a collection in audit mode.
const RECORDED: &str = "matches: recorded in audit mode, and judged on";

impl Explanation {
    /// `group/collection/rule`, with the policy in front where it is a parent's.
    pub fn label(&self, rule: RuleId) -> String {
        let names = self.policy.rule_ref(rule);
        let label = format!("{}/{}/{}", names.group, names.collection, names.rule);
        match names.policy == self.policy.model().name {
            true => label,
            false => format!("{}: {label}", names.policy),
        }
    }

    /// How a rule fared.
    pub fn outcome(&self, step: &Step) -> String {
        match step.fared {
            Fared::Application(outcome) => self.application(step.rule, outcome),
            Fared::Packet(misses) => self.packet(step.rule, misses),
        }
    }

    fn application(&self, step: RuleId, outcome: RuleOutcome) -> String {
        let rule = self.policy.application_rule(step);
        match outcome {
            RuleOutcome::NameDiffers if self.hides(step) => {
                "names it by a star, which does not stand for a public name of Encrypted Client Hello: name it exactly"
                    .into()
            }
            RuleOutcome::NameDiffers => "does not name it".into(),
            RuleOutcome::SourceDiffers => match rule.map(|rule| &rule.sources) {
                Some(Sources::Nets(nets)) if nets.is_empty() => "names it, for nobody: its sources are empty".into(),
                Some(Sources::Nets(nets)) => format!("names it, for other sources: {}", list(nets)),
                _ => "names it, for other sources".into(),
            },
            RuleOutcome::PortDiffers => {
                let ports = rule.iter().flat_map(|rule| &rule.protocols);
                let shown: Vec<String> = ports
                    .take(4)
                    .map(|port| format!("{:?} {}", port.protocol, port.port))
                    .collect();
                format!("names it, on other ports: {}", shown.join(", "))
            }
            RuleOutcome::Matched if self.policy.records_only(step) => RECORDED.into(),
            RuleOutcome::Matched => "matches: the evaluation ends here".into(),
        }
    }

    /// Whether a star of a rule that allows would admit the name, which hides others.
    fn hides(&self, rule: RuleId) -> bool {
        let name = self.asked.target.name().filter(|name| is_ech_public_name(name));
        let targets = self.policy.application_rule(rule).map(|rule| &rule.targets);
        let admits = |name| targets.is_some_and(|targets| targets.iter().any(|target| target.pattern.matches(name)));
        self.policy.action(rule) == Action::Allow && name.is_some_and(admits)
    }

    fn packet(&self, rule: RuleId, misses: Misses) -> String {
        if misses.count() == 0 {
            return match self.policy.nat_rule(rule) {
                Some(nat) => {
                    let to = match &nat.translated {
                        Translated::Address(ip) => ip.to_string(),
                        Translated::Fqdn(name) => name.to_string(),
                    };
                    format!(
                        "matches: translated to {to}, port {}; the evaluation ends here",
                        nat.translated_port
                    )
                }
                None if self.policy.records_only(rule) => RECORDED.into(),
                None => "matches: the evaluation ends here".into(),
            };
        }
        let words = [
            (misses.source, "source"),
            (misses.protocol, "protocol"),
            (misses.destination, "destination"),
            (misses.port, "port"),
        ];
        // The rule is asked again for each address that the name leads to.
        let asked = &self.asked;
        let later = asked.via == Via::Explicit && asked.target.name().is_some() && asked.destination.is_none();
        let network = self.policy.network_rule(rule).map(|network| &network.destinations);
        if later && misses.destination && misses.count() == 1 && network.is_some_and(Destinations::speak_of_addresses) {
            return format!(
                "is asked again where the name leads{}",
                self.policy
                    .network_rule(rule)
                    .map_or_else(String::new, |network| missed(network, misses))
            );
        }
        let other: Vec<&str> = words
            .iter()
            .filter(|(missed, _)| *missed)
            .map(|(_, word)| *word)
            .collect();
        let what = match self.policy.network_rule(rule).filter(|_| other.len() == 1) {
            Some(network) => missed(network, misses),
            None => String::new(),
        };
        format!("is for another {}{what}", other.join(" and "))
    }
}

/// What the rule says instead of the one thing that it misses.
fn missed(rule: &NetworkRule, misses: Misses) -> String {
    let destinations = &rule.destinations;
    let shown = if misses.source {
        match &rule.sources {
            Sources::Nets(nets) => list(nets),
            Sources::Any { .. } => String::new(),
        }
    } else if misses.port {
        list(&rule.destination_ports.iter().map(port).collect::<Vec<_>>())
    } else if misses.protocol {
        list(
            &rule
                .ip_protocols
                .iter()
                .map(|protocol| protocol.name())
                .collect::<Vec<_>>(),
        )
    } else {
        let addresses = destinations.addresses.iter().map(ToString::to_string);
        let tags = destinations.service_tags.iter().map(|tag| tag.name.to_string());
        let names = destinations.fqdns.iter().map(ToString::to_string);
        let any = destinations.any.then(|| "addresses alone".to_owned());
        list(
            &any.into_iter()
                .chain(names)
                .chain(tags)
                .chain(addresses)
                .collect::<Vec<_>>(),
        )
    };
    if shown.is_empty() { shown } else { format!(": {shown}") }
}

fn port(range: &PortRange) -> String {
    match range {
        range if *range == PortRange::ANY => "*".into(),
        PortRange { first, last } if first == last => first.to_string(),
        PortRange { first, last } => format!("{first}-{last}"),
    }
}

fn list<T: Display>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if items.len() > SHOWN { ", .." } else { "" };
    format!("{}{more}", shown.join(", "))
}
