//! The name of a commit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GitError;

/// The full name of a commit: 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }

    pub(super) fn oid(&self) -> Result<git2::Oid, GitError> {
        git2::Oid::from_str(&self.0).map_err(|e| GitError::libgit2("read the commit name", &self.0, e))
    }
}

impl From<git2::Oid> for CommitId {
    fn from(oid: git2::Oid) -> Self {
        Self(oid.to_string())
    }
}

impl FromStr for CommitId {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 40 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(GitError::NotACommitId { text: text.chars().take(60).collect() })
        }
    }
}

impl TryFrom<String> for CommitId {
    type Error = GitError;

    fn try_from(text: String) -> Result<Self, GitError> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
