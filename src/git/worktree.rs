//! The worktree manager: where a lane's worktree is, if there is one, and whether it may be used.
//!
//! A lane's worktree is the registration that carries the lane's mark, wherever `git worktree move` took its folder.
//! Looking changes nothing, and every doubt is a refusal that names the path and the way out.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, statat};

use super::elsewhere::use_elsewhere;
use super::refs::there;
use super::registry::{self, Entry};
use super::repo::{Repo, leads_to};
use super::{CommitId, GitError, Head};
use crate::durable::Folder;
use crate::id::{BranchName, Slug};

/// What a lane's worktree is to be: its names, and where it stands unless it was moved.
#[derive(Debug, Clone)]
pub struct Site {
    /// The lane's folder name.
    pub slug: Slug,
    /// The branch that the lane works on.
    pub branch: BranchName,
    /// Where a new worktree is made.
    pub path: PathBuf,
    /// The registration that the lane used before, where it is known.
    pub recorded_id: Option<String>,
}

/// Where a lane stands.
#[derive(Debug, Clone)]
pub enum Located {
    /// Neither branch nor worktree.
    New,
    /// The branch is there, and no worktree: it will be continued.
    BranchOnly {
        /// The branch's commit.
        tip: CommitId,
    },
    /// The worktree is there.
    Present(Worktree),
    /// The worktree is registered, but its folder is gone.
    Missing(Missing),
}

/// A lane's worktree.
#[derive(Debug, Clone)]
pub struct Worktree {
    /// The name of its registration.
    pub id: String,
    /// Its top folder.
    pub path: PathBuf,
    /// Its administrative directory, `<common dir>/worktrees/<id>`.
    pub admin_dir: PathBuf,
    /// What is checked out in it; an agent may have switched away from the lane's branch.
    pub head: Head,
    /// The commit that is checked out; none where the branch has gone.
    pub tip: Option<CommitId>,
    /// Why it is locked, where it is.
    pub locked: Option<String>,
    /// Whether its files were ever complete.
    pub files: Files,
}

/// Whether the files of a worktree are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// They were written to the end: from here on they belong to who works in it.
    Complete,
    /// Writing them was interrupted, and no agent has ever run in it.
    Unfinished,
}

/// A worktree whose folder is gone.
#[derive(Debug, Clone)]
pub struct Missing {
    /// The name of its registration.
    pub id: String,
    /// Where the folder was.
    pub path: PathBuf,
    /// Its administrative directory, with its index and HEAD.
    pub admin_dir: PathBuf,
    /// The commit of the lane's branch.
    pub tip: Option<CommitId>,
}

/// Looks for the lane's worktree. Changes nothing.
pub fn locate(repo: &Repo, site: &Site) -> Result<Located, GitError> {
    let ours = find_entry(repo, site)?;
    let full = site.branch.full();
    let alias = repo.alias_target(&full)?;
    let tip = repo.commit_of(&full)?;
    let branch =
        if tip.is_some() || alias.is_some() { registry::Branch::There } else { registry::Branch::New };
    refuse_use_elsewhere(repo, site, branch, ours.as_ref())?;
    if let Some(target) = alias {
        return Err(GitError::BranchIsAlias { branch: site.branch.to_string(), target });
    }
    match ours {
        Some(entry) => present_or_missing(repo, &entry, tip),
        None => {
            refuse_taken_path(&site.path)?;
            match tip {
                Some(tip) => Ok(Located::BranchOnly { tip }),
                None => {
                    refuse_taken_name(repo, site)?;
                    Ok(Located::New)
                }
            }
        }
    }
}

/// Whether nothing has the lane's names: no registration, no folder, no branch, and none that leaves no room for it.
/// Costs the same however many worktrees there are; what only all of them show, [`create`](super::create) looks for.
pub fn is_untouched(repo: &Repo, site: &Site) -> Result<bool, GitError> {
    let admin = registry::folder(repo.common_dir()).join(site.slug.as_str());
    Ok(!there(&admin)?
        && !there(&site.path)?
        && repo.commit_of(&site.branch.full())?.is_none()
        && name_taken_by(repo, &site.branch)?.is_none())
}

