//! What a typed name means: a ticket of the folder, a lane, or neither, which is told with what comes near.

use std::path::PathBuf;

use super::error::{CliError, CliResult, several_lanes};
use super::exit::Exit;
use super::surroundings::Surroundings;
use crate::id::{Lane, SessionId, TicketId};
use crate::session::choose::{Choice, choose};
use crate::session::lane::LaneRecord;
use crate::ticket::{Resolution, TicketFolder};

/// As many lanes are named where the one that was typed is not there.
const MOST_NEAR: usize = 3;

/// Whether a ticket must be in the tickets' folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketLookup {
    /// Where there is such a folder.
    InFolder,
    /// Not at all.
    Skip,
}

/// What a typed name means.
pub enum Meant {
    /// A lane that exists.
    Lane(Box<LaneRecord>),
    /// None that is on record.
    Nothing {
        /// The name in full: something that is just begun or half removed may go by it.
        name: Lane,
        /// What to say where nothing does.
        error: CliError,
    },
}

impl Surroundings {
    /// The ticket that was typed, by its full id, and its file.
    pub fn ticket(&self, typed: &Lane, lookup: TicketLookup) -> CliResult<(TicketId, Option<PathBuf>)> {
        let folder = match lookup {
            TicketLookup::InFolder => self.folder()?,
            TicketLookup::Skip => None,
        };
        let Some(folder) = folder else { return Ok((typed.ticket().clone(), None)) };
        match folder.resolve(typed.ticket().as_str()) {
            Resolution::Exact(id) | Resolution::Partial(id) => {
                let file = folder.file_of(&id);
                let found = folder.find(&id);
                let file = found.ok().flatten().map_or(file, |found| found.ticket.path().to_owned());
                Ok((id, Some(file)))
            }
            Resolution::Ambiguous(ids) => Err(ambiguous(typed, &ids)),
            Resolution::Unknown { nearest } => {
                // A lane may outlive its ticket's file.
                if !self.store().lanes_of(typed.ticket())?.is_empty() {
                    return Ok((typed.ticket().clone(), None));
                }
                self.store().none_damaged_of(typed.ticket())?;
                let near =
                    if nearest.is_empty() { String::new() } else { format!("; near: {}", list(&nearest)) };
                let message =
                    format!("there is no ticket {} in {}{near}", typed.ticket(), folder.path().display());
                Err(CliError::new(Exit::NotFound, message)
                    .hint("correct the id, or pass --no-ticket to work without a ticket file"))
            }
        }
    }

    /// A lane that exists, by what was typed: an id or a part of one, with or without a base.
    pub fn lane(&self, typed: &Lane) -> CliResult<LaneRecord> {
        match self.meant(typed)? {
            Meant::Lane(record) => Ok(*record),
            Meant::Nothing { error, .. } => Err(error),
        }
    }

    /// What a typed name means. An id that has a lane means that; of any other the tickets' folder says whether it is a
    /// part of one. The lanes do not: T-1 would be T-10 wherever T-1 has no lane yet.
    pub fn meant(&self, typed: &Lane) -> CliResult<Meant> {
        let (all, _) = self.store().lanes()?;
        let of = |ticket: &TicketId| -> Vec<LaneRecord> {
            all.iter().filter(|record| record.lane.ticket() == ticket).cloned().collect()
        };
        let mut name = typed.clone();
        let mut lanes = of(typed.ticket());
        if lanes.is_empty()
            && let Some(folder) = self.folder()?
        {
            match folder.resolve(typed.ticket().as_str()) {
                Resolution::Exact(id) | Resolution::Partial(id) => {
                    lanes = of(&id);
                    name = Lane::new(id, typed.base().cloned());
                }
                Resolution::Ambiguous(ids) => return Err(ambiguous(typed, &ids)),
                Resolution::Unknown { .. } => {}
            }
        }
        match choose(name.ticket(), name.base(), &lanes) {
            Choice::Known(record) => Ok(Meant::Lane(record)),
            Choice::New(_) => {
                let error = match self.store().none_damaged_of(name.ticket()) {
                    Ok(()) => no_lane(&name, typed.ticket(), &all),
                    Err(damaged) => damaged.into(),
                };
                Ok(Meant::Nothing { name, error })
            }
            Choice::Several(lanes) => Err(several_lanes(name.ticket(), &lanes)),
        }
    }

    /// The tickets' folder, where there is one.
    fn folder(&self) -> CliResult<Option<TicketFolder>> {
        match self.context.repo.main_checkout() {
            Some(main) => TicketFolder::open(main).map_err(|e| CliError::new(Exit::CannotDo, e.to_string())),
            None => Ok(None),
        }
    }
}

/// There is no such lane; other tickets' lanes are named where `part` is a part of their ids.
fn no_lane(name: &Lane, part: &TicketId, all: &[LaneRecord]) -> CliError {
    let is_near = |ticket: &&TicketId| *ticket != name.ticket() && ticket.as_str().contains(part.as_str());
    let mut near: Vec<TicketId> =
        all.iter().map(|record| record.lane.ticket()).filter(is_near).cloned().collect();
    near.sort();
    near.dedup();
    near.truncate(MOST_NEAR);
    let near = if near.is_empty() { String::new() } else { format!("; near: {}", list(&near)) };
    CliError::new(Exit::NotFound, format!("{name} has no worktree of ralph's in this repository{near}"))
        .hint("`ralph worktree list` shows those that there are")
}

fn ambiguous(typed: &Lane, ids: &[TicketId]) -> CliError {
    let part = typed.ticket().as_str();
    CliError::new(Exit::Usage, format!("{part:?} is a part of several tickets' ids: {}", list(ids)))
        .hint("give more of the id")
}

fn list(ids: &[TicketId]) -> String {
    ids.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A lane's current session.
pub fn current_session(record: &LaneRecord) -> CliResult<SessionId> {
    record.current_session.ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("{} has no session yet", record.lane))
            .hint(format!("begin one: ralph worktree dispatch {}", record.lane))
    })
}
