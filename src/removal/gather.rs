//! The facts about a lane, looked up. Nothing is changed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::decide::{BranchFacts, Facts, Named, SessionFact};
use super::{Place, RemovalError};
use crate::durable::LockState;
use crate::git::{
    CommitId, Folder, Site, Standing, Subject, UnsavedItem, branch_standing, registered, unsaved,
};
use crate::id::{Lane, RefName, SessionId};
use crate::process::inside::{Occupant, occupants, wait_for_end};
use crate::session::choose::{Choice, choose};
use crate::session::lane::LaneRecord;
use crate::session::launch::not_work_of;
use crate::session::store::{LaneClaim, LaneLock, Loaded, Store, StoreError};
use crate::ticket::file_inside;

/// How long git is waited for that still works in a worktree.
const GIT_PATIENCE: Duration = Duration::from_secs(2);

/// A lane, looked at.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) site: Site,
    pub(super) standing: Option<Standing>,
    pub(super) facts: Facts,
}

/// The lane that a name means.
pub(super) fn known_lane(store: &Store, typed: &Lane) -> Result<LaneRecord, RemovalError> {
    let lanes = store.lanes_of(typed.ticket())?;
    chosen(typed, &lanes)?.ok_or_else(|| RemovalError::NoSuchLane { lane: typed.clone() })
}

/// The one of `lanes` that a name means.
pub(super) fn chosen(typed: &Lane, lanes: &[LaneRecord]) -> Result<Option<LaneRecord>, RemovalError> {
    match choose(typed.ticket(), typed.base(), lanes) {
        Choice::Known(record) => Ok(Some(*record)),
        Choice::New(_) => Ok(None),
        Choice::Several(lanes) => Err(RemovalError::SeveralLanes { ticket: typed.ticket().clone(), lanes }),
    }
}

/// Takes the lane, waiting for who is about to be done with it.
pub(super) fn claim(store: &Store, lane: &Lane) -> Result<LaneLock, RemovalError> {
    match store.claim_lane(lane, super::LANE_PATIENCE)? {
        LaneClaim::Claimed(claim) => Ok(claim),
        LaneClaim::Busy(Some(session)) if store.probe(session)? == LockState::Held => {
            Err(RemovalError::Running { lane: lane.clone(), session })
        }
        LaneClaim::Busy(_) => Err(RemovalError::Contended { lane: lane.clone() }),
    }
}

/// Looks at the lane.
pub(super) fn gather(place: &Place<'_>, record: &LaneRecord) -> Result<Gathered, RemovalError> {
    let Place { repo, store, .. } = *place;
    let site = Site {
        slug: record.lane.slug(),
        branch: record.branch.clone(),
        path: PathBuf::from(&record.worktree),
        recorded_id: Some(record.worktree_id.clone()),
    };
    let session = session_fact(store, record.current_session)?;
    let standing = registered(repo, &site)?;
    // A base that is gone contains nothing.
    let base = record.base_ref.parse::<RefName>().ok().and_then(|name| repo.resolve_base(&name).ok());
    let own = standing.as_ref().map(|standing| standing.id.as_str());
    let branch_standing = branch_standing(repo, &record.branch, base.as_ref(), own)?;
    let branch = BranchFacts {
        name: record.branch.clone(),
        named: if record.branch == record.lane.default_branch() { Named::ByRalph } else { Named::ByUser },
        standing: branch_standing,
    };
    let mut facts = Facts {
        session,
        users_lock: standing.as_ref().and_then(|standing| standing.users_lock.clone()),
        occupants: Vec::new(),
        unsaved: crate::git::Unsaved::default(),
        branch,
    };
    if let Some(standing) = &standing {
        let base_commit: CommitId = record.base_commit.parse()?;
        let mut not_work = not_work_of(store, record.current_session);
        not_work.push(file_inside(record.lane.ticket()));
        let subject = Subject {
            standing,
            branch: &record.branch,
            branch_standing: &facts.branch.standing,
            base: &base_commit,
            not_work: &not_work,
        };
        facts.unsaved = unsaved(repo, &subject);
        match who_is_inside(standing) {
            Ok(occupants) => facts.occupants = occupants,
            Err(error) => facts
                .unsaved
                .items
                .push(UnsavedItem::Unchecked { what: "processes that work in it", why: error.to_string() }),
        }
    }
    Ok(Gathered { site, standing, facts })
}

/// Who works in the worktree. git cleans up behind a commit by itself, in the background, and is soon done.
fn who_is_inside(standing: &Standing) -> io::Result<Vec<Occupant>> {
    if standing.folder == Folder::Missing {
        return Ok(Vec::new());
    }
    let folder = standing.path.canonicalize()?;
    let mut inside = occupants(&folder)?;
    if !inside.is_empty() && inside.iter().all(|occupant| occupant.name.starts_with("git")) {
        wait_for_end(&inside, GIT_PATIENCE)?;
        inside = occupants(&folder)?;
    }
    Ok(inside)
}

fn session_fact(store: &Store, session: Option<SessionId>) -> Result<SessionFact, StoreError> {
    let Some(id) = session else { return Ok(SessionFact::None) };
    let held = store.probe(id)? == LockState::Held;
    Ok(match store.load(id)? {
        Loaded::Manifest(manifest) if manifest.is_ended() => {
            if held {
                // One that has recorded its end lets go in a moment.
                store.wait_until_free(id)?;
            }
            SessionFact::Ended
        }
        _ if held => SessionFact::Running(id),
        Loaded::Manifest(_) => SessionFact::Unsettled(id),
        Loaded::Missing if !store.session_dir(id).path().exists() => SessionFact::None,
        Loaded::Missing => SessionFact::Unclear(id, "its manifest is missing".to_owned()),
        Loaded::Damaged { why, .. } => SessionFact::Unclear(id, why),
        Loaded::Newer { schema_version, .. } => {
            SessionFact::Unclear(id, format!("its manifest is of version {schema_version}"))
        }
    })
}
