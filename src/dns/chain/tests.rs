mod ends;

use super::*;
use crate::dns::{
    message::Soa,
    plan::{StaticRecord, Zone},
};

/// One reply per question: the zone that is asked, for which name, and what it says.
type Script<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).expect("test name")
}

/// `.`, the public zone and the private zone of a service, a company's zone, and a static record.
fn plan() -> DnsPlan {
    let mut plan = DnsPlan {
        zones: vec![
            Zone::default_zone(vec![]),
            Zone::new(name("svc.example.net"), vec![]),
            Zone::new(name("corp.example.com"), vec![]),
        ],
        ..DnsPlan::default()
    };
    let addresses = |text: &str| StaticData::Addresses {
        a: vec![text.parse().unwrap()],
        aaaa: vec![],
    };
    for (owner, data) in [
        ("db.lab.test", addresses("10.9.0.1")),
        ("alias.lab.test", StaticData::Alias(name("x.svc.example.net"))),
        (
            "empty.lab.test",
            StaticData::Addresses {
                a: vec![],
                aaaa: vec![],
            },
        ),
        ("loop.lab.test", StaticData::Alias(name("loop.lab.test"))),
    ] {
        plan.records.insert(name(owner), StaticRecord { data, ttl: 60 });
    }
    plan
}

/// `owner TTL CNAME target`, `owner TTL A address`, `SOA zone TTL`, `NXDOMAIN`.
fn reply(lines: &[&str]) -> Reply {
    let mut reply = Reply {
        server: "192.0.2.53:53".into(),
        nxdomain: false,
        records: vec![],
        soa: None,
    };
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let record = |data| Record {
            owner: name(words[0]),
            ttl: words[1].parse().unwrap(),
            data,
        };
        match words[..] {
            ["NXDOMAIN"] => reply.nxdomain = true,
            ["SOA", zone, ttl] => {
                reply.soa = Some(Soa {
                    zone: Fqdn::parse(zone).ok(),
                    negative_ttl: ttl.parse().unwrap(),
                });
            }
            [_, _, "CNAME", target] => reply.records.push(record(Data::Alias(Fqdn::parse(target).ok()))),
            [_, _, "A", ip] => reply.records.push(record(Data::Address(ip.parse().unwrap()))),
            _ => panic!("{line}"),
        }
    }
    reply
}

/// Walks with one scripted reply per question; says what was asked of whom, and how it ended.
fn walk(asked: &str, script: Script<'_>) -> String {
    let plan = plan();
    let (mut chain, mut step) = Chain::start(&plan, &name(asked), Family::V4);
    let mut script = script.iter();
    loop {
        match step {
            Step::Ask(zone, asked) => {
                let (in_zone, of, lines) = script
                    .next()
                    .unwrap_or_else(|| panic!("asks {} {asked}", plan.zones[zone].name));
                assert_eq!((&*plan.zones[zone].name, asked.as_str()), (*in_zone, *of));
                step = chain.answered(&reply(lines));
            }
            Step::Found(found) => {
                assert_eq!(script.next(), None, "not everything was asked");
                let links = found.links.iter().map(|l| format!("{} [{}] ", l.owner, l.zone));
                let addresses = found
                    .addresses
                    .iter()
                    .map(|a| format!("{}={} [{}]", a.owner, a.ip, a.zone));
                return links.collect::<String>() + &addresses.collect::<Vec<_>>().join(",");
            }
            Step::Failed(failure) => {
                assert_eq!(script.next(), None, "not everything was asked");
                return failure.error.label().to_owned();
            }
        }
    }
}

