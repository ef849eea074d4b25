//! What a batch's journal tells, row by row: when each item waited, ran, was retried and merged. Pure.
//!
//! How every item stands is the board's word; this adds when. `telling` makes it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::super::board::{Board, Item, Phase, Used, Verdict};
use super::super::event::{Halt, Skip, Slow};
use super::look::Look;
use super::scale::{Stretch, watched};
use crate::id::{Lane, SessionId};
use crate::session::manifest::{Outcome, Usage, Work};

/// A batch.
#[derive(Debug)]
pub(super) struct Story<'e> {
    pub(super) board: Board,
    pub(super) command: &'e [String],
    /// From its beginning to its end, or to now.
    pub(super) whole: Stretch,
    pub(super) state: State,
    /// One for each item, in the order in which they are shown: the lanes of a ticket stand together.
    pub(super) rows: Vec<Row<'e>>,
    pub(super) marks: Vec<Mark>,
    /// When nothing was written down, because no one ran the batch.
    pub(super) away: Vec<Stretch>,
    pub(super) warnings: Vec<Warning<'e>>,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Finished,
    /// Its sessions were ended; it can be taken up again.
    Interrupted,
    /// Its sessions were left; it can be taken up again.
    Left,
    Unfinished,
}

/// An item.
#[derive(Debug)]
pub(super) struct Row<'e> {
    /// Its place on the board.
    pub(super) item: usize,
    pub(super) look: Look,
    pub(super) sessions: Vec<Session<'e>>,
    pub(super) pauses: Vec<Pause>,
    /// When its work landed, or could not.
    pub(super) landed: Option<Timestamp>,
    /// When and why it was not worked on, or not once more.
    pub(super) skipped: Option<(Timestamp, &'e Skip)>,
    pub(super) closed: bool,
}

/// Time of an item in which none of its sessions runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) stretch: Stretch,
    pub(super) kind: PauseKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PauseKind {
    /// Until it is started.
    Waits,
    /// Until it is tried again.
    WaitsAgain,
    /// Until others are merged.
    WaitsForMerge,
    Merges,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session<'e> {
    pub(super) id: SessionId,
    pub(super) attempt: u32,
    pub(super) model: Option<&'e str>,
    pub(super) stretch: Stretch,
    pub(super) launched: Option<Timestamp>,
    pub(super) end: Option<End<'e>>,
    pub(super) measured: Measured,
}

/// How well a session's length is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measured {
    Exactly,
    /// No one watched the batch when it ended.
    AtMost,
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum End<'e> {
    NotLaunched { reason: &'e str },
    Ended { outcome: &'e Outcome, reason: Option<&'e str>, work: Option<&'e Work>, usage: Option<&'e Usage> },
}

/// Something that concerns the whole batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) stretch: Stretch,
    pub(super) kind: MarkKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MarkKind {
    /// Starts were held back, so often.
    Slowed(Slow, u32),
    Halted(Halt),
    /// After so long a time without anyone.
    Resumed(SignedDuration),
}

#[derive(Debug)]
pub(super) struct Warning<'e> {
    pub(super) at: Timestamp,
    pub(super) lanes: &'e [Lane],
    pub(super) text: &'e str,
}

/// What sessions left and used, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) sessions: u64,
    pub(super) commits: u64,
    pub(super) files: u64,
    pub(super) insertions: u64,
    pub(super) deletions: u64,
    pub(super) used: Used,
}

impl Story<'_> {
    /// The item of a row.
    pub(super) fn item(&self, row: &Row<'_>) -> Option<&Item> {
        self.board.items().get(row.item)
    }

    /// The bases that items are on, the one that has no name among them, in their order on the board.
    pub(super) fn bases(&self) -> Vec<Option<&str>> {
        let mut seen = BTreeSet::new();
        let bases = self.board.items().iter().map(|item| item.record.lane.base().map(|base| base.as_str()));
        bases.filter(|base| seen.insert(*base)).collect()
    }

    /// How many rows look so.
    pub(super) fn count(&self, look: Look) -> usize {
        self.rows.iter().filter(|row| row.look == look).count()
    }

    /// What all sessions left and used.
    pub(super) fn sum(&self) -> Sum {
        self.rows.iter().map(Row::sum).fold(Sum::default(), Sum::and)
    }

    /// How long the batch was watched in this stretch.
    pub(super) fn watched(&self, stretch: Stretch) -> SignedDuration {
        watched(stretch, &self.away)
    }

    /// How many sessions there were at the same time: from each moment to the next.
    pub(super) fn load(&self) -> Vec<(Timestamp, usize)> {
        let mut changes: Vec<(Timestamp, i64)> = Vec::new();
        for session in self.rows.iter().flat_map(|row| &row.sessions) {
            changes.extend([(session.stretch.from, 1), (session.stretch.to, -1)]);
        }
        changes.sort_unstable();
        let mut load: Vec<(Timestamp, usize)> = vec![(self.whole.from, 0)];
        let mut running: i64 = 0;
        for (at, change) in changes {
            running += change;
            let now = usize::try_from(running).unwrap_or(0);
            match load.last_mut() {
                Some((last, count)) if *last == at => *count = now,
                _ => load.push((at, now)),
            }
        }
        load
    }
}

