//! Running the `git` program.
//!
//! Every call is bound to the repository it is about by explicit paths, never by the environment: all variables that
//! bind git to a repository are removed. Hooks, the file system monitor, background maintenance and prompts are off.
//! What git says is bounded, and so is the time of a call that only reads, because a repository's own settings may
//! make git wait for ever. A call that only reads never fetches and writes no index.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use super::listen::{Deaf, listen};
use super::printed::Records;
use super::system::{ConfigFiles, SystemFiles};
use super::{GitError, pipes};
use crate::durable::HeldLock;
use crate::failpoint;
use crate::process::uninterrupted::uninterrupted;

/// The variables that bind a git process to another repository: `git rev-parse --local-env-vars`, of all versions.
pub const LOCAL_ENV_VARS: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

/// More variables that would change what a call of ours means or prints.
const DISTURBING_ENV_VARS: [&str; 12] = [
    "GIT_NAMESPACE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DEFAULT_HASH",
    "GIT_ATTR_SOURCE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_TRACE",
    "GIT_TRACE2",
];

const READ_PATIENCE: Duration = Duration::from_secs(300);
/// As much as is taken of what a call says.
pub(super) const STDOUT_LIMIT: usize = 64 << 20;

/// The variables that name git's configuration files in place of the usual ones. libgit2 does not know them.
const CONFIG_FILE_VARS: [&str; 3] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];

/// The variables that say where the user's and the machine's attributes are.
pub(super) const ATTRIBUTE_VARS: [&str; 3] = ["HOME", "XDG_CONFIG_HOME", "GIT_ATTR_NOSYSTEM"];

/// The variables that say who commits, and when, before any setting does.
const IDENT_VARS: [&str; 6] = [
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
];

/// Who says who commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ident {
    /// The settings alone.
    #[default]
    Settings,
    /// The environment, which git alone follows.
    Environment,
}

/// The `git` program to run, and what its environment holds beyond the inherited one.
#[derive(Debug, Clone)]
pub struct GitProgram {
    path: PathBuf,
    env: Vec<(OsString, OsString)>,
    /// Of the environment that is inherited, what is known of [`ATTRIBUTE_VARS`].
    inherited: Vec<(OsString, OsString)>,
    config_files: ConfigFiles,
    system: SystemFiles,
    ident: Ident,
}

impl GitProgram {
    /// The program at `path`; a plain name is looked for on PATH.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            env: Vec::new(),
            inherited: Vec::new(),
            config_files: ConfigFiles::default(),
            system: SystemFiles::default(),
            ident: Ident::default(),
        }
    }

    /// The `git` on PATH in an environment with these variables.
    pub fn in_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let is_set = |name: &str| variable(name).is_some();
        let inherited =
            ATTRIBUTE_VARS.into_iter().filter_map(|name| Some((name.into(), variable(name)?))).collect();
        let git = Self::default();
        let system = SystemFiles::of(&git.path, variable("PATH").as_deref(), || git.system_attributes());
        let named = CONFIG_FILE_VARS.into_iter().any(is_set);
        let config_files = if named { ConfigFiles::Elsewhere } else { system.config };
        let ident = if IDENT_VARS.into_iter().any(is_set) { Ident::Environment } else { Ident::Settings };
        Self { inherited, config_files, system, ident, ..git }
    }

    /// Where it looks for the machine's attributes, if it says so. Neither a repository nor the user has a word in it.
    fn system_attributes(&self) -> Option<PathBuf> {
        let mut git = self.clone();
        for (name, value) in
            [("GIT_DIR", "/dev/null"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_ATTR_NOSYSTEM", "0")]
        {
            git = git.with_env(name, value);
        }
        let mut answer =
            Call::read(&git, Place::From(Path::new("/"))).args(["var", "GIT_ATTR_SYSTEM"]).succeed().ok()?;
        answer.pop_if(|last| *last == b'\n');
        Some(PathBuf::from(OsString::from_vec(answer)))
    }

    pub(super) fn system(&self) -> &SystemFiles {
        &self.system
    }

    pub(super) fn config_files(&self) -> ConfigFiles {
        self.config_files
    }

    /// The same program, which alone knows what the settings are.
    pub(super) fn with_config_files(self, config_files: ConfigFiles) -> Self {
        Self { config_files, ..self }
    }

    pub(super) fn ident(&self) -> Ident {
        self.ident
    }

    /// The same program with one more variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        if IDENT_VARS.iter().any(|ident| name == *ident) {
            self.ident = Ident::Environment;
        }
        self.env.push((name, value.into()));
        self
    }

    /// One of [`ATTRIBUTE_VARS`], where it is known to be set.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let of = |all: &'_ [(OsString, OsString)]| all.iter().rposition(|(other, _)| other == name);
        let own = of(&self.env).map(|at| &self.env[at].1);
        own.or_else(|| of(&self.inherited).map(|at| &self.inherited[at].1)).map(OsString::as_os_str)
    }

    /// What `git --version` says, such as `2.47.3`.
    pub fn version(&self) -> Result<String, GitError> {
        let answer = Call::read(self, Place::Nowhere).arg("version").succeed()?;
        let text = String::from_utf8_lossy(&answer);
        Ok(text.trim().trim_start_matches("git version ").to_owned())
    }
}

