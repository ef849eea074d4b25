//! Finding out what a session did, and recording its end. The supervisor does it, and `recover` where there is none.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::patience::{Outcome, within};
use super::watch::{Ended, Signalled};
use crate::agent::pi::session_file::{self, StopReason};
use crate::durable;
use crate::failpoint;
use crate::git::{
    CommitId, Found, GitError, GitProgram, Head, Look, Operation, Repo, Tree, held_by_session, look, pin,
    unlock_if, unpin,
};
use crate::session::launch::{AccountSource, LaunchSpec, Pinned, pin_name};
use crate::session::left_open::LeftOpen;
use crate::session::manifest::{EndedBy, Usage, Work};
use crate::session::outcome::{Account, End, Evidence, LastStop, StopKind, WorkFound};
use crate::session::state::Event;
use crate::session::store::{SessionDir, Store, StoreError};
use crate::session::writer::SessionWriter;

const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How long the look may take, at most: twice as long as a call of git's may.
pub(super) const LOOK_PATIENCE: Duration = Duration::from_mins(10);

/// Records the session's end with all that can be found out, and lets its worktree go.
pub fn conclude(
    writer: &mut SessionWriter,
    spec: &LaunchSpec,
    ended: Ended,
    git: &GitProgram,
) -> Result<(), StoreError> {
    let Ended { end, signalled, truncated_bytes, mut notes } = ended;
    if let End::Seen { ended_by: EndedBy::Stop, .. } = &end {
        notes.extend(writer.dir().stop_reason());
    }
    notes.extend(stale_locks(writer.store(), writer.dir(), spec, signalled));
    keep_private(&spec.account);
    let common = writer.store().common_dir();
    let (evidence, head_commit) = if let End::NeverStarted(_) = &end {
        if let Ok(repo) = Repo::open_with(common, git.clone()) {
            let_start_go(&repo, spec);
        }
        (Evidence { end, account: None, work: WorkFound::NotLooked, usage: None, notes }, None)
    } else {
        let examined = examine(common, git, spec);
        if let Ok((repo, found)) = &examined {
            notes.extend(pin_what_could_dangle(repo, spec, found));
        }
        let found = examined.map(|(_, found)| found);
        let head_commit = found.as_ref().ok().and_then(|f| f.head_commit.as_ref().map(CommitId::to_string));
        (evidence(spec, end, found, notes), head_commit)
    };
    failpoint::hit("conclude.judged");
    let event = Event::Ended { evidence: Box::new(evidence), head_commit, truncated_bytes };
    // The view may be in a tree that the agent removed; the original is what counts.
    let _view = writer.step(event, Timestamp::now())?;
    failpoint::hit("conclude.recorded");
    // Best effort: a lock that stays names a session that has ended, and the next dispatch or `recover` takes it over.
    drop(unlock_if(Path::new(&spec.admin_dir), &held_by_session(spec.session_id)));
    Ok(())
}

/// The agent wrote its own record, with a mode of its own choice. Best effort: the folder around it is private anyway.
fn keep_private(source: &AccountSource) {
    let AccountSource::Pi { session_file, .. } = source else { return };
    if let Ok(file) = durable::open_no_follow(Path::new(session_file)) {
        drop(file.set_permissions(Permissions::from_mode(0o600)));
    }
}

/// What the worktree and its branch hold, or why that cannot be told.
fn examine(common: &Path, git: &GitProgram, spec: &LaunchSpec) -> Result<(Repo, Found), String> {
    let (common, git, spec) = (common.to_owned(), git.clone(), spec.clone());
    match within(LOOK_PATIENCE, move || look_at(&common, git, &spec)) {
        Outcome::Done(found) => found.map_err(|error| error.to_string()),
        Outcome::TooSlow => Err(format!(
            "what is in the repository could not be read within {} seconds",
            LOOK_PATIENCE.as_secs()
        )),
        Outcome::NotBegun(error) => Err(format!("what is in the repository could not be read: {error}")),
    }
}

fn look_at(common: &Path, git: GitProgram, spec: &LaunchSpec) -> Result<(Repo, Found), GitError> {
    let repo = Repo::open_with(common, git)?;
    let start = spec.start_commit.parse()?;
    let ignore: Vec<PathBuf> = spec.not_work.iter().map(PathBuf::from).collect();
    let worktree = Path::new(&spec.worktree);
    let found = look(&repo, &Look { worktree, branch: &spec.branch, start: &start, ignore: &ignore })?;
    Ok((repo, found))
}

fn evidence(spec: &LaunchSpec, end: End, found: Result<Found, String>, mut notes: Vec<String>) -> Evidence {
    let (account, usage) = account(&spec.account, &mut notes);
    let work = match found {
        Err(why) => WorkFound::Unreadable(why),
        Ok(found) => {
            let work = work(&found, spec);
            match found.tree {
                Tree::Present => WorkFound::Read(work),
                Tree::Missing => WorkFound::TreeGone(work),
                Tree::Unclear { why } => WorkFound::Unreadable(why),
            }
        }
    };
    Evidence { end, account, work, usage, notes }
}

fn work(found: &Found, spec: &LaunchSpec) -> Work {
    let operation = match (found.operation, &found.head) {
        (Some(operation), _) => Some(left_open(operation)),
        (None, Head::Detached(_)) => Some(LeftOpen::Detached),
        (None, Head::Branch(branch)) if *branch != spec.branch.as_str() => Some(LeftOpen::OtherBranch),
        (None, _) => None,
    };
    Work {
        commits: count(found.commits),
        files_changed: count(found.files_changed),
        insertions: count(found.insertions),
        deletions: count(found.deletions),
        uncommitted: count(found.uncommitted),
        untracked: count(found.untracked),
        operation,
        extra: serde_json::Map::new(),
    }
}

