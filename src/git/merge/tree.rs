//! The tree that a merge of two commits comes to: `git merge-tree --write-tree`, made to answer as `git merge` does
//! in a clean checkout of the first. Merges that can have one answer only are computed without it (`plain`).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::attributes::attributes_folder;
use super::plain::merge_plainly;
use super::tree_id::TreeId;
use crate::git::printed::merged_tree;
use crate::git::program::{Call, Place};
use crate::git::{CommitId, GitError, Repo};

/// What merging two commits came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeMerge {
    /// Every file could be merged.
    Clean(TreeId),
    /// These could not.
    Conflict(Vec<PathBuf>),
}

/// The version of git from which on `git merge` goes by `diff.algorithm`, and `git merge-tree` does not.
const ALGORITHM_SINCE: (u32, u32) = (2, 46);

/// Merges `theirs` into `ours`. `scratch` is an existing folder of the caller's own, for files that only last as long
/// as this.
pub fn merge_trees(
    repo: &Repo,
    scratch: &Path,
    ours: &CommitId,
    theirs: &CommitId,
) -> Result<TreeMerge, GitError> {
    let settings = repo.settings()?;
    if let Some(other) =
        settings.text("pull.twohead").filter(|name| !matches!(name.as_str(), "ort" | "recursive"))
    {
        return Err(GitError::MergeStrategyUnknown { name: other });
    }
    if let Some(tree) = merge_plainly(repo, ours, theirs)? {
        return Ok(TreeMerge::Clean(tree));
    }
    let top = attributes_folder(repo, scratch, ours)?;
    let place = Place::Tree { admin: repo.common_dir(), top: &top };
    let mut call = Call::write(repo.program(), place).synced().args([
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
    ]);
    if let Some(algorithm) = settings.text("diff.algorithm")
        && version(repo)? >= ALGORITHM_SINCE
    {
        call = call.arg(format!("-Xdiff-algorithm={algorithm}"));
    }
    let call = call.args([ours.as_str(), theirs.as_str()]);
    let answer = call.run()?;
    let code = answer.code();
    match (code, answer.into_stdout_of(&[0, 1])) {
        (_, Ok(out)) => {
            let (tree, files) = merged_tree(&out);
            let tree = TreeId::printed(tree, &call)?;
            if code == Some(0) {
                return Ok(TreeMerge::Clean(tree));
            }
            let files = files.map(|path| plain(path, &[ours, theirs]));
            Ok(TreeMerge::Conflict(files.collect::<BTreeSet<_>>().into_iter().collect()))
        }
        (_, Err(GitError::ProgramFailed { stderr, .. })) if stderr.contains("unrelated histories") => {
            Err(GitError::UnrelatedHistories { one: ours.clone(), other: theirs.clone() })
        }
        (_, Err(error)) => Err(error),
    }
}

/// The path without what git puts behind it where a file and a folder, or a link, have the same name.
fn plain(path: &[u8], sides: &[&CommitId]) -> PathBuf {
    let suffixed = |side: &&CommitId| path.strip_suffix(format!("~{side}").as_bytes());
    OsStr::from_bytes(sides.iter().find_map(suffixed).unwrap_or(path)).into()
}

/// The tree of a commit.
pub fn tree_of(repo: &Repo, commit: &CommitId) -> Result<TreeId, GitError> {
    let call =
        repo.fetching().args(["rev-parse", "--verify", "--end-of-options"]).arg(format!("{commit}^{{tree}}"));
    TreeId::printed(&call.succeed()?, &call)
}

fn version(repo: &Repo) -> Result<(u32, u32), GitError> {
    let text = repo.program().version()?;
    let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
    Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}
