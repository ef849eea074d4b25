//! The repository where one stands: found, judged, opened, locked.
//!
//! Found by path alone: variables such as `GIT_DIR` are not looked at, so that ralph means the same repository in a
//! git hook as in a shell. A repository that belongs to another user is refused, as git refuses it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::ErrorCode;

use super::checkout::CheckoutProgress;
use super::config::Settings;
use super::program::{Call, GitProgram, Place};
use super::registry::read_pointer;
use super::system::ConfigFiles;
use super::why::WhyGitProgram;
use super::{GitError, Unsupported, pipes, reflock};
use crate::durable::{self, HeldLock};

/// The extensions that libgit2 opens a repository with (git2 0.21, libgit2 1.9).
const KNOWN_TO_LIBGIT2: [&str; 4] = ["noop", "objectformat", "worktreeconfig", "preciousobjects"];

/// An open repository, seen from one place in it.
pub struct Repo {
    backend: Backend,
    program: GitProgram,
    common: PathBuf,
    git_dir: PathBuf,
    bare: bool,
    main: Option<PathBuf>,
    current: Option<PathBuf>,
    progress: CheckoutProgress,
}

/// What reads and writes references.
pub(super) enum Backend {
    Libgit2(git2::Repository),
    /// libgit2 would not open this repository.
    Program(WhyGitProgram),
}

/// The lock under which the registry of worktrees and the references are written. Held briefly.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct RepoLock {
    _held: HeldLock,
}

impl Repo {
    /// Opens the repository that holds the folder `from`, with the `git` on PATH beside it.
    pub fn open(from: &Path) -> Result<Self, GitError> {
        Self::open_with(from, GitProgram::default())
    }

