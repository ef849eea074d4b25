//! Finding what a session has running: by descent, and by the mark in the environment.
//!
//! While a supervisor lives, descent finds everything, since orphans become its children. After it was killed only the
//! mark is left, which a process that cleared its environment no longer bears: a gap that only confinement closes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::identity::{self, Identity, Stat};

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
    let processes = identity::all()?;
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut found: Vec<Identity> = match kin {
        Kin::OfSupervisor { supervisor, mark } => {
            let below = below(*supervisor, &processes);
            let is_kin = |s: &&Stat| below.contains(&s.identity.pid) || bears(mark, s.identity.pid);
            processes.iter().filter(is_kin).filter(|s| !s.is_zombie).map(|s| s.identity).collect()
        }
        Kin::Marked { mark, since_ticks } => processes
            .iter()
            .filter(|s| s.identity.start_ticks >= *since_ticks && !s.is_zombie && bears(mark, s.identity.pid))
            .map(|s| s.identity)
            .collect(),
    };
    found.retain(|identity| identity.pid > 1 && identity.pid != me);
    Ok(found)
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

/// Whether a process of ours bears the mark. Another user's environment cannot be read and is not asked for.
fn bears(mark: &Mark, pid: i32) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let folder = format!("/proc/{pid}");
    fs::metadata(&folder).is_ok_and(|meta| meta.uid() == own)
        && fs::read(format!("{folder}/environ")).is_ok_and(|environment| mark.is_in(&environment))
}

#[cfg(test)]
mod tests {
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
            is_zombie: false,
        };
        let processes = [stat(2, 1), stat(3, 2), stat(4, 3), stat(5, 1)];
        assert_eq!(below(2, &processes), HashSet::from([3, 4]));
    }
}
