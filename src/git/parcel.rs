//! What a removal takes, and what it is called.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CommitId, GitError};
use crate::id::BranchName;

/// What a removal is called: a UUID of version 7, so that names sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrashId(uuid::Uuid);

/// What a removal takes and where it puts it. It is written down before anything moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// The removal.
    pub id: TrashId,
    /// The name of the worktree's registration; null where it had none.
    pub worktree_id: Option<String>,
    /// Where the worktree's folder was.
    pub path: PathBuf,
    /// The folder that its tree is in; null where the folder was gone.
    pub held: Option<PathBuf>,
    /// The lane's branch.
    pub branch: BranchName,
    /// The branch's commit; null where there was no such branch.
    pub tip: Option<CommitId>,
    /// What becomes of the branch.
    pub fate: BranchFate,
    /// The commit that was checked out.
    pub head_commit: Option<CommitId>,
}

/// What becomes of the branch of a lane that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchFate {
    /// It is deleted.
    Delete,
    /// It stays.
    Keep,
}

impl TrashId {
    /// A new one.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl FromStr for TrashId {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        let parsed = uuid::Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string() == text);
        parsed.map(Self).ok_or_else(|| GitError::NotATrashId { text: text.chars().take(60).collect() })
    }
}

impl TryFrom<String> for TrashId {
    type Error = GitError;

    fn try_from(text: String) -> Result<Self, GitError> {
        text.parse()
    }
}

impl From<TrashId> for String {
    fn from(id: TrashId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TrashId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}
