//! What a session left open in its worktree: an operation of git's, or a checkout of something else than its branch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was left open, in the words of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOpen {
    /// `git merge`.
    Merge,
    /// `git rebase`.
    Rebase,
    /// `git cherry-pick`.
    CherryPick,
    /// `git revert`.
    Revert,
    /// `git bisect`.
    Bisect,
    /// `git am`.
    Am,
    /// HEAD is on no branch.
    Detached,
    /// HEAD is on another branch than the lane's.
    OtherBranch,
    /// What a newer version knows.
    #[serde(untagged)]
    Unknown(String),
}

/// For people: a part of a sentence.
impl fmt::Display for LeftOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match self {
            Self::Merge => "merge",
            Self::Rebase => "rebase",
            Self::CherryPick => "cherry-pick",
            Self::Revert => "revert",
            Self::Bisect => "bisect",
            Self::Am => "git am",
            Self::Detached => return f.write_str("HEAD is detached from the lane's branch"),
            Self::OtherBranch => return f.write_str("another branch is checked out than the lane's"),
            Self::Unknown(word) => word,
        };
        write!(f, "a {operation} is open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_manifest_are_kept() {
        for (word, left) in [
            ("merge", LeftOpen::Merge),
            ("cherry-pick", LeftOpen::CherryPick),
            ("am", LeftOpen::Am),
            ("detached", LeftOpen::Detached),
            ("other-branch", LeftOpen::OtherBranch),
            ("moon", LeftOpen::Unknown("moon".to_owned())),
        ] {
            assert_eq!(serde_json::to_value(&left).unwrap(), word);
            assert_eq!(serde_json::from_value::<LeftOpen>(word.into()).unwrap(), left);
        }
    }
}
