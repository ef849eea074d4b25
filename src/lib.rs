//! `ralph` runs many coding agents side by side on one git repository: one ticket, one branch, one worktree, one
//! supervised session.
//!
//! Imports go down only, and `tests/architecture.rs` holds the rule:
//! `cli` → `batch` → `recover` → `dispatch`, `supervisor`, `merge`, `removal`, `report` → `launch` → `git`, `session`,
//! `agent`, `ticket` → `config`, `process`, `durable`, `id`, `redact`, `failpoint`, `words`. Rooms of one storey do not know each
//! other, but `durable`, `id` and `failpoint` are the ground that every room may use.
//! Within a room, files import each other without cycles, but for `git/commit` and `git/error`.

#[cfg(not(target_os = "linux"))]
compile_error!("ralph supervises processes with pidfds, a child subreaper and /proc: it runs on Linux only");

pub mod agent;
pub mod batch;
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod durable;
pub mod failpoint;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
pub mod git;
pub mod id;
pub mod launch;
pub mod merge;
pub mod process;
pub mod recover;
pub mod redact;
pub mod removal;
pub mod report;
pub mod session;
pub mod supervisor;
pub mod ticket;
pub mod words;
