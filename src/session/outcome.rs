//! How a session ended, judged from evidence. Pure: a table of cases tests it.
//!
//! Unknown is never success. Whatever could not be read counts against success, and the reason says what it was.

use super::left_open::LeftOpen;
use super::manifest::{EndedBy, ExitRecord, Outcome, Usage, Work};

/// What was found when a session had ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// How the agent's process ended.
    pub end: End,
    /// What the agent's own record says; `None` for an agent that keeps none, which is then judged without.
    pub account: Option<Account>,
    /// What the worktree held.
    pub work: WorkFound,
    /// What the agent used, by its own account.
    pub usage: Option<Usage>,
    /// Things worth telling that decide nothing, such as a lock file that was moved away.
    pub notes: Vec<String>,
}

/// How the agent's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was seen to end.
    Seen {
        /// How.
        status: Status,
        /// What brought it about.
        ended_by: EndedBy,
        /// Whether it had to be killed.
        forced: bool,
    },
    /// It was never started: the sentence says why.
    NeverStarted(String),
    /// No one saw it end: the sentence says how that is known.
    Unseen(String),
}

/// The status a process leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited.
    Exited(i32),
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
}

/// The agent's own account of its last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Why it ended; `None` where no message was ever finished.
    pub stop: Option<LastStop>,
    /// The last error it recorded, if its last message was one.
    pub error: Option<String>,
}

/// Why an agent's last message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastStop {
    /// What it means.
    pub kind: StopKind,
    /// The agent's own word for it, which the manifest keeps.
    pub word: String,
}

/// What the end of an agent's last message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// It had finished.
    Finished,
    /// It is an error.
    Error,
    /// It was aborted.
    Aborted,
    /// The model's limit cut it.
    Length,
    /// A tool was called: there should have been more.
    Tool,
    /// What is not known here.
    Other,
}

/// What looking at the worktree gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkFound {
    /// It was read.
    Read(Work),
    /// Its folder is gone; what the branch holds could still be read.
    TreeGone(Work),
    /// It could not be read: why.
    Unreadable(String),
    /// It was not looked at, since the agent never ran.
    NotLooked,
}

/// An outcome with the sentence that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// Why, for people; `None` where the outcome says it all.
    pub reason: Option<String>,
}

impl Evidence {
    /// The part of the evidence that the manifest keeps about the process's end.
    pub fn exit_record(&self) -> Option<ExitRecord> {
        let End::Seen { status, ended_by, forced } = &self.end else { return None };
        let (code, signal) = match *status {
            Status::Exited(code) => (Some(code), None),
            Status::Signalled { signal, .. } => (None, Some(signal)),
        };
        Some(ExitRecord {
            code,
            signal,
            stop_reason: self.account.as_ref().and_then(|a| a.stop.as_ref()).map(|stop| stop.word.clone()),
            ended_by: ended_by.clone(),
            forced: *forced,
            extra: serde_json::Map::new(),
        })
    }

    /// The part of the evidence that the manifest keeps about the work.
    pub fn work_record(&self) -> Option<Work> {
        match &self.work {
            WorkFound::Read(work) | WorkFound::TreeGone(work) => Some(work.clone()),
            WorkFound::Unreadable(_) | WorkFound::NotLooked => None,
        }
    }
}

/// Judges a session.
pub fn judge(evidence: &Evidence) -> Verdict {
    let (outcome, reason) = match &evidence.end {
        End::NeverStarted(why) => (Outcome::LaunchFailed, Some(why.clone())),
        End::Unseen(why) => (Outcome::Lost, Some(why.clone())),
        End::Seen { status, ended_by, forced } => judge_seen(evidence, *status, ended_by, *forced),
    };
    let sentences: Vec<String> = reason.into_iter().chain(evidence.notes.iter().cloned()).collect();
    Verdict { outcome, reason: (!sentences.is_empty()).then(|| sentences.join("; ")) }
}

