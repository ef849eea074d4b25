//! What the repository's configuration says, read as files: no program runs for it.
//!
//! Two views: the repository's own files alone, which decide whether the repository can be opened at all, and all
//! levels together, as git would see them from a git directory.

use std::path::{Path, PathBuf};

use git2::{Config, ConfigLevel, ErrorCode};

use super::GitError;

/// Settings as git sees them.
pub(super) struct Settings {
    config: Config,
}

impl Settings {
    /// The files of one repository only: `config`, and `config.worktree` of the git directory where that counts.
    pub(super) fn own(common: &Path, git_dir: &Path) -> Result<Self, GitError> {
        let config = Config::new().map_err(|e| failed(common, e))?;
        Self { config }.with_own(common, git_dir)
    }

    /// The user's and the system's files too, for a repository that libgit2 does not open.
    pub(super) fn all(common: &Path, git_dir: &Path) -> Result<Self, GitError> {
        let config = Config::open_default().map_err(|e| failed(common, e))?;
        Self { config }.with_own(common, git_dir)
    }

    /// What an open repository goes by, conditional includes included.
    pub(super) fn of(repo: &git2::Repository) -> Result<Self, GitError> {
        let config =
            repo.config().and_then(|mut config| config.snapshot()).map_err(|e| failed(repo.path(), e))?;
        Ok(Self { config })
    }

    fn with_own(mut self, common: &Path, git_dir: &Path) -> Result<Self, GitError> {
        self.add(&common.join("config"), ConfigLevel::Local)?;
        if self.flag("extensions.worktreeConfig") {
            self.add(&git_dir.join("config.worktree"), ConfigLevel::Worktree)?;
        }
        Ok(self)
    }

    fn add(&mut self, file: &Path, level: ConfigLevel) -> Result<(), GitError> {
        match self.config.add_file(file, level, true) {
            Err(e) if e.code() != ErrorCode::NotFound => Err(failed(file, e)),
            _ => Ok(()),
        }
    }

    /// A switch; one that is missing, or cannot be read as a switch, is off.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.config.get_bool(key).unwrap_or(false)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.config.get_string(key).ok()
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.config.get_path(key).ok()
    }

    /// All keys that match `glob`, in lower case but for the middle part, with their values; a later value of the
    /// same key comes later.
    pub(super) fn matching(&self, glob: &str) -> Result<Vec<(String, String)>, GitError> {
        let mut found = Vec::new();
        let entries =
            self.config.entries(Some(glob)).map_err(|e| GitError::libgit2("read the settings", glob, e))?;
        entries
            .for_each(|entry| {
                let key = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                // A key without `=` is a switch that is on.
                let value = if entry.has_value() {
                    String::from_utf8_lossy(entry.value_bytes()).into_owned()
                } else {
                    "true".to_owned()
                };
                found.push((key, value));
            })
            .map_err(|e| GitError::libgit2("read the settings", glob, e))?;
        Ok(found)
    }
}

fn failed(file: &Path, error: git2::Error) -> GitError {
    GitError::libgit2("read the configuration", file.display(), error)
}
