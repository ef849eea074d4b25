//! Where pi may find a prompt besides its prompt folders: what its settings name, its packages, and its extensions.
//!
//! A settings file of pi stands in a folder of its own (`~/.pi/agent`, `<project>/.pi`) from which its paths count.
//! Packages are found where pi installs them, without asking a package manager. Extensions are programs; whether one
//! answers to a name is guessed from its source, and what cannot be looked at is said, so that nothing is refused
//! because it was not seen.

use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use super::files;

/// How many entries of a named folder or an extension are looked at.
const ENTRIES: usize = 5000;
/// How deep.
const DEPTH: usize = 6;
/// How much of an extension's source is read, in one file and in all.
const SOURCE_FILE: u64 = 2 << 20;
const SOURCE_ALL: u64 = 16 << 20;

/// One of pi's settings files with the folder around it.
#[derive(Debug)]
pub(super) struct Resources<'a> {
    base: &'a Path,
    home: Option<&'a Path>,
    settings: Value,
    module_folders: Vec<PathBuf>,
}

/// What is known of a name that no file answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This extension seems to.
    Extension(PathBuf),
    /// This could not be looked at.
    Unseen(String),
}

/// A package of pi's, as the settings name it.
struct Package {
    source: String,
    root: Option<PathBuf>,
    prompts: Use,
    extensions: Use,
}

/// Whether a package's resources of one kind are used.
#[derive(PartialEq, Eq)]
enum Use {
    Yes,
    No,
}

impl<'a> Resources<'a> {
    /// Reads the settings in `base`. `module_folders` are further `node_modules` folders that packages may be in.
    pub fn read(base: &'a Path, home: Option<&'a Path>, mut module_folders: Vec<PathBuf>) -> Self {
        let settings = files::read_json(&base.join("settings.json")).unwrap_or(Value::Null);
        module_folders.insert(0, base.join("npm/node_modules"));
        Self { base, home, settings, module_folders }
    }

    /// The prompt file `file_name` in what the settings' `prompts` name.
    pub fn prompt_of_settings(&self, file_name: &str) -> Option<PathBuf> {
        self.paths("prompts").find_map(|path| prompt_in(&path, file_name))
    }

    /// The prompt file `file_name` in a package.
    pub fn prompt_of_packages(&self, file_name: &str) -> Option<PathBuf> {
        self.packages()
            .into_iter()
            .filter(|package| package.prompts == Use::Yes)
            .find_map(|package| prompt_in_package(&package.root?, file_name))
    }

    /// Whether an extension that pi loads because of this folder may answer to `/name`.
    pub fn answer_of_extensions(&self, name: &str) -> Option<Answer> {
        let mut unseen = None;
        let mut roots = vec![self.base.join("extensions")];
        roots.extend(self.paths("extensions"));
        for package in self.packages() {
            match package.root {
                Some(root) if package.extensions == Use::Yes => roots.push(root),
                Some(_) => {}
                // pi installs a package that is missing, or knows a place that is not known here.
                None => unseen = unseen.or(Some(Answer::Unseen(format!("the package {:?}", package.source)))),
            }
        }
        let answers: Vec<Answer> = roots.iter().filter_map(|root| answer_of_extension(root, name)).collect();
        first_certain(answers.into_iter().chain(unseen))
    }

    /// The entries of a list in the settings that name a path.
    fn paths(&self, key: &str) -> impl Iterator<Item = PathBuf> {
        let entries = self.settings.get(key).and_then(Value::as_array).into_iter().flatten();
        entries
            .filter_map(Value::as_str)
            .filter(|entry| !is_pattern(entry))
            .filter_map(|entry| self.path(entry))
    }

    fn path(&self, entry: &str) -> Option<PathBuf> {
        files::expand_home(Path::new(entry.trim()), self.home).map(|path| self.base.join(path))
    }

    fn packages(&self) -> Vec<Package> {
        let entries = self.settings.get("packages").and_then(Value::as_array).into_iter().flatten();
        entries
            .filter_map(|entry| {
                let source = entry.as_str().or_else(|| entry.get("source")?.as_str())?;
                let using = |kind| match entry.get(kind).and_then(Value::as_array) {
                    Some(patterns) if patterns.is_empty() => Use::No,
                    _ => Use::Yes,
                };
                Some(Package {
                    source: source.chars().take(200).collect(),
                    root: self.package_root(source.trim()),
                    prompts: using("prompts"),
                    extensions: using("extensions"),
                })
            })
            .collect()
    }

    fn package_root(&self, source: &str) -> Option<PathBuf> {
        let root = if let Some(spec) = source.strip_prefix("npm:") {
            let name = npm_name(spec.trim())?;
            return self.module_folders.iter().map(|folder| folder.join(&name)).find(|root| root.is_dir());
        } else if let Some(place) = git_place(source) {
            self.base.join("git").join(place)
        } else {
            self.path(source)?
        };
        root.exists().then_some(root)
    }
}

