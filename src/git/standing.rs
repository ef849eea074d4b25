//! Where a lane stands that is to be removed: its registration, its folder, its branch. Looking changes nothing.
//!
//! Locating a worktree to work in it refuses a branch that is in use elsewhere; taking one away has no such reason.
//! What it does refuse is a folder that is not certainly the registered worktree's own.

use std::path::PathBuf;

use super::elsewhere::use_elsewhere;
use super::hold::is_ours;
use super::reach::other_branch_with;
use super::refs::there;
use super::registry::{self, Entry};
use super::repo::Repo;
use super::worktree::{back_link, find_entry, is_empty, settled};
use super::{Base, CommitId, Files, GitError, Head, Site};
use crate::id::BranchName;

/// A lane's registered worktree, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The name of its registration.
    pub id: String,
    /// Its administrative directory.
    pub admin_dir: PathBuf,
    /// Where its folder is, or was.
    pub path: PathBuf,
    /// Its folder.
    pub folder: Folder,
    /// What is checked out in it.
    pub head: Head,
    /// The commit that is checked out, where there is one.
    pub head_commit: Option<CommitId>,
    /// Why the user locked it, where they did; a lock of ralph's own is none.
    pub users_lock: Option<String>,
}

/// The folder of a registered worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It is there and leads back to the registration.
    There(Files),
    /// It is gone, or empty.
    Missing,
}

/// How a lane's branch stands to the rest of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchStanding {
    /// There is no such branch.
    Gone,
    /// Another worktree, or the main checkout, uses it.
    InUse {
        /// Its commit.
        tip: CommitId,
        /// How: `checked out`, `being rebased`, `being bisected`.
        how: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// All of its commits are in another branch, or in its base.
    Contained {
        /// Its commit.
        tip: CommitId,
        /// In what.
        by: String,
    },
    /// It has commits that no other branch has.
    Own {
        /// Its commit.
        tip: CommitId,
    },
}

impl BranchStanding {
    /// The branch's commit.
    pub fn tip(&self) -> Option<&CommitId> {
        match self {
            Self::Gone => None,
            Self::InUse { tip, .. } | Self::Contained { tip, .. } | Self::Own { tip } => Some(tip),
        }
    }
}

/// Finds the lane's registered worktree; `None` where nothing is registered and nothing stands in its place either.
/// Refused: a folder that is a symbolic link, that does not lead back, or that is not registered at all.
pub fn registered(repo: &Repo, site: &Site) -> Result<Option<Standing>, GitError> {
    let Some(entry) = find_entry(repo, site)? else {
        let empty = || site.path.is_dir() && is_empty(&site.path).unwrap_or(false);
        return match there(&site.path)? && !empty() {
            true => Err(GitError::NotRegistered { path: site.path.clone() }),
            false => Ok(None),
        };
    };
    let folder = folder_of(repo, &entry)?;
    let head_commit = match &entry.head {
        Head::Branch(name) => repo.commit_of(&format!("refs/heads/{name}"))?,
        Head::Detached(commit) => Some(commit.clone()),
        Head::Unclear => None,
    };
    Ok(Some(Standing {
        path: settled(&entry.tree),
        folder,
        head_commit,
        users_lock: entry.locked.filter(|reason| !is_ours(reason)),
        id: entry.id,
        admin_dir: entry.admin,
        head: entry.head,
    }))
}

/// The folder of a registration, if it is certainly its own.
pub(super) fn folder_of(repo: &Repo, entry: &Entry) -> Result<Folder, GitError> {
    let not_a_folder =
        || GitError::MovedByHand { path: entry.tree.clone(), why: "it is not a folder".to_owned() };
    match entry.tree.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            return Err(GitError::SymlinkInTheWay { path: entry.tree.clone() });
        }
        Ok(meta) if !meta.is_dir() => return Err(not_a_folder()),
        Ok(_) if is_empty(&entry.tree)? => return Ok(Folder::Missing),
        Ok(_) => back_link(entry)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Folder::Missing),
        Err(e) => return Err(GitError::io("look at", &entry.tree, e)),
    }
    let path = settled(&entry.tree);
    // A registration can be made to name any folder that holds a file `.git`: these are not anyone's to remove.
    for own in [Some(repo.common_dir()), repo.main_checkout()].into_iter().flatten() {
        if own.starts_with(&path) {
            return Err(GitError::HoldsRepository { path: entry.tree.clone(), what: own.to_owned() });
        }
    }
    // With its folder gone from where it is registered, `git worktree prune` would throw its index away.
    let others = registry::entries(repo.common_dir())?.into_iter().filter(|other| other.id != entry.id);
    if let Some(other) = others.map(|other| settled(&other.tree)).find(|other| other.starts_with(&path)) {
        return Err(GitError::HoldsWorktree { path: entry.tree.clone(), inner: other });
    }
    super::worktree::worktree_of(repo, entry).map(|worktree| Folder::There(worktree.files))
}

/// How the lane's branch stands to its base and to all other branches. `own` is the lane's own registration.
pub fn branch_standing(
    repo: &Repo,
    branch: &BranchName,
    base: Option<&Base>,
    own: Option<&str>,
) -> Result<BranchStanding, GitError> {
    let Some(tip) = repo.commit_of(&branch.full())? else { return Ok(BranchStanding::Gone) };
    if let Some((how, path)) = use_elsewhere(repo, branch, registry::Branch::There, own)? {
        return Ok(BranchStanding::InUse { tip, how, path });
    }
    if let Some(base) = base.filter(|base| base.name != branch.as_str())
        && repo.distance(&tip, &base.commit)?.ahead == 0
    {
        return Ok(BranchStanding::Contained { tip, by: base.name.clone() });
    }
    Ok(match other_branch_with(repo, &tip, branch.as_str())? {
        Some(by) => BranchStanding::Contained { tip, by },
        None => BranchStanding::Own { tip },
    })
}

/// How many commits `tip` has that `base` has not.
pub fn commits_beyond(repo: &Repo, base: &CommitId, tip: &CommitId) -> Result<usize, GitError> {
    Ok(repo.distance(tip, base)?.ahead)
}

/// The branch's commit; `None` where there is no such branch.
pub fn tip_of(repo: &Repo, branch: &BranchName) -> Result<Option<CommitId>, GitError> {
    repo.commit_of(&branch.full())
}
