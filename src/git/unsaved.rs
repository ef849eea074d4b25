//! Everything in a worktree that is nowhere else: what would be lost if it went, or could be.
//!
//! The list is exhaustive on purpose, since git's own `worktree remove` overlooks half of it: changes, new files,
//! ignored files that no build makes again, files that git was told not to look at, an open merge or rebase, commits
//! that only this worktree leads to, repositories within. A check that fails is an item of its own: what could not
//! be looked at could hold work. Nothing is changed, and no hook, monitor or filter runs that the base did not have.
//!
//! Not work: `.ralph`, and the paths that ralph itself put into the worktree.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use super::checkout::{Beside, Left, left};
use super::history::counts;
use super::printed::{FileKind, Status, Tagged};
use super::products::SourceFolders;
use super::program::{Call, Place};
use super::reach::{names_in, names_in_log, only_reached_from, walk_error};
use super::refs::there;
use super::registry;
use super::repo::Repo;
use super::standing::{BranchStanding, Folder, Standing};
use super::work::operation;
use super::worktree::is_empty;
use super::{CommitId, Files, GitError, Operation};
use crate::id::BranchName;

/// How many of each kind are named.
const NAMED: usize = 10;

/// What a worktree holds that is nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unsaved {
    /// One item a kind.
    pub items: Vec<UnsavedItem>,
}

/// One kind of work that is nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum UnsavedItem {
    /// Tracked files with changes that no commit has.
    Changed(Several),
    /// Files that are neither tracked nor ignored.
    Untracked(Several),
    /// Ignored files and folders that are no build products.
    Ignored(Several),
    /// Files in a conflict that was not resolved.
    Unmerged(Several),
    /// Files that git was told not to look at: changes of them show nowhere.
    Hidden(Several),
    /// Repositories within, submodules among them.
    Repositories(Several),
    /// Commits that no reference leads to.
    Commits(Several),
    /// Something that git began and that waits to be ended.
    Open {
        /// The word for it: `merge`, `rebase`, `cherry-pick`, `revert`, `bisect`, `am`.
        operation: &'static str,
    },
    /// Changes that git put aside for as long as that lasts.
    Autostash,
    /// git's lock on the index: git works here, or was killed here.
    IndexLock,
    /// Something that could not be looked at.
    Unchecked {
        /// What.
        what: &'static str,
        /// Why not.
        why: String,
    },
}

/// Several of a kind: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Several {
    /// How many there are.
    pub count: usize,
    /// The first of them, as they are: they may hold control characters.
    pub first: Vec<String>,
}

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The worktree.
    pub standing: &'a Standing,
    /// The lane's branch.
    pub branch: &'a BranchName,
    /// How the branch stands: its reflog counts only where it may go.
    pub branch_standing: &'a BranchStanding,
    /// The commit that the lane started from; filters that it did not ask for do not run.
    pub base: &'a CommitId,
    /// Paths relative to the worktree that ralph put there.
    pub not_work: &'a [PathBuf],
}

/// Looks at a worktree.
pub fn unsaved(repo: &Repo, subject: &Subject<'_>) -> Unsaved {
    let mut found = Found::default();
    let standing = subject.standing;
    match standing.folder {
        Folder::There(Files::Complete) => look_inside(repo, subject, None, &mut found),
        Folder::There(Files::Unfinished) => match left_there(repo, standing) {
            Ok(Left::Whole) => look_inside(repo, subject, None, &mut found),
            // What a checkout left half-way is in the commit, and its lock is no one's.
            Ok(Left::Nothing) => return Unsaved::default(),
            Ok(Left::InPart { changed, index }) => {
                changed.iter().for_each(|edit| found.changed.add(&edit.name()));
                look_inside(repo, subject, Some(&index), &mut found);
                return found.into_unsaved();
            }
            Err(error) => found.check("files that were not all written", Err(error)),
        },
        Folder::Missing => {
            let staged = look_at_staged(repo, standing, &mut found);
            found.check("staged changes", staged);
        }
    }
    let open = look_at_operation(standing, &mut found);
    found.check("an open merge or rebase", open);
    let commits = look_at_commits(repo, subject, &mut found);
    found.check("commits that only the worktree has", commits);
    found.into_unsaved()
}

/// How far the checkout came that was interrupted here. Where a commit was made since, someone took it for whole.
fn left_there(repo: &Repo, standing: &Standing) -> Result<Left, GitError> {
    let start = registry::entry(&standing.admin_dir, standing.id.clone())?.and_then(|entry| entry.unfinished);
    let start = start.map(|start| start.parse::<CommitId>()).transpose()?;
    match (start.as_ref(), standing.head_commit.as_ref()) {
        (Some(start), Some(head)) if start != head => Ok(Left::Whole),
        (Some(start), _) | (None, Some(start)) => left(repo, (&standing.admin_dir, &standing.path), start),
        (None, None) => Ok(Left::Whole),
    }
}

