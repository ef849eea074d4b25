//! The views that people, `--json` and later a dashboard share: what the store says of lanes and sessions, as data.
//! Reads only; nothing here decides or repairs.

mod dirty;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::durable::LockState;
use crate::git::{GitError, Registrations, Repo, tip_of, tree_now};
use crate::id::{BranchName, Lane, SessionId, TicketId};
use crate::session::lane::LaneRecord;
use crate::session::leak::Leak;
use crate::session::manifest::{Glance, Outcome, State, Usage, Work};
use crate::session::store::{Loaded, Store, StoreError};
use crate::ticket::TicketFolder;

pub use dirty::{PATIENCE, look_at_trees};

/// One lane, as `list` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaneReport {
    /// The lane.
    pub lane: Lane,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// The ticket's title, where a file in the main checkout says one.
    pub title: Option<String>,
    /// Its branch.
    pub branch: BranchName,
    /// Its base's name.
    pub base_ref: String,
    /// Its base's commit.
    pub base_commit: String,
    /// Its worktree's path: where it stands now, or, where it is missing, where it was last.
    pub worktree: String,
    /// Whether that is there.
    pub worktree_state: TreeState,
    /// Whether its current session lives.
    pub activity: Activity,
    /// Its current session; null where none was begun.
    pub session_id: Option<SessionId>,
    /// How many sessions it had.
    pub attempt: u32,
    /// The session's state, from its manifest.
    pub state: Option<State>,
    /// The session's outcome, from its manifest.
    pub outcome: Option<Outcome>,
    /// Why, from its manifest.
    pub reason: Option<String>,
    /// The work that its end recorded.
    pub work: Option<Work>,
    /// What its agent used.
    pub usage: Option<Usage>,
    /// What changed outside its worktree while the agent ran, as far as that was noticed.
    pub leaks: Vec<Leak>,
    /// When the session was begun.
    pub created_at: Option<Timestamp>,
    /// When its agent was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Where it was merged, if its branch has nothing new since.
    pub merged: Option<Merged>,
    /// What lies in the tree now, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<Dirty>,
}

/// A lane's merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// The branch that it was merged into.
    pub into: BranchName,
    /// What that branch was moved to.
    pub commit: String,
    /// When.
    pub at: Timestamp,
    #[serde(skip)]
    tip: String,
}

/// Whether a lane's worktree is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeState {
    /// It is.
    Present,
    /// Its folder is gone.
    Missing,
}

/// Whether a lane's current session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// There never was one.
    None,
    /// It lives.
    Live,
    /// It has ended, on record.
    Ended,
    /// No one holds it, and its end is not on record: `recover` settles it.
    Unsettled,
    /// Its record cannot be read, or is of a newer version.
    Unreadable,
}

