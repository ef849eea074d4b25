//! Objects that libgit2 wrote, made durable: it leaves that to the file system.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use git2::Oid;

use crate::durable::sync_dir;
use crate::git::{GitError, Repo};

/// Brings the objects to the disk. One that is in a pack has no file of its own, and was there before.
pub(super) fn sync_objects(repo: &Repo, objects: &[Oid]) -> Result<(), GitError> {
    let store = repo.common_dir().join("objects");
    let mut folders = BTreeSet::new();
    for object in objects {
        let name = object.to_string();
        let (folder, rest) = name.split_at(2);
        let folder = store.join(folder);
        let path = folder.join(rest);
        match File::open(&path).and_then(|file| file.sync_all()) {
            Ok(()) => drop(folders.insert(folder)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(GitError::io("sync", &path, e)),
        }
    }
    for folder in folders {
        sync_dir(&folder)?;
    }
    if !objects.is_empty() {
        sync_dir(&store)?;
    }
    Ok(())
}
