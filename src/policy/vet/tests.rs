mod private_endpoints;

use super::*;
use crate::policy::{AnswerAddress, Link};

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|net| net.parse().unwrap()).collect()
}

/// An answer that walked these names, all answered by `zone`; the last one owns the addresses.
fn answer_of(zone: &str, chain: &[&str], addresses: &[&str]) -> Answer {
    let (zone, server): (Arc<str>, Arc<str>) = (zone.into(), "10.0.0.4:53".into());
    let link = |pair: &[&str]| Link {
        owner: name(pair[0]),
        target: name(pair[1]),
        zone: zone.clone(),
        server: server.clone(),
        ttl: 60,
    };
    let address = |text: &&str| AnswerAddress {
        ip: ip(text),
        owner: name(chain.last().unwrap()),
        zone: zone.clone(),
        server: server.clone(),
        ttl: 60,
    };
    Answer {
        name: name(chain[0]),
        links: chain.windows(2).map(link).collect(),
        addresses: addresses.iter().map(address).collect(),
    }
}

fn answer(chain: &[&str], addresses: &[&str]) -> Answer {
    answer_of(".", chain, addresses)
}

fn scope(text: &str, zone: bool, networks: &[&str]) -> PrivateScope {
    PrivateScope {
        name: name(text),
        zone,
        networks: nets(networks),
    }
}

fn plan() -> AddressPlan {
    AddressPlan {
        private: vec![scope("priv.example.com", true, &["10.0.0.0/8"])],
        own: [ip("203.0.113.77"), ip("10.1.0.9"), ip("::ffff:198.51.100.7")].into(),
        ..AddressPlan::default()
    }
}

fn requiring() -> AddressPlan {
    AddressPlan {
        private_endpoints: PrivateEndpoints::Require,
        networks: nets(&["10.1.0.0/16"]),
        ..plan()
    }
}

/// What is dialled, or why nothing is.
fn vet(plan: &AddressPlan, answer: &Answer) -> Result<Vec<String>, Reason> {
    vet_for(plan, answer, RuleScope::default())
}

fn vet_for(plan: &AddressPlan, answer: &Answer, rule: RuleScope<'_>) -> Result<Vec<String>, Reason> {
    let vetted = plan.vet(answer, 443, rule);
    for address in &answer.addresses {
        let kept = vetted
            .as_ref()
            .is_ok_and(|v| v.addresses().iter().any(|c| c.ip == address.ip.to_canonical()));
        let refused = match &vetted {
            Ok(vetted) => vetted.refused(),
            Err(refusal) => &refusal.refused,
        };
        assert!(
            kept || refused.len() == 8 || refused.contains(&address.ip.to_canonical()),
            "{address:?} is told"
        );
    }
    vetted
        .map(|v| v.addresses().iter().map(|c| c.ip.to_string()).collect())
        .map_err(|refusal| refusal.reason)
}

const OPENAI: [&str; 2] = ["contoso-ai.openai.azure.com", "contoso-ai.privatelink.openai.azure.com"];

#[test]
fn d01_d02_no_zone_record_rule_or_mode_makes_a_forbidden_address_dialled() {
    let all = nets(&["0.0.0.0/0", "::/0"]);
    let lax = AddressPlan {
        private: vec![scope("example.com", true, &["0.0.0.0/0", "::/0"])],
        ..plan()
    };
    let rule = RuleScope {
        resolves_into: &all,
        private_endpoints: Some(PrivateEndpoints::Off),
    };
    for text in [
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fd00::5efe:10.0.0.1",
        "fec0::1",
        "100::1",
        // this machine, also through NAT64 and mapped
        "203.0.113.77",
        "10.1.0.9",
        "64:ff9b::203.0.113.77",
        "::ffff:203.0.113.77",
        "198.51.100.7",
    ] {
        assert_eq!(
            vet_for(&lax, &answer(&["api.example.com"], &[text]), rule),
            Err(Reason::AddressDenied),
            "{text}"
        );
    }
}

