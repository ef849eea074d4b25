//! What holds of a removal's record whatever its bytes are: what was read is written and read again as the same.

use std::path::Path;

use super::record::parse;

/// The record of a removal.
pub(crate) fn record(data: &[u8]) {
    let path = Path::new("trash.json");
    match parse(path, data) {
        Ok(record) => {
            let written = serde_json::to_vec(&record).unwrap_or_default();
            assert_eq!(parse(path, &written).ok(), Some(record), "written and read again");
        }
        Err(error) => drop(error.to_string()),
    }
}
