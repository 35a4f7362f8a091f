//! What `check` says of network and DNAT rules against brute force: every attempt of a small universe is judged by the whole
//! evaluation itself. See `analysis` for application rules.

use super::generate::{self, allowing, at, groups, holding, kinds_of_faults, numbered, target};
use egret::policy::{
    ApplicationRule, CompiledPolicy, DecidedBy, Destinations, Evaluation, FlowAttempt, Fqdn, IpProtocol, Mode, NatRule,
    NetworkRule, NoTrace, Policy, PortRange, Protocol, ProtocolPort, Resolved, Rules, Sources, Translated, Transport,
    Via,
    analysis::{Fault, RuleAt, analyse},
};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::HashSet, net::IpAddr};

const NETS: [&str; 6] = [
    "10.0.0.0/24",
    "10.0.0.0/25",
    "10.0.0.128/25",
    "10.0.1.0/24",
    "0.0.0.0/0",
    "::/0",
];

/// One address of each kind that [`NETS`] tell apart.
const ADDRESSES: [&str; 5] = ["10.0.0.5", "10.0.0.200", "10.0.1.9", "172.16.0.1", "fd00::1"];

/// Embeds the first of [`ADDRESSES`]: what denies that denies this.
const EMBEDS: &str = "64:ff9b::10.0.0.5";

const FQDNS: [&str; 2] = ["sql.test", "web.test"];

fn fqdn(text: &str) -> Fqdn {
    Fqdn::parse(text).expect("a name")
}

fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    vec(
        select(NETS.to_vec()).prop_map(|net| net.parse().expect("a prefix")),
        0..3,
    )
}

fn sources() -> impl Strategy<Value = Sources> {
    prop_oneof![1 => Just(Sources::Any { written: true }), 2 => nets().prop_map(Sources::from)]
}

fn protocols() -> impl Strategy<Value = Vec<IpProtocol>> {
    let one = select(vec![
        IpProtocol::Tcp,
        IpProtocol::Tcp,
        IpProtocol::Udp,
        IpProtocol::Icmp,
        IpProtocol::Any,
    ]);
    vec(one, 1..3)
}

fn ports() -> impl Strategy<Value = Vec<PortRange>> {
    let range = |first, last| PortRange { first, last };
    vec(
        select(vec![
            PortRange::ANY,
            range(1, 65535),
            range(443, 443),
            range(25, 443),
            range(444, 9000),
        ]),
        0..3,
    )
}

fn network_rule() -> impl Strategy<Value = NetworkRule> {
    let destinations = (proptest::bool::weighted(0.2), nets(), vec(select(FQDNS.to_vec()), 0..2)).prop_map(
        |(any, addresses, fqdns)| Destinations {
            any,
            addresses: addresses.into(),
            fqdns: fqdns.into_iter().map(fqdn).collect(),
            ..Destinations::default()
        },
    );
    (sources(), protocols(), destinations, ports()).prop_map(
        |(sources, ip_protocols, destinations, destination_ports)| NetworkRule {
            name: "".into(),
            sources,
            ip_protocols,
            destinations,
            destination_ports,
        },
    )
}

fn nat_rule() -> impl Strategy<Value = NatRule> {
    (sources(), protocols(), nets(), ports()).prop_map(|(sources, ip_protocols, destination_addresses, ports)| {
        NatRule {
            name: "".into(),
            sources,
            ip_protocols,
            destination_addresses,
            destination_ports: ports,
            translated: Translated::Address([10, 9, 9, 9].into()),
            translated_port: 22,
        }
    })
}

fn application_rule() -> impl Strategy<Value = ApplicationRule> {
    let spoken = select(vec![
        (Protocol::Https, 443),
        (Protocol::Http, 80),
        (Protocol::Https, 8443),
    ]);
    let spoken = spoken.prop_map(|(protocol, port)| ProtocolPort { protocol, port });
    let target = select(vec!["sql.test", "web.test", "*.test"]).prop_map(target);
    (sources(), vec(spoken, 1..3), vec(target, 1..3))
        .prop_map(|(sources, protocols, targets)| generate::application_rule(sources, protocols, targets))
}

