//! Bringing the worktrees that have a branch checked out along when it moves.
//!
//! Before the branch moves, every such worktree is looked at: what the move would touch in it and no commit has, be it
//! edited, staged, new or ignored, is in the way, and nothing moves. Afterwards `git read-tree -m -u` takes index and
//! files from the old commit to the new one, and leaves all else as it is.
//!
//! Done twice it changes nothing more. Interrupted half-way it is taken up again by [`resume`], which knows its own
//! half-written files by their content.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::follower::{Follower, Kept};
use super::touched::{self, Dirty, Side, Touch, touched, write};
use crate::durable::{self, HeldLock};
use crate::failpoint;
use crate::git::hold::is_ours;
use crate::git::printed::Staged;
use crate::git::program::{Call, Place};
use crate::git::refs::there;
use crate::git::registry::{self, Entry};
use crate::git::work::operation;
use crate::git::worktree::{back_link, is_empty};
use crate::git::{CommitId, GitError, Head, Operation, Repo};
use crate::id::BranchName;

/// The three versions of a file that was edited in a worktree and is touched by a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions<'a> {
    /// What is checked out.
    pub old: &'a str,
    /// What it was edited to.
    pub mine: &'a str,
    /// What the merge makes of it.
    pub new: &'a str,
}

/// Says of an edited file what it is to hold after the merge; `None` where the edit is in the way.
pub type Reconcile<'a> = &'a dyn Fn(&Path, Versions<'_>) -> Option<String>;

/// Whether a branch may move, as far as the worktrees go that have it checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It may, and these are brought along.
    Clear(Vec<Follower>),
    /// It may not.
    Blocked(Blocked),
}

/// A worktree that keeps a branch from being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Its top folder.
    pub tree: PathBuf,
    /// Why.
    pub why: WhyBlocked,
}

/// Why a worktree keeps a branch from being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyBlocked {
    /// These files hold what no commit has.
    Files(Vec<PathBuf>),
    /// Something that git began in it waits to be ended.
    Open(Operation),
    /// The branch is `being rebased` or `being bisected` there.
    Busy(&'static str),
    /// git's lock on the index is there.
    IndexLock,
    /// A session, or another command of ralph's, works in it.
    Session(String),
    /// It cannot be reached now, and is locked for this reason.
    Away(String),
    /// git would not take it to the new commit, and said so.
    Refused(String),
}

/// How long git is waited for that works in a worktree right now.
const GIT_PATIENCE: Duration = Duration::from_secs(3);

impl Follower {
    pub(super) fn read<'r>(&'r self, repo: &'r Repo) -> Call<'r> {
        Call::read(repo.program(), Place::Tree { admin: &self.admin, top: &self.path })
    }
}

/// Looks whether the branch may move from `old` to `new`. Changes nothing but what `git status` changes too.
pub fn way(
    repo: &Repo,
    branch: &BranchName,
    old: &CommitId,
    new: &CommitId,
    reconcile: Reconcile<'_>,
) -> Result<Way, GitError> {
    let mut trees = match trees_of(repo, branch)? {
        Ok(trees) => trees,
        Err(blocked) => return Ok(Way::Blocked(blocked)),
    };
    if trees.is_empty() {
        return Ok(Way::Clear(trees));
    }
    let touched = touched(repo, old, new)?;
    for tree in &mut trees {
        if let Some(why) = look(repo, tree, old, new, &touched, reconcile)? {
            return Ok(Way::Blocked(Blocked { tree: tree.path.clone(), why }));
        }
    }
    Ok(Way::Clear(trees))
}

/// The worktrees that have the branch checked out.
fn trees_of(repo: &Repo, branch: &BranchName) -> Result<Result<Vec<Follower>, Blocked>, GitError> {
    let full = branch.full();
    let mut trees = Vec::new();
    let blocked = |tree: &Path, why| Ok(Err(Blocked { tree: tree.to_owned(), why }));
    if !repo.is_bare() {
        let head = registry::head_of(repo.common_dir())?.unwrap_or(Head::Unclear);
        let main = repo.main_checkout().unwrap_or(repo.common_dir());
        match registry::use_of(repo.common_dir(), &head, &full)? {
            None => {}
            Some("checked out") if repo.main_checkout().is_some() => trees.push(Follower {
                admin: repo.common_dir().to_owned(),
                path: main.to_owned(),
                kept: Vec::new(),
            }),
            Some(how) => return blocked(main, WhyBlocked::Busy(how)),
        }
    }
    for (entry, how) in registry::users(repo.common_dir(), &full, registry::Branch::There)? {
        match how {
            "checked out" => match reachable(&entry)? {
                Reach::There if entry.locked.as_deref().is_some_and(is_ours) => {
                    return blocked(&entry.tree, WhyBlocked::Session(entry.locked.unwrap_or_default()));
                }
                Reach::There => {
                    trees.push(Follower { admin: entry.admin, path: entry.tree, kept: Vec::new() });
                }
                // `git worktree prune` takes it away: there is nothing that could follow.
                Reach::Gone => {}
                Reach::Away(reason) => return blocked(&entry.tree, WhyBlocked::Away(reason)),
            },
            how => return blocked(&entry.tree, WhyBlocked::Busy(how)),
        }
    }
    Ok(Ok(trees))
}

