//! `egret export azure-firewall`: what it writes, what it refuses, and that an export that is imported again decides alike.

use egret::{
    config::{self, Problem},
    export,
    import::{Options, azure_firewall},
    policy::{
        Action, ApplicationRule, CompiledPolicy, Destinations, FlowAttempt, Fqdn, FqdnPattern, IpProtocol, Mode,
        NatRule, NetworkRule, NoTrace, ParentPolicy, Policy, PortRange, Priority, Protocol, ProtocolPort, Resolved,
        RuleCollection, RuleCollectionGroup, RuleRef, Rules, Sources, TargetFqdn, Translated, Transport, Via, Wording,
    },
};
use ipnet::IpNet;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr, process::Command, sync::Arc};

/// Policies that are generated; `EGRET_ROUND_TRIPS` asks for more.
const ROUND_TRIPS: u64 = 500;

/// xorshift64*: the same policies at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }
}

const NAMES: [&str; 6] = [
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
const HOSTS: [&str; 6] = [
    "10.1.2.3",
    "10.1.9.9",
    "10.9.9.9",
    "192.0.2.7",
    "192.0.2.8",
    "198.51.100.5",
];
const PORTS: [u16; 5] = [53, 80, 443, 8080, 8443];

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
            Sources::Nets(nets)
        }
        _ => Sources::Nets(random.some(3, net)),
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
            addresses,
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

fn policy(random: &mut Random) -> Policy {
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
fn worded(policy: &Policy) -> BTreeMap<RuleRef, Wording> {
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
                    found.insert(place, wording);
                }
            }
        }
    }
    found
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.one_line() + "\n").collect()
}

/// The policy after a way through Azure's form.
fn round_trip(policy: &Policy) -> Policy {
    let exported = export::azure_firewall(policy).unwrap_or_else(|faults| panic!("{faults:?}"));
    let text = exported.template.to_string();
    let files = [("exported.json".to_owned(), text.into_bytes())];
    let imported = azure_firewall(&files, None, &Options::default()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let loaded = config::from_text("exported.toml", &imported.toml);
    loaded
        .unwrap_or_else(|problems| panic!("{}\n{}", shown(&problems), imported.toml))
        .policy
}

fn same_decision(one: &CompiledPolicy, other: &CompiledPolicy, flow: &FlowAttempt<'_>) -> Result<(), String> {
    let decide = |policy: &CompiledPolicy| {
        let evaluation = policy.evaluate(flow, &mut NoTrace);
        // A rule may have become several, of names that start alike, in the same collection.
        let place = evaluation.decision.rule.map(|rule| {
            let found = policy.rule_ref(rule);
            (found.policy.clone(), found.group.clone(), found.collection.clone())
        });
        (
            evaluation.by,
            evaluation.decision.action,
            evaluation.decision.reason,
            place,
        )
    };
    let (one, other) = (decide(one), decide(other));
    (one == other)
        .then_some(())
        .ok_or_else(|| format!("{one:?} became {other:?}"))
}

#[test]
fn an_export_that_is_imported_again_decides_alike() {
    let rounds = std::env::var("EGRET_ROUND_TRIPS").map_or(ROUND_TRIPS, |text| text.parse().expect("a number"));
    let mut resolved = Resolved::default();
    for (name, address) in [("a.example", "192.0.2.7"), ("c.test", "198.51.100.5")] {
        resolved.set(Fqdn::parse(name).unwrap(), vec![address.parse().unwrap()]);
    }
    let names: Vec<Fqdn> = NAMES.iter().map(|name| Fqdn::parse(name).unwrap()).collect();
    let mut matched = 0;
    for seed in 1..=rounds {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let own = policy(&mut random);
        let (one, other) = (CompiledPolicy::new(own.clone()), CompiledPolicy::new(round_trip(&own)));
        for _ in 0..60 {
            let host = |random: &mut Random| -> IpAddr { random.pick(&HOSTS).parse().unwrap() };
            let via = *random.pick(&[Via::Explicit, Via::Transparent, Via::Transparent]);
            let transport = match via {
                Via::Explicit => Transport::Tcp,
                Via::Transparent => *random.pick(&[
                    Transport::Tcp,
                    Transport::Tcp,
                    Transport::Udp,
                    Transport::Icmp,
                    Transport::Other(47),
                ]),
            };
            let name = (random.below(4) > 0).then(|| random.pick(&names).clone());
            let flow = FlowAttempt {
                source: host(&mut random),
                via,
                transport,
                destination: (via == Via::Transparent).then(|| host(&mut random)),
                port: if transport.has_ports() { *random.pick(&PORTS) } else { 0 },
                name: name.as_ref(),
                protocol: name.as_ref().map(|_| *random.pick(&[Protocol::Http, Protocol::Https])),
                resolved: &resolved,
            };
            if let Err(difference) = same_decision(&one, &other, &flow) {
                let template = export::azure_firewall(&own).unwrap().template;
                panic!("seed {seed}: {flow:?}: {difference}\n{own:#?}\n{template:#}");
            }
            matched += usize::from(one.evaluate(&flow, &mut NoTrace).decision.rule.is_some());
        }
    }
    // Attempts that no rule knows would agree however wrong the export were.
    assert!(
        matched > usize::try_from(rounds).unwrap() * 5,
        "{matched} matches in {rounds} policies"
    );
}

fn one_rule(rule: ApplicationRule) -> Policy {
    let priority = Priority::new(100).unwrap();
    Policy {
        name: "p".into(),
        groups: vec![RuleCollectionGroup {
            name: "g".into(),
            priority,
            collections: vec![RuleCollection {
                name: "c".into(),
                priority,
                action: Action::Allow,
                mode: Mode::Enforce,
                rules: Rules::Application(vec![rule]),
            }],
        }],
        ..Policy::default()
    }
}

fn rules(template: &Value) -> &Vec<Value> {
    let resources = template["resources"].as_array().unwrap();
    let group = resources
        .iter()
        .find(|one| one["type"] == "Microsoft.Network/firewallPolicies/ruleCollectionGroups");
    group.unwrap()["properties"]["ruleCollections"][0]["rules"]
        .as_array()
        .unwrap()
}

fn checked(text: &str) -> Policy {
    config::from_text("egret.toml", text)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)))
        .policy
}

