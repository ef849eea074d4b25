//! Why a merge did not come about. Nothing has moved then.

use std::path::{Path, PathBuf};

use super::conflict::Conflicted;
use crate::durable::FileError;
use crate::git::{Blocked, CommitId, ErrorClass, GitError, Operation, WhyBlocked};
use crate::id::{BranchName, Lane, SessionId};
use crate::redact::redacted_script;
use crate::session::store::StoreError;

/// A merge that failed or was refused. Messages hold no raw control character.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The repository did not allow it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such lane.
    #[error("there is no worktree for {lane}")]
    NoSuchLane {
        /// The lane.
        lane: Lane,
    },
    /// The lane's session lives.
    #[error("{lane} is running, session {session}: its work is not done yet")]
    Busy {
        /// The lane.
        lane: Lane,
        /// Its session.
        session: SessionId,
    },
    /// Another command has the lane.
    #[error("{lane} is being worked on by another ralph command")]
    Contended {
        /// The lane.
        lane: Lane,
    },
    /// The end of the lane's session is not on record.
    #[error("{lane}'s session {session} has not been settled: {why}")]
    Unsettled {
        /// The lane.
        lane: Lane,
        /// Its session.
        session: SessionId,
        /// What is known of it.
        why: String,
    },
    /// The lane's branch has gone.
    #[error("the branch {branch} of {lane} is not there any more, so there is nothing to merge")]
    NoBranch {
        /// The lane.
        lane: Lane,
        /// Its branch.
        branch: BranchName,
    },
    /// There is no branch to merge into.
    #[error("{lane} cannot be merged into {name:?}: {why}")]
    NoTarget {
        /// The lane.
        lane: Lane,
        /// The name.
        name: String,
        /// Why not.
        why: WhyNoTarget,
    },
    /// Something that git began in the lane's worktree waits to be ended.
    #[error("a {} is open in the worktree of {lane}, so its work is not whole", operation.as_str())]
    Unfinished {
        /// The lane.
        lane: Lane,
        /// What it is.
        operation: Operation,
    },
    /// The target has all of it.
    #[error("{target} has all of {branch} already{}", besides(left))]
    NothingToMerge {
        /// The lane.
        lane: Lane,
        /// Its branch.
        branch: BranchName,
        /// The target.
        target: BranchName,
        /// What there is to say of the worktree, such as work that is not committed.
        left: Vec<String>,
    },
    /// The user merges signed commits only (`merge.verifySignatures`).
    #[error("{branch} of {lane} was not merged: commit {} {why}, and merge.verifySignatures is set", tip.short())]
    NotSigned {
        /// The lane.
        lane: Lane,
        /// Its branch.
        branch: BranchName,
        /// Its commit.
        tip: CommitId,
        /// What is wrong with its signature.
        why: &'static str,
    },
    /// The target has commits that the lane lacks.
    #[error("{target} cannot be fast-forwarded to {branch}: it has commits of its own")]
    NotFastForward {
        /// The lane's branch.
        branch: BranchName,
        /// The target.
        target: BranchName,
    },
    /// Both sides changed the same.
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// A worktree that has the target checked out is in the way.
    #[error("{target} was not moved: it is checked out in {:?}, and {}", blocked.tree, in_words(&blocked.why))]
    InTheWay {
        /// The target.
        target: BranchName,
        /// The worktree, and what is in the way there.
        blocked: Blocked,
    },
    /// git's settings, hooks or attributes are not what they were when the agent was launched.
    #[error("{lane} was not merged, because {}", changed(what))]
    ConfigChanged {
        /// The lane.
        lane: Lane,
        /// What was changed, one phrase each.
        what: Vec<String>,
    },
    /// One of the user's hooks refused the commit.
    #[error("the hook {hook} refused the commit for {lane}: {said}")]
    HookRefused {
        /// The lane.
        lane: Lane,
        /// The hook.
        hook: &'static str,
        /// What it said.
        said: String,
    },
    /// The check was not passed.
    #[error("the merge of {lane} was not passed by {:?}: {how}; what it said is in {}", redacted_script(command), log.display())]
    VerifyFailed {
        /// The lane.
        lane: Lane,
        /// The check.
        command: String,
        /// How it ended.
        how: String,
        /// What it said.
        log: PathBuf,
    },
    /// What a check left running would not end.
    #[error("what a check started could not be ended: {why}")]
    NotEnded {
        /// Why.
        why: String,
    },
    /// The target moved each time.
    #[error("{target} moved {tries} times while the merge was made, so it was given up")]
    TargetKeptMoving {
        /// The target.
        target: BranchName,
        /// How often it was tried.
        tries: usize,
    },
    /// Whoever asked for it called it off.
    #[error("the merge of {lane} was called off; nothing has moved")]
    Cancelled {
        /// The lane.
        lane: Lane,
    },
}

