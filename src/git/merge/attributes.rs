//! A folder that holds a commit's attribute files and nothing else: what git needs of a checkout to choose merge
//! drivers as it would there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::durable;
use crate::git::attributes::{attribute_files, read_attributes};
use crate::git::printed::TreeEntry;
use crate::git::{CommitId, GitError, Repo};

/// Makes the folder below `scratch`. Refuses merge drivers in use that would run a program out of a worktree.
pub(super) fn attributes_folder(repo: &Repo, scratch: &Path, commit: &CommitId) -> Result<PathBuf, GitError> {
    let top = scratch.join("attributes");
    durable::remove_all(&top)?;
    fs::create_dir(&top).map_err(|e| GitError::io("create", &top, e))?;
    let relative = relative_drivers(repo, &[commit])?;
    for (path, content) in files_of(repo, commit)? {
        refuse_relative(&relative, &content, &path.to_string_lossy())?;
        let file = top.join(&path);
        let folder = file.parent().unwrap_or(&top);
        fs::create_dir_all(folder).map_err(|e| GitError::io("create", folder, e))?;
        fs::write(&file, content).map_err(|e| GitError::io("write", &file, e))?;
    }
    refuse_relative_elsewhere(repo, &relative)?;
    Ok(top)
}

/// Refuses merge drivers that the attributes of one of the commits put to use, and that would run a program out of a
/// worktree.
pub(super) fn refuse_relative_drivers(repo: &Repo, commits: &[&CommitId]) -> Result<(), GitError> {
    let relative = relative_drivers(repo, commits)?;
    if !relative.is_empty() {
        for commit in commits {
            for (path, content) in files_of(repo, commit)? {
                refuse_relative(&relative, &content, &path.to_string_lossy())?;
            }
        }
    }
    refuse_relative_elsewhere(repo, &relative)
}

/// The same of the attribute files outside the commits.
fn refuse_relative_elsewhere(repo: &Repo, relative: &[(String, String)]) -> Result<(), GitError> {
    if !relative.is_empty() {
        for file in attribute_files(&repo.settings()?, repo.common_dir(), repo.program()).all() {
            if let Some(content) = read_attributes(&file)? {
                refuse_relative(relative, &content, &file.to_string_lossy())?;
            }
        }
    }
    Ok(())
}

/// The attribute files of a commit, by path.
fn files_of(repo: &Repo, commit: &CommitId) -> Result<Vec<(PathBuf, Vec<u8>)>, GitError> {
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    repo.fetching().args(["ls-tree", "-r", "-z", "--full-tree", commit.as_str()]).for_each_record(
        &mut |record| {
            let Some(entry) = TreeEntry::of(record) else { return };
            let path = Path::new(OsStr::from_bytes(entry.path));
            // git follows no attribute file that is a link.
            if entry.is_attributes() && entry.is_file() && is_inside(path) {
                found.push((path.to_owned(), entry.object.to_owned()));
            }
        },
    )?;
    let content = |(path, name): (PathBuf, String)| {
        Ok((path, repo.fetching().args(["cat-file", "blob", &name]).succeed()?))
    };
    found.into_iter().map(content).collect()
}

/// A tree may be made to name anything.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(name) if name != ".git"))
}

/// The merge drivers that would run something of one of the commits: name and command.
fn relative_drivers(repo: &Repo, commits: &[&CommitId]) -> Result<Vec<(String, String)>, GitError> {
    let mut relative = Vec::new();
    for (key, command) in repo.settings()?.matching("merge.*")? {
        let Some(name) = key.strip_prefix("merge.").and_then(|rest| rest.strip_suffix(".driver")) else {
            continue;
        };
        for commit in commits {
            if repo.runs_from(&command, commit)? {
                relative.push((name.to_owned(), command.clone()));
                break;
            }
        }
    }
    Ok(relative)
}

fn refuse_relative(drivers: &[(String, String)], content: &[u8], file: &str) -> Result<(), GitError> {
    let words = content.split(u8::is_ascii_whitespace).filter_map(|word| std::str::from_utf8(word).ok());
    let named = |name: &str| drivers.iter().find(|(driver, _)| driver == name);
    match words.filter_map(|word| word.strip_prefix("merge=")).find_map(named) {
        None => Ok(()),
        Some((driver, command)) => Err(GitError::RelativeDriver {
            driver: driver.clone(),
            used_by: file.to_owned(),
            command: command.clone(),
        }),
    }
}
