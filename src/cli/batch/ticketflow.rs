//! What a pi-ticketflow project says in its own settings, where nothing else was said.

use std::path::Path;

use super::wish::Wish;
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::render::{Out, clean};
use crate::config::ticketflow::FILE;
use crate::config::{Limit, ticketflow};

/// The wish with the project's settings under everything else.
pub fn over(mut wish: Wish, main: &Path, out: &Out) -> CliResult<Wish> {
    let read = ticketflow::read(main).map_err(|error| CliError::new(Exit::Usage, error.to_string()))?;
    let Some(found) = read else { return Ok(wish) };
    let unusable = |error: String| CliError::new(Exit::Usage, format!("{FILE}: {error}"));
    for problem in &found.unusable {
        out.note(&clean(&format!("{FILE}: {problem}")));
    }
    if !found.unknown.is_empty() {
        let keys = found.unknown.join(", ");
        out.note(&clean(&format!("{FILE}: these mean nothing here: {keys}")));
    }
    wish.ticketflow.timeout = found.timeout.map(Limit::At);
    if let (None, Some(text)) = (&wish.run.workflow, &found.workflow) {
        let workflow = text.parse().map_err(|error| unusable(format!("workflow: {error}")))?;
        wish.ticketflow.workflow = Some(workflow);
    }
    if let (None, Some(text)) = (&wish.run.flags, &found.flags) {
        let flags = text.parse().map_err(|error| unusable(format!("workflowFlags: {error}")))?;
        wish.ticketflow.flags = Some(flags);
    }
    wish.pool.jobs = wish.pool.jobs.or(found.jobs);
    wish.pool.retries = wish.pool.retries.or(found.retries);
    wish.most_tickets = wish.most_tickets.or(found.tickets);
    Ok(wish)
}
