//! The registry of worktrees: `<common dir>/worktrees/<id>/`, read as plain files.
//!
//! libgit2 and git both stumble over entries that are half there; here a broken entry is simply told apart. All
//! reads are bounded. An entry carries files of ralph's own: which lane it belongs to; until its files are complete, that no
//! agent has ever run in it; and while it is brought up to its base, from where to where.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::{CommitId, GitError};
use crate::durable;

/// Names the lane's slug in its worktree's administrative directory.
pub(super) const LANE_FILE: &str = "ralph-lane";
/// Stands in the administrative directory until the worktree's files are complete; holds the commit to check out.
pub(super) const UNFINISHED_FILE: &str = "ralph-unfinished";
/// Stands in the administrative directory while a worktree's files and its branch are moved on; holds both commits.
pub(super) const FORWARD_FILE: &str = "ralph-forward";
/// git's own file that protects a worktree from being pruned and removed.
pub(super) const LOCK_FILE: &str = "locked";

const POINTER_LIMIT: usize = 8 << 10;

/// What is checked out in a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A branch, by its short name; it need not exist.
    Branch(String),
    /// A commit, and no branch.
    Detached(CommitId),
    /// Something that cannot be read as either.
    Unclear,
}

/// A registered worktree.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) admin: PathBuf,
    /// Where the worktree's folder is, as registered.
    pub(super) tree: PathBuf,
    pub(super) head: Head,
    pub(super) locked: Option<String>,
    /// The slug of the lane that ralph made it for.
    pub(super) lane: Option<String>,
    /// The commit whose files were still being written when someone last worked on it.
    pub(super) unfinished: Option<String>,
}

/// How a branch is used by a worktree, as a message says it.
pub(super) type Use = &'static str;

/// The folder of the registrations.
pub(super) fn folder(common: &Path) -> PathBuf {
    common.join("worktrees")
}

/// The names in the registry, whole or not, each with its administrative directory.
pub(super) fn listed(common: &Path) -> Result<Vec<(String, PathBuf)>, GitError> {
    let folder = folder(common);
    let listing = match fs::read_dir(&folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(GitError::io("list", &folder, e)),
    };
    let mut found = Vec::new();
    for item in listing {
        let item = item.map_err(|e| GitError::io("list", &folder, e))?;
        // A name that is not UTF-8 is none of ours; its branch still counts.
        found.push((item.file_name().to_string_lossy().into_owned(), item.path()));
    }
    found.sort();
    Ok(found)
}

/// All entries that are whole. Broken ones (no `gitdir`, no `HEAD`) are left out: git does not know them either.
pub(super) fn entries(common: &Path) -> Result<Vec<Entry>, GitError> {
    let mut found = Vec::new();
    for (id, admin) in listed(common)? {
        found.extend(entry(&admin, id)?);
    }
    Ok(found)
}

/// The entries that use the branch with this full name, and how. Of all others no more is read than that takes: they
/// may be a thousand, and every new worktree asks.
pub(super) fn users(common: &Path, full: &str, branch: Branch) -> Result<Vec<(Entry, Use)>, GitError> {
    let mut found = Vec::new();
    for (id, admin) in listed(common)? {
        let Some(head) = head_of(&admin)? else { continue };
        let how = match branch {
            Branch::There => use_of(&admin, &head, full)?,
            Branch::New => checked_out(&head, full),
        };
        if let Some(how) = how {
            found.extend(entry(&admin, id)?.map(|entry| (entry, how)));
        }
    }
    Ok(found)
}

/// Whether a branch is there. One that is not can be the HEAD of a worktree, and no one can be in the middle of
/// anything with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    There,
    New,
}

fn checked_out(head: &Head, full: &str) -> Option<Use> {
    let short = full.strip_prefix("refs/heads/").unwrap_or(full);
    matches!(head, Head::Branch(name) if name == short).then_some("checked out")
}

/// The entry in the administrative directory `admin`, where it is whole.
pub(super) fn entry(admin: &Path, id: String) -> Result<Option<Entry>, GitError> {
    // Entries come and go while they are read; one that goes is one that is not there.
    let Some(link) = read_pointer(&admin.join("gitdir"))? else { return Ok(None) };
    let Some(head) = read_pointer(&admin.join("HEAD"))? else { return Ok(None) };
    if link.is_empty() || head.is_empty() {
        return Ok(None);
    }
    let Some(tree) = without_dots(&admin.join(link)).parent().map(Path::to_owned) else { return Ok(None) };
    let text = |name: &str| -> Result<Option<String>, GitError> {
        let text = read_pointer(&admin.join(name))?;
        Ok(text.map(|t| t.to_string_lossy().into_owned()))
    };
    Ok(Some(Entry {
        id,
        tree,
        head: parse_head(&head),
        locked: text(LOCK_FILE)?,
        lane: text(LANE_FILE)?,
        unfinished: text(UNFINISHED_FILE)?,
        admin: admin.to_owned(),
    }))
}

