//! Which files two commits differ in, and which files of a worktree hold something that no commit has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::follower::WorkTree;
use crate::git::printed::{FileKind, RawChange, RawDiff, RawSide, Status, Tagged};
use crate::git::{CommitId, GitError, Repo};

/// What one side has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) mode: String,
    pub(super) object: String,
}

impl Side {
    /// Whether it is a file of its own, and no link or submodule.
    pub(super) fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }

    pub(super) fn is_submodule(&self) -> bool {
        self.mode == "160000"
    }
}

/// A path in which two commits differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) old: Option<Side>,
    pub(super) new: Option<Side>,
}

/// The paths in which two commits differ; a renamed file is two.
pub(super) fn touched(
    repo: &Repo,
    old: &CommitId,
    new: &CommitId,
) -> Result<BTreeMap<PathBuf, Touch>, GitError> {
    let call = repo
        .fetching()
        .args(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff"])
        .args([old.as_str(), new.as_str()]);
    let mut found = BTreeMap::new();
    let mut diff = RawDiff::default();
    call.for_each_record(&mut |record| {
        if let Some((change, path)) = diff.take(record) {
            found.insert(os_path(path), Touch::from(change));
        }
    })?;
    if diff.is_clear() { Ok(found) } else { Err(call.unclear()) }
}

impl From<RawChange> for Touch {
    fn from(change: RawChange) -> Self {
        let side = |RawSide { mode, object }: RawSide| (mode != "000000").then_some(Side { mode, object });
        Self { old: side(change.old), new: side(change.new) }
    }
}

/// How a tracked file of a worktree differs from the commit that is checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dirty {
    /// Only the file itself was edited.
    Edited,
    /// Anything else: staged, deleted, in conflict, of another kind.
    Otherwise,
}

/// The tracked files of a worktree that hold, or may hold, what no commit has. Changes nothing.
pub(super) fn dirty(
    repo: &Repo,
    tree: WorkTree<'_>,
    commit: &CommitId,
) -> Result<BTreeMap<PathBuf, Dirty>, GitError> {
    let mut call = tree.read(repo).args([
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=no",
        "--ignore-submodules=dirty",
        "--no-renames",
    ]);
    for (key, value) in repo.filters_off_but_for(commit, tree.path)? {
        call = call.setting(key, value);
    }
    let mut found = BTreeMap::new();
    call.for_each_record(&mut |record| {
        let Some(status) = Status::of(record) else { return };
        let dirty = match status.kind {
            FileKind::Edited => Dirty::Edited,
            FileKind::Changed | FileKind::Unmerged => Dirty::Otherwise,
            FileKind::Untracked | FileKind::Ignored => return,
        };
        found.insert(os_path(status.path), dirty);
    })?;
    Ok(found)
}

/// The files among `touched` that git was told not to look at, and that are there all the same.
pub(super) fn hidden(
    repo: &Repo,
    tree: WorkTree<'_>,
    touched: &BTreeMap<PathBuf, Touch>,
) -> Result<BTreeSet<PathBuf>, GitError> {
    let mut found = told_not_to_look(repo, tree)?;
    found.retain(|path| touched.contains_key(path) && tree.path.join(path).symlink_metadata().is_ok());
    Ok(found)
}

/// The files that git was told not to look at: by a sparse checkout, for one, which has them not.
pub(super) fn told_not_to_look(repo: &Repo, tree: WorkTree<'_>) -> Result<BTreeSet<PathBuf>, GitError> {
    let mut found = BTreeSet::new();
    tree.read(repo).args(["ls-files", "-v", "-z"]).for_each_record(&mut |record| {
        if let Some(file) = Tagged::of(record).filter(Tagged::is_hidden) {
            found.insert(os_path(file.path));
        }
    })?;
    Ok(found)
}

/// What stands in `top` where the new commit brings a file, and no commit has it: new and ignored files.
pub(super) fn standing_in_the_way(
    top: &Path,
    touched: &BTreeMap<PathBuf, Touch>,
) -> Result<BTreeSet<PathBuf>, GitError> {
    let mut found = BTreeSet::new();
    let goes = |path: &Path| touched.get(path).is_some_and(|touch| touch.old.is_some());
    for (path, touch) in touched.iter().filter(|(_, touch)| touch.old.is_none()) {
        // Something that is no folder where one has to be.
        let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        for above in above.filter(|above| !goes(above)) {
            if kind(&top.join(above))?.is_some_and(|kind| !kind.is_dir()) {
                found.insert(above.to_owned());
            }
        }
        match kind(&top.join(path))? {
            None => {}
            // A submodule's folder may be there already; git leaves what is in it alone.
            Some(kind) if kind.is_dir() && touch.new.as_ref().is_some_and(Side::is_submodule) => {}
            Some(kind) if kind.is_dir() => {
                let files = walkdir::WalkDir::new(top.join(path)).min_depth(1);
                for entry in files {
                    let entry = entry.map_err(|e| crate::git::reach::walk_error(top, e))?;
                    let inside = entry.path().strip_prefix(top).unwrap_or(entry.path());
                    if !entry.file_type().is_dir() && !goes(inside) {
                        found.insert(inside.to_owned());
                        break;
                    }
                }
            }
            Some(_) => drop(found.insert(path.clone())),
        }
    }
    Ok(found)
}

fn kind(path: &Path) -> Result<Option<fs::FileType>, GitError> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(Some(meta.file_type())),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(GitError::io("look at", path, e)),
    }
}

/// The content of an object.
pub(super) fn content(repo: &Repo, side: &Side) -> Result<Vec<u8>, GitError> {
    repo.fetching().args(["cat-file", "blob", &side.object]).succeed()
}

fn os_path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}
