//! Staying with sessions until they end, while a person may interrupt.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::surroundings::Surroundings;
use crate::durable::LockState;
use crate::id::{Lane, SessionId};
use crate::recover::{Scope, Settled, recover};
use crate::session::manifest::Manifest;
use crate::session::store::{Loaded, Store};

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

/// Waits for sessions and signals at once. From its making on, the signals come here.
pub struct Vigil {
    happenings: Receiver<Happening>,
}

impl Vigil {
    /// Begins to wait for these sessions.
    pub fn begin(store: &Store, sessions: &[SessionId]) -> CliResult<Self> {
        let (sender, happenings) = mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|e| CliError::new(Exit::CannotDo, format!("could not listen for signals: {e}")))?;
        let to_signals = sender.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                let happening = if signal == SIGHUP { Happening::Hangup } else { Happening::Interrupt };
                if to_signals.send(happening).is_err() {
                    return;
                }
            }
        });
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

/// How long someone else who settles a session is waited for.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// The manifest of a session that no one holds any more; one that was left open is settled first.
pub fn ended_manifest(here: &Surroundings, id: SessionId) -> CliResult<Manifest> {
    let unreadable = |why: String| CliError::new(Exit::CannotDo, format!("session {id}: {why}"));
    // Someone else may be settling it at this moment: what they find out counts.
    let until = Instant::now() + SETTLE_PATIENCE;
    while Instant::now() < until {
        match here.store().load(id)? {
            Loaded::Manifest(manifest) if manifest.is_ended() => return Ok(*manifest),
            Loaded::Newer { .. } => {
                return Err(unreadable("its manifest was written by a newer ralph".into()));
            }
            Loaded::Missing if here.store().running_entry(id)?.is_none() => {
                return Err(CliError::new(Exit::NotFound, format!("session {id} never came into place")));
            }
            Loaded::Manifest(_) | Loaded::Damaged { .. } | Loaded::Missing => {
                let recovered = recover(here.store(), &here.context.machine, Scope::Living)?;
                let ours =
                    recovered.sessions.into_iter().find(|one| one.session == id).map(|one| one.settled);
                match ours {
                    // Nothing that waiting would change.
                    Some(Settled::Left(why)) => {
                        return Err(unreadable(format!("its end could not be settled: {why}")));
                    }
                    Some(Settled::Contended | Settled::Alive) => thread::sleep(Duration::from_millis(20)),
                    Some(Settled::Ended { .. } | Settled::Retired | Settled::Discarded) => {}
                    // Not on record as living: someone has settled it, or its manifest is damaged.
                    None if here.store().running_entry(id)?.is_none() => break,
                    None => thread::sleep(Duration::from_millis(20)),
                }
            }
        }
    }
    if let Loaded::Manifest(manifest) = here.store().load(id)?
        && manifest.is_ended()
    {
        return Ok(*manifest);
    }
    Err(unreadable("its end could not be settled".into()).hint("see `ralph worktree recover`"))
}

/// The session of a lane: the one that is just being prepared, which no lane's record names yet, before the one that
/// the record names.
pub fn session_of(here: &Surroundings, typed: &Lane) -> CliResult<SessionId> {
    let record = here.lane(typed);
    let lane = record.as_ref().map_or(typed, |record| &record.lane);
    for id in here.store().running()?.into_iter().rev() {
        // An entry that cannot be read is settled by `recover`.
        let entry = here.store().running_entry(id).ok().flatten();
        if entry.is_some_and(|entry| entry.lane == *lane) && is_live(here, id)? {
            return Ok(id);
        }
    }
    here.current_session(&record?)
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
            Err(CliError::new(Exit::CannotDo, format!("{} is damaged: {why}", path.display()))
                .hint("`ralph worktree recover` makes damaged records good"))
        }
        Loaded::Missing => Err(CliError::new(Exit::NotFound, format!("there is no session {id}"))),
    }
}
