//! Bringing the worktrees that have a branch checked out along when it moves.
//!
//! Before the branch moves, every such worktree is looked at: what the move would touch in it and no commit has, be it
//! edited, staged, new or ignored, is in the way, and nothing moves. Then git's lock on its index is taken (`held_index`).
//! Afterwards `git read-tree -m -u` takes index and files from the old commit to the new one, and leaves all else as it
//! is. Where it cannot, what it has written by then is taken back.
//!
//! Done twice it changes nothing more. Interrupted half-way it is taken up again by [`resume`], which knows its own
//! half-written files by their content.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::follower::{Follower, Kept, WorkTree};
use super::followers::{Blocked, WhyBlocked, trees_of};
use super::held_index::{HeldIndex, is_locked, let_go_of_index};
use super::touched::{self, Dirty, Side, Touch, touched};
use crate::durable::{self, HeldLock};
use crate::failpoint;
use crate::git::printed::Staged;
use crate::git::program::{AtATime, Call};
use crate::git::refs::there;
use crate::git::work::operation;
use crate::git::{CommitId, GitError, Repo};
use crate::id::BranchName;

/// The versions of a file that was edited in a worktree, or is new in it, and is touched by a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions<'a> {
    /// What is checked out; `None` where git does not know the file there.
    pub old: Option<&'a str>,
    /// What it was edited to.
    pub mine: &'a str,
    /// What the merge makes of it.
    pub new: &'a str,
}

/// git writes fewer files one after the other, however many workers it may have (`checkout.thresholdForParallelism`).
const GIT_WRITES_SEVERAL_FROM: usize = 100;

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
    if is_locked(&tree.admin)? {
        return Ok(Some(WhyBlocked::IndexLock));
    }
    let seen = tree.seen();
    let mut files = touched::hidden(repo, seen, touched)?;
    let mut kept = Vec::new();
    let mut consider = |path: PathBuf, edit: Option<Edit<'_>>| -> Result<(), GitError> {
        match edit.map(|edit| reconciled(repo, seen, &path, edit, reconcile)).transpose()?.flatten() {
            Some(then) => kept.push(then),
            None => drop(files.insert(path)),
        }
        Ok(())
    };
    for path in touched::standing_in_the_way(seen.path, touched)? {
        let edit = touched.get(&path).and_then(|touch| touch.new.as_ref()).map(|new| Edit { old: None, new });
        consider(path, edit)?;
    }
    for (path, dirty) in touched::dirty(repo, seen, old)? {
        let Some(touch) = touched.get(&path) else { continue };
        let edit = match (&touch.old, &touch.new, dirty) {
            (Some(old), Some(new), Dirty::Edited) => Some(Edit { old: Some(old), new }),
            _ => None,
        };
        consider(path, edit)?;
    }
    if !files.is_empty() {
        return Ok(Some(WhyBlocked::Files(files.into_iter().collect())));
    }
    // git's own word on it, where it can be asked for it.
    if kept.is_empty() {
        refresh(repo, seen)?;
        if let Err(error) = read_tree(repo, seen, old, new).arg("-n").run()?.into_stdout() {
            return Ok(Some(WhyBlocked::Refused(said(error)?)));
        }
    }
    tree.kept = kept;
    Ok(None)
}

/// A file of the user's that a merge touches, between these.
#[derive(Clone, Copy)]
struct Edit<'a> {
    old: Option<&'a Side>,
    new: &'a Side,
}

fn reconciled(
    repo: &Repo,
    tree: WorkTree<'_>,
    path: &Path,
    edit: Edit<'_>,
    reconcile: Reconcile<'_>,
) -> Result<Option<Kept>, GitError> {
    if !(edit.old.is_none_or(Side::is_file) && edit.new.is_file()) || path.to_str().is_none() {
        return Ok(None);
    }
    let Some(mine) = text_of(&tree.path.join(path)) else { return Ok(None) };
    let text = |side: &Side| touched::content(repo, side).map(|content| String::from_utf8(content).ok());
    let Some(new) = text(edit.new)? else { return Ok(None) };
    let old = match edit.old.map(text).transpose()? {
        None => None,
        Some(Some(old)) => Some(old),
        Some(None) => return Ok(None),
    };
    let then = reconcile(path, Versions { old: old.as_deref(), mine: &mine, new: &new });
    Ok(then.map(|then| Kept { file: path.to_owned(), mine, then }))
}

/// The content of a small text file; `None` where it is anything else.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(durable::read(path, 1 << 20).ok()??).ok()
}

