//! What a decision and the reading of a ClientHello allocate: nothing. The whole of a tunnel is counted by
//! `examples/bars allocations`.

#[path = "data/clienthellos.rs"]
mod corpus;

use egret::config;
use egret::policy::{Attempt, CompiledPolicy, Fqdn, NoTrace, Protocol};
use egret::tls::client_hello::{NAME_BUFFER_BYTES, Parsed, parse};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::net::Ipv4Addr;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and reallocations of `work`: the least of three times, since other threads of the test runner count too.
fn allocations(mut work: impl FnMut()) -> usize {
    let mut count = || {
        let region = Region::new(ALLOCATOR);
        work();
        let change = region.change();
        change.allocations + change.reallocations
    };
    count().min(count()).min(count())
}

/// One test, since tests of one program share the count.
#[test]
fn a_decision_and_a_client_hello_allocate_nothing() {
    assert!(allocations(|| drop(black_box(vec![1]))) > 0, "they are counted");
    decisions();
    client_hellos();
}

fn decisions() {
    let many: Vec<String> = (0..1000).map(|n| format!("\"*.zone{n}.example.com\"")).collect();
    let text = format!(
        "[[application_rule_collection]]\nname = \"audited\"\npriority = 100\naction = \"Deny\"\nmode = \"audit\"\n\
         [[application_rule_collection.rule]]\nname = \"watched\"\ndestination_fqdns = [\"watched.example.net\"]\n\
         [[application_rule_collection]]\nname = \"c\"\npriority = 200\naction = \"Allow\"\n\
         [[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"10.0.0.0/8\"]\n\
         destination_fqdns = [\"api.example.net\", \"watched.example.net\", {}]\n",
        many.join(", ")
    );
    let checked = config::from_text("test.toml", &text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let policy = CompiledPolicy::new(checked.policy);
    let long = format!("{}.zone7.example.com", vec!["a"; 100].join("."));
    let names = [
        "api.example.net",
        "watched.example.net",
        "a.b.zone999.example.com",
        "evil.test",
        &long,
    ];
    let names = names.map(|name| Fqdn::parse(name).expect("a name"));
    for name in &names {
        for (source, port) in [([10, 0, 0, 1], 443), ([192, 0, 2, 1], 443), ([10, 0, 0, 1], 444)] {
            let attempt = Attempt {
                source: Ipv4Addr::from(source).into(),
                protocol: Protocol::Https,
                name,
                port,
            };
            let permits = policy.decide(&attempt, &mut NoTrace).permits();
            let listed = name.as_str() != "evil.test" && source[0] == 10 && port == 443;
            assert_eq!(permits, listed, "{name} from {source:?} to port {port}");
            let count = allocations(|| {
                black_box(policy.decide(black_box(&attempt), &mut NoTrace));
            });
            assert_eq!(count, 0, "{name} from {source:?} to port {port}");
        }
    }
}

fn client_hellos() {
    for case in corpus::corpus() {
        let mut name = [0; NAME_BUFFER_BYTES];
        let count = allocations(|| {
            if let Parsed::Hello(hello) = parse(black_box(&case.bytes))
                && let Some(server_name) = hello.server_name
            {
                black_box(server_name.copy_to(&mut name));
            }
        });
        assert_eq!(count, 0, "{}", case.id);
    }
}