fn left_open(operation: Operation) -> LeftOpen {
    match operation {
        Operation::Merge => LeftOpen::Merge,
        Operation::Rebase => LeftOpen::Rebase,
        Operation::CherryPick => LeftOpen::CherryPick,
        Operation::Revert => LeftOpen::Revert,
        Operation::Bisect => LeftOpen::Bisect,
        Operation::Am => LeftOpen::Am,
    }
}

fn last_stop(reason: &StopReason) -> LastStop {
    let kind = match reason {
        StopReason::Stop => StopKind::Finished,
        StopReason::Error => StopKind::Error,
        StopReason::Aborted => StopKind::Aborted,
        StopReason::Length => StopKind::Length,
        StopReason::ToolUse => StopKind::Tool,
        StopReason::Other(_) => StopKind::Other,
    };
    LastStop { kind, word: reason.to_string() }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The agent's own account of the session, and what it used.
fn account(source: &AccountSource, notes: &mut Vec<String>) -> (Option<Account>, Option<Usage>) {
    let AccountSource::Pi { session_file, from } = source else { return (None, None) };
    let read = match session_file::read(Path::new(session_file), *from) {
        Ok(read) => read,
        Err(error) => {
            notes.push(format!("the agent's session file could not be read: {error}"));
            return (Some(Account { stop: None, error: None }), None);
        }
    };
    let account = Account { stop: read.last_stop_reason.as_ref().map(last_stop), error: read.last_error };
    let usage = (read.assistant_messages > 0).then(|| Usage {
        input_tokens: read.usage.input,
        output_tokens: read.usage.output,
        cost_usd: read.usage.cost,
        model: read.model,
        extra: serde_json::Map::new(),
    });
    (Some(account), usage)
}

/// Locks that git left on what is the worktree's own: its index, its HEAD, its branch. They are stale only if we signalled
/// who held them and nothing of the session lives; then they move into the session's folder. Else they are told.
fn stale_locks(store: &Store, dir: &SessionDir, spec: &LaunchSpec, signalled: Signalled) -> Vec<String> {
    let admin = Path::new(&spec.admin_dir);
    let branch = store.common_dir().join("refs/heads").join(format!("{}.lock", spec.branch));
    let locks = [
        (admin.join("index.lock"), "index.lock"),
        (admin.join("HEAD.lock"), "HEAD.lock"),
        (branch, "branch.lock"),
    ];
    let told =
        locks.into_iter().filter_map(|(lock, name)| stale_lock(&lock, &dir.path().join(name), signalled));
    told.collect()
}

fn stale_lock(lock: &Path, kept: &Path, signalled: Signalled) -> Option<String> {
    if !lock.exists() {
        return None;
    }
    let name = kept.file_name().unwrap_or_default().display();
    Some(match signalled {
        Signalled::No | Signalled::InVain => format!("git's lock {} was left behind", lock.display()),
        Signalled::Yes => match fs::rename(lock, kept) {
            Ok(()) => format!("git's stale {name} was moved to {}", kept.display()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => format!("git's stale lock {} could not be moved away: {e}", lock.display()),
        },
    })
}

/// What was kept while the agent ran, and is on the branch still, needs no name of its own any more.
fn let_start_go(repo: &Repo, spec: &LaunchSpec) {
    let Ok(start) = spec.start_commit.parse() else { return };
    if spec.start_commit != spec.base_commit
        && let Ok(lock) = repo.lock(LOCK_PATIENCE)
    {
        // A pin too many keeps a commit that the branch has anyway.
        drop(unpin(repo, &lock, &pin_name(spec.session_id, Pinned::Start), &start));
    }
}

/// Commits that only the worktree's HEAD, or nothing at all any more, leads to are given a name of their own.
fn pin_what_could_dangle(repo: &Repo, spec: &LaunchSpec, found: &Found) -> Vec<String> {
    let start = spec.start_commit.parse::<CommitId>().ok();
    let elsewhere = !matches!(&found.head, Head::Branch(branch) if *branch == spec.branch.as_str());
    let lost_start = start.as_ref().filter(|_| !found.start_reachable).map(|commit| (commit, Pinned::Start));
    let head = found.head_commit.as_ref().filter(|_| elsewhere).map(|commit| (commit, Pinned::Head));
    let wanted: Vec<_> = lost_start.into_iter().chain(head).collect();
    if found.start_reachable {
        let_start_go(repo, spec);
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let lock = match repo.lock(LOCK_PATIENCE) {
        Ok(lock) => lock,
        Err(error) => return vec![format!("commits could not be pinned: {error}")],
    };
    let keep = |(commit, pinned): (&CommitId, Pinned)| {
        let name = pin_name(spec.session_id, pinned);
        let what = match pinned {
            Pinned::Start => "the branch no longer has what it started from: that",
            Pinned::Head => "what is checked out beside the branch",
        };
        match pin(repo, &lock, &name, commit) {
            Ok(()) => format!("{what} is kept as refs/ralph/{name}"),
            Err(error) => format!("{commit} could not be pinned: {error}"),
        }
    };
    wanted.into_iter().map(keep).collect()
}
