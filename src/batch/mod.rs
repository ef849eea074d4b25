//! Many tickets: which may start when, what becomes of each, and a record that a killed batch is taken up from.
//!
//! Everything that happens is an [`event::Entry`]: written to the batch's journal before the act that it announces, told
//! to whoever watches, and folded into the [`board::Board`]. So the board of a batch that was killed is made again from
//! its journal, and nothing is launched twice. `graph`, `retry`, `pace`, `budget` and `policy` decide and are pure;
//! `run` is the only loop; `workers` start sessions beside it and await their `endings`.
//!
//! Sessions belong to their supervisors and not to the batch: a batch that is killed, or told to leave, ends none.

pub mod after_merge;
pub mod board;
pub mod budget;
pub mod endings;
pub mod event;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
pub mod graph;
mod happenings;
pub mod items;
pub mod journal;
pub mod land;
pub mod overlay;
pub mod pace;
pub mod page;
pub mod policy;
pub mod retry;
pub mod run;
pub mod siblings;
pub mod source;
pub mod watch;
pub mod workers;
