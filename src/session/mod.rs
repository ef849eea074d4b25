//! What a session is: its record, the states it passes through, how its end is judged, and where that is kept.
//!
//! `manifest` is the published format, `state` and `outcome` are pure decisions, `store` is the only code that reads
//! or writes the records. This room knows neither git nor pi: what they found arrives as plain [`outcome::Evidence`].

pub mod choose;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
pub mod landing;
pub mod lane;
pub mod launch;
pub mod leak;
pub mod left_open;
pub mod manifest;
pub mod outcome;
pub mod record;
pub mod state;
pub mod store;
pub mod unmerged;
pub mod view;
pub mod writer;
