//! Any bytes as the answer of a DNS server.
#![no_main]

#[path = "../../examples/fuzz/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::dns_message(bytes));