enum Reach {
    There,
    Gone,
    Away(String),
}

fn reachable(entry: &Entry) -> Result<Reach, GitError> {
    if there(&entry.tree)? && !(entry.tree.is_dir() && is_empty(&entry.tree)?) {
        back_link(entry)?;
        return Ok(Reach::There);
    }
    Ok(entry.locked.clone().map_or(Reach::Gone, Reach::Away))
}

fn look(
    repo: &Repo,
    tree: &mut Follower,
    old: &CommitId,
    new: &CommitId,
    touched: &BTreeMap<PathBuf, Touch>,
    reconcile: Reconcile<'_>,
) -> Result<Option<WhyBlocked>, GitError> {
    if let Some(operation) = operation(&tree.admin)? {
        return Ok(Some(WhyBlocked::Open(operation)));
    }
    if is_locked_for(&tree.admin, GIT_PATIENCE)? {
        return Ok(Some(WhyBlocked::IndexLock));
    }
    let mut files = touched::standing_in_the_way(&tree.path, touched)?;
    files.extend(touched::hidden(repo, tree, touched)?);
    for (path, dirty) in touched::dirty(repo, tree, old)? {
        let Some(touch) = touched.get(&path) else { continue };
        match reconciled(repo, tree, &path, touch, dirty, reconcile)? {
            Some(kept) => tree.kept.push(kept),
            None => drop(files.insert(path)),
        }
    }
    if !files.is_empty() {
        return Ok(Some(WhyBlocked::Files(files.into_iter().collect())));
    }
    // git's own word on it, where it can be asked for it.
    if tree.kept.is_empty() {
        refresh(repo, tree)?;
        if let Err(error) = read_tree(repo, tree, old, new, &["-n"], None)?.into_stdout() {
            return Ok(Some(WhyBlocked::Refused(said(error)?)));
        }
    }
    Ok(None)
}

fn reconciled(
    repo: &Repo,
    tree: &Follower,
    path: &Path,
    touch: &Touch,
    dirty: Dirty,
    reconcile: Reconcile<'_>,
) -> Result<Option<Kept>, GitError> {
    let (Some(old), Some(new), Dirty::Edited) = (&touch.old, &touch.new, dirty) else { return Ok(None) };
    if !(old.is_file() && new.is_file()) || path.to_str().is_none() {
        return Ok(None);
    }
    let Some(mine) = text_of(&tree.path.join(path)) else { return Ok(None) };
    let text = |side: &Side| touched::content(repo, side).map(|content| String::from_utf8(content).ok());
    let (Some(old), Some(new)) = (text(old)?, text(new)?) else { return Ok(None) };
    let then = reconcile(path, Versions { old: &old, mine: &mine, new: &new });
    Ok(then.map(|then| Kept { file: path.to_owned(), mine, then }))
}

/// The content of a small text file; `None` where it is anything else.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(durable::read(path, 1 << 20).ok()??).ok()
}

/// Takes a worktree from the old commit to the new one. The branch has moved already.
///
/// git holds `held` too until it has ended: whoever has it next finds no git of ours at work.
pub fn follow(
    repo: &Repo,
    tree: &Follower,
    old: &CommitId,
    new: &CommitId,
    held: &HeldLock,
) -> Result<(), GitError> {
    let touched = touched(repo, old, new)?;
    let moved = give_way(repo, tree).and_then(|()| {
        failpoint::hit("follow.ready");
        move_files(repo, tree, old, new, &touched, held)
    });
    if let Err(error) = moved {
        put_back(repo, tree, &touched)?;
        return Err(error);
    }
    failpoint::hit("follow.read");
    give_back(repo, tree, &touched)
}

