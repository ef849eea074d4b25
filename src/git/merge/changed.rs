//! Who changed a file last on one side of a merge, and which files a branch has changed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::land::contains;
use crate::git::{CommitId, GitError, Repo};

/// A commit of a branch, as the branch went on: what it merged is a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub commit: CommitId,
    /// The first line of its message, as it is.
    pub subject: String,
    /// The last paragraph of its message, as it is: its trailers, if it has any.
    pub trailers: String,
}

/// No more files are looked at, nor named.
const MOST_FILES: usize = 10_000;

/// The last commit on the way of `ours` that `theirs` does not have and that changed `file`.
pub fn last_change(
    repo: &Repo,
    ours: &CommitId,
    theirs: &CommitId,
    file: &Path,
) -> Result<Option<Change>, GitError> {
    let call = repo
        .read()
        .setting("log.showSignature", "false")
        .args(["--literal-pathspecs", "log", "-1", "--first-parent", "--diff-merges=first-parent"])
        .args(["--no-color", "--no-patch", "--format=%H%x00%s%x00%(trailers:only,unfold)"])
        // With `--not`, git would leave a merge out whose second parent has the file as it is.
        .args([ours.as_str(), "--"])
        .arg(file);
    let out = call.succeed()?;
    let text = String::from_utf8_lossy(&out);
    let mut fields = text.splitn(3, '\0');
    let (Some(commit), Some(subject), Some(trailers)) = (fields.next(), fields.next(), fields.next()) else {
        return Ok(None);
    };
    let commit = commit.parse().map_err(|_| call.unclear())?;
    if contains(repo, theirs, &commit)? {
        return Ok(None);
    }
    Ok(Some(Change { commit, subject: subject.to_owned(), trailers: trailers.trim().to_owned() }))
}

/// The files that `tip` has changed since it left `base`, a renamed file under both names, at most ten thousand.
pub fn touched_files(repo: &Repo, base: &CommitId, tip: &CommitId) -> Result<BTreeSet<PathBuf>, GitError> {
    let mut files = BTreeSet::new();
    repo.read()
        .args(["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"])
        .args(["--ignore-submodules=none", "--merge-base", base.as_str(), tip.as_str(), "--"])
        .for_each_record(&mut |path| {
            if files.len() < MOST_FILES {
                files.insert(OsStr::from_bytes(path).into());
            }
        })?;
    Ok(files)
}
