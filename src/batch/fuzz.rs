//! What holds of a batch's journal whatever its bytes are: what was read is written and read again as the same, and a
//! torn last line is as if it had never been.

use std::path::Path;

use super::board::Board;
use super::journal::parse;

/// A journal.
pub(crate) fn journal(data: &[u8]) {
    let path = Path::new("journal.jsonl");
    let (entries, whole) = match parse(path, data) {
        Ok(read) => read,
        Err(error) => return drop(error.to_string()),
    };
    let end = usize::try_from(whole).unwrap_or(usize::MAX);
    assert!(end == 0 || data.get(end - 1) == Some(&b'\n'), "{end} bytes are whole lines");
    assert!(data.get(end..).is_some_and(|torn| !torn.contains(&b'\n')), "{end} bytes are all whole lines");
    let mut lines = Vec::new();
    for entry in &entries {
        lines.extend(serde_json::to_vec(entry).unwrap_or_default());
        lines.push(b'\n');
    }
    let again = parse(path, &[&lines, &b"{\"torn"[..]].concat()).ok();
    assert_eq!(again, Some((entries.clone(), lines.len() as u64)), "written and read again");
    // A resumed batch folds whatever its journal holds.
    let mut board = Board::default();
    entries.iter().for_each(|entry| board.apply(entry));
}
