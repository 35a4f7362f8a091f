//! Forwarders that are silent, slow or failing, and how many may wait for them.

use super::*;

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
