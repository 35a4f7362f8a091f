//! What comes over the wire: cut short, forged, unreadable, lost.

use super::*;

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
