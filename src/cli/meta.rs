//! `schema`, `completions`, `man`: what ralph says about itself.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
use crate::session::manifest;

/// The manifest's JSON Schema.
pub fn schema(out: &Out) -> CliResult {
    out.json(&manifest::schema())
}

/// A completion script.
pub fn completions(args: &CompletionsArgs, out: &Out) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ralph", &mut script);
    out.raw(&script)
}

/// Manual pages, one a command.
pub fn man(args: &ManArgs, out: &Out) -> CliResult {
    let failed = |path: &Path, e: std::io::Error| {
        CliError::new(
            Exit::CannotDo,
            format!("could not write the manual pages into {}: {e}", path.display()),
        )
    };
    std::fs::create_dir_all(&args.dir).map_err(|e| failed(&args.dir, e))?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(|e| failed(&args.dir, e))?;
    out.note(&format!(
        "the manual pages are in {}: man -l {}/ralph.1",
        args.dir.display(),
        args.dir.display()
    ));
    Ok(Exit::Done)
}
