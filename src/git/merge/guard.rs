//! What has git run programs, or decides what a merge comes to: settings, hooks, attributes. An agent shares them with
//! the user. Hashed when it is launched and again when its work is merged, they show what was changed meanwhile.
//!
//! Only hashes are kept: a setting may hold a secret. What cannot be read counts as a content of its own, so that it
//! differs from whatever could be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::durable;
use crate::git::attributes::attribute_files;
use crate::git::config::Settings;
use crate::git::program::{Call, Place};
use crate::git::repo::{Backend, open_libgit2};
use crate::git::system::ConfigFiles;
use crate::git::{GitError, Repo};

/// What is guarded, each by its name and the hash of what it holds.
pub type Guard = BTreeMap<String, String>;

/// The settings that count, by how they begin. Those of branches and remotes do not: every push writes them.
const SETTINGS: [&str; 24] = [
    "attr.",
    "author.",
    "commit.",
    "committer.",
    "core.",
    "credential.",
    "diff.",
    "extensions.",
    "filter.",
    "gpg.",
    "hook.",
    "http.",
    "i18n.",
    "include.",
    "includeif.",
    "merge.",
    "protocol.",
    "pull.twohead",
    "rebase.",
    "sequence.",
    "submodule.",
    "trailer.",
    "url.",
    "user.",
];

/// Files in the repository that change what a commit holds or is merged to.
const FILES: [&str; 3] = ["info/attributes", "info/grafts", "objects/info/alternates"];

/// What the name of a hook begins with.
const HOOK: &str = "the hook ";
const HOOKS_PATH: &str = "the setting core.hookspath";

/// The attributes files that git reads though no setting names them. On record whether there are any or not: a record
/// without it is of a ralph that did not look.
const UNNAMED: &str = "an attributes file of the user's or the machine's";

/// Of a larger file size and times are hashed.
const LARGEST: u64 = 16 << 20;
/// As many are read, those in the folder itself first; of the others, only what tells that they were written.
const MOST_HOOKS: usize = 500;
/// Where there are more, none of them is known to be what it was.
const MOST_FILES: usize = 20_000;
/// How deep in their folder.
const DEEPEST_HOOK: usize = 4;
/// What those are called together whose content is not read.
const OTHER_HOOKS: &str = "or another of the many files of its folder";
/// What stands for the hash of what there is too much of.
const TOO_MANY: &str = "too many";

/// The settings that change as people and agents work, and mean nothing: where branches are pushed to.
const BUSY: &str = "branch.";

/// What is guarded, and the settings that are not, which no merge waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// What is guarded.
    pub guard: Guard,
    /// Every other setting.
    pub others: Guard,
}

/// Looks at what is guarded, as the main checkout has it.
pub fn guard(repo: &Repo) -> Result<Guard, GitError> {
    Ok(watched(repo)?.guard)
}

/// Looks at what is guarded and at all other settings, as the main checkout has them.
pub fn watched(repo: &Repo) -> Result<Watched, GitError> {
    let common = repo.common_dir();
    // Seen from the main checkout, wherever one stands.
    let settings = match repo.backend() {
        Backend::Libgit2(_) if repo.program().config_files() == ConfigFiles::Usual => {
            if repo.git_dir() == common { repo.settings()? } else { Settings::of(&open_libgit2(common)?)? }
        }
        _ => Settings::listed(|| Call::read(repo.program(), Place::GitDir(common)))?,
    };
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in settings.matching("*")? {
        if !key.starts_with(BUSY) {
            said.entry(key).or_default().push(value);
        }
    }
    let is_guarded = |key: &str| SETTINGS.iter().any(|beginning| key.starts_with(beginning));
    let (guarded, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        said.into_iter().partition(|(key, _)| is_guarded(key));
    let hashed = |said: BTreeMap<String, Vec<String>>| -> Guard {
        let hashed = |(key, values): (String, Vec<String>)| {
            (format!("the setting {key}"), hash(values.iter().map(String::as_bytes)))
        };
        said.into_iter().map(hashed).collect()
    };
    let mut guard = hashed(guarded);
    let hooks = hooks_folder(repo, &settings);
    for (name, hash) in hooks_in(&hooks) {
        guard.insert(format!("{HOOK}{name}"), hash);
    }
    let is_there = |file: &PathBuf| file.symlink_metadata().is_ok();
    let named = settings.attributes_file();
    let everywhere = attribute_files(&settings, common, repo.program()).below.into_iter();
    let unnamed = everywhere.filter(|file| is_there(file) && named.as_ref() != Some(file));
    let unnamed: Vec<String> = unnamed.map(|file| hash_of_file(&file)).collect();
    guard.insert(UNNAMED.to_owned(), hash(unnamed.iter().map(String::as_bytes)));
    for file in FILES.iter().map(|name| common.join(name)).chain(named).filter(is_there) {
        guard.insert(format!("the file {}", file.display()), hash_of_file(&file));
    }
    for name in repo.refs_below("refs/replace/")? {
        guard.insert(format!("the replacement {name}"), String::new());
    }
    Ok(Watched { guard, others: hashed(others) })
}

/// What differs, one phrase each. Pure.
pub fn guard_changes(before: &Guard, now: &Guard) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    // Another folder has other hooks: that is said in one word.
    let elsewhere = before.get(HOOKS_PATH) != now.get(HOOKS_PATH);
    let names = names.into_iter().filter(|name| !(elsewhere && name.starts_with(HOOK)));
    let change = |name: &String| match (before.get(name), now.get(name)) {
        (Some(_), None) => Some(format!("{name} was removed")),
        (None, Some(_)) if *name == UNNAMED => None,
        (None, Some(_)) => Some(format!("{name} was added")),
        (before, now) => {
            let differs = before != now || now.is_some_and(|now| now == TOO_MANY);
            differs.then(|| format!("{name} was changed"))
        }
    };
    names.filter_map(change).collect()
}

