//! What holds of a merge's journal and of a ticket's edited status whatever their bytes are.

use std::path::Path;

use super::queue::parse;
use super::status_line::reconcile;
use crate::git::Versions;

/// An entry of the queue: what was read is written and read again as the same.
pub(crate) fn entry(data: &[u8]) {
    let path = Path::new("entry.json");
    match parse(path, data) {
        Ok(entry) => {
            let written = serde_json::to_vec(&entry).unwrap_or_default();
            assert_eq!(parse(path, &written).ok(), Some(entry), "written and read again");
        }
        Err(error) => drop(error.to_string()),
    }
}

/// The three versions of a ticket that is merged, one after the other with a NUL byte between.
pub(crate) fn status(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut versions = text.splitn(3, '\0');
    let (Some(old), Some(mine), Some(new)) = (versions.next(), versions.next(), versions.next()) else {
        return;
    };
    let path = Path::new(".tickets/T-1.md");
    let merged = reconcile(path, Versions { old: Some(old), mine, new });
    if let Some(taken) = reconcile(path, Versions { old: None, mine, new }) {
        assert_eq!(taken, new, "what takes the place of an uncommitted ticket is the merge's");
    }
    if let Some(merged) = &merged {
        // The merge's text but for one line, which is the merge's or the user's.
        assert!(
            merged == new || merged.lines().any(|line| mine.lines().any(|other| other == line)),
            "{merged:?}"
        );
        // Twice as long where each of its line ends got a carriage return.
        assert!(merged.len() <= 2 * (new.len() + mine.len()));
    }
    if mine == old {
        assert!(merged.is_none_or(|merged| merged == new), "the user changed nothing");
    }
}
