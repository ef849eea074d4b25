//! Waiting for the end of a session, in a thread that has nothing else to do: until no one holds it, and until how it
//! ended is on record.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::git::GitProgram;
use crate::id::SessionId;
use crate::process::identity::Machine;
use crate::recover::{EndedError, Place, ended_by_now};
use crate::session::manifest::Manifest;
use crate::session::store::{Loaded, Store};

/// How soon it is looked again what someone else does about a session, or whether there are descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Where sessions end.
#[derive(Debug, Clone)]
pub struct Endings {
    store: Store,
    machine: Machine,
    git: GitProgram,
    /// Held by who settles: one recovery settles all that there are.
    settling: Arc<Mutex<()>>,
}

impl Endings {
    /// In this store, on this machine.
    pub fn new(store: &Store, machine: &Machine, git: &GitProgram) -> Self {
        let (store, machine, git) = (store.clone(), machine.clone(), git.clone());
        Self { store, machine, git, settling: Arc::default() }
    }

    /// Waits until no one holds the session, and for its last word. Nothing is concluded while someone is at it who may be
    /// writing that, or who keeps it from being written: a git goes on with the worktree of a batch that was killed. Nor is
    /// anything while the system is short of descriptors.
    pub fn wait_for(&self, session: SessionId) -> Result<Manifest, EndedError> {
        loop {
            match self.last_word(session) {
                Ok(Some(manifest)) => return Ok(manifest),
                Err(error) if !error.is_passing() => return Err(error),
                Ok(None) | Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn last_word(&self, session: SessionId) -> Result<Option<Manifest>, EndedError> {
        match self.store.wait_until_free(session) {
            Err(error) if error.is_passing() => return Err(error.into()),
            // What else is wrong with its lock is told by who settles it.
            Ok(()) | Err(_) => {}
        }
        match self.store.load(session)? {
            Loaded::Manifest(manifest) if manifest.is_ended() => return Ok(Some(*manifest)),
            Loaded::Manifest(_) | Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing => {}
        }
        let _alone = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        ended_by_now(Place { store: &self.store, machine: &self.machine, git: &self.git }, session)
    }
}
