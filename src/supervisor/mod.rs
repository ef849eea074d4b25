//! The supervisor: one small detached process per session, and the only writer of a running session's manifest.
//!
//! `boot` starts the agent, `watch` waits for its end, a deadline or a request, `conclude` finds out what was done and
//! records it, `leaks` then notes what changed elsewhere meanwhile. A supervisor that waits costs nothing: without an idle timeout or an output cap it does not wake up.

mod boot;
mod cap;
mod conclude;
mod idle;
mod leaks;
mod patience;
mod watch;

pub use boot::{ADDED_VARIABLES, Inherited, SupervisorError, supervise};
pub use conclude::conclude;
pub use watch::{Ended, Signalled};
