//! Files that survive a crash, and locks that say who is alive.
//!
//! A durable file is replaced whole: a temporary file in the same directory, fsync, rename, fsync of the directory.
//! A reader sees the old content or the new, never a part. Reads are bounded, because what they read may have been
//! replaced by something hostile. Locks are flock(2) on files that are never unlinked; a lock belongs to the open
//! description, so a process that was handed the descriptor holds the lock too.
//!
//! Not promised: that a network file system honours any of this.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::failpoint;

/// An operation on a file that failed: which, on what, and why.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused the operation.
    #[error("could not {operation} {}: {source}", path.display())]
    Io {
        /// What was attempted, as an infinitive: `write`, `lock`.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is larger than anything that ralph writes there.
    #[error("{} is larger than {limit} bytes, which no file of ralph's is", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
}

impl FileError {
    /// Wraps the system's answer to `operation` on `path`.
    pub fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }

    /// The system's own code, where the system refused.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::TooLarge { .. } => None,
        }
    }

    /// Whether something else than a file stands there: a folder, a named pipe, a link.
    pub fn is_of_another_kind(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::Other | io::ErrorKind::IsADirectory)
            || matches!(Errno::from_io_error(source), Some(Errno::LOOP | Errno::NXIO))
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether the system was only short of something: of descriptors, or of memory.
    pub fn is_passing(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        is_passing(source)
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        remedy(self.kind()?)
    }
}

/// Whether an operation failed only because the system was short of descriptors, memory or locks.
pub fn is_passing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOLCK))
}

/// What the C library says of a disk without room, or of a user who may not fill it further.
const FULL: [(&str, io::ErrorKind); 3] = [
    ("No space left on device", io::ErrorKind::StorageFull),
    ("Out of diskspace", io::ErrorKind::StorageFull),
    ("Disk quota exceeded", io::ErrorKind::QuotaExceeded),
];

/// What to do about a file that the machine does not let ralph write.
pub fn remedy(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on that disk, and try again; nothing was lost")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            Some("ralph keeps its records in the repository's git directory, and must be able to write there")
        }
        _ => None,
    }
}

/// The same where all that there is of the cause is what a library or a program said, in the C library's words.
pub fn remedy_of(said: &str) -> Option<&'static str> {
    let read_only = ("Read-only file system", io::ErrorKind::ReadOnlyFilesystem);
    FULL.iter()
        .chain([&read_only])
        .find(|(words, _)| said.contains(words))
        .and_then(|(_, kind)| remedy(*kind))
}

/// Whether a library or a program says that there is no room.
pub fn says_full(said: &str) -> bool {
    FULL.iter().any(|(words, _)| said.contains(words))
}

/// Makes `path` a directory of mode 0700, with its parents, whatever the umask; one that exists is left as it is.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) => Err(FileError::io("create the directory", path, error)),
    }
}

/// Takes a file away that need not be there.
pub fn remove(path: &Path) -> Result<(), FileError> {
    gone(path, fs::remove_file(path))
}

/// Takes away what has the place of a file. A folder, which may hold anything, is kept aside.
pub fn clear(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => {
            put_aside(path).map_err(|e| FileError::io("move away", path, e))
        }
        removed => gone(path, removed),
    }
}

/// Takes a folder away, which need not be there, and all that is in it.
pub fn remove_all(path: &Path) -> Result<(), FileError> {
    gone(path, fs::remove_dir_all(path))
}

fn gone(path: &Path, removed: io::Result<()>) -> Result<(), FileError> {
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Replaces `path` with `content`, durably, mode 0600. A folder in its place, which no file can replace, is kept aside.
pub fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let temporary = Temporary::beside(path, content)?;
    let result = rename_synced(&temporary.path, path);
    if result.is_err() {
        temporary.discard();
    }
    result
}

/// Makes an empty file at `path` unless there is one: for where that alone says something, and there is no room for more.
pub fn mark(path: &Path) -> Result<(), FileError> {
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(AS_A_FILE)
        .open(path);
    made.map(drop).map_err(|e| FileError::io("create", path, e))?;
    failpoint::hit("durable.marked");
    Ok(())
}

