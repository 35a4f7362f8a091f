//! The resolver against DNS servers that answer, fail and cheat. The servers count what they are asked.

use egret::{
    dns::{
        CacheLimits, DnsPlan, ResolveError, Resolver, StaticData, StaticRecord, Timing, Zone, message::MAX_DATAGRAM,
    },
    lab::dns::{Behaviour, LabDns, Packets},
    policy::{Answer, Fqdn, Reason},
};
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME},
    },
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, runtime::Handle, task::JoinSet};

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).expect("test name")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("test address")
}

fn wire(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("test name")
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Default times cut to a fifth, so that a timeout costs a second.
fn quick() -> DnsPlan {
    DnsPlan {
        timing: Timing {
            per_try: millis(100),
            total: millis(1000),
        },
        ..DnsPlan::default()
    }
}

/// A public view, the private view of a service's zone, and a resolver that knows both.
struct World {
    public: LabDns,
    private: LabDns,
    resolver: Arc<Resolver>,
}

const PRIVATE_ZONE: &str = "svc.example.net";

impl World {
    async fn new() -> Self {
        Self::with(quick()).await
    }

    async fn with(mut plan: DnsPlan) -> Self {
        let (public, private) = (LabDns::start().await.unwrap(), LabDns::start().await.unwrap());
        plan.zones.push(Zone::default_zone(vec![public.address()]));
        plan.zones.push(Zone::new(name(PRIVATE_ZONE), vec![private.address()]));
        let resolver = Resolver::new(Arc::new(plan), Handle::current());
        Self {
            public,
            private,
            resolver,
        }
    }

    async fn resolve(&self, asked: &str) -> Result<Arc<Answer>, ResolveError> {
        self.resolver.resolve(&name(asked)).await
    }

    async fn addresses(&self, asked: &str) -> Vec<IpAddr> {
        addresses(&self.resolve(asked).await.unwrap())
    }

    async fn reason(&self, asked: &str) -> Reason {
        self.resolve(asked).await.unwrap_err().reason()
    }
}

fn addresses(answer: &Answer) -> Vec<IpAddr> {
    answer.addresses.iter().map(|address| address.ip).collect()
}

/// Questions of any type for a name; a datagram that was sent again counts once.
fn questions(dns: &LabDns, name: &str) -> usize {
    let asked = dns.asked().into_iter().filter(|asked| asked.name == name);
    asked.map(|asked| (asked.from, asked.id)).collect::<HashSet<_>>().len()
}

/// Sends packets made of the question and its right answer.
fn packets(make: impl Fn(&Message, Message) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Behaviour {
    Behaviour::Packets(Arc::new(make) as Packets)
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// The right answer with the address of the forbidden site in it.
fn forged(mut answer: Message) -> Message {
    answer.answers = vec![Record::from_rdata(
        answer.queries[0].name().clone(),
        60,
        RData::A(A::new(203, 0, 113, 66)),
    )];
    answer
}

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
async fn d_11_ttl_zero_is_used_once_and_a_high_bit_is_zero() {
    let world = World::new().await;
    let record = |asked, ttl| _ = world.public.record(asked, ttl, RData::A(A::new(203, 0, 113, 5)));
    for (asked, ttl, queries) in [
        ("zero.test", 0, 6),
        ("high.test", 1 << 31, 6),
        ("max.test", i32::MAX as u32, 2),
        ("minute.test", 60, 2),
    ] {
        record(asked, ttl);
        for _ in 0..3 {
            assert_eq!(world.addresses(asked).await, [ip("203.0.113.5")]);
        }
        assert_eq!(
            questions(&world.public, asked),
            queries,
            "{asked}, three times, two families"
        );
    }
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
async fn d_15_a_truncated_answer_is_asked_for_over_tcp_and_its_part_never_used() {
    let world = World::new().await;
    let all: Vec<IpAddr> = (1..=40).map(|i| IpAddr::from([203, 0, 113, i])).collect();
    all.iter().for_each(|ip| _ = world.public.address_of("big.test", *ip));
    world.public.behave("big.test", Behaviour::Truncated);
    assert_eq!(world.addresses("big.test").await, all);
    assert!(
        world
            .public
            .asked()
            .iter()
            .any(|asked| asked.tcp && asked.kind == RecordType::A)
    );

    // the same where TCP is silent: the part that came over UDP stays unused
    world.public.address_of("cut.test", ip("203.0.113.1"));
    world.public.behave(
        "cut.test",
        packets(|question, mut answer| {
            answer.metadata.truncation = true;
            if question.queries[0].query_type() == RecordType::A {
                vec![bytes(&answer)]
            } else {
                vec![]
            }
        }),
    );
    assert_eq!(
        world.reason("cut.test").await,
        Reason::DnsServfail,
        "TC over TCP is no answer"
    );
}

#[tokio::test]
async fn d_16_1232_bytes_are_advertised_and_longer_datagrams_bounded() {
    let world = World::new().await;
    let padded = |length: usize| {
        packets(move |_, mut answer| {
            let padding = vec![0; length.min(60_000) - bytes(&answer).len() - 11];
            let padding = RData::Unknown {
                code: RecordType::Unknown(65_280),
                rdata: hickory_proto::rr::rdata::NULL::with(padding),
            };
            answer.add_additional(Record::from_rdata(Name::root(), 0, padding));
            vec![bytes(&answer)]
        })
    };
    for (asked, length, over_tcp) in [
        ("longest.test", MAX_DATAGRAM, false),
        ("longer.test", MAX_DATAGRAM + 1, true),
    ] {
        world
            .public
            .address_of(asked, ip("203.0.113.5"))
            .behave(asked, padded(length));
        assert_eq!(world.addresses(asked).await, [ip("203.0.113.5")], "{asked}");
        let tcp = world.public.asked().iter().any(|seen| seen.name == asked && seen.tcp);
        assert_eq!(tcp, over_tcp, "{asked}");
    }
    world
        .public
        .address_of("huge.test", ip("203.0.113.5"))
        .behave("huge.test", padded(60_000));
    assert_eq!(world.addresses("huge.test").await, [ip("203.0.113.5")]);
    assert!(world.public.asked().iter().all(|asked| asked.payload == Some(1232)));
}

#[tokio::test]
async fn d_17_answers_that_are_not_ours_are_ignored_and_counted() {
    let world = World::new().await;
    for (asked, forge) in [
        (
            "id.test",
            (|mut answer: Message| {
                answer.metadata.id = answer.id.wrapping_add(1);
                answer
            }) as fn(Message) -> Message,
        ),
        ("question.test", |mut answer| {
            answer.queries[0].set_name(wire("other.test"));
            answer
        }),
        ("kind.test", |mut answer| {
            answer.queries[0].set_query_type(RecordType::TXT);
            answer
        }),
        ("query.test", |mut answer| {
            answer.metadata.message_type = MessageType::Query;
            answer
        }),
    ] {
        world.public.address_of(asked, ip("203.0.113.5"));
        let ignored = world.resolver.counters().ignored.load(Relaxed);
        world.public.behave(
            asked,
            packets(move |_, answer| {
                vec![
                    bytes(&forge(forged(answer.clone()))),
                    bytes(&answer),
                    bytes(&forged(answer)),
                ]
            }),
        );
        assert_eq!(
            world.addresses(asked).await,
            [ip("203.0.113.5")],
            "{asked}: the first right answer wins"
        );
        assert!(
            world.resolver.counters().ignored.load(Relaxed) > ignored,
            "{asked}: counted"
        );
    }
    // nothing but forgeries: the question times out
    world.public.behave(
        "never.test",
        packets(|_, mut answer| {
            answer.metadata.id = answer.id.wrapping_add(1);
            vec![bytes(&forged(answer))]
        }),
    );
    assert_eq!(world.reason("never.test").await, Reason::DnsTimeout);
    world
        .public
        .address_of("port.test", ip("203.0.113.66"))
        .behave("port.test", Behaviour::AnotherPort);
    assert_eq!(world.reason("port.test").await, Reason::DnsTimeout, "from another port");
}

#[tokio::test]
async fn d_18_ports_and_ids_of_1000_questions_are_spread() {
    let world = World::new().await;
    for i in 0..500 {
        let asked = format!("n{i}.test");
        world.public.address_of(&asked, ip("203.0.113.5"));
        world.resolve(&asked).await.unwrap();
    }
    let asked = world.public.asked();
    assert!(asked.len() >= 1000);
    let ports: Vec<u16> = asked.iter().map(|asked| asked.from.port()).collect();
    let spread = ports.iter().max().unwrap() - ports.iter().min().unwrap();
    assert!(spread >= 10_000, "ports lie within {spread}");
    let distinct = |values: &[u16]| values.iter().collect::<HashSet<_>>().len();
    assert!(distinct(&ports) > 900, "{} ports", distinct(&ports));
    let ids: Vec<u16> = asked.iter().map(|asked| asked.id).collect();
    assert!(distinct(&ids) > 950, "{} ids", distinct(&ids));
    for (what, values) in [("port", ports), ("id", ids)] {
        let sequential = values
            .windows(2)
            .filter(|pair| pair[1].wrapping_sub(pair[0]) <= 2)
            .count();
        assert!(sequential < 20, "{sequential} {what}s follow their predecessor");
    }
}

#[tokio::test]
async fn d_19_a_forwarder_that_changes_case_is_understood() {
    let world = World::new().await;
    world.public.address_of("api.example.com", ip("203.0.113.5")).behave(
        "api.example.com",
        packets(|_, mut answer| {
            answer.queries[0].set_name(wire("API.Example.COM"));
            answer
                .answers
                .iter_mut()
                .for_each(|record| record.name = wire("aPI.example.com"));
            vec![bytes(&answer)]
        }),
    );
    assert_eq!(world.addresses("api.example.com").await, [ip("203.0.113.5")]);
}

#[tokio::test]
async fn d_20_only_the_chain_of_the_question_is_read() {
    let world = World::new().await;
    let foreign = |owner: &str| Record::from_rdata(wire(owner), 60, RData::A(A::new(203, 0, 113, 66)));
    let (other, glue) = (foreign("other.test"), foreign("api.example.com"));
    world
        .public
        .address_of("api.example.com", ip("203.0.113.5"))
        .address_of("none.example.com", ip("2001:db8::5"));
    world.public.behave(
        "api.example.com",
        packets(move |_, mut answer| {
            answer.answers.insert(0, other.clone());
            answer.add_authority(glue.clone()).add_additional(glue.clone());
            vec![bytes(&answer)]
        }),
    );
    assert_eq!(world.addresses("api.example.com").await, [ip("203.0.113.5")]);
    assert_eq!(
        world.reason("other.test").await,
        Reason::DnsNxdomain,
        "it was not remembered either"
    );

    let glue = foreign("glue.example.com");
    world.public.behave(
        "glue.example.com",
        packets(move |_, mut answer| {
            answer.metadata.response_code = ResponseCode::NoError;
            answer.add_additional(glue.clone());
            vec![bytes(&answer)]
        }),
    );
    assert_eq!(world.reason("glue.example.com").await, Reason::DnsNoData);
}

#[tokio::test]
async fn d_21_d_22_answers_that_cannot_be_read_fail_at_once() {
    let world = World::new().await;
    // after the header and the question
    let tails: [(&str, &[u8]); 5] = [
        (
            "loop",
            b"\xc0\x1a\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x05",
        ),
        (
            "past",
            b"\xff\xff\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x05",
        ),
        (
            "label",
            b"\x41a\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x05",
        ),
        ("half", b"\xc0"),
        ("short", b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x03\xcb\x00\x71"),
    ];
    for (what, tail) in tails {
        let asked = format!("{what}.test");
        let tail = tail.to_vec();
        world.public.behave(
            &asked,
            packets(move |_, mut answer| {
                answer.metadata.response_code = ResponseCode::NoError;
                answer.authorities.clear();
                let mut packet = bytes(&answer);
                packet[7] = 1;
                packet.extend(&tail);
                vec![packet]
            }),
        );
        let start = Instant::now();
        let error = world.resolve(&asked).await.unwrap_err();
        assert_eq!(
            (error.label(), error.reason()),
            ("malformed", Reason::DnsServfail),
            "{what}"
        );
        assert!(start.elapsed() < millis(500), "{what} took {:?}", start.elapsed());
    }
    world.public.behave(
        "counts.test",
        packets(|_, answer| {
            let mut packet = bytes(&answer);
            packet[6..8].copy_from_slice(&[0xff, 0xff]);
            vec![packet]
        }),
    );
    assert_eq!(
        world.resolve("counts.test").await.unwrap_err().label(),
        "malformed",
        "65 535 answers without data"
    );
    for (asked, questions) in [("none.test", 0), ("two.test", 2)] {
        world.public.behave(
            asked,
            packets(move |_, answer| {
                let mut packet = bytes(&forged(answer));
                packet[5] = questions;
                vec![packet]
            }),
        );
        assert_eq!(
            world.reason(asked).await,
            Reason::DnsTimeout,
            "{questions} questions: dropped"
        );
    }
}

#[tokio::test]
async fn d_23_a_name_that_appears_is_seen_after_the_negative_time() {
    let cache = CacheLimits {
        negative_max: millis(200),
        ..CacheLimits::default()
    };
    let world = World::with(DnsPlan { cache, ..quick() }).await;
    assert_eq!(world.reason("new.test").await, Reason::DnsNxdomain);
    assert_eq!(world.reason("new.test").await, Reason::DnsNxdomain);
    assert_eq!(questions(&world.public, "new.test"), 2, "the second time it was known");
    world.public.address_of("new.test", ip("203.0.113.5"));
    let deadline = Instant::now() + millis(5000);
    while world.resolve("new.test").await.is_err() {
        assert!(Instant::now() < deadline, "the name never appeared");
        tokio::time::sleep(millis(20)).await;
    }
}

#[tokio::test]
async fn d_24_a_thousand_clients_of_one_cold_name_cause_one_question() {
    let world = World::new().await;
    world
        .public
        .address_of("cold.test", ip("203.0.113.5"))
        .behave("cold.test", Behaviour::Late(millis(50)));
    world
        .public
        .behave("down.test", Behaviour::Code(ResponseCode::ServFail));
    for (asked, found) in [("cold.test", true), ("down.test", false)] {
        let mut clients = JoinSet::new();
        for _ in 0..1000 {
            let resolver = world.resolver.clone();
            clients.spawn(async move { resolver.resolve(&name(asked)).await.is_ok() });
        }
        while let Some(client) = clients.join_next().await {
            assert_eq!(client.unwrap(), found, "{asked}");
        }
        assert_eq!(questions(&world.public, asked), 2, "{asked}: one question per family");
    }
    assert_eq!(world.reason("down.test").await, Reason::DnsServfail);
    assert_eq!(questions(&world.public, "down.test"), 2, "the failure is remembered");
}

#[tokio::test]
async fn d_25_a_silent_first_forwarder_is_passed_over() {
    let (silent, second, other_zone) = (
        LabDns::start().await.unwrap(),
        LabDns::start().await.unwrap(),
        LabDns::start().await.unwrap(),
    );
    silent.behave("*", Behaviour::Silent);
    (0..20).for_each(|i| _ = second.address_of(&format!("n{i}.test"), ip("203.0.113.5")));
    second.behave("n0.test", Behaviour::Late(millis(50)));
    let zones = vec![
        Zone::default_zone(vec![silent.address(), second.address()]),
        Zone::new(name("priv.example.com"), vec![other_zone.address()]),
    ];
    let resolver = Resolver::new(
        Arc::new(DnsPlan {
            zones,
            ..DnsPlan::default()
        }),
        Handle::current(),
    );
    let time = async |asked: &str| {
        let start = Instant::now();
        resolver.resolve(&name(asked)).await.unwrap();
        start.elapsed()
    };
    let first = time("n0.test").await;
    assert!(first < millis(1000), "the first took {first:?}");
    let mut later = Vec::new();
    for i in 1..20 {
        later.push(time(&format!("n{i}.test")).await);
    }
    later.sort();
    assert!(later[9] < millis(100), "later ones took {later:?}");
    assert!(
        later[18] < millis(500),
        "one waited for the silent forwarder: {later:?}"
    );
    assert_eq!(other_zone.total(), 0, "no forwarder of another zone");
}

#[tokio::test]
async fn d_25_a_forwarder_that_fails_is_passed_over_at_once() {
    let (failing, second) = (LabDns::start().await.unwrap(), LabDns::start().await.unwrap());
    for (code, asked) in [(ResponseCode::ServFail, "a.test"), (ResponseCode::Refused, "b.test")] {
        failing.behave(asked, Behaviour::Code(code));
        second.address_of(asked, ip("203.0.113.5"));
    }
    let forwarders = vec![failing.address(), second.address()];
    let plan = DnsPlan {
        zones: vec![Zone::default_zone(forwarders)],
        ..DnsPlan::default()
    };
    let resolver = Resolver::new(Arc::new(plan), Handle::current());
    for asked in ["a.test", "b.test"] {
        let start = Instant::now();
        assert_eq!(
            addresses(&resolver.resolve(&name(asked)).await.unwrap()),
            [ip("203.0.113.5")]
        );
        assert!(start.elapsed() < millis(400), "{asked} took {:?}", start.elapsed());
    }
    // what does not exist is an answer: the second is not asked for another opinion
    second.address_of("c.test", ip("203.0.113.66"));
    assert_eq!(
        resolver.resolve(&name("c.test")).await.unwrap_err().reason(),
        Reason::DnsNxdomain
    );
    assert_eq!(second.queries("c.test"), 0);
}

#[tokio::test]
async fn d_26_a_slow_forwarder_is_waited_for_and_the_waiting_are_bounded() {
    let world = World::with(DnsPlan {
        max_queries: 100,
        timing: Timing {
            total: millis(4000),
            ..quick().timing
        },
        ..quick()
    })
    .await;
    world
        .public
        .address_of("*.slow.test", ip("203.0.113.5"))
        .behave("*", Behaviour::Late(millis(800)));
    let mut clients = JoinSet::new();
    for i in 0..300 {
        let resolver = world.resolver.clone();
        clients.spawn(async move { resolver.resolve(&name(&format!("n{i}.slow.test"))).await });
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(client) = clients.join_next().await {
        match client.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => {
                assert_eq!(error.reason(), Reason::LimitDnsQueries);
                refused += 1;
            }
        }
    }
    assert_eq!((answered, refused), (100, 200));
    assert_eq!(world.resolver.in_flight(), 0, "the places are free again");
}

#[tokio::test]
async fn f_07_waiters_of_a_name_in_flight_need_no_place() {
    let world = World::with(DnsPlan {
        max_queries: 1,
        ..quick()
    })
    .await;
    world
        .public
        .address_of("one.test", ip("203.0.113.5"))
        .behave("one.test", Behaviour::Late(millis(200)));
    let first = tokio::spawn({
        let resolver = world.resolver.clone();
        async move { resolver.resolve(&name("one.test")).await.is_ok() }
    });
    while world.resolver.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.reason("two.test").await, Reason::LimitDnsQueries);
    assert!(world.resolve("one.test").await.is_ok());
    assert!(first.await.unwrap());
    assert_eq!(world.public.queries("two.test"), 0);
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

#[tokio::test]
async fn a_family_that_fails_does_not_fail_the_other() {
    let world = World::new().await;
    let servfail_for = |wanted: RecordType| {
        packets(move |question, mut answer| {
            if question.queries[0].query_type() == wanted {
                answer.answers.clear();
                answer.metadata.response_code = ResponseCode::ServFail;
            }
            vec![bytes(&answer)]
        })
    };
    for (asked, behaviour, expected) in [
        (
            "six-fails.test",
            servfail_for(RecordType::AAAA),
            vec![ip("203.0.113.5")],
        ),
        ("four-fails.test", servfail_for(RecordType::A), vec![ip("2001:db8::5")]),
        (
            "six-silent.test",
            Behaviour::Only(RecordType::A),
            vec![ip("203.0.113.5")],
        ),
        (
            "four-silent.test",
            Behaviour::Only(RecordType::AAAA),
            vec![ip("2001:db8::5")],
        ),
    ] {
        world
            .public
            .address_of(asked, ip("203.0.113.5"))
            .address_of(asked, ip("2001:db8::5"))
            .behave(asked, behaviour);
        let start = Instant::now();
        assert_eq!(world.addresses(asked).await, expected, "{asked}");
        assert!(start.elapsed() < millis(600), "{asked} took {:?}", start.elapsed());
    }
    world
        .public
        .address_of("both.test", ip("203.0.113.5"))
        .address_of("both.test", ip("2001:db8::5"));
    assert_eq!(
        world.addresses("both.test").await,
        [ip("2001:db8::5"), ip("203.0.113.5")]
    );
}

#[tokio::test]
async fn a_forwarder_without_edns_is_asked_without() {
    let world = World::new().await;
    world
        .public
        .address_of("old.test", ip("203.0.113.5"))
        .behave("old.test", Behaviour::NoEdns);
    assert_eq!(world.addresses("old.test").await, [ip("203.0.113.5")]);
    assert!(world.public.asked().iter().any(|asked| asked.payload.is_none()));
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_from_the_same_port() {
    let dns = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let plan = DnsPlan {
        zones: vec![Zone::default_zone(vec![dns.local_addr().unwrap()])],
        ..quick()
    };
    let resolver = Resolver::new(Arc::new(plan), Handle::current());
    let waiting = tokio::spawn(async move { resolver.resolve(&name("lossy.test")).await });
    let mut seen: HashMap<u16, usize> = HashMap::new();
    let mut packet = [0; 512];
    while seen.values().all(|&times| times < 2) {
        let (len, from) = dns.recv_from(&mut packet).await.unwrap();
        let question = Message::from_vec(&packet[..len]).unwrap();
        let times = seen.entry(from.port()).or_default();
        *times += 1;
        if *times == 2 {
            let mut answer = Message::response(question.id, question.op_code);
            answer.add_query(question.queries[0].clone());
            let alias = RData::CNAME(CNAME(wire("end.test")));
            answer.add_answer(Record::from_rdata(wire("lossy.test"), 60, alias));
            match question.queries[0].query_type() {
                RecordType::A => answer.add_answer(Record::from_rdata(
                    wire("end.test"),
                    60,
                    RData::A(A::new(203, 0, 113, 5)),
                )),
                _ => answer.add_answer(Record::from_rdata(
                    wire("end.test"),
                    60,
                    RData::AAAA("2001:db8::5".parse::<std::net::Ipv6Addr>().unwrap().into()),
                )),
            };
            dns.send_to(&bytes(&answer), from).await.unwrap();
        }
    }
    assert_eq!(waiting.await.unwrap().unwrap().addresses.len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_the_question_for_others() {
    let world = World::new().await;
    world
        .public
        .address_of("cold.test", ip("203.0.113.5"))
        .behave("cold.test", Behaviour::Late(millis(100)));
    let resolver = world.resolver.clone();
    let gone = tokio::spawn(async move { resolver.resolve(&name("cold.test")).await });
    while world.public.total() == 0 {
        tokio::time::sleep(millis(5)).await;
    }
    gone.abort();
    assert_eq!(world.addresses("cold.test").await, [ip("203.0.113.5")]);
    assert_eq!(questions(&world.public, "cold.test"), 2, "nothing was asked again");
}

#[tokio::test]
async fn the_work_is_done_by_the_runtime_that_was_given() {
    let dns = LabDns::start().await.unwrap();
    dns.address_of("a.test", ip("203.0.113.5"));
    let (control, stop) = std::sync::mpsc::channel::<()>();
    let (handle, its) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        handle.send(runtime.handle().clone()).unwrap();
        runtime.block_on(async {
            while stop.try_recv().is_err() {
                tokio::time::sleep(millis(5)).await
            }
        });
    });
    let plan = DnsPlan {
        zones: vec![Zone::default_zone(vec![dns.address()])],
        ..quick()
    };
    let resolver = Resolver::new(Arc::new(plan), its.recv().unwrap());
    assert_eq!(
        addresses(&resolver.resolve(&name("a.test")).await.unwrap()),
        [ip("203.0.113.5")]
    );
    control.send(()).unwrap();
    thread.join().unwrap();
    assert!(
        resolver.resolve(&name("a.test")).await.is_ok(),
        "what is known needs no runtime"
    );
}

#[tokio::test]
async fn a_runtime_that_has_ended_fails_the_question_and_hangs_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let resolver = Resolver::new(Arc::new(quick()), handle);
    for _ in 0..2 {
        assert_eq!(resolver.resolve(&name("a.test")).await, Err(ResolveError::Internal));
    }
    assert_eq!(resolver.in_flight(), 0);
}

#[tokio::test]
async fn a_renewed_resolver_starts_cold_and_goes_on_counting() {
    let world = World::new().await;
    world.public.address_of("a.test", ip("203.0.113.5"));
    world.resolve("a.test").await.unwrap();
    let renewed = world.resolver.renewed(world.resolver.plan().clone());
    renewed.resolve(&name("a.test")).await.unwrap();
    assert_eq!(questions(&world.public, "a.test"), 4);
    assert_eq!(renewed.counters().misses.load(Relaxed), 2);
}