#[test]
fn d01_private_addresses_without_a_private_zone_are_denied() {
    for text in [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fc00::1",
        "::ffff:10.1.2.3",
    ] {
        assert_eq!(
            vet(&plan(), &answer(&["api.example.com"], &[text])),
            Err(Reason::AddressDenied),
            "{text}"
        );
    }
}

#[test]
fn d03_refused_addresses_of_a_mixed_answer_are_not_even_a_fallback() {
    let mixed = answer(
        &["api.example.com"],
        &["203.0.113.5", "127.0.0.1", "2001:db8::5", "203.0.113.5"],
    );
    assert_eq!(
        vet(&plan(), &mixed),
        Ok(vec!["203.0.113.5".into(), "2001:db8::5".into()]),
        "in order, once each"
    );
    let vetted = plan().vet(&mixed, 8443, RuleScope::default()).unwrap();
    assert_eq!(vetted.refused(), [ip("127.0.0.1")]);
    assert_eq!(vetted.socket_addrs().next(), Some("203.0.113.5:8443".parse().unwrap()));
}

#[test]
fn d04_a_private_zone_vouches_for_its_own_names_inside_its_networks() {
    let plan = plan();
    for (zone, chain, address, passes, why) in [
        (
            "priv.example.com",
            &["db.priv.example.com"][..],
            "10.1.2.3",
            true,
            "its purpose",
        ),
        ("priv.example.com", &["priv.example.com"], "10.1.2.3", true, "its apex"),
        (
            "priv.example.com",
            &["db.priv.example.com"],
            "192.168.1.1",
            false,
            "outside its networks",
        ),
        (
            "priv.example.com",
            &["db.priv.example.com"],
            "fd00::1",
            false,
            "outside its networks",
        ),
        (
            "priv.example.com",
            &["a.priv.example.com", "b.priv.example.com"],
            "10.1.2.3",
            true,
            "alias inside the zone",
        ),
        (".", &["db.xpriv.example.com"], "10.1.2.3", false, "D-28: label border"),
        (
            ".",
            &["api.example.com"],
            "10.1.2.3",
            false,
            "a zone that is not private",
        ),
        (
            "pub.priv.example.com",
            &["x.pub.priv.example.com"],
            "10.1.2.3",
            false,
            "a zone below that is not marked",
        ),
    ] {
        let vetted = vet(&plan, &answer_of(zone, chain, &[address]));
        assert_eq!(vetted.is_ok(), passes, "{chain:?} {address}: {why}");
    }
}

#[test]
fn a_private_record_vouches_for_its_own_name_and_takes_the_default_networks() {
    let records = AddressPlan {
        private: vec![
            scope("db.example.com", false, &[]),
            scope("ai.privatelink.svc.example.net", false, &[]),
        ],
        networks: nets(&["10.1.0.0/16"]),
        ..plan()
    };
    for (chain, address, passes) in [
        (&["db.example.com"][..], "10.1.2.3", true),
        (&["db.example.com"], "10.2.2.3", false),
        (&["x.db.example.com"], "10.1.2.3", false),
        (
            &["ai.svc.example.net", "ai.privatelink.svc.example.net"],
            "10.1.2.3",
            true,
        ),
        (
            &["x.ai.svc.example.net", "ai.privatelink.svc.example.net"],
            "10.1.2.3",
            false,
        ),
        (&["evil.example.com", "db.example.com"], "10.1.2.3", false),
    ] {
        assert_eq!(
            vet(&records, &answer(chain, &[address])).is_ok(),
            passes,
            "{chain:?} {address}"
        );
    }
    // a record of one's own below a private zone counts as the zone's
    let mut own = answer_of("db.priv.example.com", &["db.priv.example.com"], &["10.1.2.3"]);
    own.addresses[0].server = STATIC_RECORD.into();
    assert!(vet(&plan(), &own).is_ok());
}

