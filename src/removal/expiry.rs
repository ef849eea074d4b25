//! What has expired: sessions that ended long ago and removals that no one took back.
//!
//! A session stays while it is its lane's current one, or the one that the lane's work is guarded by, also where the lane is
//! in the trash and could come back; so does one whose end is not on record. Only `due` decides, and it is pure.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use walkdir::WalkDir;

use super::record::{self, Stage, TrashRecord, root_of, shelves, trash};
use super::{Place, RemovalError};
use crate::durable::temporary_id;
use crate::git::{TRASH_FOLDER, TrashId};
use crate::id::{Lane, SessionId};
use crate::session::record::names_in;
use crate::session::store::{Loaded, Record, Store, StoreError};

/// What would be deleted.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExpiryPlan {
    /// Sessions: their folders in the store, with logs and manifests.
    pub sessions: Vec<ExpiringSession>,
    /// Removals: what is in the trash, with its pins.
    pub trash: Vec<ExpiringTrash>,
    /// Remains without a record.
    pub leftovers: Vec<Leftover>,
    /// All of it.
    pub size: Size,
    /// What could not be looked at, and stays.
    pub problems: Vec<String>,
}

/// A session that has expired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpiringSession {
    /// The session.
    pub id: SessionId,
    /// Its lane.
    pub lane: Lane,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its folder.
    pub path: PathBuf,
    /// How much that is.
    pub size: Size,
}

/// A removal that has expired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpiringTrash {
    /// The removal.
    pub id: TrashId,
    /// The lane that was removed.
    pub lane: Lane,
    /// When.
    pub removed_at: Timestamp,
    /// Its folder; none where it was gone before.
    pub path: Option<PathBuf>,
    /// What was nowhere else and would be lost, one line a kind.
    pub unsaved: Vec<String>,
    /// How much that is.
    pub size: Size,
}

/// Something that an interrupted command, or a dispatch over a lost tree, left without a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// The folder, or the file.
    pub path: PathBuf,
    /// Since when, by its name.
    pub since: Timestamp,
    /// How much that is.
    pub size: Size,
}

/// How much something is on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Files.
    pub files: u64,
    /// Bytes that they take up.
    pub bytes: u64,
}

/// Everything that could expire.
#[derive(Debug, Default)]
struct Listing {
    sessions: Vec<(ExpiringSession, Held)>,
    trash: Vec<TrashRecord>,
    leftovers: Vec<Leftover>,
    problems: Vec<String>,
}

/// Whether something holds on to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nothing does.
    No,
    /// A lane that is there: it is its current session, or has its guard.
    ByLane,
    /// A lane in the trash.
    ByTrash(TrashId),
}

/// Looks what has expired. Changes nothing.
pub fn gc(place: &Place<'_>, older_than: Duration) -> Result<ExpiryPlan, RemovalError> {
    let listing = list(place)?;
    let mut plan = due(listing, older_than, place.now);
    for session in &mut plan.sessions {
        session.size = size(&session.path);
        plan.size.add(session.size);
    }
    for trash in &mut plan.trash {
        trash.size = size(&record::shelf(place.store, trash.id));
        trash.size.add(trash.path.as_deref().map(size).unwrap_or_default());
        plan.size.add(trash.size);
    }
    for leftover in &mut plan.leftovers {
        leftover.size = size(&leftover.path);
        plan.size.add(leftover.size);
    }
    Ok(plan)
}

/// What of `listing` has expired. Pure.
fn due(listing: Listing, older_than: Duration, now: Timestamp) -> ExpiryPlan {
    let is_old = |since: Timestamp| {
        // A time span beyond what can be counted is longer than anything is old.
        now.checked_sub(older_than).is_ok_and(|limit| since <= limit)
    };
    let trash: Vec<ExpiringTrash> = listing
        .trash
        .into_iter()
        .filter(|record| match record.stage {
            Stage::Removed => is_old(record.removed_at),
            // To be deleted for good was said before, and then interrupted.
            Stage::Expiring => true,
            Stage::Removing | Stage::Restoring | Stage::Restored => false,
        })
        .map(|record| ExpiringTrash {
            id: record.parcel.id,
            lane: record.lane.lane,
            removed_at: record.removed_at,
            path: record.parcel.held,
            unsaved: record.unsaved,
            size: Size::default(),
        })
        .collect();
    let goes = |held: Held| match held {
        Held::No => true,
        Held::ByLane => false,
        Held::ByTrash(id) => trash.iter().any(|trash| trash.id == id),
    };
    let sessions =
        listing.sessions.into_iter().filter(|(session, held)| is_old(session.ended_at) && goes(*held));
    let sessions = sessions.map(|(session, _)| session).collect();
    let leftovers = listing.leftovers.into_iter().filter(|leftover| is_old(leftover.since)).collect();
    ExpiryPlan { sessions, trash, leftovers, size: Size::default(), problems: listing.problems }
}

