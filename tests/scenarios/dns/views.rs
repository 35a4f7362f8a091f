//! Who is asked for a name, and how the chain of an answer is followed from one to the next.

use super::*;

#[tokio::test]
async fn d_05_the_private_zone_wins_over_the_public_view() {
    let world = World::new().await;
    let asked = "x.privatelink.svc.example.net";
    world.public.address_of(asked, ip("203.0.113.7"));
    world.private.address_of(asked, ip("10.0.0.5"));
    assert_eq!(world.addresses(asked).await, [ip("10.0.0.5")]);
    assert_eq!(world.public.total(), 0);
}

#[tokio::test]
async fn d_06_a_private_forwarder_that_fails_never_falls_back_to_public() {
    for (behaviour, reason) in [
        (Some(Behaviour::Code(ResponseCode::ServFail)), Reason::DnsServfail),
        (Some(Behaviour::Code(ResponseCode::Refused)), Reason::DnsRefused),
        (Some(Behaviour::Code(ResponseCode::NXDomain)), Reason::DnsNxdomain),
        (Some(Behaviour::Silent), Reason::DnsTimeout),
        (None, Reason::DnsNxdomain),
    ] {
        let world = World::new().await;
        let asked = "x.privatelink.svc.example.net";
        world.public.address_of(asked, ip("203.0.113.7"));
        if let Some(behaviour) = behaviour {
            world.private.behave(asked, behaviour);
        }
        assert_eq!(world.reason(asked).await, reason);
        assert!(world.private.queries(asked) > 0);
        assert_eq!(
            world.public.total(),
            0,
            "{reason:?} leaked the name to the public forwarder"
        );
    }
}

#[tokio::test]
async fn d_06_a_private_forwarder_that_is_down_never_falls_back_to_public() {
    let world = World::new().await;
    let Zone { name: zone, .. } = world.resolver.plan().zones[1].clone();
    drop(world.private);
    // its port is closed now: the kernel says so at once
    let start = Instant::now();
    let error = world.resolver.resolve(&name("x.svc.example.net")).await.unwrap_err();
    assert!(
        matches!(&error, ResolveError::Unreachable { zone: said } if *said == zone),
        "{error}"
    );
    assert!(
        start.elapsed() < millis(500),
        "a closed port took {:?}",
        start.elapsed()
    );
    assert_eq!(world.public.total(), 0);
}

#[tokio::test]
async fn d_08_the_chain_is_kept_with_who_said_each_link() {
    let world = World::new().await;
    world
        .public
        .alias("api.example.com", "evil.test")
        .address_of("evil.test", ip("203.0.113.5"));
    let answer = world.resolve("api.example.com").await.unwrap();
    let link = &answer.links[0];
    assert_eq!(
        (link.owner.as_str(), link.target.as_str(), &*link.zone),
        ("api.example.com", "evil.test", ".")
    );
    assert_eq!(*link.server, *world.public.address().to_string());
    let address = &answer.addresses[0];
    assert_eq!(
        (address.owner.as_str(), &*address.zone, address.ttl),
        ("evil.test", ".", 60)
    );
}

#[tokio::test]
async fn d_09_broken_chains_fail_and_do_not_spin() {
    let world = World::new().await;
    let dns = &world.public;
    dns.alias("self.test", "self.test");
    dns.alias("a.test", "b.test").alias("b.test", "a.test");
    (0..20).for_each(|i| _ = dns.alias(&format!("n{i}.test"), &format!("n{}.test", i + 1)));
    dns.address_of("n20.test", ip("203.0.113.5"));
    dns.alias("both.test", "c.test")
        .address_of("both.test", ip("203.0.113.5"))
        .address_of("c.test", ip("203.0.113.5"));
    for (asked, label) in [
        ("self.test", "chain_loop"),
        ("a.test", "chain_loop"),
        ("n0.test", "chain_too_long"),
        ("both.test", "chain_ambiguous"),
    ] {
        let error = world.resolve(asked).await.unwrap_err();
        assert_eq!((error.label(), error.reason()), (label, Reason::DnsServfail), "{asked}");
        assert_eq!(questions(dns, asked), 2, "one question per family for {asked}");
    }
    assert_eq!(
        world.addresses("n12.test").await,
        [ip("203.0.113.5")],
        "8 links are followed"
    );
}

#[tokio::test]
async fn d_09_a_dname_is_followed_by_the_alias_made_of_it() {
    let world = World::new().await;
    world
        .public
        .alias("a.old.test", "a.new.test")
        .address_of("a.new.test", ip("203.0.113.5"));
    world.public.behave(
        "a.old.test",
        packets(|_, mut answer| {
            let dname = RData::Unknown {
                code: RecordType::Unknown(39),
                rdata: hickory_proto::rr::rdata::NULL::with(b"\x03new\x04test\x00".to_vec()),
            };
            answer
                .answers
                .insert(0, Record::from_rdata(wire("old.test"), 60, dname));
            vec![bytes(&answer)]
        }),
    );
    assert_eq!(world.addresses("a.old.test").await, [ip("203.0.113.5")]);
}

