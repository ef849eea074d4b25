//! `ralph worktree merge`: bring a lane's work into a branch, with no one's checkout disturbed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::args::{Global, MergeArgs};
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Form, Out, Tone};
use super::surroundings::Surroundings;
use crate::config::{Layer, Settings};
use crate::git::{Blocked, WhyBlocked};
use crate::merge::{
    Conflict, IfChanged, MergeError, MergeRequest, Merged, Planned, Progress, Verify, dry_run, merge,
};
use crate::redact::redacted_script;
use crate::session::lane::LaneRecord;
use crate::ticket::TicketFolder;

/// Notes go to standard error; Ctrl-C ends the process, which the queue survives.
struct Told<'o>(&'o Out);

impl Progress for Told<'_> {
    fn note(&self, text: &str) {
        self.0.note(text);
    }
}

/// Runs the command.
pub fn run(global: &Global, args: &MergeArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let flags = Layer {
        merge_strategy: args.strategy,
        verify: args.verify.clone(),
        verify_timeout: args.verify_timeout,
        ..Layer::default()
    };
    let settings = here.settings(flags, out)?;
    let root = settings.worktree_root.of(here.main());
    if !args.dry_run {
        here.settle(&root, out)?;
    }
    let record = here.lane(&args.lane)?;
    let request = MergeRequest {
        title: title(&here, &record),
        lane: record.lane,
        into: args.into.clone(),
        changes: if args.accept_changes { IfChanged::Accept } else { IfChanged::Refuse },
        strategy: settings.merge_strategy,
        verify: verify_of(&settings),
    };
    let place = here.merge_place(&root);
    let told = Told(out);
    let outcome = match args.dry_run {
        true => dry_run(&place, &request, &told).map(|planned| show_plan(&planned, out)),
        false => merge(&place, &request, &told).map(|merged| show(&merged, out)),
    };
    match outcome {
        Ok(shown) => shown,
        Err(error) => failed(error, out),
    }
}

/// What a merged result has to pass, by the settings.
pub fn verify_of(settings: &Settings) -> Option<Verify> {
    let timeout = settings.verify_timeout.bound();
    settings.verify.command().map(|command| Verify { command: command.to_owned(), timeout })
}

fn title(here: &Surroundings, record: &LaneRecord) -> Option<String> {
    let folder = TicketFolder::open(here.context.repo.main_checkout()?).ok()??;
    let found = folder.find(record.lane.ticket()).ok()??;
    found.ticket.title().map(str::to_owned)
}

fn show(merged: &Merged, out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json(&with_status("merged", json!(merged)));
    }
    let good = Tone::Good.style();
    out.line(&format!(
        "{} is {good}merged{good:#} into {}: {} ({})",
        merged.lane,
        merged.target,
        merged.commit.short(),
        merged.strategy.word()
    ))?;
    followed(&merged.trees, "has followed", out)
}

fn show_plan(planned: &Planned, out: &Out) -> CliResult {
    planned.notes.iter().for_each(|note| out.note(note));
    if out.form() == Form::Json {
        return out.json(&with_status("dry_run", json!(planned)));
    }
    out.line(&format!(
        "{} ({} at {}) would be merged into {} ({}), with the strategy {}",
        planned.lane,
        planned.branch,
        planned.tip.short(),
        planned.target,
        planned.before.short(),
        planned.strategy.word()
    ))?;
    followed(&planned.trees, "would follow", out)
}

fn followed(trees: &[PathBuf], verb: &str, out: &Out) -> CliResult {
    for tree in trees {
        out.line(&super::render::clean(&format!("  {} {verb}", tree.display())))?;
    }
    Ok(Exit::Done)
}

/// What is there already is no failure. Else a program gets, beside the error, what it can act on.
fn failed(error: MergeError, out: &Out) -> CliResult {
    let detail = match &error {
        MergeError::NothingToMerge { lane, target, .. } => {
            json!({ "status": "nothing_to_merge", "lane": lane, "target": target })
        }
        MergeError::Conflict(conflict) => {
            let Conflict { lane, target, files, commit, .. } = conflict.as_ref();
            json!({ "status": "conflict", "lane": lane, "target": target, "files": files, "commit": commit })
        }
        MergeError::InTheWay { target, blocked: Blocked { tree, why } } => {
            let files = if let WhyBlocked::Files(files) = why { shown(files) } else { Vec::new() };
            json!({ "status": "in_the_way", "target": target, "tree": tree.to_string_lossy(), "files": files })
        }
        MergeError::VerifyFailed { lane, command, how, log } => json!({
            "status": "verify_failed", "lane": lane, "command": redacted_script(command), "how": how,
            "log": log.to_string_lossy(),
        }),
        MergeError::ConfigChanged { lane, what } => {
            json!({ "status": "config_changed", "lane": lane, "changed": what })
        }
        MergeError::HookRefused { lane, hook, said } => {
            json!({ "status": "hook_refused", "lane": lane, "hook": hook, "said": said })
        }
        _ => Value::Null,
    };
    if out.form() == Form::Json && !detail.is_null() {
        out.json(&detail)?;
    }
    if matches!(error, MergeError::NothingToMerge { .. }) {
        out.note(&error.to_string());
        return Ok(Exit::Done);
    }
    Err(error.into())
}

fn shown(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file.to_string_lossy().into_owned()).collect()
}

fn with_status(status: &str, mut document: Value) -> Value {
    let mut all = json!({ "status": status });
    if let (Some(all), Some(rest)) = (all.as_object_mut(), document.as_object_mut()) {
        all.append(rest);
    }
    all
}
