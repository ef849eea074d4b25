//! Finding what a session has running: by descent, and by the mark in the environment.
//!
//! While a supervisor lives, descent finds everything, since orphans become its children. After it was killed only the
//! mark is left, which a process that cleared its environment no longer bears: a gap that only confinement closes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::identity::{self, Identity, Life, Stat, is_gone};

/// `RALPH_SESSION_ID=<id>`, as it stands in the environment of everything that a session starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(Vec<u8>);

impl Mark {
    /// The mark with this variable name and value.
    pub fn new(name: &str, value: &str) -> Self {
        Self(format!("{name}={value}").into_bytes())
    }

    pub(super) fn is_in(&self, environment: &[u8]) -> bool {
        environment.split(|b| *b == 0).any(|variable| variable == self.0)
    }
}

/// Which processes are a session's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kin {
    /// Descendants of this process, and whatever bears the mark.
    OfSupervisor {
        /// The supervisor, which is not one of them.
        supervisor: i32,
        /// The mark.
        mark: Mark,
    },
    /// Only what bears the mark and began no earlier than the session.
    Marked {
        /// The mark.
        mark: Mark,
        /// The start time of the session's first process.
        since_ticks: u64,
    },
}

/// The session's processes that are alive now.
pub fn living(kin: &Kin) -> io::Result<Vec<Identity>> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut found: Vec<Identity> = match kin {
        Kin::OfSupervisor { supervisor, mark } => {
            let processes = identity::all()?;
            let below = below(*supervisor, &processes);
            let mut found = Vec::new();
            for process in processes.iter().filter(|process| process.life != Life::Ended) {
                if below.contains(&process.identity.pid) || bears(mark, process)? {
                    found.push(process.identity);
                }
            }
            found
        }
        Kin::Marked { mark, since_ticks } => {
            let is_kin = |process: &Stat| process.identity.start_ticks >= *since_ticks;
            let find = |process: &Stat, environment: &[u8]| {
                (is_kin(process) && mark.is_in(environment)).then_some(process.identity)
            };
            // Whoever has some to end looks again.
            settled(find, |found| !found.is_empty())?
        }
    };
    found.retain(|identity| identity.pid > 1 && identity.pid != me);
    Ok(found)
}

/// Our own children, also those that became ours when their parent ended. This takes a fraction of the time of a look at
/// all processes.
pub fn own_children() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for pid in own_child_pids()? {
        found.extend(identity::look(pid)?);
    }
    Ok(found)
}

fn own_child_pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let file = thread?.path().join("children");
        match fs::read_to_string(&file) {
            Ok(text) => pids.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            // Not every kernel lists them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let me = rustix::process::getpid().as_raw_nonzero().get();
                let is_ours = |process: &Stat| process.parent == me;
                let ours = identity::all()?.into_iter().filter(is_ours);
                return Ok(ours.map(|process| process.identity.pid).collect());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pids)
}

/// The values that the variable `name` has in the environments of our own processes that are alive now.
pub fn values_of_mark(name: &str) -> io::Result<HashSet<Vec<u8>>> {
    let begin = format!("{name}=").into_bytes();
    let find = |_: &Stat, environment: &[u8]| {
        let mut variables = environment.split(|b| *b == 0);
        variables.find_map(|variable| variable.strip_prefix(&begin[..])).map(<[u8]>::to_vec)
    };
    Ok(settled(find, |_| false)?.into_iter().collect())
}

