//! STUB
use std::ffi::OsString;
use std::process::ExitCode;
/// The hidden subcommand.
pub const STAND_IN: &str = "__stand-in-agent";
/// Runs it.
pub fn run(_: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}
