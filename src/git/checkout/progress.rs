//! How far the files of a worktree are written, for whoever shows it meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts that the writer moves on and others look at; a clone is the same counts.
#[derive(Debug, Clone, Default)]
pub struct CheckoutProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    stage: AtomicUsize,
    of: AtomicUsize,
    written: AtomicUsize,
}

const IDLE: usize = 0;
const COUNTED: usize = 1;
const BY_GIT: usize = 2;

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutStage {
    /// No files are being written.
    Idle,
    /// So many files are written.
    Written {
        /// So far.
        files: usize,
        /// Of how many.
        of: usize,
    },
    /// The git program writes them, which does not say how far it is.
    ByGit,
}

impl CheckoutProgress {
    /// Where it stands now.
    pub fn stage(&self) -> CheckoutStage {
        match self.0.stage.load(Ordering::Acquire) {
            COUNTED => CheckoutStage::Written {
                files: self.0.written.load(Ordering::Relaxed),
                of: self.0.of.load(Ordering::Relaxed),
            },
            BY_GIT => CheckoutStage::ByGit,
            _ => CheckoutStage::Idle,
        }
    }

    pub(super) fn begin(&self, of: usize) {
        self.0.written.store(0, Ordering::Relaxed);
        self.0.of.store(of, Ordering::Relaxed);
        self.0.stage.store(COUNTED, Ordering::Release);
    }

    pub(in crate::git) fn begin_by_git(&self) {
        self.0.stage.store(BY_GIT, Ordering::Release);
    }

    pub(super) fn advance(&self, files: usize) {
        self.0.written.fetch_add(files, Ordering::Relaxed);
    }

    pub(in crate::git) fn end(&self) {
        self.0.stage.store(IDLE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_it_sees_what_the_writer_has_done() {
        let writer = CheckoutProgress::default();
        let shown = writer.clone();
        assert_eq!(shown.stage(), CheckoutStage::Idle);
        writer.begin(10);
        writer.advance(3);
        writer.advance(4);
        assert_eq!(shown.stage(), CheckoutStage::Written { files: 7, of: 10 });
        writer.end();
        writer.begin_by_git();
        assert_eq!(shown.stage(), CheckoutStage::ByGit);
        writer.begin(2);
        assert_eq!(shown.stage(), CheckoutStage::Written { files: 0, of: 2 });
    }
}
