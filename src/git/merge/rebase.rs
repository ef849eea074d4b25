//! `git rebase` in a worktree without files: a git directory of our own that shares the repository's objects, and an
//! index whose every file is left out of the (empty) working tree. Nothing of it is registered, so no branch is taken
//! and no one sees it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::attributes::refuse_relative_drivers;
use super::plain::merge_plainly;
use crate::durable;
use crate::git::program::{Call, Place};
use crate::git::{CommitId, GitError, Repo};

/// What a rebase came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// The last of the new commits; the one they were put on, if none was left over.
    Clean(CommitId),
    /// One of them could not be put there.
    Conflict {
        /// Which.
        commit: Option<CommitId>,
        /// The files in conflict.
        files: Vec<PathBuf>,
    },
}

/// Puts the commits of `tip` that `onto` lacks on top of it. `scratch` as for [`merge_trees`](super::merge_trees).
pub fn rebase(repo: &Repo, scratch: &Path, onto: &CommitId, tip: &CommitId) -> Result<Rebased, GitError> {
    match refuse_relative_drivers(repo, &[onto, tip]) {
        // Where no file was touched by both, no driver is asked.
        Err(GitError::RelativeDriver { .. }) if merge_plainly(repo, onto, tip)?.is_some() => {}
        checked => checked?,
    }
    let bench = Bench::make(repo, scratch, tip)?;
    bench.call().args(["read-tree", "-m", "-u", tip.as_str()]).succeed()?;
    let answer = bench
        .call()
        // Every one of these would have other branches, or files, changed as well.
        .setting("rebase.updateRefs", "false")
        .setting("rebase.autoStash", "false")
        .args(["rebase", "--merge", "--quiet", "--no-stat", "--no-autostash", onto.as_str()])
        .run()?;
    match answer.into_stdout() {
        Ok(_) => Ok(Rebased::Clean(bench.head()?)),
        Err(GitError::ProgramFailed { command, status, stderr }) => {
            let files = bench.unmerged()?;
            if files.is_empty() {
                return Err(GitError::ProgramFailed { command, status, stderr });
            }
            Ok(Rebased::Conflict { commit: bench.stopped_at(), files })
        }
        Err(error) => Err(error),
    }
}

struct Bench<'r> {
    repo: &'r Repo,
    admin: PathBuf,
    top: PathBuf,
}

impl<'r> Bench<'r> {
    fn make(repo: &'r Repo, scratch: &Path, tip: &CommitId) -> Result<Self, GitError> {
        let bench = Self { repo, admin: scratch.join("bench"), top: scratch.join("bench-files") };
        for folder in [&bench.admin, &bench.top] {
            durable::remove_all(folder)?;
            fs::create_dir(folder).map_err(|e| GitError::io("create", folder, e))?;
        }
        let info = bench.admin.join("info");
        fs::create_dir(&info).map_err(|e| GitError::io("create", &info, e))?;
        let common = repo.common_dir().to_str().unwrap_or_default();
        for (name, text) in [
            ("commondir", common),
            ("HEAD", tip.as_str()),
            // Attributes are read from files: these alone are there.
            ("info/sparse-checkout", ".gitattributes"),
        ] {
            let file = bench.admin.join(name);
            fs::write(&file, format!("{text}\n")).map_err(|e| GitError::io("write", &file, e))?;
        }
        Ok(bench)
    }

    fn call(&self) -> Call<'_> {
        let place = Place::Tree { admin: &self.admin, top: &self.top };
        Call::write(self.repo.program(), place)
            .synced()
            .setting("core.sparseCheckout", "true")
            .setting("core.sparseCheckoutCone", "false")
            .setting("index.sparse", "false")
            .setting("core.splitIndex", "false")
    }

    fn head(&self) -> Result<CommitId, GitError> {
        let call = self.call().args(["rev-parse", "--verify", "HEAD"]);
        String::from_utf8_lossy(&call.succeed()?).trim().parse().map_err(|_| call.unclear())
    }

    fn unmerged(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut files: Vec<PathBuf> = Vec::new();
        self.call().args(["diff", "--name-only", "--diff-filter=U", "-z"]).for_each_record(&mut |path| {
            // As git calls it where a file and a folder, or a link, have the same name.
            files.push(OsStr::from_bytes(path.strip_suffix(b"~HEAD").unwrap_or(path)).into());
        })?;
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }

    /// The commit that could not be put on top.
    fn stopped_at(&self) -> Option<CommitId> {
        fs::read_to_string(self.admin.join("REBASE_HEAD")).ok()?.trim().parse().ok()
    }
}
