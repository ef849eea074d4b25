//! Where the demo takes place, and with which agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::actor::Launched;
use super::project::{DemoTicket, FILES, NAME, TICKETS, ticket_file};
use crate::agent::program;
use crate::cli::args::{DemoAgent, Global, PlaceArgs};
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::request::{agent_request, limits, output_cap, output_mode};
use crate::cli::stand_in::STAND_IN;
use crate::cli::surroundings::{Surroundings, temporary_folder};
use crate::config::{self, Layer, Settings, Source};
use crate::dispatch::Request;
use crate::dispatch::run::dispatch;
use crate::git::{Author, FirstCommit, GitProgram, begin};
use crate::id::SessionId;

/// The folder of one demo.
#[derive(Debug)]
pub struct Stage {
    /// All of it: whoever deletes this has deleted everything.
    pub folder: PathBuf,
    /// The repository in it.
    pub repository: PathBuf,
}

impl Stage {
    /// Makes a folder of its own under the temp directory, with the repository in it.
    pub fn build() -> CliResult<Self> {
        GitProgram::default().version()?;
        let temp = temporary_folder();
        let failed = |operation: &str, path: &Path, error: &std::io::Error| {
            CliError::new(Exit::CannotDo, format!("could not {operation} {}: {error}", path.display()))
                .hint("name another folder for temporary files with TMPDIR")
        };
        let private = fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix("ralph-demo-").permissions(private).tempdir_in(&temp);
        let made = made.map_err(|e| failed("make a folder in", &temp, &e))?;
        // As the repository will name it: TMPDIR may be a link, or relative.
        let folder = made.path().canonicalize().map_err(|e| failed("look at", made.path(), &e))?;
        let repository = folder.join(NAME);
        let tickets = TICKETS.iter().map(|ticket| (ticket_file(ticket.id), ticket.content));
        let files = FILES.iter().map(|(path, content)| ((*path).to_owned(), *content)).chain(tickets);
        for (path, content) in files {
            let path = repository.join(path);
            let parent = path.parent().unwrap_or(&repository);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, content))
                .map_err(|e| failed("write", &path, &e))?;
        }
        let author = Author { name: "ralph demo", email: "demo@ralph.invalid" };
        begin(
            &repository,
            &FirstCommit { branch: "main", message: "A to-do list for the terminal", author },
        )?;
        // From here on it is the user's to look at, and to delete.
        let _kept = made.keep();
        Ok(Self { folder, repository })
    }
}

/// The agent of the demo.
#[derive(Debug)]
pub struct Cast {
    settings: Settings,
}

impl Cast {
    /// The agent that was asked for; fails where it could not be started, before anything is made.
    pub fn of(agent: DemoAgent) -> CliResult<Self> {
        let (command, timeout) = match agent {
            DemoAgent::StandIn => (stand_in()?, "1m"),
            DemoAgent::Pi => ("pi".to_owned(), "10m"),
        };
        let bug = |why: String| CliError::new(Exit::Bug, format!("the demo's own settings: {why}"));
        let layer = Layer {
            agent: Some(command.parse::<config::Command>().map_err(|e| bug(e.to_string()))?),
            timeout: Some(timeout.parse().map_err(|e: config::Refusal| bug(e.to_string()))?),
            ..Layer::default()
        };
        let settings = Settings::merged([(Source::CommandLine, layer)]);
        if agent == DemoAgent::Pi {
            let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
            program::resolve("pi", std::env::var_os("PATH").as_deref(), &here).map_err(|error| {
                CliError::new(Exit::NotLaunched, error.to_string())
                    .hint(format!("{}; `ralph demo` alone needs no pi", error.hint()))
            })?;
        }
        Ok(Self { settings })
    }

    /// Dispatches one ticket, as `ralph worktree dispatch` does.
    pub fn dispatch(&self, ticket: &DemoTicket, global: &Global) -> CliResult<Launched> {
        let here = Surroundings::read(global)?;
        let lane = ticket.id.parse().map_err(|e| CliError::new(Exit::Bug, format!("{e}")))?;
        let place = PlaceArgs { lane, base: None, branch: None, no_ticket: false };
        let settings = &self.settings;
        let request = Request {
            session: SessionId::generate(),
            place: here.place(&place, settings)?,
            agent: agent_request(settings, &[])?,
            output: output_mode(settings),
            output_cap: output_cap(settings),
            limits: limits(settings),
        };
        Ok(Box::new(dispatch(&here.context, &request)?.manifest))
    }
}

/// The command that is the stand-in: this program itself.
fn stand_in() -> CliResult<String> {
    let myself = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    // A program that has no name any more, or one that is no text, is still found this way.
    let myself =
        myself.filter(|path| Path::new(path).is_file()).unwrap_or_else(|| "/proc/self/exe".to_owned());
    let literally = myself.replace('{', "{{").replace('}', "}}");
    shlex::try_join([literally.as_str(), STAND_IN, "{ticket}"])
        .map_err(|e| CliError::new(Exit::CannotDo, format!("the path of this program cannot be used: {e}")))
}
