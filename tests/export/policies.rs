//! Policies by chance, of all that an export can say.

use super::*;
use crate::random::Random;

impl Random {
    pub(crate) fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }
}

pub(crate) const NAMES: [&str; 6] = [
    "a.example",
    "b.a.example",
    "evila.example",
    "c.test",
    "d.c.test",
    "e.invalid",
];

const PATTERNS: [&str; 9] = [
    "a.example",
    "*.a.example",
    "*a.example",
    "*",
    "c.test",
    "*.c.test",
    "*.test",
    "b.a.example",
    "d.c.test",
];

const NETS: [&str; 7] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "192.0.2.0/24",
    "192.0.2.7/32",
    "198.51.100.0/25",
    "0.0.0.0/0",
];

pub(crate) const HOSTS: [&str; 6] = [
    "10.1.2.3",
    "10.1.9.9",
    "10.9.9.9",
    "192.0.2.7",
    "192.0.2.8",
    "198.51.100.5",
];

pub(crate) const PORTS: [u16; 5] = [53, 80, 443, 8080, 8443];

fn net(random: &mut Random) -> IpNet {
    random.pick(&NETS).parse().unwrap()
}

fn fqdn(random: &mut Random) -> Fqdn {
    Fqdn::parse(random.pick::<&str>(&NAMES)).unwrap()
}

fn sources(random: &mut Random, groups: &[Vec<IpNet>]) -> Sources {
    match random.below(5) {
        0 => Sources::Any { written: true },
        1 => Sources::Any { written: false },
        2 => {
            let mut nets = random.pick(groups).clone();
            nets.extend(random.some(1, net));
            nets.into()
        }
        _ => random.some(3, net).into(),
    }
}

fn protocol_port(random: &mut Random) -> ProtocolPort {
    ProtocolPort {
        protocol: *random.pick(&[Protocol::Http, Protocol::Https]),
        port: *random.pick(&PORTS),
    }
}

fn ports(random: &mut Random) -> Vec<PortRange> {
    random.some(3, |random| match random.below(4) {
        0 => PortRange::ANY,
        1 => PortRange { first: 1, last: 1023 },
        2 => PortRange {
            first: 8000,
            last: 8100,
        },
        _ => PortRange::one(*random.pick(&PORTS)),
    })
}

fn protocols(random: &mut Random) -> Vec<IpProtocol> {
    let all = [IpProtocol::Tcp, IpProtocol::Udp, IpProtocol::Icmp, IpProtocol::Any];
    random.some(2, |random| *random.pick(&all))
}

