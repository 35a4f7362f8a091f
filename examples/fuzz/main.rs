//! A bounded mutational fuzz run on the stable toolchain: first flights, seeded from the corpus and aware of TLS's structure,
//! and answers of DNS servers.
//!
//! `cargo run --release --example fuzz -- client_hello --seconds 600`
//!
//! It ends by panicking on the first input that breaks an invariant, printed as hex, or by saying how many it tried. For
//! coverage-guided runs see `fuzz/README.md`; both check the same invariants.

mod invariants;
mod mutate;
#[path = "../../tests/support/random.rs"]
mod random;

use hickory_proto::{
    op::{Edns, Message, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA},
    },
};
use random::Random;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};

/// A target: its seeds, how they are spoilt, and what must hold for the outcome.
struct Target {
    name: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    mutate: fn(&mut Random, &mut Vec<u8>, &[Vec<u8>]),
    check: fn(&[u8]),
}

const TARGETS: &[Target] = &[
    Target {
        name: "client_hello",
        seeds: client_hellos,
        mutate: mutate::client_hello,
        check: invariants::client_hello,
    },
    Target {
        name: "dns_message",
        seeds: dns_answers,
        mutate: mutate::bytes,
        check: invariants::dns_message,
    },
    Target {
        name: "http_request",
        seeds: || texts(&mutate::REQUESTS),
        mutate: mutate::http,
        check: egret::fuzz::http_request,
    },
    Target {
        name: "http_response",
        seeds: || texts(&mutate::RESPONSES),
        mutate: mutate::http,
        check: egret::fuzz::http_response,
    },
    Target {
        name: "authority",
        seeds: || texts(&mutate::AUTHORITIES),
        mutate: mutate::http,
        check: egret::fuzz::authority,
    },
    Target {
        name: "azure_policy",
        seeds: policies,
        mutate: mutate::json,
        check: egret::fuzz::azure_policy,
    },
];

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or_else(|| usage());
    let target = TARGETS
        .iter()
        .find(|target| target.name == wanted)
        .unwrap_or_else(|| usage());
    let (mut seconds, mut seed) = (60, 1);
    while let Some(flag) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (flag.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            _ => usage(),
        }
    }
    run(target, Duration::from_secs(seconds), seed);
}

fn usage() -> ! {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("usage: fuzz {} [--seconds N] [--seed N]", names.join("|"));
    std::process::exit(2);
}

fn run(target: &Target, time: Duration, seed: u64) {
    let seeds = (target.seeds)();
    let mut rng = Random::new(seed);
    let started = Instant::now();
    let mut inputs = 0_u64;
    while started.elapsed() < time {
        for _ in 0..256 {
            let mut input = rng.pick(&seeds).clone();
            for _ in 0..1 << rng.below(5) {
                (target.mutate)(&mut rng, &mut input, &seeds);
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(&input))) {
                let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("{} fails after {inputs} inputs, seed {seed}: {hex}", target.name);
                resume_unwind(panic);
            }
            inputs += 1;
        }
    }
    println!(
        "{}: {inputs} inputs from {} seeds in {} s, nothing found",
        target.name,
        seeds.len(),
        time.as_secs()
    );
}

/// The smaller templates of the tests, and one that holds something of everything.
fn policies() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/azure-policies");
    let names = [
        "bicep-vwan-azfwpolicy.json",
        "eslz-azfw-basepolicy.json",
        "netsec-premium-github-targeturls.json",
        "netsec-rule-allow-all-web.json",
        "netsec-rule-dns-over-https.json",
    ];
    let mut seeds = texts(&[mutate::POLICY]);
    seeds.extend(names.map(|name| fs::read(root.join(name)).expect("the templates are part of the repository")));
    seeds
}

fn client_hellos() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clienthellos");
    ["real", "derived"]
        .iter()
        .flat_map(|class| fs::read_dir(root.join(class)).expect("the corpus is part of the repository"))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "hex"))
        .map(|path| mutate::from_hex(&fs::read_to_string(path).expect("a readable file")))
        .collect()
}

/// Answers to `api.example.com`: addresses of each family, a chain into another zone, a chain into nothing, a denial.
fn dns_answers() -> Vec<Vec<u8>> {
    let name = |text: &str| Name::from_ascii(text).expect("a name");
    let alias = |owner: &str, target: &str| Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))));
    let soa = SOA::new(name("ns.test."), name("host.test."), 1, 2, 3, 4, 30);
    let soa = Record::from_rdata(name("test."), 30, RData::SOA(soa));
    let a = |owner: &str| Record::from_rdata(name(owner), 60, RData::A(A::new(203, 0, 113, 5)));
    let aaaa = RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5));
    let asked = "api.example.com.";
    let cases = [
        (RecordType::A, vec![a(asked), a(asked)], ResponseCode::NoError),
        (
            RecordType::AAAA,
            vec![Record::from_rdata(name(asked), 60, aaaa)],
            ResponseCode::NoError,
        ),
        (
            RecordType::A,
            vec![alias(asked, "b.test."), alias("b.test.", "c.test."), a("c.test.")],
            ResponseCode::NoError,
        ),
        (
            RecordType::A,
            vec![alias(asked, "x.svc.example.net."), a("x.svc.example.net.")],
            ResponseCode::NoError,
        ),
        (
            RecordType::A,
            vec![alias(asked, "b.test."), alias("b.test.", asked)],
            ResponseCode::NXDomain,
        ),
        (RecordType::AAAA, vec![], ResponseCode::ServFail),
    ];
    let encode = |(kind, answers, code)| {
        let mut message = Message::response(7, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(Query::query(name(asked), kind));
        message
            .add_answers(answers)
            .add_authority(soa.clone())
            .set_edns(Edns::new());
        message.to_vec().expect("an answer")
    };
    cases.into_iter().map(encode).collect()
}
