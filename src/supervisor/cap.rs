//! Keeping an output file within its cap without ever making the agent wait.
//!
//! The file keeps growing at its end; what lies between its kept beginning and its kept end is given back to the file
//! system as a hole. How much that was is counted and said.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};

/// How often the sizes are looked at. Coarse on purpose: a file may exceed its cap by what is written meanwhile.
pub const INTERVAL: Duration = Duration::from_secs(1);

const BLOCK: u64 = 4096;

/// An output file that may grow beyond its cap.
#[derive(Debug, thiserror::Error)]
#[error("the output cap of {} could not be kept: {source}", path.display())]
pub struct CapError {
    path: PathBuf,
    source: io::Error,
}

/// An output file with a cap.
#[derive(Debug)]
pub struct CappedFile {
    path: PathBuf,
    file: File,
    cap: u64,
    /// What has been given back: one range, which only grows.
    hole: Range<u64>,
}

impl CappedFile {
    /// Watches over a file, by a descriptor of its own: what an agent may put into its place later is never touched.
    pub fn open(path: &Path, cap: u64) -> Result<Self, CapError> {
        let failed = |source| CapError { path: path.to_owned(), source };
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let opened = OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open(path);
        let file = opened.map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("not a regular file")));
        }
        let head = (cap / 2).next_multiple_of(BLOCK);
        Ok(Self { path: path.to_owned(), file, cap, hole: head..head })
    }

    /// Bytes given back so far.
    pub fn truncated(&self) -> u64 {
        self.hole.end - self.hole.start
    }

    /// Gives back what is beyond the cap.
    pub fn enforce(&mut self) -> Result<(), CapError> {
        self.give_back().map_err(|source| CapError { path: self.path.clone(), source })
    }

    fn give_back(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        let Some(next) = surplus(size, self.cap, &self.hole) else { return Ok(()) };
        punch(&self.file, &next)?;
        self.hole.end = next.end;
        Ok(())
    }
}

/// The range to give back now, if any: from the end of the hole to the beginning of the kept end, in whole blocks.
fn surplus(size: u64, cap: u64, hole: &Range<u64>) -> Option<Range<u64>> {
    if size <= cap.max(2 * BLOCK) {
        return None;
    }
    let tail = size.saturating_sub(cap / 2);
    let end = tail - tail % BLOCK;
    (end > hole.end).then_some(hole.end..end)
}

fn punch(file: &File, range: &Range<u64>) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, range.start, range.end - range.start)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_within_its_cap_is_left_alone() {
        assert_eq!(surplus(100_000, 100_000, &(53_248..53_248)), None);
    }

    #[test]
    fn the_hole_lies_between_the_kept_halves_and_only_grows() {
        let first = surplus(1 << 20, 64 << 10, &(32_768..32_768)).unwrap();
        assert_eq!(first, 32_768..(1 << 20) - (32 << 10));
        let hole = 32_768..first.end;
        assert_eq!(surplus(1 << 20, 64 << 10, &hole), None);
        assert_eq!(surplus(2 << 20, 64 << 10, &hole).unwrap().start, first.end);
    }

    #[test]
    fn a_file_that_cannot_be_capped_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = CappedFile::open(&dir.path().join("gone"), 1).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("the output cap of {}/gone could not", dir.path().display())),
            "{error}"
        );
    }

    #[test]
    fn blocks_are_really_given_back_and_both_ends_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        for number in 0..40_000 {
            writeln!(file, "line {number:>20}").unwrap();
        }
        let mut capped = CappedFile::open(&path, 64 << 10).unwrap();
        capped.enforce().unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert!(meta.blocks() * 512 < 200_000, "{} blocks are left", meta.blocks());
        assert!(capped.truncated() > 900_000);
        let text = std::fs::read(&path).unwrap();
        assert!(text.starts_with(b"line                    0\n"));
        assert!(text.ends_with(b"               39999\n"));
    }
}
