//! Every process that came out of a sandbox, found in /proc and whatever it did to hide: by the mark in its
//! environment, or by a working directory, program or argument inside the sandbox (a daemon started with `env -i`
//! has no mark). A zombie is dead.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::wait;

/// A process that is alive, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub ppid: i32,
    pub pgid: i32,
    pub sid: i32,
    /// The state letter of /proc: `S` sleeping, `T` stopped …
    pub state: char,
    pub start_ticks: u64,
    /// The command line, arguments separated by spaces.
    pub command: String,
}

impl Process {
    /// The process `pid`, unless it is gone or a zombie.
    pub fn find(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name stands in brackets and may itself hold brackets and spaces.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
        let state = fields.first()?.chars().next()?;
        if matches!(state, 'Z' | 'X') {
            return None;
        }
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
        Some(Self {
            pid,
            state,
            ppid: number(1)?,
            pgid: number(2)?,
            sid: number(3)?,
            start_ticks: fields.get(19)?.parse().ok()?,
            command,
        })
    }

    /// Whether this very process, not another with its number, is still alive.
    pub fn is_alive(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.start_ticks == self.start_ticks)
    }

    /// Sends it a signal; one that is gone meanwhile is none of our concern.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid).expect("a process has a positive pid");
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if self.is_alive() {
            // The only failure left is that it ended since.
            pidfd_send_signal(&handle, signal).ok();
        }
    }

    /// The value of a variable in the environment it was started with.
    pub fn env(&self, name: &str) -> Option<String> {
        let environ = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let wanted = format!("{name}=");
        let entry = environ.split(|byte| *byte == 0).find(|entry| entry.starts_with(wanted.as_bytes()))?;
        Some(String::from_utf8_lossy(&entry[wanted.len()..]).into_owned())
    }
}

/// Every live process of this machine that can be looked at.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::find).collect()
}

/// The children of a process that it has not waited for: also those that have ended.
pub fn children(of: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        parent.and_then(|parent| parent.trim().parse().ok()) == Some(of)
    };
    pids.filter(is_child).collect()
}

/// The live processes whose environment holds `name=value`.
pub fn with_env(name: &str, value: &str) -> Vec<Process> {
    all().into_iter().filter(|process| process.env(name).as_deref() == Some(value)).collect()
}

/// What makes a process one of a sandbox's.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The variable's name.
    pub name: &'static str,
    /// The variable's value: unique to the sandbox.
    pub value: String,
    /// The sandbox's folder, without symbolic links.
    pub folder: PathBuf,
}

impl Mark {
    /// The live processes that carry the mark.
    pub fn processes(&self) -> Vec<Process> {
        all().into_iter().filter(|process| self.is_on(process)).collect()
    }

    fn is_on(&self, process: &Process) -> bool {
        if process.env(self.name).as_deref() == Some(&self.value) {
            return true;
        }
        let link_is_inside = |link: &str| {
            fs::read_link(Path::new("/proc").join(process.pid.to_string()).join(link))
                .is_ok_and(|target| target.starts_with(&self.folder))
        };
        let argument_is_inside = || {
            let bytes = process.command.as_bytes();
            let folder = self.folder.as_os_str().as_bytes();
            bytes.windows(folder.len()).any(|window| window == folder)
        };
        link_is_inside("cwd") || link_is_inside("exe") || link_is_inside("root") || argument_is_inside()
    }

    /// Ends every process that carries the mark, also those that are started meanwhile.
    pub fn end_all(&self) {
        wait::until("every process of the sandbox to be gone", || {
            let alive = self.processes();
            for process in &alive {
                process.signal(Signal::KILL);
            }
            alive.is_empty().then_some(())
        });
    }
}

/// Waits until `look` finds no process, twice in a row: a process in the middle of exec shows no environment.
#[track_caller]
pub fn until_none(what: &str, mut look: impl FnMut() -> Vec<Process>) {
    let mut last = Vec::new();
    let mut empty_looks = 0;
    let gone = wait::within(wait::DEADLINE, || {
        last = look();
        empty_looks = if last.is_empty() { empty_looks + 1 } else { 0 };
        (empty_looks == 2).then_some(())
    });
    assert!(gone.is_some(), "waited {:?} for {what} to be gone; still there: {last:#?}", wait::DEADLINE);
}

/// The program `name` of this machine: the system's own before anything else on PATH, because a version manager's
/// stand-in needs the HOME that a sandbox does not have.
pub fn program_of_this_machine(name: &str) -> Option<PathBuf> {
    let system = [Path::new("/usr/local/bin"), Path::new("/usr/bin"), Path::new("/bin")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let listed: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let folders = system.into_iter().chain(listed.iter().map(PathBuf::as_path));
    folders.map(|folder| folder.join(OsStr::new(name))).find(|file| file.is_file())
}