impl Default for GitProgram {
    fn default() -> Self {
        Self::new("git")
    }
}

/// The repository that a call is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// None at all.
    Nowhere,
    /// The one that git itself finds from this folder.
    From(&'a Path),
    /// This git directory, without a working tree.
    GitDir(&'a Path),
    /// A worktree: its administrative directory and its top folder.
    Tree { admin: &'a Path, top: &'a Path },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Whether Ctrl-C, which reaches all that runs at a terminal, ends git too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndedBy {
    Terminal,
    Itself,
}

/// How many files git writes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtATime {
    /// One, where a file may be kept in another encoding than it is checked out in: as soon as git has more than one
    /// worker it forgets which one, and writes the file as it is kept.
    One,
    /// As many as there are cores.
    Several,
}

const WORKERS: &str = "checkout.workers";

/// One call of the program, being put together.
#[derive(Debug)]
pub(super) struct Call<'a> {
    program: &'a GitProgram,
    place: Place<'a>,
    access: Access,
    settings: Vec<(OsString, OsString)>,
    args: Vec<OsString>,
    input: Vec<u8>,
    held: Option<&'a HeldLock>,
    index: Option<&'a Path>,
    ended_by: EndedBy,
    /// How long it may take; without end where it writes.
    patience: Option<Duration>,
}

/// What a call came to.
#[derive(Debug)]
pub(super) struct Answer {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    command: String,
}

impl Answer {
    /// Standard output of a call that succeeded.
    pub(super) fn into_stdout(self) -> Result<Vec<u8>, GitError> {
        if self.status.success() { Ok(self.stdout) } else { Err(self.failure()) }
    }

    /// Standard output of a call that ended with one of these exit statuses.
    pub(super) fn into_stdout_of(self, codes: &[i32]) -> Result<Vec<u8>, GitError> {
        if self.code().is_some_and(|code| codes.contains(&code)) {
            Ok(self.stdout)
        } else {
            Err(self.failure())
        }
    }

    /// A folder that git could not open is passed over: it only says so, and ends well.
    fn refuse_blind_spots(self) -> Result<(), GitError> {
        match String::from_utf8_lossy(&self.stderr).contains("could not open directory") {
            true => Err(GitError::program_saw_not_all(&self.command, &self.stderr)),
            false => self.into_stdout().map(drop),
        }
    }

    pub(super) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(super) fn failure(&self) -> GitError {
        GitError::program_failed(&self.command, self.status, &self.stderr)
    }
}

impl<'a> Call<'a> {
    /// A call that changes nothing: no index refresh, no fetch, bounded in time.
    pub(super) fn read(program: &'a GitProgram, place: Place<'a>) -> Self {
        Self::new(program, place, Access::Read)
    }

    /// A call that changes the repository or a worktree.
    pub(super) fn write(program: &'a GitProgram, place: Place<'a>) -> Self {
        Self::new(program, place, Access::Write)
    }

