//! Settling what earlier crashes left, before a command does what it is for, and telling what became of it.

use std::path::Path;

use super::error::CliResult;
use super::render::{Out, outcome_word};
use super::surroundings::Surroundings;
use crate::merge;
use crate::recover::{Scope, Settled, recover};
use crate::removal;

impl Surroundings {
    /// Settles what an earlier crash left. Cheap: it looks only at what is on record as living.
    pub fn settle(&self, root: &Path, out: &Out) -> CliResult<()> {
        let recovered = recover(self.recovery(), Scope::Living)?;
        for one in recovered.sessions {
            let lane = one.lane.map_or_else(|| one.session.to_string(), |lane| lane.to_string());
            match one.settled {
                Settled::Ended { outcome, reason, .. } => {
                    let word = outcome_word(&outcome);
                    out.note(&format!("{lane}: its last session is {word}: {}", reason.unwrap_or_default()));
                }
                Settled::Alive
                | Settled::Retired
                | Settled::Discarded
                | Settled::Contended
                | Settled::Left(_) => {}
            }
        }
        self.settle_removals(root, out)?;
        self.settle_merges(root, out)
    }

    /// Finishes merges that were interrupted.
    pub fn settle_merges(&self, root: &Path, out: &Out) -> CliResult<()> {
        for settled in merge::settle(&self.merge_place(root))? {
            out.note(&settled.to_string());
        }
        Ok(())
    }

    /// Finishes removals and restorations that were interrupted.
    pub fn settle_removals(&self, root: &Path, out: &Out) -> CliResult<()> {
        for one in removal::settle(&self.removal_place(root))? {
            match one {
                removal::Settled::Stays(_) => {}
                removal::Settled::Removed(removed) => {
                    out.note(&format!("{}: its interrupted removal was finished", removed.lane));
                }
                removal::Settled::Restored(lane) => {
                    out.note(&format!("{lane}: its interrupted restoration was finished"));
                }
                removal::Settled::Expired(lane) => {
                    out.note(&format!("{lane}: what had expired of it was deleted to the end"));
                }
                removal::Settled::Left(lane, error) => {
                    out.note(&format!("{lane} was left as it is: {error}"));
                }
            }
        }
        Ok(())
    }
}
