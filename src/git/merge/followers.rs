//! Which worktrees have a branch checked out, and which of them keep it from being moved.

use std::path::{Path, PathBuf};

use super::follower::Follower;
use crate::git::hold::is_ours;
use crate::git::refs::there;
use crate::git::registry::{self, Entry};
use crate::git::repo::RepoLock;
use crate::git::worktree::{back_link, is_empty};
use crate::git::{GitError, Head, Operation, Repo};
use crate::id::BranchName;

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
    /// The branch is checked out by this second name of it (`git symbolic-ref`).
    SecondName(String),
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

/// The worktrees that have the branch checked out.
pub(super) fn trees_of(repo: &Repo, branch: &BranchName) -> Result<Result<Vec<Follower>, Blocked>, GitError> {
    let full = branch.full();
    let trees = users_of(repo, &full)?;
    if trees.is_err() {
        return Ok(trees);
    }
    for name in repo.second_names_of(&full)? {
        match users_of(repo, &name)? {
            Ok(users) => {
                if let Some(Follower { path: tree, .. }) = users.into_iter().next() {
                    let why = WhyBlocked::SecondName(name.trim_start_matches("refs/heads/").to_owned());
                    return Ok(Err(Blocked { tree, why }));
                }
            }
            Err(blocked) => return Ok(Err(blocked)),
        }
    }
    Ok(trees)
}

/// The worktrees that have the branch with this full name checked out.
fn users_of(repo: &Repo, full: &str) -> Result<Result<Vec<Follower>, Blocked>, GitError> {
    let mut trees = Vec::new();
    let blocked = |tree: &Path, why| Ok(Err(Blocked { tree: tree.to_owned(), why }));
    if !repo.is_bare() {
        let head = registry::head_of(repo.common_dir())?.unwrap_or(Head::Unclear);
        let main = repo.main_checkout().unwrap_or(repo.common_dir());
        match registry::use_of(repo.common_dir(), &head, full)? {
            None => {}
            Some("checked out") if repo.main_checkout().is_some() => trees.push(Follower {
                admin: repo.common_dir().to_owned(),
                path: main.to_owned(),
                kept: Vec::new(),
            }),
            Some(how) => return blocked(main, WhyBlocked::Busy(how)),
        }
    }
    for (entry, how) in registry::users(repo.common_dir(), full, registry::Branch::There)? {
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

/// Whether `trees` are the worktrees that have the branch checked out, and nothing of ralph's works in one. Under the
/// repository's lock, ralph makes no other.
pub fn are_all(
    repo: &Repo,
    _lock: &RepoLock,
    branch: &BranchName,
    trees: &[Follower],
) -> Result<bool, GitError> {
    let known =
        |tree: &Follower| trees.iter().any(|known| known.admin == tree.admin && known.path == tree.path);
    Ok(trees_of(repo, branch)?.is_ok_and(|now| now.len() == trees.len() && now.iter().all(known)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::fixture::Fixture;

    #[test]
    fn a_branch_is_known_by_every_second_name_to_either_engine() {
        for extension in [None, Some("extensions.partialClone")] {
            let fixture = Fixture::new();
            fixture.git("repo", &["symbolic-ref", "refs/heads/lost", "refs/heads/none"]);
            fixture.git("repo", &["symbolic-ref", "refs/heads/trunk", "refs/heads/main"]);
            fixture.git("repo", &["symbolic-ref", "refs/heads/old/trunk", "refs/heads/trunk"]);
            fixture.git("repo", &["branch", "other"]);
            if let Some(extension) = extension {
                fixture.git("repo", &["config", extension, "origin"]);
            }
            let repo = fixture.repo();
            let names = repo.second_names_of("refs/heads/main").unwrap();
            assert_eq!(names, ["refs/heads/old/trunk", "refs/heads/trunk"]);
            let main = "main".parse().unwrap();
            assert!(matches!(trees_of(&repo, &main), Ok(Ok(trees)) if trees.len() == 1));
            fixture.git("repo", &["switch", "-q", "old/trunk"]);
            let blocked = trees_of(&repo, &main).unwrap().unwrap_err();
            assert_eq!(blocked.why, WhyBlocked::SecondName("old/trunk".to_owned()));
            assert!(matches!(trees_of(&repo, &"other".parse().unwrap()), Ok(Ok(trees)) if trees.is_empty()));
        }
    }
}
