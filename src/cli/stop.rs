//! `ralph worktree stop`: an end that leaves nothing running.

use std::time::{Duration, Instant};

use super::args::{Global, StopArgs};
use super::ended::show_end;
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::{Form, Out};
use super::surroundings::Surroundings;
use super::waiting::{Happening, Vigil, ended_manifest, is_live, session_of};
use crate::id::SessionId;
use crate::launch::stop::{self, Wish};
use crate::session::manifest::Manifest;
use crate::session::store::{Loaded, Urgency};

/// How long ending may take beyond the agent's own grace: what it left running is ended too.
const BEYOND_GRACE: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(global: &Global, args: &StopArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let mut sessions = Vec::new();
    if args.all {
        sessions = here.store().running()?;
    }
    if args.all && sessions.is_empty() {
        out.note("no session runs");
    }
    for lane in &args.lanes {
        sessions.push(session_of(&here, lane)?);
    }
    let mut live = Vec::new();
    let mut unreached = Vec::new();
    for id in sessions {
        match ask(&here, id, args, out) {
            Ok(Asked::Ending) => live.push(id),
            Ok(Asked::NotRunning) => {}
            // One that cannot be reached does not keep the others from being ended.
            Err(error) => unreached.push(error),
        }
    }
    let vigil = Vigil::begin(here.store(), &live)?;
    let patience = patience(&here, &live)?;
    let until = Instant::now() + patience;
    while !live.is_empty() {
        match vigil.next(Some(until.saturating_duration_since(Instant::now()))) {
            Happening::Free(id) => {
                live.retain(|other| *other != id);
                show(&ended_manifest(&here, id)?, out)?;
            }
            Happening::Interrupt => {
                for id in &live {
                    request_stop(&here, *id, Urgency::AtOnce)?;
                }
            }
            Happening::Hangup => return Ok(Exit::Interrupted),
            Happening::Nothing if Instant::now() >= until => {
                let names: Vec<String> = live.iter().map(ToString::to_string).collect();
                let message = format!("still running after {}s: {}", patience.as_secs(), names.join(", "));
                let error = CliError::new(Exit::CannotDo, message);
                // What runs here comes before what could not be asked elsewhere.
                unreached.insert(0, error.hint("`ralph worktree inspect` shows its processes"));
                break;
            }
            Happening::Nothing => {}
        }
    }
    all_of(unreached)
}

/// All errors as one: each is said, and what to do about the first.
fn all_of(errors: Vec<CliError>) -> CliResult {
    let also = |all: CliError, one: CliError| CliError { message: format!("{all}; {one}"), ..all };
    errors.into_iter().reduce(also).map_or(Ok(Exit::Done), Err)
}

/// What asking a session to end came to.
enum Asked {
    Ending,
    NotRunning,
}

fn ask(here: &Surroundings, id: SessionId, args: &StopArgs, out: &Out) -> CliResult<Asked> {
    if is_live(here, id)? {
        let urgency = if args.now { Urgency::AtOnce } else { Urgency::Graceful };
        request_stop(here, id, urgency)?;
        return Ok(Asked::Ending);
    }
    let ended = ended_manifest(here, id)?;
    out.note(&format!("{} does not run", ended.lane));
    if out.form() == Form::Json {
        out.json_line(&ended)?;
    }
    Ok(Asked::NotRunning)
}

fn show(manifest: &Manifest, out: &Out) -> CliResult {
    match out.form() {
        Form::Json => out.json_line(manifest),
        Form::Text => show_end(manifest, out),
    }
}

fn patience(here: &Surroundings, live: &[SessionId]) -> CliResult<Duration> {
    let mut longest = Duration::ZERO;
    for id in live {
        if let Loaded::Manifest(manifest) = here.store().load(*id)? {
            longest = longest.max(manifest.limits.grace_s.duration());
        }
    }
    Ok(longest + BEYOND_GRACE)
}

/// Leaves the wish that the session end and tells its supervisor; a second time means at once.
pub fn request_stop(here: &Surroundings, id: SessionId, urgency: Urgency) -> CliResult<()> {
    Ok(stop::request_stop(here.store(), &here.context.machine, id, Wish { urgency, reason: None })?)
}
