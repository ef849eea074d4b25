//! What the repository's configuration says.
//!
//! Two views: the repository's own files alone, read as files, which decide whether the repository can be opened at
//! all; and all levels together, as git would see them from a git directory. That view costs no program where libgit2
//! has the repository open and looks where git looks; else git itself is asked. libgit2 does not know
//! `GIT_CONFIG_GLOBAL` and its like, nor where a git of another prefix looks, and could be told of them only by
//! process-wide state that is unsafe to set, or by reading all the variables that lead to another repository too. Nor does it follow every include
//! that git follows, nor know what `~name` means: where the files that it read hold one of those, git is asked as well.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{Config, ConfigLevel, ErrorCode};

use super::printed::SettingList;
use super::program::Call;
use super::{GitError, pipes};

/// The conditions of includes that libgit2 knows and git judges in another way where they begin with `~/` or `./`.
const BY_FOLDER: [&str; 2] = ["gitdir:", "gitdir/i:"];
const BY_BRANCH: &str = "onbranch:";
const ATTRIBUTES_FILE: &str = "core.attributesfile";
const HOOKS_PATH: &str = "core.hookspath";

/// Settings as git sees them.
pub(super) enum Settings {
    /// Read by libgit2.
    Read(Config),
    /// As git listed them: the key, in lower case but for the middle part, and the value; a later one counts. And those
    /// that are paths, as git understands them.
    Listed(Vec<(String, String)>, Vec<(&'static str, PathBuf)>),
}

/// What settings say of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// Nothing.
    Unsaid,
    On,
    Off,
    /// Something that git takes for no switch.
    Unclear,
}

impl Settings {
    /// The files of one repository only: `config`, and `config.worktree` of the git directory where that counts.
    pub(super) fn own(common: &Path, git_dir: &Path) -> Result<Self, GitError> {
        let mut config = Config::new().map_err(|e| failed(common, e))?;
        add(&mut config, &common.join("config"), ConfigLevel::Local)?;
        if config.get_bool("extensions.worktreeConfig").unwrap_or(false) {
            add(&mut config, &git_dir.join("config.worktree"), ConfigLevel::Worktree)?;
        }
        Ok(Self::Read(config))
    }

    /// The same of a repository that is open, without reading it again; `None` where a worktree's own file counts too.
    pub(super) fn local(repo: &git2::Repository) -> Result<Option<Self>, GitError> {
        let failed = |e| failed(repo.path(), e);
        let config = repo.config().map_err(failed)?;
        let local = match config.open_level(ConfigLevel::Local) {
            Ok(local) => local,
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let read = Self::Read(local);
        Ok((!read.flag("extensions.worktreeConfig")).then_some(read))
    }

    /// Whether git may find more in the files that libgit2 read than libgit2 has: includes under conditions that it does
    /// not know or judges in another way, and paths that it cannot make out. `home` is the user's folder.
    pub(super) fn may_hide(&self, home: Option<&Path>) -> Result<bool, GitError> {
        let mut includes = self.matching("include.path")?;
        includes.extend(self.matching("includeif.*")?);
        includes.retain(|(key, _)| key.starts_with("include"));
        // git looks where the folder really is.
        let home_is_real = || home.is_some_and(|home| home.canonicalize().is_ok_and(|real| real == home));
        for (key, value) in includes {
            let condition = key.strip_prefix("includeif.").unwrap_or_default();
            let folder = BY_FOLDER.iter().find_map(|known| condition.strip_prefix(known));
            let is_known = match folder {
                Some(folder) => !folder.starts_with("./") && (!folder.starts_with("~/") || home_is_real()),
                None => condition.is_empty() || condition.starts_with(BY_BRANCH),
            };
            if !is_known || is_gits_to_expand(&value) {
                return Ok(true);
            }
        }
        let paths = [ATTRIBUTES_FILE, HOOKS_PATH];
        Ok(paths.iter().any(|key| self.text(key).is_some_and(|path| is_gits_to_expand(&path))))
    }

    /// What an open repository goes by, conditional includes included.
    pub(super) fn of(repo: &git2::Repository) -> Result<Self, GitError> {
        // What has changed since it was opened is read again.
        pipes::refuse_settings(repo.path(), repo.commondir())?;
        let config =
            repo.config().and_then(|mut config| config.snapshot()).map_err(|e| failed(repo.path(), e))?;
        Ok(Self::Read(config))
    }

    /// What git lists, asked by calls of its own, whose own settings do not count.
    pub(super) fn listed<'a>(call: impl Fn() -> Call<'a>) -> Result<Self, GitError> {
        let mut settings: Vec<(String, String)> = Vec::new();
        let mut paths = Vec::new();
        let mut list = SettingList::default();
        call().args(["config", "--list", "--show-scope", "-z"]).for_each_record(&mut |record| {
            let setting = list.take(record).filter(|setting| setting.scope != b"command");
            settings.extend(setting.map(|setting| (setting.key, setting.value)));
        })?;
        // Of paths, git alone knows what `~` stands for.
        for key in [ATTRIBUTES_FILE, HOOKS_PATH] {
            let Some((_, value)) = settings.iter().rev().find(|(other, _)| other == key).cloned() else {
                continue;
            };
            let call = call().setting("ralph.path", value);
            call.args(["config", "--type=path", "-z", "--get", "ralph.path"])
                .for_each_record(&mut |record| paths.push((key, PathBuf::from(OsStr::from_bytes(record)))))?;
        }
        Ok(Self::Listed(settings, paths))
    }

