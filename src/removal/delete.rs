//! The only place where anything is deleted: folders of the trash and of the store, after they expired.
//!
//! A folder is deleted below an opened one that is ours and was reached through no symbolic link; links inside are
//! deleted, never followed.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};

use super::record::{TrashRecord, trash_dir};
use super::{Place, REPO_PATIENCE, RemovalError};
use crate::durable::{self, FileError};
use crate::failpoint;
use crate::git::{held_of, let_go};

/// Deletes what a removal put away: tree, pins, registration and record, in this order, so that a part that is left
/// is always found again.
pub(super) fn delete_trash(place: &Place<'_>, record: &TrashRecord) -> Result<(), RemovalError> {
    let id = record.parcel.id.to_string();
    if let Some(trash) = held_of(&record.parcel)?.and_then(Path::parent) {
        delete_folder(trash, &id)?;
    }
    failpoint::hit("expire.tree");
    let lock = place.repo.lock(REPO_PATIENCE)?;
    let_go(place.repo, &lock, &record.parcel.id)?;
    drop(lock);
    failpoint::hit("expire.pins");
    Ok(delete_folder(&trash_dir(place.store), &id)?)
}

/// Deletes the folder `name` in `parent`, with all that is in it. One that is not there is deleted already.
pub(super) fn delete_folder(parent: &Path, name: &str) -> Result<(), FileError> {
    let failed = |source| FileError::io("delete", &parent.join(name), source);
    let Some(opened) = open_own(parent).map_err(failed)? else { return Ok(()) };
    let inside = below(&opened).join(name);
    match inside.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
        Ok(meta) if !meta.is_dir() => return Err(failed(io::Error::other("it is not a folder"))),
        Ok(_) => {}
    }
    match fs::remove_dir_all(&inside) {
        // A folder that its owner may not write in, as a package cache has them.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(&inside).map_err(failed)?;
            fs::remove_dir_all(&inside).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Deletes the temporary file `name` in `parent`, unless someone is at it. One that is not there is deleted already.
pub(super) fn delete_abandoned(parent: &Path, name: &str) -> Result<(), FileError> {
    let failed = |source| FileError::io("delete", &parent.join(name), source);
    let Some(opened) = open_own(parent).map_err(failed)? else { return Ok(()) };
    match durable::remove_abandoned(&below(&opened).join(name)).map_err(failed)? {
        true => Ok(()),
        false => Err(failed(io::Error::other("someone is writing it"))),
    }
}

/// Opens a folder that is ours, through no symbolic link; `None` where there is none.
fn open_own(folder: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = match openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(opened) => opened,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    if fstat(&opened)?.st_uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("its folder belongs to another user"));
    }
    Ok(Some(opened))
}

fn below(opened: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()))
}

/// Lets the owner into every folder of a tree.
fn open_up(top: &Path) -> io::Result<()> {
    let mut open = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&folder, flags, Mode::empty())?;
        fs::set_permissions(below(&opened), fs::Permissions::from_mode(0o700))?;
        for item in fs::read_dir(below(&opened))? {
            let item = item?;
            if item.file_type()?.is_dir() {
                open.push(folder.join(item.file_name()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        (dir, top)
    }

    #[test]
    fn a_tree_goes_with_folders_that_may_not_be_written_and_links_are_not_followed() {
        let (_dir, top) = folder();
        fs::create_dir_all(top.join("trash/x/a/b")).unwrap();
        fs::write(top.join("trash/x/a/b/file"), "x").unwrap();
        fs::create_dir(top.join("victim")).unwrap();
        fs::write(top.join("victim/kept"), "x").unwrap();
        symlink(top.join("victim"), top.join("trash/x/link")).unwrap();
        for folder in ["trash/x/a/b", "trash/x/a"] {
            fs::set_permissions(top.join(folder), fs::Permissions::from_mode(0o500)).unwrap();
        }
        delete_folder(&top.join("trash"), "x").unwrap();
        assert!(!top.join("trash/x").exists());
        assert!(top.join("victim/kept").exists());
        delete_folder(&top.join("trash"), "x").unwrap();
        delete_folder(&top.join("nowhere"), "x").unwrap();
    }

    #[test]
    fn folders_are_opened_up_even_where_nothing_could_be_read() {
        let (_dir, top) = folder();
        fs::create_dir_all(top.join("a/b")).unwrap();
        for folder in ["a/b", "a"] {
            fs::set_permissions(top.join(folder), fs::Permissions::from_mode(0o000)).unwrap();
        }
        open_up(&top.join("a")).unwrap();
        for folder in ["a", "a/b"] {
            let mode = fs::metadata(top.join(folder)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{folder}");
        }
    }

    #[test]
    fn nothing_is_deleted_through_a_link() {
        let (_dir, top) = folder();
        fs::create_dir_all(top.join("victim/x")).unwrap();
        symlink(top.join("victim"), top.join("trash")).unwrap();
        assert!(delete_folder(&top.join("trash"), "x").is_err());
        fs::create_dir(top.join("real")).unwrap();
        symlink(top.join("victim"), top.join("real/x")).unwrap();
        assert!(delete_folder(&top.join("real"), "x").is_err());
        assert!(top.join("victim/x").exists());
    }
}
