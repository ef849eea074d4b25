//! Work that may never come back: whoever opens what an agent left, an object that it made a named pipe for instance, may
//! wait in the kernel, where nothing but the end of the process reaches it.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    /// It was done.
    Done(T),
    /// It was not in time. It may go on, and keeps this process neither from going on nor from ending.
    TooSlow,
    /// It could not be begun.
    NotBegun(io::Error),
}

/// Does the work beside everything else, and waits for it as long as `patience`.
pub(super) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    let (done, outcome) = channel();
    let worker = thread::Builder::new().spawn(move || {
        // No one may be there for it any more.
        drop(done.send(work()));
    });
    let worker = match worker {
        Ok(worker) => worker,
        Err(error) => return Outcome::NotBegun(error),
    };
    match outcome.recv_timeout(patience) {
        Ok(done) => Outcome::Done(done),
        Err(RecvTimeoutError::Timeout) => Outcome::TooSlow,
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("what is done is sent before the sender goes"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::{Outcome, within};

    #[test]
    fn who_waits_for_a_named_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        let outcome = within(Duration::from_millis(1), move || fs::read(pipe));
        assert!(matches!(outcome, Outcome::TooSlow), "{outcome:?}");
    }

    #[test]
    fn what_is_done_in_time_is_handed_over() {
        let outcome = within(Duration::from_mins(1), || 1);
        assert!(matches!(outcome, Outcome::Done(1)), "{outcome:?}");
    }

    #[test]
    #[should_panic(expected = "as it was said")]
    fn a_panic_stays_one() {
        drop(within(Duration::from_mins(1), || panic!("as it was said")));
    }
}
