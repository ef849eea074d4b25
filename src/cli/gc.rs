//! `ralph worktree gc`: delete old ended sessions and the trash; says what it would delete first.

use serde_json::json;

use super::args::{GcArgs, Global};
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Cell, Form, Out, Tone, age, table};
use super::surroundings::Surroundings;
use crate::removal::{ExpiryPlan, expire, gc};
use crate::words::count;

/// Runs the command.
pub fn run(global: &Global, args: &GcArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let root = here.worktree_root(out)?;
    here.settle(&root, out)?;
    let place = here.removal_place(&root);
    let plan = gc(&place, args.older_than)?;
    plan.problems.iter().for_each(|problem| out.note(problem));
    if !args.yes {
        return match out.form() {
            Form::Json => out.json(&plan),
            Form::Text => show(&plan, out),
        };
    }
    let expired = expire(&place, &plan)?;
    for spared in &expired.spared {
        out.note(&format!("{} was not deleted: {}", spared.what, spared.why));
    }
    for pin in &expired.kept_pins {
        out.note(&format!("{pin} stays: nothing else leads to its commit"));
    }
    match out.form() {
        Form::Json => out.json(&json!({
            "deleted": { "sessions": expired.sessions, "trash": expired.trash, "leftovers": expired.leftovers },
            "files": expired.size.files, "bytes": expired.size.bytes, "kept_pins": expired.kept_pins,
            "spared": expired.spared.iter().map(|s| json!({ "what": s.what, "why": s.why.to_string() })).collect::<Vec<_>>(),
        }))?,
        Form::Text => out.line(&format!(
            "deleted: {}, {}, {}, {}",
            count(expired.sessions.len(), "ended session"),
            count(expired.trash.len(), "removed worktree"),
            count(expired.size.files, "file"),
            bytes(expired.size.bytes)
        ))?,
    };
    Ok(if expired.spared.is_empty() { Exit::Done } else { Exit::CannotDo })
}

fn show(plan: &ExpiryPlan, out: &Out) -> CliResult {
    let now = jiff::Timestamp::now();
    let mut rows = Vec::new();
    for trash in &plan.trash {
        rows.push(vec![
            Cell::plain("removed worktree"),
            Cell::toned(trash.lane.to_string(), Tone::Strong),
            Cell::plain(age(trash.removed_at, now)),
            Cell::plain(bytes(trash.size.bytes)),
            Cell::toned(trash.unsaved.join(", "), Tone::Doubtful),
        ]);
    }
    for session in &plan.sessions {
        rows.push(vec![
            Cell::plain("ended session"),
            Cell::toned(session.lane.to_string(), Tone::Strong),
            Cell::plain(age(session.ended_at, now)),
            Cell::plain(bytes(session.size.bytes)),
            Cell::plain(session.id.to_string()),
        ]);
    }
    for leftover in &plan.leftovers {
        rows.push(vec![
            Cell::plain("leftover"),
            Cell::plain(""),
            Cell::plain(age(leftover.since, now)),
            Cell::plain(bytes(leftover.size.bytes)),
            Cell::plain(leftover.path.display().to_string()),
        ]);
    }
    if rows.is_empty() {
        out.note("nothing has expired");
        return Ok(Exit::Done);
    }
    for line in table(&["WHAT", "LANE", "AGE", "SIZE", "WOULD BE LOST"], &rows) {
        out.line(&line)?;
    }
    out.note(&format!("{} in all; nothing is deleted without --yes", bytes(plan.size.bytes)));
    Ok(Exit::Done)
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}
