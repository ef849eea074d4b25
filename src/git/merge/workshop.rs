//! A worktree of a merge's own, where its result is looked at before it lands: registered and locked like any other,
//! so that nothing in it is collected or pruned, with a commit checked out and no branch. All in it is thrown away.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::durable::{self, HeldLock};
use crate::git::checkout::write_files;
use crate::git::create::create_detached;
use crate::git::registry::{self, LOCK_FILE};
use crate::git::repo::{RepoLock, leads_to};
use crate::git::{CommitId, Created, GitError, Repo};

/// Where a workshop is: the name of its folder is that of its registration too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workshop {
    path: PathBuf,
}

impl Workshop {
    /// The workshop in the folder `path`, whose name nothing else has.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its top folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self) -> Result<&str, GitError> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.ok_or_else(|| GitError::NotUtf8 { path: self.path.clone() })
    }

    /// Its git directory.
    pub fn admin(&self, repo: &Repo) -> Result<PathBuf, GitError> {
        Ok(registry::folder(repo.common_dir()).join(self.name()?))
    }

    /// Registers it, locked for `reason`, without files.
    pub fn register(
        &self,
        repo: &Repo,
        lock: &RepoLock,
        commit: &CommitId,
        reason: &str,
    ) -> Result<Created, GitError> {
        create_detached(repo, lock, &self.path, self.name()?, commit, reason)
    }

    /// Writes its files. A git that writes them holds `held` too, until it has ended.
    pub fn fill(&self, repo: &Repo, created: &Created, held: &HeldLock) -> Result<(), GitError> {
        write_files(repo, created, held).map(drop)
    }

    /// Throws its files away; outside of the repository's lock, since that may take a while.
    pub fn empty(&self, repo: &Repo) -> Result<(), GitError> {
        let admin = self.admin(repo)?;
        match self.path.symlink_metadata() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(GitError::io("look at", &self.path, e)),
            Ok(meta) if !meta.is_dir() => return Err(GitError::PathTaken { path: self.path.clone() }),
            Ok(_) => {}
        }
        let link = self.path.join(".git");
        let is_ours = leads_to(&link, &admin.canonicalize().unwrap_or(admin)) || !link.exists();
        if !is_ours {
            return Err(GitError::PathTaken { path: self.path.clone() });
        }
        match fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                // Caches are made read-only by some tools.
                open_up(&self.path)?;
                fs::remove_dir_all(&self.path).map_err(|e| GitError::io("remove", &self.path, e))?;
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(GitError::io("remove", &self.path, e));
            }
            _ => {}
        }
        if let Some(root) = self.path.parent() {
            // Best effort: another workshop may be in it.
            drop(fs::remove_dir(root));
        }
        Ok(())
    }

    /// Takes its registration away, once it is empty.
    pub fn unregister(&self, repo: &Repo, _lock: &RepoLock) -> Result<(), GitError> {
        let admin = self.admin(repo)?;
        if self.path.exists() {
            return Err(GitError::TreeNotGone { path: self.path.clone() });
        }
        // Whole or not at all: without its lock, git prunes what is left of it.
        durable::remove(&admin.join(LOCK_FILE))?;
        Ok(durable::remove_all(&admin)?)
    }
}

/// Makes every folder from `top` down one that can be emptied: each before it is looked into, since some cannot be read.
fn open_up(top: &Path) -> Result<(), GitError> {
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .map_err(|e| GitError::io("open up", &folder, e))?;
        let unreadable = |e| GitError::io("list", &folder, e);
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            // A link leads elsewhere, and is none.
            if entry.file_type().map_err(unreadable)?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}