/// The folder of the user's hooks, absolute: a relative one is the main checkout's own, never that of a branch.
pub(super) fn hooks_folder(repo: &Repo, settings: &Settings) -> PathBuf {
    match settings.hooks_path() {
        Some(path) => repo.main_checkout().unwrap_or(repo.common_dir()).join(path),
        None => repo.common_dir().join("hooks"),
    }
}

/// The hooks, by name. What git runs stands in the folder itself: no number of files below keeps it from being read.
fn hooks_in(folder: &Path) -> Vec<(String, String)> {
    let at = |depth| WalkDir::new(folder).min_depth(depth).max_depth(depth);
    let entries = (1..=DEEPEST_HOOK).flat_map(|depth| at(depth).follow_root_links(true).sort_by_file_name());
    let mut found = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for (count, entry) in entries.enumerate() {
        let Ok(entry) = entry else {
            found.push((folder.display().to_string(), "unreadable".to_owned()));
            continue;
        };
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).display().to_string();
        // git itself puts these there, and runs none of them.
        if entry.file_type().is_dir() || name.ends_with(".sample") {
            continue;
        }
        if count >= MOST_FILES {
            found.push((OTHER_HOOKS.to_owned(), TOO_MANY.to_owned()));
            return found;
        }
        if found.len() < MOST_HOOKS {
            found.push((name, hash_of_file(entry.path())));
        } else {
            others.extend([name, hash_of_facts(entry.path())]);
        }
    }
    if !others.is_empty() {
        found.push((OTHER_HOOKS.to_owned(), hash(others.iter().map(String::as_bytes))));
    }
    found
}

/// What a file holds, whether it can be run, and where a link leads.
fn hash_of_file(path: &Path) -> String {
    let link =
        fs::read_link(path).map(|target| target.into_os_string().into_encoded_bytes()).unwrap_or_default();
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&real).map_or(0, |meta| meta.permissions().mode() & 0o111);
    match durable::read(&real, LARGEST) {
        Ok(Some(content)) => hash([&link[..], &mode.to_le_bytes(), &content]),
        Ok(None) => hash([&link[..], b"unreadable"]),
        Err(_) => hash([&link[..], b"unreadable", hash_of_facts(&real).as_bytes()]),
    }
}

/// What differs once a file, or a link to it, was written, without its content. The time of the last change (`ctime`) is not
/// for its owner to choose.
fn hash_of_facts(path: &Path) -> String {
    let facts = |meta: fs::Metadata| {
        format!("{:?}", (meta.mode(), meta.size(), meta.mtime(), meta.ctime(), meta.ctime_nsec()))
    };
    let facts = [path.symlink_metadata(), path.metadata()].map(|meta| meta.map(facts).unwrap_or_default());
    hash(facts.iter().map(String::as_bytes))
}

/// Every part goes in with its length, so that no two lists of parts are the same bytes.
fn hash<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(entries: &[(&str, &str)]) -> Guard {
        entries.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect()
    }

    #[test]
    fn what_a_record_of_before_does_not_have_is_no_change() {
        let now = guard(&[(UNNAMED, "1")]);
        assert_eq!(guard_changes(&Guard::new(), &now), Vec::<String>::new());
        assert_eq!(guard_changes(&guard(&[(UNNAMED, "0")]), &now), [format!("{UNNAMED} was changed")]);
    }

    #[test]
    fn what_there_is_too_much_of_is_never_known_to_be_what_it_was() {
        let many = guard(&[("the hook or another of the many files of its folder", TOO_MANY)]);
        assert_eq!(
            guard_changes(&many, &many),
            ["the hook or another of the many files of its folder was changed"]
        );
        let folder = tempfile::tempdir().unwrap();
        (0..=MOST_FILES).for_each(|number| fs::write(folder.path().join(format!("{number}")), "").unwrap());
        assert_eq!(hooks_in(folder.path()).last().unwrap().1, TOO_MANY);
    }
}