/// The lane's registration.
pub(super) fn find_entry(repo: &Repo, site: &Site) -> Result<Option<Entry>, GitError> {
    let path = settled(&site.path);
    for (id, admin) in registry::listed(repo.common_dir())? {
        // A registration is called after its lane for as long as it is there, maybe with a number behind that.
        if (id.starts_with(site.slug.as_str()) || Some(&id) == site.recorded_id.as_ref())
            && let Some(entry) = registry::entry(&admin, id)?
            && belongs_to(&entry, site, &path)
        {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Whether a registration is the lane's: by its mark, or, where it carries none, by id together with branch or path.
fn belongs_to(entry: &Entry, site: &Site, path: &Path) -> bool {
    match &entry.lane {
        Some(lane) => lane == site.slug.as_str(),
        None => {
            let named = entry.id == site.slug.as_str() || Some(&entry.id) == site.recorded_id.as_ref();
            let branch = matches!(&entry.head, Head::Branch(name) if name == site.branch.as_str());
            named && (branch || entry.tree == path)
        }
    }
}

/// Where the worktree with this registration stands now; `None` where its folder is gone or is another's by now.
pub fn tree_now(common_dir: &Path, id: &str) -> Option<PathBuf> {
    let admin = registry::folder(common_dir).join(id);
    let leads = registry::read_pointer(&admin.join("gitdir")).ok()?.filter(|link| !link.is_empty())?;
    let tree = registry::without_dots(&admin.join(leads)).parent()?.to_owned();
    leads_back(&tree.join(".git"), &admin).then_some(tree)
}

/// The registrations of all worktrees, for lists of many.
pub struct Registrations {
    path: PathBuf,
    folder: Option<Folder>,
}

impl Registrations {
    /// Those below a common directory; there may be none.
    pub fn open(common_dir: &Path) -> Self {
        let path = registry::folder(common_dir);
        // A folder that cannot be opened has nothing for anyone.
        let folder = Folder::open(&path).ok().flatten();
        Self { path, folder }
    }

    /// As [`tree_now`], for a worktree that was last at `seen`. Where both links between the two are just as long as git
    /// writes them they are not read: nearly all worktrees are where they were.
    pub fn tree_now(&self, id: &str, seen: &Path) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?.as_fd();
        let (admin, back) = (self.path.join(id), Path::new(id).join("gitdir"));
        let link = seen.join(".git");
        if is_as_long(CWD, &link, "gitdir: ".len() + admin.as_os_str().len())
            && is_as_long(folder, &back, link.as_os_str().len())
        {
            return Some(seen.to_owned());
        }
        // Looked at for every lane that is listed: no more of the registration is read than where it leads.
        let leads = registry::read_pointer_at(folder, &back).ok()?.filter(|link| !link.is_empty())?;
        let tree = registry::without_dots(&admin.join(leads)).parent()?.to_owned();
        leads_back(&tree.join(".git"), &admin).then_some(tree)
    }
}

/// Whether there is a file of one line that is so long.
fn is_as_long(folder: BorrowedFd<'_>, name: &Path, line: usize) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode).is_file() && usize::try_from(stat.st_size) == Ok(line + 1)
    })
}

/// Whether a worktree's `.git` leads to its registration: as git writes it, to the letter, or by another way.
fn leads_back(link: &Path, admin: &Path) -> bool {
    // Reading refuses whatever is not a file.
    let written = registry::read_pointer(link).ok().flatten();
    let named = written.as_ref().and_then(|text| text.to_str()?.strip_prefix("gitdir:").map(str::trim));
    named.is_some_and(|named| Path::new(named) == admin)
        || admin.canonicalize().is_ok_and(|admin| leads_to(link, &admin))
}

/// The path as a registration holds it: with every link in the folder above followed.
pub(super) fn settled(path: &Path) -> PathBuf {
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn refuse_use_elsewhere(
    repo: &Repo,
    site: &Site,
    branch: registry::Branch,
    ours: Option<&Entry>,
) -> Result<(), GitError> {
    match use_elsewhere(repo, &site.branch, branch, ours.map(|ours| ours.id.as_str()))? {
        Some((how, path)) => Err(GitError::BranchInUse { branch: site.branch.to_string(), how, path }),
        None => Ok(()),
    }
}

fn present_or_missing(repo: &Repo, entry: &Entry, branch_tip: Option<CommitId>) -> Result<Located, GitError> {
    let gone = match entry.tree.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            return Err(GitError::SymlinkInTheWay { path: entry.tree.clone() });
        }
        Ok(meta) if meta.is_dir() => is_empty(&entry.tree)?,
        Ok(_) => return Err(moved(entry, "it is not a folder")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
        Err(e) => return Err(GitError::io("look at", &entry.tree, e)),
    };
    if !gone {
        back_link(entry)?;
    }
    if gone && entry.unfinished.is_none() {
        let (path, admin_dir) = (entry.tree.clone(), entry.admin.clone());
        return Ok(Located::Missing(Missing { id: entry.id.clone(), path, admin_dir, tip: branch_tip }));
    }
    worktree_of(repo, entry).map(Located::Present)
}

