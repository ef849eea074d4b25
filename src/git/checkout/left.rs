//! What an interrupted checkout left, told from what someone has made of it since. Looking changes nothing.
//!
//! A checkout puts its index in place after the files, with the facts of each; those that git writes after ralph have none
//! until git has come to its end. What has no facts yet, or all where there is no index, may be missing or in part: a file
//! that holds the beginning of what it is to hold is the checkout's, and anything else there is someone's work.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, IndexEntryExtendedFlag};

use crate::durable::open_no_follow;
use crate::git::edit::Edit;
use crate::git::program::{Call, Place};
use crate::git::refs::there;
use crate::git::worktree::holds_only_link;
use crate::git::{CommitId, GitError, Repo};

const SUBMODULE: u32 = 0o160_000;
/// What an index begins with.
const SIGNATURE: &[u8] = b"DIRC";

/// How far an interrupted checkout came.
#[derive(Debug)]
pub(in crate::git) enum Left {
    /// There is nothing yet.
    Nothing,
    /// Files are still to be written.
    InPart {
        /// What is someone's.
        changed: Vec<Edit>,
        /// What the files are compared with.
        index: Beside,
    },
    /// To its end, or someone has completed it: from there on the files belong to who works with them.
    Whole,
}

/// An index beside the worktree's own, for as long as it is looked at.
#[derive(Debug)]
pub(in crate::git) struct Beside(PathBuf);

impl Beside {
    fn within(admin: &Path) -> Self {
        Self(admin.join(format!("ralph-index-{}", uuid::Uuid::now_v7().simple())))
    }

    pub(in crate::git) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Best effort: no one takes an index of this name for anything.
        drop(fs::remove_file(&self.0));
    }
}

/// Looks how far the checkout of `start` came, in the worktree with this registration and top folder.
pub(in crate::git) fn left(
    repo: &Repo,
    (admin, top): (&Path, &Path),
    start: &CommitId,
) -> Result<Left, GitError> {
    let own = admin.join("index");
    let has_own = there(&own)? && !is_cut_short(&own)?;
    if !has_own && holds_only_link(top)? {
        return Ok(Left::Nothing);
    }
    let look = Look { repo, admin, top, start, index: Beside::within(admin) };
    let mut changed = Vec::new();
    let mut awaited = Awaited::All;
    if has_own {
        if !look.is_staged_as_committed()? {
            changed.push(Edit::Index);
        }
        awaited = Awaited::of(&own);
        if awaited.is_none() && changed.is_empty() {
            return Ok(Left::Whole);
        }
        look.copy(&own).map_err(|e| GitError::io("copy", &own, e))?;
    } else {
        look.call().args(["read-tree", start.as_str()]).succeed()?;
    }
    let (mut is_missing, mut differs) = (false, false);
    for path in look.differing()? {
        differs = true;
        match awaited.is_of(&path) {
            true if !look.holds_work(&path)? => is_missing = true,
            // The power may take away what was written: no one's work is where nothing is.
            false if look.holds_nothing(&path)? => {}
            true | false => changed.push(Edit::File(path)),
        }
    }
    // Whoever changed something where every file is there has worked in a whole tree.
    let is_whole = has_own && !is_missing && differs && !changed.contains(&Edit::Index);
    Ok(if is_whole { Left::Whole } else { Left::InPart { changed, index: look.index } })
}

/// Whether this is no index but what the power left of one: nothing, or zeros.
pub(super) fn is_cut_short(index: &Path) -> Result<bool, GitError> {
    let failed = |e| GitError::io("read", index, e);
    match index.symlink_metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(e)),
    }
    let mut begins = Vec::new();
    let file = open_no_follow(index).map_err(failed)?;
    file.take(SIGNATURE.len() as u64).read_to_end(&mut begins).map_err(failed)?;
    Ok(begins != SIGNATURE)
}

/// The files that the checkout may not have written to their ends.
enum Awaited {
    All,
    Some(HashSet<PathBuf>),
}