/// Takes a worktree's files, and the index that is held for it, from the old commit to the new one. The branch has moved
/// already.
///
/// git holds `turn` too until it has ended: whoever has it next finds no git of ours at work.
///
/// # Errors
///
/// The worktree is as it was; where that could not be brought about, [`GitError::HalfWritten`].
pub fn follow(
    repo: &Repo,
    held: &HeldIndex<'_>,
    old: &CommitId,
    new: &CommitId,
    turn: &HeldLock,
) -> Result<(), GitError> {
    let touched = touched(repo, old, new)?;
    let (tree, kept) = (held.seen(), held.tree().kept.as_slice());
    let moved = give_way(repo, tree, kept, &touched).and_then(|()| {
        failpoint::hit("follow.ready");
        move_files(repo, tree, old, new, &touched, turn)
    });
    if let Err(why) = moved {
        let taken_back = take_back(repo, tree, kept, &touched);
        // Whatever came of that: nothing else holds these.
        let put_back = put_back(repo, tree, kept, &touched);
        return Err(match taken_back.and(put_back) {
            Ok(()) => why,
            Err(left) => {
                let path = tree.path.to_owned();
                GitError::HalfWritten { path, why: Box::new(why), left: Box::new(left) }
            }
        });
    }
    failpoint::hit("follow.read");
    give_back(repo, tree, kept, &touched)
}

fn move_files(
    repo: &Repo,
    tree: WorkTree<'_>,
    old: &CommitId,
    new: &CommitId,
    touched: &BTreeMap<PathBuf, Touch>,
    turn: &HeldLock,
) -> Result<(), GitError> {
    refresh(repo, tree)?;
    // git itself would overwrite an ignored file.
    let staged = staged(repo, tree)?;
    let mut new_files = touched::standing_in_the_way(tree.path, touched)?;
    new_files.retain(|path| !staged.contains_key(path));
    if let Some(path) = new_files.pop_first() {
        return Err(GitError::ChangedMeanwhile {
            path: tree.path.to_owned(),
            what: format!("{path:?} is there, which the merge brings too"),
        });
    }
    let at_a_time = match touched.len() {
        0..GIT_WRITES_SEVERAL_FROM => AtATime::One,
        _ => repo.files_at_a_time(new, (tree.admin, tree.path))?,
    };
    let written = read_tree(repo, tree, old, new).writing(at_a_time).holding(turn).run()?;
    written.into_stdout().map(drop)
}

/// Finishes an interrupted [`follow`] of a branch that has moved, perhaps further on since. A worktree that has another
/// branch checked out by now has nothing to follow. What someone has put into a touched file since then stays, and is
/// an error. `merge` is the name that its lock was taken by.
pub fn resume(
    repo: &Repo,
    tree: &Follower,
    merge: &str,
    branch: &BranchName,
    old: &CommitId,
    new: &CommitId,
    turn: &HeldLock,
) -> Result<(), GitError> {
    if !tree.has_checked_out(branch).unwrap_or(false) || !there(&tree.path)? {
        return let_go_of_index(&tree.admin, merge);
    }
    let held = HeldIndex::take(tree, merge)?;
    let at = held.seen();
    let answer = at
        .read(repo)
        .args(["diff-index", "--cached", "--quiet", "--ignore-submodules=none", "HEAD", "--"])
        .run()?;
    let as_head = answer.code() == Some(0);
    answer.into_stdout_of(&[0, 1])?;
    let touched = touched(repo, old, new)?;
    // The index is put in its place last: whatever differs from it was put there since.
    if as_head {
        return give_back(repo, at, &tree.kept, &touched);
    }
    take_back(repo, at, &tree.kept, &touched)?;
    follow(repo, &held, old, new, turn)?;
    held.publish()
}

