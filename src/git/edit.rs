//! What someone has changed in a worktree whose files were never complete.

use std::fmt;
use std::path::PathBuf;

/// One such change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Of this file, by its path in the worktree.
    File(PathBuf),
    /// Of what is staged.
    Index,
}

impl Edit {
    /// What it is called among changed files. It may hold control characters.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Index => "what is staged".to_owned(),
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{path:?}"),
            Self::Index => f.write_str("what is staged"),
        }
    }
}
