//! The way down to the folder that is worked in, as open descriptors: no path is followed twice, and no link ever.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

use crate::git::listing::Listing;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What is done about a folder on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folders {
    /// It is there, or the way ends.
    AsTheyAre,
    /// It is made, unless it is there. Anything else of its name ends the way, links included.
    Made,
}

/// So many folders stay open: those of files that follow one another are mostly the same, or beside one another.
const OPEN: usize = 2;

/// Opens the folders of a listing below one top.
pub(super) struct Descent<'a> {
    listing: &'a Listing,
    folders: Folders,
    /// The last ones, each within the one before.
    open: Vec<(usize, OwnedFd)>,
    /// The folders that are still to be opened; kept for its room.
    way: Vec<usize>,
}

impl<'a> Descent<'a> {
    pub(super) fn new(listing: &'a Listing, folders: Folders) -> Self {
        Self { listing, folders, open: Vec::new(), way: Vec::new() }
    }

    /// So many folders are open.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// The folder in this place of the listing, below `top`, which is the same every time.
    pub(super) fn enter<'s>(&'s mut self, top: BorrowedFd<'s>, folder: usize) -> io::Result<BorrowedFd<'s>> {
        self.way.clear();
        let mut at = folder;
        while at != 0 && !self.open.iter().any(|(open, _)| *open == at) {
            self.way.push(at);
            at = self.listing.folders[at].parent;
        }
        let keep = self.open.iter().position(|(open, _)| *open == at).map_or(0, |at| at + 1);
        self.open.truncate(keep);
        while let Some(next) = self.way.pop() {
            let above = self.open.last().map_or(top, |(_, fd)| fd.as_fd());
            let name = self.listing.folder_name(&self.listing.folders[next]);
            if self.folders == Folders::Made {
                make_folder(above, name)?;
            }
            let fd = openat(above, name, FOLDER, Mode::empty())?;
            if self.open.len() == OPEN {
                self.open.remove(0);
            }
            self.open.push((next, fd));
        }
        Ok(self.open.last().map_or(top, |(_, fd)| fd.as_fd()))
    }
}

/// Makes a folder, unless there is something of that name.
pub(super) fn make_folder(above: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match mkdirat(above, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Opens the top of a tree.
pub(super) fn top(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(openat(rustix::fs::CWD, path, FOLDER, Mode::empty())?)
}