/// Takes back what git has written of the new commit into files, by the index of the old one. Files that hold
/// something else are someone's, and stay.
fn take_back(
    repo: &Repo,
    tree: WorkTree<'_>,
    kept: &[Kept],
    touched: &BTreeMap<PathBuf, Touch>,
) -> Result<(), GitError> {
    let staged = staged(repo, tree)?;
    let open: Vec<_> = touched
        .iter()
        .filter(|(path, touch)| {
            let in_index = staged.get(*path);
            // The others have followed already, or were staged by someone: git judges that.
            in_index != touch.new.as_ref() && in_index == touch.old.as_ref()
        })
        .collect();
    // First, since a folder of the merge's may stand where a file is to be again.
    for (path, touch) in &open {
        take_away(repo, tree, path, touch)?;
    }
    let mut missing = Vec::new();
    for (path, touch) in open {
        let Some(old) = &touch.old else { continue };
        let file = tree.path.join(path);
        // An edit that has not given way yet.
        let is_mine =
            || kept.iter().any(|kept| kept.file == *path && text_of(&file).as_ref() == Some(&kept.mine));
        let is_missing = match &touch.new {
            Some(new) if !old.is_submodule() && !new.is_submodule() => {
                !is_mine() && (!there(&file)? || is_half_written(repo, tree, path, new)?)
            }
            _ => !there(&file)?,
        };
        if is_missing {
            missing.push((path.clone(), old));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let absent = touched::told_not_to_look(repo, tree)?;
    let mut files = Vec::new();
    for (path, old) in missing.into_iter().filter(|(path, _)| !absent.contains(path)) {
        if old.is_submodule() {
            let folder = tree.path.join(path);
            fs::create_dir_all(&folder).map_err(|e| GitError::io("make", &folder, e))?;
        } else {
            files.push(path);
        }
    }
    check_out(repo, tree, &files)
}

/// Takes away what a merge has brought where the old commit has no file. Of submodules git makes and removes the folder
/// only.
fn take_away(repo: &Repo, tree: WorkTree<'_>, path: &Path, touch: &Touch) -> Result<(), GitError> {
    let file = tree.path.join(path);
    match (&touch.old, &touch.new) {
        (Some(old), Some(new)) if new.is_submodule() && !old.is_submodule() => {
            // One that holds something stays.
            drop(fs::remove_dir(&file));
        }
        (old, Some(new)) if !new.is_submodule() && old.as_ref().is_none_or(Side::is_submodule) => {
            if there(&file)? && is_half_written(repo, tree, path, new)? {
                fs::remove_file(&file).map_err(|e| GitError::io("remove", &file, e))?;
            }
            if old.is_none() {
                remove_empty_above(tree.path, path);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Folders that a merge made for its files go with the last of them, as with git.
fn remove_empty_above(top: &Path, path: &Path) {
    for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        // One that holds something stays.
        if fs::remove_dir(top.join(folder)).is_err() {
            break;
        }
    }
}

/// Whether the file holds a part of what the merge brings, from its beginning on, or all of it.
fn is_half_written(repo: &Repo, tree: WorkTree<'_>, path: &Path, new: &Side) -> Result<bool, GitError> {
    let file = tree.path.join(path);
    if !new.is_file() {
        let target = fs::read_link(&file).ok();
        let wanted = touched::content(repo, new)?;
        return Ok(target.is_some_and(|target| target.as_os_str().as_encoded_bytes() == wanted));
    }
    let Ok(found) = durable::open_no_follow(&file) else { return Ok(false) };
    Ok(is_beginning(repo, found, new)? || is_written(repo, tree, path, new)?)
}

/// Whether the side begins with what is found, or is all of it. They are read side by side: they may be large.
fn is_beginning(repo: &Repo, mut found: impl Read, side: &Side) -> Result<bool, GitError> {
    let mut verdict = None;
    let streamed = repo.fetching().args(["cat-file", "blob", &side.object]).run_streaming(&mut |wanted| {
        let mut part = Vec::new();
        verdict = match found.by_ref().take(wanted.len() as u64).read_to_end(&mut part) {
            Ok(_) if part == wanted => None,
            Ok(_) => Some(wanted.starts_with(&part)),
            // What cannot be read is someone's.
            Err(_) => Some(false),
        };
        verdict.is_none()
    });
    match verdict {
        Some(verdict) => Ok(verdict),
        None => {
            streamed?.into_stdout()?;
            Ok(found.read(&mut [0]).is_ok_and(|more| more == 0))
        }
    }
}

/// Whether the file holds this side, as git reads it back through its conversions and filters.
fn is_written(repo: &Repo, tree: WorkTree<'_>, path: &Path, side: &Side) -> Result<bool, GitError> {
    let file = tree.path.join(path);
    let call = tree.read(repo).args(["hash-object", "--path"]).arg(path).arg("--").arg(&file);
    Ok(String::from_utf8_lossy(&call.succeed()?).trim() == side.object)
}

/// Whether a small text file holds this side, whatever line ends git wrote.
fn holds(repo: &Repo, tree: WorkTree<'_>, path: &Path, side: &Side) -> Result<bool, GitError> {
    let Some(found) = text_of(&tree.path.join(path)) else { return Ok(false) };
    Ok(found.into_bytes() == touched::content(repo, side)? || is_written(repo, tree, path, side)?)
}

/// What the index holds.
fn staged(repo: &Repo, tree: WorkTree<'_>) -> Result<BTreeMap<PathBuf, Side>, GitError> {
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
fn give_way(
    repo: &Repo,
    tree: WorkTree<'_>,
    kept: &[Kept],
    touched: &BTreeMap<PathBuf, Touch>,
) -> Result<(), GitError> {
    if kept.is_empty() {
        return Ok(());
    }
    let staged = staged(repo, tree)?;
    let mut tracked = Vec::new();
    for kept in kept {
        let file = tree.path.join(&kept.file);
        let new = touched.get(&kept.file).and_then(|touch| touch.new.as_ref());
        // Where the index has followed already, git writes the file no more.
        if text_of(&file).as_ref() != Some(&kept.mine) || staged.get(&kept.file) == new {
            continue;
        }
        match touched.get(&kept.file) {
            Some(Touch { old: None, .. }) => {
                fs::remove_file(&file).map_err(|e| GitError::io("remove", &file, e))?;
            }
            _ => tracked.push(kept.file.clone()),
        }
    }
    check_out(repo, tree, &tracked)
}

/// Edits that were put aside for a worktree that could not follow are put back, whatever git got to write there.
fn put_back(
    repo: &Repo,
    tree: WorkTree<'_>,
    kept: &[Kept],
    touched: &BTreeMap<PathBuf, Touch>,
) -> Result<(), GitError> {
    for kept in kept {
        let file = tree.path.join(&kept.file);
        let Some(touch) = touched.get(&kept.file) else { continue };
        let of_old = |side| holds(repo, tree, &kept.file, side);
        let of_new = |side| is_half_written(repo, tree, &kept.file, side);
        if !there(&file)?
            || touch.old.as_ref().map_or(Ok(false), of_old)?
            || touch.new.as_ref().map_or(Ok(false), of_new)?
        {
            write_text(&file, &kept.mine)?;
        }
    }
    Ok(())
}

/// What edited files are to hold, once the worktree has followed. One that was edited since stays as it is.
fn give_back(
    repo: &Repo,
    tree: WorkTree<'_>,
    kept: &[Kept],
    touched: &BTreeMap<PathBuf, Touch>,
) -> Result<(), GitError> {
    for kept in kept {
        let file = tree.path.join(&kept.file);
        let Some(new) = touched.get(&kept.file).and_then(|touch| touch.new.as_ref()) else { continue };
        // What is to hold what the commit has holds it, with whatever line ends.
        if touched::content(repo, new)? != kept.then.as_bytes() && holds(repo, tree, &kept.file, new)? {
            write_text(&file, &kept.then)?;
        }
    }
    Ok(())
}

/// Whole or not at all, with the permissions that the file has. Its folder may have gone with it.
fn write_text(file: &Path, text: &str) -> Result<(), GitError> {
    let write = || {
        let folder = file.parent().unwrap_or(file);
        fs::create_dir_all(folder)?;
        let mode = fs::metadata(file).map_or(0o644, |meta| meta.permissions().mode());
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        beside.write_all(text.as_bytes())?;
        beside.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        beside.persist(file).map_err(|e| e.error)
    };
    write().map(drop).map_err(|e: io::Error| GitError::io("write", file, e))
}

/// Writes files as the index has them.
fn check_out(repo: &Repo, tree: WorkTree<'_>, paths: &[PathBuf]) -> Result<(), GitError> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut input = Vec::new();
    for path in paths {
        input.extend_from_slice(path.as_os_str().as_encoded_bytes());
        input.push(0);
    }
    let call = tree.write(repo).writing(AtATime::One).input(input);
    call.args(["checkout-index", "-f", "-u", "-q", "-z", "--stdin"]).succeed()?;
    Ok(())
}

/// Lets git notice which files only look changed.
fn refresh(repo: &Repo, tree: WorkTree<'_>) -> Result<(), GitError> {
    // It fails where something is changed: that is not asked here.
    tree.write(repo).args(["update-index", "-q", "--refresh"]).run()?;
    Ok(())
}

fn read_tree<'r>(repo: &'r Repo, tree: WorkTree<'r>, old: &CommitId, new: &CommitId) -> Call<'r> {
    let trees = [old.as_str(), new.as_str()];
    tree.write(repo).args(["read-tree", "-m", "-u", "--no-recurse-submodules"]).args(trees)
}

fn said(error: GitError) -> Result<String, GitError> {
    match error {
        GitError::ProgramFailed { stderr, .. } => Ok(stderr),
        other => Err(other),
    }
}