fn rules() -> impl Strategy<Value = Rules> {
    prop_oneof![
        4 => vec(network_rule(), 1..4).prop_map(Rules::Network),
        1 => vec(nat_rule(), 1..4).prop_map(Rules::Nat),
        1 => vec(application_rule(), 1..3).prop_map(Rules::Application),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let groups = || groups(&[100, 200, 300], Just(Mode::Enforce), rules(), 1..4, 0..3);
    (groups(), groups(), any::<bool>()).prop_map(|(parent, groups, explicit_network_rules)| Policy {
        explicit_network_rules,
        ..numbered(parent, groups)
    })
}

/// One attempt of the universe.
#[derive(Clone)]
struct Asked {
    source: IpAddr,
    via: Via,
    transport: Transport,
    destination: Option<IpAddr>,
    port: u16,
    name: Option<Fqdn>,
    protocol: Option<Protocol>,
}

impl Asked {
    fn embeds(&self) -> bool {
        self.destination == EMBEDS.parse().ok()
    }
}

/// Every mix of what generated rules tell apart.
fn universe() -> Vec<Asked> {
    let addresses = ADDRESSES.map(|ip| ip.parse::<IpAddr>().expect("an address"));
    let embeds = EMBEDS.parse::<IpAddr>().expect("an address");
    let services = [
        (Transport::Tcp, 25),
        (Transport::Tcp, 80),
        (Transport::Tcp, 443),
        (Transport::Tcp, 8443),
        (Transport::Tcp, 9001),
        (Transport::Udp, 25),
        (Transport::Udp, 443),
        (Transport::Udp, 8443),
        (Transport::Udp, 9001),
        (Transport::Icmp, 0),
        (Transport::Other(50), 0),
    ];
    let names: Vec<Option<Fqdn>> = [None, Some("web.test"), Some("sql.test"), Some("q7.test")]
        .map(|name| name.map(fqdn))
        .to_vec();
    let mut asked = Vec::new();
    for source in addresses {
        for (transport, port) in services {
            for destination in addresses.map(Some).into_iter().chain([Some(embeds), None]) {
                for (number, name) in names.iter().enumerate() {
                    for via in [Via::Explicit, Via::Transparent] {
                        // Packets have a destination, and what comes to the proxy port asks for a name or for an address.
                        let whole = match via {
                            Via::Explicit => name.is_some() || destination.is_some(),
                            // Only application rules look at the name: one that has a rule, and none, will do.
                            Via::Transparent => destination.is_some() && number < 2,
                        };
                        let spoken = [None, Some(Protocol::Https), Some(Protocol::Http)];
                        let spoken = &spoken[..if name.is_some() && transport == Transport::Tcp {
                            3
                        } else {
                            1
                        }];
                        asked.extend(spoken.iter().filter(|_| whole).map(|protocol| Asked {
                            source,
                            via,
                            transport,
                            destination,
                            port,
                            name: name.clone(),
                            protocol: *protocol,
                        }));
                    }
                }
            }
        }
    }
    asked
}

/// What the FQDNs may stand for: each at every address once, never both at one.
fn worlds() -> Vec<Resolved> {
    let addresses = ADDRESSES.map(|ip| ip.parse::<IpAddr>().expect("an address"));
    let world = |turn: usize| {
        let mut resolved = Resolved::default();
        for (number, name) in FQDNS.iter().enumerate() {
            resolved.set(fqdn(name), vec![addresses[(turn + number) % addresses.len()]]);
        }
        resolved
    };
    (0..addresses.len()).map(world).collect()
}

/// Who decides, and the rule.
type Outcome = (DecidedBy, Option<RuleAt>);

/// What is said of each attempt as it is asked.
fn judged(policy: &Policy, asked: &[Asked], resolved: &Resolved) -> Vec<Outcome> {
    each(policy, asked, resolved, |compiled, flow| {
        compiled.evaluate(flow, &mut NoTrace)
    })
}

/// The same, but what is asked for by name at the proxy port is judged with the addresses that the name leads to, as the gateway
/// does before it dials.
fn led(policy: &Policy, asked: &[Asked], resolved: &Resolved) -> Vec<Outcome> {
    each(policy, asked, resolved, |compiled, flow| {
        match (flow.via, flow.name, flow.destination) {
            (Via::Explicit, Some(name), None) => {
                compiled
                    .evaluate_led(flow, resolved.of(name).unwrap_or_default())
                    .evaluation
            }
            _ => compiled.evaluate(flow, &mut NoTrace),
        }
    })
}

fn each(
    policy: &Policy,
    asked: &[Asked],
    resolved: &Resolved,
    evaluate: impl Fn(&CompiledPolicy, &FlowAttempt<'_>) -> Evaluation,
) -> Vec<Outcome> {
    let compiled = CompiledPolicy::new(policy.clone());
    let judge = |asked: &Asked| {
        let flow = FlowAttempt {
            source: asked.source,
            via: asked.via,
            transport: asked.transport,
            destination: asked.destination,
            port: asked.port,
            name: asked.name.as_ref(),
            protocol: asked.protocol,
            resolved,
        };
        let end = evaluate(&compiled, &flow);
        (end.by, end.decision.rule.map(|rule| at(compiled.rule_ref(rule))))
    };
    asked.iter().map(judge).collect()
}

/// The policy with one rule alone.
fn alone(policy: &Policy, at: RuleAt) -> Policy {
    let (_, groups) = policy.chain().nth(at.policy as usize).expect("it is there");
    let mut collection = groups[at.group as usize].collections[at.collection as usize].clone();
    let rule = at.rule as usize;
    collection.rules = match collection.rules {
        Rules::Network(rules) => Rules::Network(vec![rules[rule].clone()]),
        Rules::Nat(rules) => Rules::Nat(vec![rules[rule].clone()]),
        Rules::Application(rules) => Rules::Application(vec![rules[rule].clone()]),
    };
    Policy {
        explicit_network_rules: policy.explicit_network_rules,
        ..numbered(Vec::new(), vec![holding(collection)])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packet_rules_are_told_of_exactly_if_no_attempt_reaches_them(policy in policy()) {
        let (asked, worlds) = (universe(), worlds());
        let outcomes: Vec<_> = worlds.iter().map(|world| judged(&policy, &asked, world)).collect();
        let reached: HashSet<RuleAt> = outcomes.iter().flatten().filter_map(|(_, rule)| *rule).collect();
        // A rule that lets a name through behind one that denies wherever it leads has let nothing out.
        let ends: Vec<_> = worlds.iter().map(|world| led(&policy, &asked, world)).collect();
        let deciding: HashSet<RuleAt> = ends.iter().flatten().filter_map(|(_, rule)| *rule).collect();
        let findings = analyse(&policy);
        let compiled = CompiledPolicy::new(policy.clone());
        let never = |fault: &Fault| {
            matches!(fault, Fault::Shadowed { .. } | Fault::Duplicate { .. } | Fault::Contradiction { .. })
        };
        let but_embedded = |fault: &Fault| {
            matches!(fault, Fault::Shadowed { but_embedded: true, .. } | Fault::Contradiction { but_embedded: true, .. })
        };
        let told: HashSet<RuleAt> =
            findings.iter().filter(|finding| never(&finding.fault)).map(|finding| finding.rule).collect();
        let left = findings.iter().filter(|finding| but_embedded(&finding.fault)).map(|finding| finding.rule);
        let left: HashSet<RuleAt> = left.collect();
        let plain = ends.iter().flat_map(|outcome| asked.iter().zip(outcome)).filter(|(asked, _)| !asked.embeds());
        let plainly: HashSet<RuleAt> = plain.filter_map(|(_, (_, rule))| *rule).collect();
        for rule in compiled.nat_rules().chain(compiled.network_rules()) {
            let place = at(compiled.rule_ref(rule));
            if left.contains(&place) {
                prop_assert!(!plainly.contains(&place), "{:?} is reached: {:?}", place, findings);
            } else if told.contains(&place) {
                prop_assert!(!deciding.contains(&place), "{:?} is reached: {:?}", place, findings);
            } else if !reached.contains(&place) {
                // DNAT goes before network rules: what it takes is none of theirs to tell.
                let alone = alone(&policy, place);
                let own = worlds.iter().zip(&outcomes).flat_map(|(world, outcome)| {
                    let own = judged(&alone, &asked, world).into_iter().zip(outcome);
                    own.filter(|((_, own), _)| own.is_some()).map(|(_, (by, _))| *by).collect::<Vec<_>>()
                });
                let ends: Vec<DecidedBy> = own.collect();
                let excused = ends.is_empty() || ends.contains(&DecidedBy::Nat);
                prop_assert!(excused, "{:?} is not told of: {:?}", place, findings);
            }
        }
    }

    #[test]
    fn application_rules_behind_network_rules_are_told_of(policy in policy()) {
        let (asked, resolved) = (universe(), worlds().swap_remove(3));
        let outcome = judged(&policy, &asked, &resolved);
        let findings = analyse(&policy);
        let compiled = CompiledPolicy::new(policy.clone());
        for rule in compiled.application_rules() {
            let place = at(compiled.rule_ref(rule));
            let own = judged(&alone(&policy, place), &asked, &resolved);
            let admitted = || asked.iter().zip(&own).zip(&outcome).filter(|((_, (_, own)), _)| own.is_some());
            let of = |via: Via, ipv4_alone: bool| admitted().filter(move |((asked, _), _)| {
                asked.via == via && !(ipv4_alone && asked.destination.is_some_and(|ip| ip.is_ipv6()))
            });
            let told = findings.iter().find_map(|finding| match finding.fault {
                Fault::BehindNetwork { ipv4_alone, .. } if finding.rule == place => Some((Via::Transparent, ipv4_alone)),
                Fault::BehindNames { .. } if finding.rule == place => Some((Via::Explicit, false)),
                _ => None,
            });
            if let Some((via, ipv4_alone)) = told {
                prop_assert!(of(via, ipv4_alone).all(|(_, (_, by))| *by != Some(place)), "{:?}: {:?}", place, findings);
            } else {
                let all = || of(Via::Transparent, true);
                let network = all().all(|(_, (by, _))| *by == DecidedBy::Network);
                // Here FQDNs stand for two addresses, and in truth for any.
                let fqdns = [3, 4].map(|at| ADDRESSES[at].parse::<IpAddr>().ok());
                let by_fqdn = all().any(|((asked, _), _)| fqdns.contains(&asked.destination));
                prop_assert!(!network || by_fqdn || all().count() == 0, "{:?} is not told of: {:?}", place, findings);
            }
        }
    }
}

#[test]
fn the_generator_makes_every_fault() {
    let kinds = kinds_of_faults(policy(), 3000);
    assert_eq!(
        kinds, 7,
        "Shadowed, Duplicate, Contradiction, Everywhere, BehindNetwork, BehindNames, Taken"
    );
}

#[test]
fn thousands_of_network_rules_are_bounded_work() {
    let net = |i: u32| -> IpNet { IpNet::new(IpAddr::from((i << 12).to_be_bytes()), 20).expect("a prefix") };
    let rule = |i: u32, ports: u16| NetworkRule {
        name: "".into(),
        sources: Sources::from(vec![net(i % 50), net(i % 50 + 100)]),
        ip_protocols: vec![IpProtocol::Tcp],
        destinations: Destinations {
            addresses: vec![net(i)].into(),
            ..Destinations::default()
        },
        destination_ports: vec![PortRange::one(ports)],
    };
    let mut rules: Vec<NetworkRule> = (0..2_000).map(|i| rule(i, 443)).collect();
    rules.push(NetworkRule {
        sources: Sources::from(vec![net(7)]),
        ..rule(1007, 443)
    });
    let findings = analyse(&numbered(Vec::new(), vec![allowing(Rules::Network(rules))]));
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!(
        (finding.rule.rule, &finding.fault),
        (
            2_000,
            &Fault::Shadowed {
                by: vec![RuleAt {
                    rule: 1007,
                    ..finding.rule
                }],
                but_embedded: false,
            }
        )
    );
}
