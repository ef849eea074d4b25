//! The branches that merges are moving right now, or were killed at moving: from before the branch moves until every
//! worktree that has it checked out holds what it brought. Until then git may be writing files there.
//!
//! Read from the merges' own entries, of which `merge/queue` has the format; here, no more is trusted in them than a name.

use std::path::{Path, PathBuf};

use super::store::{Store, StoreError, decode, names_in};
use crate::durable;

/// No entry is larger.
pub const MAX_ENTRY: u64 = 16 << 20;

/// Where merges keep their entries, `<id>.json`.
pub fn entries(store: &Store) -> PathBuf {
    store.root().join("queue")
}

/// The short names of those branches. What a damaged entry is of is not known: `recover` tells of it.
pub fn landing(store: &Store) -> Result<Vec<String>, StoreError> {
    let folder = entries(store);
    let names = names_in(&folder)?.into_iter().filter(|name| name.ends_with(".json"));
    names.filter_map(|name| landing_of(&folder.join(name)).transpose()).collect()
}

fn landing_of(path: &Path) -> Result<Option<String>, StoreError> {
    // A merge may be over while it is looked at.
    let Some(bytes) = durable::read(path, MAX_ENTRY)? else { return Ok(None) };
    let Ok(entry) = decode::<serde_json::Value>(path, &bytes) else { return Ok(None) };
    let stage = &entry["stage"];
    let target = stage["target"].as_str().filter(|_| stage["at"] == "landing");
    Ok(target.map(str::to_owned))
}
