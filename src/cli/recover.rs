//! `ralph worktree recover`: settle what a crash left.

use serde_json::json;

use super::args::Global;
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, outcome_word, table};
use super::surroundings::Surroundings;
use crate::recover::{Scope, Settled, recover};

/// Runs the command.
pub fn run(global: &Global, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let recovered = recover(here.store(), &here.context.machine, Scope::Everything)?;
    let root = here.worktree_root(out)?;
    here.settle_removals(&root, out)?;
    here.settle_merges(&root, out)?;
    if out.form() == Form::Json {
        let rows: Vec<_> = recovered
            .iter()
            .map(|one| {
                let (action, outcome, reason) = spoken(&one.settled);
                json!({ "session_id": one.session, "lane": one.lane, "action": action, "outcome": outcome, "reason": reason })
            })
            .collect();
        return out.json(&rows);
    }
    if recovered.is_empty() {
        out.note("nothing to settle: no session is on record as living");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> = recovered
        .iter()
        .map(|one| {
            let (action, outcome, reason) = spoken(&one.settled);
            let tone = match &one.settled {
                Settled::Ended { outcome, .. } => Tone::of(outcome),
                Settled::Left(_) | Settled::Contended => Tone::Doubtful,
                Settled::Alive | Settled::Discarded | Settled::Retired => Tone::Plain,
            };
            let lane = one.lane.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
            vec![
                Cell::toned(lane, Tone::Strong),
                Cell::plain(action),
                Cell::toned(outcome.unwrap_or_default(), tone),
                Cell::plain(reason.unwrap_or_default()),
            ]
        })
        .collect();
    for line in table(&["LANE", "ACTION", "OUTCOME", "REASON"], &rows) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

fn spoken(settled: &Settled) -> (&'static str, Option<String>, Option<String>) {
    match settled {
        Settled::Alive => ("alive", None, None),
        Settled::Ended { outcome, reason, mended } => {
            let mended = mended.as_ref().map(|source| format!("its manifest was made good from {source}"));
            let reason: Vec<String> = reason.iter().cloned().chain(mended).collect();
            ("settled", Some(outcome_word(outcome)), (!reason.is_empty()).then(|| reason.join("; ")))
        }
        Settled::Discarded => ("discarded", None, Some("it had never come into place".to_owned())),
        Settled::Retired => ("retired", None, Some("its end was on record already".to_owned())),
        Settled::Contended => ("left", None, Some("another command is at its lane".to_owned())),
        Settled::Left(why) => ("left", None, Some(why.clone())),
    }
}
