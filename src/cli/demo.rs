//! STUB
use super::args::DemoArgs;
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
/// Runs the command.
pub fn run(_: &DemoArgs, _: &Out) -> CliResult {
    Err(CliError::new(Exit::Bug, "not yet"))
}
