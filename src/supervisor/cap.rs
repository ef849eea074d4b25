//! Keeping an output file within its cap without ever making the agent wait.
//!
//! The file keeps growing at its end; what lies between its kept beginning and its kept end is given back to the file
//! system as a hole. How much that was is counted and said.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};

/// How often the sizes are looked at. Coarse on purpose: a file may exceed its cap by what is written meanwhile.
pub const INTERVAL: Duration = Duration::from_secs(1);

const BLOCK: u64 = 4096;

/// An output file with a cap.
#[derive(Debug)]
pub struct CappedFile {
    file: File,
    cap: u64,
    /// What has been given back: one range, which only grows.
    hole: Range<u64>,
}

impl CappedFile {
    /// Watches over a file, by a descriptor of its own: what an agent may put into its place later is never touched.
    pub fn open(path: &Path, cap: u64) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let head = (cap / 2).next_multiple_of(BLOCK);
        Ok(Self { file, cap, hole: head..head })
    }

    /// Bytes given back so far.
    pub fn truncated(&self) -> u64 {
        self.hole.end - self.hole.start
    }

    /// Gives back what is beyond the cap.
    pub fn enforce(&mut self) -> io::Result<()> {
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
