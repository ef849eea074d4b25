//! STUB
use super::args::Global;
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
/// Runs the command.
pub fn run(_: &Global, _: &Out) -> CliResult {
    Err(CliError::new(Exit::Bug, "not yet"))
}
