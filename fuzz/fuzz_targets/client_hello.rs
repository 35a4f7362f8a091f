//! Any bytes as a first flight.
#![no_main]

#[path = "../../examples/fuzz/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::client_hello(bytes));