/// More looks are not taken at processes without an environment: they have none.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// What is found in the environments of our own processes, or `enough` of it. One look does not do: a process that is
/// started meanwhile may have a number that was passed already, and one that is about to run another program has no
/// environment for a moment. So it is looked again until nothing more is found, and no environment is missing.
fn settled<T: PartialEq>(
    find: impl Fn(&Stat, &[u8]) -> Option<T>,
    enough: impl Fn(&[T]) -> bool,
) -> io::Result<Vec<T>> {
    let mut found: Vec<T> = Vec::new();
    for look in 0..LOOKS {
        let known = found.len();
        let mut is_clear = true;
        let has_one = |process: &&Stat| process.life != Life::Ended && !is_the_kernels(process);
        for process in identity::all()?.iter().filter(has_one) {
            let Some(environment) = environment(process)? else { continue };
            is_clear &= !environment.is_empty();
            if let Some(one) = find(process, &environment).filter(|one| !found.contains(one)) {
                found.push(one);
            }
        }
        if (look > 0 && is_clear && found.len() == known) || enough(&found) {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(found)
}

/// A thread of the kernel's, which never has an environment.
fn is_the_kernels(process: &Stat) -> bool {
    const KTHREADD: i32 = 2;
    process.identity.pid == KTHREADD || process.parent == KTHREADD
}

fn below(root: i32, processes: &[Stat]) -> HashSet<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for stat in processes {
        children.entry(stat.parent).or_default().push(stat.identity.pid);
    }
    let mut below = HashSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if below.insert(*child) {
                open.push(*child);
            }
        }
    }
    below
}

/// Whether a process of ours bears the mark.
fn bears(mark: &Mark, process: &Stat) -> io::Result<bool> {
    Ok(environment(process)?.is_some_and(|environment| mark.is_in(&environment)))
}

/// The environment of a process of ours. Another user's cannot be read and is not asked for.
fn environment(process: &Stat) -> io::Result<Option<Vec<u8>>> {
    let own = rustix::process::geteuid().as_raw();
    let folder = PathBuf::from(format!("/proc/{}", process.identity.pid));
    if !fs::metadata(&folder).is_ok_and(|meta| meta.uid() == own) {
        return Ok(None);
    }
    if process.life != Life::Headless {
        return shown(fs::read(folder.join("environ")));
    }
    for thread in shown(fs::read_dir(folder.join("task")))?.into_iter().flatten() {
        let Some(thread) = shown(thread)? else { continue };
        match shown(fs::read(thread.path().join("environ")))? {
            // That of the thread that has ended.
            Some(nothing) if nothing.is_empty() => {}
            None => {}
            some => return Ok(some),
        }
    }
    Ok(None)
}

/// What `/proc` shows of a process; `None` where that is gone, or one of ours keeps it to itself all the same.
fn shown<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(shown) => Ok(Some(shown)),
        Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_mark_is_a_whole_variable() {
        let mark = Mark::new("RALPH_SESSION_ID", "abc");
        assert!(mark.is_in(b"A=1\0RALPH_SESSION_ID=abc\0"));
        assert!(!mark.is_in(b"RALPH_SESSION_ID=abcd\0"));
        assert!(!mark.is_in(b"X=RALPH_SESSION_ID=abc\0"));
        assert!(!mark.is_in(b""));
    }

    #[test]
    fn everything_below_a_process_is_found_whatever_the_depth() {
        let stat = |pid, parent| Stat {
            identity: Identity { pid, start_ticks: 1 },
            parent,
            group: pid,
            life: Life::Whole,
        };
        let processes = [stat(2, 1), stat(3, 2), stat(4, 3), stat(5, 1)];
        assert_eq!(below(2, &processes), HashSet::from([3, 4]));
    }

    #[test]
    fn a_process_that_is_about_to_run_another_program_is_found() {
        // Without an environment until it is told to go on; a look that comes too early makes it go on.
        let script = "read go; RALPH_TEST_SETTLED=yes exec sleep 1000";
        let mut child =
            Command::new("sh").args(["-c", script]).env_clear().stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let environment = || fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        while fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"sh\0").eq(&false) {
            thread::yield_now();
        }
        let stdin = std::cell::Cell::new(child.stdin.take());
        let find = |process: &Stat, seen: &[u8]| {
            if process.identity.pid != pid {
                return None;
            }
            if let Some(mut stdin) = stdin.take() {
                assert_eq!(seen, b"");
                stdin.write_all(b"go\n").unwrap();
                while environment().is_empty() {
                    thread::yield_now();
                }
            }
            (!seen.is_empty()).then_some(pid)
        };
        let found = settled(find, |_| false);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.unwrap(), [pid]);
    }
}
