//! Which running sessions touch the same files: said once for each pair, as soon as it shows in their commits.
//!
//! Before anything is started, what the batch's own branches hold already is held against the sessions of others that
//! run; from then on, what its running sessions commit too. What is not committed yet does not show.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::board::{Board, Item, Phase};
use super::event::Event;
use crate::git::{CommitId, Repo, tip_of, touched_files};
use crate::id::{BranchName, Lane, SessionId};
use crate::session::store::{Loaded, Store};

/// How often branches are looked at while several sessions run.
const RHYTHM: Duration = Duration::from_secs(10);
/// So many files are named.
const NAMED: usize = 3;

/// What running siblings touch.
#[derive(Debug, Default)]
pub struct Siblings {
    looked: Option<Instant>,
    /// How many sessions ran at the last look that are not of the batch.
    others: usize,
    lanes: HashMap<Lane, Seen>,
    told: HashSet<(Lane, Lane)>,
}

#[derive(Debug)]
struct Seen {
    tip: CommitId,
    files: BTreeSet<PathBuf>,
    whose: Whose,
}

/// Whose work a branch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The batch's.
    Ours,
    /// That of a session that someone else began.
    Others,
}

/// A branch that is worked on.
struct Branch {
    lane: Lane,
    name: BranchName,
    base: CommitId,
    whose: Whose,
}

fn active(board: &Board) -> impl Iterator<Item = &Item> {
    board.items().iter().filter(|item| item.is_active())
}

impl Siblings {
    /// How often siblings are looked at: not at all while there are none.
    pub fn rhythm(&self, board: &Board) -> Option<Duration> {
        (active(board).count() + self.others > 1).then_some(RHYTHM)
    }

    /// Looks at the branches of running sessions, unless that was done a moment ago. What cannot be read touches nothing.
    pub fn look(&mut self, repo: &Repo, store: &Store, board: &Board, now: Instant) -> Vec<Event> {
        if self.looked.is_some_and(|at| now.duration_since(at) < RHYTHM) {
            return Vec::new();
        }
        let is_first = self.looked.replace(now).is_none();
        let mut branches = others(store, board);
        self.others = branches.len();
        branches.extend(active(board).filter_map(running));
        if is_first && !branches.is_empty() {
            let waiting = board.items().iter().filter(|item| item.phase == Phase::Waiting);
            branches.extend(waiting.filter_map(|item| unmerged(repo, store, item)));
        }
        if branches.len() < 2 {
            self.lanes.clear();
            return Vec::new();
        }
        let mut before = std::mem::take(&mut self.lanes);
        for branch in branches {
            let Ok(Some(tip)) = tip_of(repo, &branch.name) else { continue };
            let seen = match before.remove(&branch.lane).filter(|seen| seen.tip == tip) {
                Some(seen) => seen,
                None => {
                    let files = match tip == branch.base {
                        true => BTreeSet::new(),
                        false => touched_files(repo, &branch.base, &tip).unwrap_or_default(),
                    };
                    Seen { tip, files, whose: branch.whose }
                }
            };
            self.lanes.insert(branch.lane, seen);
        }
        self.overlaps()
    }

    fn overlaps(&mut self) -> Vec<Event> {
        let mut lanes: Vec<(&Lane, &Seen)> = self.lanes.iter().collect();
        lanes.sort_by_key(|(lane, _)| *lane);
        let mut events = Vec::new();
        for (at, (one, seen)) in lanes.iter().enumerate() {
            for (other, beside) in lanes.iter().skip(at + 1) {
                let strangers: Vec<String> = [(one, seen), (other, beside)]
                    .iter()
                    .filter(|(_, seen)| seen.whose == Whose::Others)
                    .map(|(lane, _)| lane.to_string())
                    .collect();
                let shared: Vec<String> =
                    seen.files.intersection(&beside.files).map(|file| file.display().to_string()).collect();
                if shared.is_empty() || strangers.len() > 1 {
                    continue;
                }
                let pair = ((*one).clone(), (*other).clone());
                if self.told.insert(pair.clone()) {
                    let stranger = strangers.first().map(|lane| format!(" ({lane} runs beside this batch)"));
                    let text = format!("both touch {}{}", named(&shared), stranger.unwrap_or_default());
                    events.push(Event::Warning { lanes: vec![pair.0, pair.1], text });
                }
            }
        }
        events
    }
}

/// The branches of sessions that run and are not of the batch.
fn others(store: &Store, board: &Board) -> Vec<Branch> {
    let ours: HashSet<SessionId> =
        board.items().iter().flat_map(|item| item.sessions.iter().copied()).collect();
    let running = store.running().unwrap_or_default();
    let others = running.into_iter().filter(|session| !ours.contains(session));
    others
        .filter_map(|session| match store.load(session) {
            Ok(Loaded::Manifest(manifest)) if !manifest.is_ended() => Some(Branch {
                base: manifest.worktree.base_commit.parse().ok()?,
                lane: manifest.lane,
                name: manifest.worktree.branch,
                whose: Whose::Others,
            }),
            _ => None,
        })
        .collect()
}

/// The branch of an item whose session runs.
fn running(item: &Item) -> Option<Branch> {
    let place = item.place.as_ref()?;
    let base = place.base_commit.parse().ok()?;
    Some(Branch { lane: item.record.lane.clone(), name: place.branch.clone(), base, whose: Whose::Ours })
}

/// The branch of an item that was worked on before the batch, unless that work is merged.
fn unmerged(repo: &Repo, store: &Store, item: &Item) -> Option<Branch> {
    let record = store.lane(&item.record.lane).ok().flatten()?;
    if let Some(merged) = record.merged()
        && tip_of(repo, &record.branch).ok().flatten().is_none_or(|tip| tip.as_str() == merged.tip)
    {
        return None;
    }
    let base = record.base_commit.parse().ok()?;
    Some(Branch { lane: record.lane, name: record.branch, base, whose: Whose::Ours })
}

fn named(files: &[String]) -> String {
    let shown = files.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_that_touches_the_same_file_is_told_once() {
        let seen = |files: &[&str], whose| Seen {
            tip: "0123456789012345678901234567890123456789".parse().unwrap(),
            files: files.iter().map(PathBuf::from).collect(),
            whose,
        };
        let mut siblings = Siblings::default();
        for (lane, files) in [("a", ["x", "y"]), ("b", ["y", "z"]), ("c", ["w", "v"])] {
            siblings.lanes.insert(lane.parse().unwrap(), seen(&files, Whose::Ours));
        }
        // What two sessions of others share is not the batch's to tell.
        for lane in ["d", "e"] {
            siblings.lanes.insert(lane.parse().unwrap(), seen(&["u"], Whose::Others));
        }
        let (one, other): (Lane, Lane) = ("a".parse().unwrap(), "b".parse().unwrap());
        let expected = Event::Warning { lanes: vec![one, other], text: "both touch y".into() };
        assert_eq!(siblings.overlaps(), [expected]);
        assert_eq!(siblings.overlaps(), [], "they know by now");
    }
}
