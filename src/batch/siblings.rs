//! Which running sessions touch the same files: said once for each pair, as soon as it shows in their commits.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::board::{Board, Item, WorkPlace};
use super::event::Event;
use crate::git::{CommitId, Repo, tip_of, touched_files};
use crate::id::Lane;

/// How often branches are looked at while several sessions run.
const RHYTHM: Duration = Duration::from_secs(10);
/// So many files are named.
const NAMED: usize = 3;

/// What running siblings touch.
#[derive(Debug, Default)]
pub struct Siblings {
    looked: Option<Instant>,
    lanes: HashMap<Lane, Seen>,
    told: HashSet<(Lane, Lane)>,
}

#[derive(Debug)]
struct Seen {
    tip: CommitId,
    files: BTreeSet<PathBuf>,
}

/// How often siblings are looked at: not at all while there are none.
pub fn rhythm(board: &Board) -> Option<Duration> {
    (active(board).count() > 1).then_some(RHYTHM)
}

fn active(board: &Board) -> impl Iterator<Item = (&Item, &WorkPlace)> {
    board.items().iter().filter(|item| item.is_active()).filter_map(|item| Some((item, item.place.as_ref()?)))
}

impl Siblings {
    /// Looks at the branches of running sessions, unless that was done a moment ago. What cannot be read touches nothing.
    pub fn look(&mut self, repo: &Repo, board: &Board, now: Instant) -> Vec<Event> {
        if rhythm(board).is_none() || self.looked.is_some_and(|at| now.duration_since(at) < RHYTHM) {
            return Vec::new();
        }
        self.looked = Some(now);
        let running: HashSet<&Lane> = active(board).map(|(item, _)| &item.record.lane).collect();
        self.lanes.retain(|lane, _| running.contains(lane));
        for (item, place) in active(board) {
            let Ok(Some(tip)) = tip_of(repo, &place.branch) else { continue };
            if self.lanes.get(&item.record.lane).is_some_and(|seen| seen.tip == tip) {
                continue;
            }
            let Ok(base) = place.base_commit.parse() else { continue };
            let files = if tip == base {
                BTreeSet::new()
            } else {
                touched_files(repo, &base, &tip).unwrap_or_default()
            };
            self.lanes.insert(item.record.lane.clone(), Seen { tip, files });
        }
        self.overlaps()
    }

    fn overlaps(&mut self) -> Vec<Event> {
        let mut lanes: Vec<(&Lane, &BTreeSet<PathBuf>)> =
            self.lanes.iter().map(|(lane, seen)| (lane, &seen.files)).collect();
        lanes.sort_by_key(|(lane, _)| *lane);
        let mut events = Vec::new();
        for (at, (one, files)) in lanes.iter().enumerate() {
            for (other, others) in lanes.iter().skip(at + 1) {
                let pair = ((*one).clone(), (*other).clone());
                let shared: Vec<String> =
                    files.intersection(others).map(|file| file.display().to_string()).collect();
                if !shared.is_empty() && self.told.insert(pair) {
                    events.push(Event::Warning {
                        lanes: vec![(*one).clone(), (*other).clone()],
                        text: format!("both touch {}", named(&shared)),
                    });
                }
            }
        }
        events
    }
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
        let seen = |files: &[&str]| Seen {
            tip: "0123456789012345678901234567890123456789".parse().unwrap(),
            files: files.iter().map(PathBuf::from).collect(),
        };
        let mut siblings = Siblings::default();
        for (lane, files) in [("a", ["x", "y"]), ("b", ["y", "z"]), ("c", ["w", "v"])] {
            siblings.lanes.insert(lane.parse().unwrap(), seen(&files));
        }
        let (one, other): (Lane, Lane) = ("a".parse().unwrap(), "b".parse().unwrap());
        let expected = Event::Warning { lanes: vec![one, other], text: "both touch y".into() };
        assert_eq!(siblings.overlaps(), [expected]);
        assert_eq!(siblings.overlaps(), [], "they know by now");
    }
}