/// Looks at the files. Where not all were written yet, at new ones only, by an index that has them all.
fn look_inside(repo: &Repo, subject: &Subject<'_>, unfinished: Option<&Beside>, found: &mut Found) {
    let index = unfinished.map(Beside::path);
    let hidden = look_at_index(repo, subject.standing, index, found);
    found.check("files that git does not look at", hidden);
    let status = look_at_files(repo, subject, index, found);
    found.check("changed and new files", status);
    let nested = look_for_repositories(subject.standing, found);
    found.check("repositories within", nested);
}

/// Gathers what is found.
#[derive(Debug, Default)]
struct Found {
    changed: Several,
    untracked: Several,
    ignored: Several,
    unmerged: Several,
    hidden: Several,
    repositories: BTreeSet<PathBuf>,
    commits: Several,
    single: Vec<UnsavedItem>,
    sources: SourceFolders,
    /// Ignored folders: what is in them counts with them, or not at all.
    closed: HashSet<PathBuf>,
}

impl Found {
    fn check(&mut self, what: &'static str, result: Result<(), GitError>) {
        if let Err(error) = result {
            self.single.push(UnsavedItem::Unchecked { what, why: error.to_string() });
        }
    }

    fn into_unsaved(self) -> Unsaved {
        let mut repositories = Several::default();
        for path in &self.repositories {
            repositories.add(&path.to_string_lossy());
        }
        let several = [
            UnsavedItem::Changed(self.changed),
            UnsavedItem::Unmerged(self.unmerged),
            UnsavedItem::Untracked(self.untracked),
            UnsavedItem::Ignored(self.ignored),
            UnsavedItem::Hidden(self.hidden),
            UnsavedItem::Repositories(repositories),
            UnsavedItem::Commits(self.commits),
        ];
        let items = several.into_iter().filter(|item| item.count() > 0).chain(self.single).collect();
        Unsaved { items }
    }
}

/// A call that looks at the worktree with nothing in the way that could hide a change.
fn tree_call<'a>(repo: &'a Repo, standing: &'a Standing) -> Call<'a> {
    Call::read(repo.program(), Place::Tree { admin: &standing.admin_dir, top: &standing.path })
        .setting("core.untrackedCache", "false")
        .setting("core.checkStat", "default")
        .setting("core.trustctime", "true")
}

/// Files marked assume-unchanged or skip-worktree. Those of the latter that are not there are a sparse checkout's.
fn look_at_index(
    repo: &Repo,
    standing: &Standing,
    unfinished: Option<&Path>,
    found: &mut Found,
) -> Result<(), GitError> {
    tree_call(repo, standing).index(unfinished).args(["ls-files", "-v", "-z"]).for_each_record(
        &mut |record| {
            let Some(file) = Tagged::of(record) else { return };
            found.sources.note(file.path);
            let is_there = || standing.path.join(os_path(file.path)).symlink_metadata().is_ok();
            if file.is_hidden() && (!file.is_skipped() || is_there()) {
                found.hidden.add(&text(file.path));
            }
        },
    )
}

/// What `git status` says, with all its switches set.
fn look_at_files(
    repo: &Repo,
    subject: &Subject<'_>,
    unfinished: Option<&Path>,
    found: &mut Found,
) -> Result<(), GitError> {
    let mut call = tree_call(repo, subject.standing).index(unfinished).args([
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=all",
        "--ignored=matching",
        "--ignore-submodules=none",
        "--no-renames",
    ]);
    for (key, value) in repo.filters_off_but_for(subject.base, &subject.standing.path)? {
        call = call.setting(key, value);
    }
    call.for_each_record(&mut |record| {
        let Some(Status { kind, path }) = Status::of(record) else { return };
        match kind {
            FileKind::Edited | FileKind::Changed if unfinished.is_some() => {}
            FileKind::Edited | FileKind::Changed => found.changed.add(&text(path)),
            FileKind::Unmerged => found.unmerged.add(&text(path)),
            FileKind::Untracked if counts(path, subject.not_work) => match path.strip_suffix(b"/") {
                // git lists every new file; a folder it lists is one that it does not enter.
                Some(folder) => drop(found.repositories.insert(os_path(folder).to_owned())),
                None => found.untracked.add(&text(path)),
            },
            FileKind::Ignored if counts(path, subject.not_work) => {
                if let Some(folder) = path.strip_suffix(b"/") {
                    found.closed.insert(os_path(folder).to_owned());
                }
                if !found.sources.is_product(path) {
                    found.ignored.add(&text(path));
                }
            }
            FileKind::Untracked | FileKind::Ignored => {}
        }
    })
}

