//! The one hand that writes a session's manifest: whoever holds the session's lock.
//!
//! A session's folder is made under a hidden name, its lock taken, its first manifest written, and only then renamed
//! into place: from the first moment that anyone can see it, it is held. The lock is handed on, never let go between
//! the dispatcher and the supervisor. Every transition is durable before the act that it announces; the view in the
//! worktree follows and is allowed to fail.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::launch::{LaunchSpec, ViewMode};
use super::manifest::{Manifest, State};
use super::record::encode;
use super::state::{Event, step};
use super::store::{
    EntryMachine, LaneLock, Loaded, Record, RunningEntry, SessionDir, Store, StoreError, load_manifest,
};
use super::view;
use crate::durable::{self, FileError, HeldLock, LockState, Reserve};
use crate::failpoint;
use crate::id::SessionId;

/// Enough for any manifest that says how a session ended. What is noted afterwards is not promised room.
const RESERVED_BYTES: u64 = 64 << 10;

/// Longer than any look at a lock takes.
const LOOKS: Duration = Duration::from_millis(50);

/// The right to write one session's manifest.
#[derive(Debug)]
#[must_use = "the session's lock is let go when this is dropped"]
pub struct SessionWriter {
    store: Store,
    dir: SessionDir,
    lock: HeldLock,
    manifest: Manifest,
    reserve: Option<Reserve>,
    view: ViewPlace,
}

/// Where the manifest's view goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewPlace {
    /// Nowhere: the worktree is not there yet, or the repository tracks a path of that name.
    Nowhere,
    /// Into this worktree.
    Worktree(PathBuf),
}

impl ViewPlace {
    /// Where a launch says that it goes.
    pub fn of(spec: &LaunchSpec) -> Self {
        match spec.view {
            ViewMode::Shown => Self::Worktree(spec.worktree.clone().into()),
            ViewMode::Hidden => Self::Nowhere,
        }
    }
}

/// Whether the view in this worktree is that session's.
pub fn is_shown_in(worktree: &Path, session: SessionId) -> bool {
    let shown = load_manifest(&view::path_in(worktree));
    matches!(shown, Ok(Loaded::Manifest(shown)) if shown.session_id == session)
}

/// Whether a transition's view could be written too. It may fail: the original is what counts.
#[derive(Debug)]
#[must_use = "a view that could not be written is worth a note"]
pub struct ViewResult(pub Result<(), view::ViewError>);

impl SessionWriter {
    /// Makes the session's folder, held and with its first manifest, and its entry in `running/`; or nothing at all.
    pub fn begin(store: &Store, lane: &LaneLock, manifest: Manifest) -> Result<Self, StoreError> {
        let (dir, lock) = match put_in_place(store, lane, &manifest) {
            Ok(begun) => begun,
            Err(error) => {
                // Best effort: whatever stays behind is discarded by the next command.
                drop(discard_unfinished(store, lane, manifest.session_id));
                return Err(error);
            }
        };
        durable::sync_dir(&store.sessions_dir())?;
        failpoint::hit("begin.done");
        Self::over(store.clone(), dir, lock, manifest)
    }

    /// Takes over a session whose lock came as an open descriptor.
    pub fn adopt(store: Store, id: SessionId, lock: File) -> Result<Self, StoreError> {
        let dir = store.session_dir(id);
        let manifest = require(&dir)?;
        let of = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let handed = lock.metadata().map(of).map_err(|e| FileError::io("look at", &dir.lock(), e))?;
        let own = fs::metadata(dir.lock()).map(of).map_err(|e| FileError::io("look at", &dir.lock(), e))?;
        let handed_over = handed == own && matches!(manifest.state, State::Launching | State::Queued);
        if !handed_over || lock.try_lock().is_err() {
            let why = "this session was not handed over to be begun".to_owned();
            return Err(StoreError::Damaged { record: Record::Lock, path: dir.lock(), why });
        }
        Self::over(store, dir, HeldLock::adopt(lock), manifest)
    }

    /// Takes a session that no one holds. `None`: someone does. Who only looks whether it is held does so for a
    /// moment, and is waited for.
    pub fn take_over(store: &Store, id: SessionId) -> Result<Option<Self>, StoreError> {
        let dir = store.session_dir(id);
        let lock = match HeldLock::take_within(&dir.lock(), LOOKS) {
            // Something else stands there. Who held the lock is gone, and who has the lane makes it anew.
            Err(error) if error.is_of_another_kind() && is_left_behind(store, id)? => {
                durable::clear(&dir.lock())?;
                HeldLock::take_within(&dir.lock(), LOOKS)?
            }
            other => other?,
        };
        let Some(lock) = lock else { return Ok(None) };
        let manifest = require(&dir)?;
        Self::over(store.clone(), dir, lock, manifest).map(Some)
    }

    fn over(store: Store, dir: SessionDir, lock: HeldLock, manifest: Manifest) -> Result<Self, StoreError> {
        let reserve = Some(Reserve::existing(dir.reserve()));
        Ok(Self { store, dir, lock, manifest, reserve, view: ViewPlace::Nowhere })
    }

    /// The manifest as it was last written.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The store it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The session's files.
    pub fn dir(&self) -> &SessionDir {
        &self.dir
    }

    /// The lock, to hand it on to a child.
    pub fn lock(&self) -> &HeldLock {
        &self.lock
    }

    /// From now on, transitions show in this place too.
    pub fn show_in(&mut self, place: ViewPlace) {
        self.view = place;
    }