/// Whether the extension at `root`, a file or a folder, may answer to `/name`. `None`: there is none, or it does not
/// seem to.
pub(super) fn answer_of_extension(root: &Path, name: &str) -> Option<Answer> {
    let quoted = ['"', '\'', '`'].map(|quote| format!("{quote}{name}{quote}"));
    let unseen = || Some(Answer::Unseen(format!("all of the extension {}", root.display())));
    let mut left = SOURCE_ALL;
    for (count, entry) in walk(root).enumerate() {
        if count >= ENTRIES || left == 0 {
            return unseen();
        }
        let is_source = entry.path().extension().is_some_and(|ending| {
            ["ts", "js", "mjs", "cjs", "mts", "cts"].iter().any(|known| ending == *known)
        });
        if !is_source || !entry.path().is_file() {
            continue;
        }
        let Some(source) = files::read_up_to(entry.path(), SOURCE_FILE.min(left)) else { return unseen() };
        left = left.saturating_sub(source.len() as u64);
        let source = String::from_utf8_lossy(&source);
        // `registerCommand("name", …)`, or an extension that hands pi prompt files of its own finding.
        if quoted.iter().any(|name| source.contains(name)) || source.contains("promptPaths") {
            return Some(Answer::Extension(entry.into_path()));
        }
    }
    None
}

/// The answer that needs no doubt, else the first.
pub(super) fn first_certain(answers: impl IntoIterator<Item = Answer>) -> Option<Answer> {
    answers.into_iter().reduce(|first, next| match (&first, &next) {
        (Answer::Unseen(_), Answer::Extension(_)) => next,
        _ => first,
    })
}

/// The prompt file `file_name` that `path` is or, as a folder, holds at any depth.
pub(super) fn prompt_in(path: &Path, file_name: &str) -> Option<PathBuf> {
    walk(path)
        .take(ENTRIES)
        .find(|entry| entry.file_name() == file_name && files::is_readable_file(entry.path()))
        .map(walkdir::DirEntry::into_path)
}

fn prompt_in_package(root: &Path, file_name: &str) -> Option<PathBuf> {
    let manifest = files::read_json(&root.join("package.json"));
    match manifest.as_ref().and_then(|package| package.pointer("/pi/prompts")?.as_array()) {
        Some(entries) => entries.iter().filter_map(Value::as_str).find_map(|entry| match is_pattern(entry) {
            // A glob may match anywhere in the package; a folder of prompts holds nothing else.
            true if !entry.starts_with(['!', '+', '-']) => prompt_in(root, file_name),
            true => None,
            false => prompt_in(&root.join(entry), file_name),
        }),
        None => prompt_in(&root.join("prompts"), file_name),
    }
}

/// What pi looks at below a folder: nothing hidden, no dependencies; in order, so that the answer is the same each
/// time.
fn walk(root: &Path) -> impl Iterator<Item = walkdir::DirEntry> {
    WalkDir::new(root)
        .follow_links(true)
        .max_depth(DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !(name.starts_with('.') || name == "node_modules")
        })
        // What cannot be read (or leads round in a circle) pi does not read either.
        .filter_map(Result::ok)
}

/// An entry that filters what the others name.
fn is_pattern(entry: &str) -> bool {
    entry.starts_with(['!', '+', '-']) || entry.contains(['*', '?'])
}

/// `@scope/name@1.2` → `@scope/name`.
fn npm_name(spec: &str) -> Option<PathBuf> {
    let end = spec.char_indices().skip(1).find(|(_, c)| *c == '@').map_or(spec.len(), |(at, _)| at);
    plain_path(spec.get(..end)?, 1..=2)
}

/// Where below its `git` folder pi clones a source: `<host>/<path>`. `None`: it is no git source.
fn git_place(source: &str) -> Option<PathBuf> {
    const SCHEMES: [&str; 4] = ["https://", "http://", "ssh://", "git://"];
    let shorthand = source.strip_prefix("git:").filter(|rest| !rest.starts_with("//"));
    let url = shorthand.unwrap_or(source).trim();
    let bare = match SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme)) {
        Some(bare) => bare,
        None if shorthand.is_some() => url,
        None => return None,
    };
    // `git@host:path`, `user@host/path`, `host:port/path`.
    let (authority, path) = bare.split_once('/')?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, owner) = match host.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, None),
        Some((host, owner)) => (host, Some(owner)),
        None => (host, None),
    };
    let path = path.split(['#', '@']).next().unwrap_or(path).trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let whole = owner.map_or_else(|| format!("{host}/{path}"), |owner| format!("{host}/{owner}/{path}"));
    plain_path(&whole, 3..=10)
}

