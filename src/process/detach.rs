//! Leaving whoever started us: no terminal, no pipes of theirs, and orphans come to us.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{getpid, set_child_subreaper, setsid};

use super::disposition::{forget, hear_everything, ignore_nothing};
use super::uninterrupted::FROM_TERMINAL;

/// What a supervisor was handed: its standard input and output, which are now `/dev/null`.
#[derive(Debug)]
pub struct Handed {
    /// What came as standard input: the session's lock.
    pub lock: File,
    /// What came as standard output: where to say that the session runs.
    pub readiness: OwnedFd,
}

/// Turns this process into one that nobody waits for: takes what it was handed out of reach of its children, closes
/// every other descriptor that it inherited, leaves its terminal and session, and neither blocks nor ignores a signal that
/// it was started to. What the terminal has sent before that was meant for others. Called once, before anything else is
/// opened.
pub fn detach() -> io::Result<Handed> {
    close_inherited()?;
    let lock = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let readiness = fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    forget(&FROM_TERMINAL);
    ignore_nothing();
    hear_everything();
    // A worktree, or the folder that the command was given in, must not be kept busy by us.
    std::env::set_current_dir("/")?;
    Ok(Handed { lock: File::from(lock), readiness })
}

/// A pipe of the caller's that we kept open would keep its reader waiting for as long as the session lives.
#[expect(unsafe_code, reason = "closing descriptors by number has no safe form")]
fn close_inherited() -> io::Result<()> {
    // SAFETY: called before this process has opened any descriptor of its own, so none that is closed has an owner
    // in this program; 0, 1 and 2 stay.
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