fn application(random: &mut Random, name: Arc<str>, groups: &[Vec<IpNet>]) -> ApplicationRule {
    ApplicationRule {
        name,
        sources: sources(random, groups),
        protocols: random.some(3, protocol_port),
        targets: random.some(4, |random| TargetFqdn {
            pattern: FqdnPattern::parse(random.pick::<&str>(&PATTERNS)).unwrap(),
            tag: (random.below(3) == 0).then(|| "AzureOpenAI".into()),
            ports: (random.below(3) == 0).then(|| random.some(2, protocol_port)),
            wide: false,
        }),
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

fn network(random: &mut Random, name: Arc<str>, groups: &[Vec<IpNet>]) -> NetworkRule {
    let mut addresses = random.some(2, net);
    if random.below(4) == 0 {
        addresses.extend(random.pick(groups).clone());
    }
    NetworkRule {
        name,
        sources: sources(random, groups),
        ip_protocols: protocols(random),
        destinations: Destinations {
            any: random.below(6) == 0,
            addresses: addresses.into(),
            service_tags: Vec::new(),
            fqdns: random.some(1, fqdn),
        },
        destination_ports: ports(random),
    }
}

fn nat(random: &mut Random, name: Arc<str>, groups: &[Vec<IpNet>]) -> NatRule {
    NatRule {
        name,
        sources: sources(random, groups),
        ip_protocols: protocols(random),
        destination_addresses: random.some(2, |random| random.pick(&NETS[..6]).parse().unwrap()),
        destination_ports: ports(random),
        translated: match random.below(2) {
            0 => Translated::Address("10.1.2.3".parse().unwrap()),
            _ => Translated::Fqdn(fqdn(random)),
        },
        translated_port: *random.pick(&PORTS),
    }
}

fn collection(random: &mut Random, index: usize, groups: &[Vec<IpNet>]) -> RuleCollection {
    let name = |rule: usize| -> Arc<str> { format!("r{rule}").into() };
    let count = random.below(4);
    let mut action = *random.pick(&[Action::Allow, Action::Allow, Action::Deny]);
    let rules = match random.below(5) {
        0 => {
            action = Action::Allow;
            Rules::Nat((0..count).map(|rule| nat(random, name(rule), groups)).collect())
        }
        1 | 2 => Rules::Network((0..count).map(|rule| network(random, name(rule), groups)).collect()),
        _ => Rules::Application((0..count).map(|rule| application(random, name(rule), groups)).collect()),
    };
    // Each its own, in any order: 7 and 97 have no common divisor.
    let priority = Priority::new(100 + u16::try_from(index * 7 % 97).unwrap()).unwrap();
    RuleCollection {
        name: format!("c{index}").into(),
        priority,
        action,
        mode: Mode::Enforce,
        rules,
    }
}

fn groups(random: &mut Random, ip_groups: &[Vec<IpNet>]) -> Vec<RuleCollectionGroup> {
    let start = random.below(97);
    let count = random.below(4);
    let groups = (0..count).map(|index| RuleCollectionGroup {
        name: format!("g{index}").into(),
        priority: Priority::new(100 + u16::try_from((start + index * 31) % 97).unwrap()).unwrap(),
        collections: {
            let first = random.below(90);
            (0..random.below(5))
                .map(|index| collection(random, first + index, ip_groups))
                .collect()
        },
    });
    groups.collect()
}

pub(crate) fn policy(random: &mut Random) -> Policy {
    let ip_groups: Vec<Vec<IpNet>> = (0..3)
        .map(|_| {
            let mut nets = random.some(3, net);
            nets.push(net(random));
            nets
        })
        .collect();
    let named = ip_groups.iter().enumerate();
    let parents = match random.below(2) {
        0 => Vec::new(),
        _ => vec![ParentPolicy {
            name: "base".into(),
            groups: groups(random, &ip_groups),
        }],
    };
    let mut policy = Policy {
        name: "own".into(),
        parents,
        groups: groups(random, &ip_groups),
        ip_groups: named
            .map(|(index, nets)| (format!("i{index}").into(), nets.clone()))
            .collect(),
        ..Policy::default()
    };
    policy.wording = worded(&policy);
    policy
}

/// Every rule as if it named every IP group: an export names those of which the rule holds all members.
fn worded(policy: &Policy) -> BTreeMap<(DecidedBy, RuleRef), Wording> {
    let groups: Vec<Arc<str>> = policy.ip_groups.keys().cloned().collect();
    let mut found = BTreeMap::new();
    for (name, of_policy) in policy.chain() {
        for group in of_policy {
            for collection in &group.collections {
                let names: Vec<&Arc<str>> = match &collection.rules {
                    Rules::Nat(rules) => rules.iter().map(|rule| &rule.name).collect(),
                    Rules::Network(rules) => rules.iter().map(|rule| &rule.name).collect(),
                    Rules::Application(rules) => rules.iter().map(|rule| &rule.name).collect(),
                };
                for rule in names {
                    let place = RuleRef {
                        policy: name.clone(),
                        group: group.name.clone(),
                        collection: collection.name.clone(),
                        rule: rule.clone(),
                    };
                    let wording = Wording {
                        description: None,
                        source_ip_groups: groups.clone(),
                        destination_ip_groups: groups.clone(),
                    };
                    found.insert((collection.rules.kind(), place), wording);
                }
            }
        }
    }
    found
}
