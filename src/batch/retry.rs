//! What is next for an item whose session has ended: one table. Pure.

use std::time::Duration;

use super::event::{Halt, Next};
use crate::session::manifest::{Manifest, Outcome, Seconds};

/// How often, and how, a session is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryRules {
    /// How many more sessions an item may have after its first.
    pub retries: u32,
    /// How long is waited before the second session; twice as long before each one after it.
    pub delay: Duration,
    /// The models of the second session, the third …; the last one stays. Empty: always the same.
    pub escalate: Vec<String>,
}

/// What is done with work that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// It stays on its branch.
    Leave,
    /// It is merged.
    Merge,
}

/// An ended session, as far as what is next depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Its outcome.
    pub outcome: &'a Outcome,
    /// How many sessions the item has had that no one interrupted, this one among them.
    pub tries: u32,
    /// Whether the branch had work when it began.
    pub before: Before,
    /// Whether the provider's rate limit made it fail.
    pub rate_limited: RateLimited,
    /// Why it was ended by the batch itself, if it was.
    pub stopped_for: Option<StoppedFor>,
}

/// What a session found on its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Commits of earlier sessions.
    Work,
    /// Nothing but its base.
    Nothing,
}

impl Before {
    /// What the session of this manifest found.
    pub fn of(manifest: &Manifest) -> Self {
        let worktree = &manifest.worktree;
        match &worktree.start_commit {
            Some(start) if *start != worktree.base_commit => Self::Work,
            Some(_) | None => Self::Nothing,
        }
    }
}

/// Whether a session failed because of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimited {
    /// It did.
    Yes,
    /// It did not.
    No,
}

/// Why the batch ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoppedFor {
    /// The whole batch was halted.
    Halt(Halt),
    /// The ticket had cost as much, or used as many tokens, as it may.
    TicketBudget,
}

/// A session that failed because of a rate limit is tried again so often, however few retries were asked for.
const RATE_LIMIT_RETRIES: u32 = 3;
/// What is waited for then, the first time.
const RATE_LIMIT_DELAY: Duration = Duration::from_secs(30);
const LONGEST_DELAY: Duration = Duration::from_secs(600);
/// Each later session may take so much longer than the one before.
const TIMEOUT_GROWTH: f64 = 1.5;

/// How much another session of an item is worth after one that ended like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// It may well come out differently, after a while.
    AfterDelay,
    /// It can go on where the last one was, at once.
    AtOnce,
    /// It would come out the same, or someone has decided.
    Nothing,
}

fn worth(outcome: &Outcome) -> Worth {
    match outcome {
        Outcome::Failed | Outcome::Lost => Worth::AfterDelay,
        Outcome::TimedOut | Outcome::Uncommitted | Outcome::NoChanges => Worth::AtOnce,
        Outcome::Succeeded | Outcome::Stopped | Outcome::LaunchFailed | Outcome::Unknown(_) => Worth::Nothing,
    }
}

/// What is next.
pub fn next(ending: Ending<'_>, rules: &RetryRules, landing: Landing) -> Next {
    match (ending.outcome, ending.before, landing) {
        (Outcome::Succeeded, _, Landing::Leave) => return Next::Nothing,
        // An agent that finds nothing left to do has called what is there finished.
        (Outcome::NoChanges, Before::Work, Landing::Leave) => return Next::Stands,
        (Outcome::Succeeded, _, Landing::Merge) | (Outcome::NoChanges, Before::Work, Landing::Merge) => {
            return Next::Merge;
        }
        _ => {}
    }
    match ending.stopped_for {
        Some(StoppedFor::Halt(halt)) if halt.is_for_now() && *ending.outcome == Outcome::Stopped => {
            return Next::Resume;
        }
        Some(StoppedFor::Halt(_) | StoppedFor::TicketBudget) => return Next::Nothing,
        None => {}
    }
    let limited = ending.rate_limited == RateLimited::Yes && *ending.outcome == Outcome::Failed;
    let (most, delay) = if limited {
        (rules.retries.max(RATE_LIMIT_RETRIES), rules.delay.max(RATE_LIMIT_DELAY))
    } else {
        (rules.retries, rules.delay)
    };
    if ending.tries > most {
        return Next::Nothing;
    }
    let doubled = delay.saturating_mul(1 << ending.tries.saturating_sub(1).min(16));
    match worth(ending.outcome) {
        Worth::Nothing => Next::Nothing,
        Worth::AtOnce => Next::Retry { after_s: 0.0 },
        Worth::AfterDelay => Next::Retry { after_s: doubled.min(LONGEST_DELAY.max(delay)).as_secs_f64() },
    }
}

impl RetryRules {
    /// The model of an item's session of this number (from 1), where one was chosen for it.
    pub fn model(&self, attempt: u32) -> Option<&str> {
        let later = usize::try_from(attempt.checked_sub(2)?).ok()?;
        self.escalate.get(later).or(self.escalate.last()).map(String::as_str)
    }
}

