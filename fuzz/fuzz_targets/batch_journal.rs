#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ralph::fuzz::run("batch_journal", data));
