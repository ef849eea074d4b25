//! Finding out. Nothing is changed: what has to be written to be known has no name and is gone at once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::facts::{
    Agent, Answer, Asked, Facts, Folder, Git, Node, Pi, Place, Prompt, Repository, RunsOn, Stands, Trouble,
};
use crate::agent::pi::prompt::{Origin, PromptFound, PromptSearch, prompt_inside};
use crate::agent::pi::provider::ProviderSigns;
use crate::agent::pi::version::{self, PiVersion};
use crate::agent::{self, pi, program};
use crate::cli::args::Global;
use crate::cli::error::CliResult;
use crate::cli::request::agent_request;
use crate::cli::surroundings::{directory, git_program, open, temporary_folder, variables};
use crate::config::{self, Layer, Places, Settings};
use crate::dispatch::{AgentRequest, Environment};
use crate::git::{CommitId, ErrorClass, GitError, GitProgram, Repo};
use crate::process::filesystem::FileSystem;
use crate::process::probe::{Feature, try_out, use_folder};
use crate::session::launch::SESSION_VARIABLE;

/// Looks at everything.
pub fn look(global: &Global) -> CliResult<Facts> {
    let variables = variables();
    let directory = directory(global)?;
    let home = variables.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let pi_dir = pi::agent_dir(std::env::var_os("PI_CODING_AGENT_DIR").as_deref(), home.as_deref());
    let (search_path, git) = (std::env::var_os("PATH"), git_program());
    let environment = Environment { search_path, directory, home, pi_dir, git };
    let repo = open(&environment.directory);
    let loaded = load_settings(repo.as_ref().ok(), &variables);
    let (settings, said) = match loaded {
        Ok((settings, notices)) => (settings, Ok(notices)),
        Err(trouble) => (Settings::merged([]), Err(trouble)),
    };
    let base = repo.as_ref().ok().map(Repo::head_base);
    let start = base.as_ref().and_then(|base| base.as_ref().ok()).map(|base| &base.commit);
    let searched = Searched { environment: &environment, repo: repo.as_ref().ok(), start };
    let names = std::env::vars_os().filter_map(|(name, value)| {
        // A variable that is empty is not set, as far as pi is concerned.
        if value.is_empty() { None } else { name.into_string().ok() }
    });
    let signs = ProviderSigns::find(
        environment.pi_dir.as_deref(),
        names.collect::<Vec<_>>().iter().map(String::as_str),
    );
    Ok(Facts {
        inside: variables.get(SESSION_VARIABLE).cloned(),
        git: find_git(&environment),
        agent: find_agent(&settings, &searched, signs),
        settings: said,
        place: match repo {
            Ok(repo) => Place::Inside(Box::new(look_around(&repo, &settings))),
            Err(error) => outside(&error, global),
        },
        kernel: Feature::ALL.map(|feature| (feature, try_out(feature))).into(),
        temporary: look_at_folder(&temporary_folder()),
    })
}

impl From<&GitError> for Trouble {
    fn from(error: &GitError) -> Self {
        Self { why: error.to_string(), advice: error.hint() }
    }
}

impl From<program::ProgramError> for Trouble {
    fn from(error: program::ProgramError) -> Self {
        let advice = Some(error.hint());
        let why = match &error {
            // Where it was looked for is PATH, which everyone can see for themselves.
            program::ProgramError::Missing { program, .. } if !program.contains('/') => {
                format!("there is no program {program:?} on PATH")
            }
            other => other.to_string(),
        };
        Self { why, advice }
    }
}

fn load_settings(
    repo: Option<&Repo>,
    variables: &BTreeMap<String, String>,
) -> Result<(Settings, Vec<String>), Trouble> {
    let places = Places::from_variables(variables);
    let repository = repo.map(|repo| config::Repository {
        main: repo.main_checkout().unwrap_or(repo.common_dir()),
        common_dir: repo.common_dir(),
    });
    let (ticketflow, flags) = (Layer::default(), Layer::default());
    let sources = config::Sources { places: &places, repository, variables, ticketflow, flags };
    match config::load(sources) {
        Ok(found) => Ok((found.settings, found.notices.iter().map(ToString::to_string).collect())),
        Err(error) => Err(Trouble {
            why: error.to_string(),
            advice: Some("`ralph config` shows every setting".to_owned()),
        }),
    }
}

fn find_git(environment: &Environment) -> Result<Git, Trouble> {
    let path = program::resolve("git", environment.search_path.as_deref(), &environment.directory)?;
    let version = GitProgram::new(&path).version().map_err(|error| Trouble::from(&error))?;
    Ok(Git { path, version })
}

/// What the agent's parts are looked for with.
struct Searched<'a> {
    environment: &'a Environment,
    repo: Option<&'a Repo>,
    start: Option<&'a CommitId>,
}

