//! The last word on a session that no one holds any more: its manifest, settled first where that was left open.

use std::thread;
use std::time::{Duration, Instant};

use super::act::{Place, Scope, Settled, recover};
use super::error::RecoverError;
use crate::id::SessionId;
use crate::session::manifest::Manifest;
use crate::session::store::{Loaded, Record, StoreError};

/// Neither lives nor has ended, as far as is on record.
const UNKNOWN: &str = "its manifest does not say how it ended, and it is not on record as living";

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

/// The manifest of a session that no one holds any more; one that was left open is settled first.
pub fn ended_manifest(place: Place<'_>, id: SessionId) -> Result<Manifest, EndedError> {
    let store = place.store;
    // Someone else may be settling it at this moment: what they find out counts.
    let until = Instant::now() + SETTLE_PATIENCE;
    let mut why = UNKNOWN;
    while Instant::now() < until {
        match store.load(id)? {
            Loaded::Manifest(manifest) if manifest.is_ended() => return Ok(*manifest),
            Loaded::Newer { .. } => return Err(EndedError::Newer { session: id }),
            Loaded::Missing if store.running_entry(id)?.is_none() => {
                return Err(EndedError::NeverInPlace { session: id });
            }
            Loaded::Manifest(_) | Loaded::Damaged { .. } | Loaded::Missing => {
                let recovered = recover(place, Scope::Living)?;
                let ours =
                    recovered.sessions.into_iter().find(|one| one.session == id).map(|one| one.settled);
                match ours {
                    Some(Settled::Left(why)) => return Err(EndedError::Left { session: id, why }),
                    Some(Settled::Contended) => {
                        why = "another ralph command is at its lane, and was waited for";
                        thread::sleep(PAUSE);
                    }
                    Some(Settled::Alive) => {
                        why = "it is alive: its lock is held";
                        thread::sleep(PAUSE);
                    }
                    Some(Settled::Ended { .. } | Settled::Retired | Settled::Discarded) => {}
                    // Not on record as living: someone has settled it, or its manifest is damaged.
                    None if store.running_entry(id)?.is_none() => {
                        why = UNKNOWN;
                        break;
                    }
                    None => thread::sleep(PAUSE),
                }
            }
        }
    }
    match store.load(id)? {
        Loaded::Manifest(manifest) if manifest.is_ended() => Ok(*manifest),
        Loaded::Damaged { path, why } => {
            Err(StoreError::Damaged { record: Record::Manifest, path, why }.into())
        }
        Loaded::Manifest(_) | Loaded::Newer { .. } | Loaded::Missing => {
            Err(EndedError::Left { session: id, why: why.to_owned() })
        }
    }
}
