//! `schema`, `completions`, `man`: what ralph says about itself.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, Format, ManArgs, SchemaArgs};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;

/// The JSON Schema of what programs read, as it is published. That the types write nothing else is held by the tests.
pub fn schema(args: &SchemaArgs, out: &Out) -> CliResult {
    out.raw(match args.of {
        Format::Manifest => include_bytes!("../../docs/manifest.schema.json"),
        Format::Events => include_bytes!("../../docs/batch-events.schema.json"),
    })
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
