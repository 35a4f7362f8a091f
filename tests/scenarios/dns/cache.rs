//! How long an answer is kept, and for whom.

use super::*;

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
async fn a_renewed_resolver_starts_cold_and_goes_on_counting() {
    let world = World::new().await;
    world.public.address_of("a.test", ip("203.0.113.5"));
    world.resolve("a.test").await.unwrap();
    let renewed = world.resolver.renewed(world.resolver.plan().clone());
    renewed.resolve(&name("a.test")).await.unwrap();
    assert_eq!(questions(&world.public, "a.test"), 4);
    assert_eq!(renewed.counters().misses.load(Relaxed), 2);
}
