//! How a chain ends: links that break, what has no address, and how many addresses one answer may have.

use super::*;

#[test]
fn d_09_broken_chains_end() {
    let cases: &[(&str, Script<'_>, &str)] = &[
        (
            "to itself",
            &[(".", "a.test", &["a.test 60 CNAME a.test"])],
            "chain_loop",
        ),
        (
            "a loop in one answer",
            &[(".", "a.test", &["a.test 60 CNAME b.test", "b.test 60 CNAME a.test"])],
            "chain_loop",
        ),
        (
            "a loop over several answers",
            &[
                (".", "a.test", &["a.test 60 CNAME b.test"]),
                (".", "b.test", &["b.test 60 CNAME a.test"]),
            ],
            "chain_loop",
        ),
        (
            "an alias beside an address",
            &[(".", "a.test", &["a.test 60 CNAME b.test", "a.test 60 A 203.0.113.5"])],
            "chain_ambiguous",
        ),
        (
            "an address beside an alias",
            &[(".", "a.test", &["a.test 60 A 203.0.113.5", "a.test 60 CNAME b.test"])],
            "chain_ambiguous",
        ),
        (
            "two aliases",
            &[(".", "a.test", &["a.test 60 CNAME b.test", "a.test 60 CNAME c.test"])],
            "chain_ambiguous",
        ),
        (
            "a target that is no host name",
            &[(".", "a.test", &["a.test 60 CNAME 127.0.0.1"])],
            "chain_bad_target",
        ),
        (
            "a bad target off the chain",
            &[(".", "a.test", &["z.test 60 CNAME 127.0.0.1", "a.test 60 A 203.0.113.5"])],
            "a.test=203.0.113.5 [.]",
        ),
    ];
    for (why, script, expected) in cases {
        assert_eq!(walk("a.test", script), *expected, "{why}");
    }
    assert_eq!(
        walk("loop.lab.test", &[]),
        "chain_loop",
        "a static record that is its own alias"
    );
}

#[test]
fn d_09_eight_links_are_followed_and_no_more() {
    let link = |i: usize| format!("n{i}.test 60 CNAME n{}.test", i + 1);
    let chain = |links: usize| -> Vec<String> {
        let end = format!("n{links}.test 60 A 203.0.113.5");
        (0..links).map(link).chain([end]).collect()
    };
    let walk_links = |links: usize| {
        let lines = chain(links);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        walk("n0.test", &[(".", "n0.test", &lines)])
    };
    assert!(walk_links(8).ends_with("n8.test=203.0.113.5 [.]"));
    assert_eq!(walk_links(9), "chain_too_long");
    assert_eq!(walk_links(20), "chain_too_long");
}

#[test]
fn nxdomain_in_a_private_link_zone_says_so() {
    let plan = plan();
    let (mut chain, _) = Chain::start(&plan, &name("x.svc.example.net"), Family::V4);
    let step = chain.answered(&reply(&[
        "NXDOMAIN",
        "x.svc.example.net 60 CNAME x.privatelink.svc.example.net",
        "SOA privatelink.svc.example.net 300",
    ]));
    let error = ResolveError::Nxdomain {
        name: name("x.privatelink.svc.example.net"),
        zone: "svc.example.net".into(),
        private_zone_hint: true,
    };
    assert_eq!(step, Step::Failed(Failure { error, ttl: Some(300) }));
}

fn addresses(count: usize, family: Family) -> Found {
    let ip = |i: usize| match family {
        Family::V4 => IpAddr::from([203, 0, 113, i as u8]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, i as u16]),
    };
    let address = |i| AnswerAddress {
        ip: ip(i),
        owner: name("a.test"),
        zone: ".".into(),
        server: "s".into(),
        ttl: 60,
    };
    Found {
        links: vec![],
        addresses: (0..count).map(address).collect(),
    }
}

#[test]
fn f_05_at_most_64_addresses_of_both_families() {
    for (v6, v4, kept_v6, kept_v4) in [
        (1, 1, 1, 1),
        (64, 0, 64, 0),
        (0, 64, 0, 64),
        (64, 64, 32, 32),
        (60, 10, 54, 10),
        (3, 64, 3, 61),
    ] {
        let answer = join(
            &name("a.test"),
            Ok(addresses(v6, Family::V6)),
            Ok(addresses(v4, Family::V4)),
        )
        .unwrap();
        let is_v6 = answer.addresses.iter().filter(|a| a.ip.is_ipv6()).count();
        assert_eq!(
            (is_v6, answer.addresses.len() - is_v6),
            (kept_v6, kept_v4),
            "{v6} and {v4}"
        );
    }
}

#[test]
fn one_family_is_enough_and_two_failures_say_the_most_telling() {
    let asked = name("a.test");
    let zone = || Arc::<str>::from(".");
    let nxdomain = || ResolveError::Nxdomain {
        name: name("a.test"),
        zone: zone(),
        private_zone_hint: false,
    };
    let no_data = || ResolveError::NoData {
        name: name("a.test"),
        zone: zone(),
    };
    let timeout = || ResolveError::Timeout { zone: zone() };
    let servfail = || ResolveError::Servfail { zone: zone() };
    for error in [nxdomain(), no_data(), timeout(), servfail()] {
        let answer = join(&asked, Err(error.clone().into()), Ok(addresses(2, Family::V4))).unwrap();
        assert_eq!(answer.addresses.len(), 2, "{error}");
    }
    for (v6, v4, expected) in [
        (no_data(), no_data(), no_data()),
        (nxdomain(), nxdomain(), nxdomain()),
        (no_data(), nxdomain(), nxdomain()),
        (timeout(), nxdomain(), nxdomain()),
        (servfail(), no_data(), servfail()),
        (timeout(), servfail(), servfail()),
        (no_data(), timeout(), timeout()),
    ] {
        let both = [(v6.clone(), v4.clone()), (v4, v6)];
        for (v6, v4) in both {
            let failure = join(&asked, Err(v6.into()), Err(v4.into())).unwrap_err();
            assert_eq!(failure.error, expected);
        }
    }
}

#[test]
fn the_least_ttl_of_the_chain_counts() {
    let mut found = addresses(2, Family::V4);
    found.links.push(Link {
        owner: name("b.test"),
        target: name("a.test"),
        zone: ".".into(),
        server: "s".into(),
        ttl: 7,
    });
    let answer = join(&name("b.test"), Err(ResolveError::NoForwarder.into()), Ok(found)).unwrap();
    assert_eq!(least_ttl(&answer), 7);
}
