//! The branches that merges are moving right now, or were killed at moving: from before the branch moves until every
//! worktree that has it checked out holds what it brought. Until then git may be writing files there.
//!
//! Read from the merges' own entries, of which `merge/queue` has the format. An entry that cannot be read says nothing
//! here: that it is there is `recover`'s to tell.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::record::{decode, names_in};
use super::store::{Record, Store, StoreError};
use crate::durable::{self, LockState};
use crate::id::BranchName;

/// No entry is larger.
pub const MAX_ENTRY: u64 = 16 << 20;

/// Where merges keep their entries, `<id>.json`.
pub fn entries(store: &Store) -> PathBuf {
    store.root().join("queue")
}

/// The merges that have an entry, oldest first.
pub fn merges(store: &Store) -> Result<Vec<Uuid>, StoreError> {
    let id = |name: &String| {
        let name = name.strip_suffix(".json")?;
        // Of the spellings of a UUID, the one that an entry has.
        Uuid::try_parse(name).ok().filter(|id| id.hyphenated().to_string() == name)
    };
    Ok(names_in(&entries(store))?.iter().filter_map(id).collect())
}

/// The entry of a merge.
pub fn entry_file(store: &Store, id: Uuid) -> PathBuf {
    entries(store).join(format!("{}.json", id.hyphenated()))
}

/// The lock that whoever merges holds.
pub fn lock_file(store: &Store) -> PathBuf {
    store.root().join("merge.lock")
}

/// Those branches.
pub fn landing(store: &Store) -> Result<Vec<BranchName>, StoreError> {
    Ok(merges(store)?.into_iter().filter_map(|id| landing_of(&entry_file(store, id))).collect())
}

/// Those of a merge that goes on: none where it was killed.
pub fn landing_now(store: &Store) -> Result<Vec<BranchName>, StoreError> {
    let landing = landing(store)?;
    // Asked for last: whoever begins to merge must not find the lock in use for a look.
    let goes_on = !landing.is_empty() && durable::probe_lock(&lock_file(store))? == LockState::Held;
    Ok(if goes_on { landing } else { Vec::new() })
}

fn landing_of(path: &Path) -> Option<BranchName> {
    let entry: serde_json::Value =
        decode(Record::Merge, path, &durable::read(path, MAX_ENTRY).ok()??).ok()?;
    let stage = &entry["stage"];
    stage["target"].as_str().filter(|_| stage["at"] == "landing")?.parse().ok()
}