/// The registered worktree, as its entry and its folder show it.
pub(super) fn worktree_of(repo: &Repo, entry: &Entry) -> Result<Worktree, GitError> {
    let tip = match &entry.head {
        Head::Branch(name) => repo.commit_of(&format!("refs/heads/{name}"))?,
        Head::Detached(commit) => Some(commit.clone()),
        Head::Unclear => None,
    };
    // git registers a worktree before it writes an index; whoever was killed in between left nothing to lose.
    let bare = !there(&entry.admin.join("index"))? && holds_only_link(&entry.tree)?;
    Ok(Worktree {
        id: entry.id.clone(),
        path: entry.tree.clone(),
        admin_dir: entry.admin.clone(),
        head: entry.head.clone(),
        tip,
        locked: entry.locked.clone(),
        files: if entry.unfinished.is_some() || bare { Files::Unfinished } else { Files::Complete },
    })
}

/// The worktree's folder must lead back to its registration: another folder may stand there by now.
pub(super) fn back_link(entry: &Entry) -> Result<(), GitError> {
    let link = entry.tree.join(".git");
    let admin = entry.admin.canonicalize().map_err(|e| GitError::io("look at", &entry.admin, e))?;
    match link.symlink_metadata() {
        Ok(meta) if !meta.is_file() => Err(moved(entry, "its `.git` is not a file")),
        Ok(_) if leads_to(&link, &admin) => Ok(()),
        Ok(_) => Err(moved(entry, "its `.git` leads elsewhere")),
        // Our own start, interrupted before the link was written: whatever is there came from someone else.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(moved(entry, "it has no `.git`")),
        Err(e) => Err(GitError::io("look at", &link, e)),
    }
}

fn moved(entry: &Entry, why: &str) -> GitError {
    GitError::MovedByHand { path: entry.tree.clone(), why: why.to_owned() }
}

fn refuse_taken_path(path: &Path) -> Result<(), GitError> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => Err(GitError::SymlinkInTheWay { path: path.to_owned() }),
        Ok(meta) if meta.is_dir() && is_empty(path)? => Ok(()),
        Ok(_) => Err(GitError::PathTaken { path: path.to_owned() }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // Said in full, with a way out, when the folder is made.
        Err(e) => Err(GitError::RootUnwritable { path: path.to_owned(), source: e }),
    }
}

fn refuse_taken_name(repo: &Repo, site: &Site) -> Result<(), GitError> {
    match name_taken_by(repo, &site.branch)? {
        Some(by) => Err(GitError::BranchNameTaken { branch: site.branch.to_string(), by }),
        None => Ok(()),
    }
}

/// The branch that leaves no room for this one: a branch and a folder of branches cannot have the same name.
fn name_taken_by(repo: &Repo, branch: &BranchName) -> Result<Option<String>, GitError> {
    let full = branch.full();
    if let Some(below) = repo.refs_below(&format!("{full}/"))?.into_iter().next() {
        return Ok(Some(below));
    }
    let mut above = full.as_str();
    while let Some((parent, _)) = above.rsplit_once('/')
        && parent != "refs/heads"
    {
        if repo.commit_of(parent)?.is_some() {
            return Ok(Some(parent.to_owned()));
        }
        above = parent;
    }
    Ok(None)
}

pub(super) fn is_empty(folder: &Path) -> Result<bool, GitError> {
    let mut listing = fs::read_dir(folder).map_err(|e| GitError::io("list", folder, e))?;
    Ok(listing.next().is_none())
}

pub(super) fn holds_only_link(folder: &Path) -> Result<bool, GitError> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(GitError::io("list", folder, e)),
    };
    for item in listing {
        let item = item.map_err(|e| GitError::io("list", folder, e))?;
        if item.file_name() != ".git" {
            return Ok(false);
        }
    }
    Ok(true)
}
