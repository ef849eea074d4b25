//! Telling a worktree in which nothing is changed without asking git, which takes a process. Only a worktree in which
//! everything is exactly as its index says, and the index as the commit, passes for one; git is asked about any other.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, Repository};

use super::CommitId;
use super::registry::Entry;
use super::repo::{Backend, Repo};

/// With more files, git is as fast.
const MOST_FILES: usize = 2_000;
/// Of so many at most: a larger index is not even read.
const LARGEST_INDEX: u64 = 256 << 10;

/// Flags of an entry that git does not simply compare: assumed valid, extended (skipped, only intended), of a conflict.
const SPECIAL_FLAGS: u16 = 0xF000;

/// Whether nothing is changed, staged or untracked in the worktree, whose commit is `head`. "No" may mean that it cannot
/// be told here.
pub(super) fn is_surely_clean(repo: &Repo, entry: &Entry, head: &CommitId, ignore: &[PathBuf]) -> bool {
    let Backend::Libgit2(libgit2) = repo.backend() else { return false };
    let file = entry.admin.join("index");
    // An agent may have put anything in its place, and a named pipe would never be read to its end.
    let Ok(of_index) = file.symlink_metadata() else { return false };
    if !of_index.is_file() || of_index.len() > LARGEST_INDEX {
        return false;
    }
    // A split or a sparse one is git's alone to read.
    let Ok(index) = Index::open(&file) else { return false };
    index.len() <= MOST_FILES
        && index.iter().all(|item| is_as_written(&entry.tree, &item, &of_index))
        && is_of_commit(libgit2, &index, head)
        && holds_nothing_else(&entry.tree, &index, ignore)
}

/// Whether a file is the very one that git wrote or read when it wrote the index, and had not been changed in the same
/// moment.
fn is_as_written(top: &Path, item: &IndexEntry, of_index: &fs::Metadata) -> bool {
    let Ok(meta) = top.join(OsStr::from_bytes(&item.path)).symlink_metadata() else { return false };
    let is_kind = match item.mode {
        0o100_644 => meta.is_file() && meta.mode() & 0o100 == 0,
        0o100_755 => meta.is_file() && meta.mode() & 0o100 != 0,
        0o120_000 => meta.is_symlink(),
        _ => false,
    };
    let time = |seconds: i64, nanoseconds: i64| (seconds, nanoseconds);
    let of_item = |at: git2::IndexTime| time(i64::from(at.seconds()), i64::from(at.nanoseconds()));
    let modified = time(meta.mtime(), meta.mtime_nsec());
    is_kind
        && item.flags & SPECIAL_FLAGS == 0
        && of_item(item.mtime) == modified
        && of_item(item.ctime) == time(meta.ctime(), meta.ctime_nsec())
        && u64::from(item.file_size) == meta.len()
        && u64::from(item.ino) == meta.ino() & u64::from(u32::MAX)
        && (item.uid, item.gid) == (meta.uid(), meta.gid())
        && modified < time(of_index.mtime(), of_index.mtime_nsec())
}

fn is_of_commit(repo: &Repository, index: &Index, head: &CommitId) -> bool {
    let tree =
        head.oid().ok().and_then(|oid| repo.find_commit(oid).ok()).and_then(|commit| commit.tree().ok());
    let Some(tree) = tree else { return false };
    repo.diff_tree_to_index(Some(&tree), Some(index), None).is_ok_and(|diff| diff.deltas().len() == 0)
}

/// Whether there is nothing in the worktree that the index does not know, but for what never counts.
fn holds_nothing_else(top: &Path, index: &Index, ignore: &[PathBuf]) -> bool {
    let mut known: HashSet<Vec<u8>> = HashSet::new();
    let mut folders: Vec<Vec<u8>> = vec![Vec::new()];
    for item in index.iter() {
        for (at, _) in item.path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if let Some(folder) = item.path.get(..at).filter(|folder| !known.contains(*folder)) {
                known.insert(folder.to_owned());
                folders.push(folder.to_owned());
            }
        }
        known.insert(item.path);
    }
    let counts = |path: &[u8]| {
        let path = Path::new(OsStr::from_bytes(path));
        path != Path::new(".git")
            && path != Path::new(".ralph")
            && !ignore.iter().any(|ignored| path.starts_with(ignored))
    };
    folders.iter().all(|folder| {
        let path = top.join(OsStr::from_bytes(folder));
        // One that a link leads to is none that git sees, although its files may be the very ones.
        if !path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            return false;
        }
        let Ok(listing) = fs::read_dir(path) else { return false };
        listing.into_iter().all(|item| {
            let Ok(item) = item else { return false };
            let name = item.file_name();
            let path = match folder.is_empty() {
                true => name.as_bytes().to_vec(),
                false => [folder, name.as_bytes()].join(&b'/'),
            };
            known.contains(&path) || !counts(&path)
        })
    })
}
