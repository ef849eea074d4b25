//! `ralph worktree logs`: what the agent said and did.
//!
//! pi's own record is shown as messages and tool calls; another agent's output as text. On a terminal nothing that an
//! agent wrote can move the cursor, change a colour or set a title, unless `--raw` asks for the bytes as they are.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{SeekFrom, seek};
use serde_json::json;

use super::args::{Global, LogsArgs};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::lines::Lines;
use super::naming::current_session;
use super::render::{Form, Out, Tone, clean, on_terminal};
use super::surroundings::Surroundings;
use super::waiting::{Happening, Vigil, is_live, manifest};
use crate::agent::pi::transcript::{Entry, EntryKind, Transcript};
use crate::agent::printable::Printable;
use crate::durable::open_no_follow;
use crate::session::manifest::Manifest;
use crate::session::store::SessionDir;

/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(150);

/// Runs the command.
pub fn run(global: &Global, args: &LogsArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    let record = here.lane(&args.lane)?;
    let manifest = manifest(&here, current_session(&record)?)?;
    let source = if args.stderr {
        Source::Stderr
    } else if args.raw || manifest.agent.session_file.is_none() {
        Source::Stdout
    } else {
        Source::Session
    };
    let bytes = if args.raw { Bytes::AsTheyAre } else { Bytes::Readable };
    show(&here, &manifest, source, bytes, if args.follow { Follow::UntilEnd } else { Follow::No }, out)
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The agent's own record.
    Session,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Whether control sequences stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// They do.
    AsTheyAre,
    /// Not on a terminal.
    Readable,
}

/// Whether to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Only what is there.
    No,
    /// Until the session has ended, or a person has seen enough.
    UntilEnd,
}

/// Shows a session's log.
pub fn show(
    here: &Surroundings,
    manifest: &Manifest,
    source: Source,
    bytes: Bytes,
    follow: Follow,
    out: &Out,
) -> CliResult {
    let dir = here.store().session_dir(manifest.session_id);
    let Some(path) = file_of(&dir, manifest, source) else {
        return Err(CliError::new(Exit::NotFound, format!("the output of {} was discarded", manifest.lane)));
    };
    let mut log = Log {
        path: &path,
        file: None,
        offset: 0,
        shown: match source {
            Source::Session => Shown::Transcript(Transcript::new()),
            Source::Stdout | Source::Stderr if bytes == Bytes::Readable && out.form() == Form::Json => {
                Shown::Lines { printable: Printable::new(), lines: Lines::default() }
            }
            Source::Stdout | Source::Stderr if bytes == Bytes::Readable && on_terminal() => {
                Shown::Stripped(Printable::new())
            }
            Source::Stdout | Source::Stderr => Shown::AsItIs,
        },
    };
    let vigil = match follow {
        Follow::UntilEnd if is_live(here, manifest.session_id)? => {
            Some(Vigil::begin(here.store(), &[manifest.session_id])?)
        }
        Follow::UntilEnd | Follow::No => None,
    };
    log.show_new(out)?;
    let mut exit = Exit::Done;
    if let Some(vigil) = vigil {
        loop {
            let happening = vigil.next(Some(LOOK));
            log.show_new(out)?;
            match happening {
                Happening::Nothing => {}
                Happening::Free(_) => break,
                // The session goes on: looking is all that ends.
                Happening::Interrupt | Happening::Hangup => {
                    exit = Exit::Interrupted;
                    break;
                }
            }
        }
    }
    if let Shown::Lines { lines, .. } = &mut log.shown
        && let Some(rest) = lines.rest()
    {
        out.json_line(&output_line(&rest))?;
    }
    if log.offset == 0 && out.form() == Form::Text {
        let when = if is_live(here, manifest.session_id)? { "yet" } else { "at all" };
        out.note(&nothing(&dir, manifest, source, when));
    }
    Ok(exit)
}

/// Where a log stands, if it was kept: in the session's folder, wherever the repository stands by now. Where it was when
/// the session was begun is what the manifest says.
fn file_of(dir: &SessionDir, manifest: &Manifest, source: Source) -> Option<PathBuf> {
    let (recorded, path) = match source {
        Source::Session => (&manifest.agent.session_file, dir.pi_session()),
        Source::Stdout => (&manifest.output.stdout, dir.stdout()),
        Source::Stderr => (&manifest.output.stderr, dir.stderr()),
    };
    recorded.as_ref().map(|_| path)
}

/// Says that a log is empty, and where else there is something to read.
fn nothing(dir: &SessionDir, manifest: &Manifest, source: Source, when: &str) -> String {
    let lane = &manifest.lane;
    let has = |source| {
        let file = file_of(dir, manifest, source).and_then(|path| std::fs::metadata(path).ok());
        file.is_some_and(|file| file.len() > 0)
    };
    let elsewhere = if source != Source::Stderr && has(Source::Stderr) {
        format!("; but to its standard error: ralph worktree logs --stderr {lane}")
    } else if source == Source::Session && has(Source::Stdout) {
        format!("; but to its standard output: ralph worktree logs --raw {lane}")
    } else {
        String::new()
    };
    let what = match source {
        Source::Session => "recorded no message",
        Source::Stdout => "written nothing",
        Source::Stderr => "written nothing to its standard error",
    };
    format!("{lane} has {what} {when}{elsewhere}")
}

struct Log<'a> {
    path: &'a Path,
    file: Option<File>,
    offset: u64,
    shown: Shown,
}