/// The path without `.` and `..`, which a registration holds where git links worktrees by relative paths. The common
/// directory is a real path, so that going up is the same on paper as on the disk.
pub(super) fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// The HEAD of a git directory; `None` where there is none.
pub(super) fn head_of(git_dir: &Path) -> Result<Option<Head>, GitError> {
    Ok(read_pointer(&git_dir.join("HEAD"))?.map(|text| parse_head(&text)))
}

pub(super) fn parse_head(text: &OsStr) -> Head {
    let Some(text) = text.to_str() else { return Head::Unclear };
    match text.strip_prefix("ref:") {
        Some(name) => name
            .trim()
            .strip_prefix("refs/heads/")
            .map_or(Head::Unclear, |name| Head::Branch(name.to_owned())),
        None => text.parse().map_or(Head::Unclear, Head::Detached),
    }
}

/// The registration that the file `link`, which makes a folder a worktree, names, be it there or not.
pub(super) fn named_by(link: &Path, common: &Path) -> Option<String> {
    let text = read_pointer(link).ok()??;
    let folder = link.parent().unwrap_or(Path::new("/"));
    let target = folder.join(text.to_str()?.strip_prefix("gitdir:")?.trim_start());
    // The folder of the registrations goes with the last of them.
    let registry =
        target.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "worktrees"))?;
    let ours = registry.parent()?.canonicalize().is_ok_and(|dir| dir == common);
    ours.then(|| target.file_name()?.to_str().map(str::to_owned))?
}

/// How the worktree of `git_dir` uses the branch with this full name, beyond what its HEAD says: git keeps a branch
/// that is rebased or bisected from being used elsewhere.
pub(super) fn use_of(git_dir: &Path, head: &Head, full: &str) -> Result<Option<Use>, GitError> {
    let short = full.strip_prefix("refs/heads/").unwrap_or(full);
    if let Some(how) = checked_out(head, full) {
        return Ok(Some(how));
    }
    let mut is_rebasing = false;
    for (file, means) in [
        ("rebase-merge/head-name", "being rebased"),
        ("rebase-apply/head-name", "being rebased"),
        ("BISECT_START", "being bisected"),
    ] {
        let text = read_pointer(&git_dir.join(file))?;
        is_rebasing |= text.is_some();
        if text.is_some_and(|text| text == full || text == short) {
            return Ok(Some(means));
        }
    }
    if !is_rebasing {
        return Ok(None);
    }
    // Branches that a running rebase will move when it ends: triples of name, old and new commit.
    let moved = durable::read(&git_dir.join("rebase-merge/update-refs"), 1 << 20)?.unwrap_or_default();
    let moves = String::from_utf8_lossy(&moved).lines().step_by(3).any(|line| line == full);
    Ok(moves.then_some("being rebased"))
}

/// The content of a small file of one line, without the line end; `None` where there is no such file. Read with as few
/// calls as can be: a scan of the registry does nothing else.
pub(super) fn read_pointer(path: &Path) -> Result<Option<OsString>, GitError> {
    read_pointer_at(CWD, path)
}

/// As [`read_pointer`], of a path that starts at an open folder.
pub(super) fn read_pointer_at(folder: BorrowedFd<'_>, path: &Path) -> Result<Option<OsString>, GitError> {
    // A pipe in its place would be waited for.
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut room = [MaybeUninit::uninit(); POINTER_LIMIT];
    let read = openat(folder, path, how, Mode::empty()).and_then(|file| {
        rustix::io::retry_on_intr(|| Ok(without_line_end(rustix::io::read(&file, &mut room)?.0)))
    });
    match read {
        Ok((POINTER_LIMIT.., _)) => {
            Err(GitError::io("read", path, io::Error::other("it is longer than any path")))
        }
        Ok((_, text)) => Ok(Some(text)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(GitError::io("read", path, e.into())),
    }
}

/// How long a text is, and what it is without the line end.
pub(super) fn without_line_end(text: &[u8]) -> (usize, OsString) {
    let end = text.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |last| last + 1);
    (text.len(), OsStr::from_bytes(&text[..end]).to_owned())
}
