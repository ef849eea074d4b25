#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ralph::fuzz::run("git_kept", data));
