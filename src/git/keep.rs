//! Keeping every object that a worktree in the trash may still need from being collected.
//!
//! While a worktree is registered, git keeps what its HEAD, its reflogs and its index lead to. Once it is not, only
//! references do: `refs/ralph/trash/<id>/tip` and `…/head` lead to the commits, and `…/rest` to one made-up commit
//! that has every other commit as a parent, and in its tree every object that the index holds and HEAD does not.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use super::collector::keep_collector_off;
use super::parcel::{Parcel, TrashId};
use super::printed::{RawDiff, Staged};
use super::program::{Call, Place};
use super::reach::{heads_beyond, kinds, names_in, names_in_log, only_reached_from};
use super::refs::there;
use super::registry;
use super::repo::{Repo, RepoLock};
use super::standing::Standing;
use super::unsaved::branch_log;
use super::{CommitId, GitError, Head};

/// Pins all that `standing` leads to. Doing it again changes nothing.
pub(super) fn keep(
    repo: &Repo,
    _lock: &RepoLock,
    parcel: &Parcel,
    standing: Option<&Standing>,
    now: Timestamp,
) -> Result<(), GitError> {
    let folder = refs_of(&parcel.id);
    let mut pins: Vec<(&str, CommitId)> = Vec::new();
    pins.extend(parcel.tip.clone().map(|tip| ("tip", tip)));
    pins.extend(parcel.head_commit.clone().map(|head| ("head", head)));
    let mut names = names_in_log(&branch_log(repo, &parcel.branch))?;
    let mut held = Held::default();
    if let Some(standing) = standing {
        names.extend(names_in(&standing.admin_dir, &[])?);
        held.objects.extend(staged(repo, &standing.admin_dir, standing.head_commit.as_ref())?);
    }
    for (name, kind) in kinds(repo, &names)? {
        match kind.as_str() {
            "commit" => drop(held.commits.insert(name)),
            kind => drop(held.objects.insert((kind.to_owned(), name))),
        }
    }
    let pinned: Vec<&CommitId> = pins.iter().map(|(_, commit)| commit).collect();
    held.commits = heads_beyond(repo, &held.commits, &pinned)?;
    let mut collector_off = None;
    if !held.commits.is_empty() || !held.objects.is_empty() {
        // Until a reference leads to what is made up here.
        collector_off = Some(keep_collector_off(repo)?);
        pins.push(("rest", held.write(repo, now)?));
    }
    for (name, commit) in pins {
        Call::write(repo.program(), Place::GitDir(repo.common_dir()))
            .synced()
            .args(["update-ref", "--no-deref"])
            .arg(format!("{folder}{name}"))
            .arg(commit.as_str())
            .succeed()?;
    }
    drop(collector_off);
    Ok(())
}

/// Pins what only the registration at `admin` leads to, which is about to leave the registry: staged files, and commits
/// of its histories. Answers the reference, where there was anything.
pub(super) fn keep_registration(
    repo: &Repo,
    _lock: &RepoLock,
    admin: &Path,
    name: &str,
    now: Timestamp,
) -> Result<Option<String>, GitError> {
    let head = match registry::head_of(admin)? {
        Some(Head::Branch(branch)) => repo.commit_of(&format!("refs/heads/{branch}"))?,
        Some(Head::Detached(commit)) => Some(commit),
        Some(Head::Unclear) | None => None,
    };
    let mut held = Held::default();
    // What an index leads to that git cannot read, no one can tell: it is kept with the registration.
    held.objects.extend(staged(repo, admin, head.as_ref()).unwrap_or_default());
    let lone = only_reached_from(repo, &names_in(admin, &[])?, &[])?;
    held.commits = heads_beyond(repo, &lone.iter().map(CommitId::to_string).collect(), &[])?;
    if held.commits.is_empty() && held.objects.is_empty() {
        return Ok(None);
    }
    let collector_off = keep_collector_off(repo)?;
    let pin = format!("{TRASH}{name}/rest");
    let kept = held.write(repo, now)?;
    Call::write(repo.program(), Place::GitDir(repo.common_dir()))
        .synced()
        .args(["update-ref", "--no-deref", &pin, kept.as_str()])
        .succeed()?;
    drop(collector_off);
    Ok(Some(pin))
}

/// Lets go of what was kept for a removal.
pub fn let_go(repo: &Repo, lock: &RepoLock, id: &TrashId) -> Result<(), GitError> {
    let_go_of_registration(repo, lock, &id.to_string())
}

