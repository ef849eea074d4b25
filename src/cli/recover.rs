//! `ralph worktree recover`: settle what a crash left.

use serde::Serialize;

use super::args::Global;
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, outcome_word, table};
use super::surroundings::Surroundings;
use crate::dispatch::REPO_PATIENCE;
use crate::id::{Lane, SessionId};
use crate::recover::{RecoverError, Recovered, Scope, Settled, recover};

/// Runs the command.
pub fn run(global: &Global, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let recovered = recover(here.recovery(), Scope::Everything)?;
    here.context.repo.settle_references(REPO_PATIENCE)?;
    // What was settled is shown even where a removal or a merge could not be.
    let root = here.worktree_root(out)?;
    let removals = here.settle_removals(&root, out).and_then(|()| here.settle_merges(&root, out));
    let removals = removals.map(|()| Exit::Done);
    let sessions = recovered.sessions.iter().map(row);
    let rows: Vec<Row> = sessions.chain(recovered.unseen.iter().map(unseen_row)).collect();
    if out.form() == Form::Json {
        out.json(&rows)?;
        return removals;
    }
    if rows.is_empty() {
        out.note("nothing to settle: no session is on record as living");
        return removals;
    }
    let cells: Vec<Vec<Cell>> = rows
        .into_iter()
        .map(|row| {
            let lane = row.lane.map_or_else(|| "?".to_owned(), |lane| lane.to_string());
            vec![
                Cell::toned(lane, Tone::Strong),
                Cell::plain(row.action),
                Cell::toned(row.outcome.unwrap_or_default(), row.tone),
                Cell::plain(row.reason.unwrap_or_default()),
            ]
        })
        .collect();
    for line in table(&["LANE", "ACTION", "OUTCOME", "REASON"], &cells) {
        out.line(&line)?;
    }
    removals
}

/// What is said of one session, or of one record that cannot be read.
#[derive(Debug, Serialize)]
struct Row {
    session_id: Option<SessionId>,
    lane: Option<Lane>,
    action: &'static str,
    outcome: Option<String>,
    reason: Option<String>,
    #[serde(skip)]
    tone: Tone,
}

fn row(one: &Recovered) -> Row {
    let (action, outcome, reason) = spoken(&one.settled);
    let tone = match &one.settled {
        Settled::Ended { outcome, .. } => Tone::of(outcome),
        Settled::Left(_) | Settled::Contended => Tone::Doubtful,
        Settled::Alive | Settled::Discarded | Settled::Retired => Tone::Plain,
    };
    Row { session_id: Some(one.session), lane: one.lane.clone(), action, outcome, reason, tone }
}

fn unseen_row(error: &RecoverError) -> Row {
    let reason = Some(match error {
        RecoverError::Store(error) => error.with_hint(),
        RecoverError::File(_) | RecoverError::Git(_) => error.to_string(),
    });
    Row { session_id: None, lane: None, action: "left", outcome: None, reason, tone: Tone::Doubtful }
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