#[test]
fn each_alias_is_taken_from_the_zone_that_holds_it() {
    let cases: &[(&str, &str, Script<'_>, &str)] = &[
        (
            "an address at once",
            "api.example.com",
            &[(".", "api.example.com", &["api.example.com 60 A 203.0.113.5"])],
            "api.example.com=203.0.113.5 [.]",
        ),
        (
            "a chain inside the zone that answered: the forwarder recursed",
            "x.svc.example.net",
            &[(
                "svc.example.net",
                "x.svc.example.net",
                &[
                    "x.svc.example.net 60 CNAME x.privatelink.svc.example.net",
                    "x.privatelink.svc.example.net 60 A 10.1.2.4",
                ],
            )],
            "x.svc.example.net [svc.example.net] x.privatelink.svc.example.net=10.1.2.4 [svc.example.net]",
        ),
        (
            "a chain that leaves a configured zone for the public: the forwarder recursed",
            "x.svc.example.net",
            &[(
                "svc.example.net",
                "x.svc.example.net",
                &[
                    "x.svc.example.net 60 CNAME edge.cdn.test",
                    "edge.cdn.test 60 A 203.0.113.9",
                ],
            )],
            "x.svc.example.net [svc.example.net] edge.cdn.test=203.0.113.9 [svc.example.net]",
        ),
        (
            "D-10: an alias into another configured zone is asked there, and the rest of the answer dropped",
            "evil.example.com",
            &[
                (
                    ".",
                    "evil.example.com",
                    &[
                        "evil.example.com 60 CNAME x.svc.example.net",
                        "x.svc.example.net 60 A 10.66.6.6",
                    ],
                ),
                (
                    "svc.example.net",
                    "x.svc.example.net",
                    &["x.svc.example.net 60 A 10.1.2.4"],
                ),
            ],
            "evil.example.com [.] x.svc.example.net=10.1.2.4 [svc.example.net]",
        ),
        (
            "the same from one configured zone to another",
            "a.corp.example.com",
            &[
                (
                    "corp.example.com",
                    "a.corp.example.com",
                    &[
                        "a.corp.example.com 60 CNAME x.svc.example.net",
                        "x.svc.example.net 60 A 203.0.113.7",
                    ],
                ),
                (
                    "svc.example.net",
                    "x.svc.example.net",
                    &["x.svc.example.net 60 A 10.1.2.4"],
                ),
            ],
            "a.corp.example.com [corp.example.com] x.svc.example.net=10.1.2.4 [svc.example.net]",
        ),
        (
            "an alias to a static record is read there",
            "api.example.com",
            &[(
                ".",
                "api.example.com",
                &["api.example.com 60 CNAME db.lab.test", "db.lab.test 60 A 203.0.113.5"],
            )],
            "api.example.com [.] db.lab.test=10.9.0.1 [db.lab.test]",
        ),
        (
            "a static alias is asked of the zone of its target",
            "alias.lab.test",
            &[(
                "svc.example.net",
                "x.svc.example.net",
                &["x.svc.example.net 60 A 10.1.2.4"],
            )],
            "alias.lab.test [alias.lab.test] x.svc.example.net=10.1.2.4 [svc.example.net]",
        ),
        (
            "a static address asks nobody",
            "db.lab.test",
            &[],
            "db.lab.test=10.9.0.1 [db.lab.test]",
        ),
        (
            "a static record without addresses asks nobody",
            "empty.lab.test",
            &[],
            "no_data",
        ),
        (
            "an answer that ends at an alias is taken up where its target lies: the same zone",
            "x.svc.example.net",
            &[
                (
                    "svc.example.net",
                    "x.svc.example.net",
                    &["x.svc.example.net 60 CNAME y.svc.example.net"],
                ),
                (
                    "svc.example.net",
                    "y.svc.example.net",
                    &["y.svc.example.net 60 A 10.1.2.4"],
                ),
            ],
            "x.svc.example.net [svc.example.net] y.svc.example.net=10.1.2.4 [svc.example.net]",
        ),
        (
            "or the default zone",
            "x.svc.example.net",
            &[
                (
                    "svc.example.net",
                    "x.svc.example.net",
                    &["x.svc.example.net 60 CNAME edge.cdn.test"],
                ),
                (".", "edge.cdn.test", &["edge.cdn.test 60 A 203.0.113.9"]),
            ],
            "x.svc.example.net [svc.example.net] edge.cdn.test=203.0.113.9 [.]",
        ),
        (
            "D-20: records of other owners count for nothing",
            "api.example.com",
            &[(
                ".",
                "api.example.com",
                &[
                    "other.test 60 A 203.0.113.1",
                    "api.example.com 60 A 203.0.113.5",
                    "z.test 60 CNAME y.test",
                ],
            )],
            "api.example.com=203.0.113.5 [.]",
        ),
        (
            "the order of records in the answer does not matter",
            "api.example.com",
            &[(
                ".",
                "api.example.com",
                &["b.test 60 A 203.0.113.5", "api.example.com 60 CNAME b.test"],
            )],
            "api.example.com [.] b.test=203.0.113.5 [.]",
        ),
        (
            "a synthesised CNAME below a DNAME is a CNAME",
            "a.old.example.com",
            &[(
                ".",
                "a.old.example.com",
                &[
                    "a.old.example.com 0 CNAME a.new.example.com",
                    "a.new.example.com 60 A 203.0.113.5",
                ],
            )],
            "a.old.example.com [.] a.new.example.com=203.0.113.5 [.]",
        ),
        (
            "the same alias twice is one alias",
            "api.example.com",
            &[(
                ".",
                "api.example.com",
                &[
                    "api.example.com 60 CNAME b.test",
                    "api.example.com 60 CNAME b.test",
                    "b.test 60 A 203.0.113.5",
                ],
            )],
            "api.example.com [.] b.test=203.0.113.5 [.]",
        ),
    ];
    for (why, asked, script, expected) in cases {
        assert_eq!(walk(asked, script), *expected, "{why}");
    }
}

#[test]
fn what_one_zone_denies_is_asked_of_no_other() {
    let cases: &[(&str, &str, Script<'_>, &str)] = &[
        (
            "D-06: no such name",
            "x.svc.example.net",
            &[("svc.example.net", "x.svc.example.net", &["NXDOMAIN"])],
            "nxdomain",
        ),
        (
            "no such end of the chain, in the same zone",
            "x.svc.example.net",
            &[(
                "svc.example.net",
                "x.svc.example.net",
                &["NXDOMAIN", "x.svc.example.net 60 CNAME x.privatelink.svc.example.net"],
            )],
            "nxdomain",
        ),
        (
            "no such end of the chain, in the public",
            "x.svc.example.net",
            &[(
                "svc.example.net",
                "x.svc.example.net",
                &["NXDOMAIN", "x.svc.example.net 60 CNAME edge.cdn.test"],
            )],
            "nxdomain",
        ),
        (
            "but NXDOMAIN says nothing of a name that another configured zone holds",
            "api.example.com",
            &[
                (
                    ".",
                    "api.example.com",
                    &["NXDOMAIN", "api.example.com 60 CNAME x.svc.example.net"],
                ),
                (
                    "svc.example.net",
                    "x.svc.example.net",
                    &["x.svc.example.net 60 A 10.1.2.4"],
                ),
            ],
            "api.example.com [.] x.svc.example.net=10.1.2.4 [svc.example.net]",
        ),
        (
            "NXDOMAIN beside an address",
            "api.example.com",
            &[(
                ".",
                "api.example.com",
                &["NXDOMAIN", "api.example.com 60 A 203.0.113.5"],
            )],
            "nxdomain",
        ),
        (
            "an empty answer",
            "api.example.com",
            &[(".", "api.example.com", &[])],
            "no_data",
        ),
        (
            "an SOA over the end of the chain: not asked again",
            "api.example.com",
            &[(
                ".",
                "api.example.com",
                &["api.example.com 60 CNAME b.cdn.test", "SOA cdn.test 30"],
            )],
            "no_data",
        ),
        (
            "an SOA over something else: asked again",
            "api.example.com",
            &[
                (
                    ".",
                    "api.example.com",
                    &["api.example.com 60 CNAME b.cdn.test", "SOA example.com 30"],
                ),
                (".", "b.cdn.test", &[]),
            ],
            "no_data",
        ),
        ("N-21: special-use names ask nobody", "x.invalid", &[], "nxdomain"),
        (
            "an alias to a special-use name asks nobody",
            "api.example.com",
            &[(".", "api.example.com", &["api.example.com 60 CNAME printer.local"])],
            "nxdomain",
        ),
    ];
    for (why, asked, script, expected) in cases {
        assert_eq!(walk(asked, script), *expected, "{why}");
    }
}