/// Lets go of what was kept for a registration that a dispatch put aside under this name.
pub fn let_go_of_registration(repo: &Repo, _lock: &RepoLock, name: &str) -> Result<(), GitError> {
    for name in repo.refs_below(&format!("{TRASH}{name}/"))? {
        if let Some(commit) = repo.commit_of(&name)? {
            repo.delete_ref(&name, &commit)?;
        }
    }
    Ok(())
}

/// Lets go of a session's pins whose commits something else leads to. Answers those that stay.
pub fn let_go_of_session(repo: &Repo, _lock: &RepoLock, session: &str) -> Result<Vec<String>, GitError> {
    let mut stay = Vec::new();
    for name in repo.refs_below(&format!("refs/ralph/sessions/{session}/"))? {
        let Some(commit) = repo.commit_of(&name)? else { continue };
        let own = ["refs/ralph/trash/*", "refs/ralph/sessions/*"];
        if only_reached_from(repo, &BTreeSet::from([commit.to_string()]), &own)?.is_empty() {
            repo.delete_ref(&name, &commit)?;
        } else {
            stay.push(name);
        }
    }
    Ok(stay)
}

/// Below it, whatever is in the trash has its pins.
const TRASH: &str = "refs/ralph/trash/";

fn refs_of(id: &TrashId) -> String {
    format!("{TRASH}{id}/")
}

/// Objects that the index holds and HEAD does not: staged files, the sides of a conflict, what a resolved one was
/// made from. Each with its kind.
fn staged(repo: &Repo, admin: &Path, head: Option<&CommitId>) -> Result<Vec<(String, String)>, GitError> {
    if !there(&admin.join("index"))? {
        return Ok(Vec::new());
    }
    let call = || Call::read(repo.program(), Place::GitDir(admin));
    let mut names = BTreeSet::new();
    let mut listed = |record: &[u8]| names.extend(Staged::of(record).map(|file| file.object.to_owned()));
    for what in ["--unmerged", "--resolve-undo"] {
        call().args(["ls-files", what, "-z"]).for_each_record(&mut listed)?;
    }
    match head {
        None => call().args(["ls-files", "--stage", "-z"]).for_each_record(&mut listed)?,
        Some(head) => {
            let mut diff = RawDiff::default();
            let call = call()
                .args(["diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames"])
                .args(["--ignore-submodules=none", head.as_str(), "--"]);
            call.for_each_record(&mut |record| {
                names.extend(diff.take(record).map(|(change, _)| change.new.object));
            })?;
            if !diff.is_clear() {
                return Err(call.unclear());
            }
        }
    }
    // Of a submodule, the index holds a commit that is not here.
    let found = kinds(repo, &names)?;
    Ok(found.into_iter().filter(|(_, kind)| kind == "blob").map(|(name, kind)| (kind, name)).collect())
}

/// What one made-up commit holds on to.
#[derive(Debug, Default)]
struct Held {
    commits: BTreeSet<String>,
    /// Kind and name.
    objects: BTreeSet<(String, String)>,
}

impl Held {
    fn write(&self, repo: &Repo, now: Timestamp) -> Result<CommitId, GitError> {
        let write = || Call::write(repo.program(), Place::GitDir(repo.common_dir())).synced();
        let mode = |kind: &str| match kind {
            "tree" => Some("040000"),
            "blob" => Some("100644"),
            // A tag's commit is kept by its own name, and the tag is a reference's.
            _ => None,
        };
        let entries: String = self
            .objects
            .iter()
            .filter_map(|(kind, name)| Some(format!("{} {kind} {name}\t{name}\n", mode(kind)?)))
            .collect();
        let tree = id_in(&write().arg("mktree").input(entries))?;
        let parents: String = self.commits.iter().map(|commit| format!("parent {commit}\n")).collect();
        let who = format!("ralph <ralph> {} +0000", now.as_second());
        let commit = format!(
            "tree {tree}\n{parents}author {who}\ncommitter {who}\n\nKeep what a worktree in the trash leads to\n"
        );
        id_in(&write().args(["hash-object", "-t", "commit", "-w", "--stdin"]).input(commit))
    }
}

fn id_in(call: &Call<'_>) -> Result<CommitId, GitError> {
    let out = call.succeed()?;
    String::from_utf8_lossy(&out).trim().parse()
}