    /// A switch; one that is missing, or cannot be read as a switch, is off.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.switch(key) == Switch::On
    }

    /// What is said of a switch. A key without a value is on, as [`Self::text`] would not tell.
    pub(super) fn switch(&self, key: &str) -> Switch {
        let said = match self {
            Self::Read(config) => match config.get_bool(key) {
                Err(e) if e.code() == ErrorCode::NotFound => return Switch::Unsaid,
                said => said,
            },
            Self::Listed(..) => match self.text(key) {
                None => return Switch::Unsaid,
                Some(text) => Config::parse_bool(text),
            },
        };
        match said {
            Ok(true) => Switch::On,
            Ok(false) => Switch::Off,
            Err(_) => Switch::Unclear,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self {
            Self::Read(config) => config.get_string(key).ok(),
            Self::Listed(settings, _) => {
                let named = |other: &str| other == key || is_simple(key) && other.eq_ignore_ascii_case(key);
                settings.iter().rev().find(|(other, _)| named(other)).map(|(_, value)| value.clone())
            }
        }
    }

    /// The user's file of attributes, where one is named.
    pub(super) fn attributes_file(&self) -> Option<PathBuf> {
        self.path(ATTRIBUTES_FILE)
    }

    /// The folder of the user's hooks, where one is named.
    pub(super) fn hooks_path(&self) -> Option<PathBuf> {
        self.path(HOOKS_PATH)
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        match self {
            Self::Read(config) => config.get_path(key).ok(),
            Self::Listed(_, paths) => {
                paths.iter().find(|(other, _)| *other == key).map(|(_, path)| path.clone())
            }
        }
    }

    /// All keys that match `glob`, in which one `*` stands for anything, in lower case but for the middle part, with
    /// their values; a later value of the same key comes later.
    pub(super) fn matching(&self, glob: &str) -> Result<Vec<(String, String)>, GitError> {
        let config = match self {
            Self::Read(config) => config,
            Self::Listed(settings, _) => {
                let (start, end) = glob.split_once('*').unwrap_or((glob, ""));
                let matches = |key: &str| key.strip_prefix(start).is_some_and(|rest| rest.ends_with(end));
                return Ok(settings.iter().filter(|(key, _)| matches(key)).cloned().collect());
            }
        };
        let mut found = Vec::new();
        let entries = config
            .entries((glob != "*").then_some(glob))
            .map_err(|e| GitError::libgit2("read the settings", glob, e))?;
        entries
            .for_each(|entry| {
                let key = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                // A key without `=` is a switch that is on.
                let value = if entry.has_value() {
                    String::from_utf8_lossy(entry.value_bytes()).into_owned()
                } else {
                    "true".to_owned()
                };
                found.push((key, value));
            })
            .map_err(|e| GitError::libgit2("read the settings", glob, e))?;
        Ok(found)
    }
}

/// Whether git alone knows what a path means: `~name`, or what it was built with.
fn is_gits_to_expand(path: &str) -> bool {
    let of_a_user = path.strip_prefix('~').is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    of_a_user || path.starts_with("%(") || path.starts_with(":(")
}

/// Whether a key has no middle part, whose case would count.
fn is_simple(key: &str) -> bool {
    key.matches('.').count() == 1
}

fn add(config: &mut Config, file: &Path, level: ConfigLevel) -> Result<(), GitError> {
    match config.add_file(file, level, true) {
        Err(e) if e.code() != ErrorCode::NotFound => Err(failed(file, e)),
        _ => Ok(()),
    }
}

fn failed(file: &Path, error: git2::Error) -> GitError {
    GitError::libgit2("read the configuration", file.display(), error)
}
