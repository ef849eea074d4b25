#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ralph::fuzz::run("merge_status", data));
