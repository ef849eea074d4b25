//! What lies in the trees of lanes now: looked at side by side, none of them for long.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Dirty, LaneReport};
use crate::git::{Look, Repo, Tree, glance};
use crate::session::launch::not_work_of;
use crate::session::store::Store;

/// How long git may take over one tree before that is shown as unknown.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// More looks than that at the same time are in one another's way.
const MOST_AT_ONCE: usize = 8;

/// Looks into the tree of every lane, giving each `patience`.
pub fn look_at_trees(repo: &Repo, store: &Store, lanes: &mut [LaneReport], patience: Duration) {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(vec![None; lanes.len()]);
    let (all, common, program) = (&*lanes, repo.common_dir(), repo.program());
    let look = || {
        // A handle belongs to one thread.
        let repo = Repo::open_with(common, program.clone());
        while let Some((at, lane)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, all.get(at)?)))
        {
            let seen = match &repo {
                Ok(repo) => dirty(repo, store, lane, patience),
                Err(error) => Dirty::Unknown { why: error.to_string() },
            };
            let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found[at] = Some(seen);
        }
    };
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE).min(all.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(look);
        }
    });
    let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (lane, seen) in lanes.iter_mut().zip(found) {
        lane.dirty = seen;
    }
}

fn dirty(repo: &Repo, store: &Store, lane: &LaneReport, patience: Duration) -> Dirty {
    let start = match lane.base_commit.parse() {
        Ok(start) => start,
        Err(error) => return Dirty::Unknown { why: format!("{error}") },
    };
    let ignore = not_work_of(store, lane.session_id);
    let worktree = Path::new(&lane.worktree);
    let question = Look { worktree, branch: &lane.branch, start: &start, ignore: &ignore };
    match glance(repo, &question, patience) {
        Ok(seen) => match seen.tree {
            Tree::Present => Dirty::Seen {
                uncommitted: seen.uncommitted.try_into().unwrap_or(u64::MAX),
                untracked: seen.untracked.try_into().unwrap_or(u64::MAX),
                operation: seen.operation.map(|operation| operation.as_str().to_owned()),
            },
            Tree::Missing => Dirty::Unknown { why: "its folder is gone".to_owned() },
            Tree::Unclear { why } => Dirty::Unknown { why },
        },
        Err(error) => Dirty::Unknown { why: error.to_string() },
    }
}