impl Awaited {
    /// Those that have no facts in an index. One that only git can read is git's own, and was written at the end.
    fn of(index: &Path) -> Self {
        let without_facts = |entry: &IndexEntry| {
            let is_skipped = entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0;
            let times = [entry.ctime, entry.mtime];
            let is_dated = times.iter().any(|time| time.seconds() != 0 || time.nanoseconds() != 0);
            !is_dated && entry.ino == 0 && entry.mode != SUBMODULE && !is_skipped
        };
        let path = |entry: IndexEntry| PathBuf::from(OsString::from_vec(entry.path));
        let is_file = index.symlink_metadata().is_ok_and(|meta| meta.is_file());
        Self::Some(match is_file.then(|| Index::open(index)) {
            Some(Ok(index)) => index.iter().filter(without_facts).map(path).collect(),
            Some(Err(_)) | None => HashSet::new(),
        })
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::Some(files) if files.is_empty())
    }

    fn is_of(&self, path: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Some(files) => files.contains(path),
        }
    }
}

struct Look<'a> {
    repo: &'a Repo,
    admin: &'a Path,
    top: &'a Path,
    start: &'a CommitId,
    index: Beside,
}

impl Look<'_> {
    fn place(&self) -> Place<'_> {
        Place::Tree { admin: self.admin, top: self.top }
    }

    /// A call that works with the index beside, and may fetch.
    fn call(&self) -> Call<'_> {
        Call::write(self.repo.program(), self.place()).index(Some(self.index.path()))
    }

    /// The same, without filters that the commit does not ask for.
    fn filtered(&self) -> Result<Call<'_>, GitError> {
        let mut call = self.call();
        for (key, value) in self.repo.filters_off_but_for(self.start, self.top)? {
            call = call.setting(key, value);
        }
        Ok(call)
    }

    /// Copies an index with its date, which tells git what may have been changed in the moment that it was written.
    fn copy(&self, index: &Path) -> io::Result<()> {
        let dated = index.metadata()?.modified()?;
        fs::copy(index, self.index.path())?;
        File::options().write(true).open(self.index.path())?.set_modified(dated)
    }

    fn is_staged_as_committed(&self) -> Result<bool, GitError> {
        let call = Call::read(self.repo.program(), self.place());
        let answer = call.args(["diff-index", "--cached", "--quiet", self.start.as_str(), "--"]).run()?;
        match answer.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(answer.failure()),
        }
    }

    /// The files that are not as the index beside has them.
    fn differing(&self) -> Result<Vec<PathBuf>, GitError> {
        // Files that are as they should be need no second look.
        self.filtered()?.args(["update-index", "-q", "--refresh"]).run()?;
        let mut paths = Vec::new();
        self.filtered()?
            .args(["diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "--no-renames"])
            .arg("--ignore-submodules=all")
            .for_each_record(&mut |path| paths.push(PathBuf::from(OsString::from_vec(path.to_vec()))))?;
        Ok(paths)
    }

    /// Whether there is no file at `path`, or one with nothing in it.
    fn holds_nothing(&self, path: &Path) -> Result<bool, GitError> {
        let place = self.top.join(path);
        match place.symlink_metadata() {
            Ok(meta) => Ok(meta.is_file() && meta.len() == 0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(false),
            Err(e) => Err(GitError::io("look at", &place, e)),
        }
    }

    /// Whether there is something at `path` that is not the beginning of what the checkout writes there.
    fn holds_work(&self, path: &Path) -> Result<bool, GitError> {
        let place = self.top.join(path);
        let meta = match place.symlink_metadata() {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            // A file where a folder is to be.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(true),
            Err(e) => return Err(GitError::io("look at", &place, e)),
        };
        if !meta.is_file() {
            return Ok(true);
        }
        let mut file = open_no_follow(&place).map_err(|e| GitError::io("read", &place, e))?;
        if meta.len() == 0 {
            return Ok(false);
        }
        let mut object = OsString::from(format!("{}:", self.start));
        object.push(path);
        let mut begins = Ok(true);
        let mut left = meta.len();
        let whole =
            self.filtered()?.args(["cat-file", "--filters"]).arg(object).run_streaming(&mut |bytes| {
                if matches!(begins, Ok(true)) {
                    begins = is_next(&mut file, &mut left, bytes);
                }
                true
            })?;
        whole.into_stdout()?;
        let begins = begins.map_err(|e| GitError::io("read", &place, e))?;
        Ok(!begins || left > 0)
    }
}

/// Whether what is next in the file, up to its end, is `bytes`; `left` is how much of it is still to come.
fn is_next(file: &mut File, left: &mut u64, bytes: &[u8]) -> io::Result<bool> {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let mut there = vec![0; length];
    file.read_exact(&mut there)?;
    *left -= length as u64;
    Ok(bytes.starts_with(&there))
}
