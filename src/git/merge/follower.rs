//! A worktree that has a moved branch checked out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
