//! Processes: who they are, starting, waiting for, signalling and ending them. The only `unsafe` code.
//!
//! A pid is never an identity: it comes with a start time, and is checked again through a pidfd before anything is
//! signalled. Whether a session lives is not decided here, but by its lock.

pub mod check;
pub mod descendants;
pub mod detach;
pub mod disposition;
pub mod ending;
pub mod filesystem;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
pub mod identity;
pub mod inside;
pub mod memory;
pub mod priority;
pub mod probe;
pub mod signal;
pub mod spawn;
pub mod uninterrupted;
pub mod wait;
