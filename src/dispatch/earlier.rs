//! Going on from an earlier session: its agent's record is copied, and the new session counts from the end of the copy.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::agent::pi::session_file::LONGEST;
use crate::durable::{self, FileError};

/// The record of an earlier session, up to the end of its last whole line: a killed agent may have left a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierRecord {
    path: PathBuf,
    /// How much of it is whole.
    pub bytes: u64,
}

impl EarlierRecord {
    /// The record at `path`; `None` where there is nothing to go on from, or more than any session has said.
    pub fn of(path: &Path) -> Option<Self> {
        let file = durable::open_no_follow(path).ok()?;
        if file.metadata().ok()?.len() > LONGEST {
            return None;
        }
        let bytes = whole_lines(file).ok().filter(|bytes| *bytes > 0)?;
        Some(Self { path: path.to_owned(), bytes })
    }

    /// Copies what is whole of it to `path`, where nothing may be yet.
    pub fn copy_to(&self, path: &Path) -> Result<(), FileError> {
        let from = durable::open_no_follow(&self.path)
            .map_err(|e| FileError::io("open the earlier session's record", &self.path, e))?;
        let copy = || -> io::Result<()> {
            let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            let copied = io::copy(&mut from.take(self.bytes), &mut to)?;
            if copied < self.bytes {
                return Err(io::Error::other("it became shorter meanwhile"));
            }
            to.flush()
        };
        copy().map_err(|e| FileError::io("copy the earlier session's record to", path, e))
    }
}

fn whole_lines(file: File) -> io::Result<u64> {
    // It may grow while it is read.
    let mut reader = BufReader::with_capacity(64 << 10, file.take(LONGEST));
    let mut buffer = [0; 16 << 10];
    let (mut read, mut whole) = (0_u64, 0_u64);
    loop {
        let count = reader.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(whole) };
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            whole = read + at as u64 + 1;
        }
        read += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        assert_eq!(EarlierRecord::of(&path), None);
        for (content, bytes) in [("", None), ("{\"a\"", None), ("{}\n{}\n{\"a", Some(6)), ("{}\n", Some(3))] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(EarlierRecord::of(&path).map(|record| record.bytes), bytes, "{content:?}");
        }
        std::fs::write(&path, "{}\n{\"a").unwrap();
        let copy = folder.path().join("copy");
        EarlierRecord::of(&path).unwrap().copy_to(&copy).unwrap();
        assert_eq!(std::fs::read_to_string(&copy).unwrap(), "{}\n");
        assert!(EarlierRecord::of(&path).unwrap().copy_to(&copy).is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_file_of_terabytes_is_not_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        std::fs::write(&path, "{}\n").unwrap();
        File::options().write(true).open(&path).unwrap().set_len(8 << 40).unwrap();
        assert_eq!(EarlierRecord::of(&path), None);
    }
}
