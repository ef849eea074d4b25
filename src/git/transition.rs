//! Moving the files of a worktree from one commit to another, with its index and without any reference.
//!
//! git itself moves them, and refuses where a changed file would be overwritten; what it would overwrite, because it is
//! ignored, is looked for first. A move that was cut short leaves files of both commits. Each of those can be told from
//! someone's work by its content: only where every file is explained by one of the two commits is the rest of the move,
//! or the way back, made.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::program::{AtATime, Call, Place, STDOUT_LIMIT};
use super::repo::Repo;
use super::{CommitId, GitError, Worktree};
use crate::durable::{self, HeldLock, open_no_follow};

/// A worktree, the commit that its files are of, and the commit that they are to be of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transition<'a> {
    pub(super) repo: &'a Repo,
    pub(super) worktree: &'a Worktree,
    pub(super) from: &'a CommitId,
    pub(super) to: &'a CommitId,
}

/// How a path differs between the two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Deleted,
    Changed,
}

impl<'a> Transition<'a> {
    /// Moves the files. The worktree must be clean; whoever asks holds `held`, and git with it until it has ended.
    pub(super) fn make(&self, held: &HeldLock) -> Result<(), GitError> {
        // Files that were touched and not changed would count as changed.
        self.call(held, self.from)?.args(["update-index", "-q", "--refresh"]).run()?;
        self.call(held, self.to)?
            .writing(self.at_a_time(self.to)?)
            .args(["read-tree", "-m", "-u", "--no-recurse-submodules"])
            .args([self.from.as_str(), self.to.as_str()])
            .succeed()
            .map(drop)
    }

    /// Sets files and index to `target` after a move was cut short. Nothing may be in the worktree that
    /// [`Self::unexplained`] finds.
    pub(super) fn set_right(&self, target: &CommitId, held: &HeldLock) -> Result<(), GitError> {
        // Whoever made it held the lane, and has ended.
        let lock = self.worktree.admin_dir.join("index.lock");
        durable::remove(&lock)?;
        let reset = |commit: &CommitId| {
            let call = self.call(held, commit)?.writing(self.at_a_time(commit)?);
            let call = call.args(["read-tree", "--reset", "-u"]);
            call.args(["--no-recurse-submodules", commit.as_str()]).succeed().map(drop)
        };
        // Only files that the index names are taken away: those of the other commit.
        let (other, near) = if target == self.to { (self.from, self.to) } else { (self.to, self.from) };
        self.call(held, other)?.args(["read-tree", other.as_str()]).succeed()?;
        self.call(held, other)?.args(["update-index", "-q", "--refresh"]).run()?;
        reset(near)?;
        if target == near { Ok(()) } else { reset(target) }
    }