/// Repositories that git does not mention, since they lie where files are tracked.
fn look_for_repositories(standing: &Standing, found: &mut Found) -> Result<(), GitError> {
    let top = &standing.path;
    let below = |path: &Path| path.strip_prefix(top).map(Path::to_owned).unwrap_or_default();
    let closed = std::mem::take(&mut found.closed);
    let walk = WalkDir::new(top).min_depth(1).into_iter().filter_entry(|entry| {
        let own = entry.depth() == 1 && (entry.file_name() == ".git" || entry.file_name() == ".ralph");
        let inside_git = entry.path().parent().is_some_and(|folder| folder.ends_with(".git"));
        let is_closed = entry.file_type().is_dir() && closed.contains(&below(entry.path()));
        !(own || inside_git || is_closed)
    });
    for entry in walk {
        let entry = entry.map_err(|e| walk_error(top, e))?;
        if entry.file_name() == ".git"
            && let Some(folder) = entry.path().parent()
        {
            found.repositories.insert(below(folder));
        }
    }
    // The repository of a submodule stays here when the submodule is no longer checked out.
    let modules = standing.admin_dir.join("modules");
    if found.repositories.is_empty() && modules.is_dir() && !is_empty(&modules)? {
        found.repositories.insert(PathBuf::from("a submodule that is not checked out"));
    }
    Ok(())
}

/// What was staged in a worktree whose folder is gone.
fn look_at_staged(repo: &Repo, standing: &Standing, found: &mut Found) -> Result<(), GitError> {
    if standing.head_commit.is_none() || !there(&standing.admin_dir.join("index"))? {
        return Ok(());
    }
    Call::read(repo.program(), Place::GitDir(&standing.admin_dir))
        .args(["diff-index", "--cached", "--name-only", "-z", "--no-renames", "--ignore-submodules=none"])
        .args(["HEAD", "--"])
        .for_each_record(&mut |path| found.changed.add(&text(path)))
}

fn look_at_operation(standing: &Standing, found: &mut Found) -> Result<(), GitError> {
    let admin = &standing.admin_dir;
    if let Some(operation) = operation(admin)? {
        found.single.push(UnsavedItem::Open { operation: Operation::as_str(operation) });
    }
    for file in ["MERGE_AUTOSTASH", "rebase-merge/autostash", "rebase-apply/autostash"] {
        if there(&admin.join(file))? {
            found.single.push(UnsavedItem::Autostash);
            break;
        }
    }
    if there(&admin.join("index.lock"))? {
        found.single.push(UnsavedItem::IndexLock);
    }
    Ok(())
}

fn look_at_commits(repo: &Repo, subject: &Subject<'_>, found: &mut Found) -> Result<(), GitError> {
    // What was only fetched is somebody else's, and still where it came from.
    let mut names = names_in(&subject.standing.admin_dir, &["FETCH_HEAD"])?;
    names.extend(subject.standing.head_commit.iter().map(CommitId::to_string));
    if matches!(subject.branch_standing, BranchStanding::Contained { .. }) {
        names.extend(names_in_log(&branch_log(repo, subject.branch))?);
    }
    // The trash does not count, since it expires.
    for commit in only_reached_from(repo, &names, &["refs/ralph/trash/*"])? {
        found.commits.add(commit.short());
    }
    Ok(())
}

/// The reflog of a branch.
pub(super) fn branch_log(repo: &Repo, branch: &BranchName) -> PathBuf {
    repo.common_dir().join("logs").join(branch.full())
}

fn os_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Unsaved {
    /// Whether nothing would be lost.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl UnsavedItem {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Changed(several)
            | Self::Untracked(several)
            | Self::Ignored(several)
            | Self::Unmerged(several)
            | Self::Hidden(several)
            | Self::Repositories(several)
            | Self::Commits(several) => several.count,
            Self::Open { .. } | Self::Autostash | Self::IndexLock | Self::Unchecked { .. } => 1,
        }
    }
}

impl Several {
    fn add(&mut self, one: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(one.to_owned());
        }
    }
}

/// One line, without control characters.
impl fmt::Display for UnsavedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(several) => several.put(f, "changed file", "changed files"),
            Self::Untracked(several) => several.put(f, "new file", "new files"),
            Self::Ignored(several) => several.put(f, "ignored file", "ignored files"),
            Self::Unmerged(several) => several.put(f, "file in conflict", "files in conflict"),
            Self::Hidden(several) => several.put(
                f,
                "file that git was told not to look at",
                "files that git was told not to look at",
            ),
            Self::Repositories(several) => several.put(f, "repository within", "repositories within"),
            Self::Commits(several) => {
                several.put(f, "commit that no branch has", "commits that no branch has")
            }
            Self::Open { operation } => write!(f, "an open {operation}"),
            Self::Autostash => f.write_str("changes that git put aside for it"),
            Self::IndexLock => f.write_str("git's lock on the index (index.lock)"),
            Self::Unchecked { what, why } => write!(f, "what could not be checked, {what}: {why}"),
        }
    }
}

impl Several {
    fn put(&self, f: &mut fmt::Formatter<'_>, one: &str, many: &str) -> fmt::Result {
        let what = if self.count == 1 { one } else { many };
        let names: Vec<String> = self.first.iter().map(|name| name.escape_debug().to_string()).collect();
        write!(f, "{} {what}: {}", self.count, names.join(", "))?;
        if self.count > self.first.len() { f.write_str(", …") } else { Ok(()) }
    }
}
