//! A bounded mutational fuzz run on the stable toolchain, seeded from the corpus and aware of TLS's structure.
//!
//! `cargo run --release --example fuzz -- client_hello --seconds 600`
//!
//! It ends by panicking on the first input that breaks an invariant, printed as hex, or by saying how many it tried. For
//! coverage-guided runs see `fuzz/README.md`; both check the same invariants.

mod invariants;
mod mutate;

use mutate::Rng;
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
    mutate: fn(&mut Rng, &mut Vec<u8>, &[Vec<u8>]),
    check: fn(&[u8]),
}

const TARGETS: &[Target] = &[Target {
    name: "client_hello",
    seeds: client_hellos,
    mutate: mutate::client_hello,
    check: invariants::client_hello,
}];

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
    let mut rng = Rng::new(seed);
    let started = Instant::now();
    let mut inputs = 0_u64;
    while started.elapsed() < time {
        for _ in 0..256 {
            let mut input = rng.pick(&seeds).clone();
            for _ in 0..=rng.below(4) {
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
