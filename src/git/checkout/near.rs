//! The checkout that most files of a commit can be copied from: the main one where that has the commit checked out,
//! else a worktree of the same commit that was written a while ago, else the main one all the same.
//!
//! Which worktree that is stands in a note in the store, one a commit. A note is a hint and nothing more: what is copied
//! is what its hash says, so that it may be out of date, or lead anywhere.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::durable;
use crate::git::registry::{Head, head_of};
use crate::git::{CommitId, Repo};

/// The folder of the notes.
const FOLDER: &str = "checkouts";
/// So many notes are kept.
const MOST: usize = 16;
const LONGEST: u64 = 4096;

/// Where to copy from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Near {
    /// The main checkout has exactly this commit.
    Main(PathBuf),
    /// What is likely to have most of it.
    Some(PathBuf),
    /// Nothing is known.
    Nothing,
}

impl Near {
    /// Where it is.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Main(path) | Self::Some(path) => Some(path),
            Self::Nothing => None,
        }
    }
}

/// Looks for it. What cannot be read is not copied from.
pub(super) fn near(repo: &Repo, commit: &CommitId) -> Near {
    let main = repo.main_checkout().map(Path::to_owned);
    if let Some(main) = &main
        && main_has(repo, commit)
    {
        return Near::Main(main.clone());
    }
    let noted = durable::read(&note(repo, commit), LONGEST).ok().flatten();
    let noted = noted.map(|path| PathBuf::from(OsStr::from_bytes(&path))).filter(|path| path.is_dir());
    noted.or(main).map_or(Near::Nothing, Near::Some)
}

fn main_has(repo: &Repo, commit: &CommitId) -> bool {
    let checked_out = match head_of(repo.common_dir()) {
        Ok(Some(Head::Branch(name))) => repo.commit_of(&format!("refs/heads/{name}")).ok().flatten(),
        Ok(Some(Head::Detached(commit))) => Some(commit),
        Ok(Some(Head::Unclear) | None) | Err(_) => None,
    };
    checked_out.as_ref() == Some(commit)
}

/// Notes that the commit's files are being written to this worktree. Best effort: without it they are unpacked again.
pub(super) fn remember(repo: &Repo, commit: &CommitId, worktree: &Path) {
    let note = note(repo, commit);
    let Some(folder) = note.parent() else { return };
    if durable::create_private_dir(folder).is_ok()
        && std::fs::write(&note, worktree.as_os_str().as_bytes()).is_ok()
    {
        forget_old(folder);
    }
}

fn forget_old(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut notes: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| entry.ok().and_then(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))))
        .collect();
    notes.sort();
    for (_, old) in notes.iter().take(notes.len().saturating_sub(MOST)) {
        // Best effort: the next one tries again.
        drop(std::fs::remove_file(old));
    }
}

fn note(repo: &Repo, commit: &CommitId) -> PathBuf {
    repo.store_dir().join(FOLDER).join(commit.as_str())
}