/// What lies in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "looked")]
pub enum Dirty {
    /// So much.
    Seen {
        /// Tracked files with changes.
        uncommitted: u64,
        /// Untracked files.
        untracked: u64,
        /// An operation left open.
        operation: Option<String>,
    },
    /// It could not be told.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Every lane, and what is wrong with those whose record cannot be read.
pub fn lanes(store: &Store) -> Result<(Vec<LaneReport>, Vec<StoreError>), StoreError> {
    let (records, damaged) = store.lanes()?;
    let sessions = store.open_sessions()?;
    let registrations = Registrations::open(store.common_dir());
    let reports = records.iter().map(|record| {
        let ended = record.current_session.zip(sessions.as_ref());
        match ended.and_then(|(id, sessions)| Store::ended_glance(sessions, id)) {
            Some(glance) => {
                let tree = registrations.tree_now(&record.worktree_id, Path::new(&record.worktree));
                Ok(report(record, Activity::Ended, Some(&glance), tree))
            }
            None => lane(store, record),
        }
    });
    let reports = reports.collect::<Result<_, _>>()?;
    Ok((reports, damaged))
}

/// Gives the lanes the titles of their tickets. A ticket that cannot be read has none.
pub fn add_titles(lanes: &mut [LaneReport], folder: &TicketFolder) {
    for lane in lanes {
        let found = folder.find(&lane.ticket_id).ok().flatten();
        lane.title = found.and_then(|found| found.ticket.title().map(str::to_owned));
    }
}

/// Forgets the merges of lanes that have new work since.
pub fn forget_old_merges(lanes: &mut [LaneReport], repo: &Repo) -> Result<(), GitError> {
    for lane in lanes {
        if let Some(merged) = &lane.merged
            && tip_of(repo, &lane.branch)?.is_some_and(|tip| tip.as_str() != merged.tip)
        {
            lane.merged = None;
        }
    }
    Ok(())
}

/// One lane.
pub fn lane(store: &Store, record: &LaneRecord) -> Result<LaneReport, StoreError> {
    let (activity, manifest) = match record.current_session {
        None => (Activity::None, None),
        Some(id) => match store.observe(id)? {
            (_, Loaded::Manifest(manifest)) if manifest.is_ended() => (Activity::Ended, Some(manifest)),
            (LockState::Held, Loaded::Manifest(manifest)) => (Activity::Live, Some(manifest)),
            (LockState::Free, Loaded::Manifest(manifest)) => (Activity::Unsettled, Some(manifest)),
            (_, Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing) => {
                (Activity::Unreadable, None)
            }
        },
    };
    let tree = tree_now(store.common_dir(), &record.worktree_id);
    let glance = manifest.map(|manifest| Glance::from(*manifest));
    Ok(report(record, activity, glance.as_ref(), tree))
}

fn report(
    record: &LaneRecord,
    activity: Activity,
    session: Option<&Glance>,
    tree: Option<PathBuf>,
) -> LaneReport {
    LaneReport {
        lane: record.lane.clone(),
        ticket_id: record.lane.ticket().clone(),
        title: None,
        branch: record.branch.clone(),
        base_ref: record.base_ref.clone(),
        base_commit: record.base_commit.clone(),
        worktree_state: if tree.is_some() { TreeState::Present } else { TreeState::Missing },
        worktree: tree.map_or_else(|| record.worktree.clone(), |tree| tree.display().to_string()),
        activity,
        session_id: record.current_session,
        attempt: record.attempts,
        state: session.map(|m| m.state.clone()),
        outcome: session.and_then(|m| m.outcome.clone()),
        reason: session.and_then(|m| m.reason.clone()),
        work: session.and_then(|m| m.work.clone()),
        usage: session.and_then(|m| m.usage.clone()),
        leaks: session.map(|m| m.leaks.clone()).unwrap_or_default(),
        created_at: session.map(|m| m.created_at),
        started_at: session.and_then(|m| m.started_at),
        ended_at: session.and_then(|m| m.ended_at),
        merged: record.merged().map(|merged| Merged {
            into: merged.into,
            commit: merged.commit,
            at: merged.at,
            tip: merged.tip,
        }),
        dirty: None,
    }
}

/// Every session there is a record of, oldest first: whatever could be read of it.
pub fn sessions(store: &Store) -> Result<(Vec<serde_json::Value>, Vec<String>), StoreError> {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for id in store.sessions()? {
        match store.document(id) {
            Ok(document) => documents.push(document),
            Err(error) => problems.push(error.to_string()),
        }
    }
    Ok((documents, problems))
}

/// Every session there is a record of, oldest first, as one JSON document; and what could not be read.
pub fn sessions_text(store: &Store) -> Result<(String, Vec<String>), StoreError> {
    let mut all = String::from("[");
    let mut problems = Vec::new();
    for id in store.sessions()? {
        match store.document_text(id) {
            Ok(document) => {
                all.push_str(if all.len() == 1 { "\n  " } else { ",\n  " });
                // No string of JSON has a line break in it.
                all.push_str(&document.trim_end().replace('\n', "\n  "));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    all.push_str(if all.len() == 1 { "]\n" } else { "\n]\n" });
    Ok((all, problems))
}

/// A length of time in its largest two units.
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