    /// Takes a step and makes it durable. After `Ended`, the session no longer counts as running.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Result<ViewResult, StoreError> {
        let next = step(&self.manifest, event, now)?;
        let bytes = to_bytes(&next)?;
        let path = self.dir.manifest();
        match &self.reserve {
            Some(reserve) if next.is_ended() => reserve.write(&path, &bytes)?,
            _ => durable::write(&path, &bytes)?,
        }
        self.manifest = next;
        failpoint::hit("step.written");
        if self.manifest.is_ended() {
            self.retire()?;
        }
        Ok(self.refresh_view())
    }

    /// Writes the view again.
    fn refresh_view(&self) -> ViewResult {
        ViewResult(match &self.view {
            ViewPlace::Nowhere => Ok(()),
            ViewPlace::Worktree(path) => to_bytes(&self.manifest)
                .map_err(|e| view::ViewError::Encode(e.to_string()))
                .and_then(|bytes| view::write(path, &bytes)),
        })
    }

    /// A session that has ended needs no reserve and no entry among the living.
    fn retire(&mut self) -> Result<(), StoreError> {
        if let Some(reserve) = self.reserve.take() {
            reserve.release()?;
        }
        remove_running_entry(&self.store, self.manifest.session_id)
    }
}

/// Takes a session's entry among the living away.
pub fn remove_running_entry(store: &Store, id: SessionId) -> Result<(), StoreError> {
    let entry = store.running_dir().join(id.to_string());
    durable::remove(&entry)?;
    failpoint::hit("running.removed");
    Ok(())
}

/// A session's entry in `running/`, and its folder, held, with its first manifest, renamed into place.
fn put_in_place(
    store: &Store,
    lane: &LaneLock,
    manifest: &Manifest,
) -> Result<(SessionDir, HeldLock), StoreError> {
    let id = manifest.session_id;
    let (running, sessions) = (store.running_dir(), store.sessions_dir());
    durable::create_private_dir(&running)?;
    durable::create_private_dir(&sessions)?;
    let process = &manifest.process;
    let machine =
        EntryMachine { host: process.host.clone(), boot_id: process.boot_id.clone(), pid_ns: process.pid_ns };
    let entry = RunningEntry { session_id: id, lane: lane.lane().clone(), machine: Some(machine) };
    durable::write(&running.join(id.to_string()), &encode("a running entry", &entry)?)?;
    failpoint::hit("begin.entry");

    let hidden = SessionDir::at(unfinished(store, id));
    durable::create_private_dir(hidden.path())?;
    let lock = HeldLock::try_take(&hidden.lock())?.ok_or_else(|| StoreError::Damaged {
        record: Record::Lock,
        path: hidden.lock(),
        why: "a new session's lock is held already".into(),
    })?;
    // Without room set aside, a disk that fills up later could hide how the session ended.
    let reserve = Reserve::set_aside(hidden.reserve(), RESERVED_BYTES)?;
    durable::write(&hidden.manifest(), &to_bytes(manifest)?)?;
    failpoint::hit("begin.hidden");
    let dir = store.session_dir(id);
    fs::rename(hidden.path(), dir.path()).map_err(|e| FileError::io("put in place", dir.path(), e))?;
    drop(reserve);
    Ok((dir, lock))
}

/// Removes what a dispatcher left that was killed before its session was in place. Only who holds the lane may say
/// that no one is still at it.
pub fn discard_unfinished(store: &Store, _lane: &LaneLock, id: SessionId) -> Result<(), StoreError> {
    let hidden = unfinished(store, id);
    durable::remove_all(&hidden)?;
    remove_running_entry(store, id)
}

/// Puts a good manifest in the place of a damaged one, which is kept beside it. Only where no one holds the session.
pub fn replace_damaged(store: &Store, manifest: &Manifest) -> Result<(), StoreError> {
    let dir = store.session_dir(manifest.session_id);
    let path = dir.manifest();
    let Some(_held) = HeldLock::try_take(&dir.lock())? else {
        return Err(StoreError::Damaged {
            record: Record::Manifest,
            path,
            why: "and its session lives".to_owned(),
        });
    };
    if path.exists() {
        let kept = dir.path().join(format!("manifest.json.corrupt-{}", Timestamp::now().as_millisecond()));
        fs::rename(&path, &kept).map_err(|e| FileError::io("keep the damaged", &path, e))?;
        failpoint::hit("mend.kept");
    }
    Ok(durable::write(&path, &to_bytes(manifest)?)?)
}

fn unfinished(store: &Store, id: SessionId) -> PathBuf {
    store.sessions_dir().join(format!(".new-{id}"))
}

/// Whether no one holds a session whose end is not on record: only who has its lane takes such a one over.
fn is_left_behind(store: &Store, id: SessionId) -> Result<bool, StoreError> {
    let seen = store.observe(id)?;
    Ok(matches!(seen, (LockState::Free, Loaded::Manifest(manifest)) if !manifest.is_ended()))
}

fn require(dir: &SessionDir) -> Result<Manifest, StoreError> {
    let damaged = |path, why: String| Err(StoreError::Damaged { record: Record::Manifest, path, why });
    match load_manifest(&dir.manifest())? {
        Loaded::Manifest(manifest) if dir.path().ends_with(manifest.session_id.to_string()) => Ok(*manifest),
        Loaded::Manifest(_) => damaged(dir.manifest(), "it is the manifest of another session".to_owned()),
        Loaded::Newer { schema_version, .. } => {
            Err(StoreError::Newer { path: dir.manifest(), version: schema_version })
        }
        Loaded::Damaged { path, why } => damaged(path, why),
        Loaded::Missing => damaged(dir.manifest(), "it is missing".to_owned()),
    }
}

fn to_bytes(manifest: &Manifest) -> Result<Vec<u8>, StoreError> {
    manifest.to_bytes().map_err(|source| StoreError::Encode { what: "a manifest", source })
}
