//! Which commits nothing but a worktree leads to, and which branches lead to a commit.
//!
//! A worktree leads to commits in many ways: its HEAD, its reflogs, the files of a merge or a rebase, references of
//! its own. All of them are small files in its administrative directory, so every name of an object that is found in
//! one of them counts.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

use super::program::{Call, Place};
use super::repo::Repo;
use super::{CommitId, GitError};
use crate::durable;

/// No reflog is larger.
const FILE_LIMIT: u64 = 64 << 20;
/// The length of an object's name.
const NAME_DIGITS: usize = 40;

/// What a worktree leads to, by its administrative directory without the files in `but`: names of objects of any
/// kind, of which some may be long gone.
pub(super) fn names_in(admin: &Path, but: &[&str]) -> Result<BTreeSet<String>, GitError> {
    let mut names = BTreeSet::new();
    let walk = WalkDir::new(admin).min_depth(1).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        // The index is asked by git itself; a submodule's repository has objects of its own.
        let left_out = name.contains("index") || name == "modules" || but.contains(&name.as_ref());
        !(entry.depth() == 1 && left_out)
    });
    for entry in walk {
        let entry = entry.map_err(|e| walk_error(admin, e))?;
        if entry.file_type().is_file()
            && let Some(text) = durable::read(entry.path(), FILE_LIMIT)?
        {
            collect_names(&text, &mut names);
        }
    }
    Ok(names)
}

/// The names in a branch's reflog.
pub(super) fn names_in_log(log: &Path) -> Result<BTreeSet<String>, GitError> {
    let mut names = BTreeSet::new();
    if let Some(text) = durable::read(log, FILE_LIMIT)? {
        collect_names(&text, &mut names);
    }
    Ok(names)
}

pub(super) fn collect_names(text: &[u8], names: &mut BTreeSet<String>) {
    let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    for word in text.split(|b| !hex(b)).filter(|word| word.len() == NAME_DIGITS) {
        if word.iter().any(|b| *b != b'0') {
            names.insert(String::from_utf8_lossy(word).into_owned());
        }
    }
}

/// The commits that can be reached from those of `names` that are commits, and from nowhere else: from no branch, no
/// tag, no other reference, and not from the main checkout. References that match one of `but` do not count.
pub(super) fn only_reached_from(
    repo: &Repo,
    names: &BTreeSet<String>,
    but: &[&str],
) -> Result<Vec<CommitId>, GitError> {
    let commits: Vec<String> =
        kinds(repo, names)?.into_iter().filter(|(_, kind)| kind == "commit").map(|(name, _)| name).collect();
    if commits.is_empty() {
        return Ok(Vec::new());
    }
    // Of one worktree, `--all` stands for the references and the HEAD of the main checkout, not of this worktree.
    let call = Call::read(repo.program(), Place::GitDir(repo.common_dir()))
        .setting("core.useReplaceRefs", "false")
        .args(["rev-list", "--single-worktree", "--stdin", "--not"])
        .args(but.iter().map(|pattern| format!("--exclude={pattern}")))
        .arg("--all")
        .input(commits.join("\n"));
    lines(&call)?.iter().map(|line| line.parse()).collect()
}

/// Those of `commits` that none of the others leads to, and none of `hidden`. Each has all of its history.
pub(super) fn heads_beyond(
    repo: &Repo,
    commits: &BTreeSet<String>,
    hidden: &[&CommitId],
) -> Result<BTreeSet<String>, GitError> {
    if commits.is_empty() {
        return Ok(BTreeSet::new());
    }
    let input: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
    let call = Call::read(repo.program(), Place::GitDir(repo.common_dir()))
        .setting("core.useReplaceRefs", "false")
        .args(["rev-list", "--parents", "--stdin", "--not"])
        .args(hidden.iter().map(|commit| commit.as_str()))
        .input(input);
    let (mut heads, mut parents) = (BTreeSet::new(), BTreeSet::new());
    // `<commit> <parent>…`
    for line in lines(&call)? {
        let mut names = line.split(' ').map(str::to_owned);
        heads.extend(names.next());
        parents.extend(names);
    }
    Ok(&heads - &parents)
}

/// The kind of each of the objects that are there; a commit is `commit`.
pub(super) fn kinds(repo: &Repo, names: &BTreeSet<String>) -> Result<Vec<(String, String)>, GitError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let input: String = names.iter().map(|name| format!("{name}\n")).collect();
    let call = Call::read(repo.program(), Place::GitDir(repo.common_dir()))
        .setting("core.useReplaceRefs", "false")
        .args(["cat-file", "--batch-check=%(objectname) %(objecttype)"])
        .input(input);
    // One that is not there is answered with `<name> missing`.
    let kinds = ["commit", "tree", "blob", "tag"];
    let found = lines(&call)?.into_iter().filter_map(|line| {
        let (name, kind) = line.split_once(' ')?;
        kinds.contains(&kind).then(|| (name.to_owned(), kind.to_owned()))
    });
    Ok(found.collect())
}

/// A local branch other than `branch` that contains `commit`.
pub(super) fn other_branch_with(
    repo: &Repo,
    commit: &CommitId,
    branch: &str,
) -> Result<Option<String>, GitError> {
    let call = Call::read(repo.program(), Place::GitDir(repo.common_dir()))
        .setting("core.useReplaceRefs", "false")
        .args(["for-each-ref", "--format=%(refname)"])
        .arg(format!("--contains={commit}"))
        .arg("refs/heads/");
    let own = format!("refs/heads/{branch}");
    let other = lines(&call)?.into_iter().find(|name| *name != own);
    Ok(other.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)))
}

fn lines(call: &Call<'_>) -> Result<Vec<String>, GitError> {
    let out = call.succeed()?;
    // Names of references need not be UTF-8.
    Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect())
}

pub(super) fn walk_error(top: &Path, error: walkdir::Error) -> GitError {
    let path = error.path().unwrap_or(top).to_owned();
    let source = error.into_io_error().unwrap_or_else(|| io::Error::other("a loop of symbolic links"));
    GitError::Io { operation: "look through", path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_of_forty_digits() {
        let (one, two) = ("a".repeat(40), "0123456789".repeat(4));
        let text = format!("{} {one} {two}\tcommit: x\npick {}\n{}f\n", "0".repeat(40), &one[1..], two);
        let mut names = BTreeSet::new();
        collect_names(text.as_bytes(), &mut names);
        assert_eq!(names, BTreeSet::from([one, two]));
    }
}
