//! What libgit2 leaves when it is killed while it writes a reference: its lock beside it, which would keep ralph and git from
//! that reference for ever.
//!
//! Before libgit2 locks a reference it is noted in the store which one, and what is to be in it. References are written
//! under the repository's lock only: whoever has that and finds a note knows that its writer is gone, and takes the lock
//! away if it can only be the writer's. One that may be git's stays, and is named where it is in the way.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;

use super::{CommitId, GitError};
use crate::durable::{self, FileError};

const NOTE: &str = "writing-ref";
/// A name and a commit.
const LIMIT: u64 = 8 << 10;
/// libgit2 makes its lock right after the note. One that is much younger is another's.
const SOON: Duration = Duration::from_secs(10);

/// The note that a reference is being written; dropped, it is gone.
#[derive(Debug)]
#[must_use = "the note is gone when this is dropped"]
pub(super) struct Noted(PathBuf);

impl Drop for Noted {
    fn drop(&mut self) {
        // One that stays names a lock that is not there.
        drop(fs::remove_file(&self.0));
    }
}

/// Notes that libgit2 is about to write this reference, or to delete it. Not durably: what the power takes away is more
/// often the lock than the note.
pub(super) fn note(store: &Path, full: &str, commit: Option<&CommitId>) -> Result<Noted, GitError> {
    durable::create_private_dir(store)?;
    let file = store.join(NOTE);
    let text = format!("{full}\n{}\n", commit.map_or("", CommitId::as_str));
    // What is there is a note that no one could settle, or none at all.
    durable::clear(&file)?;
    let write = |file: &Path| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        file.write_all(text.as_bytes())
    };
    write(&file).map_err(|e| GitError::io("write", &file, e))?;
    Ok(Noted(file))
}

/// Takes away the lock that a killed writer left, and its note. The caller holds the repository's lock.
pub(super) fn settle(store: &Path, common: &Path) -> Result<(), GitError> {
    let file = store.join(NOTE);
    let Ok(noted) = file.symlink_metadata() else { return Ok(()) };
    let text = match durable::read(&file, LIMIT) {
        Ok(text) => text.unwrap_or_default(),
        Err(FileError::TooLarge { .. }) => Vec::new(),
        Err(e) if e.is_of_another_kind() => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    if let Some(lock) = left_behind(common, &noted, &String::from_utf8_lossy(&text)) {
        durable::remove(&lock)?;
    }
    durable::clear(&file)?;
    Ok(())
}

/// Whether a killed writer may have left something.
pub(super) fn is_noted(store: &Path) -> bool {
    store.join(NOTE).symlink_metadata().is_ok()
}

/// The lock that the writer of this note left, if it can only be that.
fn left_behind(common: &Path, noted: &fs::Metadata, text: &str) -> Option<PathBuf> {
    let (full, content) = text.split_once('\n')?;
    if !full.starts_with("refs/") || !git2::Reference::is_valid_name(full) {
        return None;
    }
    let lock = common.join(format!("{full}.lock"));
    let made = lock.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
    let after = made.modified().ok()?.duration_since(noted.modified().ok()?).ok()?;
    let found = durable::read(&lock, LIMIT).ok()??;
    let is_ours = made.uid() == geteuid().as_raw() && after <= SOON && content.as_bytes().starts_with(&found);
    is_ours.then_some(lock)
}
