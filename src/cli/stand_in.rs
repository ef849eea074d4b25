//! The stand-in agent of the demo: `ralph __stand-in-agent TICKET`, run in a worktree by a supervisor as any agent is.
//!
//! It plays what is prepared in `demo::project`: says what it does, writes files, commits with git as an agent would.
//! No model, no network, and nothing clever. It works only in a worktree that was made for it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;

use super::demo::project::{Act, Beat, DemoTicket, ticket, ticket_file};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
use crate::session::launch::SESSION_VARIABLE;

/// The hidden subcommand.
pub const STAND_IN: &str = "__stand-in-agent";

/// Who its commits are by, whatever is configured or not.
const IDENTITY: [&str; 4] =
    ["-c", "user.name=ralph's stand-in agent", "-c", "user.email=stand-in@ralph.invalid"];

/// Runs it.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let out = Out::new(false);
    let played = find(arguments).and_then(|(ticket, tree)| Player { ticket, tree, out: &out }.play());
    match played {
        Ok(exit) => exit.into(),
        Err(error) => {
            out.error(&error);
            error.exit.into()
        }
    }
}

/// The ticket that was asked for, and the worktree to work in.
fn find(arguments: &[OsString]) -> CliResult<(&'static DemoTicket, PathBuf)> {
    let usage =
        |message: &str| CliError::new(Exit::Usage, format!("the stand-in agent of `ralph demo` {message}"));
    let id = arguments.first().and_then(|id| id.to_str()).unwrap_or_default();
    let ticket = ticket(id).ok_or_else(|| usage("knows the demo's tickets only"))?;
    let tree = std::env::var_os("RALPH_WORKTREE").filter(|_| std::env::var_os(SESSION_VARIABLE).is_some());
    let tree = tree.map(PathBuf::from).ok_or_else(|| usage("works in a session only"))?;
    match fs::read_to_string(tree.join(ticket_file(id))) {
        Ok(content) if content == ticket.content => Ok((ticket, tree)),
        _ => Err(usage("found another ticket than the demo's, or one that is done")),
    }
}

struct Player<'a> {
    ticket: &'static DemoTicket,
    tree: PathBuf,
    out: &'a Out,
}

impl Player<'_> {
    fn play(&self) -> CliResult {
        let begun = Instant::now();
        self.out.line("stand-in agent, built into ralph: no model, no network, nothing clever")?;
        self.out.line(&format!("reads {}", ticket_file(self.ticket.id)))?;
        for Beat { at, act } in self.ticket.play {
            thread::sleep(at.saturating_sub(begun.elapsed()));
            self.act(act)?;
        }
        Ok(Exit::Done)
    }

    fn act(&self, act: &Act) -> CliResult {
        match act {
            Act::Say(text) => self.out.line(text),
            Act::Write { file, content } => {
                self.out.line(&format!("writes {file}"))?;
                self.write(file, content)
            }
            Act::Edit { file, old, new } => {
                self.out.line(&format!("edits {file}"))?;
                self.edit(file, old, new)
            }
            Act::Close => {
                self.out.line("closes the ticket")?;
                self.edit(&ticket_file(self.ticket.id), "\nstatus: open\n", "\nstatus: closed\n")
            }
            Act::Commit(message) => {
                self.out.line(&format!("commits: {message}"))?;
                self.git(&["add", "--all"])?;
                self.git(&["commit", "--quiet", "--message", message])
            }
        }
    }

    fn write(&self, file: &str, content: &str) -> CliResult {
        let path = self.tree.join(file);
        fs::write(&path, content).map_err(|e| failed("write", &path, &e))?;
        Ok(Exit::Done)
    }

    fn edit(&self, file: &str, old: &str, new: &str) -> CliResult {
        let path = self.tree.join(file);
        let content = fs::read_to_string(&path).map_err(|e| failed("read", &path, &e))?;
        self.write(file, &content.replacen(old, new, 1))
    }

    fn git(&self, arguments: &[&str]) -> CliResult {
        let mut git = Command::new("git");
        git.args(IDENTITY).args(arguments).current_dir(&self.tree).stdin(Stdio::null());
        let failed = |why: String| {
            CliError::new(Exit::NotSucceeded, format!("`git {}` failed: {why}", arguments.join(" ")))
        };
        match git.status() {
            Ok(status) if status.success() => Ok(Exit::Done),
            Ok(status) => Err(failed(status.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn failed(operation: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Exit::NotSucceeded, format!("could not {operation} {}: {error}", path.display()))
}
