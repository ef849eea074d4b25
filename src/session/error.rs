//! Why the store's records could not be read or written, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::durable::FileError;

/// An operation on the store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read, written or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory could not be listed.
    #[error("could not list {}: {source}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record's content is not what it should be.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A record was written by a newer version, which this one must not overwrite.
    #[error("{} was written by a newer ralph (version {version} of the format)", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        version: u64,
    },
    /// Two lanes have the same folder, or the folder was tampered with.
    #[error("{} belongs to lane {found}, not to {wanted}", path.display())]
    OtherLane {
        /// The lane's folder.
        path: PathBuf,
        /// The lane it records.
        found: String,
        /// The lane that was asked for.
        wanted: String,
    },
    /// A record could not be put into JSON.
    #[error("could not encode {what}: {source}")]
    Encode {
        /// The record.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A step that the session cannot take.
    #[error(transparent)]
    Step(#[from] super::state::IllegalStep),
}

impl StoreError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Damaged { .. } => Some("`ralph worktree recover` makes damaged records good"),
            Self::Newer { .. } => Some("use the newer ralph"),
            Self::File(error) => error.hint(),
            Self::List { .. } | Self::OtherLane { .. } | Self::Encode { .. } | Self::Step(_) => None,
        }
    }
}
