//! STUB
use super::args::{Global, LaneArg};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
/// Runs the command.
pub fn run(_: &Global, _: &LaneArg, _: &Out) -> CliResult {
    Err(CliError::new(Exit::Bug, "not yet"))
}
