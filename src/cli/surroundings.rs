//! Where a command was given: environment, folder, repository, settings. Read once; nothing below reads it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::{Global, PlaceArgs, RunArgs};
use super::error::{CliError, CliResult, several_lanes};
use super::exit::Exit;
use super::render::Out;
use crate::agent::{Agent, Capture, pi};
use crate::config::{self, Layer, Limit, Places, Resolution, Settings};
use crate::dispatch::{AgentRequest, Context, Environment, Place, PromptCheck, Request};
use crate::git::{GitError, GitProgram, Repo};
use crate::id::{Lane, RefName, SessionId, TicketId};
use crate::merge;
use crate::process::identity::Machine;
use crate::recover::{self, Scope, Settled, recover};
use crate::removal;
use crate::session::choose::{Choice, choose};
use crate::session::lane::LaneRecord;
use crate::session::launch::OutputMode;
use crate::session::launch::SESSION_VARIABLE;
use crate::session::manifest::Limits;
use crate::session::store::Store;
use crate::ticket::{Backlog, Resolution as TicketResolution, TicketFolder};

/// As many lanes are named where the one that was typed is not there.
const MOST_NEAR: usize = 3;

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

    /// Settles what an earlier crash left. Cheap: it looks only at what is on record as living.
    pub fn settle(&self, root: &Path, out: &Out) -> CliResult<()> {
        let recovered = recover(self.recovery(), Scope::Living)?;
        for one in recovered.sessions {
            let lane = one.lane.map_or_else(|| one.session.to_string(), |lane| lane.to_string());
            match one.settled {
                Settled::Ended { outcome, reason, .. } => {
                    let word = super::render::outcome_word(&outcome);
                    out.note(&format!("{lane}: its last session is {word}: {}", reason.unwrap_or_default()));
                }
                Settled::Alive
                | Settled::Retired
                | Settled::Discarded
                | Settled::Contended
                | Settled::Left(_) => {}
            }
        }
        self.settle_removals(root, out)?;
        self.settle_merges(root, out)
    }

    /// Finishes merges that were interrupted.
    pub fn settle_merges(&self, root: &Path, out: &Out) -> CliResult<()> {
        for settled in merge::settle(&self.merge_place(root))? {
            out.note(&settled.to_string());
        }
        Ok(())
    }

    /// Finishes removals and restorations that were interrupted.
    pub fn settle_removals(&self, root: &Path, out: &Out) -> CliResult<()> {
        for one in removal::settle(&self.removal_place(root))? {
            match one {
                removal::Settled::Stays(_) => {}
                removal::Settled::Removed(removed) => {
                    out.note(&format!("{}: its interrupted removal was finished", removed.lane));
                }
                removal::Settled::Restored(lane) => {
                    out.note(&format!("{lane}: its interrupted restoration was finished"));
                }
                removal::Settled::Expired(lane) => {
                    out.note(&format!("{lane}: what had expired of it was deleted to the end"));
                }
                removal::Settled::Left(lane, error) => {
                    out.note(&format!("{lane} was left as it is: {error}"));
                }
            }
        }
        Ok(())
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

    /// The ticket that was typed, by its full id, and its file.
    pub fn ticket(&self, typed: &Lane, lookup: TicketLookup) -> CliResult<(TicketId, Option<PathBuf>)> {
        let folder = match lookup {
            TicketLookup::InFolder => self.folder()?,
            TicketLookup::Skip => None,
        };
        let Some(folder) = folder else { return Ok((typed.ticket().clone(), None)) };
        match folder.resolve(typed.ticket().as_str()) {
            TicketResolution::Exact(id) | TicketResolution::Partial(id) => {
                let file = folder.file_of(&id);
                let found = folder.find(&id);
                let file = found.ok().flatten().map_or(file, |found| found.ticket.path().to_owned());
                Ok((id, Some(file)))
            }
            TicketResolution::Ambiguous(ids) => Err(ambiguous(typed, &ids)),
            TicketResolution::Unknown { nearest } => {
                // A lane may outlive its ticket's file.
                if !self.store().lanes_of(typed.ticket())?.is_empty() {
                    return Ok((typed.ticket().clone(), None));
                }
                self.store().none_damaged_of(typed.ticket())?;
                let near =
                    if nearest.is_empty() { String::new() } else { format!("; near: {}", list(&nearest)) };
                let message =
                    format!("there is no ticket {} in {}{near}", typed.ticket(), folder.path().display());
                Err(CliError::new(Exit::NotFound, message)
                    .hint("correct the id, or pass --no-ticket to work without a ticket file"))
            }
        }
    }

    /// A lane that exists, by what was typed: an id or a part of one, with or without a base.
    pub fn lane(&self, typed: &Lane) -> CliResult<LaneRecord> {
        match self.meant(typed)? {
            Meant::Lane(record) => Ok(*record),
            Meant::Nothing { error, .. } => Err(error),
        }
    }

    /// What a typed name means. An id that has a lane means that; of any other the tickets' folder says whether it is a
    /// part of one. The lanes do not: T-1 would be T-10 wherever T-1 has no lane yet.
    pub fn meant(&self, typed: &Lane) -> CliResult<Meant> {
        let (all, _) = self.store().lanes()?;
        let of = |ticket: &TicketId| -> Vec<LaneRecord> {
            all.iter().filter(|record| record.lane.ticket() == ticket).cloned().collect()
        };
        let mut name = typed.clone();
        let mut lanes = of(typed.ticket());
        if lanes.is_empty()
            && let Some(folder) = self.folder()?
        {
            match folder.resolve(typed.ticket().as_str()) {
                TicketResolution::Exact(id) | TicketResolution::Partial(id) => {
                    lanes = of(&id);
                    name = Lane::new(id, typed.base().cloned());
                }
                TicketResolution::Ambiguous(ids) => return Err(ambiguous(typed, &ids)),
                TicketResolution::Unknown { .. } => {}
            }
        }
        match choose(name.ticket(), name.base(), &lanes) {
            Choice::Known(record) => Ok(Meant::Lane(record)),
            Choice::New(_) => {
                let error = match self.store().none_damaged_of(name.ticket()) {
                    Ok(()) => no_lane(&name, typed.ticket(), &all),
                    Err(damaged) => damaged.into(),
                };
                Ok(Meant::Nothing { name, error })
            }
            Choice::Several(lanes) => Err(several_lanes(name.ticket(), &lanes)),
        }
    }

    /// The tickets' folder, where there is one.
    fn folder(&self) -> CliResult<Option<TicketFolder>> {
        match self.context.repo.main_checkout() {
            Some(main) => TicketFolder::open(main).map_err(|e| CliError::new(Exit::CannotDo, e.to_string())),
            None => Ok(None),
        }
    }

    /// `HEAD` by what it means here and now: a lane keeps its base, and HEAD will mean something else.
    pub fn not_head(&self, name: RefName) -> CliResult<RefName> {
        if name.as_str() != "HEAD" {
            return Ok(name);
        }
        let means = self.context.repo.head_base()?.name;
        means.parse().map_err(|error| CliError::new(Exit::Usage, format!("HEAD: {error}")))
    }

    /// Where a lane is or would be.
    pub fn place(&self, args: &PlaceArgs, settings: &Settings) -> CliResult<Place> {
        let lookup = if args.no_ticket { TicketLookup::Skip } else { TicketLookup::InFolder };
        let (ticket, ticket_file) = self.ticket(&args.lane, lookup)?;
        let base = match (&args.base, args.lane.base()) {
            (Some(flag), Some(named)) if flag != named => {
                return Err(CliError::new(
                    Exit::Usage,
                    format!("{} names the base {named}, and --base {flag} another one", args.lane),
                ));
            }
            (flag, named) => flag.as_ref().or(named).cloned(),
        };
        let base = base.map(|name| self.not_head(name)).transpose()?;
        let default_base = match &settings.base {
            config::Base::Here => None,
            config::Base::Named(name) => Some(name.clone()),
        };
        let worktree_root = settings.worktree_root.of(self.main());
        Ok(Place {
            ticket,
            base,
            default_base,
            branch: args.branch.clone(),
            worktree_root,
            ticket_file,
            start_at: None,
        })
    }
}

