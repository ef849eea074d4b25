//! When something happened, by the clock of a file system.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use rustix::fs::Stat;

/// A moment, by the clock of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    seconds: i64,
    nanoseconds: i64,
}

impl Instant {
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds = i64::try_from(stat.st_ctime_nsec).unwrap_or_default();
        Self { seconds: stat.st_ctime, nanoseconds }
    }

    /// When a file was last changed in any way.
    pub fn changed(meta: &fs::Metadata) -> Self {
        Self { seconds: meta.ctime(), nanoseconds: meta.ctime_nsec() }
    }

    /// Whether the wall clock said this moment or a later one at `at`.
    fn is_up_to(self, at: Timestamp) -> bool {
        (self.seconds, self.nanoseconds) <= (at.as_second(), i64::from(at.subsec_nanosecond()))
    }
}

/// The time from a moment on, which is not in it, to another, which is: the clock of a file system ticks so slowly that the
/// last thing an agent does and the record of its end may bear the same date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from: Instant,
    /// When it was over.
    pub to: Instant,
}

impl Span {
    pub(super) fn has(self, at: Instant) -> bool {
        self.from < at && at <= self.to
    }

    /// Whether it had begun at that time of the wall clock.
    pub fn has_begun(self, at: Timestamp) -> bool {
        self.from.is_up_to(at)
    }
}
