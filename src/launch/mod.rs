//! How a supervisor is started, asked after and told to end. Today on this machine; a cluster's scheduler can be a
//! second launcher, which starts the same supervisor from the same `launch.json`.

pub mod local;
pub mod stop;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::id::SessionId;
use crate::session::store::StoreError;

/// Whether a session lives, as far as its launcher can tell. Unknown never settles anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// It lives.
    Alive,
    /// Nothing of its supervisor is left.
    Gone,
    /// It cannot be told from here.
    Unknown,
}

/// Where a session's processes were, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// On this machine, in this boot and pid namespace: its pids mean something.
    Here,
    /// On this machine, before it was started again: its pids mean nothing any more.
    EarlierBoot,
    /// In another pid namespace of this boot.
    OtherNamespace,
    /// On another machine.
    Elsewhere,
}

/// A launch, a probe or a cancellation that failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The supervisor's process could not be started.
    #[error("could not start a supervisor from {}: {source}", program.display())]
    Start {
        /// This program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A pipe or file for the supervisor could not be had.
    #[error("could not {operation}: {source}")]
    System {
        /// What was attempted.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The supervisor ended before it could record anything.
    #[error("the supervisor of session {session} ended before its agent ran{detail}")]
    Vanished {
        /// The session.
        session: SessionId,
        /// What it had to say.
        detail: String,
    },
    /// The session still lives after it was told to end.
    #[error("session {session} has not ended within {patience:?}")]
    StillThere {
        /// The session.
        session: SessionId,
        /// How long was waited.
        patience: Duration,
    },
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LaunchError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Start { .. } | Self::System { .. } | Self::Vanished { .. } | Self::StillThere { .. } => {
                Some("`ralph worktree recover` settles what is left of it")
            }
        }
    }
}