#[test]
fn d05_a_linked_default_forwarder_that_returns_the_whole_chain_works() {
    assert_eq!(
        vet(&requiring(), &answer(&OPENAI, &["10.1.2.4"])),
        Ok(vec!["10.1.2.4".into()])
    );
    assert_eq!(
        vet(&requiring(), &answer(&OPENAI[1..], &["10.1.2.4"])),
        Ok(vec!["10.1.2.4".into()])
    );
    assert_eq!(
        vet(&requiring(), &answer(&OPENAI, &["10.9.2.4"])),
        Err(Reason::AddressDenied),
        "outside private_endpoints.networks"
    );
    assert!(
        vet(&plan(), &answer(&OPENAI, &["10.9.2.4"])).is_ok(),
        "no networks: all private prefixes"
    );
}

#[test]
fn d10_private_answers_cannot_be_pulled_across_zones() {
    let linked = AddressPlan {
        private: vec![scope("privatelink.svc.example.net", true, &[])],
        ..plan()
    };
    for (plan, zone, chain, passes) in [
        (
            &plan(),
            "priv.example.com",
            ["evil-ok.openai.example.com", "db.priv.example.com"],
            false,
        ),
        (&plan(), ".", ["evil.contoso.com", OPENAI[1]], false),
        (&plan(), ".", ["x.cognitiveservices.azure.com", OPENAI[1]], false),
        (
            &linked,
            "privatelink.svc.example.net",
            ["x.svc.example.net", "x.privatelink.svc.example.net"],
            true,
        ),
        (
            &linked,
            "privatelink.svc.example.net",
            ["x.svc.example.com", "x.privatelink.svc.example.net"],
            false,
        ),
    ] {
        let vetted = vet(plan, &answer_of(zone, &chain, &["10.1.2.3"]));
        assert_eq!(
            vetted,
            if passes {
                Ok(vec!["10.1.2.3".into()])
            } else {
                Err(Reason::AddressDenied)
            },
            "{chain:?}"
        );
    }
    let flattened = answer(&["x.svc.example.net"], &["203.0.113.7"]);
    let require = AddressPlan {
        private_endpoints: PrivateEndpoints::Require,
        ..linked
    };
    assert_eq!(
        vet(&require, &flattened),
        Err(Reason::PublicResolution),
        "a zone of our own pairs too"
    );
}

#[test]
fn a_rule_may_say_where_its_names_resolve_into() {
    let into = nets(&["10.50.0.0/16"]);
    let rule = RuleScope {
        resolves_into: &into,
        private_endpoints: None,
    };
    assert!(vet_for(&plan(), &answer(&["api.example.com"], &["10.50.1.1"]), rule).is_ok());
    assert_eq!(
        vet_for(&plan(), &answer(&["api.example.com"], &["10.51.1.1"]), rule),
        Err(Reason::AddressDenied)
    );
    assert!(
        vet_for(&requiring(), &answer(&OPENAI, &["10.50.1.1"]), rule).is_ok(),
        "it counts as private endpoint"
    );
}

#[test]
fn what_was_vetted_is_judged_again_by_the_plan_of_the_moment() {
    let vetted = plan()
        .vet(&answer(&OPENAI, &["203.0.113.7"]), 443, RuleScope::default())
        .unwrap();
    let (asked, candidate) = (name(OPENAI[0]), &vetted.addresses()[0]);
    assert!(candidate.through_private_link);
    assert_eq!(plan().vet_again(&asked, candidate, RuleScope::default()), Ok(()));
    assert_eq!(
        requiring().vet_again(&asked, candidate, RuleScope::default()),
        Err(Reason::PublicResolution)
    );
    let own = AddressPlan {
        own: [ip("203.0.113.7")].into(),
        ..plan()
    };
    assert_eq!(
        own.vet_again(&asked, candidate, RuleScope::default()),
        Err(Reason::AddressDenied)
    );
}

#[test]
fn a_long_answer_names_eight_refused_addresses() {
    let many: Vec<String> = (1..=64).map(|i| format!("127.0.0.{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refusal = plan()
        .vet(&answer(&["api.example.com"], &many), 443, RuleScope::default())
        .unwrap_err();
    assert_eq!(refusal.refused.len(), 8);
    assert!(
        plan()
            .vet(&answer(&["api.example.com"], &[]), 443, RuleScope::default())
            .is_err(),
        "no address at all"
    );
}
