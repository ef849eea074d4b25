//! Waiting for what concerns a supervisor: its agent's end, a signal to itself, a deadline. Costs nothing meanwhile.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGTERM, SIGTRAP};

/// The signals that a supervisor listens to, as readable descriptors.
#[derive(Debug)]
pub struct Listener {
    child: UnixStream,
    terminate: UnixStream,
    /// How often we were told to end.
    terminations: u32,
}

/// Why a wait came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A child may have ended: reap.
    Child,
    /// We were told to end; how often so far.
    Terminate(u32),
    /// The deadline has come.
    Deadline,
}

/// A child that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Reaped {
    /// Which one.
    pub pid: i32,
    /// How.
    pub status: WaitStatus,
}

impl Listener {
    /// Begins to listen. From here on SIGTERM no longer ends this process.
    pub fn start() -> io::Result<Self> {
        // A login that ends may send both: the polite one is heard, this one must not end us before the agent.
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        Ok(Self { child: listen(SIGCHLD)?, terminate: listen(SIGTERM)?, terminations: 0 })
    }

    /// Waits for the next event, or until the deadline if there is one. Children are told before signals, and signals
    /// before the deadline: an agent that has ended is never timed out.
    pub fn next(&mut self, deadline: Option<Instant>) -> io::Result<Wake> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.map(timespec);
            let mut fds = [
                PollFd::from_borrowed_fd(self.child.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.terminate.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if drain(&mut self.child)? > 0 {
                return Ok(Wake::Child);
            }
            let terminations = drain(&mut self.terminate)?;
            if terminations > 0 {
                self.terminations = self.terminations.saturating_add(terminations);
                return Ok(Wake::Terminate(self.terminations));
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Wake::Deadline);
            }
        }
    }

    /// How often we were told to end so far.
    pub fn terminations(&mut self) -> io::Result<u32> {
        let more = drain(&mut self.terminate)?;
        self.terminations = self.terminations.saturating_add(more);
        Ok(self.terminations)
    }
}

/// Collects the children that have ended, orphans that came to us included. One that only stopped because it asked to be
/// traced by its parent goes on untraced: nothing has ended, and we are not the one that it waits for.
pub fn reap() -> io::Result<(Vec<Reaped>, Remaining)> {
    let mut reaped = Vec::new();
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => match status.stopping_signal() {
                Some(signal) => let_go_on(pid, signal),
                None => reaped.push(Reaped { pid: pid.as_raw_nonzero().get(), status }),
            },
            Ok(None) => return Ok((reaped, Remaining::Some)),
            Err(Errno::CHILD) => return Ok((reaped, Remaining::None)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Lets a child go on that was stopped on its way to a signal, as if it were not traced. The stop after an exec has no
/// meaning but for who traces.
#[expect(unsafe_code, reason = "letting go of a traced process has no safe form")]
fn let_go_on(pid: Pid, signal: i32) {
    let passed_on = libc::c_long::from(if signal == SIGTRAP { 0 } else { signal });
    // SAFETY: with this request the kernel takes the last two arguments as numbers; no memory is read or written.
    // One that was killed meanwhile is not there to be let go of.
    let _ = unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw_nonzero().get(), 0usize, passed_on) };
}

/// Whether children are left after a reaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// At least one lives.
    Some,
    /// None: as a child subreaper, nothing that descends from us lives.
    None,
}

fn listen(signal: i32) -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal, writer)?;
    Ok(reader)
}

/// How many signals came. A full pipe loses some, which only a flood of them could fill.
fn drain(reader: &mut UnixStream) -> io::Result<u32> {
    let mut count = 0u32;
    let mut buffer = [0; 64];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(n) => count = count.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(count),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        // Rounded up, so that a wait never comes back a moment too early and spins.
        tv_nsec: (i64::from(duration.subsec_nanos()) + 1).min(999_999_999),
    }
}
