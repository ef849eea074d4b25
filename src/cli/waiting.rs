//! Staying with sessions until they end, while a person may interrupt.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::naming::{Meant, current_session};
use super::surroundings::Surroundings;
use crate::durable::LockState;
use crate::id::{Lane, SessionId};
use crate::process::disposition::is_ignored;
use crate::recover;
use crate::session::manifest::Manifest;
use crate::session::store::{Loaded, Record, Store, StoreError};

/// Something that happened while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A session let go of its lock.
    Free(SessionId),
    /// Ctrl-C, or a request to end.
    Interrupt,
    /// The terminal has gone.
    Hangup,
    /// Nothing, for as long as was asked.
    Nothing,
}

/// A signal that a person caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Ctrl-C, or a request to end.
    Interrupt,
    /// The terminal has gone.
    Hangup,
}

/// From now on, signals are told to `told`, until it says that no one listens any more. Who was started to outlive the
/// terminal (`nohup`) goes on hearing nothing of its end.
pub fn listen(mut told: impl FnMut(Heard) -> bool + Send + 'static) -> CliResult<()> {
    let hangup = Some(SIGHUP).filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))
        .map_err(|e| CliError::new(Exit::CannotDo, format!("could not listen for signals: {e}")))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let heard = if signal == SIGHUP { Heard::Hangup } else { Heard::Interrupt };
            if !told(heard) {
                return;
            }
        }
    });
    Ok(())
}

/// Waits for sessions and signals at once. From its making on, the signals come here.
pub struct Vigil {
    happenings: Receiver<Happening>,
}

impl Vigil {
    /// Begins to wait for these sessions.
    pub fn begin(store: &Store, sessions: &[SessionId]) -> CliResult<Self> {
        let (sender, happenings) = mpsc::channel();
        let to_signals = sender.clone();
        listen(move |heard| {
            let happening = match heard {
                Heard::Hangup => Happening::Hangup,
                Heard::Interrupt => Happening::Interrupt,
            };
            to_signals.send(happening).is_ok()
        })?;
        for id in sessions {
            let (store, sender, id) = (store.clone(), sender.clone(), *id);
            thread::spawn(move || {
                // A lock that cannot be waited for is looked at by who reads the manifest next.
                drop(store.wait_until_free(id));
                // No one may be listening any more.
                _ = sender.send(Happening::Free(id));
            });
        }
        Ok(Self { happenings })
    }

    /// The next happening, or `Nothing` after `patience`.
    pub fn next(&self, patience: Option<Duration>) -> Happening {
        match patience {
            None => self.happenings.recv().unwrap_or(Happening::Nothing),
            Some(patience) => match self.happenings.recv_timeout(patience) {
                Ok(happening) => happening,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Happening::Nothing,
            },
        }
    }
}

/// The manifest of a session that no one holds any more; one that was left open is settled first.
pub fn ended_manifest(here: &Surroundings, id: SessionId) -> CliResult<Manifest> {
    Ok(recover::ended_manifest(here.recovery(), id)?)
}

/// The session of a lane: the one that is just being prepared, which no lane's record names yet, before the one that
/// the record names.
pub fn session_of(here: &Surroundings, typed: &Lane) -> CliResult<SessionId> {
    let (lane, record) = match here.meant(typed)? {
        Meant::Lane(record) => (record.lane.clone(), Ok(record)),
        Meant::Nothing { name, error } => (name, Err(error)),
    };
    for id in here.store().running()?.into_iter().rev() {
        // An entry that cannot be read is settled by `recover`.
        let entry = here.store().running_entry(id).ok().flatten();
        if entry.is_some_and(|entry| entry.lane == lane) && is_live(here, id)? {
            return Ok(id);
        }
    }
    current_session(&*record?)
}

/// Whether a session lives.
pub fn is_live(here: &Surroundings, id: SessionId) -> CliResult<bool> {
    Ok(here.store().probe(id)? == LockState::Held)
}

/// The manifest of a session, whatever its state.
pub fn manifest(here: &Surroundings, id: SessionId) -> CliResult<Manifest> {
    match here.store().load(id)? {
        Loaded::Manifest(manifest) => Ok(*manifest),
        Loaded::Newer { .. } => {
            Err(CliError::new(Exit::CannotDo, format!("session {id} was recorded by a newer ralph")))
        }
        Loaded::Damaged { path, why } => {
            Err(StoreError::Damaged { record: Record::Manifest, path, why }.into())
        }
        Loaded::Missing => Err(CliError::new(Exit::NotFound, format!("there is no session {id}"))),
    }
}