/// A relative path of plain names.
fn plain_path(text: &str, parts: std::ops::RangeInclusive<usize>) -> Option<PathBuf> {
    let names: Vec<&str> = text.split('/').collect();
    let plain =
        names.iter().all(|name| !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', '\0']));
    (plain && parts.contains(&names.len())).then(|| names.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn put(path: &Path, content: &str) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        path.to_owned()
    }

    #[test]
    fn settings_name_files_and_folders_from_their_own_folder() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("agent");
        let find = |prompts: &str| {
            put(&base.join("settings.json"), &format!(r#"{{"prompts":{prompts}}}"#));
            Resources::read(&base, Some(dir.path()), Vec::new()).prompt_of_settings("tf.md")
        };
        let inside = put(&base.join("my/deep/tf.md"), "x");
        let at_home = put(&dir.path().join("home-prompts/tf.md"), "x");
        put(&base.join("my/.hidden/tf.md"), "x");
        assert_eq!(find(r#"["my"]"#), Some(inside.clone()));
        assert_eq!(find(r#"["none", "my/deep/tf.md"]"#), Some(inside));
        assert_eq!(find(r#"["~/home-prompts"]"#), Some(at_home));
        for prompts in
            ["[]", r#""my""#, r#"["-my","!my","my/*.md"]"#, r#"["my/.hidden/x.md"]"#, "[1,null]", "3"]
        {
            assert_eq!(find(prompts), None, "{prompts}");
        }
    }

    #[test]
    fn packages_are_found_where_pi_puts_them() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        let modules = base.join("lib/node_modules");
        let find = |package: &str| {
            put(&base.join("settings.json"), &format!(r#"{{"packages":[{package}]}}"#));
            Resources::read(base, None, vec![modules.clone()]).prompt_of_packages("tf.md")
        };
        let own = put(&base.join("npm/node_modules/@a/b/prompts/tf.md"), "x");
        assert_eq!(find(r#""npm:@a/b@^1.0""#), Some(own.clone()));
        assert_eq!(find(r#"{"source":"npm:@a/b","skills":[]}"#), Some(own));
        assert_eq!(find(r#"{"source":"npm:@a/b","prompts":[]}"#), None);
        let global = put(&modules.join("plain/prompts/tf.md"), "x");
        assert_eq!(find(r#""npm:plain""#), Some(global));
        let cloned = put(&base.join("git/github.com/me/repo/prompts/tf.md"), "x");
        for source in [
            "git:github.com/me/repo",
            "git:git@github.com:me/repo.git",
            "https://github.com/me/repo.git@v1",
            "ssh://git@github.com/me/repo#main",
        ] {
            assert_eq!(find(&format!("\"{source}\"")), Some(cloned.clone()), "{source}");
        }
        let local = put(&base.join("pk/templates/tf.md"), "x");
        assert_eq!(find(r#""./pk""#), None);
        put(&base.join("pk/package.json"), r#"{"pi":{"prompts":["templates"]}}"#);
        assert_eq!(find(r#""./pk""#), Some(local.clone()));
        put(&base.join("pk/package.json"), r#"{"pi":{"prompts":["templates/*.md"]}}"#);
        assert_eq!(find(r#""./pk""#), Some(local));
        for source in ["npm:../../x", "git:host/../../x", "npm:", "git:x", "npm:none"] {
            assert_eq!(find(&format!("\"{source}\"")), None, "{source}");
        }
    }

    #[test]
    fn an_extension_that_names_the_command_may_answer() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        let answer = || Resources::read(base, None, Vec::new()).answer_of_extensions("tf");
        assert_eq!(answer(), None);
        put(&base.join("extensions/other.ts"), "pi.registerCommand('tfx', {})");
        put(&base.join("extensions/node_modules/x/index.js"), "\"tf\"");
        assert_eq!(answer(), None);
        put(&base.join("settings.json"), r#"{"packages":["npm:missing"]}"#);
        assert_eq!(answer(), Some(Answer::Unseen("the package \"npm:missing\"".to_owned())));
        let source = put(&base.join("extensions/mine/index.ts"), "pi.registerCommand('tf', {})");
        assert_eq!(answer(), Some(Answer::Extension(source.clone())));
        assert_eq!(answer_of_extension(&source, "tf"), Some(Answer::Extension(source.clone())));
        assert_eq!(answer_of_extension(&base.join("none"), "tf"), None);
    }

    #[test]
    fn folders_that_lead_round_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        assert_eq!(prompt_in(dir.path(), "tf.md"), None);
    }

    proptest! {
        #[test]
        fn no_source_makes_it_panic_or_leads_out(source: String) {
            for place in [git_place(&source), git_place(&format!("git:{source}")), npm_name(&source)] {
                let inside = place.is_none_or(|place| {
                    place.components().all(|part| matches!(part, std::path::Component::Normal(_)))
                });
                prop_assert!(inside, "{source:?}");
            }
        }
    }
}
