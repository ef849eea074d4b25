//! What an agent prints, line by line, while it prints it.
//!
//! pi keeps its answer back until the end, so of pi its own record is read.

use crate::durable::open_no_follow;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::agent::pi::transcript::{Entry, EntryKind, Transcript};
use crate::agent::printable::Printable;
use crate::cli::lines::Lines;
use crate::cli::render::one_line;
use crate::session::manifest::{Manifest, Outcome};

/// A line is shown up to here.
const LONGEST: usize = 300;
/// As much is read at one look.
const AT_ONCE: u64 = 1 << 20;

/// Whether a line that has no end yet counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It does: no more will come.
    Too,
    /// Not before it has ended.
    Later,
}

/// The end of what an agent prints.
pub struct Tail {
    path: Option<PathBuf>,
    file: Option<File>,
    form: Form,
}

enum Form {
    Text { printable: Printable, lines: Lines },
    Transcript(Transcript),
}

impl Tail {
    /// Of the session of this manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let (path, form) = match &manifest.agent.session_file {
            Some(path) => (Some(path), Form::Transcript(Transcript::new())),
            None => {
                let text = Form::Text { printable: Printable::new(), lines: Lines::default() };
                (manifest.output.stdout.as_ref(), text)
            }
        };
        Self { path: path.map(PathBuf::from), file: None, form }
    }

    /// The lines that have come since. A file that cannot be read has none: the session itself is what counts.
    pub fn new_lines(&mut self, rest: Rest) -> Vec<String> {
        if self.file.is_none() {
            self.file = self.path.as_ref().and_then(|path| open_no_follow(path.as_ref()).ok());
        }
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            drop(file.take(AT_ONCE).read_to_end(&mut bytes));
        }
        let lines = match &mut self.form {
            Form::Transcript(transcript) => transcript.push(&bytes).iter().filter_map(told).collect(),
            Form::Text { printable, lines } => {
                let mut ended = lines.push(&printable.push(&bytes));
                if rest == Rest::Too {
                    ended.extend(lines.rest());
                }
                ended
            }
        };
        let shown = lines.iter().map(|line| one_line(line).chars().take(LONGEST).collect::<String>());
        shown.filter(|line| !line.is_empty()).collect()
    }
}

/// The first line that an agent that failed wrote to its standard error: pi says first what is wrong, then what to do.
pub fn complaint(manifest: &Manifest) -> Option<String> {
    if manifest.outcome != Some(Outcome::Failed) {
        return None;
    }
    let path = manifest.output.stderr.as_ref()?;
    let mut tail = Tail {
        path: Some(PathBuf::from(path)),
        file: None,
        form: Form::Text { printable: Printable::new(), lines: Lines::default() },
    };
    tail.new_lines(Rest::Too).into_iter().next()
}

/// What of an entry is worth a line.
fn told(entry: &Entry) -> Option<String> {
    match &entry.kind {
        EntryKind::AssistantText(text) => {
            text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
        }
        EntryKind::ToolCall { name, summary } => Some(format!("{name}: {summary}")),
        EntryKind::Error { reason, message } => {
            Some(format!("{reason}: {}", message.as_deref().unwrap_or("no message")))
        }
        EntryKind::UserPrompt(_)
        | EntryKind::Thinking(_)
        | EntryKind::ToolResult { .. }
        | EntryKind::ModelChange(_)
        | EntryKind::Compaction
        | EntryKind::Unreadable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn tail_of(path: PathBuf) -> Tail {
        let form = Form::Text { printable: Printable::new(), lines: Lines::default() };
        Tail { path: Some(path), file: None, form }
    }

    #[test]
    fn lines_come_as_they_are_ended_and_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout");
        let mut tail = tail_of(path.clone());
        assert_eq!(tail.new_lines(Rest::Later), Vec::<String>::new(), "the file is not there yet");
        let mut file = File::create(path).unwrap();
        file.write_all(b"one\n\ntw").unwrap();
        assert_eq!(tail.new_lines(Rest::Later), ["one"]);
        file.write_all(b"o\x1b[31m\x1b]0;title\x07\nthree").unwrap();
        assert_eq!(tail.new_lines(Rest::Later), ["two"]);
        assert_eq!(tail.new_lines(Rest::Too), ["three"]);
        assert_eq!(tail.new_lines(Rest::Too), Vec::<String>::new());
    }
}
