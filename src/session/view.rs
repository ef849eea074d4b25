//! The view of a manifest in its worktree: `.ralph/manifest.json`, and `.ralph/.gitignore` so that git never sees it.
//!
//! The worktree belongs to an agent, so nothing in it is trusted: every step is opened beneath the worktree's own
//! directory and through no symbolic link, and a worktree that is gone is not made again. Without fsync: the original
//! is in the store.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::failpoint;

/// A view that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The system refused, which it also does for a symbolic link in the way.
    #[error("could not {operation} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The manifest could not be put into JSON.
    #[error("could not encode the manifest: {0}")]
    Encode(String),
}

/// The folder of the view, below a worktree.
pub const FOLDER: &str = ".ralph";

/// Where a worktree's view is.
pub fn path_in(worktree: &Path) -> PathBuf {
    worktree.join(FOLDER).join("manifest.json")
}

/// Replaces the view in `worktree`.
pub fn write(worktree: &Path, content: &[u8]) -> Result<(), ViewError> {
    let folder_path = worktree.join(FOLDER);
    let failed = |operation: &'static str, path: &Path| {
        let path = path.to_owned();
        move |errno: Errno| ViewError::Io { operation, path, source: errno.into() }
    };
    let tree =
        rustix::fs::open(worktree, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(failed("open", worktree))?;
    match rustix::fs::mkdirat(&tree, FOLDER, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed("create", &folder_path)(errno)),
    }
    let folder = rustix::fs::openat2(
        &tree,
        FOLDER,
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )
    .map_err(failed("open", &folder_path))?;

    let new_file = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, ".gitignore", new_file, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file).write_all(b"*\n").map_err(|source| ViewError::Io {
            operation: "write",
            path: folder_path.join(".gitignore"),
            source,
        })?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed("create", &folder_path.join(".gitignore"))(errno)),
    }

    let temporary = format!(".manifest.{}.tmp", uuid::Uuid::now_v7().simple());
    let file = rustix::fs::openat(&folder, &temporary, new_file, Mode::RUSR | Mode::WUSR)
        .map_err(failed("create", &folder_path.join(&temporary)))?;
    failpoint::hit("view.opened");
    let written = File::from(file)
        .write_all(content)
        .map_err(|source| ViewError::Io { operation: "write", path: folder_path.join(&temporary), source })
        .and_then(|()| {
            rustix::fs::renameat(&folder, &temporary, &folder, "manifest.json")
                .map_err(failed("replace", &path_in(worktree)))
        });
    if written.is_err() {
        // The name is unique and hidden; that it could not be removed either changes nothing.
        _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_view_and_its_ignore_file_are_written_and_replaced() {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), b"one").unwrap();
        write(tree.path(), b"two").unwrap();
        assert_eq!(fs::read(path_in(tree.path())).unwrap(), b"two");
        assert_eq!(fs::read(tree.path().join(".ralph/.gitignore")).unwrap(), b"*\n");
        assert_eq!(fs::read_dir(tree.path().join(".ralph")).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused_and_its_target_untouched() {
        let (tree, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(victim.path(), tree.path().join(".ralph")).unwrap();
        assert!(write(tree.path(), b"x").is_err());
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_manifest_that_is_a_link_is_replaced_not_followed() {
        let (tree, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = victim.path().join("file");
        fs::write(&target, "kept").unwrap();
        fs::create_dir(tree.path().join(".ralph")).unwrap();
        symlink(&target, path_in(tree.path())).unwrap();
        write(tree.path(), b"x").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"kept");
    }

    #[test]
    fn a_worktree_that_is_gone_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(write(&gone, b"x").is_err());
        assert!(!gone.exists());
    }
}
