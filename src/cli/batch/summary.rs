//! A batch in a table: what would be done, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::Left;
use super::words::{self, some, verdict};
use crate::batch::board::{Board, Handover, Item, Phase, Verdict};
use crate::batch::event::{Entry, Event, Halt, Skip};
use crate::batch::policy::hopeless;
use crate::batch::run::Finish;
use crate::cli::error::CliResult;
use crate::cli::exit::Exit;
use crate::cli::render::{Cell, Form, Out, Tone, one_line, table};
use crate::id::Lane;
use crate::words::count;

/// What is known of items and other lanes from the beginning.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// The items that are not worked on, and why.
    pub skips: &'a [(usize, Skip)],
    /// Those on which no one has to work any more.
    pub done: &'a [(usize, Left)],
    /// Why which lanes are passed over.
    pub passed_over: &'a BTreeMap<String, Vec<Lane>>,
}

/// Shows what would be done.
pub fn plan(begun: &Event, told: Told<'_>, handover: Handover, out: &Out) -> CliResult {
    let Told { skips, done, passed_over } = told;
    let board = Board::of(&[Entry { at: Timestamp::now(), event: begun.clone() }]);
    let left = |at: usize| done.iter().find(|(other, _)| *other == at).map(|(_, left)| *left);
    let mut given_up = hopeless(&board, handover);
    given_up.retain(|(at, _)| left(*at).is_none());
    given_up.extend(skips.iter().cloned());
    let why = |at: usize| given_up.iter().find(|(other, _)| *other == at).map(|(_, why)| why);
    if out.form() == Form::Json {
        let items: Vec<_> = board
            .items()
            .iter()
            .enumerate()
            .map(|(at, item)| json!({ "item": item.record, "skip": why(at), "left": left(at).map(word) }))
            .collect();
        return out.json(&json!({
            "schema_version": 1, "status": "dry_run", "jobs": board.jobs(), "items": items,
            "passed_over": passed_over
                .iter()
                .map(|(reason, lanes)| json!({ "lanes": lanes, "reason": reason }))
                .collect::<Vec<_>>(),
        }));
    }
    for (why, lanes) in passed_over {
        let lanes: Vec<String> = lanes.iter().map(ToString::to_string).collect();
        out.note(&format!("{}: passed over: {why}", lanes.join(", ")));
    }
    out.line(&format!("{}, at most {} at a time", count(board.items().len(), "ticket"), board.jobs()))?;
    let rows: Vec<Vec<Cell>> = board
        .items()
        .iter()
        .enumerate()
        .map(|(at, item)| {
            let record = &item.record;
            let needs: Vec<String> = record.deps.iter().map(|dep| dep.ticket_id.to_string()).collect();
            let components: Vec<String> = record.components.iter().cloned().collect();
            let note = match (why(at), left(at)) {
                (Some(why), _) => Cell::toned(format!("skipped: {why}"), Tone::Doubtful),
                (None, Some(Left::Merging)) => Cell::plain("was finished before: is only merged"),
                (None, Some(Left::Closing)) => Cell::plain("was merged before: its ticket is only closed"),
                (None, None) => Cell::plain(record.title.clone().unwrap_or_default()),
            };
            vec![
                Cell::toned(record.lane.to_string(), Tone::Strong),
                Cell::plain(format!("P{}", record.priority)),
                Cell::plain(some(&needs)),
                Cell::plain(some(&components)),
                note,
            ]
        })
        .collect();
    for line in table(&["LANE", "PRIO", "NEEDS", "COMPONENTS", ""], &rows) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

fn word(left: Left) -> &'static str {
    match left {
        Left::Merging => "merging",
        Left::Closing => "closing",
    }
}