/// What came of making a file that may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is new, with the content that was given.
    New,
    /// Something had the name, and was left as it is.
    Taken,
}

/// Makes `path` with `content`, whole from its first moment on, durably, mode 0600; what has the name is not replaced.
pub fn write_new(path: &Path, content: &[u8]) -> Result<Made, FileError> {
    let temporary = Temporary::beside(path, content)?;
    let result = match rename_to_free(&temporary.path, path) {
        Ok(()) => sync_dir(parent(path)).map(|()| Made::New),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Taken),
        Err(e) => Err(FileError::io("create", path, e)),
    };
    temporary.discard();
    result
}

/// Renames a file to a name that nothing has.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::hard_link(from, to),
        other => other.map_err(io::Error::from),
    }
}

/// Makes the names in `directory` durable.
pub fn sync_dir(directory: &Path) -> Result<(), FileError> {
    File::open(directory)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| FileError::io("sync the directory", directory, e))
}

/// A whole file that is not in its place yet. It is locked for as long as someone is at it: one that no one holds was left
/// by someone who was killed.
struct Temporary {
    path: PathBuf,
    _file: File,
}

impl Temporary {
    fn beside(path: &Path, content: &[u8]) -> Result<Self, FileError> {
        loop {
            failpoint::hit("durable.write");
            let path = temporary_beside(path);
            let failed = |operation| {
                let path = path.clone();
                move |e| FileError::io(operation, &path, e)
            };
            let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let mut file = new.map_err(failed("create"))?;
            file.lock().map_err(failed("lock"))?;
            let written =
                file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| file.metadata());
            match written {
                // Between its beginning and its lock it could pass for left behind, and was deleted.
                Ok(meta) if meta.nlink() == 0 => {}
                Ok(_) => return Ok(Self { path, _file: file }),
                Err(e) => {
                    Self { path: path.clone(), _file: file }.discard();
                    return Err(failed("write")(e));
                }
            }
        }
    }

    /// Best effort: the name is unique, so what stays behind is never mistaken for a record.
    fn discard(self) {
        drop(fs::remove_file(&self.path));
    }
}

/// The unique part of a name that a temporary file has; none of any other name.
pub fn temporary_id(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.').map(|(_, id)| id)
}

/// Deletes a temporary file that no one is at any more. Answers whether no one was.
pub fn remove_abandoned(temporary: &Path) -> io::Result<bool> {
    let file = match open_no_follow(temporary) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
    };
    match file.try_lock() {
        Ok(()) => fs::remove_file(temporary).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn rename_synced(from: &Path, to: &Path) -> Result<(), FileError> {
    failpoint::hit("durable.rename");
    let renamed = match fs::rename(from, to) {
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => {
            put_aside(to).and_then(|()| fs::rename(from, to))
        }
        other => other,
    };
    renamed.map_err(|e| FileError::io("replace", to, e))?;
    failpoint::hit("durable.sync");
    sync_dir(parent(to))
}

/// Gives what is in the place of a record a name that no record has.
fn put_aside(path: &Path) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".corrupt-{}", Timestamp::now().as_millisecond()));
    fs::rename(path, path.with_file_name(name))
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", uuid::Uuid::now_v7().simple()));
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The content of `path`, or `None` where there is no such file. Follows no symbolic link at the last step.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    read_at(CWD, path, path, limit)
}

