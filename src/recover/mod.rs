//! Settling what a crash, a kill or a reboot left: every session without a supervisor ends, what it left running is
//! ended where its identity is certain, and its work stays.
//!
//! `decide` says what should be done and is pure; `act` does it. Doing it twice, or at the same moment as someone
//! else, changes nothing more: the lane's lock and the session's lock see to that.

mod act;
mod census;
pub mod decide;
mod ended;
mod error;
mod mend;

pub use act::{Place, Recovered, Recovery, Scope, Settled, recover};
pub use ended::{EndedError, ended_by_now, ended_manifest};
pub use error::RecoverError;
