//! What a pi-ticketflow project says in its own settings, where nothing else was said.

use std::path::Path;

use super::wish::Wish;
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::render::{Out, clean};
use crate::config::{Limit, ticketflow};

/// The wish with the project's settings under what was typed.
pub fn over(mut wish: Wish, main: &Path, out: &Out) -> CliResult<Wish> {
    let read = ticketflow::read(main).map_err(|error| CliError::new(Exit::Usage, error.to_string()))?;
    let Some(found) = read else { return Ok(wish) };
    let unusable = |error: String| CliError::new(Exit::Usage, format!(".tf/ralph/config.json: {error}"));
    for problem in &found.unusable {
        out.note(&clean(&format!(".tf/ralph/config.json: {problem}")));
    }
    if !found.unknown.is_empty() {
        let keys = found.unknown.join(", ");
        out.note(&clean(&format!(".tf/ralph/config.json: these mean nothing here: {keys}")));
    }
    let run = &mut wish.run;
    run.timeout = run.timeout.or(found.timeout.map(Limit::At));
    if let (None, Some(text)) = (&run.workflow, &found.workflow) {
        run.workflow = Some(text.parse().map_err(|error| unusable(format!("workflow: {error}")))?);
    }
    if let (None, Some(text)) = (&run.flags, &found.flags) {
        run.flags = Some(text.parse().map_err(|error| unusable(format!("workflowFlags: {error}")))?);
    }
    wish.pool.jobs = wish.pool.jobs.or(found.jobs);
    if wish.pool.retries == 0 {
        wish.pool.retries = found.retries.unwrap_or(0);
    }
    wish.most_tickets = wish.most_tickets.or(found.tickets);
    Ok(wish)
}
