//! `ralph worktree create`: the worktree without a session.

use jiff::Timestamp;
use serde_json::json;

use super::args::{CreateArgs, Global};
use super::error::CliResult;
use super::exit::Exit;
use super::files_line;
use super::render::{Form, Out};
use super::surroundings::Surroundings;
use crate::config::Layer;
use crate::dispatch::create::{Created, create};
use crate::dispatch::plan::plan;
use crate::git::Located;

/// Runs the command.
pub fn run(global: &Global, args: &CreateArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let settings = here.settings(Layer::default(), out)?;
    let place = here.place(&args.place, &settings)?;
    if args.dry_run {
        let plan = plan(&here.context, &place)?;
        plan.notes().iter().for_each(|note| out.note(note));
        let action = match plan.located {
            Located::Present(_) => "located",
            Located::New | Located::BranchOnly { .. } | Located::Missing(_) => "created",
        };
        let path = plan.path().display().to_string();
        return match out.form() {
            Form::Json => out.json(&json!({
                "schema_version": 1, "status": "dry_run", "ticket_id": plan.lane.ticket(), "lane": plan.lane, "worktree": path,
                "branch": plan.site.branch, "base_ref": plan.base.name,
                "base_commit": plan.base_commit(), "notes": plan.notes(),
            })),
            Form::Text => out.line(&format!("{path} would be {action}, on branch {}", plan.site.branch)),
        };
    }
    here.settle(&place.worktree_root, out)?;
    let made = files_line::shown(here.context.repo.progress(), out, || {
        create(&here.context, &place, Timestamp::now())
    });
    let Created { record, notes } = made?;
    notes.iter().for_each(|note| out.note(note));
    match out.form() {
        Form::Json => out.json(&json!({
            "schema_version": 1, "status": "ready", "ticket_id": record.lane.ticket(), "lane": record.lane,
            "worktree": record.worktree, "branch": record.branch, "base_ref": record.base_ref,
            "base_commit": record.base_commit, "notes": notes,
        }))?,
        Form::Text => out.line(&record.worktree)?,
    };
    Ok(Exit::Done)
}
