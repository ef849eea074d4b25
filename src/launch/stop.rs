//! Telling a session to end: the wish on record first, then the word to its supervisor.

use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Origin;
use super::local::{cancel, origin};
use crate::durable::LockState;
use crate::id::SessionId;
use crate::process::identity::Machine;
use crate::process::signal::Delivery;
use crate::session::manifest::State;
use crate::session::store::{Loaded, StopRequest, Store, StoreError, Urgency};

/// How long a supervisor that has nothing left to do takes to be gone, at most.
const WAY_OUT: Duration = Duration::from_secs(2);

/// How a session is to end.
#[derive(Debug, Clone)]
pub struct Wish {
    /// How soon.
    pub urgency: Urgency,
    /// Why, where its record shall say so.
    pub reason: Option<String>,
}

/// A session that could not be told to end.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It runs on another machine.
    #[error("session {session} runs on {host}, not on this machine")]
    Elsewhere {
        /// The session.
        session: SessionId,
        /// The machine.
        host: String,
    },
    /// Its supervisor could not be signalled.
    #[error("session {session} could not be told to end: {source}")]
    Untold {
        /// The session.
        session: SessionId,
        /// The system's answer.
        source: io::Error,
    },
    /// Someone holds it, and is not to be seen.
    #[error(
        "session {session} could not be told to end: someone holds its lock, and its supervisor is not to be seen from here"
    )]
    Unseen {
        /// The session.
        session: SessionId,
    },
    /// It was told, and does not know why.
    #[error("session {session} was told to end, but the request could not be put on record: {source}")]
    Unrecorded {
        /// The session.
        session: SessionId,
        /// Why.
        source: StoreError,
    },
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Leaves the wish that the session end and tells its supervisor; a second time means at once. A supervisor that is
/// only starting finds the wish by itself. One that runs is told even where the wish could not be left.
pub fn request_stop(store: &Store, here: &Machine, id: SessionId, wish: Wish) -> Result<(), StopError> {
    if let Loaded::Manifest(manifest) = store.load(id)?
        && origin(&manifest.process, here) == Origin::Elsewhere
    {
        return Err(StopError::Elsewhere { session: id, host: manifest.process.host.clone() });
    }
    let request = StopRequest {
        schema_version: 1,
        uid: rustix::process::getuid().as_raw(),
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        requested_at: Timestamp::now(),
        urgency: wish.urgency,
        reason: wish.reason,
    };
    let left = store.request_stop(id, &request);
    // After the wish: whoever records that its agent runs looks for one.
    let record = match store.load(id)? {
        Loaded::Manifest(manifest)
            if matches!(manifest.state, State::Preparing | State::Launching | State::Ended) =>
        {
            return Ok(left?);
        }
        Loaded::Manifest(manifest) => Some(manifest.process),
        Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing => None,
    };
    match cancel(id, record.as_ref(), here).map_err(|source| StopError::Untold { session: id, source })? {
        Delivery::Gone if !lets_go(store, id)? => Err(StopError::Unseen { session: id }),
        Delivery::Gone => Ok(left?),
        Delivery::Delivered => left.map_err(|source| StopError::Unrecorded { session: id, source }),
    }
}

/// Whether a session without a supervisor to be seen comes free: one that is on its way out has lost its name already,
/// and holds the lock for another moment.
fn lets_go(store: &Store, id: SessionId) -> Result<bool, StoreError> {
    let until = Instant::now() + WAY_OUT;
    while store.probe(id)? == LockState::Held {
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(true)
}