/// A lane's current session.
pub fn current_session(record: &LaneRecord) -> CliResult<SessionId> {
    record.current_session.ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("{} has no session yet", record.lane))
            .hint(format!("begin one: ralph worktree dispatch {}", record.lane))
    })
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

/// Whether a ticket must be in the tickets' folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketLookup {
    /// Where there is such a folder.
    InFolder,
    /// Not at all.
    Skip,
}

/// What a typed name means.
pub enum Meant {
    /// A lane that exists.
    Lane(Box<LaneRecord>),
    /// None that is on record.
    Nothing {
        /// The name in full: something that is just begun or half removed may go by it.
        name: Lane,
        /// What to say where nothing does.
        error: CliError,
    },
}

/// There is no such lane; other tickets' lanes are named where `part` is a part of their ids.
fn no_lane(name: &Lane, part: &TicketId, all: &[LaneRecord]) -> CliError {
    let is_near = |ticket: &&TicketId| *ticket != name.ticket() && ticket.as_str().contains(part.as_str());
    let mut near: Vec<TicketId> =
        all.iter().map(|record| record.lane.ticket()).filter(is_near).cloned().collect();
    near.sort();
    near.dedup();
    near.truncate(MOST_NEAR);
    let near = if near.is_empty() { String::new() } else { format!("; near: {}", list(&near)) };
    CliError::new(Exit::NotFound, format!("{name} has no worktree of ralph's in this repository{near}"))
        .hint("`ralph worktree list` shows those that there are")
}

