//! The last word on a session that no one holds any more: its manifest, settled first where that was left open.

use std::thread;
use std::time::{Duration, Instant};

use super::act::{Place, Scope, Settled, recover};
use super::error::RecoverError;
use crate::id::SessionId;
use crate::session::manifest::Manifest;
use crate::session::store::{Loaded, Record, Store, StoreError};

/// Neither lives nor has ended, as far as is on record.
const UNKNOWN: &str = "its manifest does not say how it ended, and it is not on record as living";
/// Someone was at it for longer than it was waited for.
const KEPT: &str = "it is alive, or another ralph command is at it or its lane, and was waited for";

/// How long someone else who settles the session is waited for.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A session whose end is not on record, and could not be put there.
#[derive(Debug, thiserror::Error)]
pub enum EndedError {
    /// A newer ralph wrote its manifest.
    #[error("session {session}: its manifest was written by a newer ralph")]
    Newer {
        /// The session.
        session: SessionId,
    },
    /// It was never begun.
    #[error("session {session} never came into place")]
    NeverInPlace {
        /// The session.
        session: SessionId,
    },
    /// Something keeps it open.
    #[error("session {session}: its end could not be settled: {why}")]
    Left {
        /// The session.
        session: SessionId,
        /// What keeps it open.
        why: String,
    },
    /// Settling failed.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EndedError {
    /// Whether the system was only short of something: then its end may well be there to be read.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Recover(RecoverError::Store(error)) | Self::Store(error) => error.is_passing(),
            Self::Recover(RecoverError::File(error)) => error.is_passing(),
            Self::Recover(RecoverError::Git(_))
            | Self::Newer { .. }
            | Self::NeverInPlace { .. }
            | Self::Left { .. } => false,
        }
    }
}

/// The manifest of a session that no one holds any more; one that was left open is settled first.
pub fn ended_manifest(place: Place<'_>, id: SessionId) -> Result<Manifest, EndedError> {
    let until = Instant::now() + SETTLE_PATIENCE;
    while Instant::now() < until {
        if let Some(manifest) = ended_by_now(place, id)? {
            return Ok(manifest);
        }
        thread::sleep(PAUSE);
    }
    Err(EndedError::Left { session: id, why: KEPT.to_owned() })
}

/// The same without waiting. `None`: someone else is at the session or its lane, and may be settling it at this moment.
pub fn ended_by_now(place: Place<'_>, id: SessionId) -> Result<Option<Manifest>, EndedError> {
    if let Some(manifest) = on_record(place.store, id)? {
        return Ok(Some(manifest));
    }
    let recovered = recover(place, Scope::Living)?;
    match recovered.sessions.into_iter().find(|one| one.session == id).map(|one| one.settled) {
        Some(Settled::Left(why)) => Err(EndedError::Left { session: id, why }),
        Some(Settled::Contended | Settled::Alive) => Ok(None),
        Some(Settled::Ended { .. } | Settled::Retired | Settled::Discarded) => on_record(place.store, id),
        None if place.store.running_entry(id)?.is_some() => Ok(None),
        // Not on record as living: someone has settled it, or its manifest is damaged.
        None => match place.store.load(id)? {
            Loaded::Manifest(manifest) if manifest.is_ended() => Ok(Some(*manifest)),
            Loaded::Damaged { path, why } => {
                Err(StoreError::Damaged { record: Record::Manifest, path, why }.into())
            }
            Loaded::Manifest(_) | Loaded::Newer { .. } | Loaded::Missing => {
                Err(EndedError::Left { session: id, why: UNKNOWN.to_owned() })
            }
        },
    }
}

fn on_record(store: &Store, id: SessionId) -> Result<Option<Manifest>, EndedError> {
    match store.load(id)? {
        Loaded::Manifest(manifest) if manifest.is_ended() => Ok(Some(*manifest)),
        Loaded::Newer { .. } => Err(EndedError::Newer { session: id }),
        Loaded::Missing if store.running_entry(id)?.is_none() => {
            Err(EndedError::NeverInPlace { session: id })
        }
        Loaded::Manifest(_) | Loaded::Damaged { .. } | Loaded::Missing => Ok(None),
    }
}