/// A folder that is open: what is in it is found without going all the way down to it each time.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder; `None` where there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, FileError> {
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, how, Mode::empty()) {
            Ok(folder) => Ok(Some(Self { folder, path: path.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(FileError::io("open", path, e.into())),
        }
    }

    /// The content of a file in it: as [`read`].
    pub fn read(&self, name: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
        read_at(self.folder.as_fd(), name, &self.path.join(name), limit)
    }

    /// The descriptor, to open what is in it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Reads `name` in `folder`, which is `path` to a person.
fn read_at(
    folder: BorrowedFd<'_>,
    name: &Path,
    path: &Path,
    limit: u64,
) -> Result<Option<Vec<u8>>, FileError> {
    let file = match without_waiting(folder, name) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FileError::io("open", path, e)),
    };
    // Thousands of small records are read in one command: for each, one look that comes back less than full is all.
    let mut small = [MaybeUninit::uninit(); SMALL];
    let first = rustix::io::retry_on_intr(|| Ok(rustix::io::read(&file, &mut small)?.0.to_vec()));
    let first = match first {
        Ok(content) if (1..SMALL).contains(&content.len()) && content.len() as u64 <= limit => {
            return Ok(Some(content));
        }
        other => other,
    };
    let failed = |e| FileError::io("read", path, e);
    // Also the reason why something else than a file could not be read.
    let file = refuse_other_kinds(file).map_err(|e| FileError::io("open", path, e))?;
    let mut content = first.map_err(|e| failed(e.into()))?;
    file.take((limit + 1).saturating_sub(content.len() as u64)).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(Some(content))
}

/// Room for most records.
const SMALL: usize = 8 << 10;

/// Opens a file for reading: not through a symbolic link, and without waiting on a named pipe.
pub fn open_no_follow(path: &Path) -> io::Result<File> {
    without_waiting(CWD, path).and_then(refuse_other_kinds)
}

fn without_waiting(folder: BorrowedFd<'_>, name: &Path) -> io::Result<File> {
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(folder, name, how, Mode::empty())?.into())
}

fn refuse_other_kinds(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Opens nothing through a link, and waits for no one at the other end of a named pipe.
const AS_A_FILE: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

/// Room on the disk that was set aside while there was some, so that one last record can be written when there is
/// none.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Sets `size` bytes aside in the file `path`. A file system that cannot is not an error: the reserve is then
    /// simply not there when it is wanted.
    pub fn set_aside(path: PathBuf, size: u64) -> Result<Self, FileError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| FileError::io("create", &path, e))?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(Self { path }),
            Err(errno) => {
                let error = FileError::io("set room aside in", &path, errno.into());
                drop(fs::remove_file(&path));
                Err(error)
            }
        }
    }

    /// Room that was set aside in `path` by an earlier process.
    pub fn existing(path: PathBuf) -> Self {
        Self { path }
    }

    /// Replaces `path` as [`write()`] does; on a full disk, with the room that was set aside, which is then used up.
    pub fn write(&self, path: &Path, content: &[u8]) -> Result<(), FileError> {
        match write(path, content) {
            Err(error) if error.is_full() => {
                self.write_in_place(content).and_then(|()| rename_synced(&self.path, path))
            }
            other => other,
        }
    }

    /// Gives the room back.
    pub fn release(self) -> Result<(), FileError> {
        remove(&self.path)
    }

    /// Overwrites the reserved blocks and only then cuts the rest off, so that no block is ever asked for.
    fn write_in_place(&self, content: &[u8]) -> Result<(), FileError> {
        let failed = |e| FileError::io("write", &self.path, e);
        let open = OpenOptions::new().write(true).custom_flags(AS_A_FILE).open(&self.path);
        let mut file = open.and_then(refuse_other_kinds).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.set_len(content.len() as u64).map_err(failed)?;
        file.sync_all().map_err(failed)
    }
}

/// A lock file that is held exclusively for as long as this value, or a copy of its descriptor, lives.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct HeldLock {
    file: File,
}

/// Who holds a lock, as far as a look can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// Someone holds it.
    Held,
    /// No one holds it, or there is no such file.
    Free,
}