impl Row<'_> {
    /// What its sessions left and used.
    pub(super) fn sum(&self) -> Sum {
        self.sessions.iter().map(Session::sum).fold(Sum::default(), Sum::and)
    }

    /// How long it waited while someone ran the batch.
    pub(super) fn waited(&self, story: &Story<'_>) -> SignedDuration {
        let waits = self.pauses.iter().filter(|pause| pause.kind != PauseKind::Merges);
        waits
            .map(|pause| story.watched(pause.stretch))
            .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }

    /// How long its sessions took.
    pub(super) fn ran(&self) -> (SignedDuration, Measured) {
        let lengths = self.sessions.iter().map(|session| session.stretch.length());
        let is_vague = self.sessions.iter().any(|session| session.measured == Measured::AtMost);
        let measured = if is_vague { Measured::AtMost } else { Measured::Exactly };
        (lengths.fold(SignedDuration::ZERO, SignedDuration::saturating_add), measured)
    }
}

impl<'e> Session<'e> {
    /// How it stands.
    pub(super) fn look(&self) -> Look {
        match &self.end {
            None => Look::Running,
            Some(End::NotLaunched { .. }) => Look::NotLaunched,
            Some(End::Ended { outcome, .. }) => Look::of_outcome(outcome),
        }
    }

    /// Why it ended so.
    pub(super) fn reason(&self) -> Option<&'e str> {
        match &self.end {
            None => None,
            Some(End::NotLaunched { reason }) => Some(reason),
            Some(End::Ended { reason, .. }) => *reason,
        }
    }

    /// The model that was asked for, or that answered last.
    pub(super) fn model(&self) -> Option<&'e str> {
        let answered = match &self.end {
            Some(End::Ended { usage: Some(usage), .. }) => usage.model.as_deref(),
            _ => None,
        };
        self.model.or(answered)
    }

    /// What it left and used.
    pub(super) fn sum(&self) -> Sum {
        let mut sum = Sum { sessions: 1, ..Sum::default() };
        if let Some(End::Ended { work, usage, .. }) = &self.end {
            if let Some(work) = work {
                sum.commits = work.commits;
                sum.files = work.files_changed;
                sum.insertions = work.insertions;
                sum.deletions = work.deletions;
            }
            sum.used = usage.map(Used::from).unwrap_or_default();
        }
        sum
    }
}

impl Sum {
    /// This and the other together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            commits: self.commits.saturating_add(other.commits),
            files: self.files.saturating_add(other.files),
            insertions: self.insertions.saturating_add(other.insertions),
            deletions: self.deletions.saturating_add(other.deletions),
            used: self.used.and(other.used),
        }
    }
}

/// Why an item stands as it does, in words.
pub(super) fn why(item: &Item, row: &Row<'_>) -> Option<String> {
    let skipped = || row.skipped.map(|(_, why)| why.to_string());
    match &item.phase {
        Phase::Over(Verdict::NotMerged { reason, hint, .. } | Verdict::NotLaunched { reason, hint }) => {
            Some(match hint {
                Some(hint) => format!("{reason}; {hint}"),
                None => reason.clone(),
            })
        }
        Phase::Over(Verdict::Skipped(why)) => Some(why.to_string()),
        Phase::Over(Verdict::Ended(_)) => {
            let reason = item.last.as_ref().and_then(|last| last.reason.clone());
            let stands = row.look == Look::Succeeded && !is_success(item);
            match (reason, skipped()) {
                _ if stands => {
                    Some("the last session had nothing to add to what earlier ones committed".to_owned())
                }
                (Some(reason), Some(skipped)) => Some(format!("{reason}; not tried again: {skipped}")),
                (None, Some(skipped)) => Some(format!("not tried again: {skipped}")),
                (reason, None) => reason,
            }
        }
        Phase::Waiting if !row.sessions.is_empty() => Some("to be tried again".to_owned()),
        Phase::Over(Verdict::Merged { .. })
        | Phase::Waiting
        | Phase::Starting { .. }
        | Phase::Running { .. }
        | Phase::Merging { .. } => None,
    }
}

fn is_success(item: &Item) -> bool {
    item.last.as_ref().is_none_or(|last| last.outcome == Outcome::Succeeded)
}
