//! Ending everything that a session has running, politely and then by force, until nothing is left.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;

use super::descendants::{Kin, living, own_children};
use super::identity::{Identity, Life};
use super::signal::{Delivery, Handle};
use super::wait::Remaining;

/// What it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were asked to end.
    pub asked: usize,
    /// Processes that had to be killed.
    pub killed: usize,
}

/// Processes that would not end, however often they were killed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The process table could not be read.
    #[error("could not look for the session's processes: {0}")]
    Look(#[source] io::Error),
    /// A process could not be signalled.
    #[error("could not signal process {pid}: {source}")]
    Signal {
        /// The process.
        pid: i32,
        /// The system's answer.
        source: io::Error,
    },
    /// Killed, and still there: they hang in the kernel, or start others faster than those can be killed.
    #[error("processes {0:?} are still there after having been killed")]
    Unkillable(Vec<i32>),
}

/// How long a killed process may take to vanish before that is an error.
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// Whether what is to end is still given the time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As much as was granted.
    InTime,
    /// No more: someone wants it over at once.
    AtOnce,
}

/// Ends the session's processes: each is asked once, those that are left after `grace` are killed, and so is whatever
/// they start meanwhile. `between` is called after every look: it reaps, and says whether there is still time, and
/// whether this process has children left that are the session's.
///
/// A look shows nothing of a process that lives only until it has started the next. So nothing seen is an end only where
/// there are no children either; and whoever has just become a child of ours is killed without a look at all others.
///
/// A process is held by a descriptor only while it is signalled: there may be more of them than descriptors.
pub fn sweep(
    kin: &Kin,
    grace: Duration,
    mut between: impl FnMut() -> io::Result<(Pace, Remaining)>,
) -> Result<Swept, SweepError> {
    let begun = Instant::now();
    let mut by_force_since = None;
    let mut asked: HashSet<Identity> = HashSet::new();
    let mut killed: HashSet<Identity> = HashSet::new();
    // One that may not be signalled must not shield the others.
    let mut refused: HashMap<Identity, Errno> = HashMap::new();
    // One that could not be signalled for want of something is tried again.
    let mut hindered = None;
    let mut pause = Duration::from_millis(1);
    loop {
        let seen = living(kin);
        let (pace, children) = between().map_err(SweepError::Look)?;
        if pace == Pace::AtOnce || begun.elapsed() >= grace {
            by_force_since.get_or_insert_with(Instant::now);
        }
        let by_force = by_force_since.is_some();
        let is_over = by_force_since.is_some_and(|since| since.elapsed() >= KILL_PATIENCE);
        let alive = match seen {
            Ok(alive) => alive,
            // Not seen is not gone.
            Err(error) if !is_over && Errno::from_io_error(&error).is_some_and(is_want) => {
                thread::sleep(pause);
                continue;
            }
            Err(error) => return Err(SweepError::Look(error)),
        };
        if alive.is_empty() && children == Remaining::None {
            return Ok(Swept { asked: asked.len(), killed: killed.len() });
        }
        if let Some((identity, errno)) = refused.iter().next()
            && !alive.is_empty()
            && alive.iter().all(|identity| refused.contains_key(identity))
        {
            return Err(SweepError::Signal { pid: identity.pid, source: (*errno).into() });
        }
        // Read as late as can be: who is among them has next to no time to have gone on.
        let urgent = match kin {
            Kin::OfSupervisor { .. } if by_force => own_children().unwrap_or_default(),
            Kin::OfSupervisor { .. } | Kin::Marked { .. } => Vec::new(),
        };
        if is_over {
            let children = urgent.iter().map(|child| child.identity.pid);
            let pids: BTreeSet<i32> = alive.iter().map(|identity| identity.pid).chain(children).collect();
            return Err(hindered.unwrap_or(SweepError::Unkillable(pids.into_iter().collect())));
        }
        hindered = None;
        let urgent = urgent.iter().filter(|child| child.life != Life::Ended).map(|child| child.identity);
        for identity in urgent.chain(alive) {
            let (how, done) = if by_force { (How::Killing, &mut killed) } else { (How::Asking, &mut asked) };
            if done.contains(&identity) || refused.contains_key(&identity) {
                continue;
            }
            match signal(identity, how) {
                Ok(Delivery::Gone) => {}
                Ok(Delivery::Delivered) => drop(done.insert(identity)),
                Err(errno) if is_want(errno) => {
                    hindered = Some(SweepError::Signal { pid: identity.pid, source: errno.into() });
                }
                Err(errno) => drop(refused.insert(identity, errno)),
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Whether the system says by this that it lacks something at this moment, such as a descriptor.
fn is_want(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN)
}

/// How a process is ended.
#[derive(Debug, Clone, Copy)]
enum How {
    Asking,
    Killing,
}

/// Signals one process.
fn signal(identity: Identity, how: How) -> Result<Delivery, Errno> {
    let Some(handle) = Handle::open(identity)? else { return Ok(Delivery::Gone) };
    match how {
        How::Asking => handle.ask_to_end(),
        How::Killing => handle.send(Signal::KILL),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::process::descendants::Mark;

    #[test]
    fn what_is_wanted_over_at_once_is_given_no_more_time() {
        let mark = format!("at-once-{}", std::process::id());
        let mut deaf = Command::new("sh")
            .args(["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"])
            .env("RALPH_TEST_ENDING", &mark)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        deaf.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
        let kin = Kin::Marked { mark: Mark::new("RALPH_TEST_ENDING", &mark), since_ticks: 0 };
        let mut looks = 0;
        let swept = sweep(&kin, Duration::from_secs(60), || {
            looks += 1;
            deaf.try_wait()?;
            Ok((if looks == 1 { Pace::InTime } else { Pace::AtOnce }, Remaining::None))
        });
        assert!(swept.unwrap().killed >= 1);
        // Sixty seconds are three thousand looks.
        assert!(looks < 1_000, "{looks} looks");
    }
}
