//! What of a lane no merge has taken yet: sessions that were begun since the last one, and whose guard their work is under.

use super::lane::{LaneRecord, MergedRecord};
use super::launch::LaunchSpec;
use super::store::{Loaded, Store, StoreError};
use crate::id::SessionId;

/// What there is of a lane since it was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nothing: no session was begun since.
    Nothing,
    /// A session was begun.
    Session,
    /// It cannot be told.
    Unclear,
}

/// Whether a session was begun since that merge. A clock may be set back: it is asked only where an older ralph recorded
/// the merge.
pub fn since(store: &Store, record: &LaneRecord, merged: &MergedRecord) -> Result<Since, StoreError> {
    let Some(session) = record.current_session else { return Ok(Since::Nothing) };
    let is_since = match merged.attempts {
        Some(attempts) => record.attempts > attempts,
        None => match store.load(session)? {
            Loaded::Manifest(manifest) => manifest.created_at >= merged.at,
            Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing => return Ok(Since::Unclear),
        },
    };
    Ok(if is_since { Since::Session } else { Since::Nothing })
}

/// Under whose guard the work of a lane is: what git's settings and hooks were when the first of its sessions that are not
/// merged was launched.
#[derive(Debug)]
pub enum Guarded {
    /// Under none: nothing was launched since the last merge.
    No,
    /// Under that of this session.
    By(SessionId, Box<LaunchSpec>),
    /// Under that of this session, which cannot be read any more, and why.
    Lost(SessionId, String),
}

impl Guarded {
    /// The session.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::No => None,
            Self::By(session, _) | Self::Lost(session, _) => Some(*session),
        }
    }
}

/// Looks for it.
pub fn guarded(store: &Store, record: &LaneRecord) -> Result<Guarded, StoreError> {
    if let Some(merged) = record.merged()
        && since(store, record, &merged)? == Since::Nothing
    {
        return Ok(Guarded::No);
    }
    let Some(session) = record.guarded_by.or(record.current_session) else { return Ok(Guarded::No) };
    Ok(match LaunchSpec::read(&store.session_dir(session)) {
        Ok(Some(spec)) => Guarded::By(session, Box::new(spec)),
        Ok(None) if record.guarded_by.is_none() => Guarded::No,
        Ok(None) => Guarded::Lost(session, format!("what session {session} was launched with is gone")),
        Err(error) => Guarded::Lost(session, error.to_string()),
    })
}