#[test]
fn tags_of_azures_stay_tags_and_all_others_become_names_by_protocol() {
    let policy = checked(
        r#"
        [ip_groups]
        spokes = ["10.1.0.0/16", "10.2.0.0/16"]
        [fqdn_tag.AzureOpenAI]
        resource = ["contoso-ai"]
        [[application_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[application_rule_collection.rule]]
          name = "r"
          source_ip_groups = ["spokes"]
          source_addresses = ["10.9.0.1"]
          protocols = [{ type = "Https" }, { type = "Http" }, { type = "Https", port = 8443 }]
          destination_fqdns = ["a.example"]
          destination_fqdn_tags = ["AzureOpenAI", "WindowsUpdate"]
        "#,
    );
    let exported = export::azure_firewall(&policy).unwrap();
    let rules = rules(&exported.template);
    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["r", "r-2", "r-3"], "{:#}", exported.template);
    assert_eq!(rules[0]["targetFqdns"], serde_json::json!(["a.example"]));
    assert_eq!(
        rules[1]["targetFqdns"],
        serde_json::json!(["contoso-ai.openai.azure.com"])
    );
    assert_eq!(
        rules[1]["protocols"].as_array().unwrap().len(),
        1,
        "its entries are for HTTPS alone"
    );
    let usual = serde_json::json!([{"protocolType": "Https", "port": 443}, {"protocolType": "Http", "port": 80}]);
    let tagged: Vec<_> = rules
        .iter()
        .filter(|rule| rule["fqdnTags"] != serde_json::json!([]))
        .collect();
    assert_eq!(tagged.len(), 1);
    assert_eq!(tagged[0]["fqdnTags"], serde_json::json!(["WindowsUpdate"]));
    assert_eq!(tagged[0]["protocols"], usual, "on the usual ports alone");
    let group = "[resourceId('Microsoft.Network/ipGroups', 'spokes')]";
    assert_eq!(rules[0]["sourceIpGroups"], serde_json::json!([group]));
    assert_eq!(rules[0]["sourceAddresses"], serde_json::json!(["10.9.0.1"]));
}

