//! What the commits of a branch amount to, counted from the commit that it started from.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::printed::NumStat;
use super::repo::{Backend, Repo};
use super::{CommitId, GitError};

/// The view of the manifest in the worktree: never work.
const VIEW: &str = ".ralph";
/// Larger files are compared as wholes, not line by line.
const LARGEST_DIFFED: i64 = 64 << 20;

/// Whether a change of this path is work.
pub(super) fn counts(path: &[u8], ignore: &[PathBuf]) -> bool {
    let below = |folder: &[u8]| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    !below(VIEW.as_bytes()) && !ignore.iter().any(|ignored| below(ignored.as_os_str().as_bytes()))
}

/// What the commits beyond `start` amount to.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) commits: usize,
    pub(super) files_changed: usize,
    pub(super) insertions: usize,
    pub(super) deletions: usize,
    pub(super) start_reachable: bool,
}

/// Counts what the commits beyond `start` changed.
pub(super) fn history(
    repo: &Repo,
    start: &CommitId,
    tip: Option<&CommitId>,
    ignore: &[PathBuf],
) -> Result<History, GitError> {
    let Some(tip) = tip else { return Ok(History::default()) };
    if tip == start {
        return Ok(History { start_reachable: true, ..History::default() });
    }
    let mut history = match repo.backend() {
        Backend::Libgit2(libgit2) => match diff_by_libgit2(libgit2, start, tip, ignore) {
            Ok(history) => history,
            // libgit2 reads the main checkout's index for attributes, and cannot read every kind (sparse, split).
            Err(_) => diff_by_program(repo, start, tip, ignore)?,
        },
        Backend::Program(_) => diff_by_program(repo, start, tip, ignore)?,
    };
    let distance = repo.distance(tip, start)?;
    history.commits = distance.ahead;
    history.start_reachable = distance.behind == 0;
    Ok(history)
}

fn diff_by_libgit2(
    repo: &git2::Repository,
    start: &CommitId,
    tip: &CommitId,
    ignore: &[PathBuf],
) -> Result<History, GitError> {
    let failed = |e| GitError::libgit2("compare with the start commit", tip, e);
    let tree = |commit: &CommitId| -> Result<git2::Tree<'_>, GitError> {
        repo.find_commit(commit.oid()?).and_then(|c| c.tree()).map_err(failed)
    };
    let mut options = git2::DiffOptions::new();
    options.max_size(LARGEST_DIFFED).context_lines(0);
    let diff =
        repo.diff_tree_to_tree(Some(&tree(start)?), Some(&tree(tip)?), Some(&mut options)).map_err(failed)?;
    let mut history = History::default();
    for (i, delta) in diff.deltas().enumerate() {
        let path = delta.new_file().path_bytes().or(delta.old_file().path_bytes()).unwrap_or_default();
        if !counts(path, ignore) {
            continue;
        }
        history.files_changed += 1;
        // None: a binary file, which has no lines.
        if let Some(patch) = git2::Patch::from_diff(&diff, i).map_err(failed)? {
            let (_, insertions, deletions) = patch.line_stats().map_err(failed)?;
            history.insertions += insertions;
            history.deletions += deletions;
        }
    }
    Ok(history)
}

fn diff_by_program(
    repo: &Repo,
    start: &CommitId,
    tip: &CommitId,
    ignore: &[PathBuf],
) -> Result<History, GitError> {
    let out = repo
        .read()
        .args(["diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"])
        .args([start.as_str(), tip.as_str(), "--"])
        .succeed()?;
    let mut history = History::default();
    for record in out.split(|b| *b == 0) {
        if let Some(stat) = NumStat::of(record).filter(|stat| counts(stat.path, ignore)) {
            history.files_changed += 1;
            history.insertions += stat.insertions;
            history.deletions += stat.deletions;
        }
    }
    Ok(history)
}

/// How many commits `tip` has that none of the others has.
pub(super) fn only_in(repo: &Repo, tip: &CommitId, others: &[&CommitId]) -> Result<usize, GitError> {
    match repo.backend() {
        Backend::Libgit2(libgit2) => {
            let failed = |e| GitError::libgit2("count the commits of", tip, e);
            let mut walk = libgit2.revwalk().map_err(failed)?;
            walk.push(tip.oid()?).map_err(failed)?;
            for other in others {
                walk.hide(other.oid()?).map_err(failed)?;
            }
            walk.try_fold(0, |count, commit| commit.map(|_| count + 1)).map_err(failed)
        }
        Backend::Program(_) => {
            let hidden = others.iter().map(|other| format!("^{other}"));
            let call = repo.read().args(["rev-list", "--count", tip.as_str()]).args(hidden);
            let out = call.succeed()?;
            String::from_utf8_lossy(&out).trim().parse().map_err(|_| call.unclear())
        }
    }
}
