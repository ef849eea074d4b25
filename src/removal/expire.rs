//! Deleting what has expired, one thing at a time, each only if that is still so.
//!
//! A removal that is being deleted is marked first and cannot come back; a session is moved aside first. A commit that
//! only a session's pin leads to keeps its pin.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::delete::{delete_abandoned, delete_folder, delete_trash};
use super::expiry::{
    ExpiringSession, ExpiringTrash, ExpiryPlan, GONE, Leftover, REGISTRATION, Size, ended, plain,
};
use super::record::{self, Stage, trash};
use super::{Place, REPO_PATIENCE, RemovalError};
use crate::durable::{FileError, HeldLock, temporary_id};
use crate::failpoint;
use crate::git::{TrashId, let_go_of_registration, let_go_of_session};
use crate::id::SessionId;
use crate::session::store::LaneClaim;

/// What was deleted.
#[derive(Debug, Default)]
pub struct Expired {
    /// The sessions.
    pub sessions: Vec<SessionId>,
    /// The removals.
    pub trash: Vec<TrashId>,
    /// Remains without a record.
    pub leftovers: Vec<PathBuf>,
    /// All of it.
    pub size: Size,
    /// References of sessions that stay, since nothing else leads to their commits.
    pub kept_pins: Vec<String>,
    /// What was to be deleted and was not.
    pub spared: Vec<Spared>,
}

/// Something that was to be deleted and was not.
#[derive(Debug)]
pub struct Spared {
    /// What, without control characters.
    pub what: String,
    /// Why.
    pub why: RemovalError,
}

/// Deletes what the plan says, as far as that is still so. What cannot be deleted does not keep the rest.
pub fn expire(place: &Place<'_>, plan: &ExpiryPlan) -> Result<Expired, RemovalError> {
    let mut expired = Expired::default();
    for trash in &plan.trash {
        let what = || format!("{}, removed {}", trash.lane, trash.removed_at);
        if expired.count(expire_trash(place, trash), trash.size, what).is_some() {
            expired.trash.push(trash.id);
        }
    }
    let (left, _damaged) = trash(place.store)?;
    let needed = left
        .iter()
        .flat_map(|record| [record.lane.current_session, record.lane.guarded_by])
        .flatten()
        .collect();
    for session in &plan.sessions {
        let what = || format!("session {} of {}", session.id, session.lane);
        if let Some(kept) = expired.count(expire_session(place, session, &needed), session.size, what) {
            expired.sessions.push(session.id);
            expired.kept_pins.extend(kept);
        }
    }
    for leftover in &plan.leftovers {
        let what = || plain(&leftover.path.display().to_string());
        if expired.count(expire_leftover(place, leftover), leftover.size, what).is_some() {
            expired.leftovers.push(leftover.path.clone());
        }
    }
    Ok(expired)
}

impl Expired {
    fn count<T>(
        &mut self,
        done: Result<T, RemovalError>,
        size: Size,
        what: impl Fn() -> String,
    ) -> Option<T> {
        match done {
            Ok(value) => {
                self.size.add(size);
                Some(value)
            }
            Err(why) => {
                self.spared.push(Spared { what: what(), why });
                None
            }
        }
    }
}

fn expire_trash(place: &Place<'_>, trash: &ExpiringTrash) -> Result<(), RemovalError> {
    let store = place.store;
    let _claim = match store.claim_lane(&trash.lane, Duration::ZERO)? {
        LaneClaim::Claimed(claim) => claim,
        LaneClaim::Busy(_) => return Err(RemovalError::Contended { lane: trash.lane.clone() }),
    };
    let Some(mut record) = record::read(store, trash.id)? else { return Ok(()) };
    if !matches!(record.stage, Stage::Removed | Stage::Expiring) {
        return Err(RemovalError::NotExpired { why: "it is no longer in the trash" });
    }
    // From here on it can no longer come back: parts of it will be gone.
    record.stage = Stage::Expiring;
    record::write(store, &record)?;
    failpoint::hit("expire.marked");
    delete_trash(place, &record)
}

/// Deletes a session's folder. Answers the pins that stay.
fn expire_session(
    place: &Place<'_>,
    session: &ExpiringSession,
    needed: &HashSet<SessionId>,
) -> Result<Vec<String>, RemovalError> {
    let store = place.store;
    let dir = store.session_dir(session.id);
    // Held until the folder has gone: whoever finds it finds it held, or not at all.
    let _held = match HeldLock::try_take(&dir.lock()) {
        Ok(Some(held)) => held,
        Ok(None) => return Err(RemovalError::NotExpired { why: "it lives" }),
        Err(error) if error.kind() == Some(std::io::ErrorKind::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if ended(store, session.id)?.is_none_or(|now| now.ended_at != session.ended_at) {
        return Err(RemovalError::NotExpired { why: "it has changed meanwhile" });
    }
    if store.lane(&session.lane)?.is_some_and(|lane| lane.needs(session.id)) {
        return Err(RemovalError::NotExpired { why: "its lane needs it" });
    }
    if needed.contains(&session.id) {
        return Err(RemovalError::NotExpired { why: "a lane in the trash may still come back to it" });
    }
    // Before the folder, by which they are found.
    let lock = place.repo.lock(REPO_PATIENCE)?;
    let kept = let_go_of_session(place.repo, &lock, &session.id.to_string())?;
    drop(lock);
    failpoint::hit("expire.session");
    let sessions = store.root().join("sessions");
    let gone = format!("{GONE}{}", session.id);
    fs::rename(dir.path(), sessions.join(&gone)).map_err(|e| FileError::io("move aside", dir.path(), e))?;
    failpoint::hit("expire.aside");
    delete_folder(&sessions, &gone)?;
    Ok(kept)
}

fn expire_leftover(place: &Place<'_>, leftover: &Leftover) -> Result<(), RemovalError> {
    match (leftover.path.parent(), leftover.path.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) if temporary_id(name).is_some() => Ok(delete_abandoned(parent, name)?),
        (Some(parent), Some(name)) => {
            delete_folder(parent, name)?;
            if name.starts_with(REGISTRATION) {
                let lock = place.repo.lock(REPO_PATIENCE)?;
                let_go_of_registration(place.repo, &lock, name)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
