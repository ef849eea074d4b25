//! Ending everything that a session has running, politely and then by force, until nothing is left.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Signal;

use super::descendants::{Kin, living};
use super::identity::Identity;
use super::signal::Handle;

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
    /// Killed, and still there: it hangs in the kernel.
    #[error("processes {0:?} are still there after having been killed")]
    Unkillable(Vec<i32>),
}

/// How long a killed process may take to vanish before that is an error.
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// Ends the session's processes: each is asked once, those that are left after `grace` are killed, and so is whatever
/// they start meanwhile. `reap` is called between looks, so that a subreaper's dead children are not mistaken for
/// living ones.
pub fn sweep(
    kin: &Kin,
    grace: Duration,
    mut reap: impl FnMut() -> io::Result<()>,
) -> Result<Swept, SweepError> {
    let begun = Instant::now();
    let mut asked: HashMap<Identity, Handle> = HashMap::new();
    let mut killed: HashMap<Identity, Handle> = HashMap::new();
    // One that may not be signalled must not shield the others.
    let mut refused: HashMap<Identity, Errno> = HashMap::new();
    let mut pause = Duration::from_millis(1);
    loop {
        reap().map_err(SweepError::Look)?;
        let alive = living(kin).map_err(SweepError::Look)?;
        if alive.is_empty() {
            return Ok(Swept { asked: asked.len(), killed: killed.len() });
        }
        if let Some((identity, errno)) = refused.iter().next()
            && alive.iter().all(|identity| refused.contains_key(identity))
        {
            return Err(SweepError::Signal { pid: identity.pid, source: (*errno).into() });
        }
        let by_force = begun.elapsed() >= grace;
        if by_force && begun.elapsed() >= grace + KILL_PATIENCE {
            return Err(SweepError::Unkillable(alive.iter().map(|identity| identity.pid).collect()));
        }
        for identity in alive {
            let (how, done) = if by_force { (How::Killing, &mut killed) } else { (How::Asking, &mut asked) };
            if done.contains_key(&identity) || refused.contains_key(&identity) {
                continue;
            }
            match signal(identity, how) {
                Ok(None) => {}
                Ok(Some(handle)) => drop(done.insert(identity, handle)),
                Err(errno) => drop(refused.insert(identity, errno)),
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// How a process is ended.
#[derive(Debug, Clone, Copy)]
enum How {
    Asking,
    Killing,
}

/// Signals one process; `None` where it is gone by now.
fn signal(identity: Identity, how: How) -> Result<Option<Handle>, Errno> {
    let Some(handle) = Handle::open(identity)? else { return Ok(None) };
    match how {
        How::Asking => handle.ask_to_end(),
        How::Killing => handle.send(Signal::KILL),
    }?;
    Ok(Some(handle))
}
