//! What happens in the demo.

use crate::session::manifest::Manifest;
use crate::session::store::Urgency;

/// Something that happened.
pub enum Event<'a> {
    /// A session runs.
    Launched {
        /// Its manifest.
        manifest: &'a Manifest,
    },
    /// A session could not be begun.
    NotLaunched {
        /// Its ticket.
        ticket: &'a str,
        /// Why.
        why: &'a str,
    },
    /// An agent printed a line.
    Said {
        /// Its ticket.
        ticket: &'a str,
        /// The line.
        line: &'a str,
    },
    /// A session has ended.
    Ended {
        /// Its manifest.
        manifest: &'a Manifest,
    },
    /// Someone asked for the end of all.
    Stopping {
        /// Whether at once.
        urgency: Urgency,
    },
}
