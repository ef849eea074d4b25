//! The trash: a worktree goes there whole and comes back whole.
//!
//! Its folder moves to `.trash/<id>/tree` on its own file system, its administrative directory (index, HEAD, reflogs,
//! an open merge) to a shelf in the store, and both keep every byte. Nothing is copied and nothing is deleted. The
//! link between the two is taken out of the folder meanwhile, so that another worktree that gets the same name is not
//! mistaken for it.
//!
//! Every step looks whether it was taken already: whoever wrote the parcel down first can be killed anywhere, and
//! finish the way there ([`take_away`]) or the way back ([`bring_back`]) afterwards.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::create::{rename_new, write_new};
use super::elsewhere::use_elsewhere;
use super::hold::is_ours;
use super::keep::keep;
use super::parcel::{BranchFate, Parcel, TrashId};
use super::refs::there;
use super::registry;
use super::repo::{Repo, RepoLock};
use super::standing::{Folder, Standing, folder_of};
use super::unsaved::branch_log;
use super::worktree::{is_empty, settled};
use super::{BranchStanding, GitError, Site};
use crate::{durable, failpoint};

/// The folder, in the root of the worktrees, that holds removed ones.
pub const TRASH_FOLDER: &str = ".trash";

/// What came of the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchLeft {
    /// It is there.
    Kept,
    /// It is gone.
    Deleted,
}

/// Decides where everything of a lane goes. Changes nothing. `root` is the folder for new worktrees.
pub fn pack(
    site: &Site,
    standing: Option<&Standing>,
    branch: &BranchStanding,
    fate: BranchFate,
    root: &Path,
) -> Result<Parcel, GitError> {
    let id = TrashId::generate();
    let path = standing.map_or_else(|| settled(&site.path), |standing| standing.path.clone());
    let held = match standing.map(|standing| standing.folder) {
        Some(Folder::There(_)) => Some(trash_folder(&path, root)?.join(id.to_string())),
        Some(Folder::Missing) | None => None,
    };
    for path in [Some(&path), held.as_ref()].into_iter().flatten() {
        if path.to_str().is_none() {
            return Err(GitError::NotUtf8 { path: path.clone() });
        }
    }
    Ok(Parcel {
        id,
        worktree_id: standing.map(|standing| standing.id.clone()),
        path,
        held,
        branch: site.branch.clone(),
        tip: branch.tip().cloned(),
        fate,
        head_commit: standing.and_then(|standing| standing.head_commit.clone()),
    })
}

/// The trash for a worktree: in the root of the worktrees, or beside the worktree where that is on another file
/// system.
fn trash_folder(path: &Path, root: &Path) -> Result<PathBuf, GitError> {
    let device = |path: &Path| path.metadata().map(|meta| meta.dev());
    let tree = device(path).map_err(|e| GitError::io("look at", path, e))?;
    if device(root).is_ok_and(|root| root == tree)
        && let Ok(root) = root.canonicalize()
    {
        return Ok(root.join(TRASH_FOLDER));
    }
    Ok(path.with_file_name(TRASH_FOLDER))
}

/// Pins what the parcel leads to, so that no `git gc` collects it while it is in the trash.
pub fn pin_parcel(
    repo: &Repo,
    lock: &RepoLock,
    parcel: &Parcel,
    standing: Option<&Standing>,
    now: Timestamp,
) -> Result<(), GitError> {
    keep(repo, lock, parcel, standing, now)
}

/// Moves everything of the parcel into the trash, the registration onto `shelf`. What is there already stays there.
pub fn take_away(
    repo: &Repo,
    _lock: &RepoLock,
    parcel: &Parcel,
    shelf: &Path,
) -> Result<BranchLeft, GitError> {
    let held = held_of(parcel)?;
    if let Some(held) = held {
        make_held_folder(held)?;
    }
    failpoint::hit("trash.ready");
    unregister(repo, parcel, shelf)?;
    failpoint::hit("trash.unregistered");
    match held {
        Some(held) => {
            move_tree(repo, parcel, held)?;
            failpoint::hit("trash.moved");
            unlink(held)?;
            failpoint::hit("trash.unlinked");
        }
        // Best effort: an empty folder is all that may be there, and it is in no one's way.
        None => drop(fs::remove_dir(&parcel.path)),
    }
    let left = delete_branch(repo, parcel, shelf)?;
    failpoint::hit("trash.branch");
    Ok(left)
}

/// Whether anything of the parcel has gone from where it was.
pub fn has_left(repo: &Repo, parcel: &Parcel, shelf: &Path) -> Result<bool, GitError> {
    let moved = there(&shelf.join("admin"))?
        || held_of(parcel)?.map_or(Ok(false), |held| there(&held.join("tree")))?;
    let deleted = || -> Result<bool, GitError> {
        let goes = parcel.fate == BranchFate::Delete && parcel.tip.is_some();
        Ok(goes && repo.commit_of(&parcel.branch.full())?.is_none())
    };
    Ok(moved || deleted()?)
}

