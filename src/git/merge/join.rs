//! Several branch tips as one commit, for work that builds on all of them.

use std::path::{Path, PathBuf};

use super::commit::{NewCommit, Signing, When, commit_tree_at};
use super::land::contains;
use super::tree::{TreeMerge, merge_trees};
use crate::durable;
use crate::git::repo::Backend;
use crate::git::{CommitId, GitError, Repo};

/// What joining came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// One commit that has all of them; one of the tips, where that has the others already.
    Commit(CommitId),
    /// Two of them do not fit together.
    Conflict {
        /// In which files.
        files: Vec<PathBuf>,
        /// Which two.
        between: (CommitId, CommitId),
    },
}

/// Merges the tips one after another, without a working tree. The same tips in the same order give the same commit.
/// Nothing leads to it yet.
pub fn join(repo: &Repo, first: &CommitId, others: &[CommitId], message: &str) -> Result<Joined, GitError> {
    let store = repo.store_dir();
    durable::create_private_dir(&store)?;
    let folder = tempfile::tempdir_in(&store).map_err(|e| GitError::io("create a folder in", &store, e))?;
    let scratch = folder.path();
    let mut joined = first.clone();
    for (number, tip) in others.iter().enumerate() {
        if contains(repo, &joined, tip)? {
            continue;
        }
        if contains(repo, tip, &joined)? {
            joined = tip.clone();
            continue;
        }
        let tree = match merge_trees(repo, scratch, &joined, tip)? {
            TreeMerge::Clean(tree) => tree,
            TreeMerge::Conflict(files) => {
                let earlier = std::iter::once(first).chain(&others[..number]);
                let with = whom(repo, scratch, earlier, tip)?.unwrap_or(joined);
                return Ok(Joined::Conflict { files, between: (with, tip.clone()) });
            }
        };
        let parents = [&joined, tip];
        let new = NewCommit { tree: &tree, parents: &parents, message, signing: Signing::None };
        joined = commit_tree_at(repo, &new, When::At(last_of(repo, &parents)?))?;
    }
    Ok(Joined::Commit(joined))
}

/// The earlier tip that `tip` conflicts with by itself.
fn whom<'t>(
    repo: &Repo,
    scratch: &Path,
    earlier: impl Iterator<Item = &'t CommitId>,
    tip: &CommitId,
) -> Result<Option<CommitId>, GitError> {
    for other in earlier {
        if matches!(merge_trees(repo, scratch, other, tip)?, TreeMerge::Conflict(_)) {
            return Ok(Some(other.clone()));
        }
    }
    Ok(None)
}

/// When the last of the commits was made, in seconds since the epoch.
fn last_of(repo: &Repo, commits: &[&CommitId]) -> Result<i64, GitError> {
    if let Backend::Libgit2(libgit2) = repo.backend() {
        let mut last = i64::MIN;
        for commit in commits {
            let found = libgit2.find_commit(commit.oid()?);
            let found = found.map_err(|e| GitError::libgit2("read the commit", commit, e))?;
            last = last.max(found.time().seconds());
        }
        return Ok(last);
    }
    let call = repo
        .read()
        .setting("log.showSignature", "false")
        .args(["log", "--no-walk", "--no-color", "--format=%ct"])
        .args(commits.iter().map(|commit| commit.as_str()));
    let out = call.succeed()?;
    let times = String::from_utf8_lossy(&out).lines().filter_map(|line| line.parse::<i64>().ok()).max();
    times.ok_or_else(|| call.unclear())
}