    /// Opens the repository that holds the folder `from`.
    pub fn open_with(from: &Path, program: GitProgram) -> Result<Self, GitError> {
        let from = from.canonicalize().map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => GitError::NotARepository { path: from.to_owned() },
            _ => GitError::io("look at", from, e),
        })?;
        let git_dir = discover(&from)?;
        let common = common_of(&git_dir)?;
        let current = current_tree(&from, &git_dir);
        pipes::refuse_in(&git_dir, &common)?;
        let opened = open_unseen(&git_dir);
        let own = match opened.as_ref().ok().map(Settings::local).transpose()?.flatten() {
            Some(read) => read,
            None => Settings::own(&common, &common)?,
        };
        let program = match &opened {
            Ok(repo) if program.config_files() == ConfigFiles::Usual => {
                let home = program.variable("HOME").map(Path::new);
                let hides = Settings::of(repo)?.may_hide(home)?;
                let config_files = if hides { ConfigFiles::Elsewhere } else { ConfigFiles::Usual };
                program.with_config_files(config_files)
            }
            _ => program,
        };
        let bare = own.flag("core.bare");
        let main = if bare { None } else { main_tree(&own, &common, &git_dir, current.as_deref()) };
        for path in [Some(&common), current.as_ref(), main.as_ref()].into_iter().flatten() {
            if path.to_str().is_none() {
                return Err(GitError::NotUtf8 { path: path.clone() });
            }
        }
        let backend = open_backend(&own, opened, &from, &common, &program)?;
        let progress = CheckoutProgress::default();
        Ok(Self { backend, program, common, git_dir, bare, main, current, progress })
    }

    /// The directory that all worktrees of the repository share; `.git` of an ordinary one.
    pub fn common_dir(&self) -> &Path {
        &self.common
    }

    /// The main checkout; none for a bare repository.
    pub fn main_checkout(&self) -> Option<&Path> {
        self.main.as_deref()
    }

    /// Whether the repository has no main checkout at all.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// The top of the worktree one stands in; none in a bare repository, or inside a git directory.
    pub fn current_worktree(&self) -> Option<&Path> {
        self.current.as_deref()
    }

    /// The `git` program that stands beside libgit2.
    pub fn program(&self) -> &GitProgram {
        &self.program
    }

    /// How far the files of a worktree are written that is being made through this.
    pub fn progress(&self) -> &CheckoutProgress {
        &self.progress
    }

    /// The same, to be seen in these counts from now on.
    pub fn report_to(&mut self, progress: CheckoutProgress) {
        self.progress = progress;
    }

    /// The directory where ralph keeps what must survive the worktrees.
    pub fn store_dir(&self) -> PathBuf {
        self.common.join("ralph")
    }

    /// Takes the repository's lock, waiting for it as long as `patience`.
    pub fn lock(&self, patience: Duration) -> Result<RepoLock, GitError> {
        let store = self.store_dir();
        durable::create_private_dir(&store)?;
        let path = store.join("repo.lock");
        match HeldLock::take_within(&path, patience)? {
            Some(held) => {
                // Best effort: what cannot be taken away is told by who finds it in the way.
                drop(reflock::settle(&store, &self.common));
                Ok(RepoLock { _held: held })
            }
            None => Err(GitError::LockBusy { path, waited: patience }),
        }
    }

    /// Takes away what a process left that was killed while it wrote a reference. Waits for the repository's lock, at most
    /// as long as `patience`, where there may be something.
    pub fn settle_references(&self, patience: Duration) -> Result<(), GitError> {
        if reflock::is_noted(&self.store_dir()) {
            drop(self.lock(patience)?);
        }
        Ok(())
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The git directory of the worktree one stands in.
    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// All settings that count here, the user's and the system's included.
    pub(super) fn settings(&self) -> Result<Settings, GitError> {
        match &self.backend {
            Backend::Libgit2(repo) if self.program.config_files() == ConfigFiles::Usual => Settings::of(repo),
            Backend::Libgit2(_) | Backend::Program(_) => Settings::listed(|| self.read()),
        }
    }

    /// The same as they are in the worktree with this registration and folder: some may depend on them, or on its branch.
    pub(super) fn settings_in(&self, admin: &Path, top: &Path) -> Result<Settings, GitError> {
        match &self.backend {
            Backend::Libgit2(_) if self.program.config_files() == ConfigFiles::Usual => {
                Settings::of(&open_libgit2(admin)?)
            }
            Backend::Libgit2(_) | Backend::Program(_) => {
                Settings::listed(|| Call::read(&self.program, Place::Tree { admin, top }))
            }
        }
    }
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo")
            .field("common", &self.common)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

fn discover(from: &Path) -> Result<PathBuf, GitError> {
    let found = git2::Repository::discover_path(from, std::iter::empty::<&OsStr>());
    let path = found.map_err(|e| match e.code() {
        ErrorCode::NotFound => GitError::NotARepository { path: from.to_owned() },
        _ => GitError::libgit2("find the repository of", from.display(), e),
    })?;
    path.canonicalize().map_err(|e| GitError::io("look at", &path, e))
}

/// The common directory of a git directory.
fn common_of(git_dir: &Path) -> Result<PathBuf, GitError> {
    let Some(pointer) = read_pointer(&git_dir.join("commondir"))? else { return Ok(git_dir.to_owned()) };
    let common = git_dir.join(pointer);
    common.canonicalize().map_err(|e| GitError::io("look at", &common, e))
}

/// The top of the worktree that holds `from` and whose git directory is `git_dir`.
fn current_tree(from: &Path, git_dir: &Path) -> Option<PathBuf> {
    from.ancestors()
        .take_while(|folder| *folder != git_dir)
        .find(|folder| leads_to(&folder.join(".git"), git_dir))
        .map(Path::to_owned)
}

/// Whether `link`, a `.git` folder or file, leads to the git directory `git_dir`.
pub(super) fn leads_to(link: &Path, git_dir: &Path) -> bool {
    if link.is_dir() {
        return link.canonicalize().is_ok_and(|dir| dir == git_dir);
    }
    let Ok(Some(text)) = read_pointer(link) else { return false };
    let Some(target) = text.to_str().and_then(|t| t.strip_prefix("gitdir:")) else { return false };
    let folder = link.parent().unwrap_or(Path::new("/"));
    folder.join(target.trim_start()).canonicalize().is_ok_and(|dir| dir == git_dir)
}

fn main_tree(own: &Settings, common: &Path, git_dir: &Path, current: Option<&Path>) -> Option<PathBuf> {
    if git_dir == common && current.is_some() {
        return current.map(Path::to_owned);
    }
    if let Some(elsewhere) = own.text("core.worktree") {
        return common.join(elsewhere).canonicalize().ok();
    }
    (common.file_name() == Some(OsStr::new(".git"))).then(|| common.parent().map(Path::to_owned)).flatten()
}

fn open_backend(
    own: &Settings,
    opened: Result<git2::Repository, GitError>,
    from: &Path,
    common: &Path,
    program: &GitProgram,
) -> Result<Backend, GitError> {
    let unsupported = |what| Err(GitError::Unsupported { path: common.to_owned(), what });
    let mut unknown = None;
    let mut relative = false;
    for (key, value) in own.matching("extensions.*")? {
        let value = value.to_ascii_lowercase();
        match key.strip_prefix("extensions.").unwrap_or(&key) {
            "objectformat" if value != "sha1" => return unsupported(Unsupported::Sha256),
            "refstorage" if value == "reftable" => return unsupported(Unsupported::Reftable),
            "partialclone" => unknown = Some(WhyGitProgram::PartialClone),
            "relativeworktrees" => relative = true,
            name if KNOWN_TO_LIBGIT2.contains(&name) => {}
            name => {
                unknown.get_or_insert(WhyGitProgram::Extension(name.to_owned()));
            }
        }
    }
    // git knows it from 2.48 on only, and every agent calls git.
    if relative && unknown.is_none() {
        ask_program(from, program)?;
    }
    match unknown {
        None => match opened {
            // git may find in other files that the user trusts this repository.
            Err(GitError::ForeignOwner { .. }) if program.config_files() == ConfigFiles::Elsewhere => {
                ask_program(from, program)?;
                Ok(Backend::Program(WhyGitProgram::OtherSettings))
            }
            Ok(repo) => {
                // It may have found that in files which git does not read.
                if program.config_files() == ConfigFiles::Elsewhere && is_foreign(common) {
                    ask_program(from, program)?;
                }
                Ok(Backend::Libgit2(repo))
            }
            Err(error) => Err(error),
        },
        Some(why) => {
            ask_program(from, program)?;
            Ok(Backend::Program(why))
        }
    }
}

/// Whether it belongs to another user.
fn is_foreign(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|meta| meta.uid() != rustix::process::geteuid().as_raw())
}

