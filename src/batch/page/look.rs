//! How an item or a session that stands so is named and marked: one table. Colour is never all that tells.

use super::super::board::{Phase, Verdict};
use super::super::event::Skip;
use crate::session::manifest::Outcome;

/// How an item stands, or how a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Merged,
    Succeeded,
    ClosedAlready,
    NotMerged,
    Failed,
    TimedOut,
    NotLaunched,
    Lost,
    Uncommitted,
    NoChanges,
    Stopped,
    Unknown,
    Skipped,
    Running,
    Merging,
    Waiting,
}

/// What the style sheet knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Doubtful,
    Quiet,
    Active,
}

impl Look {
    /// Every one, in the order in which they are counted up.
    pub(super) const ALL: [Self; 16] = [
        Self::Merged,
        Self::Succeeded,
        Self::ClosedAlready,
        Self::NotMerged,
        Self::Failed,
        Self::TimedOut,
        Self::NotLaunched,
        Self::Lost,
        Self::Uncommitted,
        Self::NoChanges,
        Self::Stopped,
        Self::Unknown,
        Self::Skipped,
        Self::Running,
        Self::Merging,
        Self::Waiting,
    ];

    /// Of an item.
    pub(super) fn of_phase(phase: &Phase) -> Self {
        match phase {
            Phase::Waiting => Self::Waiting,
            Phase::Starting { .. } | Phase::Running { .. } => Self::Running,
            Phase::Merging { .. } => Self::Merging,
            Phase::Over(Verdict::Merged { .. }) => Self::Merged,
            Phase::Over(Verdict::NotMerged { .. }) => Self::NotMerged,
            Phase::Over(Verdict::NotLaunched { .. }) => Self::NotLaunched,
            Phase::Over(Verdict::Skipped(Skip::Closed)) => Self::ClosedAlready,
            Phase::Over(Verdict::Skipped(_)) => Self::Skipped,
            Phase::Over(Verdict::Ended(outcome)) => Self::of_outcome(outcome),
        }
    }

    /// Of an ended session.
    pub(super) fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::NoChanges => Self::NoChanges,
            Outcome::Uncommitted => Self::Uncommitted,
            Outcome::Failed => Self::Failed,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Stopped => Self::Stopped,
            Outcome::LaunchFailed => Self::NotLaunched,
            Outcome::Lost => Self::Lost,
            Outcome::Unknown(_) => Self::Unknown,
        }
    }

    /// In words.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Succeeded => "succeeded",
            Self::ClosedAlready => "closed already",
            Self::NotMerged => "not merged",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::NotLaunched => "not launched",
            Self::Lost => "lost",
            Self::Uncommitted => "uncommitted",
            Self::NoChanges => "no changes",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::Running => "running",
            Self::Merging => "merging",
            Self::Waiting => "waiting",
        }
    }

    /// As a mark before the word, or alone where there is no room.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Merged => "◆",
            Self::Succeeded | Self::ClosedAlready => "✓",
            Self::NotMerged => "◇",
            Self::Failed | Self::TimedOut | Self::NotLaunched => "✗",
            Self::Lost | Self::Unknown => "?",
            Self::Uncommitted | Self::NoChanges => "!",
            Self::Stopped => "■",
            Self::Skipped => "⊘",
            Self::Running | Self::Merging => "▸",
            Self::Waiting => "…",
        }
    }

    /// As a name in the markup.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Succeeded => "succeeded",
            Self::ClosedAlready => "closed",
            Self::NotMerged => "notmerged",
            Self::Failed => "failed",
            Self::TimedOut => "timedout",
            Self::NotLaunched => "notlaunched",
            Self::Lost => "lost",
            Self::Uncommitted => "uncommitted",
            Self::NoChanges => "nochanges",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::Running => "running",
            Self::Merging => "merging",
            Self::Waiting => "waiting",
        }
    }

    /// In colour.
    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Merged | Self::Succeeded | Self::ClosedAlready => Tone::Good,
            Self::Failed | Self::TimedOut | Self::NotLaunched | Self::Lost => Tone::Bad,
            Self::NotMerged | Self::Uncommitted | Self::NoChanges | Self::Unknown => Tone::Doubtful,
            Self::Stopped | Self::Skipped | Self::Waiting => Tone::Quiet,
            Self::Running | Self::Merging => Tone::Active,
        }
    }
}

impl Tone {
    /// The class of what has it.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Doubtful => "doubtful",
            Self::Quiet => "quiet",
            Self::Active => "active",
        }
    }
}
