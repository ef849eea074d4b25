//! Where a batch's sessions come from: the tickets as they are when each one is started.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::board::{Board, Phase, Verdict};
use super::event::{Event, ItemRecord, Skip, Standing};
use super::items::Workshop;
use super::overlay::{Overlay, finished_since, lane_meant};
use super::run::{Source, Start};
use super::siblings::Siblings;
use crate::dispatch::{Place, Request};
use crate::durable::FileError;
use crate::git::{CommitId, Repo, tip_of};
use crate::id::{RefName, SessionId, TicketId};
use crate::session::manifest::Outcome;
use crate::session::store::Store;
use crate::ticket::{self, Status, TicketFolder};

/// The tickets of a repository, as they are from moment to moment.
pub struct TicketSource<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// Its store.
    pub store: &'a Store,
    /// What every request has in common.
    pub template: Request,
    /// Where new plain lanes start.
    pub default_base: Option<RefName>,
    /// Whether tickets are looked up in the main checkout's folder.
    pub lookup: Lookup,
    /// Whether work that is not merged yet is started from.
    pub stacking: Stacking,
    /// Whether tickets that become ready are worked on too.
    pub intake: Intake,
    /// What a tag that names a component begins with.
    pub component_prefix: String,
    /// The tickets that were there already.
    pub seen: BTreeSet<TicketId>,
    /// What running siblings touch.
    pub siblings: Siblings,
}

/// Whether tickets are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// In the folder, where there is one.
    InFolder,
    /// Not at all.
    Skip,
}

/// Whether a ticket starts from the work of those that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stacking {
    /// It does, where that is not merged yet.
    FromDeps,
    /// It starts from its base.
    FromBase,
}

/// Which tickets are worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Those that were named at the beginning.
    Fixed,
    /// Every open one, those that appear later too.
    Everything,
}

impl Source for TicketSource<'_> {
    fn start(&mut self, item: &ItemRecord, board: &Board) -> Result<Start, Skip> {
        let ticket_file = self.ticket_now(item, board)?;
        if let Some(session_id) = self.finished_by_others(item, board) {
            return Err(Skip::Done { session_id });
        }
        let stacked_on = match self.stacking {
            Stacking::FromBase => Vec::new(),
            Stacking::FromDeps => self.tips_of_deps(item, board)?,
        };
        let place = Place {
            ticket: item.ticket_id.clone(),
            base: item.base.clone(),
            default_base: self.default_base.clone(),
            branch: None,
            ticket_file,
            ..self.template.place.clone()
        };
        let request = Request { session: SessionId::generate(), place, ..self.template.clone() };
        Ok(Start { request, stacked_on })
    }

    fn further(&mut self, _board: &Board) -> Vec<ItemRecord> {
        // What cannot be read now may be read at the next look.
        if self.intake == Intake::Fixed {
            return Vec::new();
        }
        let Ok(Some(folder)) = self.folder() else { return Vec::new() };
        let new: Vec<TicketId> = folder.ids().filter(|id| !self.seen.contains(*id)).cloned().collect();
        if new.is_empty() {
            return Vec::new();
        }
        let Ok(overlay) = Overlay::read(self.store) else { return Vec::new() };
        let written = folder.backlog().0;
        let overlay = overlay.look_after_merges(self.repo, &written);
        let backlog = overlay.over(written);
        let workshop =
            Workshop { backlog: Some(&backlog), overlay: &overlay, component_prefix: &self.component_prefix };
        let open = new.iter().filter(|id| backlog.status(id).is_some_and(Status::is_active));
        let made = open.map(|id| workshop.item(id, None).record).collect();
        self.seen.extend(new);
        made
    }

    fn warnings(&mut self, board: &Board) -> Vec<Event> {
        self.siblings.look(self.repo, self.store, board, Instant::now())
    }

    fn rhythm(&self, board: &Board) -> Option<Duration> {
        self.siblings.rhythm(board)
    }
}

