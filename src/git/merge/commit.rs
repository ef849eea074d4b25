//! Commits made from a tree, by the user and signed as the user has them signed.

use super::tree::{TreeId, durable};
use crate::git::program::{Call, Place};
use crate::git::{CommitId, GitError, GitProgram, Repo};

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct NewCommit<'a> {
    /// What it holds.
    pub tree: &'a TreeId,
    /// What it follows, the first parent first.
    pub parents: &'a [&'a CommitId],
    /// What it says.
    pub message: &'a str,
    /// Whether it is signed.
    pub signing: Signing,
}

/// Whether commits are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// With the user's key and program.
    AsConfigured,
    /// Not at all.
    None,
}

/// What the user has said about signing (`commit.gpgSign`).
pub fn signing(repo: &Repo) -> Result<Signing, GitError> {
    let signed = repo.settings()?.flag("commit.gpgSign");
    Ok(if signed { Signing::AsConfigured } else { Signing::None })
}

/// Makes the commit. Nothing leads to it yet.
pub fn commit_tree(repo: &Repo, new: &NewCommit<'_>) -> Result<CommitId, GitError> {
    commit_tree_by(repo.program(), repo, new)
}

/// The same by this git, whose environment may say when it is.
pub(super) fn commit_tree_by(
    program: &GitProgram,
    repo: &Repo,
    new: &NewCommit<'_>,
) -> Result<CommitId, GitError> {
    let mut call = durable(Call::write(program, Place::GitDir(repo.common_dir()))).arg("commit-tree");
    for parent in new.parents {
        call = call.args(["-p", parent.as_str()]);
    }
    if new.signing == Signing::AsConfigured {
        call = call.arg("-S");
    }
    let mut message = new.message.trim_end().to_owned();
    message.push('\n');
    let call = call.args(["-F", "-", new.tree.as_str()]).input(message);
    match call.succeed() {
        Ok(out) => String::from_utf8_lossy(&out).trim().parse().map_err(|_| call.unclear()),
        Err(GitError::ProgramFailed { stderr, .. })
            if stderr.contains("failed to sign") || stderr.contains("gpg") =>
        {
            Err(GitError::NotSigned { said: stderr })
        }
        Err(error) => Err(error),
    }
}

/// Refuses where git does not know who commits.
pub fn refuse_without_identity(repo: &Repo) -> Result<(), GitError> {
    for who in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
        match repo.read().args(["var", who]).succeed() {
            Ok(_) => {}
            Err(GitError::ProgramFailed { .. }) => return Err(GitError::NoIdentity),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The subjects of the commits that `tip` has and `base` has not, oldest first, at most `most` of them.
pub fn squashed_commits(
    repo: &Repo,
    base: &CommitId,
    tip: &CommitId,
    most: usize,
) -> Result<Vec<String>, GitError> {
    let call = repo
        .read()
        .setting("log.showSignature", "false")
        .args(["log", "--no-color", "--reverse", "--no-merges", "--format=%s"])
        .args([tip.as_str(), "--not", base.as_str(), "--"]);
    let out = call.succeed()?;
    Ok(String::from_utf8_lossy(&out).lines().take(most).map(str::to_owned).collect())
}