/// Shows what came of it.
pub fn show(board: &Board, finish: Finish, out: &Out) -> CliResult {
    if board.items().is_empty() {
        return Ok(Exit::Done);
    }
    out.line("")?;
    let rows: Vec<Vec<Cell>> = board.items().iter().map(row).collect();
    for line in table(&["LANE", "RESULT", "TRIES", "COMMITS", "USED", "NOTE"], &rows) {
        out.line(&line)?;
    }
    matrix(board, out)?;
    let good = board.items().iter().filter(|item| item.verdict().is_some_and(Verdict::is_good)).count();
    let used = words::used(board.used());
    let used = if used.is_empty() { used } else { format!(", {used}") };
    out.line(&format!("{good} of {} came to a good end{used}", count(board.items().len(), "ticket")))?;
    let id = board.batch().map(|id| id.to_string()).unwrap_or_default();
    match finish {
        Finish::Finished => {}
        Finish::Interrupted if board.halt() == Some(Halt::DiskFull) => {
            out.note(&format!("batch {id}: make room, then: ralph worktree batch --resume"));
        }
        Finish::Interrupted => {
            out.note(&format!("batch {id}: take it up with: ralph worktree batch --resume"));
        }
        Finish::Left => {
            let running: Vec<String> =
                board.items().iter().filter(|i| i.is_active()).map(|i| i.record.lane.to_string()).collect();
            if !running.is_empty() {
                out.note(&format!("still running: {}", running.join(", ")));
            }
            out.note(&format!("batch {id}: take it up with: ralph worktree batch --resume"));
        }
    }
    Ok(Exit::Done)
}

fn row(item: &Item) -> Vec<Cell> {
    let (result, tone) = result(item);
    let note = match item.verdict() {
        Some(Verdict::Merged { into, commit }) => format!("{into} at {}", commit.get(..12).unwrap_or(commit)),
        Some(Verdict::NotMerged { reason, files, .. }) => {
            format!("{reason}{}", words::further(reason, files))
        }
        Some(Verdict::NotLaunched { reason, .. }) => reason.clone(),
        Some(Verdict::Skipped(why)) => why.to_string(),
        Some(Verdict::Ended(_)) | None => {
            item.last.as_ref().and_then(|last| last.reason.clone()).unwrap_or_default()
        }
    };
    let commits = item.last.as_ref().and_then(|last| last.work.as_ref()).map(|work| work.commits);
    vec![
        Cell::toned(item.record.lane.to_string(), Tone::Strong),
        Cell::toned(result, tone),
        Cell::plain(if item.last.is_none() { String::new() } else { item.attempts().to_string() }),
        Cell::plain(commits.map(|commits| commits.to_string()).unwrap_or_default()),
        Cell::plain(words::used(item.used)),
        Cell::plain(one_line(&note)),
    ]
}

fn result(item: &Item) -> (String, Tone) {
    match &item.phase {
        Phase::Over(last) => verdict(last),
        Phase::Waiting => ("waiting".to_owned(), Tone::Faint),
        Phase::Starting { .. } => ("starting".to_owned(), Tone::Plain),
        Phase::Running { .. } => ("running".to_owned(), Tone::Plain),
        Phase::Merging { .. } => ("to be merged".to_owned(), Tone::Plain),
    }
}

/// With several bases: tickets down, bases across.
fn matrix(board: &Board, out: &Out) -> CliResult {
    let name = |item: &Item| item.record.base.as_ref().map_or("(plain)".to_owned(), ToString::to_string);
    let bases: BTreeSet<String> = board.items().iter().map(name).collect();
    if bases.len() < 2 {
        return Ok(Exit::Done);
    }
    let mut tickets: Vec<&str> = Vec::new();
    for item in board.items() {
        if !tickets.contains(&item.record.ticket_id.as_str()) {
            tickets.push(item.record.ticket_id.as_str());
        }
    }
    let cell = |ticket: &str, base: &String| {
        let of = |item: &&Item| item.record.ticket_id.as_str() == ticket && name(item) == *base;
        let found = board.items().iter().find(of).map(result);
        found.map_or_else(|| Cell::plain(""), |(result, tone)| Cell::toned(result, tone))
    };
    let rows: Vec<Vec<Cell>> = tickets
        .iter()
        .map(|ticket| {
            let first = Cell::toned(*ticket, Tone::Strong);
            std::iter::once(first).chain(bases.iter().map(|base| cell(ticket, base))).collect()
        })
        .collect();
    let bases: Vec<String> = bases.iter().map(|base| one_line(base)).collect();
    let heads: Vec<&str> = std::iter::once("TICKET").chain(bases.iter().map(String::as_str)).collect();
    out.line("")?;
    for line in table(&heads, &rows) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}