fn judge_seen(
    evidence: &Evidence,
    status: Status,
    ended_by: &EndedBy,
    forced: bool,
) -> (Outcome, Option<String>) {
    let how = if forced { "ended by force" } else { "ended" };
    match ended_by {
        EndedBy::Timeout => (Outcome::TimedOut, Some(format!("{how} at its timeout"))),
        EndedBy::Idle => {
            (Outcome::TimedOut, Some(format!("{how} after its idle timeout without a sign of life")))
        }
        EndedBy::Stop => (Outcome::Stopped, Some(format!("{how} on request"))),
        EndedBy::Shutdown => {
            (Outcome::Stopped, Some(format!("{how} because its supervisor was told to end")))
        }
        EndedBy::Launcher => (Outcome::LaunchFailed, Some("the launcher ended it".into())),
        EndedBy::Unknown(cause) => {
            (Outcome::Failed, Some(format!("ended by {cause:?}, which is not known here")))
        }
        EndedBy::Agent => judge_own_end(evidence, status),
    }
}

fn judge_own_end(evidence: &Evidence, status: Status) -> (Outcome, Option<String>) {
    let failed = |why: String| (Outcome::Failed, Some(why));
    match status {
        Status::Exited(0) => {}
        Status::Exited(code) => {
            let error = evidence.account.as_ref().and_then(|a| a.error.as_deref());
            return failed(match error {
                Some(error) => format!("the agent exited with status {code}: {error}"),
                None => format!("the agent exited with status {code}"),
            });
        }
        Status::Signalled { signal, core_dumped } => {
            let core = if core_dumped { ", core dumped" } else { "" };
            return failed(format!("the agent was ended by signal {signal}{core}"));
        }
    }
    if let Some(account) = &evidence.account
        && let Some(why) = abnormal_stop(account)
    {
        return failed(format!("the agent exited with status 0, but {why}"));
    }
    match &evidence.work {
        WorkFound::Unreadable(why) => failed(format!("what the agent did could not be read: {why}")),
        WorkFound::NotLooked => failed("what the agent did was not looked at".into()),
        WorkFound::TreeGone(_) => failed(
            "the worktree's folder, or what binds it to the repository, is gone; its branch is kept".into(),
        ),
        WorkFound::Read(work) => judge_work(work),
    }
}

/// Why an agent's account of its last message is not that of a finished run.
fn abnormal_stop(account: &Account) -> Option<String> {
    let detail = account.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
    let Some(LastStop { kind, word }) = &account.stop else {
        return Some("it recorded no finished message".into());
    };
    match kind {
        StopKind::Finished => None,
        StopKind::Error => Some(format!("its last message is an error{detail}")),
        StopKind::Aborted => Some(format!("its last message was aborted{detail}")),
        StopKind::Length => Some("its last message was cut at the model's length limit".into()),
        StopKind::Tool => Some("it was cut off while a tool ran".into()),
        StopKind::Other => Some(format!("its last message ended with {word:?}, which is not a normal stop")),
    }
}

fn judge_work(work: &Work) -> (Outcome, Option<String>) {
    let open = work.operation.as_ref().map(LeftOpen::to_string);
    let lying = match (work.uncommitted, work.untracked) {
        (0, 0) => None,
        (changed, 0) => Some(format!("{} not committed", files(changed, "changed"))),
        (0, new) => Some(format!("{} not committed", files(new, "new"))),
        (changed, new) => {
            Some(format!("{} and {} not committed", files(changed, "changed"), files(new, "new")))
        }
    };
    match (open, lying) {
        (None, None) if work.commits == 0 => (Outcome::NoChanges, None),
        (None, None) => (Outcome::Succeeded, None),
        (open, lying) => {
            let parts: Vec<String> = open.into_iter().chain(lying).collect();
            (Outcome::Uncommitted, Some(parts.join("; ")))
        }
    }
}