fn make_held_folder(held: &Path) -> Result<(), GitError> {
    let trash = held.parent().unwrap_or(held);
    durable::create_private_dir(trash)?;
    let meta = trash.symlink_metadata().map_err(|e| GitError::io("look at", trash, e))?;
    if meta.is_symlink() {
        return Err(GitError::SymlinkInTheWay { path: trash.to_owned() });
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(GitError::RootNotOurs { path: trash.to_owned(), why: "belongs to another user" });
    }
    // It may lie in a folder that git looks at.
    match write_new(&trash.join(".gitignore"), b"*\n") {
        Err(GitError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    match fs::DirBuilder::new().mode(0o700).create(held) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(GitError::io("create", held, e)),
        _ => Ok(durable::sync_dir(trash)?),
    }
}

fn unregister(repo: &Repo, parcel: &Parcel, shelf: &Path) -> Result<(), GitError> {
    let Some(id) = &parcel.worktree_id else { return Ok(()) };
    let kept = shelf.join("admin");
    if there(&kept)? {
        return Ok(());
    }
    let changed =
        |what: &str| Err(GitError::ChangedMeanwhile { path: parcel.path.clone(), what: what.to_owned() });
    let admin = registry::folder(repo.common_dir()).join(checked(id, parcel)?);
    let Some(entry) = registry::entry(&admin, id.clone())? else {
        return changed("its registration is gone");
    };
    if settled(&entry.tree) != parcel.path {
        return changed("it was moved");
    }
    match (folder_of(repo, &entry)?, &parcel.held) {
        (Folder::There(_), Some(_)) | (Folder::Missing, None) => {}
        (Folder::There(_), None) => return changed("its folder is there again"),
        (Folder::Missing, Some(_)) => return changed("its folder is gone"),
    }
    if let Some(reason) = entry.locked.filter(|reason| !is_ours(reason)) {
        return Err(GitError::LockedByUser { path: entry.tree, reason });
    }
    fs::rename(&admin, &kept).map_err(|e| GitError::io("move the registration to", &kept, e))?;
    durable::sync_dir(shelf)?;
    Ok(durable::sync_dir(&registry::folder(repo.common_dir()))?)
}

fn move_tree(repo: &Repo, parcel: &Parcel, held: &Path) -> Result<(), GitError> {
    let kept = held.join("tree");
    if there(&kept)? {
        return Ok(());
    }
    let link = parcel.path.join(".git");
    if parcel.worktree_id.is_none() || registry::named_by(&link, repo.common_dir()) != parcel.worktree_id {
        let why = "its `.git` leads elsewhere".to_owned();
        return Err(GitError::MovedByHand { path: parcel.path.clone(), why });
    }
    rename_new(&parcel.path, &kept).map_err(|e| GitError::io("move the worktree to", &kept, e))?;
    let meta = kept.symlink_metadata().map_err(|e| GitError::io("look at", &kept, e))?;
    if !meta.is_dir() {
        // Something else was put in its place between the look and the move: it goes back untouched.
        rename_new(&kept, &parcel.path).map_err(|e| GitError::io("move back to", &parcel.path, e))?;
        return Err(GitError::SymlinkInTheWay { path: parcel.path.clone() });
    }
    durable::sync_dir(held)?;
    Ok(parcel.path.parent().map_or(Ok(()), durable::sync_dir)?)
}

/// Takes the link to the registration out of the tree.
fn unlink(held: &Path) -> Result<(), GitError> {
    let (link, aside) = (held.join("tree/.git"), held.join("link"));
    if !there(&link)? || there(&aside)? {
        return Ok(());
    }
    fs::rename(&link, &aside).map_err(|e| GitError::io("move aside", &link, e))?;
    durable::sync_dir(&held.join("tree"))?;
    Ok(durable::sync_dir(held)?)
}

/// Deletes the branch with its reflog, which is kept, if it is still what it was and no one else has come to use it.
fn delete_branch(repo: &Repo, parcel: &Parcel, shelf: &Path) -> Result<BranchLeft, GitError> {
    let (BranchFate::Delete, Some(tip)) = (parcel.fate, &parcel.tip) else {
        return Ok(BranchLeft::Kept);
    };
    let full = parcel.branch.full();
    match repo.commit_of(&full)? {
        None => return Ok(BranchLeft::Deleted),
        Some(now) if now != *tip => return Ok(BranchLeft::Kept),
        Some(_) => {}
    }
    if use_elsewhere(repo, &parcel.branch, registry::Branch::There, None)?.is_some() {
        return Ok(BranchLeft::Kept);
    }
    let kept_log = shelf.join("branch-log");
    if let Some(log) = durable::read(&branch_log(repo, &parcel.branch), 64 << 20)? {
        durable::write(&kept_log, &log)?;
    }
    failpoint::hit("trash.log");
    match repo.delete_ref(&full, tip) {
        Ok(()) => Ok(BranchLeft::Deleted),
        Err(GitError::RefMoved { .. }) => Ok(BranchLeft::Kept),
        Err(e) => Err(e),
    }
}

/// A registration's name as it was written down: never a path.
pub(super) fn checked<'a>(id: &'a str, parcel: &Parcel) -> Result<&'a str, GitError> {
    if id.is_empty() || id.contains('/') || matches!(id, "." | "..") {
        return Err(incomplete(parcel, "its record names no registration"));
    }
    Ok(id)
}

/// The folder that a parcel's tree is in, as it was written down: never one outside a folder of the trash.
pub fn held_of(parcel: &Parcel) -> Result<Option<&Path>, GitError> {
    let Some(held) = &parcel.held else { return Ok(None) };
    let plain = held.is_absolute() && held.components().all(|part| part != Component::ParentDir);
    let in_trash = held.parent().is_some_and(|trash| trash.ends_with(TRASH_FOLDER));
    if plain && in_trash && held.file_name().is_some_and(|name| name == parcel.id.to_string().as_str()) {
        Ok(Some(held))
    } else {
        Err(incomplete(parcel, "its record names no folder of the trash"))
    }
}

pub(super) fn incomplete(parcel: &Parcel, what: &str) -> GitError {
    GitError::TrashIncomplete { path: parcel.path.clone(), what: what.to_owned() }
}

/// Whether a path could take a worktree: nothing is there, or an empty folder.
pub(super) fn is_free(path: &Path) -> Result<bool, GitError> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(meta.is_dir() && is_empty(path)?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(GitError::io("look at", path, e)),
    }
}
