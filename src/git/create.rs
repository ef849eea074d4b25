//! Making a lane's worktree: branch, registration, folder; the files come later, outside the lock.
//!
//! The registration is built aside and renamed into the registry whole and locked, so that there is no moment at
//! which `git worktree prune`, a crash or another git finds half of one. (libgit2's own `git_worktree_add` has such
//! moments, writes the files at once, and fails for good beside two broken entries; see libgit2#7216.) libgit2
//! writes the branch and judges the result. Where a worktree has settings of its own that git copies into a new one,
//! git registers it.
//!
//! A failure takes back what was made here, and nothing else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::program::{Call, Place};
use super::registry::{self, LANE_FILE, LOCK_FILE, UNFINISHED_FILE};
use super::repo::{Backend, Repo, RepoLock};
use super::worktree::{back_link, is_empty, locate, worktree_of};
use super::{Base, CommitId, GitError, Located, Site, Worktree};
use crate::id::{BranchName, Slug};
use crate::{durable, failpoint};

/// A worktree that was just registered and has no files yet.
#[derive(Debug)]
pub struct Created {
    /// The worktree.
    pub worktree: Worktree,
    /// The commit whose files belong into it: the base's, or the tip of the branch that is continued.
    pub start: CommitId,
    /// Whether the branch is new.
    pub branch: Origin,
}

/// Where a created worktree's branch came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was made, at the base's commit.
    Made,
    /// It was there, and is continued.
    Continued,
}

/// Others may change the registry at the same time; so often is tried again.
const ATTEMPTS: usize = 20;

/// Registers the lane's worktree, locked for `reason`. The lane must have none yet: see [`locate`].
pub fn create(
    repo: &Repo,
    _lock: &RepoLock,
    site: &Site,
    base: &Base,
    reason: &str,
) -> Result<Created, GitError> {
    let (start, branch) = match locate(repo, site)? {
        Located::New => (base.commit.clone(), Origin::Made),
        Located::BranchOnly { tip } => (tip, Origin::Continued),
        Located::Present(worktree) => return Err(GitError::WorktreeThere { path: worktree.path }),
        Located::Missing(missing) => return Err(GitError::TreeGone { path: missing.path }),
    };
    let tree = prepare_root(repo, &site.path)?;
    let mut made = Rollback::new(repo);
    if branch == Origin::Made {
        let full = site.branch.full();
        repo.create_ref(&full, &start, &format!("branch: Created from {}", base.name))?;
        made.branch = Some((full, start.clone()));
    }
    failpoint::hit("git.branch");
    let plan = Plan {
        repo,
        head: Checkout::Branch(&site.branch),
        name: site.slug.as_str(),
        lane: Some(&site.slug),
        last_name: site.recorded_id.as_deref(),
        tree: &tree,
        start: &start,
        reason,
    };
    let id = match repo.why_git_registers()? {
        None => plan.register(&mut made)?,
        Some(_) => plan.let_git_register(&mut made)?,
    };
    let admin = registry::folder(repo.common_dir()).join(&id);
    let entry = registry::entry(&admin, id)?.ok_or_else(|| plan.unsteady())?;
    judge(repo, &entry.id)?;
    let worktree = worktree_of(repo, &entry)?;
    made.keep();
    Ok(Created { worktree, start, branch })
}

/// Registers a worktree that belongs to no lane and has a commit checked out and no branch, locked for `reason`. Its
/// registration is called `name`, like its folder.
pub(super) fn create_detached(
    repo: &Repo,
    _lock: &RepoLock,
    path: &Path,
    name: &str,
    commit: &CommitId,
    reason: &str,
) -> Result<Created, GitError> {
    let tree = prepare_root(repo, path)?;
    let mut made = Rollback::new(repo);
    let head = Checkout::Commit(commit);
    let plan = Plan { repo, head, name, lane: None, last_name: None, tree: &tree, start: commit, reason };
    let id = match repo.why_git_registers()? {
        None => plan.register(&mut made)?,
        Some(_) => plan.let_git_register(&mut made)?,
    };
    let admin = registry::folder(repo.common_dir()).join(&id);
    let entry = registry::entry(&admin, id)?.ok_or_else(|| plan.unsteady())?;
    let worktree = worktree_of(repo, &entry)?;
    made.keep();
    Ok(Created { worktree, start: commit.clone(), branch: Origin::Continued })
}

/// Takes back a worktree whose files were never complete, and its branch if it was made for it and has not moved.
pub fn undo(repo: &Repo, _lock: &RepoLock, created: Created) -> Result<(), GitError> {
    let Created { worktree, start, branch } = created;
    let entry = registry::entry(&worktree.admin_dir, worktree.id)?;
    let Some(entry) = entry.filter(|entry| entry.unfinished.is_some()) else {
        return Err(GitError::AlreadyComplete { path: worktree.path });
    };
    back_link(&entry)?;
    fs::remove_dir_all(&entry.tree).map_err(|e| GitError::io("remove", &entry.tree, e))?;
    fs::remove_dir_all(&entry.admin).map_err(|e| GitError::io("remove", &entry.admin, e))?;
    match (branch, &entry.head) {
        (Origin::Made, super::Head::Branch(name)) => repo.delete_ref(&format!("refs/heads/{name}"), &start),
        _ => Ok(()),
    }
}

