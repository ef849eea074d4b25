//! The demo after all have ended: how, what the branches look like, one manifest, what to look at next.

use std::path::Path;

use serde_json::json;

use super::actor::{Actor, State};
use super::fill::filled;
use super::landing::land;
use super::orders::Orders;
use super::stage::Stage;
use crate::agent::program;
use crate::cli::args::DemoAgent;
use crate::cli::error::CliResult;
use crate::cli::live::width;
use crate::cli::render::{Form, Out, Tone, clean, on_terminal, one_line, outcome_word, quoted};
use crate::cli::surroundings::Surroundings;
use crate::cli::tail::complaint;
use crate::git::GraphLine;
use crate::session::manifest::{Manifest, Outcome};
use crate::session::state::is_success;

/// More commits are not drawn.
const MOST_COMMITS: u32 = 40;
/// How wide a manifest is printed where no terminal says how wide it is.
const USUAL_WIDTH: usize = 100;

/// Tells all of it.
pub fn tell(
    stage: &Stage,
    here: &Surroundings,
    actors: &[Actor],
    agent: DemoAgent,
    orders: Orders,
    out: &Out,
) -> CliResult<()> {
    let ended = |actor: &Actor| match &actor.state {
        State::Ended(manifest) => Some(manifest.as_ref().clone()),
        State::Waiting | State::Running { .. } | State::NotLaunched(_) => None,
    };
    let ended: Vec<Manifest> = actors.iter().filter_map(ended).collect();
    // The one that did not end well has the most to say.
    let one = ended.iter().find(|manifest| !manifest.outcome.as_ref().is_some_and(is_success));
    let one = one.or(ended.first());
    let next = next(stage, &ended, one);
    if out.form() == Form::Text {
        how_they_ended(&ended, actors, agent, out)?;
    }
    if let Orders::Go = orders {
        land(here, actors, out)?;
    }
    let graph = here.context.repo.graph(MOST_COMMITS)?;
    if out.form() == Form::Json {
        let lines: Vec<String> = graph.iter().map(|line| drawn(line, Ink::None)).collect();
        out.json_line(&json!({ "event": "graph", "lines": lines }))?;
        if let Some(manifest) = one {
            out.json_line(&json!({ "event": "manifest", "manifest": manifest }))?;
        }
        let planned = as_planned(actors, agent) == Planned::Yes;
        out.json_line(&json!({ "event": "done", "as_planned": planned, "next": next }))?;
        return Ok(());
    }
    heading("The branches", out)?;
    for line in &graph {
        out.line(&drawn(line, Ink::Tones))?;
    }
    if let Some(manifest) = one {
        heading(&format!("The manifest of {}, as every session has one", manifest.lane), out)?;
        let room = if on_terminal() { width().saturating_sub(1) } else { USUAL_WIDTH };
        let value = serde_json::to_value(manifest).unwrap_or_default();
        out.line(&clean(&filled(&value, room)))?;
    }
    heading("Look further", out)?;
    for command in &next {
        out.line(&format!("  {}", clean(command)))?;
    }
    out.note("nothing outside that folder was touched");
    Ok(())
}

fn heading(text: &str, out: &Out) -> CliResult<()> {
    let strong = Tone::Strong.style();
    out.line("")?;
    out.line(&format!("{strong}{text}{strong:#}"))?;
    Ok(())
}