fn move_files(
    repo: &Repo,
    tree: &Follower,
    old: &CommitId,
    new: &CommitId,
    touched: &BTreeMap<PathBuf, Touch>,
    held: &HeldLock,
) -> Result<(), GitError> {
    wait_for_index(tree)?;
    refresh(repo, tree)?;
    // git itself would overwrite an ignored file.
    let staged = staged(repo, tree)?;
    let mut new_files = touched::standing_in_the_way(&tree.path, touched)?;
    new_files.retain(|path| !staged.contains_key(path));
    if let Some(path) = new_files.pop_first() {
        return Err(GitError::ChangedMeanwhile {
            path: tree.path.clone(),
            what: format!("{path:?} is there, which the merge brings too"),
        });
    }
    read_tree(repo, tree, old, new, &[], Some(held))?.into_stdout().map(drop)
}

/// Finishes an interrupted [`follow`] of a branch that has moved, perhaps further on since. A worktree that has another
/// branch checked out by now has nothing to follow. What someone has put into a touched file since then stays, and is
/// an error.
pub fn resume(
    repo: &Repo,
    tree: &Follower,
    branch: &BranchName,
    old: &CommitId,
    new: &CommitId,
    held: &HeldLock,
) -> Result<(), GitError> {
    let here =
        matches!(registry::head_of(&tree.admin), Ok(Some(Head::Branch(name))) if name == branch.as_str());
    if !here || !there(&tree.path)? {
        return Ok(());
    }
    wait_for_index(tree)?;
    let answer = tree
        .read(repo)
        .args(["diff-index", "--cached", "--quiet", "--ignore-submodules=none", "HEAD", "--"])
        .run()?;
    let as_head = answer.code() == Some(0);
    answer.into_stdout_of(&[0, 1])?;
    // git writes the index last: whatever differs from it was put there since.
    if as_head {
        give_back(repo, tree, &touched(repo, old, new)?)
    } else {
        take_up(repo, tree, old, new, held)
    }
}

fn take_up(
    repo: &Repo,
    tree: &Follower,
    old: &CommitId,
    new: &CommitId,
    held: &HeldLock,
) -> Result<(), GitError> {
    let touched = touched(repo, old, new)?;
    let staged = staged(repo, tree)?;
    let mut put_back = Vec::new();
    for (path, touch) in &touched {
        let in_index = staged.get(path);
        if in_index == touch.new.as_ref() || in_index != touch.old.as_ref() {
            // It has followed already, or was staged by someone: git judges that.
            continue;
        }
        let file = tree.path.join(path);
        // Of these, what they are to hold is on record.
        let is_kept = tree.kept.iter().any(|kept| kept.file == *path);
        match (&touch.old, &touch.new) {
            // Brought by the merge, and not yet in the index: ours if it is what the merge brings.
            (None, Some(new)) if is_half_written(repo, tree, path, new)? => {
                fs::remove_file(&file).map_err(|e| GitError::io("remove", &file, e))?;
            }
            (Some(_), None) if !there(&file)? => put_back.push(path.clone()),
            (Some(_), Some(new))
                if !is_kept && (!there(&file)? || is_half_written(repo, tree, path, new)?) =>
            {
                put_back.push(path.clone());
            }
            _ => {}
        }
    }
    check_out(repo, tree, &put_back)?;
    follow(repo, tree, old, new, held)
}

/// Whether the file holds a part of what the merge brings, from its beginning on, or all of it.
fn is_half_written(repo: &Repo, tree: &Follower, path: &Path, new: &Side) -> Result<bool, GitError> {
    let file = tree.path.join(path);
    if !new.is_file() {
        let target = fs::read_link(&file).ok();
        let wanted = touched::content(repo, new)?;
        return Ok(target.is_some_and(|target| target.as_os_str().as_encoded_bytes() == wanted));
    }
    let Ok(found) = durable::read(&file, 1 << 30) else { return Ok(false) };
    let Some(found) = found else { return Ok(false) };
    if touched::content(repo, new)?.starts_with(&found) {
        return Ok(true);
    }
    is_written(repo, tree, path, new)
}

/// Whether the file holds this side, as git reads it back through its conversions and filters.
fn is_written(repo: &Repo, tree: &Follower, path: &Path, side: &Side) -> Result<bool, GitError> {
    let file = tree.path.join(path);
    let call = tree.read(repo).args(["hash-object", "--path"]).arg(path).arg("--").arg(&file);
    Ok(String::from_utf8_lossy(&call.succeed()?).trim() == side.object)
}

