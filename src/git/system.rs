//! The files in which git keeps what holds for the whole machine.
//!
//! Distributions build git to read `/etc/gitconfig` and `/etc/gitattributes`, and libgit2 reads them always. A git that
//! was built for another prefix reads `<prefix>/etc/…` instead. Where that makes a difference, and only there, git is
//! asked.
//!
//! Not handled: a program on PATH that starts a git of another prefix, where no such file is in `/etc` or beside it.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::Config;

const USUAL: &str = "/etc";
const CONFIG: &str = "gitconfig";
const ATTRIBUTES: &str = "gitattributes";
/// The folders of a distribution's own programs, which look in [`USUAL`].
const OF_DISTRIBUTIONS: [&str; 2] = ["/usr/bin", "/bin"];
/// The settings on which nothing depends that ralph or libgit2 does.
const WITHOUT_EFFECT: [&str; 5] = ["alias.", "color.", "credential.", "help.", "http."];

/// Where the user's and the machine's settings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ConfigFiles {
    /// Where libgit2 looks for them too.
    #[default]
    Usual,
    /// Where the environment says, where this git was built to look, or where an include leads that libgit2 does not
    /// follow: git alone does.
    Elsewhere,
}

/// Where git looks, as far as there is anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemFiles {
    /// For settings.
    pub(super) config: ConfigFiles,
    /// For attributes.
    pub(super) attributes: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self { config: ConfigFiles::Usual, attributes: Path::new(USUAL).join(ATTRIBUTES) }
    }
}

impl SystemFiles {
    /// Those of the program, which is looked for in the folders of `path`. `said` asks it for the file of the machine's
    /// attributes, which it tells from 2.42 on.
    pub(super) fn of(program: &Path, path: Option<&OsStr>, said: impl Fn() -> Option<PathBuf>) -> Self {
        match other_folders(program, path) {
            Some(folders) => Self::among(&folders, Path::new(USUAL), said),
            None => Self::default(),
        }
    }

    /// Those of a git that looks in one of `folders`, or in `usual`.
    fn among(folders: &[PathBuf], usual: &Path, said: impl Fn() -> Option<PathBuf>) -> Self {
        let is_used = |folder: &Path| matters(&folder.join(CONFIG)) || folder.join(ATTRIBUTES).exists();
        let used = folders.iter().find(|folder| is_used(folder));
        if used.is_none() && !is_used(usual) {
            return Self::default();
        }
        let said = said().and_then(|file| Some(file.parent()?.to_owned()));
        // One that does not say is believed to look where it was built to.
        let folder = said.or_else(|| used.or(folders.first()).cloned()).unwrap_or_else(|| usual.to_owned());
        let differs = folder != usual && (matters(&folder.join(CONFIG)) || matters(&usual.join(CONFIG)));
        let config = if differs { ConfigFiles::Elsewhere } else { ConfigFiles::Usual };
        Self { config, attributes: folder.join(ATTRIBUTES) }
    }
}

/// Whether settings are in the file that may change what ralph does. What cannot be read may.
fn matters(file: &Path) -> bool {
    let has_effect = |config: Config| {
        let mut found = false;
        let all = config.entries(None)?;
        all.for_each(|entry| {
            let key = entry.name_bytes();
            found |= !WITHOUT_EFFECT.iter().any(|beginning| key.starts_with(beginning.as_bytes()));
        })?;
        Ok::<_, git2::Error>(found)
    };
    file.exists() && Config::open(file).and_then(has_effect).unwrap_or(true)
}

