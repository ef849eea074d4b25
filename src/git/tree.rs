//! Small questions about what a commit holds and where one stands.

use std::path::Path;

use super::repo::{Backend, Repo};
use super::{CommitId, GitError};

impl Repo {
    /// Whether the commit has anything at `path`, relative to its top: a file, a folder, a link.
    pub fn tracks(&self, commit: &CommitId, path: impl AsRef<Path>) -> Result<bool, GitError> {
        let path = path.as_ref();
        match self.backend() {
            Backend::Libgit2(repo) => {
                let failed = |e| GitError::libgit2("read the files of", commit, e);
                let tree = repo.find_commit(commit.oid()?).and_then(|c| c.tree()).map_err(failed)?;
                match tree.get_path(path) {
                    Ok(_) => Ok(true),
                    Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(false),
                    Err(e) => Err(failed(e)),
                }
            }
            Backend::Program(_) => {
                let call =
                    self.read().args(["ls-tree", "--name-only", "-z", commit.as_str(), "--"]).arg(path);
                Ok(!call.succeed()?.is_empty())
            }
        }
    }

    /// The name under which the worktree one stands in is registered; none in the main checkout.
    pub fn current_id(&self) -> Option<&str> {
        let registry = self.common_dir().join("worktrees");
        self.git_dir().strip_prefix(registry).ok()?.to_str()
    }
}
