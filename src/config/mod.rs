//! What was said (files, environment, flags) and what it means. Defaults and approvals live only here.
//!
//! The environment and the paths of the user's files are given by the caller: nothing here looks at the process.
//! [`load`] is the one way to settings; a setting that runs a command counts from a repository only once the user
//! has approved it.

mod approval;
pub mod duration;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod places;
mod root;
mod settings;
mod size;
mod sources;
pub mod ticketflow;
mod value;
pub mod wording;
mod words;

pub use approval::{Approval, ApprovalError, Approvals, Asked, Fingerprint, Request};
pub use places::Places;
pub use root::WorktreeRoot;
pub use settings::{Key, Layer, Origin, Row, Settings, Source};
pub use size::{Size, SizeError};
pub use sources::{ConfigError, Notice, Place, Repository, Resolution, Sources, load};
pub use value::{
    Base, Capture, Limit, MergeStrategy, Output, ProjectTrust, PromptCheck, Refusal, Verify, Workflow,
};
pub use words::{Command, Words};
