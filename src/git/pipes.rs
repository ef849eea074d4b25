//! What must not be opened: git and libgit2 open what a repository keeps without a look at what it is. A named pipe that an
//! agent put in the place of a file is not open until someone writes into it, and whoever holds a lock meanwhile holds
//! it for ever.
//!
//! Not covered: what becomes a pipe between the look and the opening, and objects, of which there are too many to look at.

use std::fs::{FileType, Metadata};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::GitError;
use super::registry::read_pointer;

/// No reference is nearly so long. libgit2 makes room for all of one before it reads it.
pub(super) const LONGEST_REFERENCE: u64 = 1 << 20;

/// What every opened repository is read from, below the common directory.
const SHARED: [&str; 5] =
    ["packed-refs", "shallow", "info/grafts", "objects/info/alternates", "objects/info/commit-graph"];

/// Refuses a repository that cannot be opened without waiting.
pub(super) fn refuse_in(git_dir: &Path, common: &Path) -> Result<(), GitError> {
    refuse_settings(git_dir, common)?;
    refuse(&git_dir.join("HEAD"))?;
    SHARED.iter().try_for_each(|name| refuse(&common.join(name)))
}

/// The same of the git directory alone, which knows its common directory.
pub(super) fn refuse_below(git_dir: &Path) -> Result<(), GitError> {
    match read_pointer(&git_dir.join("commondir"))? {
        Some(common) => refuse_in(git_dir, &git_dir.join(common)),
        None => refuse_in(git_dir, git_dir),
    }
}

/// Refuses a worktree with this administrative directory, if git cannot work there without waiting.
pub(super) fn refuse_worktree(admin: &Path) -> Result<(), GitError> {
    ["index", "HEAD", "commondir", "config.worktree"].iter().try_for_each(|name| refuse(&admin.join(name)))
}

/// Refuses settings that cannot be read without waiting.
pub(super) fn refuse_settings(git_dir: &Path, common: &Path) -> Result<(), GitError> {
    refuse(&common.join("config"))?;
    refuse(&git_dir.join("config.worktree"))
}

/// Refuses a reference that cannot be looked for without waiting: itself, and those that are packed.
pub(super) fn refuse_reference(git_dir: &Path, common: &Path, full: &str) -> Result<(), GitError> {
    let own = Some(git_dir).filter(|own| *own != common);
    for folder in own.into_iter().chain([common]) {
        let file = folder.join(full);
        if look(&file)?.is_some_and(|meta| meta.is_file() && meta.len() > LONGEST_REFERENCE) {
            return Err(GitError::NoReference { path: file });
        }
    }
    refuse(&common.join("packed-refs"))
}

/// Refuses what else is read and written where a reference is: its history, and that of the HEAD which may follow it.
pub(super) fn refuse_history(git_dir: &Path, common: &Path, full: &str) -> Result<(), GitError> {
    refuse(&common.join("logs").join(full))?;
    refuse(&git_dir.join("HEAD"))?;
    refuse(&git_dir.join("logs/HEAD"))
}

/// Refuses what is there and is neither a file nor a folder, nor a link to one.
pub(super) fn refuse(path: &Path) -> Result<(), GitError> {
    look(path).map(drop)
}

fn look(path: &Path) -> Result<Option<Metadata>, GitError> {
    match path.metadata() {
        Ok(meta) => match kind_of(meta.file_type()) {
            None => Ok(Some(meta)),
            Some(kind) => Err(GitError::WouldWait { path: path.to_owned(), kind }),
        },
        // What cannot be looked at cannot be opened either, and whoever tries says why.
        Err(_) => Ok(None),
    }
}

fn kind_of(kind: FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        None
    }
}