impl Searched<'_> {
    fn program(&self, name: &str) -> Result<PathBuf, Trouble> {
        let Environment { search_path, directory, .. } = self.environment;
        Ok(program::resolve(name, search_path.as_deref(), directory)?)
    }
}

fn find_agent(settings: &Settings, searched: &Searched<'_>, provider: ProviderSigns) -> Agent {
    let request = match agent_request(settings, &[]) {
        Ok(request) => request,
        Err(error) => return Agent::Unusable(Trouble { why: error.message, advice: error.hint }),
    };
    match &request.agent {
        agent::Agent::Command(command) => Agent::Other(searched.program(command.program())),
        agent::Agent::Pi(pi) => {
            let found = searched.program(pi.program());
            let runs_on = match &found {
                Ok(program) if program::is_node_script(program) => RunsOn::Node,
                _ => RunsOn::Itself,
            };
            let version = found.as_ref().ok().and_then(|program| version::read(program));
            let program = found.as_deref().ok();
            Agent::Pi(Box::new(Pi {
                prompt: find_prompt(pi, &request, searched, program, version.as_ref()),
                node: find_node(searched),
                program: found.map(|program| (program, version)),
                runs_on,
                provider,
            }))
        }
    }
}

fn find_node(searched: &Searched<'_>) -> Result<Node, Trouble> {
    let path = searched.program("node")?;
    // Node says its version in the same form, and in a few milliseconds.
    let version = version::ask(&path).ok();
    Ok(Node { path, version })
}

/// What a session in a new worktree would find: the commit's own prompt, else what pi finds without it.
fn find_prompt(
    pi: &pi::Pi,
    request: &AgentRequest,
    searched: &Searched<'_>,
    program: Option<&Path>,
    version: Option<&PiVersion>,
) -> Result<Prompt, Trouble> {
    let name = request.workflow.split_whitespace().next().unwrap_or_default().to_owned();
    if let (Some(inside), Some(repo), Some(start)) =
        (prompt_inside(&request.workflow), searched.repo, searched.start)
        && repo.tracks(start, &inside).unwrap_or(false)
    {
        return Ok(Prompt { name, found: Answer::Committed(inside) });
    }
    let main = searched.repo.and_then(Repo::main_checkout);
    let search = PromptSearch {
        workflow: &request.workflow,
        // What is not committed is found there only, and by every session, as the main checkout's.
        worktree: main.unwrap_or(Path::new("/")),
        main_checkout: main,
        agent_dir: searched.environment.pi_dir.as_deref(),
        home: searched.environment.home.as_deref(),
        program,
        version,
        extra_args: &request.extra,
        check: request.prompt_check,
    };
    match pi.find_prompt(&search) {
        Ok(PromptFound::File { path, origin: Origin::Worktree | Origin::MainCheckout }) => {
            Ok(Prompt { name, found: Answer::NotCommitted(path) })
        }
        Ok(found) => Ok(Prompt { name, found: Answer::Elsewhere(found) }),
        Err(error) => Err(Trouble { why: error.to_string(), advice: Some(error.hint()) }),
    }
}

fn outside(error: &GitError, global: &Global) -> Place {
    let trouble = Trouble::from(error);
    match error.class() {
        ErrorClass::NotFound => {
            let asked = if global.repo.is_some() { Asked::Named } else { Asked::Here };
            Place::Outside { trouble, asked }
        }
        ErrorClass::Usage | ErrorClass::Refused | ErrorClass::CannotDo | ErrorClass::Failed => {
            Place::Unusable(trouble)
        }
    }
}

fn look_around(repo: &Repo, settings: &Settings) -> Repository {
    let main = repo.main_checkout().unwrap_or(repo.common_dir());
    let base = repo.head_base();
    Repository {
        path: main.to_owned(),
        bare: repo.is_bare(),
        engine: base
            .as_ref()
            .ok()
            .map(|base| repo.engine_for(&base.commit).map_err(|error| Trouble::from(&error))),
        base: base
            .map(|base| (base.name, base.commit.short().to_owned()))
            .map_err(|error| Trouble::from(&error)),
        store: look_at_folder(&repo.store_dir()),
        worktrees: look_at_folder(&settings.worktree_root.of(main)),
    }
}

fn look_at_folder(path: &Path) -> Folder {
    let stands = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Stands::There,
        Ok(found) if found.is_symlink() => Stands::Link,
        Ok(_) => Stands::InTheWay,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Stands::NotYet,
        // Using it tells why.
        Err(_) => Stands::There,
    };
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    Folder { on: FileSystem::of(existing), used: use_folder(existing), stands, path: path.to_owned() }
}
