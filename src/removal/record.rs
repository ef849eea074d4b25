//! The trash's records: one folder a removal, `<store>/trash/<id>/`, with `trash.json` and what was registered.
//!
//! A record is written before what it says is done, and read as hostile: bounded, of this version only, and of the
//! folder that it lies in.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::BranchPlan;
use crate::durable;
use crate::failpoint;
use crate::git::{Parcel, TrashId};
use crate::session::lane::LaneRecord;
use crate::session::record::{decode_known, encode, names_in};
use crate::session::store::{Record, Store, StoreError};

/// The version of the format.
const TRASH_VERSION: u32 = 1;

const MAX_RECORD: u64 = 1 << 20;

/// The record of one removal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrashRecord {
    /// The version of this format: 1.
    pub schema_version: u32,
    /// How far it is.
    pub stage: Stage,
    /// When the lane was removed.
    pub removed_at: Timestamp,
    /// The lane, as it was.
    pub lane: LaneRecord,
    /// What was taken, and where it is.
    pub parcel: Parcel,
    /// What becomes of its branch.
    pub branch: BranchPlan,
    /// What was nowhere else, one line a kind.
    pub unsaved: Vec<String>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// How far a removal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// On its way into the trash.
    Removing,
    /// In the trash.
    Removed,
    /// On its way back.
    Restoring,
    /// Back; only the record is left.
    Restored,
    /// Being deleted.
    Expiring,
}

impl TrashRecord {
    pub(super) fn new(
        lane: LaneRecord,
        parcel: Parcel,
        branch: BranchPlan,
        unsaved: Vec<String>,
        removed_at: Timestamp,
    ) -> Self {
        let extra = serde_json::Map::new();
        let (schema_version, stage) = (TRASH_VERSION, Stage::Removing);
        Self { schema_version, stage, removed_at, lane, parcel, branch, unsaved, extra }
    }
}

/// All that is in the trash, oldest first, and what is wrong with records that cannot be read.
pub fn trash(store: &Store) -> Result<(Vec<TrashRecord>, Vec<StoreError>), StoreError> {
    let mut records = Vec::new();
    let mut damaged = Vec::new();
    for id in shelves(store)? {
        match read(store, id) {
            Ok(record) => records.extend(record),
            Err(error) => damaged.push(error),
        }
    }
    Ok((records, damaged))
}

/// The removals that have a folder, oldest first.
pub(super) fn shelves(store: &Store) -> Result<Vec<TrashId>, StoreError> {
    Ok(names_in(&trash_dir(store))?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The record of a removal; `None` where it has none, or none any more.
pub(super) fn read(store: &Store, id: TrashId) -> Result<Option<TrashRecord>, StoreError> {
    let path = file(store, id);
    let Some(bytes) = durable::read(&path, MAX_RECORD)? else { return Ok(None) };
    let record = parse(&path, &bytes)?;
    if record.parcel.id != id {
        let why = format!("it is the record of {}", record.parcel.id);
        return Err(StoreError::Damaged { record: Record::Removal, path, why });
    }
    Ok(Some(record))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<TrashRecord, StoreError> {
    decode_known(Record::Removal, path, bytes, TRASH_VERSION)
}

/// Makes the removal's folder and writes its record: from here on it is known.
pub(super) fn begin(store: &Store, record: &TrashRecord) -> Result<(), StoreError> {
    durable::create_private_dir(&shelf(store, record.parcel.id))?;
    durable::sync_dir(&trash_dir(store))?;
    write(store, record)
}

/// Replaces the record.
pub(super) fn write(store: &Store, record: &TrashRecord) -> Result<(), StoreError> {
    Ok(durable::write(&file(store, record.parcel.id), &encode("a removal", record)?)?)
}

/// Takes the record away of a removal of which nothing is in the trash.
pub(super) fn close(store: &Store, record: &TrashRecord) -> Result<(), StoreError> {
    let folder = shelf(store, record.parcel.id);
    for name in ["branch-log", "trash.json"] {
        let path = folder.join(name);
        durable::remove(&path)?;
        failpoint::hit("trash.closing");
    }
    if let Some(held) = &record.parcel.held {
        // Best effort: where it is not empty it holds what is not ours to delete here.
        drop(fs::remove_dir(held));
    }
    // Best effort: a folder without a record is passed by, and expires.
    drop(fs::remove_dir(&folder));
    Ok(())
}

/// The folder of all removals.
pub(super) fn trash_dir(store: &Store) -> PathBuf {
    store.root().join("trash")
}

/// The folder of a removal.
pub(super) fn shelf(store: &Store, id: TrashId) -> PathBuf {
    trash_dir(store).join(id.to_string())
}

fn file(store: &Store, id: TrashId) -> PathBuf {
    shelf(store, id).join("trash.json")
}

/// The root of worktrees whose trash holds this tree.
pub(super) fn root_of(held: &Path) -> Option<&Path> {
    held.parent()?.parent()
}