/// How long the session of this number (from 1) may take, where the first may take `first`.
pub fn timeout(first: Option<Seconds>, attempt: u32) -> Option<Seconds> {
    let steps = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX).min(32);
    first.map(|first| {
        let seconds = first.duration().as_secs_f64() * TIMEOUT_GROWTH.powi(steps);
        Seconds::try_from(seconds.round()).unwrap_or(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(retries: u32) -> RetryRules {
        RetryRules { retries, delay: Duration::from_secs(5), escalate: vec!["big".into(), "huge".into()] }
    }

    fn after(outcome: &Outcome, tries: u32, retries: u32) -> Next {
        let ending = Ending {
            outcome,
            tries,
            before: Before::Nothing,
            rate_limited: RateLimited::No,
            stopped_for: None,
        };
        next(ending, &rules(retries), Landing::Leave)
    }

    #[test]
    fn each_outcome_is_worth_another_session_or_not() {
        let retry = |after_s| Next::Retry { after_s };
        let cases = [
            (Outcome::Succeeded, Next::Nothing),
            (Outcome::NoChanges, retry(0.0)),
            (Outcome::Uncommitted, retry(0.0)),
            (Outcome::Failed, retry(5.0)),
            (Outcome::TimedOut, retry(0.0)),
            (Outcome::Stopped, Next::Nothing),
            (Outcome::LaunchFailed, Next::Nothing),
            (Outcome::Lost, retry(5.0)),
            (Outcome::Unknown("new".into()), Next::Nothing),
        ];
        for (outcome, expected) in cases {
            assert_eq!(after(&outcome, 1, 1), expected, "{outcome:?}");
            assert_eq!(after(&outcome, 2, 1), Next::Nothing, "{outcome:?}: the retries are used up");
            assert_eq!(after(&outcome, 1, 0), Next::Nothing, "{outcome:?}: none was asked for");
        }
    }

    #[test]
    fn an_agent_that_has_nothing_to_add_to_earlier_work_has_finished_it() {
        let after = |outcome: &Outcome, landing| {
            let ending = Ending {
                outcome,
                tries: 2,
                before: Before::Work,
                rate_limited: RateLimited::No,
                stopped_for: None,
            };
            next(ending, &rules(1), landing)
        };
        assert_eq!(after(&Outcome::NoChanges, Landing::Leave), Next::Stands);
        assert_eq!(after(&Outcome::NoChanges, Landing::Merge), Next::Merge);
        assert_eq!(after(&Outcome::Failed, Landing::Merge), Next::Nothing);
    }

    #[test]
    fn the_wait_grows_and_is_bounded() {
        let waits = [1, 2, 3, 30].map(|tries| after(&Outcome::Failed, tries, 100));
        assert_eq!(waits, [5.0, 10.0, 20.0, 600.0].map(|after_s| Next::Retry { after_s }));
    }

    #[test]
    fn a_rate_limit_is_waited_out_without_being_asked_for() {
        let limited = |tries| {
            let ending = Ending {
                outcome: &Outcome::Failed,
                tries,
                before: Before::Nothing,
                rate_limited: RateLimited::Yes,
                stopped_for: None,
            };
            next(ending, &rules(0), Landing::Leave)
        };
        assert_eq!(limited(1), Next::Retry { after_s: 30.0 });
        assert_eq!(limited(3), Next::Retry { after_s: 120.0 });
        assert_eq!(limited(4), Next::Nothing);
    }

    #[test]
    fn what_the_batch_ended_itself_is_taken_up_only_where_that_was_for_now() {
        let stopped = |stopped_for, outcome| {
            let ending = Ending {
                outcome: &outcome,
                tries: 1,
                before: Before::Nothing,
                rate_limited: RateLimited::No,
                stopped_for: Some(stopped_for),
            };
            next(ending, &rules(3), Landing::Merge)
        };
        let halt = |halt| StoppedFor::Halt(halt);
        assert_eq!(stopped(halt(Halt::Interrupted), Outcome::Stopped), Next::Resume);
        assert_eq!(stopped(halt(Halt::Interrupted), Outcome::Failed), Next::Nothing);
        assert_eq!(stopped(halt(Halt::CostUsedUp), Outcome::Stopped), Next::Nothing);
        assert_eq!(stopped(StoppedFor::TicketBudget, Outcome::TimedOut), Next::Nothing);
        assert_eq!(stopped(halt(Halt::Interrupted), Outcome::Succeeded), Next::Merge);
    }

    #[test]
    fn later_sessions_have_stronger_models_and_more_time() {
        let models = [1, 2, 3, 4].map(|attempt| rules(9).model(attempt).map(str::to_owned));
        assert_eq!(models, [None, Some("big".into()), Some("huge".into()), Some("huge".into())]);
        let first = Some(Seconds::from(Duration::from_secs(100)));
        let times = [1, 2, 3].map(|attempt| timeout(first, attempt).unwrap().duration().as_secs());
        assert_eq!(times, [100, 150, 225]);
        assert_eq!(timeout(None, 3), None);
        assert!(timeout(first, u32::MAX).is_some());
    }
}
