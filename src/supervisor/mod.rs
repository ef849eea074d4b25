//! The supervisor: one small detached process per session, and the only writer of a running session's manifest.
//!
//! `boot` starts the agent, `watch` waits for its end, a deadline or a request, `conclude` finds out what was done and
//! records it. A supervisor that waits costs nothing: without an idle timeout or an output cap it does not wake up.

pub mod boot;
pub mod cap;
pub mod conclude;
pub mod idle;
mod watch;
