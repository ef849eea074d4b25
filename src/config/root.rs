//! The setting that says where worktrees are made.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::value::{Refusal, Said, Value, text};
use super::wording;

/// Where worktrees are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorktreeRoot {
    /// `<repository>.ralph`, beside the repository: a worktree inside it would be found by every tool that walks up.
    Beside,
    /// In this directory; one that is not absolute counts from the main checkout.
    At(PathBuf),
}

impl WorktreeRoot {
    /// The directory for a repository whose main checkout (itself, if it is bare) is `main`: an absolute, canonical
    /// path.
    pub fn of(&self, main: &Path) -> PathBuf {
        match self {
            Self::Beside => {
                let name = main.file_name().unwrap_or(OsStr::new("repository"));
                let stem =
                    Path::new(name).extension().filter(|e| *e == "git").map(|_| Path::new(name).file_stem());
                let mut beside = stem.flatten().unwrap_or(name).to_owned();
                beside.push(".ralph");
                main.parent().unwrap_or(main).join(beside)
            }
            Self::At(path) => joined(main, path),
        }
    }

    /// `~` and `~/…` with the user's home in its place.
    pub(super) fn with_home(self, home: Option<&Path>) -> Result<Self, Refusal> {
        match &self {
            Self::At(path) => match path.strip_prefix("~") {
                Ok(rest) => Ok(Self::At(home.ok_or(Refusal::NoHome)?.join(rest))),
                Err(_) => Ok(self),
            },
            Self::Beside => Ok(self),
        }
    }
}

/// `path` as seen from `from`. Leading `..` are taken off the canonical `from`, where that is what the system does
/// too; further inside, a link may stand before the `..`, so that is left to the system.
fn joined(from: &Path, path: &Path) -> PathBuf {
    let mut base = from;
    let mut rest = path.components();
    while let Some(Component::ParentDir | Component::CurDir) = rest.clone().next() {
        if rest.next() == Some(Component::ParentDir) {
            base = base.parent().unwrap_or(base);
        }
    }
    base.join(rest.as_path())
}

impl FromStr for WorktreeRoot {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        // Only a shell knows the homes of others; taken as it stands, `~other` would be made in the repository.
        let others_home = text.starts_with('~') && text != "~" && !text.starts_with("~/");
        if text.is_empty() || text.contains('\0') || others_home {
            return Err(Refusal::Expected(
                "the path of a directory, such as ../trees, /mnt/trees or ~/trees",
            ));
        }
        Ok(Self::At(PathBuf::from(text)))
    }
}

impl Value for WorktreeRoot {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        text(said, "text: the path of a directory")?.parse()
    }

    fn shown(&self) -> String {
        match self {
            Self::Beside => "../<repository>.ralph".to_owned(),
            Self::At(path) => wording::path(path),
        }
    }

    fn canonical(&self) -> Vec<String> {
        match self {
            Self::Beside => Vec::new(),
            // Only what was read from a settings file is ever approved, and that is UTF-8: nothing is lost.
            Self::At(path) => vec![path.to_string_lossy().into_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worktrees_stand_beside_the_repository_unless_said_otherwise() {
        let main = Path::new("/home/me/shop");
        assert_eq!(WorktreeRoot::Beside.of(main), Path::new("/home/me/shop.ralph"));
        assert_eq!(WorktreeRoot::Beside.of(Path::new("/srv/shop.git")), Path::new("/srv/shop.ralph"));
        assert_eq!(WorktreeRoot::Beside.of(Path::new("/home/me/a.b")), Path::new("/home/me/a.b.ralph"));
        let root = |text: &str| text.parse::<WorktreeRoot>().unwrap().with_home(Some(Path::new("/home/me")));
        assert_eq!(root("../trees").unwrap().of(main), Path::new("/home/me/trees"));
        assert_eq!(root("./../../trees").unwrap().of(main), Path::new("/home/trees"));
        assert_eq!(root("/mnt/trees").unwrap().of(main), Path::new("/mnt/trees"));
        assert_eq!(root("~/trees").unwrap().of(main), Path::new("/home/me/trees"));
        assert_eq!(root("../../../../..").unwrap().of(main), Path::new("/"));
        assert!("~other/x".parse::<WorktreeRoot>().is_err());
        assert_eq!(WorktreeRoot::At("~/x".into()).with_home(None), Err(Refusal::NoHome));
    }
}
