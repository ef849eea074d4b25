//! The files in which git keeps what holds for the whole machine.
//!
//! Distributions build git to read `/etc/gitconfig` and `/etc/gitattributes`, and libgit2 reads them always. A git that
//! was built for another prefix reads `<prefix>/etc/…` instead. Where that makes a difference, and only there, git is
//! asked.
//!
//! Not handled: a program on PATH that starts a git of another prefix, where `/etc` has no such file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const USUAL: &str = "/etc";
/// The folders of a distribution's own programs, which look in [`USUAL`].
const OF_DISTRIBUTIONS: [&str; 2] = ["/usr/bin", "/bin"];

/// Where git looks, whether anything is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemFiles {
    /// The settings.
    pub(super) config: PathBuf,
    /// The attributes.
    pub(super) attributes: PathBuf,
}

impl Default for SystemFiles {
    fn default() -> Self {
        Self {
            config: Path::new(USUAL).join("gitconfig"),
            attributes: Path::new(USUAL).join("gitattributes"),
        }
    }
}

impl SystemFiles {
    /// Those of the program, which is looked for in the folders of `path`. `said` asks it for one of the variables of
    /// `git var`, which it knows from 2.42 on.
    pub(super) fn of(program: &Path, path: Option<&OsStr>, said: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let usual = Self::default();
        let Some(folders) = other_folders(program, path) else { return usual };
        let place = |usual: PathBuf, variable: &str| {
            let name = usual.file_name().unwrap_or_default();
            let mut others =
                folders.iter().map(|folder| folder.join(name)).filter(|file| file.exists()).peekable();
            if others.peek().is_none() && !usual.exists() {
                return usual;
            }
            // Where it does not say, it is believed to look where it was built to.
            said(variable).or_else(|| others.next()).unwrap_or(usual)
        };
        Self {
            config: place(usual.config, "GIT_CONFIG_SYSTEM"),
            attributes: place(usual.attributes, "GIT_ATTR_SYSTEM"),
        }
    }

    /// Whether libgit2 takes its settings from the same file.
    pub(super) fn are_libgit2s(&self) -> bool {
        self.config == Self::default().config
    }
}

/// Where the program may look instead of the usual folder; `None` where it is a distribution's, or not there.
fn other_folders(program: &Path, path: Option<&OsStr>) -> Option<Vec<PathBuf>> {
    let found = if program.components().count() > 1 {
        program.to_owned()
    } else {
        std::env::split_paths(path?).map(|folder| folder.join(program)).find(|file| file.is_file())?
    };
    if OF_DISTRIBUTIONS.iter().any(|folder| found.parent() == Some(Path::new(folder))) {
        return None;
    }
    // Some prefixes have links to the programs that were installed elsewhere.
    let real = found.canonicalize().ok();
    let etc = |file: &Path| Some(file.parent()?.parent()?.join("etc"));
    Some([real.as_deref(), Some(&*found)].into_iter().flatten().filter_map(etc).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A prefix with an empty `etc`, and its git.
    fn prefix() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (bin, etc) = (folder.path().join("bin"), folder.path().join("etc"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&etc).unwrap();
        fs::write(bin.join("git"), "").unwrap();
        (folder, etc, bin.join("git"))
    }

    #[test]
    fn a_git_of_another_prefix_is_asked_where_that_has_files_and_believed() {
        let (_folder, etc, git) = prefix();
        let files = || SystemFiles::of(&git, None, |variable| Some(Path::new("/said").join(variable)));
        if !Path::new("/etc/gitconfig").exists() {
            assert!(files().are_libgit2s());
        }
        fs::write(etc.join("gitconfig"), "").unwrap();
        assert_eq!(files().config, Path::new("/said/GIT_CONFIG_SYSTEM"));
        assert!(!files().are_libgit2s());
        fs::write(etc.join("gitattributes"), "").unwrap();
        assert_eq!(files().attributes, Path::new("/said/GIT_ATTR_SYSTEM"));
    }

    #[test]
    fn an_older_git_that_does_not_say_looks_in_its_prefix() {
        let (_folder, etc, git) = prefix();
        fs::write(etc.join("gitattributes"), "").unwrap();
        assert_eq!(SystemFiles::of(&git, None, |_| None).attributes, etc.join("gitattributes"));
    }

    #[test]
    fn git_is_the_first_on_path_links_followed_and_a_distributions_has_no_other_folder() {
        let (folder, etc, git) = prefix();
        let links = tempfile::tempdir().unwrap();
        symlink(&git, links.path().join("git")).unwrap();
        let first = std::env::join_paths([Path::new("/nonexistent"), links.path(), Path::new("/usr/bin")]);
        let found = other_folders(Path::new("git"), first.ok().as_deref()).unwrap();
        let beside_links = links.path().parent().unwrap().join("etc");
        assert_eq!(found, [etc.canonicalize().unwrap(), beside_links]);
        let found = other_folders(Path::new("git"), Some(folder.path().join("bin").as_os_str())).unwrap();
        assert_eq!(found.last(), Some(&etc));
        assert_eq!(other_folders(Path::new("/usr/bin/git"), None), None);
    }
}