/// Makes a worktree's folder and the link from it to its registration, where they are not there yet.
pub(super) fn make_tree(tree: &Path, admin: &Path) -> Result<(), GitError> {
    match fs::create_dir(tree) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(GitError::RootUnwritable { path: tree.to_owned(), source }),
        Ok(()) => {}
    }
    let link = tree.join(".git");
    let text = format!("gitdir: {}\n", utf8(admin)?);
    match write_new(&link, text.as_bytes()) {
        Err(GitError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// What a new worktree has checked out.
enum Checkout<'a> {
    Branch(&'a BranchName),
    Commit(&'a CommitId),
}

struct Plan<'a> {
    repo: &'a Repo,
    head: Checkout<'a>,
    /// What the registration is called, unless something else is.
    name: &'a str,
    /// The lane that it is marked with.
    lane: Option<&'a Slug>,
    /// What the lane's last registration was called.
    last_name: Option<&'a str>,
    tree: &'a Path,
    start: &'a CommitId,
    reason: &'a str,
}

impl Plan<'_> {
    /// Builds the registration aside, locked from its first moment, and renames it into the registry.
    fn register(&self, made: &mut Rollback<'_>) -> Result<String, GitError> {
        let aside = self.build_aside()?;
        failpoint::hit("git.aside");
        let folder = registry::folder(self.repo.common_dir());
        for _ in 0..ATTEMPTS {
            // `git worktree prune` removes the folder of the registrations whenever it is empty.
            match fs::create_dir(&folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(GitError::io("create", &folder, e));
                }
                _ => {}
            }
            let id = self.free_id(&folder)?;
            let admin = folder.join(&id);
            match rename_new(&aside, &admin) {
                Ok(()) => {
                    made.admin = Some(admin.clone());
                    durable::sync_dir(&folder)?;
                    failpoint::hit("git.registered");
                    made.tree = Some(self.tree.to_owned());
                    make_tree(self.tree, &admin)?;
                    failpoint::hit("git.linked");
                    return Ok(id);
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
                Err(e) => return Err(GitError::io("register the worktree in", &admin, e)),
            }
        }
        Err(self.unsteady())
    }

    fn build_aside(&self) -> Result<PathBuf, GitError> {
        let aside = self.repo.store_dir().join("registering");
        // What is there was left by a process that was killed: the lock says that no one else is at it.
        durable::remove_all(&aside)?;
        fs::create_dir(&aside).map_err(|e| GitError::io("create", &aside, e))?;
        let link = self.tree.join(".git");
        let head = match &self.head {
            Checkout::Branch(branch) => format!("ref: {}", branch.full()),
            Checkout::Commit(commit) => commit.to_string(),
        };
        let mark = self.lane.map(|lane| (LANE_FILE, lane.to_string()));
        let files = [
            (LOCK_FILE, self.reason.to_owned()),
            ("commondir", "../..".to_owned()),
            ("gitdir", utf8(&link)?.to_owned()),
            ("HEAD", head),
            (UNFINISHED_FILE, self.start.to_string()),
        ];
        for (name, text) in files.into_iter().chain(mark) {
            write_new(&aside.join(name), format!("{text}\n").as_bytes())?;
        }
        durable::sync_dir(&aside)?;
        Ok(aside)
    }

    /// A name that no registration has, and that the lane's last one did not have: a folder that was moved away may
    /// still lead to that.
    fn free_id(&self, folder: &Path) -> Result<String, GitError> {
        let first = self.name;
        let names = std::iter::once(first.to_owned()).chain((2..10_000).map(|n| format!("{first}-{n}")));
        for name in names.filter(|name| Some(name.as_str()) != self.last_name) {
            if !super::refs::there(&folder.join(&name))? {
                return Ok(name);
            }
        }
        Err(self.unsteady())
    }

    /// Lets git register the worktree, which copies sparse patterns and settings into it.
    fn let_git_register(&self, made: &mut Rollback<'_>) -> Result<String, GitError> {
        let git_dir = self.repo.git_dir();
        let call = Call::write(self.repo.program(), Place::GitDir(git_dir))
            .args(["worktree", "add", "--no-checkout", "--lock", "--reason", self.reason])
            .args(matches!(self.head, Checkout::Commit(_)).then_some("--detach"))
            .arg("--")
            .arg(self.tree)
            .arg(match &self.head {
                Checkout::Branch(branch) => branch.as_str(),
                Checkout::Commit(commit) => commit.as_str(),
            });
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match call.succeed() {
                Ok(_) => {
                    made.tree = Some(self.tree.to_owned());
                    let entries = registry::entries(self.repo.common_dir())?;
                    let entry = entries.into_iter().find(|entry| entry.tree == self.tree);
                    let entry = entry.ok_or_else(|| self.unsteady())?;
                    failpoint::hit("git.registered");
                    made.admin = Some(entry.admin.clone());
                    write_new(&entry.admin.join(UNFINISHED_FILE), format!("{}\n", self.start).as_bytes())?;
                    if let Some(lane) = self.lane {
                        write_new(&entry.admin.join(LANE_FILE), format!("{lane}\n").as_bytes())?;
                    }
                    durable::sync_dir(&entry.admin)?;
                    return Ok(entry.id);
                }
                // A prune between git's own steps; git has taken back what it made.
                Err(e @ GitError::ProgramFailed { .. }) => last = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(last.unwrap_or_else(|| self.unsteady()))
    }

    fn unsteady(&self) -> GitError {
        let registry = registry::folder(self.repo.common_dir());
        GitError::RegistryUnsteady { path: self.tree.to_owned(), registry }
    }
}

/// libgit2's own judgement on the new registration.
fn judge(repo: &Repo, id: &str) -> Result<(), GitError> {
    match repo.backend() {
        Backend::Program(_) => Ok(()),
        Backend::Libgit2(libgit2) => {
            let judged = libgit2.find_worktree(id).and_then(|worktree| worktree.validate());
            judged.map_err(|e| GitError::libgit2("find the new worktree", id, e))
        }
    }
}

/// What was made so far; dropped before [`Rollback::keep`], it takes everything back.
struct Rollback<'a> {
    repo: &'a Repo,
    branch: Option<(String, CommitId)>,
    admin: Option<PathBuf>,
    tree: Option<PathBuf>,
}

impl<'a> Rollback<'a> {
    fn new(repo: &'a Repo) -> Self {
        Self { repo, branch: None, admin: None, tree: None }
    }

    fn keep(mut self) {
        (self.branch, self.admin, self.tree) = (None, None, None);
    }
}

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        // Best effort throughout: the first failure is the one that is reported, and what stays behind is harmless.
        if let Some(tree) = self.tree.take() {
            drop(fs::remove_file(tree.join(".git")));
            // Only if it is empty: whatever else is in it is not ours.
            drop(fs::remove_dir(&tree));
        }
        if let Some(admin) = self.admin.take() {
            drop(fs::remove_dir_all(admin));
        }
        if let Some((full, commit)) = self.branch.take() {
            drop(self.repo.delete_ref(&full, &commit));
        }
    }
}