fn how_they_ended(ended: &[Manifest], actors: &[Actor], agent: DemoAgent, out: &Out) -> CliResult<()> {
    let succeeded = |manifest: &&Manifest| manifest.outcome.as_ref().is_some_and(is_success);
    let good = ended.iter().filter(succeeded).count();
    out.line("")?;
    let what = if good > 0 { ": exit 0, commits, nothing uncommitted" } else { "" };
    out.line(&format!("{good} of {} succeeded{what}.", actors.len()))?;
    for manifest in ended.iter().filter(|manifest| !succeeded(manifest)) {
        let planned = |actor: &&Actor| actor.ticket.id == manifest.ticket_id.as_str();
        let planned = actors.iter().find(planned).map(|actor| &actor.ticket.planned);
        let Some(outcome) = &manifest.outcome else { continue };
        let word = outcome_word(outcome);
        let tone = Tone::of(outcome).style();
        let id = &manifest.ticket_id;
        if agent == DemoAgent::StandIn && planned == Some(outcome) && *outcome == Outcome::Uncommitted {
            out.line(&format!(
                "{id} ended as {tone}{word}{tone:#}, on purpose: its agent exited 0 and left a file uncommitted."
            ))?;
            out.line("ralph does not call that a success. Nothing is lost: the file is in its worktree.")?;
        } else {
            let why = manifest.reason.iter().cloned().chain(complaint(manifest));
            let why: String = why.map(|text| format!(": {}", one_line(&text))).collect();
            out.line(&format!("{id} ended as {tone}{word}{tone:#}{why}"))?;
        }
    }
    if agent == DemoAgent::Pi && good < actors.len() {
        out.note("`ralph doctor` says what pi may lack here");
    }
    Ok(())
}

/// Commands to copy.
fn next(stage: &Stage, ended: &[Manifest], one: Option<&Manifest>) -> Vec<String> {
    let ralph = own_name();
    let quoted = |path: &Path| quoted(&path.to_string_lossy());
    let mut next = vec![format!("cd {}", quoted(&stage.repository)), format!("{ralph} worktree list")];
    if let Some(manifest) = ended.iter().find(|manifest| manifest.outcome.as_ref().is_some_and(is_success)) {
        next.push(format!("{ralph} worktree logs {}", manifest.lane));
        next.push("git show --stat --format=%s --first-parent main".to_owned());
    }
    if let Some(manifest) = one {
        if manifest.outcome == Some(Outcome::Failed) {
            next.push(format!("{ralph} worktree logs {} --stderr", manifest.lane));
        }
        next.push(format!("{ralph} worktree inspect {} --json", manifest.lane));
        next.push(format!("git -C \"$({ralph} worktree path {})\" status --short", manifest.lane));
    }
    next.push(format!("rm -rf {}", quoted(&stage.folder)));
    next
}

/// What this program is called from a shell: `ralph`, where PATH leads to it by that name.
fn own_name() -> String {
    let Ok(myself) = std::env::current_exe() else { return "ralph".to_owned() };
    let on_path = program::resolve("ralph", std::env::var_os("PATH").as_deref(), Path::new("/"));
    let real = |path: &Path| path.canonicalize().ok();
    if on_path.is_ok_and(|found| real(&found) == real(&myself)) {
        return "ralph".to_owned();
    }
    quoted(&myself.to_string_lossy())
}

/// Whether a drawing is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    None,
    Tones,
}

fn drawn(line: &GraphLine, ink: Ink) -> String {
    let styled = |tone: Tone, text: &str| {
        let style = tone.style();
        match ink {
            Ink::Tones => format!("{style}{text}{style:#}"),
            Ink::None => text.to_owned(),
        }
    };
    let mut text = styled(Tone::Faint, &line.strokes);
    if let Some(commit) = &line.commit {
        text.push_str(&styled(Tone::Doubtful, commit.id.as_str().get(..8).unwrap_or_default()));
        if !commit.refs.is_empty() {
            text.push_str(&format!(" ({})", styled(Tone::Good, &one_line(&commit.refs.join(", ")))));
        }
        text.push_str(&format!(" {}", one_line(&commit.subject)));
    }
    text
}

/// Whether the demo went as planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// All did.
    Yes,
    /// One did not.
    No,
}

/// With the stand-in each ticket has its planned end; of pi, success is hoped for.
pub fn as_planned(actors: &[Actor], agent: DemoAgent) -> Planned {
    let went_well = |actor: &Actor| match (&actor.state, agent) {
        (State::Ended(manifest), DemoAgent::StandIn) => {
            manifest.outcome.as_ref() == Some(&actor.ticket.planned)
        }
        (State::Ended(manifest), DemoAgent::Pi) => manifest.outcome.as_ref().is_some_and(is_success),
        (State::Waiting | State::Running { .. } | State::NotLaunched(_), _) => false,
    };
    if actors.iter().all(went_well) { Planned::Yes } else { Planned::No }
}