/// Where the program may look instead of the usual folder; `None` where it is a distribution's, or not there.
fn other_folders(program: &Path, path: Option<&OsStr>) -> Option<Vec<PathBuf>> {
    let is_program =
        |file: &PathBuf| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let found = if program.components().count() > 1 {
        program.to_owned()
    } else {
        std::env::split_paths(path?).map(|folder| folder.join(program)).find(is_program)?
    };
    // Some prefixes have links to the programs that were installed elsewhere.
    let real = found.canonicalize().ok()?;
    if OF_DISTRIBUTIONS.iter().any(|folder| real.parent() == Some(Path::new(folder))) {
        return None;
    }
    let etc = |file: &Path| Some(file.parent()?.parent()?.join("etc"));
    Some([&real, &found].into_iter().filter_map(|file| etc(file)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that is usual, and that of a git of another prefix.
    fn folders() -> (tempfile::TempDir, PathBuf, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let (usual, other) = (folder.path().join("etc"), folder.path().join("prefix/etc"));
        for folder in [&usual, &other] {
            fs::create_dir_all(folder).unwrap();
        }
        (folder, usual, vec![other])
    }

    #[test]
    fn git_is_asked_where_there_is_anything_to_look_for_and_believed() {
        let (_folder, usual, others) = folders();
        let asked = |answer: &Path| SystemFiles::among(&others, &usual, || Some(answer.join(ATTRIBUTES)));
        let unasked = || SystemFiles::among(&others, &usual, || panic!("nothing is there to look for"));
        assert_eq!(unasked(), SystemFiles::default());
        let no_effect = "[credential \"https://a\"]\n\thelper = x\n[alias]\n\tst = status\n";
        fs::write(usual.join(CONFIG), no_effect).unwrap();
        assert_eq!(unasked(), SystemFiles::default());
        let elsewhere =
            SystemFiles { config: ConfigFiles::Elsewhere, attributes: others[0].join(ATTRIBUTES) };
        // libgit2 would read what this git does not, or not read what it does.
        for folder in [&usual, &others[0]] {
            fs::write(folder.join(CONFIG), "[core]\n\tautocrlf = true\n").unwrap();
            assert_eq!(asked(&others[0]), elsewhere);
            assert_eq!(asked(&usual).config, ConfigFiles::Usual);
            fs::remove_file(folder.join(CONFIG)).unwrap();
        }
        fs::write(others[0].join(ATTRIBUTES), "").unwrap();
        assert_eq!(asked(&others[0]), SystemFiles { config: ConfigFiles::Usual, ..elsewhere });
    }

    #[test]
    fn an_older_git_that_does_not_say_looks_in_its_prefix() {
        let (_folder, usual, others) = folders();
        for folder in [&usual, &others[0]] {
            fs::write(folder.join(CONFIG), "[core]\n\tautocrlf = true\n").unwrap();
            let files = SystemFiles::among(&others, &usual, || None);
            assert_eq!(files.config, ConfigFiles::Elsewhere);
            assert_eq!(files.attributes, others[0].join(ATTRIBUTES));
            fs::remove_file(folder.join(CONFIG)).unwrap();
        }
    }

    #[test]
    fn settings_that_cannot_be_read_matter() {
        let (_folder, usual, _) = folders();
        fs::write(usual.join(CONFIG), "[core\n").unwrap();
        assert!(matters(&usual.join(CONFIG)) && !matters(&usual.join("none")));
    }

    #[test]
    fn git_is_the_first_program_on_path_links_followed_and_a_distributions_has_no_other_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, mode) in [("first/bin", 0o644), ("prefix/bin", 0o755)] {
            fs::create_dir_all(at(name)).unwrap();
            fs::write(at(name).join("git"), "").unwrap();
            fs::set_permissions(at(name).join("git"), fs::Permissions::from_mode(mode)).unwrap();
        }
        let prefix = at("prefix/etc");
        fs::create_dir_all(at("links/bin")).unwrap();
        symlink(at("prefix/bin/git"), at("links/bin/git")).unwrap();
        let found = |folders: &[PathBuf]| {
            other_folders(Path::new("git"), Some(&std::env::join_paths(folders).unwrap()))
        };
        let all = [at("none"), at("first/bin"), at("links/bin"), at("prefix/bin")];
        let real = at("prefix").canonicalize().unwrap().join("etc");
        assert_eq!(found(&all), Some(vec![real.clone(), at("links/etc")]));
        assert_eq!(found(&all[3..]), Some(vec![real, prefix]));
        assert_eq!(found(&all[..2]), None);
        assert_eq!(other_folders(Path::new("/bin/sh"), None), None);
    }
}
