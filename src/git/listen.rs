//! Listening to a program until it has ended: both of its outputs, for so long and no longer.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long is read what a process that git left behind keeps writing into git's output.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(1);
const STDERR_LIMIT: usize = 64 << 10;

/// Why git was not listened to up to its end.
pub(super) enum Deaf {
    /// It said more than was wanted.
    TooMuch,
    /// It took longer than this.
    TooSlow(Duration),
    /// It could not be heard.
    Io(io::Error),
}

impl From<io::Error> for Deaf {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<rustix::io::Errno> for Deaf {
    fn from(e: rustix::io::Errno) -> Self {
        Self::Io(e.into())
    }
}

/// Reads both outputs until git has ended. What a process that git left behind still says is not waited for.
pub(super) fn listen(
    child: &mut Child,
    patience: Option<Duration>,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, Deaf> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the process id is out of range"))?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let until = patience.map(|p| (p, Instant::now() + p));
    let mut stderr = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut gone: Option<Instant> = None;
    while out.is_some() || err.is_some() || gone.is_none() {
        let timeout = match (gone, until) {
            (Some(since), _) if since.elapsed() > LEFTOVER_PATIENCE => break,
            (Some(_), _) => Some(Duration::ZERO),
            (None, Some((patience, until))) => {
                let left = until.checked_duration_since(Instant::now());
                Some(left.ok_or(Deaf::TooSlow(patience))?)
            }
            (None, None) => None,
        };
        let [out_ready, err_ready, ended_ready] =
            wait(out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd), ended.as_fd(), timeout)?;
        if gone.is_some() && !out_ready && !err_ready {
            break;
        }
        if ended_ready && gone.is_none() {
            gone = Some(Instant::now());
        }
        if let Some(pipe) = out.as_mut().filter(|_| out_ready) {
            match pipe.read(&mut buffer)? {
                0 => out = None,
                n if !take(&buffer[..n]) => return Err(Deaf::TooMuch),
                _ => {}
            }
        }
        if let Some(pipe) = err.as_mut().filter(|_| err_ready) {
            match pipe.read(&mut buffer)? {
                0 => err = None,
                n => stderr.extend_from_slice(&buffer[..n.min(STDERR_LIMIT.saturating_sub(stderr.len()))]),
            }
        }
    }
    Ok(stderr)
}

/// Which of the three can be read, after at most `timeout`; none of them where it ran out.
fn wait(
    out: Option<std::os::fd::BorrowedFd<'_>>,
    err: Option<std::os::fd::BorrowedFd<'_>>,
    ended: std::os::fd::BorrowedFd<'_>,
    timeout: Option<Duration>,
) -> Result<[bool; 3], Deaf> {
    let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut fds: Vec<PollFd<'_>> = [out, err, Some(ended)]
        .into_iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok([false; 3]),
        Err(e) => return Err(e.into()),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut next = |there: bool| there && ready.next().unwrap_or(false);
    Ok([next(out.is_some()), next(err.is_some()), next(true)])
}
