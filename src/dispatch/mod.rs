//! One dispatch: a plan that is only data, and carrying it out.
//!
//! `plan` decides from what was observed and changes nothing: a dry run prints it and stops. `prepare` makes the
//! worktree and its session, `run` hands them to a supervisor.

pub mod create;
mod earlier;
pub mod error;
pub mod plan;
pub mod preflight;
pub mod prepare;
pub mod run;
mod ticket_file;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::{Agent, Capture};
use crate::git::{CommitId, GitError, GitProgram, Repo};
use crate::id::{BranchName, RefName, SessionId, TicketId};
use crate::process::identity::Machine;
use crate::session::launch::OutputMode;
use crate::session::manifest::Limits;
use crate::session::store::Store;

/// Where a dispatch happens: the repository, its store, and what is known of the machine.
pub struct Context {
    /// The repository.
    pub repo: Repo,
    /// Its store.
    pub store: Store,
    /// The machine.
    pub machine: Machine,
    /// The parts of the environment that decide what is run; nothing of it is ever written down.
    pub environment: Environment,
}

impl Context {
    /// The context of commands given in the environment's folder.
    pub fn open(environment: Environment, machine: Machine) -> Result<Self, GitError> {
        let repo = Repo::open_with(&environment.directory, environment.git.clone())?;
        let store = Store::at(repo.common_dir());
        Ok(Self { repo, store, machine, environment })
    }
}

/// The parts of the environment that decide what is run.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `PATH`.
    pub search_path: Option<OsString>,
    /// The folder the command was given in.
    pub directory: PathBuf,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// pi's own folder, with its settings and prompts.
    pub pi_dir: Option<PathBuf>,
    /// The `git` program, and whether the environment names its configuration files.
    pub git: GitProgram,
}

/// What is to be dispatched, with every setting resolved.
#[derive(Debug, Clone)]
pub struct Request {
    /// The session that is begun: chosen by who asks, who may have written it down before.
    pub session: SessionId,
    /// The lane.
    pub place: Place,
    /// What is run.
    pub agent: AgentRequest,
    /// Where its output goes.
    pub output: OutputMode,
    /// How many bytes of each output file are kept.
    pub output_cap: Option<u64>,
    /// Its limits.
    pub limits: Limits,
}

/// Which lane, and where a new one would stand.
#[derive(Debug, Clone)]
pub struct Place {
    /// The ticket.
    pub ticket: TicketId,
    /// The base that was named with it, which makes a lane of its own.
    pub base: Option<RefName>,
    /// The base of a plain lane, where a setting names one; else what is checked out.
    pub default_base: Option<RefName>,
    /// The branch that was asked for.
    pub branch: Option<BranchName>,
    /// The folder for new worktrees, absolute.
    pub worktree_root: PathBuf,
    /// The ticket's file in the main checkout, if it has one.
    pub ticket_file: Option<PathBuf>,
    /// Where the branch of a new lane starts, if not at its base: at work that is not in the base yet.
    pub start_at: Option<CommitId>,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct AgentRequest {
    /// The agent.
    pub agent: Agent,
    /// What goes before the ticket's id in the prompt.
    pub workflow: String,
    /// What follows it.
    pub flags: Vec<String>,
    /// What pi writes to standard output; `None`: by its version.
    pub capture: Option<Capture>,
    /// Further arguments.
    pub extra: Vec<String>,
    /// Whether a prompt template that cannot be found is a reason not to launch.
    pub prompt_check: PromptCheck,
    /// Whether pi may trust the project's own settings and prompts (pi 0.79 and later).
    pub project_trust: ProjectTrust,
    /// The earlier session of the lane that is continued, where its agent kept a record.
    pub resume: Option<Resume>,
}

/// An earlier session to go on from.
#[derive(Debug, Clone)]
pub struct Resume {
    /// That session.
    pub session: SessionId,
    /// What the agent is told instead of the workflow.
    pub prompt: String,
}

pub use crate::agent::pi::prompt::PromptCheck;
pub use crate::config::ProjectTrust;

/// How long another dispatch of the same lane is waited for, to learn which session it began.
pub(crate) const LANE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the repository's lock is waited for.
pub(crate) const REPO_PATIENCE: Duration = Duration::from_secs(60);
