#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| egret::fuzz::azure_policy(bytes));
