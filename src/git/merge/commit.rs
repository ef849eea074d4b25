//! Commits made from a tree, by the user and signed as the user has them signed.

use git2::{Repository, Signature, Time};

use super::identity::identity;
use super::objects::sync_objects;
use super::tree_id::TreeId;
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

/// When a commit says that it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When it was.
    Now,
    /// At this second since the epoch, in UTC.
    At(i64),
}

/// Makes the commit. Nothing leads to it yet.
pub fn commit_tree(repo: &Repo, new: &NewCommit<'_>) -> Result<CommitId, GitError> {
    commit_tree_at(repo, new, When::Now)
}

/// The same at a time of its own.
pub(super) fn commit_tree_at(repo: &Repo, new: &NewCommit<'_>, when: When) -> Result<CommitId, GitError> {
    if new.signing == Signing::None
        && let Some((identity, libgit2)) = identity(repo)?
    {
        let time = match when {
            When::Now => None,
            When::At(seconds) => Some(Time::new(seconds, 0)),
        };
        return commit_without_program(repo, libgit2, new, &identity.signature(time)?);
    }
    match when {
        When::Now => commit_by_program(repo.program(), repo, new),
        When::At(seconds) => {
            let date = format!("@{seconds} +0000");
            let program = repo.program().clone();
            let program = program.with_env("GIT_AUTHOR_DATE", &date).with_env("GIT_COMMITTER_DATE", &date);
            commit_by_program(&program, repo, new)
        }
    }
}

fn commit_without_program(
    repo: &Repo,
    libgit2: &Repository,
    new: &NewCommit<'_>,
    by: &Signature<'_>,
) -> Result<CommitId, GitError> {
    let failed = |e| GitError::libgit2("commit the tree", new.tree.as_str(), e);
    let tree = libgit2.find_tree(new.tree.oid()?).map_err(failed)?;
    let mut parents = Vec::new();
    for parent in new.parents {
        parents.push(libgit2.find_commit(parent.oid()?).map_err(failed)?);
    }
    let parents: Vec<_> = parents.iter().collect();
    let commit = libgit2.commit(None, by, by, &ended(new.message), &tree, &parents).map_err(failed)?;
    sync_objects(repo, &[commit])?;
    Ok(commit.into())
}

/// A message ends with one line feed.
fn ended(message: &str) -> String {
    format!("{}\n", message.trim_end())
}

fn commit_by_program(program: &GitProgram, repo: &Repo, new: &NewCommit<'_>) -> Result<CommitId, GitError> {
    let mut call = Call::write(program, Place::GitDir(repo.common_dir())).synced().arg("commit-tree");
    for parent in new.parents {
        call = call.args(["-p", parent.as_str()]);
    }
    if new.signing == Signing::AsConfigured {
        call = call.arg("-S");
    }
    let call = call.args(["-F", "-", new.tree.as_str()]).input(ended(new.message));
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
    if identity(repo)?.is_some() {
        return Ok(());
    }
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
