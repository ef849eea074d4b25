//! Waiting for an event, never for time: a look is repeated until it finds something, and a wait that outlives every
//! machine's slowness fails and says what it was waiting for.

use std::panic::Location;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Repeats `look` until it finds something. `what` completes "waited for …".
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let caller = Location::caller();
    within(DEADLINE, look).unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what} (at {caller})"))
}

/// Repeats `look` until it finds something, or `limit` has passed.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
