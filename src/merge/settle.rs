//! Finishing merges that were interrupted: what has landed is brought to its end, what has not never happened.

use std::fmt;
use std::time::Duration;

use super::error::MergeError;
use super::land::{discard, finish};
use super::queue::{self, Entry, Landing, Stage, Turn};
use super::{Place, Progress};
use crate::git::{contains, let_go_of_index, resume, tip_of};
use crate::session::store::{LaneClaim, LaneLock};

/// What became of a merge that had been interrupted.
#[derive(Debug)]
pub enum Settled {
    /// It had not landed, and did not happen.
    Undone(String),
    /// It had landed, and is finished.
    Finished(String),
    /// It was left as it is, and why.
    Left(String, MergeError),
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, became) = self.in_words();
        write!(f, "{what}: {became}")
    }
}

impl Settled {
    /// Whose merge, and what became of it.
    fn in_words(&self) -> (&str, String) {
        match self {
            Self::Undone(what) => (what, "its interrupted merge had not happened".to_owned()),
            Self::Finished(what) => (what, "its interrupted merge was finished".to_owned()),
            Self::Left(what, error) => (what, format!("its interrupted merge is left as it is: {error}")),
        }
    }
}

/// Finishes everything that was begun and that no one is at. Cheap where there is nothing to do.
pub fn settle(place: &Place<'_>) -> Result<Vec<Settled>, MergeError> {
    if queue::waiting(place.store)?.is_empty() {
        return Ok(Vec::new());
    }
    // Whoever has the turn settles what was left before.
    let Some(turn) = queue::turn_if_free(place.store, "what was left")? else { return Ok(Vec::new()) };
    settle_in_turn(place, &turn, None)
}

/// The same for who has the turn, and perhaps a lane; and tells it.
pub(super) fn settle_and_tell(
    place: &Place<'_>,
    turn: &Turn,
    claim: Option<&LaneLock>,
    progress: &dyn Progress,
) -> Result<(), MergeError> {
    for settled in settle_in_turn(place, turn, claim)? {
        let (what, became) = settled.in_words();
        progress.note_about(what, &became);
    }
    Ok(())
}

fn settle_in_turn(
    place: &Place<'_>,
    turn: &Turn,
    claim: Option<&LaneLock>,
) -> Result<Vec<Settled>, MergeError> {
    let mut settled = Vec::new();
    for id in queue::waiting(place.store)? {
        let mut entry = match queue::read(place.store, id) {
            Ok(Some(entry)) => entry,
            Ok(None) => continue,
            Err(error) => {
                settled.push(Settled::Left(id.to_string(), error.into()));
                continue;
            }
        };
        let what = entry.what.clone();
        settled.push(match settle_one(place, turn, &mut entry, claim) {
            Ok(Some(settled)) => settled,
            // Its lane is someone's, who is about to merge or to work: the next one will do.
            Ok(None) => continue,
            Err(error) => Settled::Left(what, error),
        });
    }
    Ok(settled)
}

fn settle_one(
    place: &Place<'_>,
    turn: &Turn,
    entry: &mut Entry,
    claim: Option<&LaneLock>,
) -> Result<Option<Settled>, MergeError> {
    match entry.stage.clone() {
        Stage::Landing(landing) if has_landed(place, &landing)? => {
            let held = match &landing.lane {
                Some(merge) if claim.is_none_or(|claim| *claim.lane() != merge.lane) => {
                    match place.store.claim_lane(&merge.lane, Duration::ZERO)? {
                        LaneClaim::Claimed(claim) => Some(claim),
                        LaneClaim::Busy(_) => return Ok(None),
                    }
                }
                _ => None,
            };
            for tree in &landing.trees {
                let name = entry.id.to_string();
                let Landing { target, from, to, .. } = landing.as_ref();
                resume(place.repo, tree, &name, target, from, to, turn.lock())?;
            }
            finish(place, entry, &landing, held.as_ref().or(claim))?;
            Ok(Some(Settled::Finished(entry.what.clone())))
        }
        undone => {
            if let Stage::Landing(landing) = undone {
                for tree in &landing.trees {
                    let_go_of_index(&tree.admin, &entry.id.to_string())?;
                }
            }
            discard(place, entry)?;
            Ok(Some(Settled::Undone(entry.what.clone())))
        }
    }
}

/// Whether the target has moved, and perhaps further on since.
fn has_landed(place: &Place<'_>, landing: &Landing) -> Result<bool, MergeError> {
    match tip_of(place.repo, &landing.target)? {
        Some(now) => Ok(now != landing.from && contains(place.repo, &now, &landing.to)?),
        None => Ok(false),
    }
}