impl HeldLock {
    /// Takes the lock if it is free. `None`: someone else holds it.
    pub fn try_take(path: &Path) -> Result<Option<Self>, FileError> {
        let file = open_lock(path)?;
        match file.try_lock() {
            Ok(()) => {
                failpoint::hit("lock.taken");
                Ok(Some(Self { file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(FileError::io("lock", path, e)),
        }
    }

    /// Takes the lock, waiting for it as long as `patience`. `None`: it was not to be had.
    pub fn take_within(path: &Path, patience: Duration) -> Result<Option<Self>, FileError> {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// The descriptor, to hand the lock to a child. The lock is free when the last copy is closed.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes over a lock that came as an open descriptor.
    pub fn adopt(file: File) -> Self {
        Self { file }
    }
}

/// Looks whether the lock at `path` is held, without ever standing in the way of who wants to hold it for long.
pub fn probe_lock(path: &Path) -> Result<LockState, FileError> {
    let file = match open_no_follow(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        Err(e) => return Err(FileError::io("open", path, e)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(LockState::Free),
        Err(TryLockError::WouldBlock) => Ok(LockState::Held),
        Err(TryLockError::Error(e)) => Err(FileError::io("look at the lock", path, e)),
    }
}

/// Waits until no one holds the lock at `path` exclusively. Costs nothing while it waits.
pub fn wait_until_free(path: &Path) -> Result<(), FileError> {
    match open_no_follow(path) {
        Ok(file) => file.lock_shared().map_err(|e| FileError::io("wait for the lock", path, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(FileError::io("open", path, e)),
    }
}

fn open_lock(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(AS_A_FILE)
        .open(path)
        .and_then(refuse_other_kinds)
        .map_err(|e| FileError::io("open the lock", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        fs::create_dir_all(path.join("inner")).unwrap();
        write(&path, b"one").unwrap();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"one");
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<PathBuf> = names.filter(|other| *other != path).collect();
        assert!(matches!(&aside[..], [folder] if folder.join("inner").is_dir()), "{aside:?}");
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        assert_eq!(write_new(&path, b"one").unwrap(), Made::New);
        assert_eq!(write_new(&path, b"two").unwrap(), Made::Taken);
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_temporary_file_is_abandoned_once_no_one_is_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let temporary = Temporary::beside(&dir.path().join("record.json"), b"half").unwrap();
        let path = temporary.path.clone();
        assert!(temporary_id(path.file_name().unwrap().to_str().unwrap()).is_some());
        assert!(!remove_abandoned(&path).unwrap() && path.exists());
        // As when whoever wrote it is killed.
        drop(temporary);
        assert!(remove_abandoned(&path).unwrap() && !path.exists());
        assert!(remove_abandoned(&path).unwrap(), "one that is gone");
        for other in ["record.json", ".record.json", ".tmp", "record.1.tmp"] {
            assert_eq!(temporary_id(other), None, "{other}");
        }
    }

    #[test]
    fn reads_are_bounded_and_follow_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write(&path, b"12345").unwrap();
        assert!(matches!(read(&path, 4), Err(FileError::TooLarge { .. })));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&link, 10).is_err());
        assert!(read(&dir.path().join("none"), 10).unwrap().is_none());
    }

    #[test]
    fn a_named_pipe_or_a_folder_in_the_place_of_a_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, folder, link) =
            (dir.path().join("pipe"), dir.path().join("folder"), dir.path().join("link"));
        rustix::fs::mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&pipe, &folder, &link] {
            let refused = [
                probe_lock(path).unwrap_err(),
                wait_until_free(path).unwrap_err(),
                HeldLock::try_take(path).unwrap_err(),
                read(path, 10).unwrap_err(),
                mark(path).unwrap_err(),
                Reserve::existing(path.clone()).write_in_place(b"1").unwrap_err(),
            ];
            assert!(refused.iter().all(FileError::is_of_another_kind), "{refused:?}");
        }
    }

    #[test]
    fn a_lock_is_held_until_the_last_copy_of_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = HeldLock::try_take(&path).unwrap().unwrap();
        let copy = HeldLock::adopt(lock.file().try_clone().unwrap());
        assert!(HeldLock::try_take(&path).unwrap().is_none());
        drop(lock);
        assert_eq!(probe_lock(&path).unwrap(), LockState::Held);
        drop(copy);
        assert_eq!(probe_lock(&path).unwrap(), LockState::Free);
    }
}
