//! A worktree that has a moved branch checked out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::git::program::{Call, Place};
use crate::git::{GitError, Head, Repo, registry};
use crate::id::BranchName;

/// A worktree that has a branch checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// Its git directory, with its index and HEAD.
    pub admin: PathBuf,
    /// Its top folder.
    pub path: PathBuf,
    /// Files whose edits give way to the new commit, with what they held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
}

/// A file with an edit that is not in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The file, relative to the worktree.
    pub file: PathBuf,
    /// What it held.
    pub mine: String,
    /// What it is to hold when the worktree has followed.
    pub then: String,
}

impl Follower {
    /// Whether the branch is what is checked out here now.
    pub fn has_checked_out(&self, branch: &BranchName) -> Result<bool, GitError> {
        let head = registry::head_of(&self.admin)?;
        Ok(matches!(head, Some(Head::Branch(name)) if name == branch.as_str()))
    }

    /// The worktree with its own index.
    pub(super) fn seen(&self) -> WorkTree<'_> {
        self.seen_over(None)
    }

    /// The worktree with another index than its own, where one is given.
    pub(super) fn seen_over<'a>(&'a self, index: Option<&'a Path>) -> WorkTree<'a> {
        WorkTree { admin: &self.admin, path: &self.path, index }
    }
}

/// A worktree's files, and the index that git is to see them through. What git does there comes to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkTree<'a> {
    pub(super) admin: &'a Path,
    pub(super) path: &'a Path,
    index: Option<&'a Path>,
}

impl<'a> WorkTree<'a> {
    /// A call that only reads.
    pub(super) fn read(self, repo: &'a Repo) -> Call<'a> {
        Call::read(repo.program(), self.place()).index(self.index).uninterrupted()
    }

    /// A call that writes into the worktree, or its index.
    pub(super) fn write(self, repo: &'a Repo) -> Call<'a> {
        Call::write(repo.program(), self.place()).index(self.index).uninterrupted()
    }

    fn place(self) -> Place<'a> {
        Place::Tree { admin: self.admin, top: self.path }
    }
}
