//! What can go wrong with git: one variant a cause, and what each means for the exit status.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use super::CommitId;
use super::edit::Edit;
use crate::durable::FileError;

/// What a failure means for the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// What was asked for cannot be meant: a wrong name, an ambiguous one.
    Usage,
    /// There is no such thing.
    NotFound,
    /// Refused, because something is in the way or could be lost. Nothing has changed.
    Refused,
    /// This repository or this machine cannot do it.
    CannotDo,
    /// It was tried and failed.
    Failed,
}

/// A kind of repository that ralph does not work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// Objects are named by SHA-256.
    Sha256,
    /// References are stored as a reftable.
    Reftable,
}

impl Unsupported {
    fn describe(self) -> &'static str {
        match self {
            Self::Sha256 => "names its objects by sha256",
            Self::Reftable => "stores its references as a reftable",
        }
    }
}

/// An operation on a repository that failed or was refused. Messages hold no raw control character.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// No repository at the folder or above it.
    #[error("there is no git repository at {path:?} or in a folder above it")]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// A kind of repository that ralph does not work with.
    #[error("the repository {path:?} {}, which ralph cannot work with", what.describe())]
    Unsupported {
        /// The common directory.
        path: PathBuf,
        /// What it is.
        what: Unsupported,
    },
    /// The git program here does not know what the repository asks for.
    #[error("git cannot work with the repository of {path:?}: {said}")]
    GitCannot {
        /// Where one stood.
        path: PathBuf,
        /// What git said.
        said: String,
    },
    /// The repository belongs to another user, and is not among the user's safe directories.
    #[error("the repository {path:?} belongs to another user, so git and ralph leave it alone")]
    ForeignOwner {
        /// What `safe.directory` would have to name.
        path: PathBuf,
    },
    /// A path that no record can hold.
    #[error("the path {path:?} is not valid UTF-8, so it cannot be recorded")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// There is no commit to start from.
    #[error("the branch {branch:?} of {path:?} has no commit yet, so there is nothing to start from")]
    Unborn {
        /// The repository.
        path: PathBuf,
        /// What HEAD names.
        branch: String,
    },
    /// No branch, tag or commit of that name.
    #[error("there is no branch, tag or commit {name:?}")]
    NoSuchBase {
        /// The name as given.
        name: String,
        /// Branches that are called nearly so.
        nearest: Vec<String>,
    },
    /// A commit prefix that several commits share.
    #[error("{name:?} begins the name of more than one commit")]
    AmbiguousBase {
        /// The prefix.
        name: String,
    },
    /// A name that leads to something else than a commit.
    #[error("{name:?} names a {kind}, not a commit")]
    NotACommit {
        /// The name.
        name: String,
        /// What it names.
        kind: String,
    },
    /// A text that is not the full name of a commit.
    #[error("{text:?} is not the full name of a commit")]
    NotACommitId {
        /// The text, shortened.
        text: String,
    },
    /// The repository's lock was not to be had in time.
    #[error("another ralph process holds {path:?}, for more than {} seconds now", waited.as_secs())]
    LockBusy {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The lane's branch is in use elsewhere.
    #[error("the branch {branch:?} is {how} in {path:?}, so no other worktree can work on it")]
    BranchInUse {
        /// The branch.
        branch: String,
        /// How it is used: `checked out`, `being rebased`, `being bisected`.
        how: &'static str,
        /// The worktree.
        path: PathBuf,
    },
    /// The lane's branch is another branch by a second name.
    #[error("the branch {branch:?} is only another name for {target:?}: work on it would land there")]
    BranchIsAlias {
        /// The branch.
        branch: String,
        /// What it stands for.
        target: String,
    },
    /// A branch whose name makes the lane's impossible.
    #[error("the branch {branch:?} cannot exist beside the reference {by:?}")]
    BranchNameTaken {
        /// The lane's branch.
        branch: String,
        /// The reference in its way.
        by: String,
    },
    /// The worktree's folder does not lead back to its registration.
    #[error(
        "the folder {path:?} is registered as a worktree, but what is there now does not belong to it: {why}"
    )]
    MovedByHand {
        /// Where the worktree is registered.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
    /// A symbolic link stands where a worktree is, or should be.
    #[error("{path:?} is a symbolic link, where a worktree must be a folder of its own")]
    SymlinkInTheWay {
        /// The link.
        path: PathBuf,
    },
    /// The folder for a new worktree is taken.
    #[error("{path:?} exists and is not empty, but is no worktree of this repository")]
    PathTaken {
        /// The folder.
        path: PathBuf,
    },
    /// The folder that holds the worktrees belongs to someone else, or all may write in it.
    #[error("the worktree root {path:?} {why}, so its content cannot be trusted")]
    RootNotOurs {
        /// The worktree root.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The folder that holds the worktrees cannot be made or written.
    #[error("cannot create worktrees in {path:?}: {source}")]
    RootUnwritable {
        /// The worktree root, or the part of it that failed.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The lane has its worktree already.
    #[error("the worktree {path:?} exists already")]
    WorktreeThere {
        /// The worktree.
        path: PathBuf,
    },
    /// The lane's worktree is registered, but its folder is gone.
    #[error("the worktree {path:?} is registered, but its folder is gone")]
    TreeGone {
        /// Where it was.
        path: PathBuf,
    },
    /// The user locked the worktree.
    #[error("the worktree {path:?} is locked: {reason:?}")]
    LockedByUser {
        /// The worktree.
        path: PathBuf,
        /// What the user said.
        reason: String,
    },
    /// A folder that no registration names.
    #[error("{path:?} is not registered as a worktree of this repository")]
    NotRegistered {
        /// The folder.
        path: PathBuf,
    },
    /// A registration that names a folder around the repository.
    #[error("{path:?} is registered as a worktree, but holds {what:?}")]
    HoldsRepository {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        what: PathBuf,
    },
    /// A worktree with another one in its folder.
    #[error("the worktree {path:?} has another one in it, {inner:?}, which would go with it")]
    HoldsWorktree {
        /// The worktree.
        path: PathBuf,
        /// The one in it.
        inner: PathBuf,
    },
    /// A branch that no longer contains what it was.
    #[error("the branch {branch:?} was rewritten: it is at {}, and {} is not in it", now.short(), was.short())]
    BranchRewritten {
        /// The branch.
        branch: String,
        /// Its commit, when its worktree was removed.
        was: CommitId,
        /// Its commit now.
        now: CommitId,
    },
    /// A part of what was removed is not where it was put.
    #[error("the worktree {path:?} cannot be taken out of the trash: {what}")]
    TrashIncomplete {
        /// Where the worktree was.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A text that is not the name of a removal.
    #[error("{text:?} is not the name of anything in the trash")]
    NotATrashId {
        /// The text, shortened.
        text: String,
    },
    /// The worktree's folder is there, where it was thought to be gone.
    #[error("the worktree {path:?} is not gone")]
    TreeNotGone {
        /// The worktree.
        path: PathBuf,
    },
    /// An agent may have worked in it: what it holds is not ralph's to complete or to remove.
    #[error("the worktree {path:?} is complete, so its files are not touched again")]
    AlreadyComplete {
        /// The worktree.
        path: PathBuf,
    },
    /// The worktree is no longer what it was when it was looked at.
    #[error("the worktree {path:?} has changed meanwhile: {what}")]
    ChangedMeanwhile {
        /// The worktree.
        path: PathBuf,
        /// What changed.
        what: String,
    },
    /// Bringing a worktree up to its base was cut short, and someone has changed a file of it since.
    #[error(
        "the worktree {path:?} was being brought up to its base when that was interrupted, and {file:?} in it has been \
         changed since"
    )]
    HalfForwarded {
        /// The worktree.
        path: PathBuf,
        /// What was changed.
        file: PathBuf,
        /// The commit that it was brought up from.
        from: CommitId,
    },
    /// Writing the files of a worktree was cut short, and someone has changed one that is there since.
    #[error(
        "the files of the worktree {path:?} were being written when that was interrupted, and {edit} in it has been \
         changed since"
    )]
    UnfinishedChanged {
        /// The worktree.
        path: PathBuf,
        /// What was changed.
        edit: Edit,
    },
    /// No free name for a registration was found.
    #[error("could not register {path:?}: something else keeps changing {registry:?}")]
    RegistryUnsteady {
        /// The worktree.
        path: PathBuf,
        /// The folder of the registrations.
        registry: PathBuf,
    },
    /// A filter that would run a program out of the worktree.
    #[error(
        "the filter {filter:?}, used by {used_by:?}, runs {command:?}: a relative command would run whatever the \
         checked-out branch brings along"
    )]
    RelativeFilter {
        /// The filter's name.
        filter: String,
        /// The file that says so.
        used_by: String,
        /// The configured command.
        command: String,
    },
    /// A merge driver that would run a program out of the worktree.
    #[error(
        "the merge driver {driver:?}, used by {used_by:?}, runs {command:?}: a relative command would run whatever \
         the checked-out branch brings along"
    )]
    RelativeDriver {
        /// The driver's name.
        driver: String,
        /// The file that says so.
        used_by: String,
        /// The configured command.
        command: String,
    },
    /// A merge strategy that needs a checkout.
    #[error("`pull.twohead` names the merge strategy {name:?}, which cannot work without a checkout")]
    MergeStrategyUnknown {
        /// Its name.
        name: String,
    },
    /// Two commits that have no history in common.
    #[error("{} and {} have no history in common", one.short(), other.short())]
    UnrelatedHistories {
        /// One.
        one: CommitId,
        /// The other.
        other: CommitId,
    },
    /// git does not know who commits.
    #[error("git does not know who you are, so nothing can be committed in your name")]
    NoIdentity,
    /// A commit could not be signed.
    #[error("the commit could not be signed: {said}")]
    NotSigned {
        /// What git said.
        said: String,
    },
    /// git works in a worktree, or was killed there.
    #[error("git's lock {path:?} is there: git works in that worktree, or was killed there")]
    IndexLocked {
        /// The lock.
        path: PathBuf,
    },
    /// A worktree could not be brought to another commit, nor all of it back.
    #[error("{why}; what was written into {path:?} by then could not all be taken back: {left}")]
    HalfWritten {
        /// The worktree's folder.
        path: PathBuf,
        /// Why it could not.
        #[source]
        why: Box<GitError>,
        /// Why not all is as it was.
        left: Box<GitError>,
    },
    /// A reference that moved between the look and the write.
    #[error("the reference {name:?} moved meanwhile, so it was not written")]
    RefMoved {
        /// The reference.
        name: String,
    },
    /// The git program is not there, or cannot be run.
    #[error("could not run {program:?}: {source}")]
    ProgramMissing {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The git program ended with a failure.
    #[error("`{command}` failed ({status}): {stderr}")]
    ProgramFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, on one line.
        stderr: String,
    },
    /// The git program ended well, and did not look everywhere.
    #[error("`{command}` did not see everything: {stderr}")]
    ProgramSawNotAll {
        /// The command.
        command: String,
        /// What it said, on one line.
        stderr: String,
    },
    /// The git program said more than is ever needed.
    #[error("`{command}` was ended: it printed more than any sound repository makes it print")]
    ProgramSaidTooMuch {
        /// The command.
        command: String,
    },
    /// The git program did not end.
    #[error("`{command}` was ended: it had not answered after {} seconds", after.as_secs())]
    ProgramTooSlow {
        /// The command.
        command: String,
        /// How long was waited.
        after: Duration,
    },
    /// The git program could not be started, or not be listened to.
    #[error("could not run `{command}`: {source}")]
    ProgramIo {
        /// The command.
        command: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The git program answered something that it never answers.
    #[error("could not understand what `{command}` printed")]
    ProgramUnclear {
        /// The command.
        command: String,
    },
    /// Something in the place of a file that whoever opens it may wait for.
    #[error("{path:?} is {kind}, where git keeps a file: who opens it may wait for ever")]
    WouldWait {
        /// What is there.
        path: PathBuf,
        /// `a named pipe`, for instance.
        kind: &'static str,
    },
    /// A file in the place of a reference that is none.
    #[error("{path:?} is far longer than any reference, so it is not read")]
    NoReference {
        /// The file.
        path: PathBuf,
    },
    /// libgit2 failed.
    #[error("could not {operation} {object:?}: {message}")]
    Libgit2 {
        /// What was attempted, as an infinitive.
        operation: &'static str,
        /// On what.
        object: String,
        /// What libgit2 said.
        message: String,
    },
    /// The system refused a file operation.
    #[error("could not {operation} {path:?}: {source}")]
    Io {
        /// What was attempted, as an infinitive.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A durable file, or a lock, failed.
    #[error(transparent)]
    File(#[from] FileError),
}

impl GitError {
    #[expect(clippy::needless_pass_by_value, reason = "it ends a `map_err`")]
    pub(super) fn libgit2(operation: &'static str, object: impl ToString, error: git2::Error) -> Self {
        let message = on_one_line(error.message());
        Self::Libgit2 { operation, object: object.to_string(), message }
    }

    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }

    pub(super) fn program_failed(command: &str, status: ExitStatus, stderr: &[u8]) -> Self {
        let stderr = on_one_line(&String::from_utf8_lossy(stderr));
        Self::ProgramFailed { command: command.to_owned(), status, stderr }
    }

    /// Whether git was ended by what a terminal sends, or a system that shuts down, and did not fail by itself.
    pub fn was_interrupted(&self) -> bool {
        const SENT: [Signal; 4] = [Signal::INT, Signal::QUIT, Signal::HUP, Signal::TERM];
        let Self::ProgramFailed { status, .. } = self else { return false };
        status.signal().is_some_and(|signal| SENT.iter().any(|sent| sent.as_raw() == signal))
    }

    pub(super) fn program_saw_not_all(command: &str, stderr: &[u8]) -> Self {
        let stderr = on_one_line(&String::from_utf8_lossy(stderr));
        Self::ProgramSawNotAll { command: command.to_owned(), stderr }
    }

    /// What this failure means for the exit status.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::AmbiguousBase { .. }
            | Self::NotACommit { .. }
            | Self::NotACommitId { .. }
            | Self::NotATrashId { .. } => ErrorClass::Usage,
            Self::NotARepository { .. } | Self::NoSuchBase { .. } => ErrorClass::NotFound,
            Self::Unsupported { .. }
            | Self::GitCannot { .. }
            | Self::ForeignOwner { .. }
            | Self::NotUtf8 { .. }
            | Self::Unborn { .. }
            | Self::RootNotOurs { .. }
            | Self::RootUnwritable { .. }
            | Self::RelativeFilter { .. }
            | Self::RelativeDriver { .. }
            | Self::MergeStrategyUnknown { .. }
            | Self::NoIdentity
            | Self::NotSigned { .. }
            | Self::ProgramMissing { .. } => ErrorClass::CannotDo,
            Self::LockBusy { .. }
            | Self::BranchInUse { .. }
            | Self::BranchIsAlias { .. }
            | Self::BranchNameTaken { .. }
            | Self::MovedByHand { .. }
            | Self::SymlinkInTheWay { .. }
            | Self::PathTaken { .. }
            | Self::WorktreeThere { .. }
            | Self::TreeGone { .. }
            | Self::LockedByUser { .. }
            | Self::TreeNotGone { .. }
            | Self::NotRegistered { .. }
            | Self::HoldsRepository { .. }
            | Self::HoldsWorktree { .. }
            | Self::BranchRewritten { .. }
            | Self::TrashIncomplete { .. }
            | Self::AlreadyComplete { .. }
            | Self::ChangedMeanwhile { .. }
            | Self::HalfForwarded { .. }
            | Self::UnfinishedChanged { .. }
            | Self::RegistryUnsteady { .. }
            | Self::UnrelatedHistories { .. }
            | Self::IndexLocked { .. }
            | Self::HalfWritten { .. }
            | Self::WouldWait { .. }
            | Self::NoReference { .. }
            | Self::RefMoved { .. } => ErrorClass::Refused,
            Self::File(error) if error.kind().is_some_and(is_the_machines) => ErrorClass::CannotDo,
            Self::Io { source, .. } if is_the_machines(source.kind()) => ErrorClass::CannotDo,
            Self::ProgramFailed { .. }
            | Self::ProgramSawNotAll { .. }
            | Self::ProgramSaidTooMuch { .. }
            | Self::ProgramTooSlow { .. }
            | Self::ProgramIo { .. }
            | Self::ProgramUnclear { .. }
            | Self::Libgit2 { .. }
            | Self::Io { .. }
            | Self::File(_) => ErrorClass::Failed,
        }
    }
}

/// Whether the machine cannot do it, however often it is tried: no right, no room.
fn is_the_machines(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(kind, PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded)
}

/// What a program said, on one line, without control characters, and not endless.
fn on_one_line(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let mut line = lines.join("; ");
    if let Some((cut, _)) = line.char_indices().nth(2000) {
        line.truncate(cut);
        line.push('…');
    }
    line
}