/// Opens with libgit2, whose judgement about the owner is git's where both read the same settings.
pub(super) fn open_libgit2(git_dir: &Path) -> Result<git2::Repository, GitError> {
    pipes::refuse_below(git_dir)?;
    open_unseen(git_dir)
}

fn open_unseen(git_dir: &Path) -> Result<git2::Repository, GitError> {
    git2::Repository::open(git_dir).map_err(|e| match e.code() {
        ErrorCode::Owner => GitError::ForeignOwner { path: owned_thing(git_dir) },
        _ => GitError::libgit2("open the repository", git_dir.display(), e),
    })
}

/// Lets git itself judge the repository: its owner, its extensions.
fn ask_program(from: &Path, program: &GitProgram) -> Result<(), GitError> {
    match Call::read(program, Place::From(from)).args(["rev-parse", "--git-dir"]).succeed() {
        Ok(_) => Ok(()),
        Err(GitError::ProgramFailed { stderr, .. }) if stderr.contains("dubious ownership") => {
            Err(GitError::ForeignOwner { path: from.to_owned() })
        }
        Err(GitError::ProgramFailed { stderr, .. }) if stderr.contains("repository extension") => {
            let said = stderr.trim_start_matches("fatal: ").replace(":; ", ": ");
            Err(GitError::GitCannot { path: from.to_owned(), said })
        }
        Err(e) => Err(e),
    }
}

/// What `safe.directory` has to name for this git directory: its worktree, or itself where it is bare.
fn owned_thing(git_dir: &Path) -> PathBuf {
    if let Ok(Some(link)) = read_pointer(&git_dir.join("gitdir"))
        && let Some(tree) = Path::new(&link).parent()
    {
        return tree.to_owned();
    }
    match git_dir.parent() {
        Some(parent) if git_dir.file_name() == Some(OsStr::new(".git")) => parent.to_owned(),
        _ => git_dir.to_owned(),
    }
}
