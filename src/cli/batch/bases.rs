//! Bases that no ticket could start from, or whose work could never be merged: told before anything has begun.

use std::collections::BTreeSet;

use super::wish::Wish;
use crate::batch::event::ItemRecord;
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::surroundings::Surroundings;
use crate::git::{Named, named};
use crate::id::RefName;

/// Refuses a base that is not there, or that cannot be merged into where everything is. A lane that is there already
/// has a base of its own.
pub fn refuse_bases(
    here: &Surroundings,
    wish: &Wish,
    default_base: Option<&RefName>,
    items: &[ItemRecord],
) -> CliResult<()> {
    let repo = &here.context.repo;
    let mut looked = BTreeSet::new();
    for item in items {
        let Some(base) = item.base.as_ref().or(default_base) else { continue };
        if looked.contains(base) || here.store().lane(&item.lane)?.is_some() {
            continue;
        }
        looked.insert(base);
        repo.resolve_base(base)?;
        match named(repo, base)? {
            Named::RemoteBranch | Named::Fixed | Named::Nothing if wish.landing.is_some() => {
                let message = format!(
                    "what is done from {:?} could not be merged into it: it is no branch of this repository",
                    base.as_str()
                );
                return Err(CliError::new(Exit::Refused, message).hint(
                    "check out a branch, or name one as base; or do without merging: `ralph worktree batch`",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
