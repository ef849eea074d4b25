//! A commit with one changed file, made without a working tree.

use std::path::Path;

use super::tree_id::TreeId;
use crate::git::printed::TreeEntry;
use crate::git::program::{Call, Place};
use crate::git::{CommitId, GitError, Repo};

/// A tracked file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedFile {
    mode: String,
    /// What it holds.
    pub content: Vec<u8>,
}

impl TrackedFile {
    /// The same file with another content.
    pub fn holding(self, content: Vec<u8>) -> Self {
        Self { content, ..self }
    }
}

/// What a commit has at `path`; `None` where that is nothing, or no file of its own.
pub fn tracked_file(repo: &Repo, commit: &CommitId, path: &Path) -> Result<Option<TrackedFile>, GitError> {
    let mut found = None;
    let call =
        repo.fetching().args(["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit.as_str(), "--"]);
    call.arg(path).for_each_record(&mut |record| {
        if let Some(entry) = TreeEntry::of(record).filter(TreeEntry::is_file) {
            found = Some((entry.mode.to_owned(), entry.object.to_owned()));
        }
    })?;
    let Some((mode, name)) = found else { return Ok(None) };
    let content = repo.fetching().args(["cat-file", "blob", &name]).succeed()?;
    Ok(Some(TrackedFile { mode, content }))
}

/// Whether the main checkout's index has `path`.
pub fn is_tracked(repo: &Repo, path: &Path) -> Result<bool, GitError> {
    let mut found = false;
    Call::read(repo.program(), Place::GitDir(repo.common_dir()))
        .args(["--literal-pathspecs", "ls-files", "-z", "--"])
        .arg(path)
        .for_each_record(&mut |_| found = true)?;
    Ok(found)
}

/// The tree of `commit` with another content in one of its files. `scratch` as for
/// [`merge_trees`](super::merge_trees).
pub fn edited_tree(
    repo: &Repo,
    scratch: &Path,
    commit: &CommitId,
    path: &Path,
    file: &TrackedFile,
) -> Result<TreeId, GitError> {
    let write = || Call::write(repo.program(), Place::GitDir(repo.common_dir())).synced();
    let call = write().args(["hash-object", "-w", "--no-filters", "--stdin"]).input(file.content.clone());
    let object = TreeId::printed(&call.succeed()?, &call)?;
    let index = scratch.join("edit-index");
    let program = repo.program().clone().with_env("GIT_INDEX_FILE", index.as_os_str());
    let call = || {
        Call::write(&program, Place::GitDir(repo.common_dir())).synced().setting("core.splitIndex", "false")
    };
    call().args(["read-tree", commit.as_str()]).succeed()?;
    let mut info = format!("{} {}\t", file.mode, object.as_str()).into_bytes();
    info.extend_from_slice(path.as_os_str().as_encoded_bytes());
    info.push(0);
    call().args(["update-index", "-z", "--index-info"]).input(info).succeed()?;
    let call = call().arg("write-tree");
    TreeId::printed(&call.succeed()?, &call)
}
