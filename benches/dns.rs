//! `dns/<hit|miss>/<names>`: one look into our cache, beside hickory-resolver's cache and a plain map behind a lock, at 10 to
//! 100,000 names. `dns/resolve/hit` is what a flow pays: the whole of `Resolver::resolve` for a known name. `dns/chain` and
//! `dns/decode` are the work of one answer on a miss, without the network. The claim is the ratio in one run.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egret::{
    dns::{
        CacheLimits, DnsPlan, Resolver, StaticData, StaticRecord, Zone,
        cache::Cache,
        chain::{Chain, Step},
        message::{Family, Question, decode, encode},
    },
    policy::{Answer, AnswerAddress, Fqdn},
};
use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME},
    },
};
use hickory_resolver::{ResponseCache, TtlConfig, config::ResolverOpts};
use std::{
    collections::HashMap,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SIZES: [usize; 3] = [10, 1_000, 100_000];

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).expect("a name")
}

fn names(count: usize, below: &str) -> Vec<Fqdn> {
    (0..count).map(|i| name(&format!("contoso-ai-{i}.{below}"))).collect()
}

fn wire(name: &Fqdn) -> Name {
    Name::from_ascii(format!("{name}.")).expect("a name")
}

/// A private endpoint's answer: one alias, one address.
fn message(asked: &Fqdn, id: u16) -> Message {
    let alias = wire(&name(&format!(
        "{}.privatelink.openai.azure.com",
        asked.labels().next().expect("a label")
    )));
    let mut message = Message::response(id, OpCode::Query);
    message.add_query(Query::query(wire(asked), RecordType::A));
    message.add_answer(Record::from_rdata(wire(asked), 300, RData::CNAME(CNAME(alias.clone()))));
    message.add_answer(Record::from_rdata(alias, 300, RData::A(A::new(10, 1, 2, 4))));
    message
}

fn answer(asked: &Fqdn) -> Arc<Answer> {
    let (zone, server) = ("openai.azure.com".into(), "10.0.0.4:53".into());
    let ip = IpAddr::from([10, 1, 2, 4]);
    let address = AnswerAddress {
        ip,
        owner: asked.clone(),
        zone,
        server,
        ttl: 300,
    };
    Arc::new(Answer {
        name: asked.clone(),
        links: Vec::new(),
        addresses: vec![address],
    })
}

fn caches(c: &mut Criterion) {
    let now = Instant::now();
    for size in SIZES {
        let (known, unknown) = (names(size, "openai.azure.com"), names(size, "search.windows.net"));
        let ours = Cache::new(CacheLimits {
            entries: 2 * size.max(32) * 2,
            ..CacheLimits::default()
        });
        let theirs = ResponseCache::new(2 * size as u64, TtlConfig::from_opts(&ResolverOpts::default()));
        let map = Mutex::new(HashMap::new());
        for asked in &known {
            ours.store_answer(&answer(asked), false, now);
            let message = message(asked, 1);
            theirs.insert(message.queries[0].clone(), Ok(message), now);
            map.lock()
                .expect("a lock")
                .insert(asked.clone(), (answer(asked), now + Duration::from_secs(300)));
        }
        for (case, asked) in [("hit", &known), ("miss", &unknown)] {
            let hit = case == "hit";
            let queries: Vec<Query> = asked.iter().map(|n| Query::query(wire(n), RecordType::A)).collect();
            assert_eq!(asked.iter().all(|n| ours.find(n, now).is_some()), hit, "{case} {size}");
            assert_eq!(theirs.get(&queries[0], now).is_some(), hit);
            let mut group = c.benchmark_group(format!("dns/{case}"));
            let mut next = (0..asked.len()).cycle().step_by(if size > 7 { 7 } else { 1 });
            group.bench_function(BenchmarkId::new("egret", size), |b| {
                b.iter(|| ours.find(black_box(&asked[next.next().expect("endless")]), now));
            });
            group.bench_function(BenchmarkId::new("hickory", size), |b| {
                b.iter(|| theirs.get(black_box(&queries[next.next().expect("endless")]), now));
            });
            group.bench_function(BenchmarkId::new("locked map", size), |b| {
                b.iter(|| {
                    let map = map.lock().expect("a lock");
                    map.get(black_box(&asked[next.next().expect("endless")]))
                        .filter(|(_, until)| now < *until)
                        .cloned()
                });
            });
        }
    }
}

fn resolve(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let asked = name("contoso-ai.privatelink.openai.azure.com");
    let data = StaticData::Addresses {
        a: vec![Ipv4Addr::new(10, 1, 2, 4)],
        aaaa: vec![],
    };
    let mut plan = DnsPlan::default();
    plan.records.insert(asked.clone(), StaticRecord { data, ttl: 3600 });
    let resolver = Resolver::new(Arc::new(plan), runtime.handle().clone());
    runtime.block_on(async {
        assert!(resolver.resolve(&asked).await.is_ok());
        let poll = || {
            let known = std::pin::pin!(resolver.resolve(black_box(&asked)));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(known.poll(&mut context).is_ready(), "what is known needs no waiting");
        };
        c.bench_function("dns/resolve/hit", |b| b.iter(poll));
    });
}

fn one_answer(c: &mut Criterion) {
    let asked = name("contoso-ai.openai.azure.com");
    let forwarder = SocketAddr::from(([10, 0, 0, 4], 53));
    let zones = vec![
        Zone::default_zone(vec![forwarder]),
        Zone::new(name("openai.azure.com"), vec![forwarder]),
    ];
    let plan = DnsPlan {
        zones,
        ..DnsPlan::default()
    };
    let question = Question {
        name: asked.clone(),
        family: Family::V4,
    };
    let (id, _) = encode(&question, true);
    let packet = message(&asked, id).to_vec().expect("a message");
    let server = "10.0.0.4:53".into();
    let reply = decode(&packet, id, &question, &server).expect("an answer");
    let walk = || {
        let (mut chain, _) = Chain::start(&plan, black_box(&asked), Family::V4);
        chain.answered(black_box(&reply))
    };
    assert!(matches!(walk(), Step::Found(_)));
    c.bench_function("dns/chain", |b| b.iter(walk));
    c.bench_function("dns/decode", |b| {
        b.iter(|| decode(black_box(&packet), id, &question, &server))
    });
    c.bench_function("dns/encode", |b| b.iter(|| encode(black_box(&question), true)));
}

criterion_group!(dns, caches, resolve, one_answer);
criterion_main!(dns);
