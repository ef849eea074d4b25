//! The way back from the trash.
//!
//! The folder comes back first and its registration last: until then no `git worktree prune` finds a registration
//! without a folder. What is checked out is what was: where its branch has moved on meanwhile, or is in use elsewhere,
//! the commit itself is, since the index of the worktree would otherwise undo what the branch has got.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::create::rename_new;
use super::elsewhere::use_elsewhere;
use super::parcel::Parcel;
use super::refs::there;
use super::registry::named_by;
use super::registry::{self, read_pointer, without_dots};
use super::repo::{Repo, RepoLock};
use super::trash::{checked, held_of, incomplete, is_free};
use super::unsaved::branch_log;
use super::worktree::{is_empty, settled};
use super::{CommitId, GitError, Head};
use crate::id::BranchName;
use crate::{durable, failpoint};

/// How a worktree in the trash would come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comeback {
    /// The lane's branch.
    pub branch: BranchBack,
    /// What is checked out.
    pub head: HeadBack,
}

/// How the lane's branch would be after a comeback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchBack {
    /// It is where it was; or it was not there, and is not.
    AsItWas,
    /// It is gone and is made again at this commit.
    Remade(CommitId),
    /// It has moved on and contains what it was.
    MovedOn,
}

/// What would be checked out after a comeback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadBack {
    /// What was.
    AsItWas,
    /// The commit that was, and no branch.
    Detached {
        /// The commit.
        commit: CommitId,
        /// The branch that was checked out.
        branch: String,
        /// Why not.
        why: String,
    },
}

/// A worktree that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The name of its registration; none where it had none.
    pub worktree_id: Option<String>,
    /// Where its folder is.
    pub path: PathBuf,
}

/// Looks how the parcel could come back. Refused: its place is taken, its branch was rewritten, a part of it is gone.
pub fn comeback(repo: &Repo, parcel: &Parcel, shelf: &Path) -> Result<Comeback, GitError> {
    refuse_half(repo, parcel, shelf)?;
    let now = repo.commit_of(&parcel.branch.full())?;
    let branch = match (&parcel.tip, now) {
        (None, _) => BranchBack::AsItWas,
        (Some(tip), None) => BranchBack::Remade(tip.clone()),
        (Some(tip), Some(now)) if *tip == now => BranchBack::AsItWas,
        (Some(tip), Some(now)) if repo.distance(tip, &now)?.ahead == 0 => BranchBack::MovedOn,
        (Some(tip), Some(now)) => {
            let branch = parcel.branch.to_string();
            return Err(GitError::BranchRewritten { branch, was: tip.clone(), now });
        }
    };
    let head = match registry::head_of(&shelf.join("admin"))? {
        Some(Head::Branch(name)) => head_back(repo, parcel, &name, &branch)?,
        _ => HeadBack::AsItWas,
    };
    Ok(Comeback { branch, head })
}

/// Refused unless every part is either in the trash, with its place free, or back already.
fn refuse_half(repo: &Repo, parcel: &Parcel, shelf: &Path) -> Result<(), GitError> {
    let tree_waits = held_of(parcel)?.map_or(Ok(false), |held| there(&held.join("tree")))?;
    let registration_waits = there(&shelf.join("admin"))?;
    if tree_waits || (parcel.held.is_none() && registration_waits) {
        if settled(&parcel.path) != parcel.path {
            let above = parcel.path.parent().unwrap_or(&parcel.path);
            return Err(GitError::SymlinkInTheWay { path: above.to_owned() });
        }
        if !is_free(&parcel.path)? {
            return Err(GitError::PathTaken { path: parcel.path.clone() });
        }
    } else if parcel.held.is_some() && named_by(&parcel.path.join(".git"), repo.common_dir()).is_none() {
        return Err(incomplete(parcel, "its folder is no longer in the trash"));
    }
    if parcel.worktree_id.is_none() {
        return Ok(());
    }
    let registered = registered_as(repo, parcel)?.is_some();
    match (registration_waits, registered) {
        (true, false) => Ok(()),
        (true, true) => Err(GitError::PathTaken { path: parcel.path.clone() }),
        (false, true) if !tree_waits => Ok(()),
        (false, _) => Err(incomplete(parcel, "its registration is no longer in the trash")),
    }
}

