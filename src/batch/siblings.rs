//! Which running sessions touch the same files: said once for each pair, as soon as it shows in their commits, or in what
//! pi's own record says that it edits and writes.
//!
//! Before anything is started, what the batch's own branches hold already is held against the sessions of others that
//! run; from then on, what its running sessions do too. What an agent changes in other ways, by a shell for instance,
//! shows once it is committed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use super::board::{Board, Item, Phase};
use super::event::Event;
use crate::agent::pi::session_file::Follower;
use crate::git::{CommitId, Repo, tip_of, touched_files};
use crate::id::{BranchName, Lane, SessionId};
use crate::session::launch::{AccountSource, LaunchSpec};
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
    /// The agents' own records of running sessions.
    records: HashMap<SessionId, Record>,
    told: HashSet<(Lane, Lane)>,
}

/// What an agent's own record says of its files.
#[derive(Debug)]
struct Record {
    follower: Follower,
    worktree: PathBuf,
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
    /// The session that runs.
    session: Option<SessionId>,
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
            self.records.clear();
            return Vec::new();
        }
        self.follow(store, &branches);
        let mut before = std::mem::take(&mut self.lanes);
        for branch in branches {
            let Ok(Some(tip)) = tip_of(repo, &branch.name) else { continue };
            let mut seen = match before.remove(&branch.lane).filter(|seen| seen.tip == tip) {
                Some(seen) => seen,
                None => {
                    let files = match tip == branch.base {
                        true => BTreeSet::new(),
                        false => touched_files(repo, &branch.base, &tip).unwrap_or_default(),
                    };
                    Seen { tip, files, whose: branch.whose }
                }
            };
            let record = branch.session.and_then(|session| self.records.get_mut(&session));
            seen.files.extend(record.map(Record::touched).unwrap_or_default());
            self.lanes.insert(branch.lane, seen);
        }
        self.overlaps()
    }

    /// Follows the records of the sessions that run, and no others.
    fn follow(&mut self, store: &Store, branches: &[Branch]) {
        let mut before = std::mem::take(&mut self.records);
        for session in branches.iter().filter_map(|branch| branch.session) {
            if let Some(record) = before.remove(&session).or_else(|| Record::of(store, session)) {
                self.records.insert(session, record);
            }
        }
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

impl Record {
    /// Of a session whose agent keeps one.
    fn of(store: &Store, session: SessionId) -> Option<Self> {
        let spec = LaunchSpec::read(&store.session_dir(session)).ok().flatten()?;
        match spec.account {
            AccountSource::Pi { session_file, from } => Some(Self {
                follower: Follower::new(session_file.into(), from),
                worktree: spec.worktree.into(),
            }),
            AccountSource::None => None,
        }
    }

    /// The files of the worktree that are said to be changed, from its top.
    fn touched(&mut self) -> Vec<PathBuf> {
        let said = self.follower.look().touched.iter();
        said.filter_map(|path| inside(&self.worktree, Path::new(path))).collect()
    }
}

/// The path from the top of the worktree, where it leads into it.
fn inside(worktree: &Path, said: &Path) -> Option<PathBuf> {
    let path = if said.is_absolute() { said.strip_prefix(worktree).ok()? } else { said };
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let parts: Option<PathBuf> =
        parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect();
    parts.filter(|path| !path.as_os_str().is_empty())
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
                session: Some(session),
            }),
            _ => None,
        })
        .collect()
}

/// The branch of an item whose session runs.
fn running(item: &Item) -> Option<Branch> {
    let place = item.place.as_ref()?;
    let base = place.base_commit.parse().ok()?;
    let (lane, name) = (item.record.lane.clone(), place.branch.clone());
    Some(Branch { lane, name, base, whose: Whose::Ours, session: item.session() })
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
    Some(Branch { lane: record.lane, name: record.branch, base, whose: Whose::Ours, session: None })
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
    fn only_what_is_in_the_worktree_counts_however_it_is_said() {
        let said = |path: &str| inside(Path::new("/w/t-1"), Path::new(path));
        for path in ["src/a.rs", "./src/a.rs", "/w/t-1/src/a.rs"] {
            assert_eq!(said(path), Some("src/a.rs".into()), "{path}");
        }
        for path in ["/w/t-2/src/a.rs", "../t-2/a.rs", "/etc/passwd", "", ".", "/w/t-1"] {
            assert_eq!(said(path), None, "{path}");
        }
    }

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
