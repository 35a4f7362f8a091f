//! `decide/<hit|miss>/<patterns>`: one decision against policies of 10 to 1,000,000 patterns, beside a linear scan over the
//! same patterns and a bare set of names that is asked once a label and knows nothing of rules, ports or sources. The claim is
//! the ratio in one run. Names vary, so that a large index is not in the processor's cache. `decide/overlap` has 10,000 rules
//! that all admit the name, `compile` the making of an index.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egret::policy::{
    Action, ApplicationRule, Attempt, CompiledPolicy, Fqdn, FqdnPattern, Mode, NoTrace, Policy, Priority, Protocol,
    ProtocolPort, RuleCollection, RuleCollectionGroup, RuleId, Rules, Sources, TargetFqdn,
};
use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    net::Ipv4Addr,
};

const SIZES: [usize; 4] = [10, 1_000, 100_000, 1_000_000];

/// Names that a lookup takes in turn.
const NAMES: usize = 4_096;

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

/// Names that patterns of [`patterns`] admit, or that none does, spread over all of them.
fn names(count: usize, hit: bool) -> Vec<Fqdn> {
    let last = if hit { "example.com" } else { "example.org" };
    let stars = count.div_ceil(3);
    let name = |i: usize| format!("a.zone{}.{last}", i.wrapping_mul(2_654_435_761) % stars * 3);
    (0..NAMES).map(|i| Fqdn::parse(&name(i)).expect("a name")).collect()
}

/// A hash of eight bytes at a time, without a seed: no index that strangers may fill could have it, and none is quicker.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// The names of all patterns, stars left out: a set of suffixes and nothing else.
struct Probe(HashSet<Box<str>, BuildHasherDefault<Quick>>);

impl Probe {
    fn new(patterns: &[FqdnPattern]) -> Self {
        let text = |pattern: &FqdnPattern| pattern.to_string().trim_start_matches("*.").into();
        Self(patterns.iter().map(text).collect())
    }

    /// Whether the name or one above it is there: one probe a label.
    fn knows(&self, name: &str) -> bool {
        std::iter::successors(Some(name), |rest| rest.split_once('.').map(|(_, zone)| zone))
            .any(|zone| self.0.contains(zone))
    }
}

fn decide(c: &mut Criterion) {
    for size in SIZES {
        let patterns = patterns(size);
        let policy = compiled(vec![rule("r", &patterns, Sources::Any { written: true })]);
        let probe = Probe::new(&patterns);
        for (case, hit) in [("hit", true), ("miss", false)] {
            let names = names(size, hit);
            for name in &names {
                assert_eq!(policy.decide(&attempt(name), &mut NoTrace).permits(), hit, "{name}");
                assert_eq!(probe.knows(name.as_str()), hit, "{name}");
            }
            assert_eq!(patterns.iter().any(|pattern| pattern.matches(&names[0])), hit);
            let mut group = c.benchmark_group(format!("decide/{case}"));
            let mut next = names.iter().cycle();
            let mut name = move || next.next().expect("endless");
            group.bench_function(BenchmarkId::new("index", size), |b| {
                b.iter(|| policy.decide(black_box(&attempt(name())), &mut NoTrace));
            });
            group.bench_function(BenchmarkId::new("probe", size), |b| {
                b.iter(|| probe.knows(black_box(name().as_str())));
            });
            group.bench_function(BenchmarkId::new("linear", size), |b| {
                b.iter(|| {
                    let name = black_box(name());
                    patterns.iter().any(|pattern| pattern.matches(name))
                });
            });
            group.finish();
        }
    }
}

fn compile(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for size in SIZES {
        let patterns = patterns(size);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(
                || vec![rule("r", &patterns, Sources::Any { written: true })],
                compiled,
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// The worst case: 10,000 rules on one name, all for other sources but the last. Each is looked at once; the bound is 20 ns
/// for each on an idle core, 200 us for all.
fn overlap(c: &mut Criterion) {
    let pattern = [FqdnPattern::parse("*.example.com").expect("a pattern")];
    let name = Fqdn::parse("a.example.com").expect("a name");
    let mut rules: Vec<_> = (0..9_999_u32)
        .map(|i| {
            Sources::from(vec![
                format!("172.16.{}.{}/32", i / 256, i % 256).parse().expect("a prefix"),
            ])
        })
        .map(|sources| rule("other", &pattern, sources))
        .collect();
    rules.push(rule("last", &pattern, Sources::Any { written: true }));
    let policy = compiled(rules);
    let decision = policy.decide(&attempt(&name), &mut NoTrace);
    assert_eq!(decision.rule.map(RuleId::index), Some(9_999));
    c.bench_function("decide/overlap/10000", |b| {
        b.iter(|| policy.decide(black_box(&attempt(&name)), &mut NoTrace));
    });
}

criterion_group!(benches, decide, overlap, compile);
criterion_main!(benches);
