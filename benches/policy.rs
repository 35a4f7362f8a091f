//! `decide/<hit|miss>/<patterns>`: one decision against policies of 10 to 100,000 patterns, beside a linear scan over the
//! same patterns. The claim is the ratio in one run; a third group has 10,000 rules that all admit the name.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egret::policy::{
    Action, ApplicationRule, Attempt, CompiledPolicy, Fqdn, FqdnPattern, Mode, NoTrace, Policy, Priority, Protocol,
    ProtocolPort, RuleCollection, RuleCollectionGroup, Rules, Sources, TargetFqdn,
};
use std::{hint::black_box, net::Ipv4Addr};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const HTTPS: ProtocolPort = ProtocolPort {
    protocol: Protocol::Https,
    port: 443,
};

/// Every third pattern is a star, as in real allow lists.
fn patterns(count: usize) -> Vec<FqdnPattern> {
    let text = |i: usize| {
        if i.is_multiple_of(3) {
            format!("*.zone{i}.example.com")
        } else {
            format!("host{i}.example.net")
        }
    };
    (0..count)
        .map(|i| FqdnPattern::parse(&text(i)).expect("a pattern"))
        .collect()
}

fn rule(name: &str, patterns: &[FqdnPattern], sources: Sources) -> ApplicationRule {
    let target = |pattern: &FqdnPattern| TargetFqdn {
        pattern: pattern.clone(),
        tag: None,
        ports: None,
        wide: false,
    };
    ApplicationRule {
        name: name.into(),
        sources,
        protocols: vec![HTTPS],
        targets: patterns.iter().map(target).collect(),
        resolves_into: Vec::new(),
        private_endpoints: None,
    }
}

fn compiled(rules: Vec<ApplicationRule>) -> CompiledPolicy {
    let priority = Priority::new(100).expect("in range");
    let collection = RuleCollection {
        name: "c".into(),
        priority,
        action: Action::Allow,
        mode: Mode::Enforce,
        rules: Rules::Application(rules),
    };
    let group = RuleCollectionGroup {
        name: "g".into(),
        priority,
        collections: vec![collection],
    };
    CompiledPolicy::new(Policy {
        name: "p".into(),
        groups: vec![group],
        ..Policy::default()
    })
}

fn attempt(name: &Fqdn) -> Attempt<'_> {
    Attempt {
        source: Ipv4Addr::new(10, 0, 0, 1).into(),
        protocol: Protocol::Https,
        name,
        port: 443,
    }
}

fn decide(c: &mut Criterion) {
    for (case, last) in [("hit", "example.com"), ("miss", "example.org")] {
        let mut group = c.benchmark_group(format!("decide/{case}"));
        for size in SIZES {
            let patterns = patterns(size);
            let star = (size - 1) / 3 * 3;
            let name = Fqdn::parse(&format!("a.zone{star}.{last}")).expect("a name");
            let policy = compiled(vec![rule("r", &patterns, Sources::Any { written: true })]);
            let hit = case == "hit";
            assert_eq!(policy.decide(&attempt(&name), &mut NoTrace).permits(), hit);
            assert_eq!(patterns.iter().any(|pattern| pattern.matches(&name)), hit);
            group.bench_with_input(BenchmarkId::new("index", size), &name, |b, name| {
                b.iter(|| policy.decide(black_box(&attempt(name)), &mut NoTrace));
            });
            group.bench_with_input(BenchmarkId::new("linear", size), &name, |b, name| {
                b.iter(|| patterns.iter().any(|pattern| pattern.matches(black_box(name))));
            });
        }
        group.finish();
    }
}

/// The worst case: 10,000 rules on one name, all for other sources but the last. Linear in the rules that overlap.
fn overlap(c: &mut Criterion) {
    let pattern = [FqdnPattern::parse("*.example.com").expect("a pattern")];
    let name = Fqdn::parse("a.example.com").expect("a name");
    let mut rules: Vec<_> = (0..9_999_u32)
        .map(|i| {
            Sources::Nets(vec![
                format!("172.16.{}.{}/32", i / 256, i % 256).parse().expect("a prefix"),
            ])
        })
        .map(|sources| rule("other", &pattern, sources))
        .collect();
    rules.push(rule("last", &pattern, Sources::Any { written: true }));
    let policy = compiled(rules);
    let decision = policy.decide(&attempt(&name), &mut NoTrace);
    assert_eq!(decision.rule.map(|rule| rule.0), Some(9_999));
    c.bench_function("decide/overlap/10000", |b| {
        b.iter(|| policy.decide(black_box(&attempt(&name)), &mut NoTrace));
    });
}

criterion_group!(benches, decide, overlap);
criterion_main!(benches);
