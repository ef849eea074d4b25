//! The local branches as a session finds and leaves them. Nothing is run and nothing is written, and of many, or of very
//! long names, nothing is told: it is looked for each session.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::GitError;
use super::during::{Instant, Span};
use super::registry::read_pointer;
use super::repo::Repo;
use crate::durable;

/// The local branches by their short names, each with the beginning of its commit's name; of a lane's branch that is a
/// file of its own, that is empty at first.
pub type Branches = BTreeMap<String, String>;

/// Stands for the commit of a lane's branch: there may be hundreds, and whether one was written is told by its file.
const UNREAD: &str = "";

/// Stands for the commit of a branch whose file is none.
const UNREADABLE: &str = "unreadable";

/// More branches, or longer names, are not compared: they would have to be written down for every session.
const MOST_BRANCHES: usize = 250;
const MOST_CHARS: usize = 16 << 10;
/// So many files and folders below the branches' are looked at.
const MOST_ENTRIES: usize = 2 * MOST_BRANCHES;
const LARGEST_PACKED: u64 = 1 << 20;
/// Enough of a commit's name to tell two apart.
const DIGITS: usize = 16;

/// So much is read of a branch's own history.
const LARGEST_HISTORY: u64 = 64 << 10;
/// How ralph ends what it writes into the history of a branch that it moves for someone.
pub const BY_RALPH: &str = "(by ralph)";

/// The local branches before anything happens; `None` where there are too many to be compared.
pub fn branches(repo: &Repo) -> Result<Option<Branches>, GitError> {
    let unread = |name: &str, _: &Path| lane_of_branch(name).map(|_| UNREAD.to_owned());
    branches_but(repo, unread)
}

/// The local branches now. What was written only after that time is what it was `before`; so is a lane's branch that was
/// not written `during` it. Any other is read again: it may have moved between the look before and the beginning.
pub fn branches_since(repo: &Repo, before: &Branches, during: Span) -> Result<Option<Branches>, GitError> {
    let changed = |file: &Path| Some(Instant::changed(&file.symlink_metadata().ok()?));
    let was_written = |file: &Path| changed(file).map(|at| during.has(at));
    let mut now = branches_but(repo, |name, file| {
        let was = before.get(name)?;
        let at = changed(file)?;
        (during.to < at || (was == UNREAD && at <= during.from)).then(|| was.clone())
    })?;
    let folder = repo.common_dir().join("refs/heads");
    if let Some(now) = &mut now {
        now.retain(|name, _| before.contains_key(name) || was_written(&folder.join(name)) != Some(false));
        // What was packed meanwhile is not known to have moved.
        for (name, commit) in now {
            if before.get(name).is_some_and(|was| was == UNREAD) && was_written(&folder.join(name)).is_none()
            {
                UNREAD.clone_into(commit);
            }
        }
    }
    Ok(now)
}

/// The name of the lane whose branch this is by default.
pub fn lane_of_branch(name: &str) -> Option<&str> {
    name.strip_prefix("ralph/")
}

fn branches_but(
    repo: &Repo,
    known: impl Fn(&str, &Path) -> Option<String>,
) -> Result<Option<Branches>, GitError> {
    let common = repo.common_dir();
    let folder = common.join("refs/heads");
    let mut found = Branches::new();
    // It may go while it is read, as any branch may.
    let entries: Vec<_> = WalkDir::new(&folder).into_iter().take(MOST_ENTRIES).collect();
    if entries.len() == MOST_ENTRIES {
        return Ok(None);
    }
    let files = entries.into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    let loose: Vec<PathBuf> = files.map(walkdir::DirEntry::into_path).collect();
    // In this order: what is packed meanwhile is among the packed ones before it is taken away here.
    for path in loose {
        let name = path.strip_prefix(&folder).ok().and_then(Path::to_str);
        let Some(name) = name.filter(|name| !name.ends_with(".lock")) else { continue };
        if let Some(commit) = known(name, &path) {
            found.insert(name.to_owned(), commit);
        } else if let Some(commit) = read_pointer(&path).unwrap_or_else(|_| Some(UNREADABLE.into())) {
            found.insert(name.to_owned(), beginning(&commit.to_string_lossy()));
        }
    }
    let packed = match durable::read(&common.join("packed-refs"), LARGEST_PACKED) {
        Ok(packed) => packed.unwrap_or_default(),
        Err(durable::FileError::TooLarge { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for line in String::from_utf8_lossy(&packed).lines() {
        let named = line.split_once(' ').and_then(|(id, name)| Some((id, name.strip_prefix("refs/heads/")?)));
        if let Some((commit, name)) = named {
            found.entry(name.to_owned()).or_insert_with(|| beginning(commit));
        }
    }
    let length: usize = found.keys().map(String::len).sum();
    Ok((found.len() <= MOST_BRANCHES && length <= MOST_CHARS).then_some(found))
}

/// Whether every step of a branch since the commit that begins with `from` is one that ralph itself made for someone, by
/// the branch's own history. Without one, no step is known to be.
pub fn moved_by_ralph(repo: &Repo, branch: &str, from: &str) -> bool {
    let file = repo.common_dir().join("logs/refs/heads").join(branch);
    let Ok(end) = end_of(&file, LARGEST_HISTORY) else { return false };
    let text = String::from_utf8_lossy(&end);
    let mut steps = text.lines().rev();
    let first = steps.by_ref().find(|line| !line.ends_with(BY_RALPH) || line.starts_with(from));
    first.is_some_and(|line| line.ends_with(BY_RALPH))
}

/// The last bytes of a file, at most so many.
fn end_of(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = durable::open_no_follow(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    Ok(end)
}

/// As much of a commit's name as is kept.
fn beginning(commit: &str) -> String {
    commit.chars().take(DIGITS).collect()
}
