//! What is running of many dead sessions, told by one look at all processes instead of one for each.

use std::collections::HashSet;

use crate::durable::LockState;
use crate::id::SessionId;
use crate::process::descendants::values_of_mark;
use crate::session::launch::SESSION_VARIABLE;
use crate::session::store::Store;

/// Sessions of which nothing can be running any more.
#[derive(Debug, Default)]
pub(super) struct Census {
    quiet: HashSet<SessionId>,
}

impl Census {
    /// Takes it. A session that no one held before the look, and whose mark nothing bore at the look, has nothing that
    /// could start anything.
    pub(super) fn take(store: &Store, sessions: &[SessionId]) -> Self {
        // One session is looked for when it is settled.
        if sessions.len() < 2 {
            return Self::default();
        }
        // One whose folder is not there yet may be just beginning, and has no lock to be held.
        let is_dead = |id: &&SessionId| {
            store.session_dir(**id).path().is_dir() && matches!(store.probe(**id), Ok(LockState::Free))
        };
        let dead: Vec<SessionId> = sessions.iter().filter(is_dead).copied().collect();
        // What cannot be told here is looked for session by session.
        let Ok(marks) = values_of_mark(SESSION_VARIABLE) else { return Self::default() };
        let is_quiet = |id: &SessionId| !marks.contains(id.to_string().as_bytes());
        Self { quiet: dead.into_iter().filter(is_quiet).collect() }
    }

    /// Whether nothing of the session can be running.
    pub(super) fn is_quiet(&self, session: SessionId) -> bool {
        self.quiet.contains(&session)
    }
}
