//! Who a process is: pid and start time, on one boot of one machine, in one pid namespace.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its process id.
    pub pid: i32,
    /// Its start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// Where pids have their meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The machine's name.
    pub host: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The inode of this process's pid namespace.
    pub pid_ns: u64,
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub identity: Identity,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// How much of it lives.
    pub life: Life,
}

/// How much of a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// All of it, as far as `/proc` says.
    Whole,
    /// Its first thread has ended and others go on: a zombie by its state, and all that there is to be seen of it is
    /// its threads'.
    Headless,
    /// Nothing: it only waits for its parent to notice.
    Ended,
}

impl Machine {
    /// This machine, as it runs now.
    pub fn this() -> io::Result<Self> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let pid_ns = fs::metadata("/proc/self/ns/pid")?.ino();
        Ok(Self { host, boot_id, pid_ns })
    }
}

/// A process's stat; `None` where there is no such process, or it could not be looked at.
pub fn stat(pid: i32) -> Option<Stat> {
    look(pid).ok().flatten()
}

/// A process's stat; `None` where there is no such process. One that could not be looked at, for want of a descriptor
/// for instance, is an error: it may well be there.
pub fn look(pid: i32) -> io::Result<Option<Stat>> {
    match fs::read(Path::new("/proc").join(pid.to_string()).join("stat")) {
        Ok(text) => Ok(parse_stat(&text).filter(|stat| stat.identity.pid == pid)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every process of this pid namespace that we may look at. One that ends while we look is simply not there.
pub fn all() -> io::Result<Vec<Stat>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        match look(pid) {
            Ok(stat) => processes.extend(stat),
            // Another user's, where those are hidden (`hidepid`).
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(processes)
}

/// Whether a file of `/proc` says by this that its process is not there any more: before it was opened, or since.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

/// The words that a process was started with; `None` where it is gone, or keeps them to itself.
pub fn command_line(pid: i32) -> Option<Vec<OsString>> {
    let text = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).ok()?;
    words(&text)
}

pub(super) fn words(text: &[u8]) -> Option<Vec<OsString>> {
    let text = text.strip_suffix(b"\0").filter(|text| !text.is_empty())?;
    Some(text.split(|b| *b == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect())
}

/// This process.
pub fn this_process() -> Option<Identity> {
    stat(rustix::process::getpid().as_raw_nonzero().get()).map(|stat| stat.identity)
}

/// Whether this very process is still there, or may be, for all that can be told; a zombie without threads is not.
pub fn is_alive(identity: Identity) -> bool {
    let is_there = |stat: Stat| stat.identity == identity && stat.life != Life::Ended;
    look(identity.pid).map_or(true, |found| found.is_some_and(is_there))
}

/// Reads a stat line. The name in it may hold anything, spaces and brackets too: it ends at the last `)`.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let close = text.iter().rposition(|b| *b == b')')?;
    let open = text.iter().position(|b| *b == b'(')?;
    let pid = std::str::from_utf8(text.get(..open)?).ok()?.trim().parse().ok()?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc_pid_stat(5) counts from 1 with the pid; the fields behind the name start at 3.
    let field = |number: usize| fields.get(number - 3).copied();
    let threads: i64 = field(20)?.parse().ok()?;
    Some(Stat {
        identity: Identity { pid, start_ticks: field(22)?.parse().ok()? },
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        life: match field(3)? {
            // The first one counts as long as there are others.
            "Z" | "X" if threads > 1 => Life::Headless,
            "Z" | "X" => Life::Ended,
            _ => Life::Whole,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a b) c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.identity, Identity { pid: 42, start_ticks: 98765 });
        assert_eq!((stat.parent, stat.group, stat.life), (7, 42, Life::Whole));
    }

    #[test]
    fn a_zombie_with_threads_has_not_ended() {
        let life = |state, threads| {
            let line = format!("42 (x) {state} 7 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 98765 0 0");
            parse_stat(line.as_bytes()).unwrap().life
        };
        assert_eq!([life("Z", 1), life("Z", 0), life("X", 1)], [Life::Ended; 3]);
        assert_eq!([life("Z", 2), life("Z", 5)], [Life::Headless; 2]);
        assert_eq!([life("S", 1), life("T", 5), life("D", 0)], [Life::Whole; 3]);
    }

    #[test]
    fn nonsense_is_no_process() {
        for text in [&b""[..], b"1", b"1 (x", b"1 (x)", b"1 (x) S", b") 1 (", b"x (y) S 1 1 1", &[0xff; 40]] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    const ALONE: &str = "RALPH_TEST_WITHOUT_DESCRIPTORS";

    #[test]
    fn who_cannot_be_looked_at_is_not_taken_for_gone() {
        // In a process of its own: other tests need descriptors.
        if std::env::var_os(ALONE).is_some() {
            let me = this_process().unwrap();
            let limit = Rlimit { current: Some(0), maximum: getrlimit(Resource::Nofile).maximum };
            setrlimit(Resource::Nofile, limit).unwrap();
            let errno = Errno::from_io_error(&look(me.pid).unwrap_err());
            assert_eq!(errno, Some(Errno::MFILE));
            assert!(all().is_err());
            return;
        }
        let name = "process::identity::tests::who_cannot_be_looked_at_is_not_taken_for_gone";
        let this = std::env::current_exe().unwrap();
        let child = Command::new(this).args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && told.contains("1 passed"), "{child:?}");
    }

    #[test]
    fn this_process_is_alive_and_one_with_another_start_time_is_not() {
        let me = this_process().unwrap();
        assert!(is_alive(me));
        assert!(!is_alive(Identity { start_ticks: me.start_ticks + 1, ..me }));
    }
}
