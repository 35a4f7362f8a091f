//! Limits of Azure: what exceeds one is an error that says what to do.

use super::*;

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
    let refused = |policy: &Policy| {
        export::azure_firewall(policy, &Beside::default())
            .unwrap_err()
            .join("\n")
    };
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
    export::azure_firewall(&checked(text), &Beside::default())
        .unwrap_err()
        .join("\n")
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
    assert!(export::azure_firewall(&checked(&application(64_000)), &Beside::default()).is_ok());
    let head = "[[nat_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Dnat\"\n";
    let ports = |ports: &str, translated| head.to_owned() + &dnat("r", "\"20.1.1.1\"", ports, translated);
    assert!(refused(&ports("63000-64000", 443)).contains("destination port 64000, at most 63999"));
    assert!(refused(&ports("443", 64_000)).contains("translated port 64000, at most 63999"));
    assert!(export::azure_firewall(&checked(&ports("1-63999", 63_999)), &Beside::default()).is_ok());
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
    assert!(export::azure_firewall(&checked(&rules(249)), &Beside::default()).is_ok());
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
    let faults = export::azure_firewall(&many, &Beside::default())
        .unwrap_err()
        .join("\n");
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