/// Whether a small text file holds this side, whatever line ends git wrote.
fn holds(repo: &Repo, tree: &Follower, path: &Path, side: &Side) -> Result<bool, GitError> {
    let Some(found) = text_of(&tree.path.join(path)) else { return Ok(false) };
    Ok(found.into_bytes() == touched::content(repo, side)? || is_written(repo, tree, path, side)?)
}

/// What the index holds.
fn staged(repo: &Repo, tree: &Follower) -> Result<BTreeMap<PathBuf, Side>, GitError> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut found = BTreeMap::new();
    tree.read(repo).args(["ls-files", "--stage", "-z"]).for_each_record(&mut |record| {
        if let Some(Staged { mode, object, path }) = Staged::of(record) {
            let side = Side { mode: mode.to_owned(), object: object.to_owned() };
            found.insert(OsStr::from_bytes(path).into(), side);
        }
    })?;
    Ok(found)
}

/// Edits that are not in the way are put aside: they are on record.
fn give_way(repo: &Repo, tree: &Follower) -> Result<(), GitError> {
    let still = |kept: &&Kept| text_of(&tree.path.join(&kept.file)).as_ref() == Some(&kept.mine);
    let paths: Vec<PathBuf> = tree.kept.iter().filter(still).map(|kept| kept.file.clone()).collect();
    check_out(repo, tree, &paths)
}

/// Edits that were put aside for a worktree that could not follow are put back, whatever git got to write there.
fn put_back(repo: &Repo, tree: &Follower, touched: &BTreeMap<PathBuf, Touch>) -> Result<(), GitError> {
    for kept in &tree.kept {
        let file = tree.path.join(&kept.file);
        let Some(touch) = touched.get(&kept.file) else { continue };
        for side in [&touch.old, &touch.new].into_iter().flatten() {
            if holds(repo, tree, &kept.file, side)? {
                fs::write(&file, &kept.mine).map_err(|e| GitError::io("write", &file, e))?;
                break;
            }
        }
    }
    Ok(())
}

/// What edited files are to hold, once the worktree has followed. One that was edited since stays as it is.
fn give_back(repo: &Repo, tree: &Follower, touched: &BTreeMap<PathBuf, Touch>) -> Result<(), GitError> {
    for kept in &tree.kept {
        let file = tree.path.join(&kept.file);
        let Some(new) = touched.get(&kept.file).and_then(|touch| touch.new.as_ref()) else { continue };
        if holds(repo, tree, &kept.file, new)? {
            fs::write(&file, &kept.then).map_err(|e| GitError::io("write", &file, e))?;
        }
    }
    Ok(())
}

/// Writes files as the index has them.
fn check_out(repo: &Repo, tree: &Follower, paths: &[PathBuf]) -> Result<(), GitError> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut input = Vec::new();
    for path in paths {
        input.extend_from_slice(path.as_os_str().as_encoded_bytes());
        input.push(0);
    }
    write(repo, tree).args(["checkout-index", "-f", "-u", "-q", "-z", "--stdin"]).input(input).succeed()?;
    Ok(())
}

/// Lets git notice which files only look changed.
fn refresh(repo: &Repo, tree: &Follower) -> Result<(), GitError> {
    // It fails where something is changed: that is not asked here.
    write(repo, tree).args(["update-index", "-q", "--refresh"]).run()?;
    Ok(())
}

fn read_tree(
    repo: &Repo,
    tree: &Follower,
    old: &CommitId,
    new: &CommitId,
    how: &[&str],
    held: Option<&HeldLock>,
) -> Result<crate::git::program::Answer, GitError> {
    let mut call = write(repo, tree);
    if let Some(held) = held {
        call = call.holding(held);
    }
    call.args(["read-tree", "-m", "-u", "--no-recurse-submodules"])
        .args(how)
        .args([old.as_str(), new.as_str()])
        .run()
}

fn said(error: GitError) -> Result<String, GitError> {
    match error {
        GitError::ProgramFailed { stderr, .. } => Ok(stderr),
        other => Err(other),
    }
}

fn wait_for_index(tree: &Follower) -> Result<(), GitError> {
    if is_locked_for(&tree.admin, GIT_PATIENCE)? {
        return Err(GitError::IndexLocked { path: tree.admin.join("index.lock") });
    }
    Ok(())
}

/// Whether git's lock on the index is there all the while.
fn is_locked_for(admin: &Path, patience: Duration) -> Result<bool, GitError> {
    let until = Instant::now() + patience;
    while there(&admin.join("index.lock"))? {
        if Instant::now() >= until {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}
