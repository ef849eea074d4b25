//! STUB
use super::args::{GcArgs, Global};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
/// Runs the command.
pub fn run(_: &Global, _: &GcArgs, _: &Out) -> CliResult {
    Err(CliError::new(Exit::Bug, "not yet"))
}
