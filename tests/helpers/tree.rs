//! What a folder holds, to show that a command changed nothing, or what it changed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One entry: its kind, mode and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Folder {
        mode: u32,
    },
    File {
        mode: u32,
        content: Vec<u8>,
    },
    Link {
        target: PathBuf,
    },
    /// A FIFO, a socket, a device.
    Special,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { mode } => write!(f, "folder {mode:o}"),
            Self::File { mode, content } => write!(f, "file {mode:o}, {} bytes", content.len()),
            Self::Link { target } => write!(f, "link to {}", target.display()),
            Self::Special => f.write_str("special file"),
        }
    }
}

/// Everything below a folder, by relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, Entry>);

impl Tree {
    /// Reads all of `folder`, without following links. A folder that is not there holds nothing.
    pub fn of(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        let walk = walkdir::WalkDir::new(folder).min_depth(1);
        let entries = walk.into_iter().filter_map(|entry| match entry {
            Ok(entry) => {
                let relative = entry.path().strip_prefix(folder).expect("below the folder").to_owned();
                Some((relative, Self::entry(&entry)))
            }
            Err(error) if error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => None,
            Err(error) => panic!("could not read {}: {error}", folder.display()),
        });
        Self(entries.collect())
    }

    fn entry(entry: &walkdir::DirEntry) -> Entry {
        let mode = || entry.metadata().expect("metadata").permissions().mode() & 0o7777;
        let kind = entry.file_type();
        if kind.is_dir() {
            Entry::Folder { mode: mode() }
        } else if kind.is_symlink() {
            Entry::Link { target: fs::read_link(entry.path()).expect("a readable link") }
        } else if kind.is_file() {
            let content = fs::read(entry.path())
                .unwrap_or_else(|error| panic!("could not read {}: {error}", entry.path().display()));
            Entry::File { mode: mode(), content }
        } else {
            Entry::Special
        }
    }

    /// The tree without what lies below (or is) one of `paths`.
    #[must_use]
    pub fn without(mut self, paths: &[&str]) -> Self {
        self.0.retain(|path, _| !paths.iter().any(|prefix| path.starts_with(prefix)));
        self
    }

    /// One line for each difference between this tree, the earlier, and `later`.
    pub fn changes_to(&self, later: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, before) in &self.0 {
            match later.0.get(path) {
                None => changes.push(format!("removed {} ({before})", path.display())),
                Some(after) if after != before => {
                    changes.push(format!("changed {} ({before}; now {after})", path.display()));
                }
                Some(_) => {}
            }
        }
        let added = later.0.iter().filter(|(path, _)| !self.0.contains_key(*path));
        changes.extend(added.map(|(path, entry)| format!("added {} ({entry})", path.display())));
        changes
    }

    /// Fails unless `folder` still holds exactly this.
    #[track_caller]
    pub fn assert_unchanged(&self, folder: impl AsRef<Path>) {
        let folder = folder.as_ref();
        let changes = self.changes_to(&Self::of(folder));
        assert!(changes.is_empty(), "{} was changed:\n{}", folder.display(), changes.join("\n"));
    }
}
