//! What ended sessions show of the tickets, over what the tickets' files say.
//!
//! A file in the main checkout is closed only once that is committed and checked out. A ticket whose work has been
//! merged is done all the same; one that a session has finished on its branch is not to be worked on again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::after_merge::{AfterMerge, after_merge, all_merged};
use super::retry::Before;
use crate::git::{CommitId, Repo};
use crate::id::{BranchName, Lane, RefName, SessionId, TicketId};
use crate::session::choose::{Choice, choose};
use crate::session::lane::LaneRecord;
use crate::session::manifest::Outcome;
use crate::session::store::{Loaded, Store, StoreError};
use crate::session::unmerged::{Since, since};
use crate::ticket::{Backlog, Status};

/// What the lanes show.
#[derive(Debug, Default)]
pub struct Overlay {
    lanes: BTreeMap<TicketId, Vec<LaneRecord>>,
    shown: BTreeMap<Lane, Shown>,
    after: BTreeMap<Lane, AfterMerge>,
}

/// What a lane shows of its ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A session has finished it on its branch.
    Finished,
    /// Its work is in its base.
    Merged,
    /// A session works on it.
    Live,
}

impl Overlay {
    /// Reads the lanes' records and the manifests of their current sessions.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let (records, _) = store.lanes()?;
        let mut overlay = Self::default();
        for record in records {
            if let Some(shown) = shown(store, &record)? {
                overlay.shown.insert(record.lane.clone(), shown);
            }
            overlay.lanes.entry(record.lane.ticket().clone()).or_default().push(record);
        }
        Ok(overlay)
    }

    /// Looks how the tickets stand whose work was merged and whose files say that there is work left.
    #[must_use]
    pub fn look_after_merges(mut self, repo: &Repo, backlog: &Backlog) -> Self {
        let is_left = |record: &&LaneRecord| {
            self.shown.get(&record.lane) == Some(&Shown::Merged)
                && backlog.status(record.lane.ticket()).is_some_and(Status::is_active)
        };
        for record in self.lanes.values().flatten().filter(is_left) {
            if let Some(merged) = record.merged() {
                self.after.insert(record.lane.clone(), after_merge(repo, record, &merged));
            }
        }
        self
    }

    /// How the ticket on that base stands, where its work was merged and its file says that there is work left.
    pub fn after_merge(&self, ticket: &TicketId, base: Option<&RefName>) -> Option<&AfterMerge> {
        self.after.get(&self.lane(ticket, base))
    }

    /// What the lane of the ticket on that base is called, or will be.
    pub fn lane(&self, ticket: &TicketId, base: Option<&RefName>) -> Lane {
        lane_meant(ticket, base, self.lanes.get(ticket).map_or(&[], Vec::as_slice))
    }

    /// What is shown of the ticket on that base. One that was opened again since it was merged is as if it were new.
    pub fn of(&self, ticket: &TicketId, base: Option<&RefName>) -> Option<Shown> {
        let lane = self.lane(ticket, base);
        match self.after.get(&lane) {
            Some(AfterMerge::Reopened { .. }) => None,
            Some(_) | None => self.shown.get(&lane).copied(),
        }
    }

    /// The backlog with what is merged taken as closed.
    #[must_use]
    pub fn over(&self, backlog: Backlog) -> Backlog {
        let merged = self.lanes.keys().filter(|ticket| self.of(ticket, None) == Some(Shown::Merged));
        merged.fold(backlog, |backlog, ticket| backlog.with_status(ticket, Status::Closed))
    }
}

/// The lane that every command means by the ticket on that base, among all that the ticket has. Where there are several
/// and none is named, the plain one is meant; whether that can be told is dispatch's to say.
pub fn lane_meant(ticket: &TicketId, base: Option<&RefName>, lanes: &[LaneRecord]) -> Lane {
    match choose(ticket, base, lanes) {
        Choice::Known(record) => record.lane,
        Choice::New(lane) => lane,
        Choice::Several(_) => Lane::new(ticket.clone(), None),
    }
}

/// The session that has finished a ticket since that moment, in the lane.
pub fn finished_since(store: &Store, lane: &Lane, since: Timestamp) -> Result<Option<SessionId>, StoreError> {
    let Some(record) = store.lane(lane)? else { return Ok(None) };
    let Some(id) = record.current_session else { return Ok(None) };
    let Loaded::Manifest(manifest) = store.load(id)? else { return Ok(None) };
    let is_new = manifest.ended_at.is_some_and(|ended| ended > since);
    let is_done = matches!(shown(store, &record)?, Some(Shown::Finished | Shown::Merged));
    Ok((is_new && is_done).then_some(id))
}

/// The branch that has all work of the lane, and its commit, where that was merged and no session was begun since. What
/// cannot be told is not known to be merged.
pub fn merged_before(repo: &Repo, store: &Store, lane: &Lane) -> Option<(BranchName, CommitId)> {
    let record = store.lane(lane).ok()??;
    let merged = record.merged()?;
    match shown(store, &record).ok()? {
        Some(Shown::Merged) => all_merged(repo, &record, &merged).ok()?,
        Some(Shown::Finished | Shown::Live) | None => None,
    }
}

fn shown(store: &Store, record: &LaneRecord) -> Result<Option<Shown>, StoreError> {
    let merged = record.merged();
    // A session that was begun later has work of its own.
    if let Some(merged) = &merged
        && since(store, record, merged)? == Since::Nothing
    {
        return Ok(Some(Shown::Merged));
    }
    let Some(id) = record.current_session else { return Ok(None) };
    Ok(match store.load(id)? {
        Loaded::Manifest(manifest) if !manifest.is_ended() => Some(Shown::Live),
        Loaded::Manifest(manifest) => match manifest.outcome {
            Some(Outcome::Succeeded) => Some(Shown::Finished),
            // An agent that finds nothing left to do has called what is there finished.
            Some(Outcome::NoChanges) if Before::of(&manifest) == Before::Work => Some(Shown::Finished),
            _ => None,
        },
        Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing => None,
    })
}