fn list(place: &Place<'_>) -> Result<Listing, RemovalError> {
    let store = place.store;
    let (trash, damaged) = trash(store)?;
    let (lanes, damaged_lanes) = store.lanes()?;
    let mut problems: Vec<String> =
        damaged.iter().chain(&damaged_lanes).map(|error| plain(&error.to_string())).collect();
    let running: HashSet<SessionId> = store.running()?.into_iter().collect();
    let mut sessions = Vec::new();
    for id in store.sessions()?.into_iter().filter(|id| !running.contains(id)) {
        match ended(store, id) {
            Ok(Some(session)) => {
                let in_trash = trash.iter().find(|record| record.lane.needs(id));
                // A lane whose record cannot be read could name any of its sessions.
                let is_needed = store.lane(&session.lane).map_or(true, |l| l.is_some_and(|l| l.needs(id)));
                let held = match in_trash {
                    _ if is_needed => Held::ByLane,
                    Some(record) => Held::ByTrash(record.parcel.id),
                    None => Held::No,
                };
                sessions.push((session, held));
            }
            Ok(None) => {}
            Err(error) => problems.push(plain(&error.to_string())),
        }
    }
    let roots = lanes
        .iter()
        .filter_map(|lane| Path::new(&lane.worktree).parent())
        .chain(trash.iter().filter_map(|record| root_of(record.parcel.held.as_deref()?)))
        .chain([place.root]);
    let roots: BTreeSet<PathBuf> = roots.filter_map(|root| root.canonicalize().ok()).collect();
    let leftovers = leftovers(store, &roots)?;
    Ok(Listing { sessions, trash, leftovers, problems })
}

/// A session that has ended, by its manifest.
pub(super) fn ended(store: &Store, id: SessionId) -> Result<Option<ExpiringSession>, StoreError> {
    match store.load(id)? {
        Loaded::Manifest(manifest) if manifest.is_ended() => {
            Ok(manifest.ended_at.map(|ended_at| ExpiringSession {
                id,
                lane: manifest.lane,
                ended_at,
                path: store.session_dir(id).path().to_owned(),
                size: Size::default(),
            }))
        }
        Loaded::Damaged { path, why } => Err(StoreError::Damaged { record: Record::Manifest, path, why }),
        Loaded::Manifest(_) | Loaded::Newer { .. } | Loaded::Missing => Ok(None),
    }
}

/// How the names begin of registrations that a dispatch put aside.
pub(super) const REGISTRATION: &str = "registration-";
/// How the names begin of sessions that are being deleted.
pub(super) const GONE: &str = ".gone-";

/// Remains without a record: folders of the trash that an interruption emptied of theirs, registrations that a
/// dispatch put aside, sessions that were half deleted, files that someone was killed over. Their names say since when.
fn leftovers(store: &Store, roots: &BTreeSet<PathBuf>) -> Result<Vec<Leftover>, RemovalError> {
    let mut found = Vec::new();
    let mut add = |path: PathBuf, uuid: &str| {
        if let Some(since) = made_at(uuid) {
            found.push(Leftover { path, since, size: Size::default() });
        }
    };
    for id in shelves(store)? {
        let shelf = record::shelf(store, id);
        // Damaged ones have a record, too.
        if !shelf.join("trash.json").exists() && !shelf.join("admin").exists() {
            add(shelf, &id.to_string());
        }
    }
    for root in roots {
        let trash = root.join(TRASH_FOLDER);
        for name in names_in(&trash)? {
            if let Some(uuid) = name.strip_prefix(REGISTRATION) {
                add(trash.join(&name), uuid);
            }
        }
    }
    let sessions = store.root().join("sessions");
    for name in names_in(&sessions)? {
        if let Some(uuid) = name.strip_prefix(GONE) {
            add(sessions.join(&name), uuid);
        }
    }
    let stored = WalkDir::new(store.root()).into_iter().filter_map(Result::ok);
    for file in stored.filter(|entry| entry.file_type().is_file()) {
        if let Some(uuid) = file.file_name().to_str().and_then(temporary_id) {
            add(file.path().to_owned(), uuid);
        }
    }
    Ok(found)
}

