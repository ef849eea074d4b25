//! `ralph worktree attach`: follow a session that runs; open pi on one that has ended.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::args::{Global, LaneArg};
use super::error::{CliError, CliResult, worktree_gone};
use super::exit::Exit;
use super::logs::{Bytes, Follow, Source, show};
use super::naming::current_session;
use super::render::Out;
use super::request::agent_request;
use super::surroundings::Surroundings;
use super::waiting::{is_live, manifest};
use crate::agent::{Agent, program};
use crate::config::Layer;
use crate::git::tree_now;

/// Runs the command.
pub fn run(global: &Global, args: &LaneArg, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let record = here.lane(&args.lane)?;
    let id = current_session(&record)?;
    let manifest = manifest(&here, id)?;
    if is_live(&here, id)? {
        out.note(&format!("{} runs: following it; Ctrl-C leaves it running", manifest.lane));
        let source = if manifest.agent.session_file.is_some() { Source::Session } else { Source::Stdout };
        return show(&here, &manifest, source, Bytes::Readable, Follow::UntilEnd, out);
    }
    let settings = here.settings(Layer::default(), out)?;
    let request = agent_request(&settings, &[])?;
    let (Agent::Pi(pi), Some(_)) = (&request.agent, &manifest.agent.session_file) else {
        return Err(CliError::new(
            Exit::CannotDo,
            format!("{}'s session was not pi's: it cannot be opened", manifest.lane),
        )
        .hint(format!("read it: ralph worktree logs {}", manifest.lane)));
    };
    // Where it is now: the manifest says where it was when the session was begun.
    let session_file = here.store().session_dir(id).pi_session();
    if !session_file.exists() {
        return Err(CliError::new(Exit::NotFound, format!("pi wrote no session file for {}", manifest.lane))
            .hint(format!("dispatch it again: ralph worktree dispatch {}", manifest.lane)));
    }
    let Some(tree) = tree_now(here.store().common_dir(), &record.worktree_id) else {
        return Err(worktree_gone(&record));
    };
    let environment = &here.context.environment;
    let found = program::resolve(pi.program(), environment.search_path.as_deref(), &environment.directory)
        .map_err(|error| CliError::new(Exit::NotLaunched, error.to_string()).hint(error.hint()))?;
    let argv = pi
        .attach_argv(&session_file)
        .map_err(|error| CliError::new(Exit::Usage, error.to_string()).hint(error.hint()))?;
    // Takes this process's place; it comes back only if that fails.
    let error = Command::new(&found).args(argv).current_dir(&tree).exec();
    Err(CliError::new(
        Exit::NotLaunched,
        format!("could not start {} in {}: {error}", found.display(), tree.display()),
    ))
}
