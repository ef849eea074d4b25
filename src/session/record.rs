//! How records are kept: JSON, one file each, most with a version, and those of a kind below one folder.
//!
//! What is read is hostile: a record of a newer version is told apart from one that is damaged, and neither is guessed at.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{Record, StoreError};

/// The record's bytes: indented JSON and a final newline. `what` it is, for the error.
pub fn encode<T: Serialize>(what: &'static str, record: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes =
        serde_json::to_vec_pretty(record).map_err(|source| StoreError::Encode { what, source })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A record of whatever version, of the file at `path`.
pub(super) fn decode<T: DeserializeOwned>(
    record: Record,
    path: &Path,
    bytes: &[u8],
) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Damaged {
        record,
        path: path.to_owned(),
        why: e.to_string(),
    })
}

/// A record of the file at `path`, which may be of any version up to `known`.
///
/// # Errors
///
/// [`StoreError::Newer`] before anything else of it is read, [`StoreError::Damaged`].
pub fn decode_known<T: DeserializeOwned>(
    record: Record,
    path: &Path,
    bytes: &[u8],
    known: u32,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct VersionOnly {
        schema_version: u64,
    }
    match decode::<VersionOnly>(record, path, bytes)?.schema_version {
        version if version > u64::from(known) => Err(StoreError::Newer { path: path.to_owned(), version }),
        _ => decode(record, path, bytes),
    }
}

/// The names in a folder that may not exist, sorted. Those that are no text are nobody's here.
pub fn names_in(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::List { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}