fn files(count: u64, kind: &str) -> String {
    match count {
        1 => format!("1 {kind} file is"),
        n => format!("{n} {kind} files are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(commits: u64, uncommitted: u64, untracked: u64, operation: Option<LeftOpen>) -> WorkFound {
        WorkFound::Read(Work { commits, uncommitted, untracked, operation, ..Work::default() })
    }

    fn pi(stop: Option<StopKind>) -> Option<Account> {
        Some(Account { stop: stop.map(|kind| LastStop { kind, word: format!("{kind:?}") }), error: None })
    }

    fn evidence(status: Status, ended_by: EndedBy, account: Option<Account>, work: WorkFound) -> Evidence {
        let end = End::Seen { status, ended_by, forced: false };
        Evidence { end, account, work, usage: None, notes: Vec::new() }
    }

    #[test]
    fn success_takes_exit_0_a_normal_stop_and_commits() {
        use Outcome::*;
        use StopKind::{Aborted, Error, Finished, Length, Other, Tool};
        let exited = Status::Exited;
        let killed = Status::Signalled { signal: 11, core_dumped: true };
        let cases = [
            (exited(0), pi(Some(Finished)), work(1, 0, 0, None), Succeeded),
            (exited(0), None, work(1, 0, 0, None), Succeeded),
            (exited(0), pi(Some(Finished)), work(0, 0, 0, None), NoChanges),
            (exited(0), pi(Some(Finished)), work(1, 1, 0, None), Uncommitted),
            (exited(0), pi(Some(Finished)), work(1, 0, 1, None), Uncommitted),
            (exited(0), pi(Some(Finished)), work(0, 0, 0, Some(LeftOpen::Merge)), Uncommitted),
            (exited(0), pi(Some(Finished)), work(1, 0, 0, Some(LeftOpen::Detached)), Uncommitted),
            (exited(0), pi(Some(Error)), work(1, 0, 0, None), Failed),
            (exited(0), pi(Some(Aborted)), work(1, 0, 0, None), Failed),
            (exited(0), pi(Some(Length)), work(1, 0, 0, None), Failed),
            (exited(0), pi(Some(Tool)), work(1, 0, 0, None), Failed),
            (exited(0), pi(Some(Other)), work(1, 0, 0, None), Failed),
            (exited(0), pi(None), work(1, 0, 0, None), Failed),
            (exited(1), pi(Some(Finished)), work(1, 0, 0, None), Failed),
            (exited(139), None, work(1, 0, 0, None), Failed),
            (killed, pi(Some(Finished)), work(1, 0, 0, None), Failed),
            (exited(0), pi(Some(Finished)), WorkFound::Unreadable("disk".into()), Failed),
            (
                exited(0),
                pi(Some(Finished)),
                WorkFound::TreeGone(Work { commits: 1, ..Work::default() }),
                Failed,
            ),
        ];
        for (status, account, work, expected) in cases {
            let evidence = evidence(status, EndedBy::Agent, account, work);
            assert_eq!(judge(&evidence).outcome, expected, "{evidence:?}");
        }
    }

    #[test]
    fn what_ralph_ended_is_never_called_the_agents_own_end() {
        for (ended_by, expected) in [
            (EndedBy::Timeout, Outcome::TimedOut),
            (EndedBy::Idle, Outcome::TimedOut),
            (EndedBy::Stop, Outcome::Stopped),
            (EndedBy::Shutdown, Outcome::Stopped),
            (EndedBy::Launcher, Outcome::LaunchFailed),
            (EndedBy::Unknown("meteor".into()), Outcome::Failed),
        ] {
            let evidence =
                evidence(Status::Exited(0), ended_by, pi(Some(StopKind::Finished)), work(1, 0, 0, None));
            assert_eq!(judge(&evidence).outcome, expected, "{evidence:?}");
        }
    }

    #[test]
    fn an_unseen_end_is_lost_and_a_missing_start_is_a_failed_launch() {
        let mut evidence = evidence(Status::Exited(0), EndedBy::Agent, None, WorkFound::NotLooked);
        evidence.end = End::Unseen("its supervisor was killed".into());
        assert_eq!(judge(&evidence).outcome, Outcome::Lost);
        evidence.end = End::NeverStarted("no such program".into());
        assert_eq!(judge(&evidence).outcome, Outcome::LaunchFailed);
        assert_eq!(judge(&evidence).reason.as_deref(), Some("no such program"));
    }

    #[test]
    fn row_60_a_signal_its_core_and_the_exit_status_that_shells_give_it_are_told_apart() {
        let signalled = Status::Signalled { signal: 11, core_dumped: true };
        let record = evidence(signalled, EndedBy::Agent, None, WorkFound::NotLooked).exit_record().unwrap();
        assert_eq!((record.code, record.signal), (None, Some(11)));
        let exited = evidence(Status::Exited(139), EndedBy::Agent, None, WorkFound::NotLooked);
        assert_eq!(exited.exit_record().unwrap().code, Some(139));
        let reason = judge(&evidence(signalled, EndedBy::Agent, None, WorkFound::NotLooked)).reason.unwrap();
        assert!(reason.contains("signal 11, core dumped"), "{reason}");
    }
}
