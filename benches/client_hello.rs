//! Reading a first flight: ours, and as baseline the rustls `Acceptor`, which parses into owned structures and also answers.
//!
//! `client_hello/READER/CASE/BYTES`. What is not measured: reading from the socket, judging the name.

#[path = "../tests/data/clienthellos.rs"]
mod corpus;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use egret::tls::client_hello::{NAME_BUFFER_BYTES, Parsed, parse};
use std::{hint::black_box, io::Cursor};

/// A usual one, a post-quantum one with ECH, the same in 113 records, and one of 16 KiB.
const CASES: [&str; 4] = ["py311-requests", "utlsgo-chrome-152", "rec-split-16", "size-16k"];

fn ours(bytes: &[u8], name: &mut [u8; NAME_BUFFER_BYTES]) -> usize {
    match parse(bytes) {
        Parsed::Hello(hello) => hello
            .server_name
            .map_or(0, |server_name| server_name.copy_to(name).len()),
        _ => 0,
    }
}

fn rustls_acceptor(bytes: &[u8]) -> usize {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut source = Cursor::new(bytes);
    while acceptor.read_tls(&mut source).is_ok_and(|read| read > 0) {
        if let Ok(Some(accepted)) = acceptor.accept() {
            return accepted.client_hello().server_name().map_or(0, str::len);
        }
    }
    0
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client_hello");
    let corpus = corpus::corpus();
    for id in CASES {
        let case = corpus.iter().find(|case| case.id == id).expect("a case of the corpus");
        let bytes = case.bytes.as_slice();
        let mut name = [0; NAME_BUFFER_BYTES];
        let expected = case.expect.sni.as_deref().map_or(0, <[u8]>::len);
        assert_eq!(
            (ours(bytes, &mut name), rustls_acceptor(bytes)),
            (expected, expected),
            "{id}"
        );
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new(format!("egret/{id}"), bytes.len()), |bencher| {
            bencher.iter(|| ours(black_box(bytes), &mut name));
        });
        group.bench_function(BenchmarkId::new(format!("rustls/{id}"), bytes.len()), |bencher| {
            bencher.iter(|| rustls_acceptor(black_box(bytes)));
        });
        // what it costs to look once more after each write of a dribbling client
        group.bench_function(
            BenchmarkId::new(format!("egret-one-byte-short/{id}"), bytes.len()),
            |bencher| {
                bencher.iter(|| ours(black_box(&bytes[..bytes.len() - 1]), &mut name));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