/// Makes the folder of the worktrees, private, and answers where in it the new one stands.
fn prepare_root(repo: &Repo, path: &Path) -> Result<PathBuf, GitError> {
    let taken = || GitError::PathTaken { path: path.to_owned() };
    let (root, name) = path.parent().zip(path.file_name()).ok_or_else(taken)?;
    let unwritable = |source| GitError::RootUnwritable { path: root.to_owned(), source };
    match root.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => return Err(GitError::SymlinkInTheWay { path: root.to_owned() }),
        Ok(meta) if !meta.is_dir() => return Err(GitError::PathTaken { path: root.to_owned() }),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(unwritable)?;
        }
        Err(e) => return Err(unwritable(e)),
    }
    let meta = root.symlink_metadata().map_err(unwritable)?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(GitError::RootNotOurs { path: root.to_owned(), why: "belongs to another user" });
    }
    if meta.mode() & 0o002 != 0 {
        return Err(GitError::RootNotOurs { path: root.to_owned(), why: "can be written by all users" });
    }
    let root = root.canonicalize().map_err(unwritable)?;
    if root.starts_with(repo.common_dir()) {
        return Err(GitError::RootNotOurs { path: root, why: "is within the repository's own directory" });
    }
    // Within a checkout, be it another repository's, the worktrees would show in its status.
    if root.ancestors().any(|folder| folder.join(".git").exists()) {
        let own = |tree: Option<&Path>| tree.is_some_and(|tree| root.starts_with(tree));
        if is_empty(&root)? {
            write_new(&root.join(".gitignore"), b"*\n")?;
        } else if (own(repo.main_checkout()) || own(repo.current_worktree()))
            && !is_ignored(repo, &root, &root.join(name))?
        {
            let why = "holds files of the checkout, whose status would show the worktrees";
            return Err(GitError::RootNotOurs { path: root, why });
        }
    }
    let tree = root.join(name);
    utf8(&tree)?;
    Ok(tree)
}

/// Whether git leaves `path` out of the status of the checkout around `folder`.
fn is_ignored(repo: &Repo, folder: &Path, path: &Path) -> Result<bool, GitError> {
    let call =
        Call::read(repo.program(), Place::From(folder)).args(["check-ignore", "--quiet", "--"]).arg(path);
    let answer = call.run()?;
    match answer.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(answer.failure()),
    }
}

/// Renames a folder to a name that nothing has.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can; the name was free a moment ago, and a folder never replaces a full one.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(from, to),
        other => other.map_err(io::Error::from),
    }
}

pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), GitError> {
    let write = || -> io::Result<()> {
        let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|e| GitError::io("write", path, e))
}

fn utf8(path: &Path) -> Result<&str, GitError> {
    path.to_str().ok_or_else(|| GitError::NotUtf8 { path: path.to_owned() })
}
