//! What holds of what the kernel says of processes, whose names, arguments and environment are anyone's.

use std::path::Path;

use super::descendants::Mark;
use super::identity::{Life, parse_stat, words};
use super::memory::{parse_meminfo, unwritten};

/// The files of `/proc`.
pub(crate) fn proc(data: &[u8]) {
    if let Some(stat) = parse_stat(data) {
        let (pid, name) = (stat.identity.pid, String::from_utf8_lossy(data).replace(char::is_control, " "));
        let (state, threads) = match stat.life {
            Life::Whole => ('S', 1),
            Life::Headless => ('Z', 2),
            Life::Ended => ('Z', 1),
        };
        // Whatever the name is, it does not shift the fields.
        let line = format!(
            "{pid} ({name}) {state} {} {}{} {threads} 0 {}",
            stat.parent,
            stat.group,
            " 0".repeat(14),
            stat.identity.start_ticks
        );
        assert_eq!(parse_stat(line.as_bytes()), Some(stat), "{line:?}");
    }
    if let Some(words) = words(data) {
        let length: usize = words.iter().map(|word| word.len() + 1).sum();
        assert_eq!(length, data.len(), "every byte is of a word or ends one");
    }
    let mark = Mark::new("RALPH_SESSION_ID", "0193");
    let marked = [data, b"\0RALPH_SESSION_ID=0193\0"].concat();
    assert!(mark.is_in(&marked), "a mark is found behind anything");
    let is_there = data.split(|b| *b == 0).any(|variable| variable == b"RALPH_SESSION_ID=0193");
    assert_eq!(mark.is_in(data), is_there);
    if let Ok(text) = std::str::from_utf8(data) {
        parse_meminfo(text);
        for range in unwritten(text, Path::new("/bin/ralph")) {
            assert!(range.start < range.end, "{range:?}");
        }
    }
}