/// Both sides changed the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{branch} conflicts with {target} in {}", conflicted(files))]
pub struct Conflict {
    /// The lane.
    pub lane: Lane,
    /// Its branch.
    pub branch: BranchName,
    /// The target.
    pub target: BranchName,
    /// The files, and whose work is on the other side.
    pub files: Vec<Conflicted>,
    /// The commit that could not be put on top, where each is made anew.
    pub commit: Option<CommitId>,
}

/// Why a name is no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WhyNoTarget {
    /// There is nothing of that name.
    #[error("there is no such branch")]
    Gone,
    /// It is another repository's branch as it was last seen.
    #[error("it is another repository's branch, and only a fetch moves it")]
    Remote,
    /// It is a tag or a commit.
    #[error("it is no branch, so it cannot move")]
    Fixed,
    /// It is the lane's own branch.
    #[error("it is the lane's own branch")]
    Itself,
}

/// How many files a message names.
const NAMED: usize = 10;

/// Files in a sentence.
fn shown(files: &[PathBuf]) -> String {
    listed(files.iter().map(|path| one(path)))
}

fn conflicted(files: &[Conflicted]) -> String {
    listed(files.iter().map(|conflicted| match &conflicted.other_side {
        Some(other) => format!("{} (changed there by {other})", one(&conflicted.file)),
        None => one(&conflicted.file),
    }))
}

fn changed(what: &[String]) -> String {
    let what = listed(what.iter().cloned());
    format!("since its agent was launched {what}: the agent did that, or you did")
}

fn besides(left: &[String]) -> String {
    left.iter().map(|what| format!("; {what}")).collect()
}

fn one(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.take(NAMED).collect::<Vec<_>>().join(", "))
}

fn in_words(why: &WhyBlocked) -> String {
    match why {
        WhyBlocked::Files(files) => {
            let verb = if files.len() == 1 { "holds" } else { "hold" };
            format!("there {} {verb} what no commit has and the merge would overwrite", shown(files))
        }
        WhyBlocked::Open(operation) => format!("a {} is open there", operation.as_str()),
        WhyBlocked::SecondName(name) => format!("by its second name {name} only"),
        WhyBlocked::Busy(how) => format!("it is {how} there"),
        WhyBlocked::IndexLock => "git works there, or was killed there (index.lock)".to_owned(),
        WhyBlocked::Session(reason) => format!("that worktree is in use: {reason:?}"),
        WhyBlocked::Away(reason) => format!("that folder is not there now, and locked: {reason:?}"),
        WhyBlocked::Refused(said) => format!("git would not take it along: {said}"),
    }
}

