//! The way down to the folder that is worked in, as open descriptors: no path is followed twice, and no link ever.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};

use crate::git::listing::Listing;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the folders of a listing below one top.
pub(super) struct Descent<'a> {
    listing: &'a Listing,
    top: &'a OwnedFd,
    /// Each folder within the one before.
    open: Vec<(usize, OwnedFd)>,
    /// The folders that are still to be opened; kept for its room.
    way: Vec<usize>,
}

impl<'a> Descent<'a> {
    pub(super) fn new(listing: &'a Listing, top: &'a OwnedFd) -> Self {
        Self { listing, top, open: Vec::new(), way: Vec::new() }
    }

    /// The folder in this place of the listing.
    pub(super) fn enter(&mut self, folder: usize) -> io::Result<BorrowedFd<'_>> {
        self.way.clear();
        let mut at = folder;
        while at != 0 && !self.open.iter().any(|(open, _)| *open == at) {
            self.way.push(at);
            at = self.listing.folders[at].parent;
        }
        self.open.truncate(self.listing.folders[at].depth);
        while let Some(next) = self.way.pop() {
            let above = self.open.last().map_or(self.top.as_fd(), |(_, fd)| fd.as_fd());
            let name = self.listing.folder_name(&self.listing.folders[next]);
            let fd = openat(above, name, FOLDER, Mode::empty())?;
            self.open.push((next, fd));
        }
        Ok(self.open.last().map_or(self.top.as_fd(), |(_, fd)| fd.as_fd()))
    }
}

/// Opens the top of a tree.
pub(super) fn top(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(openat(rustix::fs::CWD, path, FOLDER, Mode::empty())?)
}
