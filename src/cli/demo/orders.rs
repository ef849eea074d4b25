//! What the person at the terminal wants of the demo.

use crate::session::store::Urgency;

/// What the person at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// Let it go on.
    Go,
    /// End it.
    Stop(Urgency),
}