#[tokio::test]
async fn d_10_an_alias_into_a_private_zone_is_asked_of_that_zone() {
    let world = World::new().await;
    // what the public view says of the target is not believed
    world
        .public
        .alias("evil.example.com", "db.svc.example.net")
        .address_of("db.svc.example.net", ip("203.0.113.66"));
    world.private.address_of("db.svc.example.net", ip("10.1.2.3"));
    let answer = world.resolve("evil.example.com").await.unwrap();
    assert_eq!(addresses(&answer), [ip("10.1.2.3")]);
    assert_eq!(&*answer.addresses[0].zone, PRIVATE_ZONE);
    assert_eq!(world.public.queries("db.svc.example.net"), 0);

    // the real shape of a private endpoint: public name, private-link name, both below the forwarded zone
    world
        .private
        .alias("x.svc.example.net", "x.privatelink.svc.example.net");
    world
        .private
        .address_of("x.privatelink.svc.example.net", ip("10.1.2.4"));
    let answer = world.resolve("x.svc.example.net").await.unwrap();
    assert_eq!(addresses(&answer), [ip("10.1.2.4")]);
    assert_eq!(answer.links.len(), 1);
    assert_eq!(
        world.private.queries("x.privatelink.svc.example.net"),
        0,
        "the forwarder had recursed"
    );
}

#[tokio::test]
async fn d_14_neither_hosts_file_nor_search_list_is_read() {
    let world = World::new().await;
    world.public.address_of("api.corp.example", ip("203.0.113.5"));
    for asked in ["localhost", "ip6-localhost", "api"] {
        assert_eq!(world.reason(asked).await, Reason::DnsNxdomain, "{asked}");
    }
    assert_eq!(world.public.total(), 0);
    assert_eq!(world.reason("api.corp").await, Reason::DnsNxdomain);
    let asked: HashSet<String> = world.public.asked().into_iter().map(|asked| asked.name).collect();
    assert_eq!(
        asked,
        HashSet::from(["api.corp".to_owned()]),
        "the name as it stands, and no other"
    );
}

#[tokio::test]
async fn n_21_special_use_names_are_never_sent_to_public_forwarders() {
    let world = World::new().await;
    world
        .public
        .behave("*", packets(|_, answer| vec![bytes(&forged(answer))]));
    for asked in [
        "x.local",
        "x.onion",
        "x.invalid",
        "x.home.arpa",
        "x.alt",
        "1.0.0.127.in-addr.arpa",
        "foo.localhost",
    ] {
        // a name that ends in a number is no name at all
        let Ok(asked) = Fqdn::parse(asked) else { continue };
        assert_eq!(
            world.resolver.resolve(&asked).await.unwrap_err().reason(),
            Reason::DnsNxdomain,
            "{asked}"
        );
    }
    assert_eq!(world.public.total(), 0);
}

#[tokio::test]
async fn static_records_answer_without_a_question() {
    let mut plan = quick();
    let data = StaticData::Addresses {
        a: vec!["10.1.2.4".parse().unwrap()],
        aaaa: vec![],
    };
    plan.records
        .insert(name("x.privatelink.svc.example.net"), StaticRecord { data, ttl: 60 });
    let world = World::with(plan).await;
    world
        .private
        .alias("x.svc.example.net", "x.privatelink.svc.example.net");
    world
        .private
        .address_of("x.privatelink.svc.example.net", ip("203.0.113.66"));
    let answer = world.resolve("x.svc.example.net").await.unwrap();
    assert_eq!(addresses(&answer), [ip("10.1.2.4")]);
    assert_eq!(&*answer.addresses[0].server, "record");
    assert_eq!(world.addresses("x.privatelink.svc.example.net").await, [ip("10.1.2.4")]);
    assert_eq!(world.private.queries("x.privatelink.svc.example.net"), 0);
}

#[tokio::test]
async fn d_28_the_longest_suffix_on_a_label_border_is_asked() {
    let world = World::new().await;
    for (asked, private) in [
        ("svc.example.net", true),
        ("x.svc.example.net", true),
        ("xsvc.example.net", false),
    ] {
        let (holder, other) = if private {
            (&world.private, &world.public)
        } else {
            (&world.public, &world.private)
        };
        holder.address_of(asked, ip("203.0.113.5"));
        assert_eq!(world.addresses(asked).await, [ip("203.0.113.5")]);
        assert_eq!(other.queries(asked), 0, "{asked}");
    }
}
