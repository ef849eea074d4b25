//! The command line: the only room that reads the environment and the terminal, or writes to them.
//!
//! `args` is what was typed, `surroundings` where, `naming` which lane or ticket that means, `request` what it asks to be
//! run; `settling` first finishes what was interrupted. One file a command does it, `render` prints. Errors
//! become a kind, a sentence and a hint in `error`, and a status in `exit`.

pub mod args;
mod attach;
mod batch;
mod config;
mod create;
mod demo;
mod dispatch;
mod doctor;
mod ended;
mod error;
mod exit;
mod files_line;
mod gc;
mod inspect;
mod lines;
mod list;
mod live;
mod logs;
mod merge;
mod meta;
mod naming;
mod path;
mod recover;
mod remove;
mod render;
mod request;
mod restore;
mod settling;
mod stand_in;
mod stop;
mod surroundings;
mod tail;
mod text;
mod wait;
mod waiting;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::launch::local::SUPERVISE;
use crate::process::disposition::hear_everything;
use args::{Cli, Command, WorktreeCommand};
use error::{CliError, CliResult};
use exit::Exit;
use render::Out;

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let word = arguments.get(1).map(|word| word.as_os_str());
    if word == Some(OsStr::new(SUPERVISE)) {
        // Before anything is parsed or opened: a supervisor stays small. Which signals it hears, it sees to itself.
        return supervise(arguments.get(2).map(Path::new));
    }
    hear_everything();
    if word == Some(OsStr::new(stand_in::STAND_IN)) {
        return stand_in::run(&arguments[2..]);
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let out = Out::new(cli.global.json);
    match command(&cli, &out) {
        Ok(exit) => exit.into(),
        Err(error) => {
            out.error(&error);
            error.exit.into()
        }
    }
}

fn supervise(session_dir: Option<&Path>) -> ExitCode {
    let supervised = session_dir.context("no session folder was given").and_then(|dir| {
        let inherited = |name: &str| std::env::var_os(name);
        crate::supervisor::supervise(dir, &inherited).with_context(|| format!("supervise {}", dir.display()))
    });
    match supervised {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            // Its standard error is the session's supervisor.log.
            render::note(&format!("{error:#}"));
            Exit::Bug.into()
        }
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let shown = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if shown {
        // A closed terminal is no reason for another status.
        drop(error.print());
    } else {
        let asked_json = std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json");
        Out::new(asked_json).error(&CliError::from(error));
    }
    let helped = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if helped { Exit::Done } else { Exit::Usage }.into()
}

fn command(cli: &Cli, out: &Out) -> CliResult {
    let global = &cli.global;
    match &cli.command {
        Command::Worktree(worktree) => match worktree.as_ref() {
            WorktreeCommand::Create(args) => create::run(global, args, out),
            WorktreeCommand::Dispatch(args) => dispatch::run(global, args, out),
            WorktreeCommand::Batch(args) => batch::run(global, args, out),
            WorktreeCommand::List(args) => list::run(global, args, out),
            WorktreeCommand::Inspect(args) => inspect::run(global, args, out),
            WorktreeCommand::Logs(args) => logs::run(global, args, out),
            WorktreeCommand::Wait(args) => wait::run(global, args, out),
            WorktreeCommand::Stop(args) => stop::run(global, args, out),
            WorktreeCommand::Attach(args) => attach::run(global, args, out),
            WorktreeCommand::Merge(args) => merge::run(global, args, out),
            WorktreeCommand::Remove(args) => remove::run(global, args, out),
            WorktreeCommand::Restore(args) => restore::run(global, args, out),
            WorktreeCommand::Recover => recover::run(global, out),
            WorktreeCommand::Gc(args) => gc::run(global, args, out),
            WorktreeCommand::Path(args) => path::run(global, args, out),
        },
        Command::Run(args) => batch::run_loop(global, args, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Doctor => doctor::run(global, out),
        Command::Config(args) => config::run(global, args, out),
        Command::Schema(args) => meta::schema(args, out),
        Command::Completions(args) => meta::completions(args, out),
        Command::Man(args) => meta::man(args, out),
    }
}
