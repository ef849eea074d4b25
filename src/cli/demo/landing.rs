//! The demo's last act: what succeeded is merged, and the checkout follows.

use serde_json::json;

use super::actor::{Actor, State};
use crate::cli::error::CliResult;
use crate::cli::render::{Form, Out, Tone, clean};
use crate::cli::surroundings::Surroundings;
use crate::config::WorktreeRoot;
use crate::merge::{IfChanged, MergeRequest, MergeStrategy, Progress, merge};
use crate::session::state::is_success;

/// What a merge has to say beside its result has no place in the demo.
struct Quiet;

impl Progress for Quiet {
    fn note(&self, _text: &str) {}
}

/// Merges what succeeded, one after the other, and tells each.
pub fn land(here: &Surroundings, actors: &[Actor], out: &Out) -> CliResult<()> {
    let root = WorktreeRoot::Beside.of(here.main());
    let place = here.merge_place(&root);
    for actor in actors {
        let State::Ended(manifest) = &actor.state else { continue };
        if !manifest.outcome.as_ref().is_some_and(is_success) {
            continue;
        }
        let request = MergeRequest {
            lane: manifest.lane.clone(),
            into: None,
            strategy: MergeStrategy::Merge,
            verify: None,
            changes: IfChanged::Refuse,
            title: Some(actor.ticket.title().to_owned()),
        };
        let merged = merge(&place, &request, &Quiet);
        match (merged, out.form()) {
            (Ok(merged), Form::Json) => out.json_line(&json!({
                "event": "merged", "ticket_id": merged.ticket_id, "into": merged.target, "commit": merged.commit,
            }))?,
            (Ok(merged), Form::Text) => {
                let good = Tone::Good.style();
                out.line(&format!("{} is {good}merged{good:#} into {}", merged.lane, merged.target))?
            }
            (Err(error), Form::Json) => out.json_line(&json!({
                "event": "not_merged", "ticket_id": manifest.ticket_id, "error": error.to_string(),
            }))?,
            (Err(error), Form::Text) => {
                let bad = Tone::Bad.style();
                out.line(&format!("{} is {bad}not merged{bad:#}: {}", manifest.lane, clean(&error.to_string())))?
            }
        };
    }
    Ok(())
}
