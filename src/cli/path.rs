//! `ralph worktree path`: for `cd "$(ralph worktree path T-1)"`.

use serde_json::json;

use super::args::{Global, LaneArg};
use super::error::{CliResult, worktree_gone};
use super::render::{Form, Out};
use super::surroundings::Surroundings;
use crate::git::{Located, Site, locate};

/// Runs the command.
pub fn run(global: &Global, args: &LaneArg, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let record = here.lane(&args.lane)?;
    let site = Site {
        slug: record.lane.slug(),
        branch: record.branch.clone(),
        path: record.worktree.clone().into(),
        recorded_id: Some(record.worktree_id.clone()),
    };
    // Wherever it was moved.
    let path = match locate(&here.context.repo, &site)? {
        Located::Present(worktree) => worktree.path,
        Located::New | Located::BranchOnly { .. } | Located::Missing(_) => {
            return Err(worktree_gone(&record));
        }
    };
    let text = path.display().to_string();
    match out.form() {
        Form::Json => out.json(&json!({ "lane": record.lane, "worktree": text })),
        Form::Text => out.raw(format!("{text}\n").as_bytes()),
    }
}
