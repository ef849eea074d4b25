//! `ralph worktree wait`: until sessions have ended; the exit status tells how.

use super::args::{Global, WaitArgs};
use super::ended::show_end;
use super::error::CliResult;
use super::exit::Exit;
use super::render::{Form, Out};
use super::surroundings::Surroundings;
use super::waiting::{Happening, Vigil, ended_manifest, session_of};
use crate::session::state::is_success;

/// Runs the command.
pub fn run(global: &Global, args: &WaitArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let mut waiting = Vec::new();
    for lane in &args.lanes {
        let session = session_of(&here, lane)?;
        if !waiting.contains(&session) {
            waiting.push(session);
        }
    }
    let vigil = Vigil::begin(here.store(), &waiting)?;
    let mut all_succeeded = true;
    while !waiting.is_empty() {
        match vigil.next(None) {
            Happening::Free(id) => {
                waiting.retain(|other| *other != id);
                let manifest = ended_manifest(&here, id)?;
                all_succeeded &= manifest.outcome.as_ref().is_some_and(is_success);
                match out.form() {
                    Form::Json => out.json_line(&manifest)?,
                    Form::Text => show_end(&manifest, out)?,
                };
            }
            // The sessions go on: waiting is all that ends.
            Happening::Interrupt | Happening::Hangup => return Ok(Exit::Interrupted),
            Happening::Nothing => {}
        }
    }
    Ok(if all_succeeded { Exit::Done } else { Exit::NotSucceeded })
}
