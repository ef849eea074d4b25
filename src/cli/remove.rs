//! `ralph worktree remove`: to the trash, if nothing could be lost.

use super::args::{Global, RemoveArgs};
use super::error::CliResult;
use super::exit::Exit;
use super::naming::Meant;
use super::render::{Form, Out};
use super::surroundings::Surroundings;
use crate::removal::{BranchPlan, IfUnsaved, Planned, RemovalError, Removed, WhyKept, plan, remove};

/// Runs the command.
pub fn run(global: &Global, args: &RemoveArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let root = here.worktree_root(out)?;
    let place = here.removal_place(&root);
    let unsaved = if args.with_unsaved { IfUnsaved::ToTrash } else { IfUnsaved::Refuse };
    let (lane, no_lane) = match here.meant(&args.lane)? {
        Meant::Lane(record) => (record.lane, None),
        // Something half removed is on record no more, and still found by its name.
        Meant::Nothing { name, error } => (name, Some(error)),
    };
    let told = |error: RemovalError| match (error, no_lane) {
        (RemovalError::NoSuchLane { .. }, Some(no_lane)) => no_lane,
        (error, _) => error.into(),
    };
    if args.dry_run {
        let planned = plan(&place, &lane, unsaved).map_err(told)?;
        return show_plan(&planned, out);
    }
    here.settle(&root, out)?;
    let removed = remove(&place, &lane, unsaved).map_err(told)?;
    show(&removed, out)
}

fn show_plan(planned: &Planned, out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json(planned);
    }
    match &planned.trash {
        Some(trash) => out.line(&format!("{} would go to {}", planned.path.display(), trash.display()))?,
        None => out.line(&format!("{} is gone already; its record would go", planned.path.display()))?,
    };
    let items: Vec<String> = planned.unsaved.items.iter().map(ToString::to_string).collect();
    show_rest(&planned.branch_plan, planned.branch.as_str(), &items, "would be", out)
}

fn show(removed: &Removed, out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json(removed);
    }
    match &removed.trash {
        Some(trash) => out.line(&format!("{} is in the trash: {}", removed.lane, trash.display()))?,
        None => out.line(&format!("{} is removed; its folder was gone already", removed.lane))?,
    };
    show_rest(&removed.branch_plan, removed.branch.as_str(), &removed.unsaved, "is", out)?;
    out.note(&format!("bring it back: ralph worktree restore {}", removed.lane));
    Ok(Exit::Done)
}

fn show_rest(branch: &BranchPlan, name: &str, unsaved: &[String], verb: &str, out: &Out) -> CliResult {
    if !unsaved.is_empty() {
        out.line(&format!("  with what is nowhere else: {}", super::render::clean(&unsaved.join(", "))))?;
    }
    let line = match branch {
        BranchPlan::Gone => format!("branch {name} is gone"),
        BranchPlan::Deleted { contained_in } => {
            format!("branch {name} {verb} deleted: all of its commits are in {contained_in}")
        }
        BranchPlan::Kept { why } => {
            let why = match why {
                WhyKept::OwnCommits => "no other branch has its commits".to_owned(),
                WhyKept::InUse(path) => format!("it is in use in {}", path.display()),
                WhyKept::UsersBranch => "its name was not ralph's choice".to_owned(),
                WhyKept::Moved => "it moved while it was looked at".to_owned(),
            };
            format!("branch {name} {verb} kept: {why}")
        }
    };
    out.line(&format!("  {line}"))
}