    /// Whether something that git does not track, ignored files included, stands where the second commit has a file.
    pub(super) fn is_blocked(&self) -> Result<bool, GitError> {
        let changes = self.changes()?;
        for (path, _) in changes.iter().filter(|(_, change)| **change == Change::Added) {
            if self.blocks(path, &changes)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn blocks(&self, path: &Path, changes: &HashMap<PathBuf, Change>) -> Result<bool, GitError> {
        let mut above: Vec<&Path> = path.ancestors().filter(|part| !part.as_os_str().is_empty()).collect();
        above.reverse();
        for part in above {
            let place = self.worktree.path.join(part);
            let meta = match place.symlink_metadata() {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(GitError::io("look at", &place, e)),
            };
            if meta.is_dir() && part != path {
                continue;
            }
            if meta.is_dir() {
                return self.holds_untracked(part);
            }
            // A file that makes room for a folder is the first commit's.
            return Ok(changes.get(part) != Some(&Change::Deleted));
        }
        Ok(false)
    }

    fn holds_untracked(&self, folder: &Path) -> Result<bool, GitError> {
        let mut found = false;
        let call = Call::read(self.repo.program(), self.place());
        call.args(["--literal-pathspecs", "ls-files", "--others", "-z", "--"])
            .arg(folder)
            .for_each_record(&mut |_| found = true)?;
        Ok(found)
    }

    /// A file, or the index, that neither commit explains: someone's work since the move was cut short.
    pub(super) fn unexplained(&self) -> Result<Option<PathBuf>, GitError> {
        if !self.index_is_of(self.from)? && !self.index_is_of(self.to)? {
            return Ok(Some(PathBuf::from("the index")));
        }
        let changes = self.changes()?;
        let (not_from, not_to) = (self.differing(self.from)?, self.differing(self.to)?);
        for path in changes.keys().chain(not_to.iter().filter(|path| !changes.contains_key(*path))) {
            let is_froms = || !not_from.contains(path);
            let is_tos = || !not_to.contains(path);
            let explained = match changes.get(path) {
                Some(Change::Deleted) => is_froms(),
                Some(Change::Added) => is_tos(),
                Some(Change::Changed) => is_froms() || is_tos(),
                None => false,
            };
            if !explained && self.holds_work(path, changes.get(path).copied())? {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// Whether there is content at `path` that git was not just writing there.
    fn holds_work(&self, path: &Path, change: Option<Change>) -> Result<bool, GitError> {
        let place = self.worktree.path.join(path);
        let meta = match place.symlink_metadata() {
            Ok(meta) => meta,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(e) => return Err(GitError::io("look at", &place, e)),
        };
        if !meta.is_file()
            || meta.len() > STDOUT_LIMIT as u64
            || !matches!(change, Some(Change::Added | Change::Changed))
        {
            return Ok(true);
        }
        let mut content = Vec::new();
        open_no_follow(&place)
            .and_then(|file| file.take(meta.len()).read_to_end(&mut content))
            .map_err(|e| GitError::io("read", &place, e))?;
        if content.is_empty() {
            return Ok(false);
        }
        let mut object = OsString::from(format!("{}:", self.to));
        object.push(path);
        let mut call = self.repo.fetching().args(["cat-file", "--filters"]).arg(object);
        for (key, value) in self.repo.filters_off_but_for(self.to, &self.worktree.path)? {
            call = call.setting(key, value);
        }
        Ok(!call.succeed()?.starts_with(&content))
    }

    fn index_is_of(&self, commit: &CommitId) -> Result<bool, GitError> {
        let call = Call::read(self.repo.program(), self.place());
        let answer = call.args(["diff-index", "--cached", "--quiet", commit.as_str(), "--"]).run()?;
        match answer.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(answer.failure()),
        }
    }

    /// The paths of `commit` whose files are not as it has them.
    fn differing(&self, commit: &CommitId) -> Result<HashSet<PathBuf>, GitError> {
        let index = self.worktree.admin_dir.join(format!("ralph-index-{}", uuid::Uuid::now_v7().simple()));
        let program = self.repo.program().clone().with_env("GIT_INDEX_FILE", &index);
        let compare = || {
            Call::write(&program, self.place()).args(["read-tree", commit.as_str()]).succeed()?;
            let mut call = Call::write(&program, self.place());
            for (key, value) in self.repo.filters_off_but_for(commit, &self.worktree.path)? {
                call = call.setting(key, value);
            }
            let mut paths = HashSet::new();
            call.args(["diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "--no-renames"])
                .arg("--ignore-submodules=all")
                .for_each_record(&mut |path| {
                    paths.insert(path_of(path));
                })?;
            Ok(paths)
        };
        let compared = compare();
        // Best effort: no one takes an index of this name for anything.
        drop(fs::remove_file(&index));
        compared
    }

    /// Every path that differs between the two commits.
    fn changes(&self) -> Result<HashMap<PathBuf, Change>, GitError> {
        let mut changes = HashMap::new();
        let mut change = None;
        let call = self.repo.fetching().args(["diff-tree", "-r", "-z", "--no-renames", "--name-status"]);
        call.args([self.from.as_str(), self.to.as_str()]).for_each_record(
            &mut |record| match change.take() {
                None => {
                    change = Some(match record {
                        b"A" => Change::Added,
                        b"D" => Change::Deleted,
                        _ => Change::Changed,
                    });
                }
                Some(change) => drop(changes.insert(path_of(record), change)),
            },
        )?;
        Ok(changes)
    }

    fn at_a_time(&self, commit: &CommitId) -> Result<AtATime, GitError> {
        self.repo.files_at_a_time(commit, (&self.worktree.admin_dir, &self.worktree.path))
    }

    fn place(&self) -> Place<'a> {
        Place::Tree { admin: &self.worktree.admin_dir, top: &self.worktree.path }
    }

    /// A call that writes files as `commit` has them.
    fn call(&self, held: &'a HeldLock, commit: &CommitId) -> Result<Call<'a>, GitError> {
        let mut call = Call::write(self.repo.program(), self.place()).holding(held);
        for (key, value) in self.repo.filters_off_but_for(commit, &self.worktree.path)? {
            call = call.setting(key, value);
        }
        Ok(call)
    }
}

fn path_of(record: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(record.to_vec()))
}