impl MergeError {
    /// What this failure means for the exit status.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Git(error) => error.class(),
            Self::Store(_) | Self::File(_) | Self::NotEnded { .. } => ErrorClass::Failed,
            Self::NoSuchLane { .. } | Self::NoTarget { why: WhyNoTarget::Gone, .. } => ErrorClass::NotFound,
            Self::Busy { .. }
            | Self::Contended { .. }
            | Self::Unsettled { .. }
            | Self::NoBranch { .. }
            | Self::NoTarget { .. }
            | Self::Unfinished { .. }
            | Self::NothingToMerge { .. }
            | Self::NotSigned { .. }
            | Self::NotFastForward { .. }
            | Self::Conflict(_)
            | Self::InTheWay { .. }
            | Self::ConfigChanged { .. }
            | Self::HookRefused { .. }
            | Self::VerifyFailed { .. }
            | Self::TargetKeptMoving { .. }
            | Self::Cancelled { .. } => ErrorClass::Refused,
        }
    }

    /// The same, where it is said beside it that, and which lane, was not merged.
    pub fn why(&self) -> String {
        match self {
            Self::ConfigChanged { what, .. } => changed(what),
            other => other.to_string(),
        }
    }

    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Git(error) => return error.hint(),
            Self::Store(error) => return error.hint().map(str::to_owned),
            Self::File(error) => return error.hint().map(str::to_owned),
            Self::NotEnded { .. } | Self::Cancelled { .. } => return None,
            Self::NothingToMerge { left, .. } if left.is_empty() => return None,
            Self::NothingToMerge { lane, .. } => format!(
                "look at it: cd \"$(ralph worktree path {lane})\"; commit there what is to be merged, and merge again"
            ),
            Self::NotSigned { .. } => {
                "sign it there (`git commit --amend -S`), or merge with `git -c merge.verifySignatures=false merge`"
                    .to_owned()
            }
            Self::NoSuchLane { .. } => "`ralph worktree list` shows the worktrees".to_owned(),
            Self::Busy { lane, .. } => {
                format!("wait for it: `ralph worktree wait {lane}`, or end it: `ralph worktree stop {lane}`")
            }
            Self::Contended { .. } => "try again in a moment".to_owned(),
            Self::Unsettled { .. } => "settle it: `ralph worktree recover`".to_owned(),
            Self::NoBranch { branch, .. } => {
                format!(
                    "`git reflog` and `git fsck --lost-found` find what it was; `git branch {branch} COMMIT` makes it again"
                )
            }
            Self::NoTarget { why, name, .. } => match why {
                WhyNoTarget::Gone => "name a branch that is there: `--into BRANCH`".to_owned(),
                WhyNoTarget::Remote => {
                    format!(
                        "make a branch of your own that follows it, `git branch --track NAME {name}`, and merge `--into NAME`"
                    )
                }
                WhyNoTarget::Fixed | WhyNoTarget::Itself => "name a branch: `--into BRANCH`".to_owned(),
            },
            Self::Unfinished { lane, .. } => {
                format!("finish or abort it there: cd \"$(ralph worktree path {lane})\"")
            }
            Self::NotFastForward { .. } => "merge with another strategy: `--strategy merge`".to_owned(),
            Self::Conflict(conflict) => {
                let Conflict { lane, target, .. } = conflict.as_ref();
                format!(
                    "merge {target} into it where it was made, and then it again: \
                     cd \"$(ralph worktree path {lane})\" && git merge {target}; or let an agent do that: \
                     ralph worktree dispatch {lane}"
                )
            }
            Self::InTheWay { blocked, target } => match &blocked.why {
                WhyBlocked::Files(_) => {
                    "commit these files there, put them aside (`git stash`) or move them away".to_owned()
                }
                WhyBlocked::SecondName(_) => format!("`git switch {target}` there, and merge again"),
                WhyBlocked::Open(_) | WhyBlocked::Busy(_) => "finish or abort that first".to_owned(),
                WhyBlocked::IndexLock => "if no git is running there, remove that file".to_owned(),
                WhyBlocked::Session(_) => "wait until it has ended".to_owned(),
                WhyBlocked::Away(_) => {
                    "bring the folder back, or `git worktree unlock` and `git worktree prune` it".to_owned()
                }
                WhyBlocked::Refused(_) => "see `git status` there".to_owned(),
            },
            Self::ConfigChanged { lane, .. } => format!(
                "look at them; if they are as you want them: `ralph worktree merge {lane} --accept-changes`"
            ),
            Self::HookRefused { .. } => {
                "put right what it found, and merge again; nothing has moved".to_owned()
            }
            Self::VerifyFailed { lane, .. } => format!(
                "put it right in the lane, `ralph worktree dispatch {lane}`, and merge again; nothing has moved"
            ),
            Self::TargetKeptMoving { .. } => "try again when fewer commits are made on it".to_owned(),
        })
    }
}
