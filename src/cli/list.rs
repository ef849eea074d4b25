//! `ralph worktree list`: every lane at a glance.

use jiff::Timestamp;

use super::args::{Global, ListArgs};
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, age, one_line, outcome_word, table};
use super::surroundings::Surroundings;
use crate::report::{
    Activity, Dirty, LaneReport, PATIENCE, TreeState, add_titles, forget_old_merges, lanes, look_at_trees,
};
use crate::session::leak::Leak;
use crate::session::manifest::State;
use crate::ticket::TicketFolder;

/// As much of a title as a line has room for.
const TITLE_CHARS: usize = 40;

/// How much of a reason is shown.
const REASON_CHARS: usize = 80;

/// Runs the command.
pub fn run(global: &Global, args: &ListArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let (mut reports, damaged) = lanes(here.store())?;
    for problem in &damaged {
        out.note(&problem.with_hint());
    }
    forget_old_merges(&mut reports, &here.context.repo)?;
    // Titles are a help; a folder that cannot be read takes nothing else away.
    if let Some(folder) =
        here.context.repo.main_checkout().and_then(|main| TicketFolder::open(main).ok().flatten())
    {
        add_titles(&mut reports, &folder);
    }
    if args.dirty {
        look_at_trees(&here.context.repo, here.store(), &mut reports, PATIENCE);
    }
    if out.form() == Form::Json {
        return out.json(&reports);
    }
    if reports.is_empty() {
        out.note("no lanes yet; begin one: ralph worktree dispatch TICKET");
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<Cell>> = reports.iter().map(|report| row(report, now)).collect();
    for line in table(&["LANE", "STATE", "AGE", "WORK", "COST", "BRANCH", "TITLE", "NOTE"], &rows) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

fn row(report: &LaneReport, now: Timestamp) -> Vec<Cell> {
    let (state, tone) = state(report);
    let since = match report.activity {
        Activity::Ended => report.ended_at,
        _ => report.started_at.or(report.created_at),
    };
    let work = report.work.as_ref().map(|work| {
        let mut text = format!("{} +{} -{}", work.commits, work.insertions, work.deletions);
        if work.uncommitted + work.untracked > 0 {
            text.push_str(&format!(" ({} unsaved)", work.uncommitted + work.untracked));
        }
        text
    });
    let cost = report.usage.as_ref().map(|usage| format!("${:.2}", usage.cost_usd));
    vec![
        Cell::toned(report.lane.to_string(), Tone::Strong),
        Cell::toned(state, tone),
        Cell::plain(since.map(|then| age(then, now)).unwrap_or_default()),
        Cell::plain(work.unwrap_or_default()),
        Cell::plain(cost.unwrap_or_default()),
        Cell::plain(report.branch.to_string()),
        Cell::plain(shortened(report.title.as_deref().unwrap_or_default(), TITLE_CHARS)),
        Cell::toned(note(report), Tone::Faint),
    ]
}

/// Its beginning, and that there is more; `inspect` shows it whole.
fn shortened(text: &str, chars: usize) -> String {
    let text = one_line(text);
    match text.char_indices().nth(chars) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(&text)),
    }
}

fn state(report: &LaneReport) -> (String, Tone) {
    match report.activity {
        Activity::None | Activity::Ended if report.merged.is_some() => ("merged".to_owned(), Tone::Good),
        Activity::None => ("idle".to_owned(), Tone::Faint),
        Activity::Live => {
            let word = match &report.state {
                Some(State::Preparing) => "preparing",
                Some(State::Queued) => "queued",
                Some(State::Launching) => "launching",
                Some(State::Stopping) => "stopping",
                _ => "running",
            };
            (word.to_owned(), Tone::Good)
        }
        Activity::Ended => match &report.outcome {
            Some(outcome) => (outcome_word(outcome), Tone::of(outcome)),
            None => ("ended".to_owned(), Tone::Doubtful),
        },
        Activity::Unsettled => ("unsettled".to_owned(), Tone::Bad),
        Activity::Unreadable => ("unreadable".to_owned(), Tone::Bad),
    }
}

fn note(report: &LaneReport) -> String {
    let mut notes = Vec::new();
    notes.extend(report.merged.as_ref().map(|merged| format!("in {}", merged.into)));
    if report.worktree_state == TreeState::Missing {
        notes.push("worktree missing".to_owned());
    }
    match &report.dirty {
        None => {}
        Some(Dirty::Seen { uncommitted: 0, untracked: 0, operation: None }) => {
            notes.push("clean now".to_owned());
        }
        Some(Dirty::Seen { uncommitted, untracked, operation }) => {
            notes.push(format!("now {uncommitted} changed, {untracked} new"));
            notes.extend(operation.iter().map(|operation| format!("a {operation} is open")));
        }
        Some(Dirty::Unknown { why }) => notes.push(format!("could not be looked at: {why}")),
    }
    if matches!(report.activity, Activity::Unsettled | Activity::Unreadable) {
        notes.push("settle it: ralph worktree recover".to_owned());
    }
    notes.extend(leaks_in_short(&report.leaks));
    notes.extend(report.reason.as_deref().map(|reason| shortened(reason, REASON_CHARS)));
    notes.join("; ")
}

/// The first of what changed elsewhere, and how much more there is; `inspect` shows it all.
fn leaks_in_short(leaks: &[Leak]) -> Option<String> {
    let first = shortened(&leaks.first()?.in_words(), REASON_CHARS);
    let more = match leaks.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Some(format!("meanwhile, elsewhere: {first}{more}"))
}