    fn new(program: &'a GitProgram, place: Place<'a>, access: Access) -> Self {
        let settings = [
            ("core.fsmonitor", "false"),
            ("core.hooksPath", "/dev/null"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ];
        let mut settings = settings.map(|(k, v)| (k.into(), v.into())).to_vec();
        if access == Access::Write {
            // Of many files git writes several at a time, by as many processes as there are cores.
            settings.push((WORKERS.into(), "0".into()));
        }
        let patience = (access == Access::Read).then_some(READ_PATIENCE);
        Self {
            program,
            place,
            access,
            settings,
            args: Vec::new(),
            input: Vec::new(),
            held: None,
            index: None,
            ended_by: EndedBy::Terminal,
            patience,
        }
    }

    /// The same call, which may take so long.
    pub(super) fn within(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a configuration value for this call only.
    pub(super) fn setting(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Has git put what it writes on the disk before anything leads to it, or moves.
    pub(super) fn synced(self) -> Self {
        self.setting("core.fsync", "objects,reference").setting("core.fsyncMethod", "fsync")
    }

    /// Lets git write so many files at a time; several, where nothing is said.
    pub(super) fn writing(self, at_a_time: AtATime) -> Self {
        match at_a_time {
            AtATime::One => self.setting(WORKERS, "1"),
            AtATime::Several => self,
        }
    }

    /// Gives the call this standard input.
    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Lets git hold a lock too, until it has ended: what it writes is not meddled with, even where ralph is killed.
    pub(super) fn holding(mut self, lock: &'a HeldLock) -> Self {
        self.held = Some(lock);
        self
    }

    /// Lets git come to its end where Ctrl-C is typed: for what must not stop half-way.
    pub(super) fn uninterrupted(mut self) -> Self {
        self.ended_by = EndedBy::Itself;
        self
    }

    /// Lets git read and write this index in place of the worktree's own.
    pub(super) fn index(mut self, index: Option<&'a Path>) -> Self {
        self.index = index;
        self
    }

    /// Runs the call; its standard output, or an error where it did not succeed.
    pub(super) fn succeed(&self) -> Result<Vec<u8>, GitError> {
        self.run()?.into_stdout()
    }

    /// Runs the call and keeps its standard output, whatever its exit status.
    pub(super) fn run(&self) -> Result<Answer, GitError> {
        let mut stdout = Vec::new();
        let mut answer = self.run_streaming(&mut |bytes| {
            stdout.extend_from_slice(bytes);
            stdout.len() <= STDOUT_LIMIT
        })?;
        answer.stdout = stdout;
        Ok(answer)
    }

    /// Runs the call and hands its standard output over as it comes; `take` answers whether it wants more.
    pub(super) fn run_streaming(&self, take: &mut dyn FnMut(&[u8]) -> bool) -> Result<Answer, GitError> {
        let mut child = self.spawn()?;
        let listened = listen(&mut child, self.patience, take);
        if listened.is_err() {
            // It may have ended meanwhile; either way it is reaped below.
            drop(child.kill());
        }
        let status = child.wait().map_err(|e| self.io_error(e))?;
        if self.access == Access::Write {
            failpoint::hit("program.ended");
        }
        match listened {
            Ok(stderr) => Ok(Answer { status, stdout: Vec::new(), stderr, command: self.to_string() }),
            Err(Deaf::TooMuch) => Err(GitError::ProgramSaidTooMuch { command: self.to_string() }),
            Err(Deaf::TooSlow(after)) => Err(GitError::ProgramTooSlow { command: self.to_string(), after }),
            Err(Deaf::Io(source)) => Err(self.io_error(source)),
        }
    }

    /// Runs the call and hands over each record of its standard output, which ends with a NUL byte. It must succeed.
    pub(super) fn for_each_record(&self, take: &mut dyn FnMut(&[u8])) -> Result<(), GitError> {
        self.run_for_records(take)?.into_stdout().map(drop)
    }

    /// The same for a call that looks through a whole tree: it must have seen all of it.
    pub(super) fn for_each_record_of_all(&self, take: &mut dyn FnMut(&[u8])) -> Result<(), GitError> {
        self.run_for_records(take)?.refuse_blind_spots()
    }

    fn run_for_records(&self, take: &mut dyn FnMut(&[u8])) -> Result<Answer, GitError> {
        let mut records = Records::default();
        self.run_streaming(&mut |bytes| records.push(bytes, take))
    }

    /// The call answered something that it never answers.
    pub(super) fn unclear(&self) -> GitError {
        GitError::ProgramUnclear { command: self.to_string() }
    }

    fn spawn(&self) -> Result<Child, GitError> {
        if let Place::Tree { admin, .. } = self.place {
            pipes::refuse_worktree(admin)?;
        }
        let mut command = self.command();
        let input = self.standard_input().map_err(|e| self.io_error(e))?;
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = match self.ended_by {
            EndedBy::Terminal => command.spawn(),
            EndedBy::Itself => uninterrupted(|| command.spawn()),
        };
        let child = child.map_err(|e| self.io_error(e))?;
        if self.access == Access::Write {
            failpoint::hit("program.spawned");
        }
        Ok(child)
    }

    /// In memory and whole before git starts, so that no one has to write while git answers.
    fn standard_input(&self) -> io::Result<Stdio> {
        if let Some(lock) = self.held {
            // Empty, and never written to.
            return lock.file().try_clone().map(Stdio::from);
        }
        if self.input.is_empty() {
            return Ok(Stdio::null());
        }
        let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
        file.write_all(&self.input)?;
        file.rewind()?;
        Ok(Stdio::from(file))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program.path);
        for name in LOCAL_ENV_VARS.iter().chain(&DISTURBING_ENV_VARS) {
            command.env_remove(name);
        }
        command.envs(self.program.env.iter().map(|(name, value)| (name, value)));
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_PAGER", "cat");
        if self.access == Access::Read {
            command
                .env("GIT_OPTIONAL_LOCKS", "0")
                .env("GIT_NO_LAZY_FETCH", "1")
                .env("GIT_ALLOW_PROTOCOL", "none");
        }
        command.env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (i, (key, value)) in self.settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{i}"), key).env(format!("GIT_CONFIG_VALUE_{i}"), value);
        }
        match self.place {
            Place::Nowhere => {}
            Place::From(folder) => {
                command.arg("-C").arg(folder);
            }
            Place::GitDir(dir) => {
                // The folder that the command was given in may be gone.
                command.arg("-C").arg(dir).arg("--git-dir").arg(dir);
            }
            Place::Tree { admin, top } => {
                command.arg("-C").arg(top).arg("--git-dir").arg(admin).arg("--work-tree").arg(top);
            }
        }
        if let Some(index) = self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        command.args(&self.args);
        command
    }

    fn io_error(&self, source: io::Error) -> GitError {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                GitError::ProgramMissing { program: self.program.path.clone(), source }
            }
            _ => GitError::ProgramIo { command: self.to_string(), source },
        }
    }
}

impl std::fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("git")?;
        for arg in self.args.iter().take(8) {
            write!(f, " {}", arg.to_string_lossy().escape_debug())?;
        }
        Ok(())
    }
}