#[test]
fn what_exceeds_a_limit_of_azures_is_an_error_that_says_what_to_do() {
    let rule = || ApplicationRule {
        name: "r".into(),
        sources: Sources::Any { written: true },
        protocols: vec![ProtocolPort {
            protocol: Protocol::Https,
            port: 443,
        }],
        targets: vec![TargetFqdn {
            pattern: FqdnPattern::parse("a.example").unwrap(),
            tag: None,
            ports: None,
            wide: false,
        }],
        resolves_into: Vec::new(),
        private_endpoints: None,
    };
    let refused = |policy: &Policy| export::azure_firewall(policy).unwrap_err().join("\n");
    let mut named = one_rule(rule());
    named.groups[0].name = "no blanks".into();
    assert!(refused(&named).contains("rename it"));

    let mut tied = one_rule(rule());
    let mut other = tied.groups[0].collections[0].clone();
    other.name = "d".into();
    tied.groups[0].collections.push(other);
    assert!(refused(&tied).contains("give each its own"));

    let mut many = one_rule(rule());
    for index in 0..60 {
        let mut group = many.groups[0].clone();
        group.name = format!("g{index}").into();
        group.priority = Priority::new(200 + index).unwrap();
        many.groups.push(group);
    }
    assert!(refused(&many).contains("61 rule collection groups, at most 60"));

    let mut large = rule();
    large.targets = (0..80_000)
        .map(|index| TargetFqdn {
            pattern: FqdnPattern::parse(&format!("a-rather-long-name-{index}.example")).unwrap(),
            tag: None,
            ports: None,
            wide: false,
        })
        .collect();
    assert!(refused(&one_rule(large)).contains("at most 2097152"));

    let mut wide = one_rule(rule());
    wide.ip_groups.insert(
        "i".into(),
        (0..5_001_u32)
            .map(|index| IpNet::from(IpAddr::from((index << 8).to_be_bytes())))
            .collect(),
    );
    assert!(refused(&wide).contains("5001 entries, at most 5000"));
}

/// A configuration with these collections, and what its export fails with.
fn refused(text: &str) -> String {
    export::azure_firewall(&checked(text)).unwrap_err().join("\n")
}

fn dnat(name: &str, destinations: &str, ports: &str, translated: u32) -> String {
    format!(
        "[[nat_rule_collection.rule]]\nname = \"{name}\"\nsource_addresses = [\"*\"]\nprotocols = [\"TCP\"]\n\
         destination_addresses = [{destinations}]\ndestination_ports = [\"{ports}\"]\n\
         translated_address = \"10.0.0.4\"\ntranslated_port = {translated}\n"
    )
}

