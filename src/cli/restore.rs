//! `ralph worktree restore`: bring back what was removed.

use super::args::{Global, RestoreArgs};
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Form, Out};
use super::surroundings::Surroundings;
use crate::git::{BranchBack, HeadBack};
use crate::removal::{FolderBack, restore};

/// Runs the command.
pub fn run(global: &Global, args: &RestoreArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let root = here.worktree_root(out)?;
    here.settle(&root, out)?;
    let restored = restore(&here.removal_place(&root), &args.lane)?;
    if out.form() == Form::Json {
        return out.json(&restored);
    }
    match restored.folder {
        FolderBack::Back => out.line(&format!("{} is back: {}", restored.lane, restored.path.display()))?,
        FolderBack::Missing => {
            out.line(&format!("{} is on record again; its folder was gone before", restored.lane))?
        }
    };
    match &restored.branch_back {
        BranchBack::AsItWas => {}
        BranchBack::Remade(commit) => {
            out.line(&format!("  branch {} is made again at {}", restored.branch, commit.short()))?;
        }
        BranchBack::MovedOn => {
            out.line(&format!(
                "  branch {} has moved on meanwhile and contains what it was",
                restored.branch
            ))?;
        }
    }
    if let HeadBack::Detached { commit, branch, why } = &restored.head {
        out.note(&format!("{} is checked out without a branch: {branch} {why}", commit.short()));
    }
    Ok(Exit::Done)
}
