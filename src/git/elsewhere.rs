//! Whether a branch is used in another place: a branch belongs to one worktree at a time.

use std::path::{Path, PathBuf};

use super::registry::{self, Use};
use super::repo::Repo;
use super::{GitError, Head};
use crate::id::BranchName;

/// How and where a branch is used by another than the registration `own`.
pub(super) fn use_elsewhere(
    repo: &Repo,
    branch: &BranchName,
    there: registry::Branch,
    own: Option<&str>,
) -> Result<Option<(Use, PathBuf)>, GitError> {
    let full = branch.full();
    if !repo.is_bare() {
        let head = registry::head_of(repo.common_dir())?.unwrap_or(Head::Unclear);
        if let Some(how) = registry::use_of(repo.common_dir(), &head, &full)? {
            let main: &Path = repo.main_checkout().unwrap_or(repo.common_dir());
            return Ok(Some((how, main.to_owned())));
        }
    }
    let users = registry::users(repo.common_dir(), &full, there)?;
    let other = users.into_iter().find(|(entry, _)| Some(entry.id.as_str()) != own);
    Ok(other.map(|(entry, how)| (how, entry.tree)))
}