#[test]
fn ports_that_azure_does_not_take_are_errors() {
    let application = |port: u32| {
        format!(
            "[[application_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n\
             [[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
             protocols = [{{ type = \"Https\", port = {port} }}]\ndestination_fqdns = [\"a.example\"]\n"
        )
    };
    assert!(refused(&application(64_001)).contains("port 64001, at most 64000"));
    assert!(export::azure_firewall(&checked(&application(64_000))).is_ok());
    let head = "[[nat_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Dnat\"\n";
    let ports = |ports: &str, translated| head.to_owned() + &dnat("r", "\"20.1.1.1\"", ports, translated);
    assert!(refused(&ports("63000-64000", 443)).contains("destination port 64000, at most 63999"));
    assert!(refused(&ports("443", 64_000)).contains("translated port 64000, at most 63999"));
    assert!(export::azure_firewall(&checked(&ports("1-63999", 63_999))).is_ok());
}

#[test]
fn limits_of_a_whole_firewall_are_held() {
    let head = "[[nat_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Dnat\"\n";
    let rules = |count: u32| -> String {
        let rules = (1..=count).map(|port| dnat(&format!("r{port}"), "\"20.1.1.1\"", &port.to_string(), 443));
        head.to_owned() + &rules.collect::<String>()
    };
    assert!(
        refused(&rules(250)).contains("251 addresses and destinations"),
        "an address, and 250 ports of it"
    );
    assert!(export::azure_firewall(&checked(&rules(249))).is_ok());
    let mut many = checked(&rules(1));
    let group = many.groups[0].clone();
    many.groups = (0..3_u16)
        .map(|number| {
            let mut group = group.clone();
            group.name = format!("g{number}").into();
            group.priority = Priority::new(200 + number).unwrap();
            let one = group.collections[0].clone();
            group.collections = (0..700_u16)
                .map(|index| RuleCollection {
                    name: format!("c{index}").into(),
                    priority: Priority::new(100 + index).unwrap(),
                    ..one.clone()
                })
                .collect();
            group
        })
        .collect();
    let faults = export::azure_firewall(&many).unwrap_err().join("\n");
    assert!(faults.contains("2100 DNAT rule collections, at most 2000"), "{faults}");
}

#[test]
fn names_that_differ_in_case_alone_are_one_in_azure() {
    let rule = "[[application_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n\
                [[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
                destination_fqdns = [\"a.example\"]\n";
    let parent = "[[parent_policy]]\nname = \"P\"\n";
    assert!(refused(&format!("{rule}[azure]\npolicy = \"p\"\n{parent}")).contains("two policies are called `p`"));
    let groups = "[ip_groups]\nA = [\"10.0.0.1\"]\na = [\"10.0.0.2\"]\n";
    assert!(refused(&format!("{rule}{groups}")).contains("two IP groups are called `a`"));
    let two = "[[rule_collection_group]]\nname = \"G\"\npriority = 200\n[[rule_collection_group]]\nname = \"g\"\npriority = 300\n";
    assert!(refused(&format!("{rule}{two}")).contains("two groups of policy"));
}

#[test]
fn what_azure_cannot_express_is_named() {
    let mut policy = checked(
        r#"
        mode = "audit"
        [[application_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[application_rule_collection.rule]]
          name = "six"
          source_addresses = ["fd00::/8"]
          destination_fqdns = ["a.example"]
          [[application_rule_collection.rule]]
          name = "private"
          source_addresses = ["10.0.0.1", "fd00::1"]
          destination_fqdns = ["b.example"]
          resolves_into = ["10.0.0.0/8"]
        "#,
    );
    policy.explicit_network_rules = true;
    let exported = export::azure_firewall(&policy).unwrap();
    let notes = exported.notes.join("\n");
    for word in [
        "audit mode",
        "explicit_network_rules",
        "`default/c/six`: it has no IPv4 source",
        "`default/c/private`: its IPv6",
        "resolves_into",
    ] {
        assert!(notes.contains(word), "{word}: {notes}");
    }
    assert_eq!(rules(&exported.template).len(), 1);
}

#[test]
fn the_command_writes_a_template_that_checks_like_its_source() {
    let folder = std::env::temp_dir().join(format!("egret-export-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let egret = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
        command.current_dir(&folder).args(line.split(' ')).output().unwrap()
    };
    let template = format!(
        "{}/tests/data/azure-policies/bicep-vwan-azfwpolicy.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let out = egret(&format!("export azure-firewall --azure-policy {template} -o out.json"));
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let out = egret("check --azure-policy out.json");
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    assert!(String::from_utf8_lossy(&out.stdout).contains("ok, 3 rules, 20 names"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_rule_keeps_its_description_and_names_the_ip_groups_that_it_was_written_with() {
    let policy = checked(
        r#"
        [ip_groups]
        one = ["10.1.0.0/16"]
        two = ["10.1.0.0/16", "10.2.0.0/16"]
        [[network_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[network_rule_collection.rule]]
          name = "r"
          description = "Azure's clock [NTP]"
          source_ip_groups = ["one"]
          source_addresses = ["10.2.0.0/16"]
          protocols = ["UDP"]
          destination_ip_groups = ["two"]
          destination_ports = ["123"]
        "#,
    );
    let exported = export::azure_firewall(&policy).unwrap();
    let rule = &rules(&exported.template)[0];
    let id = |name: &str| serde_json::json!([format!("[resourceId('Microsoft.Network/ipGroups', '{name}')]")]);
    assert_eq!(
        rule["sourceIpGroups"],
        id("one"),
        "`two` holds the same, and is not what was written"
    );
    assert_eq!(rule["sourceAddresses"], serde_json::json!(["10.2.0.0/16"]));
    assert_eq!(rule["destinationIpGroups"], id("two"));
    assert_eq!(rule["description"], "Azure's clock [NTP]");
}
