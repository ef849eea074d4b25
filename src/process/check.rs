//! Running a command line to its end, within a time, and ending whatever it started.
//!
//! It runs in a process group of its own, with nothing to read. What it starts is found by the group and by a mark in
//! the environment; a process that left the group and cleared its environment escapes that.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::descendants::{Kin, Mark};
use super::ending::{Pace, SweepError, Swept, sweep};
use super::identity::this_process;
use super::wait::Remaining;

/// A command line for the shell.
#[derive(Debug)]
pub struct Check<'a> {
    /// The command line.
    pub command: &'a str,
    /// The folder it runs in.
    pub directory: &'a Path,
    /// Variables that are added to the environment it inherits.
    pub added_environment: BTreeMap<String, OsString>,
    /// Variables that it does not inherit.
    pub removed_environment: Vec<OsString>,
    /// Takes what it says.
    pub output: File,
    /// What it bears among the added variables, and whatever it starts.
    pub mark: Mark,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckEnd {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal of someone else's.
    Signalled(i32),
    /// It took too long, and was ended.
    TimedOut,
    /// It was called off, and ended.
    Cancelled,
}

/// How often it is looked whether it was called off.
const LOOK: Duration = Duration::from_millis(100);
/// How long it, and what it left running, has to end by itself once told to.
const GRACE: Duration = Duration::from_secs(2);

/// Runs it. Nothing that it started is left then.
pub fn run(
    check: Check<'_>,
    timeout: Option<Duration>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<CheckEnd, SweepError> {
    let Check { command, directory, added_environment, removed_environment, output, mark } = check;
    let begun = Instant::now();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(directory).process_group(0).stdin(Stdio::null());
    let errors = output.try_clone().map_err(SweepError::Look)?;
    shell.stdout(output).stderr(errors);
    for name in &removed_environment {
        shell.env_remove(name);
    }
    shell.envs(&added_environment);
    let mut child = shell.spawn().map_err(SweepError::Look)?;
    let ended = wait(&child, timeout.map(|timeout| begun + timeout), is_cancelled);
    let left = end_rest(&child, &mark);
    let status = child.wait().map_err(SweepError::Look)?;
    let ended = ended.map_err(SweepError::Look)?;
    left?;
    Ok(ended.unwrap_or_else(|| plain(status)))
}

/// Ends what bears the mark, of a run whose process began at `since_ticks` and that no one waits for any more.
pub fn end_marked(mark: Mark, since_ticks: u64) -> Result<(), SweepError> {
    sweep_marked(mark, since_ticks).map(drop)
}

fn sweep_marked(mark: Mark, since_ticks: u64) -> Result<Swept, SweepError> {
    // Children that this process has are not what is swept.
    sweep(&Kin::Marked { mark, since_ticks }, GRACE, || Ok((Pace::InTime, Remaining::None)))
}

/// `None`: it has ended by itself.
fn wait(
    child: &Child,
    deadline: Option<Instant>,
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<Option<CheckEnd>> {
    let pidfd = pidfd_open(pid_of(child)?, PidfdFlags::empty())?;
    loop {
        let left = deadline.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()).min(LOOK));
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return Ok(Some(CheckEnd::TimedOut));
        }
        if is_cancelled() {
            return Ok(Some(CheckEnd::Cancelled));
        }
    }
}

/// Not waited for yet, so its pid and group are its own.
fn end_rest(child: &Child, mark: &Mark) -> Result<(), SweepError> {
    let since_ticks = this_process().map_or(0, |me| me.start_ticks);
    let swept = sweep_marked(mark.clone(), since_ticks);
    let pid = pid_of(child).map_err(SweepError::Look)?;
    match kill_process_group(pid, Signal::KILL) {
        // No one of it is left.
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => {}
        Err(errno) => {
            return Err(SweepError::Signal { pid: pid.as_raw_nonzero().get(), source: errno.into() });
        }
    }
    swept.map(drop)
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("the process id is out of range"))
}

fn plain(status: ExitStatus) -> CheckEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => CheckEnd::Exited(code),
        (None, signal) => CheckEnd::Signalled(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ran(command: &str, timeout: Option<Duration>, is_cancelled: &dyn Fn() -> bool) -> (CheckEnd, String) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let value = uuid::Uuid::now_v7().to_string();
        let check = Check {
            command,
            directory: folder.path(),
            added_environment: BTreeMap::from([("RALPH_TEST_CHECK".to_owned(), value.clone().into())]),
            removed_environment: vec!["HOME".into()],
            output: File::create(&log).unwrap(),
            mark: Mark::new("RALPH_TEST_CHECK", &value),
        };
        let end = run(check, timeout, is_cancelled).unwrap();
        let mark = Mark::new("RALPH_TEST_CHECK", &value);
        let left = super::super::descendants::living(&Kin::Marked { mark, since_ticks: 0 }).unwrap();
        assert!(left.is_empty(), "{left:?}");
        (end, fs::read_to_string(log).unwrap())
    }

    #[test]
    fn its_end_and_its_words_are_told() {
        let never = || false;
        assert_eq!(
            ran("echo out; echo err >&2; cat; exit 3", None, &never),
            (CheckEnd::Exited(3), "out\nerr\n".into())
        );
        assert_eq!(ran("test -z \"$HOME\" && pwd >/dev/null", None, &never).0, CheckEnd::Exited(0));
        assert_eq!(ran("kill -USR1 $$", None, &never).0, CheckEnd::Signalled(10));
    }

    #[test]
    fn it_is_ended_with_all_that_it_started() {
        let never = || false;
        let second = Some(Duration::from_millis(300));
        assert_eq!(ran("setsid sleep 1000 & sleep 1000", second, &never).0, CheckEnd::TimedOut);
        assert_eq!(ran("trap '' TERM; while :; do sleep 1000; done", second, &never).0, CheckEnd::TimedOut);
        assert_eq!(ran("sleep 1000", None, &|| true).0, CheckEnd::Cancelled);
        assert_eq!(ran("setsid sleep 1000 & sleep 1000 & exit 0", None, &never).0, CheckEnd::Exited(0));
    }
}
