//! The line in which the merges of a repository stand, and what each is about to do.
//!
//! Whoever holds `merge.lock` is at it; the lock's content says who that is, for those who wait. An entry
//! `queue/<id>.json` is there from before anything is made until all of it is done, so that any entry that is found
//! by who has the lock was left by someone who was killed. Its folder `queue/<id>/` holds what only lasts as long.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::MergeError;
use super::{Place, Progress};
use crate::durable::{self, FileError, HeldLock};
use crate::git::Follower;
use crate::id::{BranchName, Lane};
use crate::session::landing::{MAX_ENTRY, entries, entry_file, lock_file, merges};
use crate::session::lane::MergedRecord;
use crate::session::record::{decode_known, encode};
use crate::session::store::{Record, Store, StoreError};

/// The version of an entry's format.
const QUEUE_VERSION: u32 = 1;

const MAX_HOLDER: u64 = 1 << 10;

/// How often a merge that waits looks whether it was called off.
const LOOK: Duration = Duration::from_millis(250);

/// A merge, from before it is begun until it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The version of this format: 1.
    pub(super) schema_version: u32,
    /// Which one.
    pub(super) id: MergeId,
    /// What is merged: a lane's name, or a file's.
    pub(super) what: String,
    /// When it was begun.
    pub(super) begun_at: Timestamp,
    /// How far it is.
    pub(super) stage: Stage,
    /// The worktree in which its result is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) workshop: Option<OpenWorkshop>,
}

/// A workshop that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenWorkshop {
    /// Its folder.
    pub(super) path: PathBuf,
    /// The boot of the machine on which something may run in it.
    pub(super) boot_id: String,
    /// The start of the first process that could be at it.
    pub(super) since_ticks: u64,
}

/// How far a merge is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "at")]
pub(super) enum Stage {
    /// Being made: nothing that anyone sees has changed.
    Making,
    /// The target moves, and the worktrees that have it checked out follow.
    Landing(Box<Landing>),
}

/// What is to happen as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Landing {
    /// The branch that moves.
    pub(super) target: BranchName,
    /// From where.
    pub(super) from: crate::git::CommitId,
    /// To where.
    pub(super) to: crate::git::CommitId,
    /// The worktrees that follow.
    pub(super) trees: Vec<Follower>,
    /// The lane that is merged by it, and what its record is to say.
    pub(super) lane: Option<LaneMerge>,
}

/// What a lane's record is to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LaneMerge {
    pub(super) lane: Lane,
    pub(super) record: MergedRecord,
}

/// The name of a merge: sorts by the time it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct MergeId(uuid::Uuid);

impl MergeId {
    fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl std::fmt::Display for MergeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

/// The first place in the line.
#[derive(Debug)]
#[must_use = "the next one's turn comes when this is dropped"]
pub(super) struct Turn {
    lock: HeldLock,
}

impl Turn {
    /// The lock, for a git that writes into a worktree: it holds it too until it has ended.
    pub(super) fn lock(&self) -> &HeldLock {
        &self.lock
    }
}

/// Waits for the turn of `what`, and says whom it waits for.
pub(super) fn wait_for_turn(
    store: &Store,
    what: &str,
    progress: &dyn Progress,
) -> Result<Option<Turn>, MergeError> {
    durable::create_private_dir(store.root())?;
    let path = lock_file(store);
    let mut told = false;
    loop {
        if let Some(lock) = HeldLock::take_within(&path, if told { LOOK } else { Duration::ZERO })? {
            return Ok(Some(signed(lock, &path, what)?));
        }
        if progress.is_cancelled() {
            return Ok(None);
        }
        if !told {
            let holder = durable::read(&path, MAX_HOLDER).ok().flatten().unwrap_or_default();
            let holder = String::from_utf8_lossy(&holder).trim().to_owned();
            let holder = if holder.is_empty() { "another merge".to_owned() } else { holder };
            progress.note(&format!("{what} waits for its turn: {holder} is being merged"));
            told = true;
        }
    }
}

/// The turn, where no one has it.
pub(super) fn turn_if_free(store: &Store, what: &str) -> Result<Option<Turn>, MergeError> {
    let path = lock_file(store);
    match HeldLock::try_take(&path)? {
        Some(lock) => Ok(Some(signed(lock, &path, what)?)),
        None => Ok(None),
    }
}

/// Says in the lock who has it.
fn signed(lock: HeldLock, path: &Path, what: &str) -> Result<Turn, MergeError> {
    let text = format!("{what} (process {})\n", std::process::id());
    let write = |file: &fs::File| file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
    write(lock.file()).map_err(|e| FileError::io("write", path, e))?;
    Ok(Turn { lock })
}

/// Begins a merge: its entry is on record, and its folder is there.
pub(super) fn begin(place: &Place<'_>, _turn: &Turn, what: &str) -> Result<Entry, MergeError> {
    let entry = Entry {
        schema_version: QUEUE_VERSION,
        id: MergeId::generate(),
        what: what.to_owned(),
        begun_at: Timestamp::now(),
        stage: Stage::Making,
        workshop: None,
    };
    durable::create_private_dir(&entries(place.store))?;
    write(place.store, &entry)?;
    durable::create_private_dir(&scratch(place.store, entry.id))?;
    Ok(entry)
}

/// Replaces an entry.
pub(super) fn write(store: &Store, entry: &Entry) -> Result<(), StoreError> {
    Ok(durable::write(&file(store, entry.id), &encode("a merge", entry)?)?)
}

/// Takes an entry away, and its folder.
pub(super) fn close(store: &Store, id: MergeId) -> Result<(), StoreError> {
    durable::remove_all(&scratch(store, id))?;
    Ok(durable::remove(&file(store, id))?)
}

/// The merges that have an entry, oldest first.
pub(super) fn waiting(store: &Store) -> Result<Vec<MergeId>, StoreError> {
    Ok(merges(store)?.into_iter().map(MergeId).collect())
}

/// An entry, read as hostile: bounded, of this version only, and of the name that it has.
pub(super) fn read(store: &Store, id: MergeId) -> Result<Option<Entry>, StoreError> {
    let path = file(store, id);
    let Some(bytes) = durable::read(&path, MAX_ENTRY)? else { return Ok(None) };
    let entry = parse(&path, &bytes)?;
    if entry.id != id {
        let why = format!("it is the entry of {}", entry.id);
        return Err(StoreError::Damaged { record: Record::Merge, path, why });
    }
    Ok(Some(entry))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Entry, StoreError> {
    decode_known(Record::Merge, path, bytes, QUEUE_VERSION)
}

/// The folder of an entry.
pub(super) fn scratch(store: &Store, id: MergeId) -> PathBuf {
    entries(store).join(id.to_string())
}

fn file(store: &Store, id: MergeId) -> PathBuf {
    entry_file(store, id.0)
}