enum Shown {
    Transcript(Transcript),
    Stripped(Printable),
    /// For programs: an object a line.
    Lines {
        printable: Printable,
        lines: Lines,
    },
    AsItIs,
}

impl Log<'_> {
    fn show_new(&mut self, out: &Out) -> CliResult {
        if self.file.is_none() {
            // Not through a link, and never waiting: what lies there may be the agent's making.
            self.file = open_no_follow(self.path).ok();
        }
        let failed = |e: std::io::Error| {
            CliError::new(Exit::CannotDo, format!("could not read the log {}: {e}", self.path.display()))
        };
        let Some(file) = &mut self.file else { return Ok(Exit::Done) };
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(hole) = hole_at(file, self.offset).map_err(failed)? {
                self.offset += hole;
                if out.form() == Form::Text && !matches!(self.shown, Shown::Transcript(_)) {
                    out.note(&format!("… {hole} bytes were given back because of the output cap …"));
                }
            }
            let read = file.read(&mut buffer).map_err(failed)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(Exit::Done);
            };
            self.offset += read as u64;
            match &mut self.shown {
                Shown::Transcript(transcript) => {
                    for entry in transcript.push(bytes) {
                        show_entry(&entry, out)?;
                    }
                }
                Shown::Lines { printable, lines } => {
                    for line in lines.push(&printable.push(bytes)) {
                        out.json_line(&output_line(&line))?;
                    }
                }
                Shown::Stripped(printable) => {
                    out.raw(printable.push(bytes).as_bytes())?;
                }
                Shown::AsItIs => {
                    out.raw(bytes)?;
                }
            }
        }
    }
}

/// The length of the hole that begins at `offset`, with the file then standing behind it. A file without holes is
/// only asked once it has as many bytes as blocks.
fn hole_at(file: &File, offset: u64) -> std::io::Result<Option<u64>> {
    let meta = file.metadata()?;
    if offset >= meta.len() || meta.blocks() * 512 >= meta.len() {
        return Ok(None);
    }
    match seek(file, SeekFrom::Data(offset)) {
        Ok(next) if next > offset => Ok(Some(next - offset)),
        Ok(_) => Ok(None),
        Err(rustix::io::Errno::NXIO) => {
            seek(file, SeekFrom::Start(meta.len()))?;
            Ok(Some(meta.len() - offset))
        }
        Err(errno) => Err(errno.into()),
    }
}

fn output_line(line: &str) -> serde_json::Value {
    json!({ "kind": "output", "text": line })
}

fn show_entry(entry: &Entry, out: &Out) -> CliResult {
    if out.form() == Form::Json {
        return out.json_line(&as_json(entry));
    }
    let (mark, tone, text) = match &entry.kind {
        EntryKind::UserPrompt(text) => ("›", Tone::Strong, text.clone()),
        EntryKind::Thinking(text) => ("·", Tone::Faint, text.clone()),
        EntryKind::AssistantText(text) => ("●", Tone::Plain, text.clone()),
        EntryKind::ToolCall { name, summary } => ("→", Tone::Good, format!("{name}: {summary}")),
        EntryKind::ToolResult { is_error, text, more_lines, .. } => {
            let more = if *more_lines > 0 { format!("\n({more_lines} more lines)") } else { String::new() };
            ("  ", if *is_error { Tone::Bad } else { Tone::Faint }, format!("{text}{more}"))
        }
        EntryKind::Error { reason, message } => {
            let text = match (reason.as_str(), message) {
                (_, Some(message)) => format!("{reason}: {message}"),
                ("length", None) => "the answer was cut at the model's length limit".to_owned(),
                (reason, None) => format!("the answer ended with {reason:?}"),
            };
            ("!", Tone::Bad, text)
        }
        EntryKind::ModelChange(model) => ("·", Tone::Faint, format!("model {model}")),
        EntryKind::Compaction => ("·", Tone::Faint, "what was said so far was summed up".to_owned()),
        EntryKind::Unreadable => ("·", Tone::Faint, "(a line that could not be read)".to_owned()),
    };
    let style = tone.style();
    for (number, line) in clean(&text).lines().enumerate() {
        let mark = if number == 0 { mark } else { " " };
        out.line(&format!("{style}{mark} {line}{style:#}"))?;
    }
    Ok(Exit::Done)
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let mut value = match &entry.kind {
        EntryKind::UserPrompt(text) => json!({ "kind": "prompt", "text": text }),
        EntryKind::Thinking(text) => json!({ "kind": "thinking", "text": text }),
        EntryKind::AssistantText(text) => json!({ "kind": "text", "text": text }),
        EntryKind::ToolCall { name, summary } => {
            json!({ "kind": "tool_call", "name": name, "summary": summary })
        }
        EntryKind::ToolResult { name, is_error, text, more_lines } => json!({
            "kind": "tool_result", "name": name, "is_error": is_error, "text": text, "more_lines": more_lines,
        }),
        EntryKind::Error { reason, message } => {
            json!({ "kind": "error", "reason": reason, "message": message })
        }
        EntryKind::ModelChange(model) => json!({ "kind": "model", "model": model }),
        EntryKind::Compaction => json!({ "kind": "compaction" }),
        EntryKind::Unreadable => json!({ "kind": "unreadable" }),
    };
    if let (Some(object), Some(at)) = (value.as_object_mut(), entry.at) {
        object.insert("at".to_owned(), json!(at));
    }
    value
}
