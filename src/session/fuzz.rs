//! What holds of this room's records whatever their bytes are: reading them never panics, and what was read is written
//! and read again as the same.

use std::fmt::Debug;
use std::path::Path;

use serde::Serialize;

use super::launch::LaunchSpec;
use super::manifest::{Glance, Parsed, parse};
use super::record::{decode, encode};
use super::store::{Record, RunningEntry, StopRequest, StoreError, parse_lane};

/// The record of a session, whole and as lists look at it.
pub(crate) fn manifest(data: &[u8]) {
    let manifest = match parse(data) {
        Ok(Parsed::Current(manifest)) => manifest,
        Ok(Parsed::Newer { schema_version, document }) => {
            assert_eq!(document.get("schema_version").and_then(|v| v.as_u64()), Some(schema_version));
            return;
        }
        Err(error) => return drop(error.to_string()),
    };
    let written = manifest.to_bytes().unwrap_or_default();
    assert_eq!(parse(&written).ok(), Some(Parsed::Current(manifest.clone())), "written and read again");
    let glance = Glance::of(data, manifest.session_id);
    assert_eq!(glance, Some(Glance::from(*manifest)), "at a glance");
}

/// What a supervisor is told.
pub(crate) fn launch(data: &[u8]) {
    again(data, LaunchSpec::parse);
}

/// The record of a lane, and the small ones beside it.
pub(crate) fn lane(data: &[u8]) {
    again(data, parse_lane);
    again(data, |path, bytes| decode::<StopRequest>(Record::StopRequest, path, bytes));
    again(data, |path, bytes| decode::<RunningEntry>(Record::Running, path, bytes));
}

fn again<T: Serialize + PartialEq + Debug>(data: &[u8], read: fn(&Path, &[u8]) -> Result<T, StoreError>) {
    let path = Path::new("record.json");
    match read(path, data) {
        Ok(record) => {
            let written = encode("a record", &record).unwrap_or_default();
            assert_eq!(read(path, &written).ok().as_ref(), Some(&record), "written and read again");
        }
        Err(error) => drop(error.to_string()),
    }
}
