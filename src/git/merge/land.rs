//! Moving a branch to a merge's commit, and what a branch's name means as a merge's target.

use crate::git::program::{Call, Place};
use crate::git::repo::RepoLock;
use crate::git::{CommitId, GitError, Repo};
use crate::id::{BranchName, RefName};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A branch of this repository, at its commit.
    Branch(BranchName, CommitId),
    /// What was last seen of another repository's branch.
    RemoteBranch,
    /// A tag or a commit: nothing that moves.
    Fixed,
    /// Nothing.
    Nothing,
}

/// What the name of a target stands for. A branch comes first, as everywhere.
pub fn named(repo: &Repo, name: &RefName) -> Result<Named, GitError> {
    let short = name.as_str().strip_prefix("refs/heads/").unwrap_or(name.as_str());
    if let Ok(branch) = short.parse::<BranchName>() {
        if let Some(target) = repo.alias_target(&branch.full())? {
            return Err(GitError::BranchIsAlias { branch: branch.to_string(), target });
        }
        if let Some(commit) = repo.commit_of(&branch.full())? {
            return Ok(Named::Branch(branch, commit));
        }
    }
    if name.as_str().starts_with("refs/remotes/")
        || repo.commit_of(&format!("refs/remotes/{}", name.as_str()))?.is_some()
    {
        return Ok(Named::RemoteBranch);
    }
    match repo.resolve_base(name) {
        Ok(_) => Ok(Named::Fixed),
        Err(GitError::NoSuchBase { .. }) => Ok(Named::Nothing),
        Err(error) => Err(error),
    }
}

/// Moves a branch from one commit to another. [`GitError::RefMoved`]: it is not at the first any more.
pub fn advance(
    repo: &Repo,
    _lock: &RepoLock,
    branch: &BranchName,
    from: &CommitId,
    to: &CommitId,
    log: &str,
) -> Result<(), GitError> {
    let full = branch.full();
    let call = Call::write(repo.program(), Place::GitDir(repo.common_dir())).synced().uninterrupted().args([
        "update-ref",
        "--no-deref",
        "-m",
        log,
        &full,
        to.as_str(),
        from.as_str(),
    ]);
    match call.succeed() {
        Ok(_) => Ok(()),
        // Whatever git's words are: what counts is where the branch is.
        Err(error) => match repo.commit_of(&full)? {
            Some(now) if now == *from => Err(error),
            // Ended a moment after it had done it.
            Some(now) if now == *to => Ok(()),
            _ => Err(GitError::RefMoved { name: full }),
        },
    }
}

/// Whether `commit` has all that `other` has.
pub fn contains(repo: &Repo, commit: &CommitId, other: &CommitId) -> Result<bool, GitError> {
    Ok(commit == other || repo.distance(other, commit)?.ahead == 0)
}

/// Keeps a merge's commit while nothing else leads to it, and makes sure that all of it is there.
pub fn pin_merge(
    repo: &Repo,
    _lock: &RepoLock,
    id: &str,
    commit: &CommitId,
    known: &[&CommitId],
) -> Result<(), GitError> {
    repo.set_ref(&pin_name(id), commit, "ralph: merge")?;
    // A `git gc --prune=now` may have run between the writing of an object and now.
    Call::write(repo.program(), Place::GitDir(repo.common_dir()))
        .args(["rev-list", "--objects", "--quiet", commit.as_str(), "--not"])
        .args(known.iter().map(|commit| commit.as_str()))
        .succeed()?;
    Ok(())
}

/// Lets go of a merge's commit.
pub fn unpin_merge(repo: &Repo, _lock: &RepoLock, id: &str) -> Result<(), GitError> {
    match repo.commit_of(&pin_name(id))? {
        Some(commit) => repo.delete_ref(&pin_name(id), &commit),
        None => Ok(()),
    }
}

fn pin_name(id: &str) -> String {
    format!("refs/ralph/merges/{id}")
}
