//! Whether the kernel lets this process do what ralph rests on. Each is done for real, in a form that changes
//! nothing: a list of versions would be wrong in a container whose filter forbids a call that its kernel has.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, ResolveFlags, memfd_create};
use rustix::process::{Signal, child_subreaper, getpid, set_child_subreaper};

use super::identity::{Machine, this_process};
use super::signal::{Delivery, Handle};

/// Something that the kernel has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// A process is held and signalled by a descriptor: `pidfd_open`, `pidfd_send_signal`.
    Pidfd,
    /// Orphans come to their supervisor: `PR_SET_CHILD_SUBREAPER`.
    Subreaper,
    /// A lock belongs to one open description, and excludes every other: `flock`.
    Flock,
    /// A path is opened beneath a folder only: `openat2`.
    Openat2,
    /// Descriptors are closed by the range: `close_range`.
    CloseRange,
    /// A process's environment can be read: `/proc/<pid>/environ`.
    Environ,
    /// Processes, boot and pid namespace can be told apart: `/proc/<pid>/stat`, `boot_id`, `ns/pid`.
    Identity,
}

impl Feature {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::Pidfd,
        Self::Subreaper,
        Self::Flock,
        Self::Openat2,
        Self::CloseRange,
        Self::Environ,
        Self::Identity,
    ];
}

/// Uses the feature once. Not to be called while this process has children to look after.
pub fn try_out(feature: Feature) -> io::Result<()> {
    match feature {
        Feature::Pidfd => {
            let me = this_process().ok_or_else(|| gone("this process"))?;
            let handle = Handle::open(me)?.ok_or_else(|| gone("this process"))?;
            // To a process that runs, SIGCONT is nothing.
            match handle.send(Signal::CONT)? {
                Delivery::Delivered => Ok(()),
                Delivery::Gone => Err(gone("this process")),
            }
        }
        Feature::Subreaper => {
            let before = child_subreaper()?;
            set_child_subreaper(Some(getpid()))?;
            let is_set = child_subreaper()?.is_some();
            set_child_subreaper(before)?;
            if is_set { Ok(()) } else { Err(io::Error::other("it was set and is not there")) }
        }
        Feature::Flock => exclude(&File::from(memfd_create(c"ralph", MemfdFlags::CLOEXEC)?)),
        Feature::Openat2 => {
            let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let root =
                rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::openat2(root, ".", flags, Mode::empty(), beneath)?;
            Ok(())
        }
        Feature::CloseRange => close_nothing(),
        Feature::Environ => {
            let pid = getpid().as_raw_nonzero();
            fs::read(format!("/proc/{pid}/environ")).map(drop)
        }
        Feature::Identity => {
            this_process().ok_or_else(|| gone("this process"))?;
            Machine::this().map(drop)
        }
    }
}

fn gone(what: &str) -> io::Error {
    io::Error::other(format!("{what} is not in /proc"))
}

#[expect(unsafe_code, reason = "closing descriptors by number has no safe form")]
fn close_nothing() -> io::Result<()> {
    let none = libc::c_uint::MAX;
    // SAFETY: the largest number of all is no descriptor, since the kernel counts them in a signed int.
    let result = unsafe { libc::close_range(none, none, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What became of an attempt to use a folder.
#[derive(Debug)]
pub enum Use {
    /// A file was written and locked; a second lock on it was refused, as it has to be.
    Sound,
    /// Nothing can be written.
    NotWritable(io::Error),
    /// A file can be written, but locks on it do not work: why.
    NoLocks(io::Error),
}

/// Writes a file without a name into `folder`, and locks it twice.
pub fn use_folder(folder: &Path) -> Use {
    let file = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(b"x").map(|()| file));
    match file {
        Err(error) => Use::NotWritable(error),
        Ok(file) => match exclude(&file) {
            Ok(()) => Use::Sound,
            Err(error) => Use::NoLocks(error),
        },
    }
}

/// Takes the lock, and checks that another open description of the same file does not get it.
fn exclude(file: &File) -> io::Result<()> {
    file.try_lock()?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let again = rustix::fs::openat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), flags, Mode::empty())?;
    match File::from(again).try_lock() {
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Err(io::Error::other("two holders got the same lock")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_out_leaves_nothing_behind() {
        let before = child_subreaper().unwrap();
        for feature in Feature::ALL {
            try_out(feature).unwrap();
        }
        assert_eq!(child_subreaper().unwrap(), before);
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(use_folder(folder.path()), Use::Sound));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_takes_no_file_is_not_writable() {
        for folder in ["/proc", "/nowhere"] {
            assert!(matches!(use_folder(Path::new(folder)), Use::NotWritable(_)), "{folder}");
        }
    }
}
