//! Where a command was given: environment, folder, repository, settings. What needs no repository takes the environment
//! from [`variables`]; no other room reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::Global;
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
use crate::agent::pi;
use crate::config::{self, Layer, Places, Resolution, Settings};
use crate::dispatch::{Context, Environment};
use crate::git::{GitError, GitProgram, Repo};
use crate::merge;
use crate::process::identity::Machine;
use crate::recover;
use crate::removal;
use crate::session::launch::SESSION_VARIABLE;
use crate::session::store::Store;
use crate::ticket::{Backlog, TicketFolder};

/// A command's place: a repository, its store, and the environment.
pub struct Surroundings {
    /// What a dispatch needs.
    pub context: Context,
    variables: BTreeMap<String, String>,
}

/// The environment, as far as it is text.
pub fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The folder for temporary files. An empty TMPDIR names none.
pub fn temporary_folder() -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => PathBuf::from("/tmp"),
    }
}

/// The repository that holds a folder, as git would see it in this environment.
pub fn open(folder: &Path) -> Result<Repo, GitError> {
    Repo::open_with(folder, git_program())
}

/// The `git` program, as this environment configures it.
pub fn git_program() -> GitProgram {
    GitProgram::in_environment(|name| std::env::var_os(name))
}

/// The settings where there is no repository.
pub fn resolve_outside(variables: &BTreeMap<String, String>) -> CliResult<Resolution> {
    let places = Places::from_variables(variables);
    let (ticketflow, flags) = (Layer::default(), Layer::default());
    let sources = config::Sources { places: &places, repository: None, variables, ticketflow, flags };
    config::load(sources).map_err(|error| CliError::new(Exit::Usage, error.to_string()))
}

/// The folder a command is about: `--repo`, else where one stands.
pub fn directory(global: &Global) -> CliResult<PathBuf> {
    if let Some(repo) = global.repo.as_ref().filter(|repo| repo.is_absolute()) {
        // Whoever stands in a folder that has gone can still name another.
        return Ok(repo.clone());
    }
    let here = std::env::current_dir().map_err(|e| {
        CliError::new(Exit::NotFound, format!("the folder you stand in cannot be read: {e}"))
            .hint("go to a folder that is there, or name the repository: `--repo` with its full path")
    })?;
    let Some(repo) = &global.repo else { return Ok(here) };
    let named = here.join(repo);
    if named.is_dir() {
        return Ok(named);
    }
    Err(CliError::new(Exit::NotFound, format!("there is no folder {}", named.display())))
}

/// This machine.
pub fn machine() -> CliResult<Machine> {
    Machine::this().map_err(|e| {
        CliError::new(Exit::CannotDo, format!("could not read this machine's identity from /proc: {e}"))
    })
}

impl Surroundings {
    /// Reads them.
    pub fn read(global: &Global) -> CliResult<Self> {
        let directory = directory(global)?;
        let variables = variables();
        let home = variables.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let pi_dir = pi::agent_dir(std::env::var_os("PI_CODING_AGENT_DIR").as_deref(), home.as_deref());
        let search_path = std::env::var_os("PATH");
        let environment = Environment { search_path, directory, home, pi_dir, git: git_program() };
        Ok(Self { context: Context::open(environment, machine()?)?, variables })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.context.store
    }

    /// The main checkout; of a bare repository, the repository itself.
    pub fn main(&self) -> &Path {
        self.context.repo.main_checkout().unwrap_or(self.context.repo.common_dir())
    }

    /// The settings, with these flags over everything else.
    pub fn resolve(&self, flags: Layer) -> CliResult<Resolution> {
        self.resolve_over(Layer::default(), flags)
    }

    fn resolve_over(&self, ticketflow: Layer, flags: Layer) -> CliResult<Resolution> {
        let places = Places::from_variables(&self.variables);
        let repository = config::Repository { main: self.main(), common_dir: self.context.repo.common_dir() };
        let sources = config::Sources {
            places: &places,
            repository: Some(repository),
            variables: &self.variables,
            ticketflow,
            flags,
        };
        config::load(sources).map_err(|error| CliError::new(Exit::Usage, error.to_string()))
    }

    /// The settings, and their notices told.
    pub fn settings(&self, flags: Layer, out: &Out) -> CliResult<Settings> {
        self.settings_over(Layer::default(), flags, out)
    }

    /// The same, with what a pi-ticketflow project says under everything else.
    pub fn settings_over(&self, ticketflow: Layer, flags: Layer, out: &Out) -> CliResult<Settings> {
        let resolution = self.resolve_over(ticketflow, flags)?;
        for notice in &resolution.notices {
            out.note(&notice.to_string());
        }
        Ok(resolution.settings)
    }

    /// Where sessions are settled.
    pub fn recovery(&self) -> recover::Place<'_> {
        recover::Place {
            store: self.store(),
            machine: &self.context.machine,
            git: &self.context.environment.git,
        }
    }

    /// The folder for new worktrees, by the settings.
    pub fn worktree_root(&self, out: &Out) -> CliResult<PathBuf> {
        Ok(self.settings(Layer::default(), out)?.worktree_root.of(self.main()))
    }

    /// Where merges happen.
    pub fn merge_place<'a>(&'a self, root: &'a Path) -> merge::Place<'a> {
        let Context { repo, store, machine, .. } = &self.context;
        merge::Place { repo, store, machine, root }
    }

    /// Where removals happen.
    pub fn removal_place<'a>(&'a self, root: &'a Path) -> removal::Place<'a> {
        removal::Place { repo: &self.context.repo, store: &self.context.store, root, now: Timestamp::now() }
    }

    /// Refuses to begin a session from inside one.
    pub fn refuse_inside_a_session(&self) -> CliResult<()> {
        refuse_inside_a_session(&self.variables, NotInside::Dispatch)
    }

    /// What TERM says.
    pub fn terminal(&self) -> Option<&str> {
        self.variables.get("TERM").map(String::as_str)
    }

    /// All tickets of the main checkout, where it has a folder of them. What is wrong with single ones is told.
    pub fn backlog(&self, out: &Out) -> CliResult<Option<Backlog>> {
        let Some(main) = self.context.repo.main_checkout() else { return Ok(None) };
        let folder = TicketFolder::open(main).map_err(|e| CliError::new(Exit::CannotDo, e.to_string()))?;
        Ok(folder.map(|folder| {
            let (backlog, problems) = folder.backlog();
            problems.iter().chain(&backlog.problems()).for_each(|problem| out.note(&problem.to_string()));
            backlog
        }))
    }
}

/// What an agent does not do for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotInside {
    /// Begin a session.
    Dispatch,
    /// Approve settings of the repository, which it may have written itself.
    Approve,
}

/// Refuses something where these variables say that a session is running.
pub fn refuse_inside_a_session(variables: &BTreeMap<String, String>, what: NotInside) -> CliResult<()> {
    let Some(session) = variables.get(SESSION_VARIABLE) else { return Ok(()) };
    let (why, hint) = match what {
        NotInside::Dispatch => ("a session does not dispatch another", "dispatch from a shell of your own"),
        NotInside::Approve => {
            ("a session does not approve the repository's settings", "approve from a shell of your own")
        }
    };
    Err(CliError::new(Exit::Refused, format!("this is session {session} itself: {why}")).hint(hint))
}
