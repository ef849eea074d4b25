//! What the agents of running sessions have used so far, and whether their provider holds them back.

use std::collections::HashMap;

use super::board::Used;
use super::retry::RateLimited;
use crate::agent::pi::session_file::{Follower, SessionEvidence, StopReason};
use crate::git::{CheckoutProgress, CheckoutStage};
use crate::id::SessionId;
use crate::session::launch::{AccountSource, LaunchSpec};
use crate::session::store::Store;

/// The sessions that are watched.
#[derive(Debug, Default)]
pub struct Watch {
    sessions: HashMap<SessionId, Watched>,
    /// Of the sessions that are being begun: how far the files of their worktrees are written.
    files: HashMap<SessionId, CheckoutProgress>,
}

#[derive(Debug)]
struct Watched {
    follower: Follower,
    /// Rate limits that were told already.
    told: u64,
    used: Used,
}

impl Watch {
    /// A session is about to be begun; answers where the writing of its files is to be reported.
    pub fn prepare(&mut self, id: SessionId) -> CheckoutProgress {
        self.files.entry(id).or_default().clone()
    }

    /// It was begun, or could not be.
    pub fn prepared(&mut self, id: SessionId) {
        self.files.remove(&id);
    }

    /// How far the files of its worktree are written.
    pub fn files(&self, id: SessionId) -> CheckoutStage {
        self.files.get(&id).map_or(CheckoutStage::Idle, CheckoutProgress::stage)
    }

    /// Watches a session whose agent keeps a record; others show nothing.
    pub fn begin(&mut self, store: &Store, id: SessionId) {
        let spec = LaunchSpec::read(&store.session_dir(id)).ok().flatten();
        if let Some(AccountSource::Pi { session_file, from }) = spec.map(|spec| spec.account) {
            let follower = Follower::new(session_file.into(), from);
            self.sessions.insert(id, Watched { follower, told: 0, used: Used::default() });
        }
    }

    /// Whether there is anything to look at.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Looks at every session. Says how many rate limits are new.
    pub fn look(&mut self) -> u64 {
        self.sessions.values_mut().map(Watched::look).sum()
    }

    /// What a session has used, as of the last look.
    pub fn used(&self, id: SessionId) -> Used {
        self.sessions.get(&id).map(|watched| watched.used).unwrap_or_default()
    }

    /// Watches a session no longer. Says how many of its rate limits are new, and whether the last one made it fail.
    pub fn end(&mut self, id: SessionId) -> (u64, RateLimited) {
        let Some(mut watched) = self.sessions.remove(&id) else { return (0, RateLimited::No) };
        let new = watched.look();
        (new, failed_by_rate_limit(watched.follower.look()))
    }
}

impl Watched {
    fn look(&mut self) -> u64 {
        let evidence = self.follower.look();
        self.used = Used {
            tokens: evidence.usage.input.saturating_add(evidence.usage.output),
            cost: evidence.usage.cost,
        };
        let new = evidence.rate_limited.saturating_sub(self.told);
        self.told = evidence.rate_limited;
        new
    }
}

fn failed_by_rate_limit(evidence: &SessionEvidence) -> RateLimited {
    let failed = evidence.last_stop_reason == Some(StopReason::Error);
    if failed && evidence.rate_limited > 0 && evidence.provider_errors == 0 {
        RateLimited::Yes
    } else {
        RateLimited::No
    }
}
