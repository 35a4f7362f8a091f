//! A rule with the one thing that it lacks for an attempt, in words and in fact.

use crate::{
    cli::explain::{Explanation, judged::Fared},
    policy::{
        CompiledPolicy, Fqdn, FqdnPattern, IpProtocol, Misses, PortRange, ProtocolPort, RuleId, RuleOutcome, Rules,
        Sources, TargetFqdn, Transport, Via,
    },
};
use std::{net::IpAddr, sync::Arc};

/// What a rule was asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The attempt.
    Attempt,
    /// One of the addresses that its name leads to.
    Address(IpAddr),
}

/// A rule with the one thing that it lacks, in words and in fact.
pub fn mended(it: &Explanation, rule: RuleId, fared: Fared, of: Of) -> Option<(String, CompiledPolicy)> {
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
                protocol: it.judged()?.protocol?,
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
                format!("{}add \"{name}\" to `destination_fqdns` of rule {label}", unnamed(it)),
                Box::new(move |rules, at| add_name(rules, at, name)),
            )
        }
        Fared::Packet(misses) => packet(it, &label, misses, of)?,
    };
    Some((words, it.policy.edited(rule, edit)?))
}

/// What to write, and the same done to the rule.
type Mended = (String, Box<dyn FnOnce(&mut Rules, usize)>);

fn packet(it: &Explanation, label: &str, misses: Misses, of: Of) -> Option<Mended> {
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
    let destination = match of {
        Of::Attempt => it.asked.destination,
        Of::Address(ip) => Some(ip),
    };
    match (it.asked.via, it.asked.target.name(), destination) {
        (Via::Explicit, Some(name), _) if of == Of::Attempt => {
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

/// Whether some rule names it already, for others or on another port.
fn unnamed(it: &Explanation) -> &'static str {
    match it.is_named() {
        true => "",
        false => "no rule names it: ",
    }
}

fn add_source(rules: &mut Rules, at: usize, source: IpAddr) {
    let sources = match rules {
        Rules::Application(rules) => &mut rules[at].sources,
        Rules::Network(rules) => &mut rules[at].sources,
        Rules::Nat(rules) => &mut rules[at].sources,
    };
    if let Sources::Nets(nets) = sources {
        Arc::make_mut(nets).push(source.into());
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
        Rules::Network(rules) => Arc::make_mut(&mut rules[at].destinations.addresses).push(ip.into()),
        Rules::Nat(rules) => rules[at].destination_addresses.push(ip.into()),
        Rules::Application(_) => {}
    }
}
