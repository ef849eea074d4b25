//! What can happen: commands, agents' doings and kills, drawn at random.

use std::fmt;

use proptest::prelude::*;

/// The tickets, by their place.
pub const TICKETS: [&str; 3] = ["T-1", "T-2", "T-3"];

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    Commits,
    DoesNothing,
    LeavesFiles,
    Fails,
    RunsOn,
}

impl Play {
    pub fn commits(self) -> bool {
        matches!(self, Self::Commits | Self::Fails | Self::RunsOn)
    }

    pub fn leaves_files(self) -> bool {
        matches!(self, Self::LeavesFiles | Self::RunsOn)
    }
}

/// One step of a sequence; a ticket by its place in [`TICKETS`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Create(usize),
    Dispatch(usize, Play),
    Retry(usize),
    Stop(usize),
    KillSupervisor(usize),
    Recover,
    Merge(usize),
    Remove(usize),
    RemoveWithUnsaved(usize),
    Restore(usize),
}

impl Step {
    /// Whether the command settles first what has no supervisor any more, in all lanes.
    pub fn settles_first(self) -> bool {
        !matches!(self, Self::KillSupervisor(_) | Self::Stop(_))
    }
}

/// As a person would tell it, so that a failing sequence can be read.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(ticket) => write!(f, "create {}", TICKETS[*ticket]),
            Self::Dispatch(ticket, play) => write!(f, "dispatch {} ({play:?})", TICKETS[*ticket]),
            Self::Retry(ticket) => write!(f, "batch {} --retries 1", TICKETS[*ticket]),
            Self::Stop(ticket) => write!(f, "stop {}", TICKETS[*ticket]),
            Self::KillSupervisor(ticket) => write!(f, "kill -9 the supervisor of {}", TICKETS[*ticket]),
            Self::Recover => f.write_str("recover"),
            Self::Merge(ticket) => write!(f, "merge {}", TICKETS[*ticket]),
            Self::Remove(ticket) => write!(f, "remove {}", TICKETS[*ticket]),
            Self::RemoveWithUnsaved(ticket) => write!(f, "remove --with-unsaved {}", TICKETS[*ticket]),
            Self::Restore(ticket) => write!(f, "restore {}", TICKETS[*ticket]),
        }
    }
}

/// Up to eight steps, mostly nearly as many. A failing sequence loses one after the other, down to those that it needs.
pub fn sequence() -> impl Strategy<Value = Vec<Step>> {
    let steps = proptest::collection::vec(proptest::option::weighted(0.9, any()), 8);
    steps.prop_map(|steps| steps.into_iter().flatten().collect())
}

/// Any step; the first ticket is drawn most often, so that short sequences come to something. What stands first is what
/// a failing sequence is made simpler with.
fn any() -> impl Strategy<Value = Step> {
    let ticket = || prop_oneof![12 => Just(0_usize), 4 => Just(1), 1 => Just(2)];
    let play = prop_oneof![
        3 => Just(Play::Commits),
        1 => Just(Play::DoesNothing),
        3 => Just(Play::LeavesFiles),
        1 => Just(Play::Fails),
        4 => Just(Play::RunsOn),
    ];
    prop_oneof![
        1 => ticket().prop_map(Step::Create),
        7 => (ticket(), play).prop_map(|(ticket, play)| Step::Dispatch(ticket, play)),
        1 => ticket().prop_map(Step::Retry),
        2 => ticket().prop_map(Step::Stop),
        3 => ticket().prop_map(Step::KillSupervisor),
        1 => Just(Step::Recover),
        3 => ticket().prop_map(Step::Merge),
        2 => ticket().prop_map(Step::Remove),
        3 => ticket().prop_map(Step::RemoveWithUnsaved),
        3 => ticket().prop_map(Step::Restore),
    ]
}
