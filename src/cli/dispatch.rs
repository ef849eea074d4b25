//! `ralph worktree dispatch`: one ticket to one running session.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::args::{DispatchArgs, Global};
use super::ended::show_end;
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::files_line;
use super::render::{Form, Out, Tone, on_terminal, quoted};
use super::request::{agent_request, layer, limits, output_cap, output_mode, refuse_blind_idle_timeout};
use super::stop::request_stop;
use super::surroundings::Surroundings;
use super::waiting::{Happening, Vigil, ended_manifest};
use crate::agent::printable::Printable;
use crate::config::Output;
use crate::dispatch::Request;
use crate::dispatch::error::DispatchError;
use crate::dispatch::run::{Dispatched, DryRun, dispatch, dry_run};
use crate::durable::open_no_follow;
use crate::git::Located;
use crate::id::{BranchName, Lane, SessionId, TicketId};
use crate::session::manifest::{Manifest, OutputRecord};
use crate::session::state::is_success;
use crate::session::store::{Loaded, Urgency, load_manifest};
use crate::session::view;

/// The dispatch result, version 1.
#[derive(Debug, Serialize)]
struct DispatchResult<'a> {
    schema_version: u32,
    status: Status,
    ticket_id: &'a TicketId,
    lane: &'a Lane,
    session_id: SessionId,
    pid: Option<i32>,
    worktree: &'a str,
    branch: &'a BranchName,
    base_commit: &'a str,
    manifest: String,
    output: &'a OutputRecord,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanDetail>,
}

/// What a dry run adds.
#[derive(Debug, Serialize)]
struct PlanDetail {
    base_ref: String,
    program: Option<String>,
    argv: Option<Vec<String>>,
    version: Option<String>,
    environment_added: Vec<String>,
    worktree_exists: bool,
    branch_exists: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Launched,
    DryRun,
    Failed,
}

/// How much of the agent's output is shown before the signals are looked at again.
const CHUNKS_A_TURN: usize = 64;

/// Runs the command.
pub fn run(global: &Global, args: &DispatchArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    here.refuse_inside_a_session()?;
    let settings = here.settings(layer(&args.run), out)?;
    let request = Request {
        session: SessionId::generate(),
        place: here.place(&args.place, &settings)?,
        agent: agent_request(&settings, &args.agent_args)?,
        output: output_mode(&settings),
        output_cap: output_cap(&settings),
        limits: limits(&settings),
    };
    refuse_blind_idle_timeout(&request)?;
    if args.dry_run {
        return show_plan(&dry_run(&here.context, &request)?, out);
    }
    here.settle(&request.place.worktree_root, out)?;
    let stay = match (settings.output, args.wait) {
        (Output::Inherit, _) => Stay::AndShow,
        (_, true) => Stay::Silent,
        (_, false) => Stay::No,
    };
    let dispatched =
        files_line::shown(here.context.repo.progress(), out, || dispatch(&here.context, &request));
    match dispatched {
        Ok(Dispatched { manifest, notes, .. }) => {
            notes.iter().for_each(|note| out.note(note));
            match stay {
                Stay::No => show_launched(&here, &manifest, out),
                stay => stay_with(&here, &manifest, stay, out),
            }
        }
        Err(error) => {
            if let DispatchError::NotLaunched { manifest, .. } = &error {
                show_failed(&here, manifest, stay, &error.to_string(), out)?;
            }
            Err(error.into())
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    No,
    Silent,
    AndShow,
}

/// Where the session's manifest can be read: in its worktree, or, where it is not shown there, in the store.
fn manifest_path(here: &Surroundings, manifest: &Manifest) -> PathBuf {
    let shown = view::path_in(manifest.worktree.path.as_ref());
    match load_manifest(&shown) {
        Ok(Loaded::Manifest(found)) if found.session_id == manifest.session_id => shown,
        _ => here.store().session_dir(manifest.session_id).manifest(),
    }
}

fn result<'m>(manifest: &'m Manifest, path: &Path, status: Status) -> DispatchResult<'m> {
    let place = &manifest.worktree;
    DispatchResult {
        schema_version: 1,
        status,
        ticket_id: &manifest.ticket_id,
        lane: &manifest.lane,
        session_id: manifest.session_id,
        pid: manifest.process.agent.as_ref().map(|agent| agent.pid.get()),
        worktree: &place.path,
        branch: &place.branch,
        base_commit: &place.base_commit,
        manifest: path.display().to_string(),
        output: &manifest.output,
        error: None,
        plan: None,
    }
}

fn show_launched(here: &Surroundings, manifest: &Manifest, out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json(&result(manifest, &manifest_path(here, manifest), Status::Launched));
    }
    let lane = &manifest.lane;
    let pid = manifest.process.agent.as_ref().map(|agent| format!(", pid {}", agent.pid.get()));
    let strong = Tone::Strong.style();
    out.line(&format!(
        "{strong}{lane}{strong:#} runs: session {}{}",
        manifest.session_id,
        pid.unwrap_or_default()
    ))?;
    out.line(&format!("  worktree  {}", manifest.worktree.path))?;
    out.line(&format!("  branch    {}", manifest.worktree.branch))?;
    out.note(&format!("follow it: ralph worktree logs -f {lane} · end it: ralph worktree stop {lane}"));
    Ok(Exit::Done)
}

fn show_failed(here: &Surroundings, manifest: &Manifest, stay: Stay, error: &str, out: &Out) -> CliResult {
    if out.form() == Form::Text {
        return Ok(Exit::Done);
    }
    if stay != Stay::No {
        return out.json(manifest);
    }
    let path = manifest_path(here, manifest);
    out.json(&DispatchResult { error: Some(error.to_owned()), ..result(manifest, &path, Status::Failed) })
}