fn ambiguous(typed: &Lane, ids: &[TicketId]) -> CliError {
    let part = typed.ticket().as_str();
    CliError::new(Exit::Usage, format!("{part:?} is a part of several tickets' ids: {}", list(ids)))
        .hint("give more of the id")
}

fn list(ids: &[TicketId]) -> String {
    ids.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The flags as the topmost layer of settings. Further agent arguments come on top of those from elsewhere.
pub fn layer(run: &RunArgs) -> Layer {
    Layer {
        timeout: run.timeout,
        idle_timeout: run.idle_timeout,
        grace: run.grace,
        output: run.output,
        output_cap: run.output_cap,
        capture: run.capture,
        workflow: run.workflow.clone(),
        flags: run.flags.clone(),
        agent: run.agent.clone(),
        worktree_root: run.worktree_root.clone(),
        ..Layer::default()
    }
}

/// What is run, from the settings.
pub fn agent_request(settings: &Settings, further: &[String]) -> CliResult<AgentRequest> {
    let command = &settings.agent;
    let words: Vec<String> =
        std::iter::once(command.program().to_owned()).chain(command.arguments().iter().cloned()).collect();
    let extra: Vec<String> = settings.agent_args.as_slice().iter().chain(further).cloned().collect();
    let agent = Agent::from_words(&words)
        .and_then(|agent| agent.accepts(&extra).map(|()| agent))
        .map_err(|error| CliError::new(Exit::Usage, error.to_string()).hint(error.hint()))?;
    Ok(AgentRequest {
        agent,
        workflow: settings.workflow.as_str().to_owned(),
        flags: settings.flags.as_slice().to_vec(),
        capture: match settings.capture {
            config::Capture::Auto => None,
            config::Capture::Text => Some(Capture::Text),
            config::Capture::Json => Some(Capture::Json),
        },
        extra,
        prompt_check: match settings.prompt_check {
            config::PromptCheck::Files => PromptCheck::Required,
            config::PromptCheck::Off => PromptCheck::Skip,
        },
        project_trust: settings.approve_project,
        resume: None,
    })
}

/// The limits, from the settings.
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        timeout_s: settings.timeout.bound().map(Into::into),
        idle_timeout_s: settings.idle_timeout.bound().map(Into::into),
        grace_s: settings.grace.into(),
        extra: serde_json::Map::new(),
    }
}

/// Refuses a limit on silence where nothing would be heard: every session would be ended as idle.
pub fn refuse_blind_idle_timeout(request: &Request) -> CliResult<()> {
    let nothing_to_look_at =
        request.output == OutputMode::Discard && !matches!(request.agent.agent, Agent::Pi(_));
    if request.limits.idle_timeout_s.is_none() || !nothing_to_look_at {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Usage,
        "an idle timeout looks at the agent's output, which is discarded, and this agent keeps no record of its own",
    )
    .hint("keep the output (--output file), or drop the idle timeout (--idle-timeout none)"))
}

/// Where output goes, from the settings: what is shown live is kept too.
pub fn output_mode(settings: &Settings) -> OutputMode {
    match settings.output {
        config::Output::File | config::Output::Inherit => OutputMode::File,
        config::Output::Discard => OutputMode::Discard,
    }
}

/// The output cap in bytes, from the settings.
pub fn output_cap(settings: &Settings) -> Option<u64> {
    match settings.output_cap {
        Limit::Off => None,
        Limit::At(size) => Some(size.as_bytes()),
    }
}
