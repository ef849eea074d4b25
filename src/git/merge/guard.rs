//! What has git run programs, or decides what a merge comes to: settings, hooks, attributes. An agent shares them with
//! the user. Hashed when it is launched and again when its work is merged, they show what was changed meanwhile.
//!
//! Only hashes are kept: a setting may hold a secret. What cannot be read counts as a content of its own, so that it
//! differs from whatever could be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::durable;
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

const LARGEST: u64 = 16 << 20;
/// No folder of hooks holds more.
const MOST_HOOKS: usize = 500;

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
    let attributes = settings.attributes_file();
    for file in FILES.iter().map(|name| common.join(name)).chain(attributes) {
        if file.symlink_metadata().is_ok() {
            guard.insert(format!("the file {}", file.display()), hash_of_file(&file));
        }
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
        (None, Some(_)) => Some(format!("{name} was added")),
        (before, now) => (before != now).then(|| format!("{name} was changed")),
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

fn hooks_in(folder: &Path) -> Vec<(String, String)> {
    let walk = WalkDir::new(folder).min_depth(1).max_depth(4).follow_root_links(true).sort_by_file_name();
    let mut found = Vec::new();
    for entry in walk.into_iter().take(MOST_HOOKS) {
        let Ok(entry) = entry else {
            found.push((folder.display().to_string(), "unreadable".to_owned()));
            continue;
        };
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).display().to_string();
        // git itself puts these there, and runs none of them.
        if entry.file_type().is_dir() || name.ends_with(".sample") {
            continue;
        }
        found.push((name, hash_of_file(entry.path())));
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
        Ok(None) | Err(_) => hash([&link[..], b"unreadable"]),
    }
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
