//! The name of a tree.

use crate::git::program::Call;
use crate::git::{CommitId, GitError};

/// The name of a tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeId(String);

impl TreeId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn of(tree: git2::Oid) -> Self {
        Self(tree.to_string())
    }

    pub(super) fn oid(&self) -> Result<git2::Oid, GitError> {
        git2::Oid::from_str(&self.0).map_err(|e| GitError::libgit2("read the tree's name", &self.0, e))
    }

    /// Takes the name that `call` printed.
    pub(super) fn printed(text: &[u8], call: &Call<'_>) -> Result<Self, GitError> {
        let text = std::str::from_utf8(text).map_err(|_| call.unclear())?;
        // The names of all objects have one form.
        let name: CommitId = text.trim().parse().map_err(|_| call.unclear())?;
        Ok(Self(name.into()))
    }
}
