//! Why a recovery could not be carried out.

use crate::git::GitError;
use crate::session::store::StoreError;

/// A recovery that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] crate::durable::FileError),
    /// The repository could not be read or written.
    #[error(transparent)]
    Git(#[from] GitError),
}