impl TicketSource<'_> {
    fn folder(&self) -> Result<Option<TicketFolder>, FileError> {
        match (self.lookup, self.repo.main_checkout()) {
            (Lookup::InFolder, Some(main)) => TicketFolder::open(main),
            _ => Ok(None),
        }
    }

    /// The session of someone else's that has finished the item since the batch began. One that the batch has worked on
    /// itself is its own; what cannot be read has finished nothing.
    fn finished_by_others(&self, item: &ItemRecord, board: &Board) -> Option<SessionId> {
        let known = board.position(&item.lane).and_then(|at| board.items().get(at))?;
        if !known.sessions.is_empty() {
            return None;
        }
        finished_since(self.store, &item.lane, board.begun_at()?).ok().flatten()
    }

    /// The ticket's file, unless the ticket is not to be worked on any more.
    fn ticket_now(&self, item: &ItemRecord, board: &Board) -> Result<Option<PathBuf>, Skip> {
        let Some(folder) = self.folder().map_err(unreadable)? else { return Ok(None) };
        let Some(found) = folder.find(&item.ticket_id).map_err(unreadable)? else {
            // A lane may outlive its ticket's file; one that never had a lane has nothing to go by.
            let lanes = self.store.lanes_of(&item.ticket_id).map_err(unreadable)?;
            return if lanes.is_empty() { Err(Skip::Gone) } else { Ok(None) };
        };
        if found.ticket.status() == Some(Status::Closed) {
            return Err(Skip::Closed);
        }
        for dep in found.ticket.deps() {
            let ticket::Dep::Ticket(id) = dep else { continue };
            if !item.deps.iter().any(|known| known.ticket_id == *id) && !is_done(id, &folder, board) {
                return Err(Skip::DepOpen { ticket_id: id.clone() });
            }
        }
        Ok(Some(found.ticket.path().to_owned()))
    }

    /// The branches' commits of all that the item needs and that is not merged yet.
    fn tips_of_deps(&self, item: &ItemRecord, board: &Board) -> Result<Vec<CommitId>, Skip> {
        let mut tips = Vec::new();
        for dep in item.deps.iter().filter(|dep| dep.standing != Standing::Closed) {
            let unknown = |error: &dyn fmt::Display| Skip::DepUnreadable {
                ticket_id: dep.ticket_id.clone(),
                reason: error.to_string(),
            };
            let lanes = self.store.lanes_of(&dep.ticket_id).map_err(|error| unknown(&error))?;
            let meant = lane_meant(&dep.ticket_id, item.base.as_ref(), &lanes);
            // Among all of a ticket's, one whose record is damaged is passed over.
            let lane = self.store.lane(&meant).map_err(|error| unknown(&error))?;
            let merged = board.items().iter().any(|other| {
                other.record.ticket_id == dep.ticket_id
                    && matches!(other.phase, Phase::Over(Verdict::Merged { .. }))
            });
            // One that was merged before and opened again has new work.
            if let Some(lane) = lane.filter(|_| !merged)
                && let Some(tip) = tip_of(self.repo, &lane.branch).map_err(|error| unknown(&error))?
                && lane.merged().is_none_or(|merged| merged.tip != tip.as_str())
            {
                tips.push(tip);
            }
        }
        Ok(tips)
    }
}

fn unreadable(error: impl fmt::Display) -> Skip {
    Skip::Unreadable { reason: error.to_string() }
}

/// Whether a ticket that came to be needed after the batch began is done.
fn is_done(ticket: &TicketId, folder: &TicketFolder, board: &Board) -> bool {
    let closed =
        folder.find(ticket).ok().flatten().and_then(|found| found.ticket.status()) == Some(Status::Closed);
    closed
        || board.items().iter().filter(|item| item.record.ticket_id == *ticket).any(|item| {
            matches!(&item.phase, Phase::Over(Verdict::Merged { .. } | Verdict::Ended(Outcome::Succeeded)))
        })
}