fn head_back(
    repo: &Repo,
    parcel: &Parcel,
    name: &str,
    lanes_branch: &BranchBack,
) -> Result<HeadBack, GitError> {
    let Some(commit) = parcel.head_commit.clone() else { return Ok(HeadBack::AsItWas) };
    let detached =
        |why: String| Ok(HeadBack::Detached { commit: commit.clone(), branch: name.to_owned(), why });
    let Ok(branch) = name.parse::<BranchName>() else {
        return detached("its name is none that ralph works with".to_owned());
    };
    if let Some((how, path)) = use_elsewhere(repo, &branch, registry::Branch::There, None)? {
        return detached(format!("it is {how} in {}", path.display().to_string().escape_debug()));
    }
    match repo.commit_of(&branch.full())? {
        Some(now) if now == commit => Ok(HeadBack::AsItWas),
        Some(_) => detached("it has moved on".to_owned()),
        None if matches!(lanes_branch, BranchBack::Remade(_)) && branch == parcel.branch => {
            Ok(HeadBack::AsItWas)
        }
        None => detached("it is gone".to_owned()),
    }
}

/// Moves everything of the parcel back from the trash. What is back already stays there.
pub fn bring_back(repo: &Repo, _lock: &RepoLock, parcel: &Parcel, shelf: &Path) -> Result<Back, GitError> {
    let Comeback { branch, head } = comeback(repo, parcel, shelf)?;
    if let BranchBack::Remade(tip) = branch {
        remake_branch(repo, &parcel.branch, &tip, shelf)?;
    }
    failpoint::hit("restore.branch");
    let admin = shelf.join("admin");
    let registration_waits = there(&admin)?;
    if let (true, HeadBack::Detached { commit, .. }) = (registration_waits, head) {
        durable::write(&admin.join("HEAD"), format!("{commit}\n").as_bytes())?;
    }
    let id = match &parcel.worktree_id {
        Some(id) if registration_waits => {
            // A comeback that was interrupted has chosen already.
            let chosen = named_by(&parcel.path.join(".git"), repo.common_dir());
            let wanted = chosen.as_deref().unwrap_or(checked(id, parcel)?);
            Some(free_id(repo, wanted, &admin, parcel)?)
        }
        _ => None,
    };
    if let Some(held) = held_of(parcel)? {
        relink(repo, held, id.as_deref())?;
        failpoint::hit("restore.linked");
        move_back(parcel, held)?;
        failpoint::hit("restore.moved");
    }
    let id = match id {
        Some(id) => Some(register(repo, parcel, &admin, id)?),
        None if parcel.worktree_id.is_some() => registered_as(repo, parcel)?,
        None => None,
    };
    failpoint::hit("restore.registered");
    Ok(Back { worktree_id: id, path: parcel.path.clone() })
}

/// Makes the branch again, with the reflog that it had.
fn remake_branch(repo: &Repo, branch: &BranchName, tip: &CommitId, shelf: &Path) -> Result<(), GitError> {
    let log = branch_log(repo, branch);
    if let Some(kept) = durable::read(&shelf.join("branch-log"), 64 << 20)?
        && !there(&log)?
    {
        let folder = log.parent().unwrap_or(&log);
        fs::create_dir_all(folder).map_err(|e| GitError::io("create", folder, e))?;
        durable::write(&log, &kept)?;
    }
    repo.create_ref(&branch.full(), tip, "ralph: restored")
}

/// The name that the registration had, if nothing has it now; else another. The repositories of submodules know the
/// old name and would be lost to their folders.
fn free_id(repo: &Repo, id: &str, admin: &Path, parcel: &Parcel) -> Result<String, GitError> {
    let folder = registry::folder(repo.common_dir());
    for name in std::iter::once(id.to_owned()).chain((2..10_000).map(|n| format!("{id}-{n}"))) {
        if there(&folder.join(&name))? {
            continue;
        }
        let modules = admin.join("modules");
        if name != id && modules.is_dir() && !is_empty(&modules)? {
            let taken = folder.join(id);
            return Err(GitError::PathTaken { path: taken });
        }
        return Ok(name);
    }
    Err(GitError::RegistryUnsteady { path: parcel.path.clone(), registry: folder })
}

