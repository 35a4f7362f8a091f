//! Any bytes as the answer of a DNS server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| egret::dns::message::fuzz(bytes));
