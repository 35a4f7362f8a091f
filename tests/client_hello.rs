//! The ClientHello parser over the corpus of real and derived first flights, and over everything near them.

#[path = "data/clienthellos.rs"]
mod corpus;

use corpus::Case;
use egret::tls::client_hello::{ClientHello, Ech, NAME_BUFFER_BYTES, Parsed, parse};
use proptest::prelude::*;
use std::{io::Cursor, sync::LazyLock};

/// Read once: the property tests ask for it in every case.
static CORPUS: LazyLock<Vec<Case>> = LazyLock::new(corpus::corpus);

/// The result's name in the corpus.
fn result(parsed: &Parsed<'_>) -> &'static str {
    match parsed {
        Parsed::Incomplete => "incomplete",
        Parsed::NotTls => "not_tls",
        Parsed::Sslv2 => "sslv2",
        Parsed::Malformed(_) => "error",
        Parsed::Hello(hello) if hello.server_name.is_some() => "sni",
        Parsed::Hello(_) => "no_sni",
    }
}

fn name(hello: &ClientHello<'_>) -> Option<Vec<u8>> {
    hello.server_name.map(|name| name.bytes().collect())
}

/// What a verdict says, apart from where its bytes lie.
fn verdict(parsed: &Parsed<'_>) -> (&'static str, Option<Vec<u8>>, Ech, usize) {
    match parsed {
        Parsed::Hello(hello) => (result(parsed), name(hello), hello.ech, hello.hello_end),
        _ => (result(parsed), None, Ech::None, 0),
    }
}

fn check(case: &Case) {
    let Case { id, bytes, expect, .. } = case;
    let parsed = parse(bytes);
    assert_eq!(result(&parsed), expect.result, "{id}: {parsed:?}");
    if let Parsed::Hello(hello) = parsed {
        assert_eq!(name(&hello), expect.sni, "{id}");
        if let Some(name) = hello.server_name {
            let judged = name.fqdn();
            assert_eq!(
                judged.as_ref().ok().map(|name| name.as_str()),
                expect.sni_normalized.as_deref(),
                "{id}"
            );
            assert_eq!(
                judged.err().map(|reason| reason.name()),
                expect.deny_reason.as_deref(),
                "{id}"
            );
        }
        assert_eq!(hello.ech.label().unwrap_or("none"), case.ech, "{id}");
        assert_eq!(hello.hello_end, case.hello_end, "{id}");
        assert_eq!(bytes.len() - hello.hello_end, case.bytes_after_hello, "{id}");
    }
}

#[test]
fn every_hello_of_the_corpus_reads_as_its_metadata_says() {
    assert_eq!(CORPUS.len(), 172);
    CORPUS.iter().for_each(check);
}

#[test]
fn every_prefix_of_a_hello_is_incomplete_and_every_longer_one_is_the_hello() {
    for Case {
        id,
        bytes,
        expect,
        hello_end,
        ..
    } in &*CORPUS
    {
        if !matches!(expect.result.as_str(), "sni" | "no_sni") {
            continue;
        }
        let whole = verdict(&parse(bytes));
        for cut in 0..bytes.len() {
            let parsed = parse(&bytes[..cut]);
            if cut < *hello_end {
                assert!(matches!(parsed, Parsed::Incomplete), "{id} cut at {cut}: {parsed:?}");
            } else {
                assert_eq!(verdict(&parsed), whole, "{id} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_verdict_once_given_does_not_change_with_more_bytes() {
    for Case { id, bytes, .. } in &*CORPUS {
        let mut settled = None;
        for cut in 0..=bytes.len() {
            let now = verdict(&parse(&bytes[..cut]));
            if let Some(before) = &settled {
                assert_eq!(&now, before, "{id} at {cut}");
            } else if now.0 != "incomplete" {
                settled = Some(now);
            }
        }
    }
}

#[test]
fn the_name_is_the_same_however_the_hello_is_cut_into_records() {
    for Case {
        id,
        bytes,
        hello_end,
        expect,
        ..
    } in &*CORPUS
    {
        if expect.result != "sni" || *hello_end > 4096 {
            continue;
        }
        for size in [1, 2, 3, 4, 5, 16, 40, 255, 1000] {
            let cut = corpus::recut(&bytes[..*hello_end], |_| size);
            let parsed = parse(&cut);
            let Parsed::Hello(hello) = parsed else {
                panic!("{id} in records of {size}: {parsed:?}")
            };
            assert_eq!(name(&hello), expect.sni, "{id} in records of {size}");
            assert_eq!(hello.hello_end, cut.len(), "{id} in records of {size}");
        }
    }
}

#[test]
fn a_name_longer_than_any_host_name_comes_cut_to_the_buffer() {
    let long = CORPUS
        .iter()
        .find(|case| case.id == "name-256")
        .expect("a case of the corpus");
    let Parsed::Hello(ClientHello {
        server_name: Some(name),
        ..
    }) = parse(&long.bytes)
    else {
        panic!()
    };
    let mut buffer = [0; NAME_BUFFER_BYTES];
    assert_eq!((name.len(), name.copy_to(&mut buffer).len()), (256, 256));
}

/// What rustls reads: the name, `None` for a hello without one, or nothing at all.
fn rustls_reads(bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut source = Cursor::new(bytes);
    while acceptor.read_tls(&mut source).ok()? > 0 {
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some(accepted.client_hello().server_name().map(str::to_owned));
        }
    }
    None
}

#[test]
fn rustls_reads_the_same_name_wherever_both_read_a_hello() {
    let mut both = 0;
    for Case { id, bytes, .. } in &*CORPUS {
        let Parsed::Hello(hello) = parse(bytes) else { continue };
        let Some(theirs) = rustls_reads(bytes) else { continue };
        // rustls shows no name that is not a DNS name, and none with its trailing dot
        if let Some(theirs) = theirs {
            let ours = name(&hello).map(|name| {
                String::from_utf8_lossy(&name)
                    .trim_end_matches('.')
                    .to_ascii_lowercase()
            });
            assert_eq!(ours, Some(theirs.to_ascii_lowercase()), "{id}");
            both += 1;
        }
    }
    assert!(both > 80, "rustls read only {both} names");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        verdict(&parse(&bytes));
    }

    #[test]
    fn a_spoilt_hello_gives_a_verdict_that_its_prefixes_agree_with(
        pick in any::<prop::sample::Index>(),
        spoils in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = pick.get(&CORPUS[..]).bytes.clone();
        for (at, value) in spoils {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let whole = verdict(&parse(&bytes));
        let part = verdict(&parse(&bytes[..cut.index(bytes.len() + 1)]));
        prop_assert!(part.0 == "incomplete" || part == whole, "{part:?} against {whole:?}");
    }

    #[test]
    fn records_of_any_sizes_hold_the_same_hello(
        pick in any::<prop::sample::Index>(),
        sizes in proptest::collection::vec(1usize..600, 1..20),
    ) {
        let cases: Vec<_> = CORPUS.iter().filter(|case| case.expect.result == "sni").collect();
        let case = pick.get(&cases);
        let cut = corpus::recut(&case.bytes[..case.hello_end], |record| sizes[record % sizes.len()]);
        let Parsed::Hello(hello) = parse(&cut) else { return Err(TestCaseError::fail(case.id.clone())) };
        prop_assert_eq!(name(&hello), case.expect.sni.clone());
    }
}