/// Puts the link to the registration `id` back into the tree, while that is still in the trash.
fn relink(repo: &Repo, held: &Path, id: Option<&str>) -> Result<(), GitError> {
    let (tree, aside) = (held.join("tree"), held.join("link"));
    let link = tree.join(".git");
    if !there(&tree)? {
        return Ok(());
    }
    if there(&aside)? && !there(&link)? {
        fs::rename(&aside, &link).map_err(|e| GitError::io("put back", &link, e))?;
        durable::sync_dir(&tree)?;
    }
    match id {
        Some(id) => point(repo, &link, id),
        None => Ok(()),
    }
}

/// Makes the file `link` name the registration `id`, if it does not.
fn point(repo: &Repo, link: &Path, id: &str) -> Result<(), GitError> {
    // Where it will stand, a relative link would lead where it led before; in the trash it leads nowhere.
    let text = read_pointer(link)?.unwrap_or_default();
    let same_name = Path::new(&text).file_name().is_some_and(|name| name == id);
    let relative = text.to_string_lossy().starts_with("gitdir: ..");
    if same_name && (relative || named_by(link, repo.common_dir()).as_deref() == Some(id)) {
        return Ok(());
    }
    write_link(repo, link, id)
}

fn write_link(repo: &Repo, link: &Path, id: &str) -> Result<(), GitError> {
    let target = registry::folder(repo.common_dir()).join(id);
    Ok(durable::write(link, format!("gitdir: {}\n", target.display()).as_bytes())?)
}

fn move_back(parcel: &Parcel, held: &Path) -> Result<(), GitError> {
    let kept = held.join("tree");
    if !there(&kept)? {
        return Ok(());
    }
    let folder = parcel.path.parent().unwrap_or(&parcel.path);
    durable::create_private_dir(folder)?;
    // Only an empty folder goes; whatever else is there stays, and the worktree in the trash.
    drop(fs::remove_dir(&parcel.path));
    match rename_new(&kept, &parcel.path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            return Err(GitError::PathTaken { path: parcel.path.clone() });
        }
        Err(e) => return Err(GitError::io("move the worktree back to", &parcel.path, e)),
    }
    durable::sync_dir(held)?;
    Ok(durable::sync_dir(folder)?)
}

/// Puts the registration back; answers under which name.
fn register(repo: &Repo, parcel: &Parcel, admin: &Path, id: String) -> Result<String, GitError> {
    let folder = registry::folder(repo.common_dir());
    let mut id = id;
    for _ in 0..20 {
        match fs::create_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(GitError::io("create", &folder, e));
            }
            _ => {}
        }
        let place = folder.join(&id);
        let link = parcel.path.join(".git");
        if parcel.held.is_some() && named_by(&link, repo.common_dir()).as_ref() != Some(&id) {
            write_link(repo, &link, &id)?;
        }
        let back = read_pointer(&admin.join("gitdir"))?.map(|link| without_dots(&place.join(link)));
        if back.as_deref().and_then(Path::parent).map(settled).as_deref() != Some(&parcel.path) {
            durable::write(&admin.join("gitdir"), format!("{}\n", link.display()).as_bytes())?;
        }
        match rename_new(admin, &place) {
            Ok(()) => {
                durable::sync_dir(&folder)?;
                return Ok(id);
            }
            // Someone else's took the name, or the folder of the registrations went: once more.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                id = free_id(repo, &id, admin, parcel)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && there(admin)? => {}
            Err(e) => return Err(GitError::io("register the worktree in", &place, e)),
        }
    }
    Err(GitError::RegistryUnsteady { path: parcel.path.clone(), registry: folder })
}

/// The registration of the place that the worktree has, or will have.
fn registered_as(repo: &Repo, parcel: &Parcel) -> Result<Option<String>, GitError> {
    let entries = registry::entries(repo.common_dir())?;
    Ok(entries.into_iter().find(|entry| settled(&entry.tree) == parcel.path).map(|entry| entry.id))
}
