//! Where the content of a file comes from: a checkout that has it already, else the object database.
//!
//! To copy a file is several times cheaper than to unpack it. What is copied is what its name stands for, by its hash:
//! nothing that a checkout says about itself is believed, and whatever happens to it meanwhile does no harm.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use git2::{ErrorClass, ErrorCode, Oid};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use sha1::{Digest, Sha1};

use super::descent::{Descent, Folders};
use crate::git::GitError;
use crate::git::listing::{Item, Kind, Listing};
use crate::git::repo::open_libgit2;

/// A larger file is read as an object at once: its copy would be kept in memory for nothing if it were another.
const LARGEST_COPY: u64 = 64 << 20;
/// Most files have less.
const USUAL_FILE: usize = 64 << 10;
/// More than this is given back before the next file.
const KEPT_BUFFER: usize = 4 << 20;

/// Reads contents, for one thread.
pub(super) struct Contents<'a> {
    near: Option<(&'a OwnedFd, Descent<'a>)>,
    git_dir: &'a Path,
    /// Opened for the first object that has to be unpacked.
    unpacker: Option<Unpacker>,
    buffer: Vec<u8>,
}

/// The object database without libgit2's own check of every hash, which takes as long again as to unpack: whoever has one
/// makes the check himself. It can be left out for the whole process only, so that it is for as long as there is one: what
/// others read meanwhile is as little checked as all that git reads.
struct Unpacker(git2::Repository);

/// How many there are.
static UNPACKERS: Mutex<usize> = Mutex::new(0);

impl Unpacker {
    fn open(git_dir: &Path) -> Result<Self, GitError> {
        let repo = open_libgit2(git_dir)?;
        let mut others = UNPACKERS.lock().unwrap_or_else(PoisonError::into_inner);
        *others += 1;
        git2::opts::strict_hash_verification(false);
        Ok(Self(repo))
    }
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        let mut others = UNPACKERS.lock().unwrap_or_else(PoisonError::into_inner);
        *others -= 1;
        git2::opts::strict_hash_verification(*others == 0);
    }
}

impl<'a> Contents<'a> {
    /// Contents of `listing`, from the checkout `near` where that has them.
    pub(super) fn new(listing: &'a Listing, near: Option<&'a OwnedFd>, git_dir: &'a Path) -> Self {
        let near = near.map(|top| (top, Descent::new(listing, Folders::AsTheyAre)));
        Self { near, git_dir, unpacker: None, buffer: Vec::new() }
    }

    /// Lets `take` have the content of an item.
    pub(super) fn give(
        &mut self,
        item: &Item,
        name: &[u8],
        take: impl FnOnce(&[u8]),
    ) -> Result<(), GitError> {
        if self.copy(item, name) {
            take(&self.buffer);
            return Ok(());
        }
        let failed = |e| GitError::libgit2("read the object", item.id, e);
        let unpacker = match self.unpacker.take() {
            Some(unpacker) => unpacker,
            None => Unpacker::open(self.git_dir)?,
        };
        let Unpacker(repo) = self.unpacker.insert(unpacker);
        let odb = repo.odb().map_err(failed)?;
        let object = odb.read(item.id).map_err(failed)?;
        if blob_id(object.data()).map_err(failed)? != item.id {
            let what = "its content is not what its name stands for: the repository is damaged";
            return Err(failed(git2::Error::new(ErrorCode::Invalid, ErrorClass::Odb, what)));
        }
        take(object.data());
        Ok(())
    }

    /// Fills the buffer from the checkout; false where that has something else there, or nothing.
    fn copy(&mut self, item: &Item, name: &[u8]) -> bool {
        let Some((top, near)) = &mut self.near else { return false };
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        let Ok(folder) = near.enter(top.as_fd(), item.folder) else { return false };
        let read = match item.kind {
            Kind::File | Kind::Program => read_file(folder, name, &mut self.buffer),
            Kind::Link => read_link(folder, name, &mut self.buffer),
            Kind::Submodule => Ok(false),
        };
        matches!(read, Ok(true)) && blob_id(&self.buffer).is_ok_and(|id| id == item.id)
    }
}

fn read_file(folder: BorrowedFd<'_>, name: &[u8], into: &mut Vec<u8>) -> io::Result<bool> {
    // A pipe would be waited for.
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, how, Mode::empty())?;
    into.clear();
    into.reserve(USUAL_FILE);
    // Most files are smaller: what the first call does not fill the room with is all there is. Whatever else a short
    // read may mean, what was read is held against its hash.
    if read_once(&file, into)? < USUAL_FILE {
        return Ok(true);
    }
    let stat = fstat(&file)?;
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || size > LARGEST_COPY {
        return Ok(false);
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    // A file that grew meanwhile is not what was looked for; one that shrank is shorter than its hash says.
    into.reserve(size.saturating_sub(into.len()));
    while into.len() < size && read_once(&file, into)? > 0 {}
    Ok(true)
}

/// Reads into the room that is left; how many bytes.
fn read_once(file: &OwnedFd, into: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        match rustix::io::read(file, rustix::buffer::spare_capacity(into)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn read_link(folder: BorrowedFd<'_>, name: &[u8], into: &mut Vec<u8>) -> io::Result<bool> {
    let target = readlinkat(folder, name, std::mem::take(into))?;
    *into = target.into_bytes();
    Ok(true)
}

/// The name of a file's content.
fn blob_id(content: &[u8]) -> Result<Oid, git2::Error> {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    Oid::from_bytes(&hash.finalize())
}