/// When a UUID of version 7 was made.
fn made_at(uuid: &str) -> Option<Timestamp> {
    let (seconds, nanoseconds) = uuid::Uuid::parse_str(uuid).ok()?.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl Size {
    pub(super) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// How much a folder is; what cannot be looked at counts nothing.
fn size(folder: &Path) -> Size {
    let mut size = Size::default();
    for entry in WalkDir::new(folder).into_iter().filter_map(Result::ok) {
        if let Ok(meta) = entry.metadata() {
            size.bytes += std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
            size.files += u64::from(!meta.is_dir());
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(day: i64) -> Timestamp {
        Timestamp::new(1_700_000_000 + day * 24 * 3600, 0).unwrap()
    }

    fn session(ended_at: Timestamp) -> ExpiringSession {
        let lane = "T-1".parse().unwrap();
        ExpiringSession {
            id: SessionId::generate(),
            lane,
            ended_at,
            path: "/s".into(),
            size: Size::default(),
        }
    }

    fn removal(stage: Stage, removed_at: Timestamp) -> TrashRecord {
        let lane = serde_json::json!({
            "schema_version": 1, "lane": "T-1", "base_ref": "main", "base_commit": "", "branch": "ralph/T-1",
            "worktree_id": "t-1", "worktree": "/w", "current_session": null, "attempts": 1, "created_at": at(0),
        });
        let parcel = serde_json::json!({
            "id": TrashId::generate(), "worktree_id": "t-1", "path": "/w", "held": "/.trash/x",
            "branch": "ralph/T-1", "tip": null, "fate": "keep", "head_commit": null,
        });
        let record = serde_json::json!({
            "schema_version": 1, "stage": stage, "removed_at": removed_at, "lane": lane, "parcel": parcel,
            "branch": { "fate": "gone" }, "unsaved": [],
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn what_is_older_than_was_asked_for_is_due_and_nothing_else() {
        for (age, due_now) in [(0, false), (29, false), (30, true), (400, true)] {
            let listing = Listing {
                sessions: vec![(session(at(0)), Held::No)],
                trash: vec![removal(Stage::Removed, at(0))],
                leftovers: vec![Leftover { path: "/l".into(), since: at(0), size: Size::default() }],
                problems: Vec::new(),
            };
            let plan = due(listing, 30 * DAY, at(age));
            let expected = usize::from(due_now);
            let found = (plan.sessions.len(), plan.trash.len(), plan.leftovers.len());
            assert_eq!(found, (expected, expected, expected), "after {age} days");
        }
        let listing = Listing { sessions: vec![(session(at(0)), Held::No)], ..Listing::default() };
        assert!(due(listing, Duration::MAX, at(1)).sessions.is_empty(), "longer than anything is old");
    }

    #[test]
    fn only_what_is_in_the_trash_for_good_is_due() {
        let cases = [
            (Stage::Removing, 0, false),
            (Stage::Removed, 0, true),
            (Stage::Restoring, 0, false),
            (Stage::Restored, 0, false),
            // To be deleted for good was said before.
            (Stage::Expiring, 40, true),
        ];
        for (stage, removed, expected) in cases {
            let listing = Listing { trash: vec![removal(stage, at(removed))], ..Listing::default() };
            assert_eq!(due(listing, DAY, at(40)).trash.len(), usize::from(expected), "{stage:?}");
        }
    }

    #[test]
    fn a_session_that_something_holds_on_to_is_due_only_with_it() {
        let (young, old) = (removal(Stage::Removed, at(39)), removal(Stage::Removed, at(0)));
        let (by_young, by_old) = (Held::ByTrash(young.parcel.id), Held::ByTrash(old.parcel.id));
        for (held, expected) in [(Held::No, true), (Held::ByLane, false), (by_young, false), (by_old, true)] {
            let listing = Listing {
                sessions: vec![(session(at(0)), held)],
                trash: vec![young.clone(), old.clone()],
                ..Listing::default()
            };
            assert_eq!(due(listing, 30 * DAY, at(40)).sessions.len(), usize::from(expected), "{held:?}");
        }
    }
}
