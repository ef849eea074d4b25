//! How a session ended, in one line.

use super::error::CliResult;
use super::exit::Exit;
use super::render::{Out, Tone, one_line, outcome_word};
use crate::session::manifest::{Manifest, Outcome};
use crate::words::count;

/// One line on how a session ended.
pub fn show_end(manifest: &Manifest, out: &Out) -> CliResult {
    let Some(outcome) = &manifest.outcome else { return Ok(Exit::Done) };
    let tone = Tone::of(outcome).style();
    let word = outcome_word(outcome);
    let reason = manifest.reason.as_deref().map(|reason| format!(": {}", one_line(reason)));
    let work = manifest
        .work
        .as_ref()
        .map(|work| format!(" ({} on {})", count(work.commits, "commit"), manifest.worktree.branch));
    out.line(&format!(
        "{} {tone}{word}{tone:#}{}{}",
        manifest.lane,
        reason.unwrap_or_default(),
        work.unwrap_or_default()
    ))?;
    let complaints = manifest.output.stderr.as_ref().and_then(|path| std::fs::metadata(path).ok());
    if *outcome == Outcome::Failed && complaints.is_some_and(|file| file.len() > 0) {
        out.note(&format!(
            "what it wrote to its standard error: ralph worktree logs --stderr {}",
            manifest.lane
        ));
    }
    Ok(Exit::Done)
}