fn show_plan(dry: &DryRun, out: &Out) -> CliResult {
    dry.plan.notes().iter().for_each(|note| out.note(note));
    let birth = &dry.birth;
    let manifest = crate::session::state::begin(birth.clone(), jiff::Timestamp::now());
    let record = dry.agent.as_ref().ok().map(|agent| agent.record());
    let added = crate::supervisor::ADDED_VARIABLES;
    let detail = PlanDetail {
        base_ref: birth.worktree.base_ref.clone(),
        program: record.as_ref().map(|record| record.program.clone()),
        argv: record.as_ref().map(|record| record.argv.clone()),
        version: record.as_ref().and_then(|record| record.version.clone()),
        environment_added: added.iter().map(|name| (*name).to_owned()).collect(),
        worktree_exists: matches!(dry.plan.located, Located::Present(_)),
        branch_exists: !matches!(dry.plan.located, Located::New),
    };
    let error = dry.agent.as_ref().err();
    if out.form() == Form::Json {
        let path = view::path_in(manifest.worktree.path.as_ref());
        let base = result(&manifest, &path, Status::DryRun);
        out.json(&DispatchResult { error: error.map(ToString::to_string), plan: Some(detail), ..base })?;
    } else {
        let exists = |there: bool, new: &str| if there { "continued".to_owned() } else { new.to_owned() };
        let place = &birth.worktree;
        let base =
            format!("{} ({})", place.base_ref, place.base_commit.get(..12).unwrap_or(&place.base_commit));
        let mut lines = vec![
            format!("lane       {} (attempt {})", birth.lane, birth.attempt),
            format!("worktree   {} ({})", place.path, exists(detail.worktree_exists, "to be created")),
            format!("branch     {} ({})", place.branch, exists(detail.branch_exists, "to be created")),
            format!("base       {base}"),
        ];
        if let (Some(program), Some(argv)) = (&detail.program, &detail.argv) {
            lines.push(format!("program    {program}"));
            lines.extend(argv.iter().map(|argument| format!("  argument {}", quoted(argument))));
        }
        lines.push(format!("adds       {}", added.join(" ")));
        let nowhere = || "discarded".to_owned();
        lines.push(format!("stdout     {}", birth.output.stdout.clone().unwrap_or_else(nowhere)));
        lines.push(format!("stderr     {}", birth.output.stderr.clone().unwrap_or_else(nowhere)));
        lines.push(format!("manifest   {}", view::path_in(place.path.as_ref()).display()));
        for line in &lines {
            out.line(&super::render::clean(line))?;
        }
    }
    match error {
        None => Ok(Exit::Done),
        Some(error) => {
            Err(CliError { exit: Exit::NotLaunched, message: error.reason.clone(), hint: error.hint.clone() })
        }
    }
}

/// Stays until the session has ended. Ctrl-C ends it gracefully, a second one at once; a terminal that goes away
/// leaves it running.
fn stay_with(here: &Surroundings, launched: &Manifest, stay: Stay, out: &Out) -> CliResult {
    let id = launched.session_id;
    let vigil = Vigil::begin(here.store(), &[id])?;
    out.note(&format!("{} runs: session {id}; Ctrl-C ends it", launched.lane));
    let mut output = (stay == Stay::AndShow).then(|| LiveOutput::of(launched)).flatten();
    let mut interrupted = false;
    loop {
        match vigil.next(output.as_ref().map(|_| Duration::from_millis(100))) {
            Happening::Free(_) => break,
            // It goes on, and no one has seen it succeed.
            Happening::Hangup => return Ok(Exit::Interrupted),
            Happening::Interrupt => {
                let note = if interrupted { "ending it at once" } else { "ending it; Ctrl-C again: at once" };
                out.note(note);
                interrupted = true;
                request_stop(here, id, Urgency::Graceful)?;
            }
            Happening::Nothing => {}
        }
        if let Some(output) = &mut output {
            output.show_new(out)?;
        }
    }
    if let Some(output) = &mut output {
        output.show_new(out)?;
    }
    let manifest = ended_manifest(here, id)?;
    match out.form() {
        Form::Json => out.json(&manifest)?,
        Form::Text => show_end(&manifest, out)?,
    };
    Ok(match manifest.outcome {
        _ if interrupted => Exit::Interrupted,
        Some(outcome) if is_success(&outcome) => Exit::Done,
        _ => Exit::NotSucceeded,
    })
}

/// The agent's standard output, shown as the file grows. The terminal itself is never given to the agent.
struct LiveOutput {
    path: PathBuf,
    file: File,
    strip: Option<Printable>,
}

impl LiveOutput {
    fn of(manifest: &Manifest) -> Option<Self> {
        let path = PathBuf::from(manifest.output.stdout.as_ref()?);
        let file = open_no_follow(&path).ok()?;
        Some(Self { path, file, strip: on_terminal().then(Printable::new) })
    }

    fn show_new(&mut self, out: &Out) -> CliResult {
        if out.form() == Form::Json {
            return Ok(Exit::Done);
        }
        let mut buffer = [0; 16 << 10];
        // An agent that writes faster than can be shown must not keep Ctrl-C from being heard.
        for _ in 0..CHUNKS_A_TURN {
            let read = self.file.read(&mut buffer).map_err(|e| {
                let path = self.path.display();
                CliError::new(Exit::CannotDo, format!("could not read the agent's output {path}: {e}"))
            })?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(Exit::Done);
            };
            match &mut self.strip {
                Some(strip) => out.raw(strip.push(bytes).as_bytes())?,
                None => out.raw(bytes)?,
            };
        }
        Ok(Exit::Done)
    }
}
